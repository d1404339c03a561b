"""Byte pipes to pods' ports, through the API server's port-forward over WebSocket.

Frames are one channel byte and data: channel 0 the bytes, channel 1 an error text; each channel
begins with two bytes that repeat the port (protocol.md 3.2). A closed port answers 101 all the same
and says so on channel 1 (confirmed.md 27).

No WebSocket pings: a gRPC connection over the pipe asks the pod itself for a sign of life (see
`client`), which finds a path that swallows everything wherever it breaks, within 30 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from igdash.sources.native.apiserver import ApiSocket
from igdash.sources.native.client import GrpcClient

PROTOCOL: Final = "v4.channel.k8s.io"
CALLS_PER_CONNECTION: Final = 64
"""Users of one forward, before another is opened to the same pod: 150 runs at a time were seen to
work on one (protocol.md 3.1)."""
_DATA: Final = 0
_ERROR: Final = 1
_MAX_PENDING: Final = 4 * 1024 * 1024
"""Bytes that may wait to be sent; requests are small, so more means that nothing moves."""


class ForwardPipe:
    """The `Pipe` of a client over one port-forward."""

    def __init__(self, socket: ApiSocket, client: GrpcClient) -> None:
        self._socket = socket
        self._client = client
        self._in = bytearray()
        self._delivery: asyncio.Handle | None = None
        self._out = bytearray()
        self._more = asyncio.Event()
        self._closing = False
        self._reading = asyncio.Event()
        self._reading.set()
        loop = asyncio.get_running_loop()
        self._reader = loop.create_task(self._read(), name="forward-read")
        self._writer = loop.create_task(self._write(), name="forward-write")

    def write(self, data: bytes) -> None:
        """Send on the data channel."""
        self._out += data
        if len(self._out) > _MAX_PENDING:
            self._client.connection_lost(OSError("the port-forward takes no more data"))
        self._more.set()

    def pause(self) -> None:
        """Take no more messages for now; the transport's buffer fills, then TCP's window."""
        self._reading.clear()

    def resume(self) -> None:
        """Take messages again."""
        self._reading.set()

    def close(self) -> None:
        """Close the WebSocket."""
        self._closing = True
        self._reading.set()
        self._more.set()

    async def _write(self) -> None:
        try:
            while not self._closing:
                await self._more.wait()
                self._more.clear()
                if self._out:
                    data, self._out = bytes(self._out), bytearray()
                    await self._socket.send(b"\x00" + data)
        except OSError as error:
            self._client.connection_lost(error)
        finally:
            await self._socket.close()

    async def _read(self) -> None:
        why = OSError("the port-forward was closed")
        greeted: set[int] = set()
        try:
            async for message in self._socket.messages():
                channel, data = message[0], message[1:]
                if channel not in greeted:
                    greeted.add(channel)
                    data = data[2:]
                if channel == _ERROR and data:
                    why = OSError(data.decode("utf-8", "replace").strip())
                    break
                if channel == _DATA and data:
                    await self._take(data)
        except OSError as error:
            why = error
        self._deliver()
        self.close()
        await asyncio.wait((self._writer,))
        self._client.connection_lost(why)

    async def _take(self, data: bytes) -> None:
        """Collect what has arrived, and hand it over in one piece.

        A frame is often one small message. While we are paused they queue up; then this runs for
        each of them without a break, and only when none is left the loop comes to the delivery.
        """
        self._in += data
        await self._reading.wait()
        if self._delivery is None:
            self._delivery = asyncio.get_running_loop().call_soon(self._deliver)
        if len(self._in) > _MAX_PENDING:
            await asyncio.sleep(0)

    def _deliver(self) -> None:
        self._delivery = None
        if self._in:
            data, self._in = bytes(self._in), bytearray()
            self._client.data_received(data)


class SharedClient(GrpcClient):
    """A connection that several runs use; it is closed when the last of them gives it back."""

    def __init__(self) -> None:
        super().__init__("localhost")
        self.users = 0

    def close(self) -> None:
        """Give it back."""
        self.users -= 1
        if not self.users:
            super().close()

    async def aclose(self) -> None:
        """Give it back; the last user waits until the connection is gone."""
        self.close()
        if not self.users:
            await asyncio.wait((self._down,), timeout=3.0)


Open = Callable[[], Awaitable[ApiSocket]]


class Forwards:
    """The forwards of one cluster, by pod: ten sessions on a node are ten calls on one socket."""

    def __init__(self) -> None:
        self._clients: dict[str, list[SharedClient]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def client(self, pod: str, opened: Open) -> SharedClient:
        """Return a connection to the pod, a new one if need be. Raises what `opened` raises."""
        async with self._opening.setdefault(pod, asyncio.Lock()):
            free = (c for c in self._live(pod) if c.takes_calls and c.users < CALLS_PER_CONNECTION)
            client = next(free, None)
            if client is None:
                client = SharedClient()
                client.attach(ForwardPipe(await opened(), client))
                self._clients.setdefault(pod, []).append(client)
            client.users += 1
            return client

    def _live(self, pod: str) -> list[SharedClient]:
        live = [c for c in self._clients.get(pod, ()) if c.users and not c.lost.done()]
        self._clients[pod] = live
        return live

    def keep(self, pods: set[str]) -> None:
        """Forget what is known of other pods than these."""
        for pod in self._clients.keys() - pods:
            if not self._live(pod):
                del self._clients[pod]
                self._opening.pop(pod, None)

    def count(self) -> int:
        """Return how many forwards are open."""
        return sum(len(self._live(pod)) for pod in tuple(self._clients))
