"""Headless instances of the daemon double: they run without anybody, and tell who attaches.

As the real one was seen to do it: a ring of the last 1,024 events that is replayed at each attach,
`seq` from 1 at each attach, a queue of 1,024 per client that drops and leaves a gap; the crash when
somebody attaches before the gadget is up; an attach to a failed one that hangs after one message.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

from igdash_wire import ig_pb2 as pb
from igdash_wire import ig_pb2_grpc as rpc

if TYPE_CHECKING:
    from tests.support.daemon import Daemon, Script

RING = 1_024
QUEUE = 1_024
BY_INSTANCE = 1
_ID = re.compile(r"[a-f0-9]{32}")
_NAME = re.compile(r"[a-z0-9-_]{1,32}")


class Client:
    """Whoever attached: its own numbers, its own queue."""

    def __init__(self) -> None:
        self._queue: queue.Queue[pb.GadgetEvent | None] = queue.Queue()
        self._seq = 0

    def put(self, event: pb.GadgetEvent) -> None:
        self._seq += 1
        if self._queue.qsize() < QUEUE:
            own = pb.GadgetEvent()
            own.CopyFrom(event)
            own.seq = self._seq
            self._queue.put(own)

    def end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[pb.GadgetEvent]:
        return iter(self._queue.get, None)  # type: ignore[arg-type]


class Instance:
    """One that runs. `told` is set when somebody asked for its metadata and got it."""

    def __init__(self, daemon: Daemon, wanted: pb.GadgetInstance, script: Script | None) -> None:
        self.wanted = wanted
        self.script = script
        self.failure = "not found" if script is None else script.error
        self.told = threading.Event()
        self.up = threading.Event()
        self.ended = threading.Event()
        self.ring: deque[pb.GadgetEvent] = deque(maxlen=RING)
        self.clients: list[Client] = []
        self._daemon = daemon
        self._lock = threading.Lock()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        if self.failure:
            return
        assert self.script is not None
        self.ended.wait(self._daemon.starting)
        self.up.set()
        began = time.monotonic()
        live = iter(self.script.live, None) if self.script.live else self.script.messages
        for made, payload in enumerate(live, 1):
            if self.ended.is_set():
                return
            self.emit(payload)
            if (
                self.script.rate
                and (late := began + made / self.script.rate - time.monotonic()) > 0
            ):
                self.ended.wait(late)

    def emit(self, payload: bytes) -> None:
        """One event happens."""
        assert self.script is not None
        source = self.script.source
        if source is None:
            source = self.script.info.dataSources[0].id
        event = pb.GadgetEvent(
            type=0, payload=payload, dataSourceID=self.script.sources.get(payload, source)
        )
        with self._lock:
            self.ring.append(event)
            for client in self.clients:
                client.put(event)

    def attach(self) -> Client:
        with self._lock:
            client = Client()
            for event in self.ring:
                client.put(event)
            self.clients.append(client)
            return client

    def leave(self, client: Client) -> None:
        with self._lock:
            if client in self.clients:
                self.clients.remove(client)

    def end(self) -> None:
        self.ended.set()
        with self._lock:
            for client in self.clients:
                client.end()

    def told_of(self) -> pb.GadgetInstance:
        """Return it as a list shows it."""
        shown = pb.GadgetInstance()
        shown.CopyFrom(self.wanted)
        state = pb.GadgetInstanceState.error if self.failure else pb.GadgetInstanceState.running
        shown.state.CopyFrom(pb.GadgetInstanceState(status=state, message=self.failure))
        return shown


class Instances(rpc.GadgetInstanceManagerServicer):
    """The instances of one daemon. `kept` outlives it, as the files of the real one do: whoever has
    the same one starts them again, with empty rings."""

    def __init__(self, daemon: Daemon, kept: dict[str, pb.GadgetInstance]) -> None:
        self.daemon = daemon
        self.kept = kept
        self.running: dict[str, Instance] = {}
        self._lock = threading.Lock()
        self._spread()

    def _spread(self) -> None:
        """Run what is kept, and nothing else: the daemons of a cluster keep one and the same."""
        with self._lock:
            for key, wanted in list(self.kept.items()):
                if key not in self.running:
                    self._start(wanted)
            for key in self.running.keys() - self.kept.keys():
                self.running.pop(key).end()

    def _start(self, wanted: pb.GadgetInstance) -> None:
        script = self.daemon.script(wanted.gadgetConfig.imageName)
        self.running[wanted.id] = Instance(self.daemon, wanted, script)

    def find(self, name: str) -> Instance | None:
        """Return the instance of an id, the beginning of one, or a name."""
        for key, instance in self.running.items():
            if key.startswith(name) or instance.wanted.name == name:
                return instance
        return None

    def end(self) -> None:
        for instance in self.running.values():
            instance.end()

    # -- the service

    def CreateGadgetInstance(
        self, request: pb.CreateGadgetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateGadgetInstanceResponse:
        wanted = request.gadgetInstance
        if not _ID.fullmatch(wanted.id) or not _NAME.fullmatch(wanted.name):
            context.abort(grpc.StatusCode.UNKNOWN, f"invalid id {wanted.id!r} or name")
        if wanted.id in self.kept:
            context.abort(grpc.StatusCode.UNKNOWN, f"gadget instance {wanted.id} already exists")
        self.daemon.created.append(wanted)
        self.kept[wanted.id] = wanted
        self._spread()
        return pb.CreateGadgetInstanceResponse(result=0, gadgetInstance=wanted)

    def ListGadgetInstances(
        self, request: pb.ListGadgetInstancesRequest, context: grpc.ServicerContext
    ) -> pb.ListGadgetInstanceResponse:
        self._spread()
        return pb.ListGadgetInstanceResponse(
            gadgetInstances=[one.told_of() for one in self.running.values()]
        )

    def GetGadgetInstance(
        self, request: pb.GadgetInstanceId, context: grpc.ServicerContext
    ) -> pb.GadgetInstance:
        found = self.running.get(request.id)
        if found is None:
            context.abort(grpc.StatusCode.UNKNOWN, f"gadget instance {request.id!r} not found")
        assert found is not None
        return found.told_of()

    def RemoveGadgetInstance(
        self, request: pb.GadgetInstanceId, context: grpc.ServicerContext
    ) -> pb.StatusResponse:
        if self.kept.pop(request.id, None) is None:
            self._spread()
            return pb.StatusResponse(result=1, message=f"instance {request.id} not found")
        self.daemon.removed.append(request.id)
        self._spread()
        return pb.StatusResponse(result=0)

    # -- what the gadget manager does with instances

    def info(self, name: str, context: grpc.ServicerContext) -> pb.GadgetInfo:
        """Answer GetGadgetInfo(flags=1): blocks while the gadget starts."""
        found = self.find(name)
        if found is None:
            context.abort(grpc.StatusCode.UNKNOWN, f"gadget instance {name!r} not found")
        assert found is not None
        if found.failure:
            context.abort(grpc.StatusCode.UNKNOWN, found.failure)
        while not found.up.wait(0.05):
            if not context.is_active() or found.ended.is_set():
                context.abort(grpc.StatusCode.UNKNOWN, "gone")
        found.told.set()
        info = pb.GadgetInfo()
        assert found.script is not None
        info.CopyFrom(found.script.info)
        info.id, info.name = found.wanted.id, found.wanted.name
        return info

    def attached(self, key: str, context: grpc.ServicerContext) -> Iterator[pb.GadgetEvent]:
        """Answer RunGadget(attachRequest)."""
        self.daemon.attached.append(key)
        found = self.running.get(key)
        if found is None:
            context.abort(grpc.StatusCode.UNKNOWN, f"gadget instance {key!r} not found")
        assert found is not None
        if found.failure:
            yield pb.GadgetEvent(type=4 << 16, payload=b"attaching")
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait()
            return
        if not found.told.is_set():
            self.daemon.crashed = True
            self.daemon.kill()
            return
        assert found.script is not None
        yield pb.GadgetEvent(type=4, payload=found.script.info.SerializeToString())
        client = found.attach()
        context.add_callback(client.end)
        try:
            for event in client:
                yield event
                self.daemon.sent += 1
        finally:
            found.leave(client)
