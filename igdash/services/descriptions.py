"""What environments say of gadgets, asked in threads of their own and remembered.

A node under load was seen to take two minutes for an answer, so nobody waits longer than he wants
to: asking goes on behind, and who asks again gets the answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from igdash.domain.control import Description
from igdash.domain.errors import SourceError
from igdash.domain.ports import Source
from igdash.domain.threads import spawn

log = logging.getLogger(__name__)

FRESH: Final = 600.0
"""Seconds an answer is good for."""
RETRY: Final = 15.0
"""Seconds after which a failed question is asked again."""
DEADLINE: Final = 240.0
"""Seconds after which an answer is no longer waited for."""
MOST_ASKING: Final = 8
MOST_KEPT: Final = 500

Key = tuple[str, str]


class _Question:
    """One gadget of one environment; `old` is what was known before."""

    def __init__(self, old: Description | None) -> None:
        self.began = time.monotonic()
        self.old = old
        self.answer: Description | None = None
        self.answered = threading.Event()

    def now(self, who: str) -> Description:
        """Return what is known now."""
        if self.answer is not None:
            return self.answer
        if self.late:
            return self.old or Description(reason=f"{who} did not answer in {DEADLINE:.0f} s")
        if self.old is not None:
            return self.old
        return Description(reason=f"{who} is still being asked", pending=True)

    @property
    def late(self) -> bool:
        return time.monotonic() - self.began > DEADLINE

    @property
    def stale(self) -> bool:
        """Whether it is time to ask again."""
        age = time.monotonic() - self.began
        if self.answer is None:
            return age > DEADLINE + RETRY
        known = self.answer.gadget is not None or not self.answer.reason
        return age > (FRESH if known else RETRY)


class Descriptions:
    """Asks sources of gadgets. Thread-safe."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._questions: dict[Key, _Question] = {}
        self._asking = 0

    def ask(self, environment: str, gadget: str, wait: float) -> Description:
        """Return what the environment says, as far as known within `wait` s."""
        key = (environment, gadget)
        with self._lock:
            question = self._questions.get(key)
            if question is None or question.stale:
                if self._asking >= MOST_ASKING:
                    busy = Description(reason=f"{environment} is busy answering", pending=True)
                    return question.now(environment) if question else busy
                question = self._begin(key, question)
        question.answered.wait(max(0.0, wait))
        return question.now(environment)

    def _begin(self, key: Key, before: _Question | None) -> _Question:
        known = before.answer or before.old if before else None
        question = _Question(known if known and known.gadget else None)
        self._questions.pop(key, None)
        while len(self._questions) >= MOST_KEPT:
            self._questions.pop(next(iter(self._questions)))
        self._questions[key] = question
        self._asking += 1
        spawn(f"describe-{key[0]}", partial(self._work, key, question))
        return question

    def _work(self, key: Key, question: _Question) -> None:
        try:
            answer = self._answer(*key)
        finally:
            with self._lock:
                self._asking -= 1
        if answer.gadget is None and answer.reason and question.old:
            answer = replace(question.old)
        question.answer = answer
        question.answered.set()

    def _answer(self, environment: str, gadget: str) -> Description:
        try:
            return Description(gadget=self._sources[environment].describe(gadget))
        except SourceError as error:
            return Description(reason=str(error))
        except Exception as error:
            log.exception("%s could not be asked of %s", environment, gadget)
            return Description(reason=f"{environment} could not be asked: {error}")
