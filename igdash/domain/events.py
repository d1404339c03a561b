"""Events, ticks, log lines, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One stored event.

    `data` is the JSON text of the object exactly as the gadget delivered it: same key order, same
    number texts. `ts` is the event's own time in ns, else the time of receipt. `node` is where it
    came from, `source` the IG data source (empty when the way in does not say).
    """

    seq: int
    ts: int
    node: str
    source: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One delivery of an array gadget: its rows are the events `first_seq … first_seq+events-1`.

    Numbered from 1 per session, without holes. `events` may be 0: nothing happened is a fact too.
    """

    tick: int
    ts: int
    node: str
    source: str
    first_seq: int
    events: int


class LogLevel(StrEnum):
    """Levels of IG's own log (logrus)."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a gadget's or igdash's log about a session; `n` counts from 1 once stored."""

    ts: int
    level: LogLevel
    node: str
    text: str
    n: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A line that is no event: kept raw (cut to `MAX_RAW` bytes), `size` is its full length.

    `at_seq` is the last seq stored before it, once stored; `n` counts from 1.
    """

    ts: int
    node: str
    raw: bytes
    size: int
    reason: str
    at_seq: int = 0
    n: int = 0


MAX_RAW = 65_536


class NewEvent(NamedTuple):
    """An event on its way to the store: as `Event`, but without seq. A tuple, as thousands a second
    are made, and taken apart again, by functions that run no Python of ours.

    `origin` are the values the store interns: namespace, pod, container, and the exact texts of the
    `k8s` and `runtime` members where they could be cut out of `data` (else empty). Then `data` has
    `TOKEN_K8S` / `TOKEN_RUNTIME` in their place; `store.origins` puts them back.
    """

    ts: int
    origin: Origin
    data: str
    size: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event comes from; repeats for thousands of events, so the store keeps each once."""

    node: str = ""
    source: str = ""
    namespace: str = ""
    pod: str = ""
    container: str = ""
    k8s: str = ""
    runtime: str = ""


TOKEN_K8S = '"k8s":"@k8s"'
TOKEN_RUNTIME = '"runtime":"@runtime"'


def restore(data: str, k8s: str, runtime: str) -> str:
    """Return the event text with the interned `k8s` and `runtime` texts back in their places."""
    if k8s:
        data = data.replace(TOKEN_K8S, '"k8s":' + k8s, 1)
    if runtime:
        data = data.replace(TOKEN_RUNTIME, '"runtime":' + runtime, 1)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTick:
    """A tick on its way to the store: `first` is the index of its first row in the batch's events."""

    ts: int
    node: str
    source: str
    first: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a node's Inspektor Gadget said of its rows, with the stream itself: no guess."""

    ts: int
    node: str
    sources: tuple[DataSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What one chunk of a source said, in order.

    `received` counts events in the chunk: all of `events`. Array rows count one each.
    """

    events: tuple[NewEvent, ...] = ()
    ticks: tuple[NewTick, ...] = ()
    losses: tuple[Loss, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    logs: tuple[LogLine, ...] = ()
    schemas: tuple[Schema, ...] = ()
