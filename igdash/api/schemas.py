"""What igdash answers: the types that encode it and make the OpenAPI document, so that the two
cannot disagree. What may be asked is in `requests`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 UTC with nine decimals."""
Raw = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
"""The object exactly as the gadget delivered it: same keys, same number texts."""


class Answer(msgspec.Struct, kw_only=True):
    """A response."""


# ---------------------------------------------------------------- sessions


class TargetOut(Answer):
    """Whom the session watches; empty = all."""

    namespace: str
    pod: str
    container: str
    node: str
    selector: str


class StopAfterOut(Answer):
    """When it ends by itself; null = never."""

    seconds: float | None
    events: int | None


class NodesOut(Answer):
    """How many nodes the session should cover, and does."""

    expected: int
    connected: int


class NodeOut(Answer):
    """One node: `connected`, `waiting`, `failed` or `ended`, since when (null = not known), why."""

    node: str
    state: str
    since: Time | None
    reason: str
    version: str


class SessionOut(Answer, omit_defaults=True):
    """A session with its exact counters."""

    id: str
    name: str
    gadget: str
    title: str
    environment: str
    target: TargetOut
    params: dict[str, str]
    stop_after: StopAfterOut
    state: str
    reason: str | None
    created: Time
    started: Time | None
    stopped: Time | None
    first_event: Time | None
    last_event: Time | None
    events: int
    ticks: int
    lost: int
    malformed: int
    logs: int
    received: int
    bytes: int
    rate: float
    nodes: NodesOut
    last_seq: int
    command: list[str]
    info: dict[str, str]
    headless: bool = False
    instance: str = ""
    spark: list[int] | None = None
    coverage: list[NodeOut] | None = None


class SessionsOut(Answer):
    """One page of sessions."""

    sessions: list[SessionOut]
    next: str | None
    total: int


class DeletedOut(Answer):
    """The session that is gone."""

    id: str
    deleted: bool


# ---------------------------------------------------------------- history


class EventOut(Answer):
    """One event."""

    seq: int
    ts: Time
    node: str
    source: str
    data: Raw


class SessionEventOut(Answer):
    """One event with the session it belongs to."""

    session: str
    seq: int
    ts: Time
    node: str
    source: str
    data: Raw


class ScopeOut(Answer):
    """What an answer covers: `examined` of the `total` events asked about, from `from_seq` to
    `to_seq`, both included. Not `complete`: time was up, the answer is true for these."""

    from_seq: int
    to_seq: int
    complete: bool
    examined: int
    total: int


class EventsOut(Answer, omit_defaults=True):
    """Events in seq order; `next` is the `after` (or `before`) that continues, null = end. Under a
    sort: in that order, and `next` is a `cursor`."""

    events: list[EventOut]
    first_seq: int
    last_seq: int
    next: int | str | None
    scope: ScopeOut | None = None


class MergedOut(Answer):
    """Events in time order; `next` is the cursor that continues, null = end. Not `complete`: time
    was up before the page was full."""

    events: list[SessionEventOut]
    next: str | None
    complete: bool


class LossOut(Answer):
    """A loss record. `exact` false: the count is a lower bound (0 = unknown)."""

    node: str
    start: Time = field(name="from")
    end: Time = field(name="to")
    count: int
    cause: str
    detail: str
    exact: bool


class LossesOut(Answer):
    """Loss records, oldest first; `total` counts all lost events."""

    losses: list[LossOut]
    total: int


class BucketOut(Answer):
    """One bar: `from` inclusive, `to` exclusive."""

    start: Time = field(name="from")
    end: Time = field(name="to")
    events: int
    lost: int


class SplitBucketOut(BucketOut, omit_defaults=True):
    """One bar; `split` counts the events per value, what is missing to `events` are others."""

    split: dict[str, int] | None = None


class HistogramOut(Answer, omit_defaults=True):
    """Equal slices of time; `values` are the split's most frequent ones, most frequent first."""

    buckets: list[SplitBucketOut]
    values: list[str] | None = None
    scope: ScopeOut | None = None


class TickOut(Answer):
    """One delivery of an array gadget: rows `first_seq … first_seq + events - 1`."""

    tick: int
    ts: Time
    node: str
    source: str
    first_seq: int
    events: int


class TicksOut(Answer):
    """Ticks, newest first."""

    ticks: list[TickOut]
    total: int


class TickEventsOut(Answer):
    """One tick with its rows."""

    tick: TickOut
    events: list[EventOut]


class LogOut(Answer):
    """A line of the session's log."""

    n: int
    ts: Time
    level: str
    node: str
    text: str


class LogsOut(Answer):
    """Log lines in order."""

    logs: list[LogOut]
    total: int


class MalformedOut(Answer):
    """A line that was no event; `raw` as text, cut; `size` its full length in bytes."""

    n: int
    ts: Time
    node: str
    at_seq: int
    size: int
    reason: str
    raw: str


class MalformedListOut(Answer):
    """Kept lines in order."""

    malformed: list[MalformedOut]
    total: int


# ---------------------------------------------------------------- gadgets


class FieldOut(Answer):
    """One field of a data source; widths in characters."""

    name: str
    kind: str
    description: str
    hidden: bool
    width: int
    min_width: int
    max_width: int
    align_right: bool
    ellipsis: str
    alias: str
    template: str
    one_of: list[str]


class SourceOut(Answer):
    """One data source; `array` = rows come in ticks."""

    name: str
    array: bool
    fields: list[FieldOut]


class FieldsOut(Answer):
    """The data sources of a session."""

    sources: list[SourceOut]


class ParamOut(Answer):
    """One parameter; `target` ones are set through the session's target."""

    name: str
    key: str
    type: str
    default: str
    title: str
    description: str
    alias: str
    one_of: list[str]
    required: bool
    advanced: bool
    target: bool


class GadgetOut(Answer, omit_defaults=True):
    """A gadget; `running` counts its sessions that have not ended.

    `described_by` says whose word parameters and fields are: the environment's or the catalogue's,
    then `reason` says why; `pending` that the environment is still being asked.
    """

    name: str
    title: str
    description: str
    category: str
    delivery: str
    running: int
    notes: list[str]
    params: list[ParamOut] | None = None
    sources: list[SourceOut] | None = None
    described_by: str | None = None
    reason: str = ""
    pending: bool = False


class GadgetsOut(Answer):
    """The catalogue."""

    gadgets: list[GadgetOut]


class EnvironmentOut(Answer):
    """An environment and whether it answers; `reason` says why not and what to do.

    `place` is where it is; `coverage` tells of each node where that is known; `next_try` is when it
    is asked again (null = as usual); `rights` names what is missing and what is off without it;
    `headless`: gadgets can run there by themselves.
    """

    name: str
    kind: str
    health: str
    reason: str
    version: str
    nodes: list[str]
    gadgets: list[str]
    suggestions: dict[str, list[str]]
    place: str
    coverage: list[NodeOut]
    next_try: Time | None
    rights: list[str]
    headless: bool


class InstanceOut(Answer):
    """A gadget that runs in an environment by itself. `gadget` is what igdash calls its image;
    `created` is null where the environment does not tell."""

    id: str
    name: str
    gadget: str
    image: str
    tags: list[str]
    state: str
    reason: str
    nodes: list[str]
    created: Time | None


class InstancesOut(Answer):
    """The headless instances of an environment."""

    instances: list[InstanceOut]


class EnvironmentsOut(Answer):
    """Every configured environment."""

    environments: list[EnvironmentOut]


class CommandOut(Answer):
    """A command line that does the same."""

    label: str
    text: str


class CheckOut(Answer):
    """What is wrong (empty = can be started), and what one would type instead."""

    problems: dict[str, str]
    commands: list[CommandOut]


# ---------------------------------------------------------------- health


class StatsNow(Answer):
    """The collector now; rates in events/s, `lag_ms` the age of the oldest uncommitted byte."""

    rate: float
    lag_ms: float
    backlog_bytes: int
    sessions: int
    trouble: str
    collector: str


class StatsOut(Answer):
    """The collector now, and the store's totals."""

    version: str
    stats: StatsNow
    totals: dict[str, int]


class HealthOut(Answer):
    """The web server answers."""

    status: str
    version: str


class ReadyOut(Answer):
    """Store and collector answer too."""

    status: str
    checks: dict[str, str]
