"""A session's stream over any number of nodes: one `NodeRun` each, one sink for all.

The sink is called from the loop's thread alone, so chunks of all nodes reach the spool one after
the other. Nodes may join and leave while the session runs (a cluster); a host's daemon is one node
that stays.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping

from igdash.domain.instances import Remembers
from igdash.domain.nodes import NodeState
from igdash.domain.ports import Sink
from igdash.sources.native.client import CLOSING, GrpcClient, NativeLoop
from igdash.sources.native.instances import InstanceRun
from igdash.sources.native.replayed import Memory
from igdash.sources.native.runs import NodeRun, Wanted

log = logging.getLogger(__name__)
Connect = Callable[[], Awaitable[GrpcClient]]


class NativeStream:
    """The `Stream` port over node runs."""

    def __init__(
        self, loop: NativeLoop, wanted: Wanted, sink: Sink, nodes: Mapping[str, Connect]
    ) -> None:
        self._loop = loop
        self._wanted = wanted
        self._sink = sink
        self._runs: dict[str, NodeRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._schemas: set[bytes] = set()
        self._broken: list[str] = []
        self._recall = sink.recall if isinstance(sink, Remembers) else None
        self._memories: dict[str, Memory] = {}
        self._started = False
        self._stopping = False
        self._over = threading.Event()
        self._hold = True
        loop.run(self._begin(dict(nodes))).result(10)

    # -- the port, from any thread

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:
        """Ask every node to end; what has not ended after `timeout` s is cut."""
        self._loop.run(self._stop(timeout, leave, final))

    def join(self, timeout: float) -> bool:
        """Wait until `sink.ended` was called."""
        return self._over.wait(timeout)

    # -- on the loop

    async def _begin(self, nodes: Mapping[str, Connect]) -> None:
        for node, connect in nodes.items():
            self.join_node(node, connect)
        self._hold = False
        self._tell()

    def join_node(self, node: str, connect: Connect) -> None:
        """Cover this node, too, from now on. Nothing happens when it is covered already."""
        run = self._runs.get(node)
        if self._stopping or (
            run is not None and run.state in (NodeState.WAITING, NodeState.CONNECTED)
        ):
            return
        run = self._run(node, connect)
        self._runs[node] = run
        task = asyncio.get_running_loop().create_task(run.work(), name=f"run-{node}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _run(self, node: str, connect: Connect) -> NodeRun:
        emit, changed, schemas = self._sink.chunk, self._changed, self._schemas
        if not self._wanted.instance:
            return NodeRun(node, self._wanted, connect, emit, changed, schemas)
        memory = self._memories.setdefault(node, Memory(node, self._recall))
        return InstanceRun(node, self._wanted, connect, emit, changed, schemas, memory)

    def drop_node(self, node: str, why: str) -> None:
        """The node is gone for good: its run ends, the time without it is accounted for."""
        run = self._runs.get(node)
        if run is not None:
            run.gone(why)

    def _changed(self, run: NodeRun) -> None:
        if run.state is NodeState.CONNECTED and not self._started:
            self._started = True
            self._sink.started()
        self._tell()

    def _tell(self) -> None:
        """Tell how many nodes are covered; once it ends, the last answer stays."""
        expected = [run for run in self._runs.values() if run.state is not NodeState.ENDED]
        connected = [run for run in expected if run.state is NodeState.CONNECTED]
        if expected and not self._stopping:
            self._sink.nodes(
                expected=len(expected),
                connected=len(connected),
                coverage=[run.status for run in self._runs.values()],
            )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s broke", task.get_name(), exc_info=error)
            self._broken.append(f"igdash itself failed: {error}")
        if not self._tasks and not self._hold and not self._over.is_set():
            self._finish()

    def _finish(self) -> None:
        failed = [run.reason for run in self._runs.values() if run.state is NodeState.FAILED]
        failed += self._broken
        everywhere = bool(failed) and len(failed) >= len(self._runs) and not self._stopping
        reasons = sorted(set(failed))
        self._sink.ended(failed=everywhere, reason="; ".join(reasons))
        self._over.set()

    async def _stop(self, timeout: float, leave: bool, final: bool) -> None:
        self._stopping = True
        for run in self._runs.values():
            run.stop(timeout, leave=leave, final=final)
        pending = set(self._tasks)
        if pending:
            # A run keeps to the time itself, and tells of its tail; then it closes its connection.
            _, late = await asyncio.wait(pending, timeout=timeout + CLOSING + 1)
            for task in late:
                task.cancel()
        elif not self._over.is_set():
            self._finish()
