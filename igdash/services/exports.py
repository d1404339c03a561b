"""Exports as streams of bytes: a block of events at a time, so memory stays the same at any size.

JSON lines are spliced from the stored texts, never parsed; only CSV looks inside an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from igdash.domain.errors import InvalidQuery
from igdash.domain.events import Event, Tick
from igdash.domain.ports import EventReader, SessionReader
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.services.csv_rows import Table
from igdash.services.history import check_window
from igdash.services.render import event_lines

BLOCK = 1_000
"""Events per short transaction; a reader never holds one longer (store: the WAL would grow)."""


class Format(StrEnum):
    """What an export can be."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is wanted: `start`/`end` (ns) by the events' own time (by the tick's for arrays)."""

    format: Format = Format.JSONL
    plain: bool = False
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """Makes exports. Thread-safe; each covers what is stored when it begins."""

    sessions: SessionReader
    events: EventReader

    def open(self, session: SessionId, wanted: Export) -> Iterator[bytes]:
        """Return the export's bytes. Raises `SessionNotFound`, `InvalidQuery` before any byte."""
        check_window(wanted.start, wanted.end)
        if wanted.plain and wanted.format is not Format.JSONL:
            raise InvalidQuery("plain", "is for format=jsonl only")
        known = self.sessions.get(session)
        if wanted.format is Format.CSV:
            return self._csv(session, wanted)
        if not wanted.plain:
            return self._jsonl(session, wanted)
        return self._arrays(session, wanted) if known.ticks else self._objects(session, wanted)

    def _blocks(self, session: SessionId, wanted: Export) -> Iterator[list[Event]]:
        span = EventRange(limit=BLOCK, start=wanted.start, end=wanted.end)
        for block in self.events.stream(session, span):
            yield list(block)

    def _jsonl(self, session: SessionId, wanted: Export) -> Iterator[bytes]:
        for block in self._blocks(session, wanted):
            yield event_lines(block)

    def _objects(self, session: SessionId, wanted: Export) -> Iterator[bytes]:
        for block in self._blocks(session, wanted):
            yield "".join([event.data + "\n" for event in block]).encode()

    def _csv(self, session: SessionId, wanted: Export) -> Iterator[bytes]:
        table = Table(self.sessions.schema(session))
        yield table.header()
        for block in self._blocks(session, wanted):
            yield table.rows(block)

    def _arrays(self, session: SessionId, wanted: Export) -> Iterator[bytes]:
        """Yield each tick as the array it was, the empty ones too, between the loose events.

        Walks all of the session in seq order, since a tick is whole or not there at all: its rows
        are picked by the tick's time, not by theirs.
        """
        rows = (
            event
            for block in self.events.stream(session, EventRange(limit=BLOCK))
            for event in block
        )
        row = next(rows, None)
        for tick in self._ticks_upwards(session):
            while row is not None and row.seq < tick.first_seq:
                if _within(row.ts, wanted):
                    yield row.data.encode() + b"\n"
                row = next(rows, None)
            parts: list[str] = []
            while row is not None and row.seq < tick.first_seq + tick.events:
                parts.append(row.data)
                row = next(rows, None)
            if len(parts) < tick.events:
                return  # the tick came after the walk began
            if _within(tick.ts, wanted):
                yield f"[{','.join(parts)}]\n".encode()
        while row is not None:
            if _within(row.ts, wanted):
                yield row.data.encode() + b"\n"
            row = next(rows, None)

    def _ticks_upwards(self, session: SessionId) -> Iterator[Tick]:
        """Yield all ticks from the first; the store lists them downwards, hence page by page."""
        total = self.events.ticks(session, limit=1).total
        first = 1
        while first <= total:
            count = min(BLOCK, total - first + 1)
            page = self.events.ticks(session, before=first + count, limit=count)
            yield from reversed(page.ticks)
            first += count


def _within(ts: int, wanted: Export) -> bool:
    after = wanted.start is None or ts >= wanted.start
    return after and (wanted.end is None or ts < wanted.end)
