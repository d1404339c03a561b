"""What a report is asked for, and what it shows, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from igdash.domain.events import Event, LogLine
from igdash.domain.gadgets import Field
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeStatus
from igdash.domain.queries import Bucket, Scope, SplitBucket, Top
from igdash.domain.sessions import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a report is about: as of an export; `seqs` are the events to be shown."""

    filter: str = ""
    start: int | None = None
    end: int | None = None
    seqs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the page shows. The scopes say where bars and events were looked for; None = in all."""

    made: int
    title: str
    session: Session
    wanted: Wanted
    coverage: Sequence[NodeStatus]
    bars: Sequence[Bucket | SplitBucket]
    tops: Sequence[Top]
    losses: Sequence[Loss]
    lost: int
    warnings: Sequence[LogLine]
    columns: Sequence[Field]
    events: Sequence[Event]
    losses_cut: bool = False
    """There are older loss records than `losses`, and any of them may be inexact."""
    missing: Sequence[int] = field(default_factory=tuple)
    bars_scope: Scope | None = None
    events_scope: Scope | None = None
