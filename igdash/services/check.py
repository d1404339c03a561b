"""Whether an environment works with this igdash: each gadget described, run, decoded, stopped.

It is what `igdash check ENV` prints, and how compatibility with a version of Inspektor Gadget is
verified. Nothing is stored: events are decoded and counted.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.commands import default_target
from igdash.domain.environments import Health
from igdash.domain.errors import SourceError
from igdash.domain.events import Decoded
from igdash.domain.gadgets import DataSource, Gadget, merged_sources
from igdash.domain.losses import LossCause
from igdash.domain.nodes import NodeStatus
from igdash.domain.ports import Catalogue, Decode, Source, Stream
from igdash.domain.sessions import SessionId, SessionSpec

START_SECONDS: Final = 60.0
"""The first load of a gadget after a start took up to 37 s on slow nodes."""
STOP_SECONDS: Final = 15.0


class Verdict(StrEnum):
    """What came of one gadget."""

    FINE = "fine"
    """It was described, ran, and all it sent could be read."""
    QUIET = "quiet"
    """As fine, but nothing happened that it reports."""
    ODD = "odd"
    """It ran, but some of what it sent could not be read."""
    FAILED = "failed"
    """It did not run there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One gadget's row: `fields` and `params` as the environment describes them (0 = it does not),
    `seconds` from the start until it ran, `lost` as counted, `why` in words."""

    gadget: str
    verdict: Verdict
    fields: int = 0
    params: int = 0
    seconds: float = 0.0
    nodes: int = 0
    events: int = 0
    ticks: int = 0
    malformed: int = 0
    lost: int = 0
    why: str = ""


class _Counting:
    """A sink that decodes and counts."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self.events = self.ticks = self.malformed = self.lost = 0
        self.connected = 0
        self.strangers: set[str] = set()
        self.first_bad = ""
        self.schemas: list[tuple[DataSource, ...]] = []
        self.begun = threading.Event()
        self.over = threading.Event()
        self.failed = False
        self.reason = ""

    def chunk(self, chunk: Chunk) -> None:
        """Decode and count."""
        decoded = self._decode(chunk)
        self._count(decoded)
        if chunk.kind is ChunkKind.JSON_LINES and self.schemas:
            known = {source.name for source in merged_sources(self.schemas)}
            self.strangers |= {e.origin.source for e in decoded.events} - known

    def _count(self, decoded: Decoded) -> None:
        self.events += len(decoded.events)
        self.ticks += len(decoded.ticks)
        self.malformed += len(decoded.malformed)
        self.lost += sum(one.count for one in decoded.losses)
        self.schemas += [one.sources for one in decoded.schemas]
        for bad in decoded.malformed[:1]:
            self.first_bad = self.first_bad or bad.reason
        for loss in decoded.losses:
            if loss.cause is LossCause.STREAM:
                self.first_bad = self.first_bad or loss.detail

    def nodes(self, *, expected: int, connected: int, coverage: Sequence[NodeStatus] = ()) -> None:  # noqa: ARG002
        """Remember the most nodes that ran it."""
        self.connected = max(self.connected, connected)

    def started(self) -> None:
        """It runs."""
        self.begun.set()

    def ended(self, *, failed: bool, reason: str) -> None:
        """It is over."""
        self.failed, self.reason = failed, reason
        self.begun.set()
        self.over.set()


def offered(source: Source, catalogue: Catalogue) -> tuple[Gadget, ...]:
    """Return the gadgets to check: those the environment names, else all of the catalogue.

    Raises `SourceError` when the environment cannot be used.
    """
    status = source.status()
    if status.health is Health.DOWN:
        raise SourceError(f"{status.name}: {status.reason}")
    return tuple(one for one in catalogue.all() if not status.gadgets or one.name in status.gadgets)


def check(
    source: Source, gadgets: Sequence[Gadget], decode: Decode, *, seconds: float
) -> Iterator[Checked]:
    """Yield one row per gadget, each run for about `seconds` s, one after the other."""
    for gadget in gadgets:
        yield _check(source, gadget, decode, seconds)


def _check(source: Source, gadget: Gadget, decode: Decode, seconds: float) -> Checked:
    try:
        described = source.describe(gadget.name)
        sink = _Counting(decode)
        target = default_target(source.environment)
        if gadget.param("k8s-namespace") is None:
            target = type(target)()
        spec = SessionSpec(gadget=gadget.name, environment=source.environment.name, target=target)
        began = time.monotonic()
        stream = source.open(SessionId(secrets.token_hex(6)), spec, sink)
    except SourceError as error:
        return Checked(gadget=gadget.name, verdict=Verdict.FAILED, why=str(error))
    sink.begun.wait(START_SECONDS)
    ran = time.monotonic() - began
    sink.over.wait(seconds)
    return _row(gadget, described, sink, ran, _ended(stream))


def _ended(stream: Stream) -> bool:
    stream.stop(timeout=STOP_SECONDS)
    return stream.join(STOP_SECONDS * 2)


def _row(
    gadget: Gadget, described: Gadget | None, sink: _Counting, seconds: float, ended: bool
) -> Checked:
    verdict, why = _verdict(sink, ended)
    return Checked(
        gadget=gadget.name,
        verdict=verdict,
        fields=sum(len(source.fields) for source in described.sources) if described else 0,
        params=len(described.params) if described else 0,
        seconds=seconds,
        nodes=sink.connected,
        events=sink.events,
        ticks=sink.ticks,
        malformed=sink.malformed,
        lost=sink.lost,
        why=why,
    )


def _verdict(sink: _Counting, ended: bool) -> tuple[Verdict, str]:
    if sink.failed:
        return Verdict.FAILED, sink.reason
    if not sink.begun.is_set() or (sink.over.is_set() and sink.connected == 0 and not sink.events):
        return Verdict.FAILED, sink.reason or f"it did not start within {START_SECONDS:.0f} s"
    if not ended:
        return Verdict.ODD, f"it did not end within {STOP_SECONDS:.0f} s"
    if sink.malformed or sink.strangers:
        more = f"data sources nobody announced: {', '.join(sorted(sink.strangers))}"
        return Verdict.ODD, sink.first_bad or more
    return (Verdict.FINE if sink.events or sink.ticks else Verdict.QUIET), sink.reason
