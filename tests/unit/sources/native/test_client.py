"""Calls on one connection: whoever began one hears of its end, whatever ends it, and of all before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from h2.settings import SettingCodes

from igdash.sources.native.client import GrpcClient, GrpcFailure, OnEnd
from igdash.sources.native.http2 import INTERNAL, INVALID, UNAVAILABLE, Call, Status
from tests.unit.sources.native.test_http2 import PING, Server, framed, goaway


class Pipe:
    """Where a client's bytes go."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.closes = 0

    def write(self, data: bytes) -> None:
        self.out += data

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None:
        self.closes += 1


class Setup:
    """A client with one call, and what the call heard."""

    def __init__(self) -> None:
        self.client = GrpcClient("host")
        self.pipe = Pipe()
        self.client.attach(self.pipe)
        self.heard: list[bytes] = []
        self.ends: list[Status] = []
        self.client.stream("/x", b"", self.heard.extend, self.ends.append)

    def answer(self, *messages: bytes) -> bytes:
        """Return what a server sends on the call."""
        server = Server()
        call = server.client.call("/x", b"")
        server.exchange()
        server.respond(call)
        server.h2.send_data(call.id, framed(*messages))
        return server.h2.data_to_send()


def on_a_loop(test: Callable[[Setup], None]) -> None:
    async def work() -> None:
        test(Setup())

    asyncio.run(work())


@pytest.mark.parametrize("tail", [b"", PING, b"\xff" * 40], ids=["alone", "ping", "junk"])
def test_a_server_that_shuts_down_and_all_it_says_comes_in_one_read(tail: bytes) -> None:
    def test(setup: Setup) -> None:
        farewell = goaway(2**31 - 1, 0, b"Server shutdown")
        setup.client.data_received(setup.answer(b"one") + farewell + tail)
        assert setup.client.takes_calls is False
        setup.client.connection_lost(None)
        assert setup.heard == [b"one"]
        [end] = setup.ends
        assert end.code == UNAVAILABLE
        assert "Server shutdown" in end.message
        assert setup.client.lost.result() == end.message

    on_a_loop(test)


def test_a_fault_of_the_peer_ends_the_call_and_closes_the_pipe() -> None:
    def test(setup: Setup) -> None:
        setup.client.data_received(setup.answer(b"one", b"two") + b"\xff" * 40)
        assert setup.heard == [b"one", b"two"]
        assert len(setup.ends) == 1
        assert setup.pipe.closes == 1
        setup.client.data_received(b"more")
        setup.client.connection_lost(None)
        assert len(setup.ends) == 1

    on_a_loop(test)


def test_a_callback_that_breaks_ends_its_own_call_alone() -> None:
    """Several sessions share a connection: each hears what came for it, and its end."""

    def test(setup: Setup) -> None:
        def broken(_: list[bytes]) -> None:
            raise LookupError("no such thing")

        other: list[Status] = []
        setup.client.stream("/y", b"", broken, other.append)
        server = Server()
        first, second = server.client.call("/x", b""), server.client.call("/y", b"")
        server.exchange()
        for call in (second, first):
            server.respond(call)
            server.h2.send_data(call.id, framed(b"z"))
        setup.client.data_received(server.h2.data_to_send())
        assert [(end.code, end.message) for end in other] == [
            (INTERNAL, "igdash itself failed: no such thing")
        ]
        assert setup.heard == [b"z"]
        assert setup.ends == []
        for call in (second, first):
            server.end(call, 0)
        setup.client.data_received(server.h2.data_to_send())
        setup.client.connection_lost(None)
        assert [end.code for end in setup.ends] == [0]
        assert len(other) == 1

    on_a_loop(test)


def test_a_server_that_shuts_down_is_asked_nothing_more_and_finishes_what_it_has() -> None:
    async def work() -> None:
        setup = Setup()
        setup.client.data_received(setup.answer() + goaway(2**31 - 1, 0, b"bye"))
        with pytest.raises(GrpcFailure, match="bye"):
            await setup.client.unary("/y", b"", timeout=1)
        assert setup.ends == []
        assert not setup.client.lost.done()

    asyncio.run(work())


def test_requests_that_do_not_fit_at_a_time_end_their_own_calls_and_fit_later() -> None:
    """Many sessions come back at the same moment, and share a connection."""

    async def work() -> None:
        client, pipe, server = GrpcClient("host"), Pipe(), Server()
        client._grpc = server.client
        client.attach(pipe)
        ends: list[Status] = []

        def begin(size: int) -> Call | None:
            return client.stream("/x", b"x" * size, lambda _: None, ends.append)

        begun = [call for call in [begin(1_300) for _ in range(60)] if call is not None]
        assert len(ends) == 60 - len(begun) > 0
        assert {end.code for end in ends} == {UNAVAILABLE}
        client.send(begun[0], b"x" * 1_300)
        assert begun[0].id not in client._streams
        assert ends[-1].code == UNAVAILABLE
        server.take(bytes(pipe.out))
        client.data_received(server.h2.data_to_send())
        assert begin(1_300) is not None
        assert begin(100_000) is None
        assert ends[-1].code == INVALID
        server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        client.data_received(server.h2.data_to_send())
        assert begin(1) is None
        assert "takes no more calls" in ends[-1].message

    asyncio.run(work())


def test_a_unary_call_that_ends_well_without_an_answer_is_no_ordered_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run takes status 0 for the gadget's own end, and is not begun again."""

    def stream(
        _method: str, _request: bytes, _heard: object, ended: OnEnd, **_end: bool
    ) -> Call | None:
        ended(Status(0))
        return None

    async def ask() -> None:
        client = GrpcClient("host")
        monkeypatch.setattr(client, "stream", stream)
        with pytest.raises(GrpcFailure, match="/x without an answer") as caught:
            await client.unary("/x", b"", timeout=5)
        assert caught.value.status.code == INTERNAL

    asyncio.run(ask())
