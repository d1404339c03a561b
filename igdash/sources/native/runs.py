"""One gadget on one node: run it, read it, come back after every interruption, account for each.

A run's own end comes in three kinds. UNAVAILABLE and broken connections are weather: the run is
begun again with back-off, and the time between is a `stream` loss, for nothing told us how many
events happened in it. UNKNOWN with a text is the server's "no" (a wrong parameter, a kernel without
what the gadget needs): trying again is pointless. OK means the gadget ended by itself.
(experiments recorded from a real cluster: confirmed.md 29-32)
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from igdash.domain.chunks import Chunk
from igdash.domain.errors import SourceError
from igdash.domain.gadgets import Gadget
from igdash.domain.losses import IN_FLIGHT, LossCause
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.times import NS, now_ns
from igdash.sources.native.client import GrpcClient, GrpcFailure
from igdash.sources.native.describe import described, schema_key
from igdash.sources.native.http2 import CODES, UNAVAILABLE, UNKNOWN, Call, Status
from igdash.sources.native.reading import (
    NodeReader,
    log_chunk,
    loss_chunk,
    schema_chunk,
)
from igdash.sources.process import cause_first
from igdash_wire import ig_pb2 as pb

log = logging.getLogger(__name__)
RUN: Final = "/api.GadgetManager/RunGadget"
INFO: Final = "/api.GadgetManager/GetGadgetInfo"
PROTOCOL: Final = 1
LOG_LEVEL: Final = 4
INFO_SECONDS: Final = 180.0
"""An overloaded node took over 120 s to answer GetGadgetInfo (confirmed.md 2)."""
STOP_SECONDS: Final = 30.0
NOTICED_WITHIN: Final = 30.0
"""A dead connection is noticed within this many seconds."""
PROVEN_AFTER: Final = 10.0
"""Seconds after which a run without data counts as one that works. The schema alone does not say so:
gadgets were seen to send it and then to fail (confirmed.md 29)."""
SETTLES_WITHIN: Final = 10.0
"""Seconds after the schema within which a gadget that sends nothing counts as attached. A real daemon
sent the schema 85 ms before its programs saw anything."""
REFUSALS: Final = 5
"""Refusals in a row after which a gadget that ran on the node is given up."""
REFUSED: Final = frozenset({UNKNOWN, 3, 5, 12})
"""Statuses that are a "no": unknown, invalid argument, not found, unimplemented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to run: the image and the parameters that differ from their defaults, by full key.

    `known` is the catalogue's gadget, for texts. `once`: it delivers one answer, so that it is not
    run again after it gave it. `instance` is the id of a headless instance to be read instead;
    `name` is given when it is the session's own, to be made and removed.
    """

    image: str
    params: Mapping[str, str]
    gadget: str = ""
    known: Gadget | None = None
    once: bool = False
    instance: str = ""
    name: str = ""


_PREFIXES: Final = ("operator.", "custom.")


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
T = TypeVar("T")


class _Stopped(Exception):
    """The run was stopped before it began."""


class NodeRun:
    """A gadget's run on one node. Lives on the loop; `emit` gets every chunk in order.

    `schemas` are those the session has seen on any node, shared by its runs.
    """

    def __init__(
        self,
        node: str,
        wanted: Wanted,
        connect: Callable[[], Awaitable[GrpcClient]],
        emit: Emit,
        changed: Changed,
        schemas: set[bytes],
    ) -> None:
        self.node = node
        self.state = NodeState.WAITING
        self.reason = ""
        self.since = now_ns()
        self._wanted = wanted
        self._connect = connect
        self._emit = emit
        self._changed = changed
        self._schemas = schemas
        self._stop = asyncio.Event()
        self._stop_seconds = STOP_SECONDS
        self._leave = False
        self._final = True
        self._hurry = asyncio.Event()
        self._absent_since = self.since
        self._behind = 0
        self._owed: str | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._refusals = 0
        self._proven = False
        self._came = False

    @property
    def status(self) -> NodeStatus:
        """Where it stands, for people."""
        return NodeStatus(name=self.node, state=self.state, since=self.since, reason=self.reason)

    def _become(self, state: NodeState, reason: str = "") -> None:
        if state is not self.state:
            self.since = now_ns()
        self.state, self.reason = state, reason
        self._came = self._came or state is NodeState.CONNECTED

    async def work(self) -> None:
        """Run until stopped, ended or refused."""
        try:
            await self._work()
        except Exception as error:
            # Or the node would be shown as it was before, with nobody reading it.
            log.exception("the run on %s broke", self.node)
            self._broke(f"igdash itself failed: {error}")

    async def _work(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set() and self.state not in (NodeState.ENDED, NodeState.FAILED):
            self._judge(await self._attempt(backoff))
            self._attempts += 1
            if self.state is NodeState.WAITING and not self._stop.is_set():
                self._changed(self)
                await self._pause(backoff)
        if self.state is NodeState.WAITING:
            if self._came:
                self._account("no connection to the gadget on this node")
            self._become(NodeState.ENDED)
        self._changed(self)

    def _broke(self, why: str) -> None:
        if self._came and self.state is NodeState.WAITING:
            self._account("no connection to the gadget on this node")
        self._log("error", why)
        self._become(NodeState.FAILED, why)
        self._changed(self)

    def stop(
        self, seconds: float = STOP_SECONDS, *, leave: bool = False, final: bool = True
    ) -> None:
        """Ask the gadget to end; its tail is still read, for so many seconds.

        `leave`: what goes on by itself is left to do so (see `instances`); not `final`: it is read
        again later.
        """
        self._stop_seconds, self._leave, self._final = seconds, leave, final
        self._stop.set()

    def hurry(self) -> None:
        """Something changed: try again now, and soon after, instead of waiting out the back-off."""
        self._hurry.set()

    def gone(self, why: str) -> None:
        """The node will not come back: end the run and account for the time without it.

        What goes on by itself is left to do so: it runs on other nodes, too.
        """
        if self.state in (NodeState.WAITING, NodeState.CONNECTED):
            if self.state is NodeState.CONNECTED:
                # Its pod is not one of the gadget's any more, but was read until now.
                self._settle_absence()
                self._absent_since, self._behind = now_ns(), 0
            self._account(f"{self.node} is gone for good ({why})")
            self._become(NodeState.ENDED, why)
            self._leave = True
            self._stop.set()

    # -- one connection's worth

    async def _attempt(self, backoff: Backoff) -> Status:
        try:
            client, params = await self._unless_stopped(self._prepare())
        except _Stopped:
            return Status(0)
        except (SourceError, GrpcFailure, TimeoutError) as error:
            return _status_of(error)
        try:
            return await self._stream(client, params, backoff)
        finally:
            await client.aclose()

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns. Raises `_Stopped` when the stop comes first."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            stopping.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def _prepare(self) -> tuple[GrpcClient, dict[str, str]]:
        client = await self._connect()
        try:
            return client, await self._parameters(client)
        except BaseException:
            await client.aclose()
            raise

    async def _parameters(self, client: GrpcClient) -> dict[str, str]:
        """Return every parameter with its default, ours on top: IG fills in few of them itself."""
        request = pb.GetGadgetInfoRequest(
            imageName=self._wanted.image, paramValues=self._wanted.params, version=PROTOCOL
        )
        answer = await client.unary(INFO, request.SerializeToString(), timeout=INFO_SECONDS)
        info = pb.GetGadgetInfoResponse.FromString(answer).gadgetInfo
        defaults = {param.prefix + param.key: param.defaultValue for param in info.params}
        short = {param.key: param.prefix + param.key for param in info.params}
        given = {short.get(name, name): value for name, value in self._wanted.params.items()}
        for name in given:
            if name not in defaults and not name.startswith(_PREFIXES):
                # The server would ignore it without a word.
                raise GrpcFailure(Status(UNKNOWN, f"{info.name} has no parameter {name}"))
        return defaults | given

    async def _stream(self, client: GrpcClient, params: dict[str, str], backoff: Backoff) -> Status:
        loop = asyncio.get_running_loop()
        again = bool(self._wanted.instance)
        reader = NodeReader(self.node, now_ns(), self._schema, again=again)
        ended: asyncio.Future[Status] = loop.create_future()

        def on_messages(messages: list[bytes]) -> None:
            for chunk in reader.read(messages, now_ns()):
                if reader.any_data:
                    self._settle_absence()
                self._take(chunk)
            if reader.info is not None and self.state is NodeState.WAITING:
                backoff.reset()
                self._arrived(reader.info)
            self._proven = self._proven or reader.any_data

        def on_end(status: Status) -> None:
            if not ended.done():
                ended.set_result(status)

        call = client.stream(RUN, self._first(params).SerializeToString(), on_messages, on_end)
        began = loop.time()
        try:
            await self._until_end(client, call, ended, reader)
        finally:
            client.cancel(call)
            self._detached(ended.result() if ended.done() else None)
            self._settle_absence()
        if self.state is NodeState.CONNECTED:
            self._proven = self._proven or loop.time() - began > PROVEN_AFTER
            self._absent_since, self._behind = self._left(reader.seen), reader.behind()
            if self._wanted.once and reader.any_data:
                return Status(0)
        if ended.done():
            return ended.result()
        return Status(UNAVAILABLE, f"no end within {self._stop_seconds:.0f} s of the stop")

    async def _until_end(
        self,
        client: GrpcClient,
        call: Call | None,
        ended: asyncio.Future[Status],
        reader: NodeReader,
    ) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if ended.done() or call is None:
            return
        began = now_ns()
        if not await self._ask_to_end(client, call):
            return
        await asyncio.wait((ended,), timeout=self._stop_seconds)
        if self.state is NodeState.CONNECTED:
            # IG throws away what is queued when a run ends, and says nothing (protocol.md 0.2).
            detail = (
                "at a stop Inspektor Gadget throws away what it still holds for us; how many is"
                " not known"
            )
            start, cause = began - NS - reader.behind(), LossCause.STOP_TAIL
            self._emit(loss_chunk(self.node, start, now_ns(), 0, cause, detail, exact=False))

    # -- what is different for a headless instance

    def _run_request(self, params: Mapping[str, str]) -> pb.GadgetRunRequest:
        return pb.GadgetRunRequest(
            imageName=self._wanted.image, paramValues=params, version=PROTOCOL, logLevel=LOG_LEVEL
        )

    def _first(self, params: Mapping[str, str]) -> pb.GadgetControlRequest:
        """Return the message that begins the stream."""
        return pb.GadgetControlRequest(runRequest=self._run_request(params))

    def _take(self, chunk: Chunk) -> None:
        self._emit(chunk)

    def _detached(self, status: Status | None) -> None:
        """The stream is over, with this end if it had one; nothing more comes of it."""

    def _left(self, seen: int) -> int:
        """Return since when (ns) events may be missing; `seen` is when the last data came."""
        return max(seen - IN_FLIGHT, now_ns() - int(NOTICED_WITHIN * NS))

    async def _ask_to_end(self, client: GrpcClient, call: Call) -> bool:
        """Ask the gadget to end; return whether it will, so that its tail is waited for."""
        stop = pb.GadgetControlRequest(stopRequest=pb.GadgetStopRequest())
        client.send(call, stop.SerializeToString())
        return True

    # -- bookkeeping

    def _schema(self, info: pb.GadgetInfo) -> Chunk | None:
        """Return the chunk of a schema that this session has not seen yet on any node."""
        key = schema_key(info)
        if key in self._schemas:
            return None
        self._schemas.add(key)
        sources = described(info, self._wanted.known, self._wanted.gadget).sources
        return schema_chunk(self.node, now_ns(), sources)

    def _arrived(self, info: pb.GadgetInfo) -> None:
        again, late = self._proven, self._attempts > 0
        self._become(NodeState.CONNECTED)
        if again:
            self._owe("no connection to the gadget on this node")
        elif late:
            self._owe("the gadget could not be started on this node")
        more = " again" if again else ""
        name = info.imageName or self._wanted.image
        self._log("info", f"collecting{more} from {self.node}: {name}")
        self._changed(self)

    def _owe(self, what: str) -> None:
        """Write the loss record when the gadget is surely attached: the schema comes before that."""
        self._owed = self._told(what)
        loop = asyncio.get_running_loop()
        self._settling = loop.call_later(SETTLES_WITHIN, self._settle_absence)

    def _settle_absence(self) -> None:
        """Write the loss record that is owed, if one is: it ends now."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if self._owed is not None:
            detail, self._owed = self._owed, None
            self._lose(detail)

    def _account(self, what: str) -> None:
        """Write the loss record for the time without a connection."""
        self._lose(self._told(what))

    def _told(self, what: str) -> str:
        seconds = (now_ns() - self._absent_since) / NS
        return f"{what} for {seconds:.1f} s; how many events happened is not known"

    def _lose(self, detail: str) -> None:
        # What was on its way to us when the connection broke is as old as what came last.
        start, cause = self._absent_since - self._behind, LossCause.STREAM
        self._emit(loss_chunk(self.node, start, now_ns(), 0, cause, detail, exact=False))

    def _judge(self, status: Status) -> None:
        if self.state in (NodeState.ENDED, NodeState.FAILED):
            return
        if self._stop.is_set() and self.state is NodeState.WAITING:
            return  # stopped on the way back: `work` accounts for the time without a connection
        if self._stop.is_set() or status.code == 0:
            self._become(NodeState.ENDED)
            return
        refused = status.code in REFUSED
        self._refusals = self._refusals + 1 if refused else 0
        reason = cause_first(status.message or CODES[min(status.code, len(CODES) - 1)])
        if refused and (not self._proven or self._refusals > REFUSALS):
            if self._came and self.state is NodeState.WAITING:
                self._account("the gadget could not be started again on this node")
            self._become(NodeState.FAILED, reason)
            self._log("error", status.message or reason)
            return
        if reason != self.reason or self.state is NodeState.CONNECTED:
            # Once per interruption and reason: a day without a daemon is 3,000 attempts.
            self._log("warning", f"{reason}; trying again until it works")
        self._become(NodeState.WAITING, reason)

    def _log(self, level: str, text: str) -> None:
        self._emit(log_chunk(self.node, now_ns(), level, text))

    async def _pause(self, backoff: Backoff) -> None:
        """Wait for the next attempt. What changed during the last one counts, too."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._hurry)]
        try:
            await asyncio.wait(waits, timeout=backoff.next(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._hurry.is_set():
            self._hurry.clear()
            backoff.reset()


def _status_of(error: Exception) -> Status:
    if isinstance(error, GrpcFailure):
        return error.status
    if isinstance(error, TimeoutError):
        return Status(UNAVAILABLE, f"no answer within {INFO_SECONDS:.0f} s")
    return Status(UNAVAILABLE, str(error))
