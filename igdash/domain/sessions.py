"""A session: one gadget, one target, one parameter set, one history. Owned by the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from igdash.domain.gadgets import DataSource
from igdash.domain.nodes import NodeStatus

SessionId = NewType("SessionId", str)
"""12 lower-case hex digits, made by the collector."""


class SessionState(StrEnum):
    """The life of a session."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be collected."""
        return self in (SessionState.STOPPED, SessionState.INTERRUPTED, SessionState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a session watches; an empty text means all.

    `namespace` and the others take IG's syntax: comma lists, `!name` excludes.
    """

    namespace: str = ""
    pod: str = ""
    container: str = ""
    node: str = ""
    selector: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAfter:
    """When a session ends by itself; None = never."""

    seconds: float | None = None
    events: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What a user asks for. `params` maps short parameter names to text values.

    `headless`: the gadget runs in the environment by itself, also while igdash is away. `instance`
    is the id of such a gadget that somebody else made, and that is only read.
    """

    gadget: str
    environment: str
    name: str = ""
    target: Target = field(default_factory=Target)
    params: Mapping[str, str] = field(default_factory=dict)
    stop_after: StopAfter = field(default_factory=StopAfter)
    headless: bool = False
    instance: str = ""

    @property
    def lives_on(self) -> bool:
        """Whether its gadget goes on while igdash is away."""
        return self.headless or bool(self.instance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """How many nodes a session should cover, and does."""

    expected: int = 0
    connected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What the store is given when a session is created.

    `sources` are the data sources as known at the start; `info` are facts for people (image,
    retimed, versions); `command` the argv that runs the gadget or would.
    """

    id: SessionId
    spec: SessionSpec
    created: int
    sources: tuple[DataSource, ...] = ()
    command: tuple[str, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session as the store has it; times are ns since the epoch, None = not yet.

    Counters are those of the last commit: `events` rows stored (= `last_seq`, as seq is dense from
    1 and rows are never taken away one by one), `lost` the sum over its loss records, `malformed`
    lines kept aside, `bytes` of stored payload text, `received` = `events` + lost(writer).
    `rate` is events per second over the last 10 s of event-receiving, 0 for an ended session.
    """

    id: SessionId
    spec: SessionSpec
    state: SessionState
    reason: str = ""
    created: int
    started: int | None = None
    stopped: int | None = None
    first_event: int | None = None
    last_event: int | None = None
    events: int = 0
    ticks: int = 0
    lost: int = 0
    malformed: int = 0
    logs: int = 0
    received: int = 0
    bytes: int = 0
    rate: float = 0.0
    nodes: Nodes = field(default_factory=Nodes)
    last_seq: int = 0
    command: tuple[str, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A step in a session's life, stored as one; None leaves a value as it is.

    `coverage` replaces what is stored of the nodes it names; nodes it does not name stay. `started`
    (ns) is when the gadget began, where it is not this step to `running` that tells; the first time
    told stays.
    """

    state: SessionState
    at: int
    started: int | None = None
    reason: str | None = None
    nodes: Nodes | None = None
    coverage: tuple[NodeStatus, ...] | None = None
    info: Mapping[str, str] | None = None
