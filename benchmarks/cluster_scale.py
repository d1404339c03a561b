"""A hundred nodes times ten sessions: threads, sockets, memory and CPU of one collecting process.

The cluster is a double in a process of its own: an API server over TLS whose port-forwards lead to a
real gRPC server, so every stream is HTTP/2 in WebSocket frames in TLS. Each of the 1,000 streams
sends numbered events at a steady rate. `igdash collect` is the real one. Prints its threads, open
sockets, memory and CPU before, with one session, and with all; then checks that every number of
every stream is stored once or accounted for.

    python -m benchmarks.cluster_scale [--nodes 100] [--sessions 10] [--rate 2] [--seconds 30]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from benchmarks.sustained import cpu, rss
from igdash import store
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId, SessionSpec
from igdash_wire import ig_pb2 as pb
from tests.support.apiserver import FakeApiServer
from tests.support.collector_process import CollectorProcess
from tests.support.daemon import numbered

ROOT = Path(__file__).resolve().parents[1]


# ---------------------------------------------------------------- the cluster's process


class Gadgets:
    """The gRPC service of every node at once: a stream of numbers per run."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.info = numbered(0).info

    async def version(self, request: pb.InfoRequest, context: object) -> pb.InfoResponse:  # noqa: ARG002
        return pb.InfoResponse(version="1.0", serverVersion="0.55.1")

    async def describe(
        self,
        request: pb.GetGadgetInfoRequest,  # noqa: ARG002
        context: object,  # noqa: ARG002
    ) -> pb.GetGadgetInfoResponse:
        return pb.GetGadgetInfoResponse(gadgetInfo=self.info)

    async def run(
        self,
        requests: AsyncIterator[pb.GadgetControlRequest],
        context: object,  # noqa: ARG002
    ) -> AsyncIterator[pb.GadgetEvent]:
        await anext(requests)
        stopped = asyncio.create_task(anext(requests))
        yield pb.GadgetEvent(type=4, payload=self.info.SerializeToString())
        seq = 0
        while not stopped.done():
            await asyncio.wait((stopped,), timeout=1 / self.rate)
            seq += 1
            row = pb.DataElement(payload=[seq.to_bytes(8, "little"), b"gen"])
            payload = pb.GadgetData(data=row).SerializeToString()
            yield pb.GadgetEvent(type=0, seq=seq, payload=payload, dataSourceID=7)

    async def serve(self) -> int:
        server = grpc.aio.server()
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler

        def out(message: pb.GadgetEvent) -> bytes:
            return bytes(message.SerializeToString())

        for service, handlers in {
            "api.BuiltInGadgetManager": {
                "GetInfo": unary(self.version, pb.InfoRequest.FromString, out)
            },
            "api.GadgetManager": {
                "GetGadgetInfo": unary(self.describe, pb.GetGadgetInfoRequest.FromString, out),
                "RunGadget": stream(self.run, pb.GadgetControlRequest.FromString, out),
            },
        }.items():
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.server = server
        return int(port)


def serve_cluster(folder: Path, nodes: int, rate: float) -> None:
    """Serve until stdin is closed; print the kubeconfig's path first."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    port = asyncio.run_coroutine_threadsafe(Gadgets(rate).serve(), loop).result(10)
    server = FakeApiServer(folder, bookmark_every=60)
    for number in range(nodes):
        server.gadget_pod(f"gadget-{number:03}", f"worker-{number:03}", port)
    print(server.token_config(), flush=True)
    sys.stdin.read()
    os._exit(0)


# ---------------------------------------------------------------- measuring


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += entry.readlink().name.startswith("socket:")
        except OSError:
            continue
    return found


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def report(what: str, pid: int, seconds: float) -> None:
    """Print where the process stands; CPU over `seconds`."""
    before = cpu(pid)
    time.sleep(seconds)
    used = (cpu(pid) - before) / seconds * 100
    print(
        f"{what:<24} {threads(pid):>3} threads {sockets(pid):>5} sockets"
        f" {rss(pid):>7.0f} MiB {used:>6.1f} % CPU",
        flush=True,
    )


def covered(collector: CollectorProcess, sessions: list[SessionId], nodes: int) -> bool:
    reader = store.open_reader(collector.url)
    try:
        found = [reader.sessions.get(one).nodes for one in sessions]
    finally:
        reader.close()
    return all(one.connected == nodes for one in found)


def account(collector: CollectorProcess, session: SessionId, nodes: int) -> int:
    """Return the events stored; every node's numbers must be 1, 2, 3 … without a hole."""
    reader = store.open_reader(collector.url)
    numbers: dict[str, list[int]] = {}
    try:
        for block in reader.events.stream(session, EventRange(limit=5_000)):
            for event in block:
                numbers.setdefault(event.node, []).append(json.loads(event.data)["n"])
    finally:
        reader.close()
    assert len(numbers) == nodes, f"{len(numbers)} of {nodes} nodes"
    for node, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), f"{node} has holes"
    return sum(map(len, numbers.values()))


def measure(options: argparse.Namespace, folder: Path, config: str) -> None:
    extra = f'[[environments]]\nname = "k"\nkind = "kubernetes"\nkubeconfig = "{config}"\n'
    collector = CollectorProcess(folder, {}, extra='[log]\nlevel = "warning"\n' + extra)
    collector.start()
    assert collector.process is not None
    pid = collector.process.pid
    spec = SessionSpec(gadget="trace_open", environment="k")
    sessions: list[SessionId] = []
    try:
        time.sleep(10)
        report("no session", pid, 5)
        for wanted in (1, options.sessions):
            began = time.monotonic()
            while len(sessions) < wanted:
                sessions.append(collector.control.start(spec).id)
            while not covered(collector, sessions, options.nodes):
                assert time.monotonic() - began < 180, collector.tail()
                time.sleep(0.2)
            took = time.monotonic() - began
            report(f"{wanted} x {options.nodes}, up in {took:.1f} s", pid, options.seconds)
        collector.stop_all(60)
        stored = [account(collector, one, options.nodes) for one in sessions]
        print(f"stored {sum(stored):,} events of {len(stored) * options.nodes:,} streams, no hole")
        report("all stopped", pid, 5)
    finally:
        collector.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--rate", type=float, default=2.0, help="events per second and stream")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_cluster(options.serve, options.nodes, options.rate)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        argv = [sys.executable, "-m", "benchmarks.cluster_scale", "--serve", name]
        argv += ["--nodes", str(options.nodes), "--rate", str(options.rate)]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as cluster:
            assert cluster.stdin is not None
            assert cluster.stdout is not None
            try:
                measure(options, folder, cluster.stdout.readline().strip())
            finally:
                cluster.stdin.close()


if __name__ == "__main__":
    main()
