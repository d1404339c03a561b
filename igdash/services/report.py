"""A report of a session: what is gathered for a page that somebody without igdash shall read.

Everything comes from the same questions as the dashboard's, so the figures are the same; each says
what it covers. `report_html` turns it into the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from igdash.domain.errors import InvalidQuery
from igdash.domain.events import Event, LogLevel
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.ports import Catalogue, EventReader, RecordReader, SessionReader
from igdash.domain.queries import (
    Bucket,
    EventRange,
    QueryPage,
    Scope,
    SplitBucket,
    SplitHistogram,
    Top,
)
from igdash.domain.sessions import Session, SessionId
from igdash.domain.times import now_ns
from igdash.services import report_html
from igdash.services.history import check_window
from igdash.services.queries import Queries, never
from igdash.services.query_asks import AskHistogram, AskPage, AskTop
from igdash.services.query_pool import IsGone
from igdash.services.report_facts import Report, Wanted

NEWEST: Final = 100
"""Events shown when none are chosen."""
MOST_EVENTS: Final = 500
MOST_FIELDS: Final = 8
MOST_COLUMNS: Final = 7
TOP: Final = 10
BUCKETS: Final = 120
MOST_LOSSES: Final = 1_000
MOST_LOGS: Final = 100
SECONDS: Final = 10.0
"""How long one figure may be looked for; what it covers is said beside it."""

_WHERE: Final = ("k8s.namespace", "k8s.podName", "k8s.node", "proc.comm", "comm")
_SAID: Final = frozenset({"k8s.node", "k8s.containerName"})
"""Beside the event's node and its pod they say nothing new."""
_NEVER: Final = frozenset({"timestamp", "bytes", "duration"})
_NUMBERS: Final = frozenset({"pid", "tid", "ppid", "fd"})
_DULL: Final = ("timestamp", "mntns", "netns", "inode", "container_id", "containerId")
ENDPOINT: Final = "l4endpoint"
"""Template of a group of address, port and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Makes reports. Thread-safe; memory is that of one page, whatever the session's size."""

    sessions: SessionReader
    events: EventReader
    records: RecordReader
    queries: Queries
    catalogue: Catalogue

    def open(self, session: SessionId, wanted: Wanted, gone: IsGone = never) -> Iterator[bytes]:
        """Return the page's bytes, gathered when the first ones are asked for.

        Raises `SessionNotFound`, `InvalidQuery`, `FilterError` at once.
        """
        check_window(wanted.start, wanted.end)
        if len(wanted.seqs) > MOST_EVENTS:
            raise InvalidQuery("seq", f"at most {MOST_EVENTS} events can be chosen")
        known = self.sessions.get(session)
        self.queries.filter(wanted.filter, session)
        return self._pages(known, wanted, gone)

    def _pages(self, known: Session, wanted: Wanted, gone: IsGone) -> Iterator[bytes]:
        yield report_html.page(self.gather(known, wanted, gone)).encode("utf-8", "replace")

    def gather(self, known: Session, wanted: Wanted, gone: IsGone = never) -> Report:
        """Return what the report shows."""
        schema = self.sessions.schema(known.id)
        newest, lost = self.records.losses(known.id, limit=MOST_LOSSES + 1)
        losses = newest[-MOST_LOSSES:]
        logs = self.records.logs(known.id, limit=1_000)
        bad = (LogLevel.WARNING, LogLevel.ERROR)
        bars, bars_scope = self._bars(known, wanted, gone)
        events, events_scope = self._events(known, wanted, gone)
        shown = {event.seq for event in events}
        return Report(
            made=now_ns(),
            title=self._title(known),
            session=known,
            wanted=wanted,
            coverage=self.sessions.coverage(known.id),
            bars=bars,
            bars_scope=bars_scope,
            tops=[self._top(known, wanted, path, gone) for path in main_fields(schema)],
            losses=losses,
            lost=lost,
            losses_cut=len(newest) > len(losses),
            warnings=[line for line in logs if line.level in bad][-MOST_LOGS:],
            columns=_columns(schema),
            events=events,
            events_scope=events_scope,
            missing=[seq for seq in wanted.seqs if seq not in shown],
        )

    def _title(self, known: Session) -> str:
        named = {gadget.name: gadget.title for gadget in self.catalogue.all()}
        return named.get(known.spec.gadget, known.spec.gadget)

    def _bars(
        self, known: Session, wanted: Wanted, gone: IsGone
    ) -> tuple[Sequence[Bucket | SplitBucket], Scope | None]:
        if not wanted.filter.strip():
            return self.events.histogram(
                known.id, start=wanted.start, end=wanted.end, buckets=BUCKETS
            ), None
        ask = AskHistogram(
            session=known.id,
            filter=wanted.filter,
            start=wanted.start,
            end=wanted.end,
            buckets=BUCKETS,
            seconds=SECONDS,
        )
        found = cast("SplitHistogram", self.queries.answer(ask, gone))
        return found.buckets, found.scope

    def _top(self, known: Session, wanted: Wanted, path: str, gone: IsGone) -> Top:
        ask = AskTop(
            session=known.id,
            filter=wanted.filter,
            start=wanted.start,
            end=wanted.end,
            path=path,
            limit=TOP,
            seconds=SECONDS,
        )
        return cast("Top", self.queries.answer(ask, gone))

    def _events(
        self, known: Session, wanted: Wanted, gone: IsGone
    ) -> tuple[Sequence[Event], Scope | None]:
        if wanted.seqs:
            return self._chosen(known.id, wanted.seqs), None
        ask = AskPage(
            session=known.id,
            filter=wanted.filter,
            start=wanted.start,
            end=wanted.end,
            newest=True,
            limit=NEWEST,
            seconds=SECONDS,
        )
        found = cast("QueryPage", self.queries.answer(ask, gone))
        return found.events, found.scope

    def _chosen(self, session: SessionId, seqs: Sequence[int]) -> Sequence[Event]:
        found = []
        for seq in sorted(set(seqs)):
            page = self.events.page(session, EventRange(after=seq - 1, limit=1))
            found += [event for event in page.events if event.seq == seq]
        return found


def main_fields(schema: Sequence[DataSource]) -> list[str]:
    """Return the paths whose most frequent values tell most: where, who, then the gadget's own."""
    names: list[str] = []
    for one in _columns(schema, most=1_000):
        if one.template == ENDPOINT:
            names += [f"{one.name}.addr", f"{one.name}.port"]
        elif one.template not in _NEVER and not _is_dull(one.name):
            names.append(one.name)
    first = [name for name in _WHERE if name in names]
    # Other ends of connections tell more than one's own.
    own = sorted((name for name in names if name not in first), key=_rank)
    return [*first, *own][:MOST_FIELDS]


def _rank(name: str) -> int:
    return 2 if name.startswith("src.") else 1 if name.startswith(("k8s.", "proc.")) else 0


def _is_dull(name: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return last in _NUMBERS or any(word in name for word in _DULL)


def _columns(schema: Sequence[DataSource], most: int = MOST_COLUMNS) -> list[Field]:
    """Return the fields that a table of events shows."""
    fields = [
        one
        for source in schema
        for one in source.fields
        if one.kind and not one.hidden and one.in_json and "timestamp" not in one.name
    ]
    groups = {name[:i] for name in (f.name for f in fields) for i, c in enumerate(name) if c == "."}
    unique = {one.name: one for one in fields if one.name not in groups}
    if most >= len(unique):
        return list(unique.values())
    told = [one for one in unique.values() if one.name not in _SAID and not _is_dull(one.name)]
    return told[:most]
