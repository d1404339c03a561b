"""Sessions over the native source for tests: a daemon environment, a sink, numbers received."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.sources.native.client import Connect
from igdash.sources.native.daemon import DaemonSource, shared_loop
from igdash.sources.native.runs import Wanted
from igdash.sources.native.stream import NativeStream
from tests.support.sinks import RecordingSink


def environment(address: str, **more: Any) -> Environment:
    return Environment(name="host", kind=EnvironmentKind.IG_DAEMON, address=address, **more)


def connect_to(address: str, **more: Any) -> Connect:
    return DaemonSource(environment(address, **more))._connect


@contextmanager
def streaming(
    *addresses: str, gadget: str = "numbers", once: bool = False, **keys: str
) -> Iterator[RecordingSink]:
    """A session of `gadget` on daemons called `host0`, `host1` …; it is stopped at the end."""
    sink = RecordingSink()
    wanted = Wanted(image=gadget, params={}, gadget=gadget, once=once)
    nodes = {f"host{n}": connect_to(address, **keys) for n, address in enumerate(addresses)}
    stream = NativeStream(shared_loop(), wanted, sink, nodes)
    try:
        yield sink
    finally:
        stream.stop(timeout=5)
        assert stream.join(15)
        assert not sink.faults


def numbers(sink: RecordingSink) -> list[int]:
    return [json.loads(event.data)["n"] for event in sink.events()]
