"""A double of `ig daemon`: a real gRPC server of ours that plays recorded or numbered streams.

It can do what the real one was seen to do: number messages per stream, drop at a full queue and
leave a gap, answer parameters in random order, refuse unknown gadgets with status UNKNOWN, die,
stall, change its schema, send what nobody announced.
"""

from __future__ import annotations

import base64
import gzip
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from igdash_wire import ig_pb2 as pb
from igdash_wire import ig_pb2_grpc as rpc
from tests.support.instances import BY_INSTANCE, Instances

VERSION = "0.55.1"


@dataclass
class Script:
    """What one gadget does when it is run.

    `info` is its GadgetInfo; `messages` are data payloads in order, sent `rate` a second (0 = all at
    once), again and again if `loop`; `logs` come first. `queue` is the size of the queue to the
    client; what does not fit is dropped and leaves a gap in seq, as IG does.
    """

    info: pb.GadgetInfo
    messages: list[bytes] = field(default_factory=list)
    rate: float = 0.0
    loop: bool = False
    stay: bool = True
    queue: int = 16_384
    logs: list[tuple[int, str]] = field(default_factory=list)
    error: str = ""
    source: int | None = None
    sources: dict[bytes, int] = field(default_factory=dict)
    """The data source of those messages that have another than `source`."""
    live: Callable[[], bytes | None] | None = None
    """Makes the next message, None = no more, instead of `messages`."""
    late_error: str = ""
    """Status UNKNOWN with this text after the schema was sent: it means not \"started\"."""
    raw: list[pb.GadgetEvent] = field(default_factory=list)
    """Events sent as they are after the schema."""


def recorded(folder: Path, stream: str = "stream.jsonl") -> Script:
    """Return the script of a recorded stream."""
    info, messages = pb.GadgetInfo(), []
    for line in (folder / stream).read_text().splitlines():
        entry = json.loads(line)
        if entry.get("type") == 4:
            info = pb.GadgetInfo.FromString(base64.b64decode(entry["payload"]))
        elif entry.get("type") == 0 and "payload" in entry:
            messages.append(base64.b64decode(entry["payload"]))
    return Script(info=info, messages=messages)


STREAMS = Path(__file__).parents[1] / "data" / "streams"
"""Leading messages of streams recorded from a real daemon and gadget pods, and the JSON of each."""


def messages_of(name: str) -> list[tuple[pb.GadgetEvent, str]]:
    """Return a recorded stream's events and the JSON that IG prints for them ("" = no data)."""
    found = []
    with gzip.open(STREAMS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            event = pb.GadgetEvent(
                type=row["type"],
                seq=row["seq"],
                dataSourceID=row["source"],
                payload=base64.b64decode(row["payload"]),
            )
            found.append((event, row.get("json", "")))
    return found


def played(name: str, **more: Any) -> Script:
    """Return the script of one of `STREAMS`."""
    info, messages, sources = pb.GadgetInfo(), [], {}
    for event, _ in messages_of(name):
        if event.type == 4:
            info = pb.GadgetInfo.FromString(event.payload)
        elif event.type == 0:
            messages.append(event.payload)
            sources[event.payload] = event.dataSourceID
    first = next(iter(sources.values()), None)
    return Script(info=info, messages=messages, source=first, sources=sources, **more)


def numbered(count: int, size: int = 3, **more: Any) -> Script:
    """Return a gadget whose rows are `{"comm":"gen","n":1}` … with n up to `count`.

    `size` is the length of `comm`.
    """
    source = pb.DataSource(id=7, name="numbers", type=1)
    source.fields.add(name="n", fullName="n", index=0, payloadIndex=0, kind=pb.Uint64)
    source.fields.add(name="comm", fullName="comm", index=1, payloadIndex=1, kind=pb.String)
    info = pb.GadgetInfo(name="numbers", imageName="numbers", dataSources=[source])
    info.params.add(prefix="operator.oci.ebpf.", key="pid", defaultValue="0", typeHint="uint32")
    rows = [
        pb.GadgetData(
            data=pb.DataElement(payload=[n.to_bytes(8, "little"), b"gen".ljust(size, b".")])
        ).SerializeToString()
        for n in range(1, count + 1)
    ]
    return Script(info=info, messages=rows, **more)


class Numbers:
    """Events that happen once, whatever server is up to tell of them: `at` has each one's time (ns)."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self._lock = threading.Lock()

    def next(self) -> bytes:
        with self._lock:
            n = len(self.at) + 1
            self.at[n] = time.time_ns()
        row = pb.DataElement(payload=[n.to_bytes(8, "little"), b"gen"])
        return pb.GadgetData(data=row).SerializeToString()

    def script(self, rate: float) -> Script:
        """Return a script that sends so many of them a second, without an end."""
        return numbered(0, rate=rate, live=self.next)


def opened_files(count: int, rate: float, **more: Any) -> Script:
    """Return trace_open as recorded, whose files are called `/n/000000001` … and whose time is now."""
    recorded_script = played("kubernetes-trace_open")
    fields = {one.name: one for one in recorded_script.info.dataSources[0].fields}
    name, stamp = fields["fname"], fields["timestamp_raw"]
    rows = []
    for message in recorded_script.messages:
        whole = pb.GadgetData.FromString(message).data.payload[name.payloadIndex]
        rows.append((message, message.index(whole)))
    numbers = iter(range(1, count + 1))

    def one() -> bytes | None:
        n = next(numbers, None)
        if n is None:
            return None
        message, at = rows[n % len(rows)]
        made = bytearray(message)
        start = at + name.offs
        made[start : start + name.size] = (b"/n/%09d" % n).ljust(name.size, b"\0")
        start = at + stamp.offs
        made[start : start + 8] = time.time_ns().to_bytes(8, "little")
        return bytes(made)

    return Script(
        info=recorded_script.info, source=recorded_script.source, live=one, rate=rate, **more
    )


class Daemon:
    """The server. `requests` are the run requests it got; `sent` counts data messages offered.

    `kept` are the headless instances that it starts with: those of a daemon before it. An instance
    takes `starting` seconds until it is up. `created`, `removed` and `attached` tell what was asked.
    """

    def __init__(
        self,
        scripts: dict[str, Script],
        address: str = "127.0.0.1:0",
        kept: dict[str, pb.GadgetInstance] | None = None,
        starting: float = 0.05,
        **tls: Any,
    ) -> None:
        self.scripts = scripts
        self.starting = starting
        self.created: list[pb.GadgetInstance] = []
        self.removed: list[str] = []
        self.attached: list[str] = []
        self.crashed = False
        self.instances = Instances(self, {} if kept is None else kept)
        self.requests: list[pb.GadgetRunRequest] = []
        self.offered = 0
        self.sent = 0
        self.dropped = 0
        self.stopped = 0
        self._cut = threading.Event()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=64),
            options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)],
        )
        rpc.add_GadgetManagerServicer_to_server(_Manager(self), self._server)
        rpc.add_BuiltInGadgetManagerServicer_to_server(_BuiltIn(), self._server)
        rpc.add_GadgetInstanceManagerServicer_to_server(self.instances, self._server)
        credentials = tls.get("credentials")
        if credentials is not None:
            self.port = self._server.add_secure_port(address, credentials)
        else:
            self.port = self._server.add_insecure_port(address)
        self._server.start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End every stream at once, as a killed daemon does."""
        self._cut.set()
        self._server.stop(0).wait(5)
        self.instances.end()

    def shut_down(self, grace: float) -> None:
        """Say so to the clients, take no new calls, and go on with those that are for `grace` s."""
        self._server.stop(grace)

    def script(self, image: str) -> Script | None:
        name = image.rsplit("/", 1)[-1].partition(":")[0]
        return self.scripts.get(name)


class _BuiltIn(rpc.BuiltInGadgetManagerServicer):
    def GetInfo(self, request: pb.InfoRequest, context: grpc.ServicerContext) -> pb.InfoResponse:
        return pb.InfoResponse(version="1.0", serverVersion=VERSION)


class _Manager(rpc.GadgetManagerServicer):
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def GetGadgetInfo(
        self, request: pb.GetGadgetInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetGadgetInfoResponse:
        if request.version != 1:
            context.abort(
                grpc.StatusCode.UNKNOWN, f"expected version to be 1, got {request.version}"
            )
        if request.flags & BY_INSTANCE:
            info = self.daemon.instances.info(request.imageName, context)
            return pb.GetGadgetInfoResponse(gadgetInfo=info)
        script = self.daemon.script(request.imageName)
        if script is None:
            context.abort(
                grpc.StatusCode.UNKNOWN, f'resolving image "{request.imageName}": not found'
            )
        info = pb.GadgetInfo()
        info.CopyFrom(script.info)
        params = list(info.params)
        random.shuffle(params)
        del info.params[:]
        info.params.extend(params)
        return pb.GetGadgetInfoResponse(gadgetInfo=info)

    def RunGadget(
        self, requests: Iterator[pb.GadgetControlRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.GadgetEvent]:
        first = next(requests)
        if first.WhichOneof("Event") == "attachRequest":
            yield from self.daemon.instances.attached(first.attachRequest.id, context)
            return
        run = first.runRequest
        self.daemon.requests.append(run)
        script = self.daemon.script(run.imageName)
        if script is None or script.error:
            context.abort(grpc.StatusCode.UNKNOWN, script.error if script else "not found")
        assert script is not None
        ended = threading.Event()

        def control() -> None:
            try:
                for request in requests:
                    if request.WhichOneof("Event") == "stopRequest":
                        self.daemon.stopped += 1
                        break
            except grpc.RpcError:
                pass
            ended.set()

        threading.Thread(target=control, daemon=True).start()
        context.add_callback(ended.set)
        yield pb.GadgetEvent(type=4, payload=script.info.SerializeToString())
        for severity, text in script.logs:
            yield pb.GadgetEvent(type=severity << 16, payload=text.encode())
        if script.late_error:
            context.abort(grpc.StatusCode.UNKNOWN, script.late_error)
        yield from script.raw
        yield from self._data(script, ended)

    def _data(self, script: Script, ended: threading.Event) -> Iterator[pb.GadgetEvent]:
        waiting: queue.Queue[pb.GadgetEvent | None] = queue.Queue(script.queue)
        source = script.source
        if source is None:
            source = script.info.dataSources[0].id if script.info.dataSources else 0

        def produce() -> None:
            seq, began = 0, time.monotonic()
            while not ended.is_set() and not self.daemon._cut.is_set():
                live = iter(script.live, None) if script.live else None
                for payload in live or script.messages:
                    if ended.is_set() or self.daemon._cut.is_set():
                        break
                    seq += 1
                    self.daemon.offered += 1
                    try:
                        waiting.put_nowait(
                            pb.GadgetEvent(
                                type=0,
                                seq=seq,
                                payload=payload,
                                dataSourceID=script.sources.get(payload, source),
                            )
                        )
                    except queue.Full:
                        self.daemon.dropped += 1
                    if script.rate and (late := began + seq / script.rate - time.monotonic()) > 0:
                        ended.wait(late)
                if not script.loop:
                    break
            if script.stay:
                ended.wait()
            waiting.put(None)

        threading.Thread(target=produce, daemon=True).start()
        while (event := waiting.get()) is not None:
            yield event
            self.daemon.sent += 1
