"""A big history quickly, and events that keep arriving: recorded TCP events, straight into the writer.

The recorded pods are repeated under other names, so that a session has as many origins as a cluster
has pods; the order is shuffled with a seed. Each event is as large as it was recorded. A helper of
the other modules, no benchmark.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

from igdash.domain.events import Decoded, NewEvent, Origin
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import SessionBatch
from igdash.domain.sessions import NewSession, SessionId, SessionSpec, SessionState, StateChange
from igdash.domain.times import NS, now_ns
from igdash.sources.catalogue import load_catalogue
from igdash.store import Writer, open_writer, upgrade
from tests.support.seed import lines_of

GADGET = "trace_tcp"
BATCH = 10_000
COMMITS_PER_S = 10
_NAME = re.compile(r'"(podName|containerId)":"([^"]*)"')


def recorded(pods: int) -> list[NewEvent]:
    """Return the recorded events `pods` times, each time of other pods; always in the same order."""
    known: dict[tuple[int, Origin], Origin] = {}
    found = [
        NewEvent(event.ts, _as(n, event.origin, known), event.data, event.size)
        for n in range(pods)
        for event in lines_of(GADGET)
    ]
    random.Random(1).shuffle(found)
    return found


def _as(number: int, origin: Origin, known: dict[tuple[int, Origin], Origin]) -> Origin:
    key = number, origin
    if key not in known:
        k8s, runtime = (
            _NAME.sub(rf'"\1":"\2-{number}"', part) for part in (origin.k8s, origin.runtime)
        )
        pod = f"{origin.pod}-{number}" if origin.pod else ""
        known[key] = replace(origin, k8s=k8s, runtime=runtime, pod=pod)
    return known[key]


def fill(url: str, events: int, *, seconds: int, pods: int) -> SessionId:
    """Store one running session of `events` events over the last `seconds`; return its id."""
    upgrade(url)
    writer = open_writer(url)
    end = now_ns()
    begin = end - seconds * NS
    session = SessionId(f"{random.Random(events).getrandbits(48):012x}")
    writer.create(
        NewSession(
            id=session,
            spec=SessionSpec(gadget=GADGET, environment="demo"),
            created=begin,
            sources=load_catalogue().get(GADGET).sources,
        )
    )
    writer.change(session, StateChange(state=SessionState.RUNNING, at=begin))
    lines = cycle(recorded(pods))
    for first in range(0, events, BATCH):
        count = min(BATCH, events - first)
        times = (begin + (first + i) * seconds * NS // events for i in range(count))
        _append(writer, session, lines, times, count)
    writer.close()
    return session


def feed(url: str, session: SessionId, rate: int, pods: int) -> None:
    """Append `rate` events a second until killed."""
    writer = open_writer(url)
    lines = cycle(recorded(pods))
    pause, due = threading.Event(), time.monotonic()
    count = max(1, rate // COMMITS_PER_S)
    while True:
        now = now_ns()
        _append(writer, session, lines, (now for _ in range(count)), count)
        due += 1 / COMMITS_PER_S
        pause.wait(max(0.0, due - time.monotonic()))


def _append(
    writer: Writer,
    session: SessionId,
    lines: Iterator[NewEvent],
    times: Iterator[int],
    count: int,
) -> None:
    found = tuple(
        NewEvent(ts, event.origin, event.data, event.size)
        for ts, event in zip(times, islice(lines, count), strict=True)
    )
    at = found[0].ts
    loss = Loss(node="node-1", start=at, end=at + NS, count=3, cause=LossCause.KERNEL)
    decoded = Decoded(events=found, losses=(loss,))
    writer.append([SessionBatch(session=session, decoded=decoded, received=count, spool_offset=0)])
