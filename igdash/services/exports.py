"""Exports as streams of bytes: a block of events at a time, so memory stays the same at any size.

JSON lines are spliced from the stored texts, never parsed; CSV and Parquet look inside an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from igdash.domain.errors import InvalidQuery
from igdash.domain.events import Event, Tick
from igdash.domain.ports import EventReader, EventText, SessionReader
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.services import parquet_rows
from igdash.services.csv_rows import Table
from igdash.services.history import check_window
from igdash.services.queries import Queries, never
from igdash.services.query_asks import AskPage
from igdash.services.query_pool import IsGone
from igdash.services.render import event_lines, text_lines

BLOCK = 300
"""Events per short transaction; a reader never holds one longer (store: the WAL would grow)."""


class Format(StrEnum):
    """What an export can be."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is wanted: `start`/`end` (ns) by the events' own time (by the tick's for arrays), and
    only what `filter` picks. Of an array its rows that match are left, of one without any nothing.
    """

    format: Format = Format.JSONL
    plain: bool = False
    filter: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """Makes exports. Thread-safe; each covers what is stored when it begins."""

    sessions: SessionReader
    events: EventReader
    queries: Queries

    def open(self, session: SessionId, wanted: Export, gone: IsGone = never) -> Iterator[bytes]:
        """Return the export's bytes; searching ends once `gone()`.

        Raises `SessionNotFound`, `InvalidQuery`, `FilterError` before any byte.
        """
        check_window(wanted.start, wanted.end)
        if wanted.plain and wanted.format is not Format.JSONL:
            raise InvalidQuery("plain", "is for format=jsonl only")
        known = self.sessions.get(session)
        if wanted.plain and known.ticks:
            # A tick is whole or not there at all: rows are picked by its time, not by theirs.
            whole = replace(wanted, start=None, end=None)
            return self._arrays(session, wanted, self._blocks(session, whole, gone))
        if wanted.format is Format.JSONL and not wanted.filter.strip():
            texts = self.events.texts(session, _range(wanted))
            return map(_data if wanted.plain else text_lines, texts)
        blocks = self._blocks(session, wanted, gone)
        if wanted.format is Format.PARQUET:
            return parquet_rows.stream(self.sessions.schema(session), blocks)
        if wanted.format is Format.CSV:
            return self._csv(session, blocks)
        return map(_objects if wanted.plain else event_lines, blocks)

    def _blocks(
        self, session: SessionId, wanted: Export, gone: IsGone
    ) -> Iterator[Sequence[Event]]:
        if wanted.filter.strip():
            ask = AskPage(session=session, filter=wanted.filter, start=wanted.start, end=wanted.end)
            return self.queries.stream(ask, gone)
        return self.events.stream(session, _range(wanted))

    def _csv(self, session: SessionId, blocks: Iterator[Sequence[Event]]) -> Iterator[bytes]:
        table = Table(self.sessions.schema(session))
        yield table.header()
        for block in blocks:
            yield table.rows(block)

    def _arrays(
        self, session: SessionId, wanted: Export, blocks: Iterator[Sequence[Event]]
    ) -> Iterator[bytes]:
        """Yield each tick as the array it was, the empty ones too, between the loose events: all
        of the session in seq order."""
        rows = (event for block in blocks for event in block)
        picked = bool(wanted.filter.strip())
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
            if len(parts) < tick.events and not picked:
                return  # the tick came after the walk began
            if _within(tick.ts, wanted) and (parts or not picked):
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


def _range(wanted: Export) -> EventRange:
    return EventRange(limit=BLOCK, start=wanted.start, end=wanted.end)


def _data(texts: Sequence[EventText]) -> bytes:
    return b"\n".join([*(text[4] for text in texts), b""])


def _objects(block: Sequence[Event]) -> bytes:
    return "\n".join([*(event.data for event in block), ""]).encode()


def _within(ts: int, wanted: Export) -> bool:
    after = wanted.start is None or ts >= wanted.start
    return after and (wanted.end is None or ts < wanted.end)
