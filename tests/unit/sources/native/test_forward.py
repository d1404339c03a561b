"""Port-forward frames to bytes and back, and connections that are shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from igdash.sources.native import forward
from igdash.sources.native.forward import ForwardPipe, Forwards

HELLO = (b"\x00\x90\x1f", b"\x01\x90\x1f")
"""What a real API server sends first: each channel repeats the port, 8080."""


class Socket:
    """A WebSocket of the test."""

    def __init__(self, *frames: bytes) -> None:
        self.frames: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        for frame in frames:
            self.frames.put_nowait(frame)
        self.sent: list[bytes] = []
        self.closed = 0

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def messages(self) -> AsyncIterator[bytes]:
        while (frame := await self.frames.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    async def close(self) -> None:
        self.closed += 1
        self.frames.put_nowait(None)


class Client:
    """Takes what the pipe delivers."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: list[str] = []
        self.on_data: Callable[[], None] = lambda: None

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.on_data()

    def connection_lost(self, error: Exception) -> None:
        self.lost.append(str(error))


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(5):
            await work()

    asyncio.run(timed())


def pipe(socket: Socket, client: Client) -> ForwardPipe:
    return ForwardPipe(socket, client)  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_the_greeting_of_each_channel_is_not_data() -> None:
    async def work() -> None:
        client = Client()
        socket = Socket(*HELLO, b"\x00abc", b"\x00", b"\x00def")
        made = pipe(socket, client)
        await settle()
        assert b"".join(client.pieces) == b"abcdef"
        made.write(b"xy")
        made.write(b"z")
        await settle()
        assert socket.sent == [b"\x00xyz"]
        made.close()
        await settle()
        assert client.lost == ["the port-forward was closed"]
        assert socket.closed

    run(work)


def test_a_closed_port_is_said_in_the_kubelets_words() -> None:
    async def work() -> None:
        client = Client()
        text = b"error forwarding port 8080 to pod x: failed to connect to localhost:8080"
        pipe(Socket(*HELLO, b"\x01" + text), client)
        await settle()
        assert client.lost == [text.decode()]

    run(work)


def test_a_broken_socket_is_a_lost_connection_after_the_data() -> None:
    async def work() -> None:
        client, socket = Client(), Socket(*HELLO, b"\x00last")
        socket.frames.put_nowait(OSError("reset"))
        pipe(socket, client)
        await settle()
        assert (client.pieces, client.lost) == ([b"last"], ["reset"])

    run(work)


def test_small_frames_that_queued_up_are_handed_over_in_one_piece() -> None:
    """A client that pauses after each small piece must not get one frame per pause."""

    async def work() -> None:
        client, socket = Client(), Socket(*HELLO)
        made = pipe(socket, client)

        def breathe() -> None:
            made.pause()
            asyncio.get_running_loop().call_later(0.02, made.resume)

        client.on_data = breathe
        for _ in range(50):
            for _ in range(20):
                socket.frames.put_nowait(b"\x00x")
            await asyncio.sleep(0.004)
        await asyncio.sleep(0.1)
        assert sum(map(len, client.pieces)) == 1_000
        assert len(client.pieces) < 40

    run(work)


def test_a_path_that_takes_nothing_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_MAX_PENDING", 10)

    async def work() -> None:
        client = Client()
        pipe(Socket(), client).write(b"x" * 11)
        assert client.lost == ["the port-forward takes no more data"]

    run(work)


def test_users_share_a_connection_until_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "CALLS_PER_CONNECTION", 2)
    opened: list[Socket] = []

    async def open_one() -> Any:
        await asyncio.sleep(0.01)
        opened.append(Socket(*HELLO))
        return opened[-1]

    async def work() -> None:
        forwards = Forwards()
        users = await asyncio.gather(*(forwards.client("pod", open_one) for _ in range(3)))
        assert users[0] is users[1]
        assert users[2] is not users[0]
        assert (len(opened), forwards.count()) == (2, 2)
        await users[0].aclose()
        assert not opened[0].closed
        assert await forwards.client("pod", open_one) is users[0]
        await users[0].aclose()
        await users[1].aclose()
        assert opened[0].closed
        forwards.keep(set())
        assert forwards.count() == 1  # still in use, though its pod is gone
        await users[2].aclose()
        forwards.keep(set())
        assert forwards.count() == 0

    run(work)


def test_a_lost_connection_is_not_given_out_again() -> None:
    async def work() -> None:
        sockets = [Socket(*HELLO), Socket(*HELLO)]
        waiting = iter(sockets)

        async def open_one() -> Any:
            return next(waiting)

        forwards = Forwards()
        first = await forwards.client("pod", open_one)
        sockets[0].frames.put_nowait(None)
        await settle()
        assert first.lost.done()
        second = await forwards.client("pod", open_one)
        assert second is not first
        await first.aclose()
        await second.aclose()

    run(work)
