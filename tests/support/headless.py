"""Sessions on headless instances for tests: opened, left, opened again as after a restart of igdash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from igdash.domain.chunks import ChunkKind
from igdash.domain.instances import Recall, Received, tails
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.sources.native.daemon import reading_instance, shared_loop
from igdash.sources.native.runs import Wanted
from igdash.sources.native.stream import NativeStream
from tests.support.daemon import Daemon
from tests.support.native import connect_to
from tests.support.sinks import RecordingSink

SESSION = SessionId("0123456789ab")
SPEC = SessionSpec(gadget="numbers", environment="host", headless=True)


class RememberingSink(RecordingSink):
    """A sink of a session that was read before, by the process that had the `earlier` sinks."""

    def __init__(self, *earlier: RecordingSink) -> None:
        super().__init__()
        self.recall: Recall | None = None
        if earlier:
            lines = [line for sink in earlier for line in received(sink)]
            since = min((line.at for line in lines), default=1)
            self.recall = Recall(since=since, tails=tails(lines))


def received(sink: RecordingSink) -> Sequence[Received]:
    """Return what a store would tell of a sink's lines."""
    return [
        Received(node=chunk.node, line=line, at=chunk.received)
        for chunk in sink.chunks
        if chunk.kind is ChunkKind.JSON_LINES
        for line in chunk.data.splitlines()
    ]


@contextmanager
def attached(
    address: str, sink: RecordingSink, *, leave: bool = True, instance: str = ""
) -> Iterator[RecordingSink]:
    """A headless session of `numbers`, or one that reads the `instance` of somebody else."""
    spec = replace(SPEC, headless=not instance, instance=instance)
    wanted = reading_instance(Wanted(image="numbers", params={}, gadget="numbers"), SESSION, spec)
    stream = NativeStream(shared_loop(), wanted, sink, {"host": connect_to(address)})
    try:
        yield sink
    finally:
        stream.stop(timeout=5, leave=leave, final=not leave)
        assert stream.join(15)
        assert not sink.faults


def restarted(daemon: Daemon) -> Daemon:
    """End a daemon and start it again where it was, with its instances."""
    daemon.kill()
    kept = daemon.instances.kept
    return Daemon(daemon.scripts, f"127.0.0.1:{daemon.port}", kept=kept, starting=daemon.starting)
