"""What one message of a gadget's stream costs: grpcio, and igdash's own way.

The double of `ig daemon`, in a process of its own, sends trace_open messages as recorded as fast as
it can; the reader only takes the raw messages, nothing is parsed. CPU of the reading process.

    python -m benchmarks.native_transport [--messages 40000] [--rate 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import grpc

from igdash.domain.environments import parse_address
from igdash.sources.native.pipes import daemon
from igdash.sources.native.runs import RUN
from igdash_wire import ig_pb2 as pb
from tests.support.daemon_process import daemon_process

REQUEST = pb.GadgetControlRequest(
    runRequest=pb.GadgetRunRequest(imageName="trace_open", version=1, logLevel=4)
).SerializeToString()


def with_grpcio(address: str, wanted: int) -> int:
    """Read `wanted` messages with the general library; return how many came."""
    _, host, port = parse_address(address)
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        call = channel.stream_stream(RUN, request_serializer=None, response_deserializer=None)

        over = threading.Event()

        def requests() -> Iterator[bytes]:
            yield REQUEST
            over.wait()  # the end of the requests would cancel the run

        stream = call(requests())
        count = 0
        for _ in stream:
            count += 1
            if count >= wanted:
                break
        over.set()
        stream.cancel()
    return count


def with_igdash(address: str, wanted: int) -> int:
    """Read `wanted` messages the way igdash does; return how many came."""

    async def read() -> int:
        client = await daemon(address, None)()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        count = 0

        def on_messages(messages: list[bytes]) -> None:
            nonlocal count
            count += len(messages)
            if count >= wanted and not done.done():
                done.set_result(None)

        client.stream(RUN, REQUEST, on_messages, lambda _: done.done() or done.set_result(None))
        await done
        await client.aclose()
        return count

    return asyncio.run(read())


def measure(name: str, read: Callable[[str, int], int], rate: float, messages: int) -> None:
    """Print the CPU per message of one way."""
    files = {"files": messages + 10, "rate": rate, "queue": messages + 20}
    with daemon_process({"trace_open": files}) as address:
        began, cpu = time.monotonic(), time.process_time()
        count = read(address, messages)
        cpu, took = time.process_time() - cpu, time.monotonic() - began
    print(
        f"{name:<8}{count:>8,} messages in {took:5.1f} s  {cpu / count * 1e6:6.1f} µs of CPU each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--rate", type=float, default=5_000)
    options = parser.parse_args()
    for rate in (options.rate, 1_000.0):
        print(f"{rate:,.0f} messages/s:")
        for name, read in (("grpcio", with_grpcio), ("igdash", with_igdash)):
            measure(name, read, rate, min(options.messages, int(rate * 8)))


if __name__ == "__main__":
    main()
