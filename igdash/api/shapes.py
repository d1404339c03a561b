"""From domain values to what goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from igdash.api import schemas as s
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.events import Event, LogLine, Malformed, Tick
from igdash.domain.gadgets import DataSource, Gadget, Param
from igdash.domain.instances import Instance
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeStatus
from igdash.domain.queries import Bucket, SplitBucket
from igdash.domain.sessions import Session, SessionId
from igdash.services.metadata import Described
from igdash.services.render import time_text


def _when(ns: int | None) -> str | None:
    return None if ns is None else time_text(ns)


def node(one: NodeStatus) -> s.NodeOut:
    """Return a node."""
    return s.NodeOut(
        node=one.name,
        state=one.state.value,
        since=time_text(one.since) if one.since else None,
        reason=one.reason,
        version=one.version,
    )


def session(
    one: Session,
    title: str,
    spark: Sequence[int] | None = None,
    coverage: Sequence[NodeStatus] | None = None,
) -> s.SessionOut:
    """Return a session; `title` is its gadget's, `spark` its events per slice of ten minutes."""
    spec, target = one.spec, one.spec.target
    return s.SessionOut(
        id=one.id,
        name=spec.name,
        gadget=spec.gadget,
        title=title,
        environment=spec.environment,
        target=s.TargetOut(
            namespace=target.namespace,
            pod=target.pod,
            container=target.container,
            node=target.node,
            selector=target.selector,
        ),
        params=dict(spec.params),
        stop_after=s.StopAfterOut(seconds=spec.stop_after.seconds, events=spec.stop_after.events),
        state=one.state.value,
        reason=one.reason or None,
        created=time_text(one.created),
        started=_when(one.started),
        stopped=_when(one.stopped),
        first_event=_when(one.first_event),
        last_event=_when(one.last_event),
        events=one.events,
        ticks=one.ticks,
        lost=one.lost,
        malformed=one.malformed,
        logs=one.logs,
        received=one.received,
        bytes=one.bytes,
        rate=round(one.rate, 3),
        nodes=s.NodesOut(expected=one.nodes.expected, connected=one.nodes.connected),
        last_seq=one.last_seq,
        command=list(one.command),
        info=dict(one.info),
        headless=spec.headless,
        instance=spec.instance,
        spark=None if spark is None else list(spark),
        coverage=None if coverage is None else [node(each) for each in coverage],
    )


def event(one: Event) -> s.EventOut:
    """Return an event; `data` is spliced in as it was stored."""
    return s.EventOut(
        seq=one.seq,
        ts=time_text(one.ts),
        node=one.node,
        source=one.source,
        data=msgspec.Raw(one.data),
    )


def session_event(owner: SessionId, one: Event) -> s.SessionEventOut:
    """Return an event with its session."""
    return s.SessionEventOut(
        session=owner,
        seq=one.seq,
        ts=time_text(one.ts),
        node=one.node,
        source=one.source,
        data=msgspec.Raw(one.data),
    )


def loss(one: Loss) -> s.LossOut:
    """Return a loss record."""
    return s.LossOut(
        node=one.node,
        start=time_text(one.start),
        end=time_text(one.end),
        count=one.count,
        cause=one.cause.value,
        detail=one.detail,
        exact=one.exact,
    )


def bucket(one: Bucket | SplitBucket, split: dict[str, int] | None = None) -> s.SplitBucketOut:
    """Return one bar of a histogram."""
    return s.SplitBucketOut(
        start=time_text(one.start),
        end=time_text(one.end),
        events=one.events,
        lost=one.lost,
        split=split,
    )


def tick(one: Tick) -> s.TickOut:
    """Return a tick."""
    return s.TickOut(
        tick=one.tick,
        ts=time_text(one.ts),
        node=one.node,
        source=one.source,
        first_seq=one.first_seq,
        events=one.events,
    )


def log(one: LogLine) -> s.LogOut:
    """Return a log line."""
    return s.LogOut(
        n=one.n, ts=time_text(one.ts), level=one.level.value, node=one.node, text=one.text
    )


def malformed(one: Malformed) -> s.MalformedOut:
    """Return a kept line; bytes that are no UTF-8 show as `\\xNN`."""
    return s.MalformedOut(
        n=one.n,
        ts=time_text(one.ts),
        node=one.node,
        at_seq=one.at_seq,
        size=one.size,
        reason=one.reason,
        raw=one.raw.decode("utf-8", "backslashreplace"),
    )


def source(one: DataSource) -> s.SourceOut:
    """Return a data source with the fields that are in its JSON."""
    fields = [
        s.FieldOut(
            name=f.name,
            kind=f.kind,
            description=f.description,
            hidden=f.hidden,
            width=f.width,
            min_width=f.min_width,
            max_width=f.max_width,
            align_right=f.align_right,
            ellipsis=f.ellipsis,
            alias=f.alias,
            template=f.template,
            one_of=list(f.one_of),
        )
        for f in one.fields
        if f.in_json
    ]
    return s.SourceOut(name=one.name, array=one.array, fields=fields)


def param(one: Param) -> s.ParamOut:
    """Return a parameter."""
    return s.ParamOut(
        name=one.name,
        key=one.key,
        type=one.type,
        default=one.default,
        title=one.title,
        description=one.description,
        alias=one.alias,
        one_of=list(one.one_of),
        required=one.required,
        advanced=one.advanced,
        target=one.target,
    )


def gadget(one: Gadget, running: int, *, brief: bool = False) -> s.GadgetOut:
    """Return a gadget; `brief` leaves its parameters and fields out."""
    return s.GadgetOut(
        name=one.name,
        title=one.title,
        description=one.description,
        category=one.category.value,
        delivery=one.delivery.value,
        running=running,
        notes=list(one.notes),
        params=None if brief else [param(p) for p in one.params],
        sources=None if brief else [source(d) for d in one.sources],
    )


def described(one: Described, running: int) -> s.GadgetOut:
    """Return a gadget with whose word it is."""
    answer = gadget(one.gadget, running)
    answer.described_by = "environment" if one.own else "catalogue"
    answer.reason = one.reason
    answer.pending = one.pending
    return answer


def environment(one: EnvironmentStatus, place: str = "") -> s.EnvironmentOut:
    """Return an environment; `place` is where it is."""
    return s.EnvironmentOut(
        name=one.name,
        kind=one.kind.value,
        health=one.health.value,
        reason=one.reason,
        version=one.version,
        nodes=list(one.nodes),
        gadgets=list(one.gadgets),
        suggestions={key: list(values) for key, values in one.suggestions.items()},
        place=place,
        coverage=[node(each) for each in one.coverage],
        next_try=time_text(one.next_try) if one.next_try else None,
        rights=list(one.rights),
        headless=one.headless,
    )


def instance(one: Instance) -> s.InstanceOut:
    """Return a headless instance."""
    return s.InstanceOut(
        id=one.id,
        name=one.name,
        gadget=one.gadget,
        image=one.image,
        tags=list(one.tags),
        state=one.state,
        reason=one.reason,
        nodes=list(one.nodes),
        created=time_text(one.created) if one.created else None,
    )
