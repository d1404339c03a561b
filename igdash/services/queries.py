"""Questions with a filter, a sort or a field: checked here, answered where they disturb nobody.

What can be said at once (a wrong filter, an unknown field) is said by the caller's own process;
the work goes to a `Backend`: worker processes behind the web server, this very process behind the
command line. An answer may be partial, its scope says so. To go on, ask again with more time and
listen to how far it has come: closing the iterator ends the work, so nothing is kept between
requests.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

from msgspec.structs import replace

from igdash.domain.errors import InvalidQuery, QueryBusy, StoreBusy, StoreError
from igdash.domain.events import Event
from igdash.domain.filter_complete import Completion, Completions, complete, value_text
from igdash.domain.filter_fields import UnknownField, number_path, value_path
from igdash.domain.filter_text import to_text
from igdash.domain.filters import Filter
from igdash.domain.gadgets import Field
from igdash.domain.ports import QueryReader, SessionReader
from igdash.domain.queries import QueryPage, Scope, Top
from igdash.domain.sessions import SessionId
from igdash.services.query_asks import (
    Answer,
    Answerer,
    Ask,
    Asked,
    AskPage,
    AskTop,
    fields_of,
)
from igdash.services.query_pool import IsGone, Pool
from igdash.services.query_wire import encode_ask, read_answer, read_news

MAX_SECONDS: Final = 120.0
"""The longest a question may take."""
BLOCK: Final = 1_000
"""Events per question of a stream."""
PATIENCE: Final = 30
"""How often a stream that finds no room tries again, a second between."""
FAILURES: Final = 3
"""How often in a row it is begun anew on a block that nobody could answer."""
VALUES_SECONDS: Final = 0.4
"""Completion answers with the newest events' values rather than late."""
MOST_VALUES: Final = 20


def looked_until(ask: AskPage, page: QueryPage) -> int:
    """Return the seq at which an upward page in seq order ended, or looking was stopped."""
    if page.next:
        return page.events[-1].seq if len(page.events) == ask.limit else page.scope.to_seq
    return page.last_seq if ask.before is None else min(page.last_seq, ask.before - 1)


Reply: TypeAlias = Scope | Answer
"""News (`Scope`: what is covered so far), at last the answer."""


def never() -> bool:
    """Say that somebody waits."""
    return False


class Backend(Protocol):
    """Who answers questions. Thread-safe."""

    def ask(self, ask: Ask, gone: IsGone) -> Iterator[Reply]:
        """Yield news, at last the answer; closing the iterator ends the work.

        Raises `QueryBusy`, `QueryCancelled` once `gone()`, `StoreError`, and what `Answerer` does.
        """

    def warm(self) -> None:
        """Get ready for a first question. Does not wait."""

    def close(self) -> None:
        """End what runs. Safe to call twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Answers in this process."""

    answerer: Answerer

    def ask(self, ask: Ask, gone: IsGone) -> Iterator[Reply]:
        """Yield the answer."""
        yield self.answerer.answer(ask, gone, lambda _scope: None)

    def warm(self) -> None:
        """Be ready already."""

    def close(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Answers in worker processes."""

    pool: Pool

    def ask(self, ask: Ask, gone: IsGone) -> Iterator[Reply]:
        """Yield news, at last the answer."""
        for said in self.pool.ask(encode_ask(ask), seconds=ask.seconds, gone=gone):
            yield read_answer(ask, said.text) if said.final else read_news(said.text)

    def warm(self) -> None:
        """Start a worker unless there is one."""
        self.pool.warm()

    def close(self) -> None:
        """End all workers."""
        self.pool.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Asks the history. Thread-safe; raises `SessionNotFound` for unknown sessions."""

    sessions: SessionReader
    reader: QueryReader
    backend: Backend

    def close(self) -> None:
        """End the questions that run. Safe to call twice."""
        self.backend.close()

    def warm(self) -> None:
        """Get ready: somebody looks at a session and may ask something soon. Does not wait."""
        self.backend.warm()

    # ------------------------------------------------------------ reading what was typed

    def fields(self, session: SessionId) -> tuple[Field, ...]:
        """Return the fields a filter of this session may name."""
        return fields_of(self.sessions.schema(session))

    def filter(self, text: str, *sessions: SessionId) -> Filter | None:
        """Return the filter that a text says, None for an empty one. Raises `FilterError`."""
        return Answerer(sessions=self.sessions, queries=self.reader).filter(text, sessions)

    def canonical(self, text: str, session: SessionId) -> str:
        """Return the filter as igdash itself writes it, "" for none. Raises `FilterError`."""
        found = self.filter(text, session)
        return to_text(found) if found is not None else ""

    def value_path(self, parameter: str, name: str, session: SessionId) -> str:
        """Return where the values of a field are. Raises `InvalidQuery` naming the parameter."""
        return _path(value_path, parameter, name, self.fields(session))

    def number_path(self, parameter: str, name: str, session: SessionId) -> str:
        """Return where to sort or calculate by a field. Raises `InvalidQuery`."""
        return _path(number_path, parameter, name, self.fields(session))

    def matcher(self, text: str, session: SessionId) -> Callable[[Event], bool] | None:
        """Return a test for live events, None for an empty filter. Raises `FilterError`."""
        found = self.filter(text, session)
        return None if found is None else self.reader.matcher(found)

    # ------------------------------------------------------------ asking

    def ask(self, ask: Ask, gone: IsGone = never) -> Iterator[Reply]:
        """Check the question; return an iterator of news and, at last, the answer.

        Raises `FilterError` and `InvalidQuery` at once, the rest while iterating.
        """
        if not 0 < ask.seconds <= MAX_SECONDS:
            raise InvalidQuery("budget_ms", f"must be 1 to {MAX_SECONDS * 1000:.0f}")
        if ask.start is not None and ask.end is not None and ask.start >= ask.end:
            raise InvalidQuery("to", "must be later than from")
        self.filter(ask.filter, *((ask.session,) if isinstance(ask, Asked) else ask.sessions))
        return self.backend.ask(ask, gone)

    def answer(self, ask: Ask, gone: IsGone = never) -> Answer:
        """Return the answer. Raises as `ask` and its iterator."""
        *_, last = self.ask(ask, gone)
        return cast("Answer", last)

    def at_time(self, session: SessionId, ts: int) -> int | None:
        """Return the first seq whose event's own time is `ts` (ns) or later, None = there is none."""
        return self.reader.at_time(session, ts)

    def stream(self, ask: AskPage, gone: IsGone = never) -> Iterator[Sequence[Event]]:
        """Yield all events that match, upwards and in blocks, as stored when it begins.

        Raises as `ask` at once. A question that finds no room waits for some, and one whose worker
        dies is asked again: whoever reads half a file must not be turned away.
        """
        last = self.sessions.get(ask.session).last_seq
        before = last + 1 if ask.before is None else min(ask.before, last + 1)
        ask = replace(ask, before=before, limit=BLOCK, newest=False, sort="", cursor="")
        self.filter(ask.filter, ask.session)
        return self._blocks(ask, gone)

    def _blocks(self, ask: AskPage, gone: IsGone) -> Iterator[Sequence[Event]]:
        while True:
            page = cast("QueryPage", self._patiently(ask, gone))
            if page.events:
                yield page.events
            if not page.next:
                return
            ask = replace(ask, cursor=page.next)

    def _patiently(self, ask: Ask, gone: IsGone) -> Answer:
        pause = threading.Event()
        failed = 0
        for _ in range(PATIENCE):
            try:
                return self.answer(ask, gone)
            except QueryBusy:
                pause.wait(1.0)
            except StoreBusy:  # its worker died: another begins behind the last block
                failed += 1
                if failed == FAILURES:
                    raise
                pause.wait(1.0)
        return self.answer(ask, gone)

    # ------------------------------------------------------------ completion

    def complete(
        self, session: SessionId, text: str, cursor: int, gone: IsGone = never
    ) -> Completions:
        """Return what may stand at the cursor: names, operators, values that the history has."""
        found = complete(text, cursor, self.fields(session))
        if found.path in ("", "@time", "@seq"):
            return found
        ask = AskTop(
            session=session, path=found.path, limit=MOST_VALUES * 10, seconds=VALUES_SECONDS
        )
        try:
            top = cast("Top", self.answer(ask, gone))
        except (QueryBusy, StoreError):
            return found
        values = [
            Completion(insert=value_text(one.value.value), kind="value", detail=f"{one.count:,}")
            for one in top.values
        ]
        return dataclasses.replace(found, items=_merged(found, values))


def _merged(found: Completions, values: Sequence[Completion]) -> tuple[Completion, ...]:
    """Return known and stored values that contain what was typed; beginnings first."""
    prefix = found.prefix.casefold()
    stored = {one.insert for one in values}
    known = [one for one in found.items if one.insert not in stored]
    fitting = [one for one in values if prefix in one.insert.casefold()]
    fitting.sort(key=lambda one: not one.insert.strip("\"'").casefold().startswith(prefix))
    return (*fitting[:MOST_VALUES], *known)


def _path(
    find: Callable[[str, Sequence[Field]], str],
    parameter: str,
    name: str,
    fields: Sequence[Field],
) -> str:
    try:
        return find(name, fields)
    except UnknownField as error:
        raise InvalidQuery(parameter, error.message) from error
