"""Calls to one gRPC server over any byte pipe, on the event loop that all of them share.

One thread with one asyncio loop carries every connection of every environment: a hundred nodes
times ten sessions are sockets and buffers, not threads. Blocking callers (the sources) hand in
coroutines with `NativeLoop.run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from igdash.domain.threads import spawn
from igdash.sources.native.http2 import (
    INTERNAL,
    UNAVAILABLE,
    Call,
    GrpcConnection,
    Status,
    TransportError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

COALESCE: Final = 0.02
"""Seconds to leave a socket alone after a small read, so that a busy stream costs 50 wake-ups a
second, not one per event. The kernel's receive buffer and the HTTP/2 window hold far more."""
SMALL_READ: Final = 65_536
QUIET: Final = 10.0
"""Seconds without a byte after which the server is asked for a sign of life."""
PATIENCE: Final = 15.0
"""Seconds that sign may take. Together: a path that swallows everything is found within 30 s."""
CLOSING: Final = 1.0
"""Seconds a closed connection may take to be gone."""
SIGN_OF_LIFE: Final = ("/api.BuiltInGadgetManager/GetInfo", b"\n\x031.0")
"""A call that every server answers at once. Not a ping: Inspektor Gadget ends connections that ping
more often than every 5 minutes. A server that shuts down takes no call any more; it is sent settings,
which it must acknowledge."""


class GrpcFailure(Exception):
    """A call ended with a status other than OK."""

    def __init__(self, status: Status) -> None:
        self.status = status
        super().__init__(status.message or f"gRPC status {status.code}")


class Pipe(Protocol):
    """Bytes to and from one server, however they travel."""

    def write(self, data: bytes) -> None:
        """Send, buffered."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read again."""

    def close(self) -> None:
        """End it; `GrpcClient.connection_lost` follows."""


OnMessages = Callable[[list[bytes]], None]
OnEnd = Callable[[Status], None]


class GrpcClient(asyncio.Protocol):
    """One connection and its calls. Lives on the loop; nothing here is thread-safe."""

    def __init__(self, authority: str) -> None:
        self._grpc = GrpcConnection(authority)
        self._pipe: Pipe | None = None
        self._streams: dict[int, tuple[OnMessages, OnEnd]] = {}
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._watch: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._down: asyncio.Future[None] = self._loop.create_future()

    # -- the pipe's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take an asyncio transport as the pipe."""
        assert isinstance(transport, asyncio.Transport)
        self.attach(_TransportPipe(transport))

    def attach(self, pipe: Pipe) -> None:
        """Use this pipe from now on."""
        self._pipe = pipe
        self._flush()
        self._touch()

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the calls."""
        touched = self._grpc.feed(data)
        for call in touched:
            self._deliver(call)
        self._flush()
        if self._grpc.closed is not None:
            self._gone(self._grpc.closed)
        elif len(data) < SMALL_READ and any(call.id in self._streams for call in touched):
            self._breathe()
        self._touch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed: every call ends UNAVAILABLE."""
        self._gone(_why(exc))
        if not self._down.done():
            self._down.set_result(None)

    # -- the callers' side

    @property
    def takes_calls(self) -> bool:
        """Whether a call may be begun: not on what is lost, nor on a server that shuts down."""
        return self._grpc.closed is None and self._grpc.going is None and not self.lost.done()

    async def unary(self, method: str, request: bytes, *, timeout: float) -> bytes:
        """Return the answer of a unary call. Raises `GrpcFailure`, `TimeoutError`."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        received: list[bytes] = []

        def ended(status: Status) -> None:
            if answer.done():
                return
            if status.code == 0 and received:
                answer.set_result(received[0])
                return
            if status.code == 0:
                # Nobody must take a call that failed for one that ended in order.
                status = Status(INTERNAL, f"the server ended {method} without an answer")
            answer.set_exception(GrpcFailure(status))

        call = self.stream(method, request, received.extend, ended, end=True)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            if not answer.done() or answer.cancelled():
                self.cancel(call)

    def stream(
        self,
        method: str,
        request: bytes,
        on_messages: OnMessages,
        on_end: OnEnd,
        *,
        end: bool = False,
    ) -> Call | None:
        """Begin a streaming call; callbacks run on the loop. None = it ended at once."""
        if not self.takes_calls:
            why = self._grpc.closed or self._grpc.going or "the connection was closed"
            on_end(Status(UNAVAILABLE, why))
            return None
        call: Call | None = None
        try:
            call = self._grpc.call(method)
            self._grpc.send(call, request, end=end)
        except TransportError as error:
            if call is not None:
                self._grpc.cancel(call)
            on_end(Status(error.code, str(error)))
            call = None
        else:
            self._streams[call.id] = (on_messages, on_end)
        self._flush()
        return call

    def send(self, call: Call, message: bytes) -> None:
        """Send one more message on an open call, or end it when that cannot be; nothing happens when
        it has ended."""
        if call.status is not None or self._grpc.closed is not None:
            return
        try:
            self._grpc.send(call, message)
        except TransportError as error:
            _, on_end = self._streams[call.id]
            self.cancel(call)
            on_end(Status(error.code, str(error)))
        self._flush()

    def cancel(self, call: Call | None) -> None:
        """Give a call up without its `on_end`."""
        if call is not None and self._streams.pop(call.id, None) is not None:
            self._grpc.cancel(call)
            self._flush()

    def close(self) -> None:
        """Close the connection."""
        self._gone("closed by igdash")

    async def aclose(self) -> None:
        """Close the connection and wait until it is gone."""
        self.close()
        await asyncio.wait((self._down,), timeout=CLOSING)

    # -- inside

    def _deliver(self, call: Call) -> None:
        handlers = self._streams.get(call.id)
        if handlers is None:
            return
        on_messages, on_end = handlers
        try:
            if call.messages:
                on_messages(call.take_messages())
        except Exception as error:
            # Other sessions' calls are on this connection, too: they must hear what came for them.
            log.exception("taking the messages of a call failed")
            self.cancel(call)
            on_end(Status(INTERNAL, f"igdash itself failed: {error}"))
            return
        if call.status is not None:
            self._streams.pop(call.id, None)
            on_end(call.status)

    def _flush(self) -> None:
        out = self._grpc.take()
        if out and self._pipe is not None:
            self._pipe.write(out)

    def _breathe(self) -> None:
        if self._pipe is not None:
            pipe = self._pipe
            pipe.pause()
            self._loop.call_later(COALESCE, pipe.resume)

    def _touch(self) -> None:
        """There are signs of life: look again after some quiet."""
        self._heard = self._loop.time()
        if self._watch is None and not self.lost.done():
            self._watch = self._loop.call_later(QUIET, self._ask)

    def _ask(self) -> None:
        self._watch = None
        quiet = self._loop.time() - self._heard
        if self.lost.done():
            return
        if quiet < QUIET:
            self._watch = self._loop.call_later(QUIET - quiet, self._ask)
            return
        if self.takes_calls:
            method, request = SIGN_OF_LIFE
            self.stream(method, request, lambda _: None, lambda _: None, end=True)
        else:
            self._grpc.nudge()
            self._flush()
        self._watch = self._loop.call_later(PATIENCE, self._judge, self._heard)

    def _judge(self, heard: float) -> None:
        self._watch = None
        if self._heard == heard:
            self._gone(f"no sign of life for {QUIET + PATIENCE:.0f} s")
        else:
            self._ask()

    def _gone(self, why: str) -> None:
        if self.lost.done():
            return
        self._grpc.lost(why)
        why = self._grpc.closed or why
        self.lost.set_result(why)
        if self._watch is not None:
            self._watch.cancel()
        # Whoever has a call here must hear of its end, or would wait for ever.
        streams, self._streams = self._streams, {}
        for _, on_end in streams.values():
            on_end(Status(UNAVAILABLE, why))
        if self._pipe is not None:
            self._pipe.close()


def _why(exc: Exception | None) -> str:
    """Return why a connection ended. With TLS 1.3 a server refuses our certificate only after the
    handshake, so that comes out here."""
    if isinstance(exc, ssl.SSLError):
        reason = (exc.reason or str(exc)).replace("_", " ").lower()
        wants = "certificate required" in reason
        return f"the server {'wants a client certificate' if wants else 'refuses our certificate'} ({reason})"
    if isinstance(exc, ConnectionResetError):
        return "the connection was reset"
    return str(exc) if exc else "the connection was closed"


class _TransportPipe:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pause(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()


class NativeLoop:
    """The one thread with the one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = spawn("native-loop", self._work)
        self._ready.wait(5)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there; its result is in the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Cancel what runs and end the thread."""

        async def drain() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(Exception):
            self.run(drain()).result(6)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


Connect = Callable[[], Awaitable[GrpcClient]]
"""Opens a connection to one server. Raises `OSError` or `ssl.SSLError` with a readable reason."""
