"""A byte pipe to a pod's port, through the API server's port-forward over WebSocket.

Frames are one channel byte and data: channel 0 the bytes, channel 1 an error text; each channel
begins with two bytes that repeat the port (protocol.md 3.2). A closed port answers 101 all the same
and says so on channel 1 (confirmed.md 27).
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, Final

from igdash.domain.errors import SourceError
from igdash.sources.native.client import GrpcClient

OPEN_SECONDS: Final = 15.0
HEARTBEAT_SECONDS: Final = 20.0
"""WebSocket pings to the API server: a dead path is noticed within half as much again."""
PROTOCOL: Final = "v4.channel.k8s.io"
_SEND_QUEUE: Final = 1_024


async def open_forward(
    session: Any, url: str, headers: Mapping[str, str], *, server_hostname: str | None
) -> GrpcClient:
    """Return a gRPC client over a new forward. Raises `SourceError` saying what was refused."""
    aiohttp = importlib.import_module("aiohttp")
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            socket = await session.ws_connect(
                url,
                protocols=(PROTOCOL,),
                headers=dict(headers),
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=0,
                compress=0,
                server_hostname=server_hostname,
            )
    except aiohttp.WSServerHandshakeError as error:
        raise SourceError(_refusal(error.status, error.message)) from error
    except TimeoutError as error:
        raise SourceError("the API server did not open the port-forward within 15 s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise SourceError(f"the port-forward failed: {error}") from error
    client = GrpcClient("localhost")
    pipe = ForwardPipe(socket, client)
    client.attach(pipe)
    return client


def _refusal(status: int, message: str) -> str:
    if status == 403:
        return "not allowed: get and create on pods/portforward in the gadget namespace are needed (403)"
    if status == 404:
        return "the gadget pod is gone (404)"
    if status == 401:
        return "the API server does not accept the credentials (401)"
    return f"the port-forward was refused: HTTP {status} {message}"


class ForwardPipe:
    """The `Pipe` of a client over one WebSocket."""

    def __init__(self, socket: Any, client: GrpcClient) -> None:
        self._socket = socket
        self._client = client
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue(_SEND_QUEUE)
        self._reading = asyncio.Event()
        self._reading.set()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read()), loop.create_task(self._write())]

    def write(self, data: bytes) -> None:
        """Send on the data channel."""
        self._out.put_nowait(data)

    def pause(self) -> None:
        """Take no more messages for now; the transport's buffer fills, then TCP's window."""
        self._reading.clear()

    def resume(self) -> None:
        """Take messages again."""
        self._reading.set()

    def close(self) -> None:
        """Close the WebSocket."""
        self._reading.set()
        if self._out.full():
            self._tasks[1].cancel()
        else:
            self._out.put_nowait(None)

    async def _write(self) -> None:
        try:
            while (data := await self._out.get()) is not None:
                await self._socket.send_bytes(b"\x00" + data)
        except (OSError, RuntimeError) as error:
            self._client.connection_lost(OSError(str(error)))
        finally:
            await self._socket.close()

    async def _read(self) -> None:
        kinds = importlib.import_module("aiohttp").WSMsgType
        greeted: set[int] = set()
        why = "the port-forward was closed"
        async for message in self._socket:
            if message.type is not kinds.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in greeted:
                greeted.add(channel)
                data = data[2:]
            if channel == 1 and data:
                why = data.decode("utf-8", "replace").strip()
                break
            if channel == 0 and data:
                await self._reading.wait()
                self._client.data_received(data)
        self._client.connection_lost(OSError(why))
