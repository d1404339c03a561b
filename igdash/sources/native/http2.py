"""gRPC's client side without threads: bytes in, calls' messages out.

A gadget's stream is a long run of small messages. The general gRPC library spends 60 to 150 µs of
CPU on each of them in Python (measured: benchmarks/native_transport.py) and keeps threads per
connection; igdash reads hundreds of streams. So the protocol's rare parts (settings, headers,
trailers, ping) are left to the `h2` library. DATA frames, which are nearly all bytes, take a short
cut here: their payload goes to the call's buffer, and flow control is credited back in big steps.
GOAWAY is ours, too: the library takes it for the end of everything, while a server that shuts down
says it first and then still sends what it has.

Sans-IO: the owner feeds what it received and sends what `take` returns. Not thread-safe.
Facts used: RFC 9113 (frames, flow control), gRPC's PROTOCOL-HTTP2.md (five-byte message prefix,
`grpc-status` and `grpc-message` in the trailers).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

WINDOW: Final = 16 * 1024 * 1024
"""Receive window of the connection and of each call, bytes. The server's queue, not this, is the
place where a slow reader loses events, and there they are counted."""
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Largest gRPC message taken, bytes: arrays of 20,000 rows pass the usual 4 MiB (protocol.md 3.1)."""

MAX_FRAME: Final = 16_384
"""Largest frame a peer may send: we never allowed more."""

_NO_HTTP2: Final = "the peer does not speak HTTP/2 as expected"
_FRAME_HEADER: Final = 9
_DATA: Final = 0
_GOAWAY: Final = 7
_END_STREAM: Final = 0x1
_PADDED: Final = 0x8
_PREFIX: Final = struct.Struct(">BI")
_GOAWAY_HEAD: Final = struct.Struct(">II")


UNAVAILABLE: Final = 14
UNKNOWN: Final = 2
INVALID: Final = 3
INTERNAL: Final = 13


class TransportError(Exception):
    """A request cannot be sent, or the connection is of no more use; the text says why.

    `code` is gRPC's status of a call that ends of it.
    """

    def __init__(self, why: str, code: int = UNAVAILABLE) -> None:
        self.code = code
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended: gRPC's status code (0 = OK) and message."""

    code: int
    message: str = ""


CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


@dataclass(slots=True)
class Call:
    """One call on the connection. `messages` are those received since `take_messages`."""

    id: int
    buffer: bytearray = field(default_factory=bytearray)
    messages: list[bytes] = field(default_factory=list)
    uncredited: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    status: Status | None = None

    def take_messages(self) -> list[bytes]:
        """Return and forget the whole messages received so far."""
        taken, self.messages = self.messages, []
        return taken

    def data(self, payload: bytes | memoryview) -> None:
        """Add stream bytes and cut whole messages out of them."""
        buffer = self.buffer
        buffer += payload
        at, end = 0, len(buffer)
        while end - at >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(buffer, at)
            if compressed or length > MAX_MESSAGE:
                raise TransportError(
                    f"a gRPC message of {length:,} bytes (compressed: {compressed}) was refused"
                )
            stop = at + _PREFIX.size + length
            if stop > end:
                break
            self.messages.append(bytes(buffer[at + _PREFIX.size : stop]))
            at = stop
        if at:
            del buffer[:at]


class GrpcConnection:
    """One HTTP/2 connection with its calls.

    `closed` is why it is of no more use, `going` why no call may be begun any more while those it
    has go on; None = it is not so.
    """

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, header_encoding="utf-8", validate_inbound_headers=False
            )
        )
        self._received = bytearray()
        self._extra = bytearray()
        self._uncredited = 0
        self.calls: dict[int, Call] = {}
        self.pongs = 0
        self.closed: str | None = None
        self.going: str | None = None
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
            },
        )
        self._h2.initiate_connection()
        self._extra += _window_update(0, WINDOW)

    # -- calls

    def call(self, method: str, message: bytes | None = None, *, end: bool = False) -> Call:
        """Begin a call of `/package.Service/Method`, with its first message; `end` half-closes it.

        Raises `TransportError` when the peer takes no more at the moment.
        """
        headers = [
            (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", self._authority),
            ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "igdash"),
        ]  # fmt: skip
        try:
            number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(number, headers)
        except h2.exceptions.ProtocolError as error:
            raise TransportError(f"the server takes no more calls now: {error}") from error
        call = self.calls[number] = Call(number)
        if message is not None:
            self.send(call, message, end=end)
        return call

    def send(self, call: Call, message: bytes, *, end: bool = False) -> None:
        """Send one more message on a call. Our requests are small: they fit the window, unless many
        were sent at a time and the peer did not take them yet. Raises `TransportError` then."""
        frame = _PREFIX.pack(0, len(message)) + message
        size = self._h2.max_outbound_frame_size
        room = self._h2.local_flow_control_window(call.id)
        if len(frame) > room:
            never = len(frame) > self._h2.remote_settings.initial_window_size
            raise TransportError(
                f"a request of {len(frame):,} bytes does not fit the window of {room:,}",
                INVALID if never else UNAVAILABLE,
            )
        parts = [frame[at : at + size] for at in range(0, len(frame), size)]
        for part in parts[:-1]:
            self._h2.send_data(call.id, part)
        self._h2.send_data(call.id, parts[-1], end_stream=end)

    def cancel(self, call: Call) -> None:
        """Give a call up."""
        if self.calls.pop(call.id, None) is not None and self.closed is None:
            self._h2.reset_stream(call.id, h2.errors.ErrorCodes.CANCEL)

    def ping(self) -> None:
        """Send a ping; `pongs` counts the answers."""
        self._h2.ping(b"igdash..")

    def nudge(self) -> None:
        """Send settings that change nothing: the peer must acknowledge them (RFC 9113, 6.5.3)."""
        self._h2.update_settings({})

    # -- bytes

    def take(self) -> bytes:
        """Return what is to be sent now."""
        out = self._h2.data_to_send()
        if self._extra:
            out += bytes(self._extra)
            self._extra.clear()
        return out

    def feed(self, data: bytes) -> list[Call]:
        """Take received bytes; return the calls with new messages or an end.

        When the peer does not keep to the protocol, that is the end of every call, with the reason
        in `closed`: the messages before it are among what is returned. Bytes after it are ignored.
        """
        touched: dict[int, Call] = {}
        if self.closed is None:
            self._received += data
            try:
                self._frames(touched)
            except TransportError as error:
                self.lost(str(error), touched)
            except (h2.exceptions.ProtocolError, UnicodeDecodeError) as error:
                self.lost(f"{_NO_HTTP2}: {error}", touched)
        return list(touched.values())

    def _frames(self, touched: dict[int, Call]) -> None:
        """Take the whole frames that were received. Raises what ends the connection."""
        received = self._received
        at, end = 0, len(received)
        control = bytearray()
        with memoryview(received) as view:
            while end - at >= _FRAME_HEADER:
                length = int.from_bytes(view[at : at + 3], "big")
                if length > MAX_FRAME:
                    raise TransportError(f"{_NO_HTTP2}: a frame of {length:,} bytes")
                start, stop = at + _FRAME_HEADER, at + _FRAME_HEADER + length
                if stop > end:
                    break
                call = self._data_call(view, at)
                if call is None and view[at + 3] != _GOAWAY:
                    control += view[at:stop]
                else:
                    self._control(control, touched)
                    if call is None:
                        self._go_away(bytes(view[start:stop]), touched)
                    else:
                        touched[call.id] = call
                        call.data(view[start:stop])
                        self._credit(call, length)
                at = stop
        if at:
            del received[:at]
        self._control(control, touched)

    def _data_call(self, view: memoryview, at: int) -> Call | None:
        """Return the call whose plain DATA frame begins at `at`; None = the library's business."""
        if view[at + 3] != _DATA or view[at + 4] & (_END_STREAM | _PADDED):
            return None
        return self.calls.get(int.from_bytes(view[at + 5 : at + 9], "big") & 0x7FFF_FFFF)

    def _credit(self, call: Call, length: int) -> None:
        call.uncredited += length
        self._uncredited += length
        if call.uncredited >= WINDOW // 4:
            self._extra += _window_update(call.id, call.uncredited)
            call.uncredited = 0
        if self._uncredited >= WINDOW // 4:
            self._extra += _window_update(0, self._uncredited)
            self._uncredited = 0

    def _control(self, data: bytearray, touched: dict[int, Call]) -> None:
        """Have the library take the frames in `data`, and empty it."""
        if not data:
            return
        events = self._h2.receive_data(bytes(data))
        data.clear()
        for event in events:
            self._event(event, touched)

    def _go_away(self, payload: bytes, touched: dict[int, Call]) -> None:
        """The server shuts down: it answers the calls up to the one it names, and no other."""
        if len(payload) < _GOAWAY_HEAD.size:
            raise TransportError(f"{_NO_HTTP2}: a GOAWAY of {len(payload)} bytes")
        last, code = _GOAWAY_HEAD.unpack_from(payload)
        detail = payload[_GOAWAY_HEAD.size :].decode("utf-8", "replace")
        self.going = f"the server closed the connection (code {code} {detail}".rstrip() + ")"
        for number in [number for number in self.calls if number > last & 0x7FFF_FFFF]:
            self._end(number, Status(UNAVAILABLE, self.going), touched)

    def _event(self, event: h2.events.Event, touched: dict[int, Call]) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            self._headers(event.stream_id, event.headers or [], touched)
        elif isinstance(event, h2.events.DataReceived):
            if call := self.calls.get(event.stream_id):
                call.data(event.data or b"")
                touched[call.id] = call
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._end(
                event.stream_id,
                Status(INTERNAL, "the server ended the call without a status"),
                touched,
            )
        elif isinstance(event, h2.events.StreamReset):
            self._end(
                event.stream_id,
                Status(UNAVAILABLE, self.going or f"stream reset (HTTP/2 code {event.error_code})"),
                touched,
            )
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1

    def _headers(
        self, number: int, headers: Sequence[tuple[Any, ...]], touched: dict[int, Call]
    ) -> None:
        call = self.calls.get(number)
        if call is None:
            return
        call.headers.update({str(name): str(value) for name, value in headers})
        http = call.headers.get(":status", "200")
        if "grpc-status" in call.headers:
            code = (
                int(call.headers["grpc-status"])
                if call.headers["grpc-status"].isdecimal()
                else UNKNOWN
            )
            self._end(number, Status(code, unquote(call.headers.get("grpc-message", ""))), touched)
        elif http != "200":
            self._end(
                number, Status(UNAVAILABLE, f"HTTP status {http} instead of a gRPC answer"), touched
            )

    def _end(self, number: int, status: Status, touched: dict[int, Call]) -> None:
        call = self.calls.pop(number, None)
        if call is not None:
            call.status = status
            touched[number] = call

    def lost(self, why: str, touched: dict[int, Call] | None = None) -> None:
        """The connection is gone: end every call as UNAVAILABLE, for the first reason told."""
        self.closed = self.closed or self.going or why
        for number in list(self.calls):
            self._end(number, Status(UNAVAILABLE, self.closed), {} if touched is None else touched)


def _window_update(stream: int, increment: int) -> bytes:
    return struct.pack(">BHBBII", 0, 4, 8, 0, stream, increment)
