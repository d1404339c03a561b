"""Headless instances of one server: made, found, read, removed.

The order matters. An instance that is still starting, or that failed, must not be attached to: that
ends the whole daemon. So it is looked up in the list first, then asked for its metadata, which it
answers once it is up (confirmed.md 4), and only then attached to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from igdash.domain.chunks import Chunk
from igdash.domain.errors import SourceError
from igdash.domain.instances import RING, Instance
from igdash.domain.nodes import NodeState
from igdash.domain.times import NS, now_ns
from igdash.sources.native.client import GrpcClient, GrpcFailure
from igdash.sources.native.http2 import UNAVAILABLE, UNKNOWN, Call, Status
from igdash.sources.native.replayed import Gate, Memory
from igdash.sources.native.runs import (
    INFO,
    PROTOCOL,
    SETTLES_WITHIN,
    Changed,
    Emit,
    NodeRun,
    Wanted,
)
from igdash_wire import ig_pb2 as pb

CREATE: Final = "/api.GadgetInstanceManager/CreateGadgetInstance"
LIST: Final = "/api.GadgetInstanceManager/ListGadgetInstances"
REMOVE: Final = "/api.GadgetInstanceManager/RemoveGadgetInstance"
BY_INSTANCE: Final = 1
"""Flag of GetGadgetInfo: the name is an instance's."""
CALL_SECONDS: Final = 10.0
READY_SECONDS: Final = 60.0
"""An instance may be loading its gadget; a failed one may never answer."""
NOT_FOUND: Final = 5
SEEN_WITHIN: Final = 15.0
"""An instance made through one pod is on the other nodes within 3 s (confirmed.md 32)."""
LOOK_AGAIN: Final = 0.5
QUIET: Final = 1.0
"""Seconds without an event after which what an instance tells again counts as told."""
HOLD: Final = 5.0
"""How long (s) a busy stream's beginning is held at most …"""
HOLD_KNOWN: Final = 30.0
"""… and how long while everything that comes is known already."""
_STATES: Final = {0: "unknown", 1: "running", 2: "failed"}
_FAILED: Final = 2


async def list_instances(client: GrpcClient) -> Sequence[pb.GadgetInstance]:
    """Return what a server has. Raises `GrpcFailure`, `TimeoutError`."""
    answer = await client.unary(LIST, b"", timeout=CALL_SECONDS)
    return list(pb.ListGadgetInstanceResponse.FromString(answer).gadgetInstances)


async def remove_instance(client: GrpcClient, key: str) -> bool:
    """Remove an instance; return whether it was there. Raises `GrpcFailure`, `TimeoutError`."""
    request = pb.GadgetInstanceId(id=key).SerializeToString()
    answer = await client.unary(REMOVE, request, timeout=CALL_SECONDS)
    return pb.StatusResponse.FromString(answer).result == 0


async def instances_at(connect: Callable[[], Awaitable[GrpcClient]], node: str) -> list[Instance]:
    """Return the instances of one server. Raises `SourceError`, `GrpcFailure`, `TimeoutError`."""
    client = await connect()
    try:
        found = await list_instances(client)
    finally:
        await client.aclose()
    return [
        Instance(
            id=one.id,
            name=one.name,
            image=one.gadgetConfig.imageName,
            tags=tuple(filter(None, one.tags)),  # a cluster tells of no tags as of an empty one
            state=_STATES.get(one.state.status, "unknown"),
            reason=one.state.message,
            nodes=(node,),
            created=one.timeCreated * NS,
        )
        for one in found
    ]


async def remove_at(connect: Callable[[], Awaitable[GrpcClient]], key: str) -> None:
    """Remove an instance from one server. Raises as `instances_at`."""
    client = await connect()
    try:
        await remove_instance(client, key)
    finally:
        await client.aclose()


class InstanceRun(NodeRun):
    """A headless instance as read on one node. It is made when it is this session's and not there."""

    def __init__(
        self,
        node: str,
        wanted: Wanted,
        connect: Callable[[], Awaitable[GrpcClient]],
        emit: Emit,
        changed: Changed,
        schemas: set[bytes],
        memory: Memory,
    ) -> None:
        super().__init__(node, wanted, connect, emit, changed, schemas)
        self._memory = memory
        self._gate: Gate | None = None
        self._judged = True
        self._made = False
        self._ever_made = False
        self._hopeless = False
        self._removed = False
        if memory.met:
            self._proven = self._came = True
            self._absent_since = memory.at
        self._timer: asyncio.TimerHandle | None = None
        self._held_since = 0.0
        self._last = 0.0

    @property
    def _own(self) -> bool:
        return bool(self._wanted.name)

    async def work(self) -> None:
        """Read until stopped; then remove the instance, unless it is to be left."""
        await super().work()
        if self._own and self._stop.is_set() and not self._leave and not self._removed:
            await self._remove()

    async def _remove(self) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                client = await self._connect()
                try:
                    await remove_instance(client, self._wanted.instance)
                finally:
                    await client.aclose()
        except (SourceError, GrpcFailure, TimeoutError) as error:
            why = str(error) or "no answer"
            self._log("warning", f"instance {self._wanted.name} could not be removed: {why}")

    # -- before the attach

    async def _prepare(self) -> tuple[GrpcClient, dict[str, str]]:
        client = await self._connect()
        try:
            await self._ready(client)
        except TimeoutError:
            await client.aclose()
            text = f"no answer within {CALL_SECONDS:.0f} s"
            raise GrpcFailure(Status(UNAVAILABLE, text)) from None
        except BaseException:
            await client.aclose()
            raise
        return client, {}

    async def _ready(self, client: GrpcClient) -> None:
        """Return once the instance can be attached to. Raises `GrpcFailure`, `TimeoutError`."""
        key = self._wanted.instance
        self._made = False
        if await self._find(client) is None:
            if not self._own:
                self._hopeless = True
                raise GrpcFailure(Status(NOT_FOUND, f"there is no instance {key} (any more)"))
            await self._make(client)
        elif self._ever_made:
            self._memory.met = True
        request = pb.GetGadgetInfoRequest(imageName=key, version=PROTOCOL, flags=BY_INSTANCE)
        try:
            await client.unary(INFO, request.SerializeToString(), timeout=READY_SECONDS)
        except GrpcFailure:
            await self._find(client)
            raise
        except TimeoutError:
            await self._find(client)
            text = f"the instance is not up after {READY_SECONDS:.0f} s"
            raise GrpcFailure(Status(UNAVAILABLE, text)) from None

    async def _find(self, client: GrpcClient) -> pb.GadgetInstance | None:
        """Return the instance, None when it is not there. Raises `GrpcFailure` for a failed one."""
        for one in await list_instances(client):
            if one.id == self._wanted.instance:
                if one.state.status == _FAILED:
                    self._hopeless = True
                    text = one.state.message or "the instance failed"
                    raise GrpcFailure(Status(UNKNOWN, text))
                return one
        return None

    async def _make(self, client: GrpcClient) -> None:
        wanted = self._wanted
        instance = pb.GadgetInstance(
            id=wanted.instance,
            name=wanted.name,
            tags=["igdash"],
            gadgetConfig=self._run_request(await self._parameters(client)),
        )
        request = pb.CreateGadgetInstanceRequest(gadgetInstance=instance, eventBufferLength=RING)
        refused: GrpcFailure | None = None
        try:
            await client.unary(CREATE, request.SerializeToString(), timeout=CALL_SECONDS)
        except GrpcFailure as error:
            # In a cluster another node's run may have been faster: then it comes here, too.
            refused = error
        until = asyncio.get_running_loop().time() + (SEEN_WITHIN if refused is None else 3.0)
        while await self._find(client) is None:
            if asyncio.get_running_loop().time() > until:
                raise refused or GrpcFailure(
                    Status(UNAVAILABLE, f"the instance {wanted.name} was made but is not there")
                )
            await asyncio.sleep(LOOK_AGAIN)
        self._made = self._ever_made = True
        self._memory.at = self._memory.at or now_ns()

    # -- attached

    def _first(self, params: object) -> pb.GadgetControlRequest:  # noqa: ARG002
        since, fresh = self._absent_since, self._made
        self._gate = Gate(
            self.node, self._memory, self._emit, began=now_ns(), fresh=fresh, since=since
        )
        loop = asyncio.get_running_loop()
        self._held_since = self._last = loop.time()
        attach = pb.GadgetAttachRequest(id=self._wanted.instance, version=PROTOCOL)
        return pb.GadgetControlRequest(attachRequest=attach)

    def _take(self, chunk: Chunk) -> None:
        assert self._gate is not None
        self._gate.take(chunk)
        if self._gate.open:
            return
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if self._gate.held >= RING:
            self._settle()
        elif self._timer is None:
            self._held_since = self._last
            self._timer = loop.call_later(QUIET, self._look)

    def _look(self) -> None:
        """Decide whether the replay is over."""
        self._timer = None
        gate, loop = self._gate, asyncio.get_running_loop()
        if gate is None or gate.open:
            return
        now = loop.time()
        held = now - self._held_since
        quiet = now - self._last >= QUIET * 0.9
        if not gate.held:
            over = held >= SETTLES_WITHIN
        elif gate.in_the_middle:
            over = held >= HOLD_KNOWN
        else:
            over = quiet or held >= HOLD
        if over:
            self._settle()
        else:
            self._timer = loop.call_later(QUIET, self._look)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gate is not None:
            self._gate.settle(now_ns())

    def _detached(self, status: Status | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gate is None:
            return
        removed = status is not None and status.code == 0
        if removed or (self._stop.is_set() and self._final):
            self._judged = True
            self._gate.finish(now_ns())
        else:
            self._judged = self._gate.open
            self._gate.abandon(now_ns())

    def _left(self, seen: int) -> int:
        # Cut while it was told again, known or not: what it had not told yet happened before that.
        return super()._left(seen) if self._judged else self._absent_since

    async def _ask_to_end(self, client: GrpcClient, call: Call) -> bool:  # noqa: ARG002
        if not self._own or self._leave:
            return False
        try:
            await remove_instance(client, self._wanted.instance)
            self._removed = True
        except (GrpcFailure, TimeoutError):
            return False
        return True

    # -- bookkeeping

    def _arrived(self, info: pb.GadgetInfo) -> None:
        again, self._memory.met = self._memory.met, True
        self._become(NodeState.CONNECTED)
        name = self._wanted.name or info.name or self._wanted.instance
        words = "attached again" if again else "attached"
        self._log("info", f"{words} to the instance {name} on {self.node}")
        self._changed(self)
        if self._timer is None and self._gate is not None and not self._gate.open:
            # Also an instance that tells nothing again says something.
            self._timer = asyncio.get_running_loop().call_later(QUIET, self._look)

    def _account(self, what: str) -> None:
        """Time without a connection is no loss here as long as the instance tells us of it later."""
        if self._final:
            connected = self.state is NodeState.CONNECTED
            if self._gate is not None and (self._gate.held or connected):
                self._gate.finish(now_ns())  # nobody tells it again
            super()._account(what)
            self._memory.at = now_ns()  # should the node come back: no gap has two records

    def _judge(self, status: Status) -> None:
        if self._stop.is_set():
            super()._judge(status)
            return
        if self._hopeless:
            self._proven = False
        elif status.code == 0 and self._own:
            status = Status(UNAVAILABLE, "the instance was removed by somebody")
        elif status.code == 0:
            self._become(NodeState.ENDED, "the instance was removed")
            self._log("info", "the instance was removed")
            return
        super()._judge(status)
