"""One gadget on one node: run it, read it, come back after every interruption, account for each.

A run's own end comes in three kinds. UNAVAILABLE and broken connections are weather: the run is
begun again with back-off, and the time between is a `stream` loss, for nothing told us how many
events happened in it. UNKNOWN with a text is the server's "no" (a wrong parameter, a kernel without
what the gadget needs): trying again is pointless. OK means the gadget ended by itself.
(experiments recorded from a real cluster: confirmed.md 29-32)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from igdash.domain.chunks import Chunk
from igdash.domain.errors import SourceError
from igdash.domain.losses import LossCause
from igdash.domain.times import NS, now_ns
from igdash.sources.native.client import GrpcClient, GrpcFailure
from igdash.sources.native.http2 import UNAVAILABLE, UNKNOWN, Call, Status
from igdash.sources.native.reading import NodeReader, log_chunk, loss_chunk
from igdash_wire import ig_pb2 as pb

RUN: Final = "/api.GadgetManager/RunGadget"
INFO: Final = "/api.GadgetManager/GetGadgetInfo"
PROTOCOL: Final = 1
LOG_LEVEL: Final = 4
INFO_SECONDS: Final = 180.0
"""An overloaded node took over 120 s to answer GetGadgetInfo (confirmed.md 2)."""
STOP_SECONDS: Final = 30.0


class NodeState(StrEnum):
    """Where a node's run stands."""

    WAITING = "waiting"
    CONNECTED = "connected"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to run: the image and the parameters that differ from their defaults, by full key."""

    image: str
    params: Mapping[str, str]


class Backoff:
    """Waiting times 0.5, 1, 2 … 30 s, each with up to 30 % of jitter."""

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        """Return how long to wait now, seconds."""
        wait = self._next * random.uniform(0.7, 1.0)
        self._next = min(self._next * 2, self._most)
        return wait

    def reset(self) -> None:
        """Begin from the first again."""
        self._next = self._first


Emit = Callable[[Chunk], None]
Changed = Callable[["NodeRun"], None]


class NodeRun:
    """A gadget's run on one node. Lives on the loop; `emit` gets every chunk in order."""

    def __init__(
        self,
        node: str,
        wanted: Wanted,
        connect: Callable[[], Awaitable[GrpcClient]],
        emit: Emit,
        changed: Changed,
    ) -> None:
        self.node = node
        self.state = NodeState.WAITING
        self.reason = ""
        self.info: pb.GadgetInfo | None = None
        self._wanted = wanted
        self._connect = connect
        self._emit = emit
        self._changed = changed
        self._stop = asyncio.Event()
        self._absent_since = now_ns()
        self._ran = False

    async def work(self) -> None:
        """Run until stopped, ended or refused."""
        backoff = Backoff()
        while not self._stop.is_set() and self.state not in (NodeState.ENDED, NodeState.FAILED):
            try:
                status = await self._once(backoff)
            except (SourceError, GrpcFailure, TimeoutError) as error:
                status = _status_of(error)
            self._judge(status)
            if self.state is NodeState.WAITING and not self._stop.is_set():
                self._changed(self)
                await self._pause(backoff.next())
        self._changed(self)

    def stop(self) -> None:
        """Ask the gadget to end; its tail is still read."""
        self._stop.set()

    def gone(self, why: str) -> None:
        """The node will not come back: end the run and account for the time without it."""
        if self.state in (NodeState.WAITING, NodeState.CONNECTED):
            self._account(f"{self.node} is gone for good ({why})")
            self.state, self.reason = NodeState.ENDED, why
            self._stop.set()

    # -- one connection's worth

    async def _once(self, backoff: Backoff) -> Status:
        client = await self._connect()
        try:
            params = await self._parameters(client)
            return await self._stream(client, params, backoff)
        finally:
            client.close()

    async def _parameters(self, client: GrpcClient) -> dict[str, str]:
        """Return every parameter with its default, ours on top: IG fills in few of them itself."""
        request = pb.GetGadgetInfoRequest(
            imageName=self._wanted.image, paramValues=self._wanted.params, version=PROTOCOL
        )
        answer = await client.unary(INFO, request.SerializeToString(), timeout=INFO_SECONDS)
        info = pb.GetGadgetInfoResponse.FromString(answer).gadgetInfo
        self.info = info
        defaults = {param.prefix + param.key: param.defaultValue for param in info.params}
        return defaults | dict(self._wanted.params)

    async def _stream(self, client: GrpcClient, params: dict[str, str], backoff: Backoff) -> Status:
        reader = NodeReader(self.node, now_ns())
        ended: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def on_messages(messages: list[bytes]) -> None:
            for chunk in reader.read(messages, now_ns()):
                self._emit(chunk)
            if reader.started and self.state is not NodeState.CONNECTED:
                backoff.reset()
                self._arrived(reader)

        def on_end(status: Status) -> None:
            if not ended.done():
                ended.set_result(status)

        request = pb.GadgetRunRequest(
            imageName=self._wanted.image, paramValues=params, version=PROTOCOL, logLevel=LOG_LEVEL
        )
        message = pb.GadgetControlRequest(runRequest=request).SerializeToString()
        call = client.stream(RUN, message, on_messages, on_end)
        try:
            await self._until_end(client, call, ended)
        finally:
            client.cancel(call)
        if self.state is NodeState.CONNECTED:
            self._absent_since = reader.seen
        return (
            ended.result()
            if ended.done()
            else Status(UNAVAILABLE, "no end within 30 s of the stop")
        )

    async def _until_end(
        self, client: GrpcClient, call: Call | None, ended: asyncio.Future[Status]
    ) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ended.done() or call is None:
            return
        # The tail: IG throws away what is queued when a run ends, and says nothing (protocol.md 0.2).
        began = now_ns()
        client.send(
            call, pb.GadgetControlRequest(stopRequest=pb.GadgetStopRequest()).SerializeToString()
        )
        await asyncio.wait((ended,), timeout=STOP_SECONDS)
        if self.state is NodeState.CONNECTED:
            detail = "Inspektor Gadget discards what is still queued when a run is stopped"
            self._emit(
                loss_chunk(self.node, began, now_ns(), 0, LossCause.STOP_TAIL, detail, exact=False)
            )

    # -- bookkeeping

    def _arrived(self, reader: NodeReader) -> None:
        self.info = reader.info
        self.state, self.reason = NodeState.CONNECTED, ""
        if self._ran:
            self._account("no connection to the gadget on this node")
        else:
            self._emit(log_chunk(self.node, now_ns(), "info", f"collecting from {self.node}"))
        self._ran = True
        self._changed(self)

    def _account(self, what: str) -> None:
        """Write the loss record for the time without a connection."""
        end = now_ns()
        seconds = (end - self._absent_since) / NS
        detail = f"{what} for {seconds:.1f} s; how many events happened is not known"
        self._emit(
            loss_chunk(self.node, self._absent_since, end, 0, LossCause.STREAM, detail, exact=False)
        )

    def _judge(self, status: Status) -> None:
        if self.state in (NodeState.ENDED, NodeState.FAILED):
            return
        if self._stop.is_set() or status.code == 0:
            self.state = NodeState.ENDED
        elif status.code == UNKNOWN:
            self.state, self.reason = NodeState.FAILED, status.message
            self._emit(log_chunk(self.node, now_ns(), "error", status.message))
        else:
            self.state, self.reason = NodeState.WAITING, status.message
            self._emit(log_chunk(self.node, now_ns(), "warning", f"{status.message}; trying again"))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass


def _status_of(error: Exception) -> Status:
    if isinstance(error, GrpcFailure):
        return error.status
    if isinstance(error, TimeoutError):
        return Status(UNAVAILABLE, f"no answer within {INFO_SECONDS:.0f} s")
    return Status(UNAVAILABLE, str(error))
