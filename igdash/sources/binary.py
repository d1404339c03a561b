"""`ig` and `kubectl-gadget` as environments: one subprocess per session."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from igdash.domain.commands import check_spec, dropped_args, run_argv
from igdash.domain.environments import Environment, EnvironmentKind, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError
from igdash.domain.gadgets import Delivery, Gadget
from igdash.domain.images import image_of
from igdash.domain.losses import LossCause
from igdash.domain.ports import Catalogue, Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.times import NS, now_ns
from igdash.sources.orphans import Orphans
from igdash.sources.process import ProcessStream, why_failed

PATIENCE: Final = 5.0
"""Seconds `version` may take."""
FRESH: Final = 5.0
"""Seconds an answer of `version` is good for."""
_VERSION: Final = re.compile(r"v?\d+\.\d+\.\d+\S*")


class BinarySource:
    """The `Source` of a local `ig` or `kubectl-gadget`. Thread-safe.

    Events of a plain host do not name their node, so they get the environment's name; those of a
    cluster say it in `k8s.node`.
    """

    def __init__(
        self, environment: Environment, catalogue: Catalogue, orphans: Orphans | None = None
    ) -> None:
        self.environment = environment
        self._catalogue = catalogue
        self._orphans = orphans
        self._local = environment.kind is EnvironmentKind.IG
        self._lock = threading.Lock()
        self._known: EnvironmentStatus | None = None
        self._asked = 0.0

    def status(self) -> EnvironmentStatus:
        """Ask the binary for its version. Never raises; takes up to `PATIENCE` s, then is cached."""
        with self._lock:
            if self._known is None or time.monotonic() - self._asked > FRESH:
                self._known = self._ask()
                self._asked = time.monotonic()
            return self._known

    def _ask(self) -> EnvironmentStatus:
        environment = self.environment
        command = (*(environment.command or self._usual()), "version")
        status = EnvironmentStatus(
            name=environment.name,
            kind=environment.kind,
            health=Health.DOWN,
            nodes=(environment.name,) if self._local else (),
        )
        try:
            answer = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except FileNotFoundError:
            return replace(status, reason=_missing(command[0]))
        except subprocess.TimeoutExpired:
            return replace(status, reason=f"`{' '.join(command)}` did not answer in {PATIENCE:g} s")
        except (OSError, ValueError) as error:
            return replace(status, reason=f"{command[0]!r} cannot be run: {error}")
        text = answer.stdout.decode("utf-8", "backslashreplace")
        found = _VERSION.search(text)
        if answer.returncode != 0:
            log = answer.stderr.decode("utf-8", "backslashreplace").splitlines()
            return replace(status, reason=why_failed(log, answer.returncode))
        return replace(status, health=Health.UP, version=found[0] if found else text.strip()[:80])

    def _usual(self) -> tuple[str, ...]:
        return ("ig",) if self._local else ("kubectl-gadget",)

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the argv that runs this session."""
        return run_argv(self._gadget(spec), spec, self.environment)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return the image, what of the configured arguments was left out, the version if known."""
        gadget = self._gadget(spec)
        facts = {"image": image_of(self.environment, gadget.name)}
        dropped = dropped_args(gadget, self.environment)
        if dropped:
            facts["left out"] = f"{' '.join(dropped)}: {gadget.name} has no such flag"
        known = self._known
        if known is not None and known.version:
            facts["version"] = known.version
        return facts

    def restartable(self, spec: SessionSpec) -> bool:
        """Whether running it again continues the session: not for a gadget with a single answer."""
        try:
            return self._gadget(spec).delivery not in (Delivery.ONCE, Delivery.AT_STOP)
        except SourceError:
            return False

    def describe(self, gadget: str) -> Gadget | None:  # noqa: ARG002
        """A binary prints events, not what it knows of a gadget: the catalogue has to do."""
        return None

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the gadget. Raises `SourceError` when the command cannot be run."""
        gadget = self._gadget(spec)
        problems = check_spec(gadget, spec, self.environment)
        if problems:
            raise SourceError("; ".join(f"{name}: {why}" for name, why in problems.items()))
        argv = run_argv(gadget, spec, self.environment)
        orphans = self._orphans
        stream = ProcessStream(
            session,
            argv,
            sink,
            node=self.environment.name if self._local else "",
            nodes=1 if self._local else _named_nodes(spec.target.node),
            gone=lambda: orphans.forget(session) if orphans else None,
            tail=self._tail,
        )
        if orphans:
            orphans.note(session, stream.process, argv)
            if stream.join(0):  # it may have ended before it was noted
                orphans.forget(session)
        return stream

    def _gadget(self, spec: SessionSpec) -> Gadget:
        try:
            return self._catalogue.get(spec.gadget)
        except GadgetNotFound as error:
            raise SourceError(str(error)) from error

    def _tail(self, stopped_at: int, killed: bool) -> bytes | None:
        """Return the loss record for what a stop throws away, None when nothing is."""
        if not killed and self._local:
            return None
        detail = (
            "it did not end in time and was killed: its last events are missing"
            if killed
            else "at a stop Inspektor Gadget throws away what its servers still hold for us"
        )
        now = now_ns()
        record = {
            "node": self.environment.name if self._local else "",
            "start": min(now, stopped_at) - (0 if killed else NS),
            "end": now,
            "count": 0,
            "cause": LossCause.STOP_TAIL,
            "detail": f"{detail}; how many is not known",
            "exact": False,
        }
        return json.dumps(record).encode() + b"\n"


def _named_nodes(target: str) -> int:
    """Return how many nodes a target names, 0 when it does not say which."""
    names = {name.strip() for name in target.split(",")} - {""}
    return 0 if any(name.startswith("!") for name in names) else len(names)


def _missing(command: str) -> str:
    return f"there is no command {command!r}: install it, or correct the environment's `command`"
