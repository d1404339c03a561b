"""A sink that remembers what a source told, and objects when the contract is broken."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded
from igdash.domain.nodes import NodeStatus
from igdash.sources.decode import decode_chunk


class RecordingSink:
    """Implements `Sink`. `calls` are the names of the calls in order; `faults` must stay empty."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.calls: list[str] = []
        self.faults: list[str] = []
        self.node_counts: list[tuple[int, int]] = []
        self.coverage: dict[str, NodeStatus] = {}
        self.end: tuple[bool, str] | None = None
        self.over = threading.Event()
        self.changed = threading.Condition()
        self._busy = threading.Lock()

    def _call(self, name: str) -> None:
        if not self._busy.acquire(blocking=False):
            self.faults.append(f"{name}: two threads at a time")
            return
        if self.end is not None:
            self.faults.append(f"{name} after ended")
        self.calls.append(name)
        self._busy.release()
        with self.changed:
            self.changed.notify_all()

    def chunk(self, chunk: Chunk) -> None:
        if not chunk.data or (not chunk.data.endswith(b"\n") and not chunk.partial):
            self.faults.append(f"chunk not of whole lines: {chunk.data[-40:]!r}")
        self.chunks.append(chunk)
        self._call("chunk")

    def nodes(self, *, expected: int, connected: int, coverage: Sequence[NodeStatus] = ()) -> None:
        self.coverage = {one.name: one for one in coverage}
        self.node_counts.append((expected, connected))
        self._call("nodes")

    def started(self) -> None:
        self._call("started")

    def ended(self, *, failed: bool, reason: str) -> None:
        self._call("ended")
        self.end = (failed, reason)
        self.over.set()

    # ------------------------------------------------------------ for tests

    def wait_for(self, events: int = 0, calls: tuple[str, ...] = (), timeout: float = 10) -> None:
        def there() -> bool:
            return set(calls) <= set(self.calls) and (not events or len(self.events()) >= events)

        with self.changed:
            assert self.changed.wait_for(there, timeout), (self.calls[-5:], self.end)

    def decoded(self, kind: ChunkKind) -> list[Decoded]:
        return [decode_chunk(chunk) for chunk in list(self.chunks) if chunk.kind is kind]

    def events(self) -> list:
        return [event for one in self.decoded(ChunkKind.JSON_LINES) for event in one.events]

    def malformed(self) -> list:
        return [bad for one in self.decoded(ChunkKind.JSON_LINES) for bad in one.malformed]

    def logs(self) -> list:
        return [line for one in self.decoded(ChunkKind.LOG_LINES) for line in one.logs]

    def losses(self) -> list:
        kinds = (ChunkKind.LOG_LINES, ChunkKind.LOSS)
        return [loss for kind in kinds for one in self.decoded(kind) for loss in one.losses]
