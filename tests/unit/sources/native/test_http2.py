"""HTTP/2 as a gRPC client needs it, against the h2 library as the server."""

from __future__ import annotations

import struct

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.sources.native import http2
from igdash.sources.native.http2 import (
    MAX_MESSAGE,
    UNAVAILABLE,
    UNKNOWN,
    WINDOW,
    Call,
    GrpcConnection,
    Status,
    TransportError,
)


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">BI", 0, len(m)) + m for m in messages)


def goaway(last: int, code: int, detail: bytes) -> bytes:
    return (
        (8 + len(detail)).to_bytes(3, "big") + struct.pack(">BBIII", 7, 0, 0, last, code) + detail
    )


PING = b"\0\0\x08\x06\0\0\0\0\0whatever"
PING_ANSWER = b"\0\0\x08\x06\x01\0\0\0\0whatever"


class Server:
    """The other side, by the library."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.client = GrpcConnection("host")
        self.received: dict[int, bytes] = {}
        self.requests: dict[int, dict[str, str]] = {}
        self.resets: list[int] = []
        self.exchange()

    def exchange(self) -> list[Call]:
        """Carry bytes both ways until nothing is left; return the calls the client touched."""
        touched: list[Call] = []
        while True:
            to_server, to_client = self.client.take(), self.h2.data_to_send()
            if not to_server and not to_client:
                return touched
            if to_server:
                self.take(to_server)
            if to_client:
                touched += self.client.feed(to_client)

    def take(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.requests[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.received[event.stream_id] = (
                    self.received.get(event.stream_id, b"") + event.data
                )
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets.append(event.stream_id)

    def respond(self, call: Call, status: int = 200) -> None:
        headers = [(":status", str(status)), ("content-type", "application/grpc")]
        self.h2.send_headers(call.id, headers)

    def end(self, call: Call, code: int, message: str = "") -> None:
        trailers = [("grpc-status", str(code)), ("grpc-message", message)]
        self.h2.send_headers(call.id, trailers, end_stream=True)


def test_a_call_and_its_answer() -> None:
    server = Server()
    call = server.client.call("/api.X/Y", b"question", end=True)
    server.exchange()
    assert server.requests[call.id][":path"] == "/api.X/Y"
    assert server.requests[call.id]["te"] == "trailers"
    assert server.received[call.id] == framed(b"question")
    server.respond(call)
    server.h2.send_data(call.id, framed(b"one", b"", b"two"))
    server.end(call, 0)
    server.exchange()
    assert call.take_messages() == [b"one", b"", b"two"]
    assert call.take_messages() == []
    assert call.status == Status(0)
    assert server.client.calls == {}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_messages_cut_anywhere_come_out_whole(messages: list[bytes], data: st.DataObject) -> None:
    server = Server()
    call = server.client.call("/x", b"")
    server.exchange()
    server.respond(call)
    whole = framed(*messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        padding = data.draw(st.none() | st.integers(0, 20))
        server.h2.send_data(call.id, whole[start:end], pad_length=padding)
    server.end(call, 0)
    wire = server.h2.data_to_send()
    step = data.draw(st.integers(1, 50))
    for at in range(0, len(wire), step):
        server.client.feed(wire[at : at + step])
    assert call.take_messages() == messages
    assert call.status == Status(0)


def test_fragmentation_at_every_byte() -> None:
    for cut in range(200):
        server = Server()
        call = server.client.call("/x", b"")
        server.exchange()
        server.respond(call)
        server.h2.send_data(call.id, framed(b"abc", b"d" * 30))
        server.end(call, 2, "it%20broke")
        wire = server.h2.data_to_send()
        server.client.feed(wire[:cut])
        server.client.feed(wire[cut:])
        assert call.take_messages() == [b"abc", b"d" * 30]
        assert call.status == Status(UNKNOWN, "it broke")
        if cut > len(wire):
            break


def test_more_than_the_window_flows_with_credit() -> None:
    server = Server()
    call = server.client.call("/x", b"")
    server.exchange()
    server.respond(call)
    server.exchange()
    part = framed(b"x" * 16_000)
    for _ in range(3 * WINDOW // len(part)):
        assert server.h2.local_flow_control_window(call.id) > len(part)
        server.h2.send_data(call.id, part)
        server.exchange()
    assert len(call.take_messages()) == 3 * WINDOW // len(part)


def test_messages_over_4_mib_are_taken_and_absurd_ones_refused() -> None:
    big = b"y" * (5 << 20)
    call = Call(1)
    for at in range(0, len(whole := framed(big)), 16_000):
        call.data(whole[at : at + 16_000])
    assert call.take_messages() == [big]
    with pytest.raises(TransportError, match="was refused"):
        call.data(struct.pack(">BI", 0, MAX_MESSAGE + 1))
    with pytest.raises(TransportError, match="compressed: 1"):
        Call(1).data(struct.pack(">BI", 1, 5) + b"12345")


def test_ends_of_other_kinds() -> None:
    server = Server()
    a, b, c, d = (server.client.call("/x", b"") for _ in range(4))
    server.exchange()
    server.h2.reset_stream(a.id, 8)
    server.respond(b, 502)
    server.respond(c)
    server.h2.send_data(c.id, b"", end_stream=True)
    server.h2.send_headers(d.id, [(":status", "200"), ("grpc-status", "x")], end_stream=True)
    server.exchange()
    assert a.status is not None
    assert a.status.code == UNAVAILABLE
    assert b.status == Status(UNAVAILABLE, "HTTP status 502 instead of a gRPC answer")
    assert c.status is not None
    assert c.status.code not in (0, UNKNOWN)
    assert d.status is not None
    assert d.status.code == UNKNOWN


def test_goaway_ends_the_calls_it_does_not_name_and_keeps_the_others() -> None:
    """A server that shuts down says so first, asks whether it was heard, and sends what it has."""
    server = Server()
    early, late = server.client.call("/x", b""), server.client.call("/x", b"")
    server.exchange()
    server.respond(early)
    server.client.feed(server.h2.data_to_send())
    touched = server.client.feed(goaway(early.id, 0, b"Server shutdown") + PING)
    assert touched == [late]
    assert late.status is not None
    assert late.status.code == UNAVAILABLE
    assert "Server shutdown" in late.status.message
    assert server.client.going
    assert server.client.closed is None
    assert PING_ANSWER in server.client.take()
    server.h2.send_data(early.id, framed(b"last words"))
    server.end(early, 0)
    assert server.exchange() == [early]
    assert early.take_messages() == [b"last words"]
    assert early.status == Status(0)


def test_whatever_ends_a_call_after_goaway_its_reason_is_told() -> None:
    for ends in ("reset", "lost"):
        server = Server()
        call = server.client.call("/x", b"")
        server.exchange()
        server.client.feed(goaway(2**31 - 1, 11, b"too_many_pings"))
        assert call.status is None
        if ends == "reset":
            server.h2.reset_stream(call.id, 8)
            server.exchange()
        else:
            server.client.lost("the connection was closed")
        assert call.status == Status(
            UNAVAILABLE, "the server closed the connection (code 11 too_many_pings)"
        )


def test_a_fault_after_messages_keeps_them_and_ends_the_call() -> None:
    """All in one read, as a server that is killed sends it."""
    server = Server()
    call = server.client.call("/x", b"")
    server.exchange()
    server.respond(call)
    server.h2.send_data(call.id, framed(b"heard"))
    wire = server.h2.data_to_send()
    for junk in (b"\xff" * 40, PING[:5] + b"\0\0\0\7" + PING[9:], b"\0\0\4\7\0\0\0\0\0abcd"):
        connection = Server()
        call = connection.client.call("/x", b"")
        connection.exchange()
        assert connection.client.feed(wire + junk) == [call]
        assert call.take_messages() == [b"heard"]
        assert call.status is not None
        assert call.status.code == UNAVAILABLE
        assert "does not speak HTTP/2" in call.status.message
        assert connection.client.closed == call.status.message
        assert connection.client.feed(wire) == []


def test_a_cancelled_call_hears_nothing_more() -> None:
    server = Server()
    call, other = server.client.call("/x", b""), server.client.call("/y", b"")
    server.exchange()
    server.respond(call)
    server.h2.send_data(call.id, framed(b"late"))
    server.client.cancel(call)
    server.client.cancel(call)
    touched = server.exchange()
    assert server.resets == [call.id]
    assert touched == []
    server.respond(other)
    server.h2.send_data(other.id, framed(b"fine"))
    server.exchange()
    assert other.take_messages() == [b"fine"]


def test_a_lost_connection_ends_calls_as_unavailable() -> None:
    server = Server()
    call = server.client.call("/x", b"")
    server.client.lost("cable cut")
    assert call.status == Status(UNAVAILABLE, "cable cut")
    server.client.lost("again")
    assert server.client.closed == "cable cut"


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28" + b"\0" * 20,
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\0\0\x04\x63\0\0\0\0\0abcd" + b"\xff" * 30,
    ],
)
def test_other_protocols_are_named(junk: bytes) -> None:
    connection = GrpcConnection("h")
    call = connection.call("/x", b"")
    assert connection.feed(junk) == [call]
    assert "does not speak HTTP/2" in str(connection.closed)


FRAMES = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload
    ),
    kind=st.integers(0, 10),
    flags=st.sampled_from([0, 1, 4, 5, 8, 9, 32]),
    stream=st.sampled_from([0, 1, 1, 1, 2, 3, 5]),
    payload=st.binary(max_size=20) | st.sampled_from([b"\0" * 8, framed(b"x"), b"\x88"]),
)


@settings(deadline=None)
@given(st.lists(FRAMES | st.binary(max_size=60), max_size=12), st.integers(1, 80))
def test_junk_never_breaks_out_and_no_end_is_lost(junk: list[bytes], step: int) -> None:
    """Each call that is not open any more was returned with its status, once."""
    server = Server()
    calls = [server.client.call("/x", b"") for _ in range(2)]
    server.exchange()
    ends: list[int] = []
    wire = b"".join(junk)
    for at in range(0, len(wire), step):
        touched = server.client.feed(wire[at : at + step])
        ends += [call.id for call in touched if call.status is not None]
    if server.client.closed is not None:
        assert server.client.calls == {}
    assert sorted(ends) == [call.id for call in calls if call.id not in server.client.calls]


def test_frames_larger_than_allowed_are_refused() -> None:
    server = Server()
    server.client.feed((http2.MAX_FRAME + 1).to_bytes(3, "big") + b"\0" * 6)
    assert "a frame of" in str(server.client.closed)


def test_a_request_larger_than_the_window_is_refused_and_a_long_one_is_cut_in_frames() -> None:
    server = Server()
    call = server.client.call("/x")
    server.client.send(call, b"z" * 40_000)
    server.exchange()
    assert server.received[call.id] == framed(b"z" * 40_000)
    with pytest.raises(TransportError, match="does not fit the window"):
        server.client.send(call, b"z" * 100_000)
