"""What may be asked: the types that validate parameters and bodies and make the OpenAPI document,
so that the two cannot disagree. What is answered is in `schemas`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from igdash.api.types import Moment

Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Meta(ge=1, le=1_000)]


class Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request: unknown names are errors."""


class TargetIn(Strict):
    """Whom to watch; empty = all. Comma lists and `!name` as in IG."""

    namespace: str = ""
    pod: str = ""
    container: str = ""
    node: str = ""
    selector: str = ""


class StopAfterIn(Strict):
    """When the session ends by itself."""

    seconds: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    events: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class SessionIn(Strict):
    """A session to start. `headless`: its gadget goes on while igdash is away; `instance`: the id of
    such a gadget of somebody else, to be read."""

    gadget: Annotated[str, Meta(min_length=1, max_length=400)]
    environment: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Annotated[str, Meta(max_length=200)] = ""
    target: TargetIn = field(default_factory=TargetIn)
    params: dict[str, str | bool | int | float] = field(default_factory=dict)
    stop_after: StopAfterIn | None = None
    headless: bool = False
    instance: Annotated[str, Meta(max_length=32)] = ""


class StopQuery(Strict):
    """`keep`: a headless instance is left running."""

    keep: bool = False


class SessionsQuery(Strict):
    """Which sessions. `sort` is a column, `-` before it = descending."""

    state: list[str] = field(default_factory=list)
    gadget: str = ""
    namespace: str = ""
    environment: str = ""
    q: str = ""
    sort: str = "-started"
    limit: Limit = 50
    cursor: str = ""
    offset: Seq = 0
    spark: Annotated[int, Meta(ge=0, le=200)] = 0


class Question(Strict):
    """Which events a question is about. With `budget_ms` used up the answer covers a part, and its
    scope says so; with `progress` the answer is JSON lines: scopes while it works, then itself."""

    filter: str = ""
    start: Moment | None = field(default=None, name="from")
    end: Moment | None = field(default=None, name="to")
    budget_ms: Annotated[int, Meta(ge=1, le=120_000)] = 1_500
    progress: bool = False


class EventsQuery(Question):
    """Which events: upwards from `after`, or downwards from `before`, or the `newest`; or in the
    order of a field (`-` before it = descending), a page from `cursor`."""

    after: Seq | None = None
    before: Seq | None = None
    newest: bool = False
    sort: str = ""
    limit: Limit = 100
    cursor: str = ""


class RangeQuestion(Question):
    """A question about events between two seqs, both excluded."""

    after: Seq | None = None
    before: Seq | None = None


class MergedQuery(Question, kw_only=True):
    """Events of several sessions in time order."""

    session: Annotated[list[str], Meta(min_length=1, max_length=50)]
    limit: Limit = 100
    cursor: str = ""


class HistogramQuery(RangeQuestion):
    """A time window in equal slices; `split` is a field."""

    buckets: Limit = 120
    split: str = ""


class TopQuery(RangeQuestion):
    """The `n` most frequent values."""

    n: Limit = 10


class NeighboursQuery(Strict):
    """Up to `limit` events on each side that match."""

    filter: str = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class TickQuery(Strict):
    """Which rows of the tick, in which order; all of them, or a `limit` makes it a top-N."""

    filter: str = ""
    sort: str = ""
    limit: Limit | None = None


class SeqQuery(Strict):
    """A moment."""

    time: Moment


class CompleteQuery(Strict):
    """A filter being typed, and where in it the cursor stands."""

    text: Annotated[str, Meta(max_length=10_000)] = ""
    cursor: Seq | None = None


class FilterQuery(Strict):
    """A filter to be read. With `refused` a wrong one is an answer, too, not an error: it was asked
    whether it is wrong, and browsers write every error into their consoles."""

    text: str
    refused: bool = False


class LimitQuery(Strict):
    """How many of the newest."""

    limit: Limit = 1_000


class AfterQuery(Strict):
    """What follows `after`."""

    after: Seq = 0
    limit: Limit = 500


class TicksQuery(Strict):
    """Ticks below `before`."""

    before: Seq | None = None
    limit: Limit = 100


class ExportQuery(Strict):
    """What to export, and how. `plain` = only what the gadget printed (JSONL); `seq` = the events
    that a report (HTML) shows, else the newest."""

    format: str = "jsonl"
    plain: bool = False
    seq: Annotated[list[Seq], Meta(max_length=500)] = field(default_factory=list)
    filter: str = ""
    start: Moment | None = field(default=None, name="from")
    end: Moment | None = field(default=None, name="to")


class GadgetQuery(Strict):
    """By whose word: the environment's own, waited for at most `wait` seconds; else the catalogue's."""

    environment: str = ""
    wait: Annotated[float, Meta(ge=0, le=20)] = 2.0


class GadgetsQuery(Strict):
    """Which gadgets; `brief` leaves parameters and fields out."""

    environment: str = ""
    brief: bool = False
