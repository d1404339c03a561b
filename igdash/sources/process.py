"""A child process of a session: its output to chunks, and its end, gracefully or by force.

One thread per child. It reads in big pieces and pauses a moment after a small one, so that many
sessions with a thousand lines a second each do not cost a wake-up per line; the pipe is made wide
enough to hold what comes meanwhile. Chunks end at line ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.errors import SourceError
from igdash.domain.ports import Sink
from igdash.domain.sessions import SessionId
from igdash.domain.threads import spawn
from igdash.domain.times import now_ns

MAX_LINE: Final = 8 * 1024 * 1024
"""A longer line is handed over in pieces of this size, as nothing else bounds its memory."""
PIPE: Final = 1024 * 1024
SMALL: Final = 64 * 1024
PAUSE: Final = 0.015
"""Seconds to wait after a read of less than `SMALL` bytes."""
SETTLED: Final = 0.5
"""A child that lives this long (s) without a word counts as started."""
LINGER: Final = 1.0
"""How long (s) a pipe may stay open after the child's end, held by a child of its own."""

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR: Final = re.compile(r"(?:Error|panic|fatal error): (.*)")
_CAUSE: Final = "attaching eBPF program"
_ENOUGH: Final = 60
_MAX_REASON: Final = 500


class Lines:
    """One pipe of the child: bytes in, whole lines out."""

    def __init__(self, fd: int, kind: ChunkKind) -> None:
        self.fd = fd
        self.kind = kind
        self._rest = b""

    def read(self) -> tuple[bytes, int]:
        """Return the whole lines that are there now, and how much was read (0 = the end)."""
        data = os.read(self.fd, PIPE)
        if b"\n" not in data:
            self._rest += data
            return b"", len(data)
        cut = data.rfind(b"\n") + 1
        whole, self._rest = self._rest + data[:cut], data[cut:]
        return whole, len(data)

    def overlong(self) -> bool:
        """Whether the unfinished line must not be kept any longer."""
        return len(self._rest) > MAX_LINE

    def take_rest(self) -> bytes:
        """Return the unfinished line and forget it."""
        rest, self._rest = self._rest, b""
        return rest


class ProcessStream:
    """A gadget as a child process in a process group of its own. Implements `Stream`.

    Raises `SourceError` when the command cannot be run at all. `node` is what its chunks are marked
    with (events that name their node know better), `nodes` how many it covers (0 = not known). `process` is its pid and start time
    (clock ticks since boot), by which a later igdash knows it again. `gone` is called at its end.
    `tail` is what to record, if anything, about what a stop throws away.
    """

    def __init__(
        self,
        session: SessionId,
        argv: Sequence[str],
        sink: Sink,
        *,
        node: str = "",
        nodes: int = 0,
        gone: Callable[[], None] = lambda: None,
        tail: Callable[[int, bool], bytes | None] = lambda _at, _killed: None,
    ) -> None:
        self._argv = tuple(argv)
        self._sink = sink
        self._node = node
        self._nodes = nodes
        self._gone = gone
        self._tail = tail
        self._child = _popen(self._argv)
        self.process = identity(self._child.pid)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._stopped_at = 0
        self._plan: list[tuple[float, signal.Signals]] = []
        self._killed = False
        self._wake_read = self._wake_write = -1
        self._last: deque[str] = deque(maxlen=40)
        self._began = time.monotonic()
        self._started = False
        try:
            self._wake_read, self._wake_write = os.pipe()
            self._thread = spawn(f"gadget-{session}", self._run)
        except (OSError, RuntimeError) as error:  # no thread, no file to be had: nobody would read
            self._give_up()
            raise SourceError(f"igdash cannot read what it prints: {error}") from error

    def _give_up(self) -> None:
        _kill(self._child.pid, signal.SIGKILL, self._argv)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(LINGER)
        with contextlib.suppress(OSError):
            self._close()

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:  # noqa: ARG002
        """Interrupt it, terminate it at half of `timeout` s, kill it at the end of it."""
        now = time.monotonic()
        with self._lock:
            dues = {signal.SIGTERM: now + timeout / 2, signal.SIGKILL: now + timeout}
            if not self._stop.is_set():
                self._stopped_at = now_ns()
                self._plan = [(now, signal.SIGINT), *((due, sig) for sig, due in dues.items())]
            else:  # asked again: perhaps more urgently, but nothing is sent twice
                self._plan = [(min(due, dues.get(sig, due)), sig) for due, sig in self._plan]
            self._stop.set()
            with contextlib.suppress(OSError):
                os.write(self._wake_write, b".")

    def join(self, timeout: float) -> bool:
        """Wait until the child and its thread are gone."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            self._pump()
            code = self._wait()
            self._tell_tail()
            failed, reason = self._verdict(code)
        except Exception as error:  # noqa: BLE001 (the sink must hear of the end whatever happens)
            _kill(self._child.pid, signal.SIGKILL, self._argv)
            self._child.wait()
            failed, reason = True, f"igdash could not read on: {error}"
        self._close()
        self._gone()
        self._sink.ended(failed=failed, reason=reason)

    def _pump(self) -> None:
        """Hand over everything until both pipes are closed."""
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        with selectors.DefaultSelector() as selector:
            for pipe, kind in (
                (self._child.stdout, ChunkKind.JSON_LINES),
                (self._child.stderr, ChunkKind.LOG_LINES),
            ):
                _widen(pipe.fileno())
                lines = Lines(pipe.fileno(), kind)
                selector.register(pipe.fileno(), selectors.EVENT_READ, lines)
            selector.register(self._wake_read, selectors.EVENT_READ, None)
            exited = 0.0
            while len(selector.get_map()) > 1:
                ready = selector.select(self._patience())
                read = sum(self._serve(selector, key.data) for key, _ in ready)
                self._escalate()
                self._settle()
                exited = self._look_for_leftovers(exited)
                if exited and time.monotonic() - exited > 2 * LINGER:
                    for key in list(selector.get_map().values()):
                        self._hand_over_rest(key.data)
                    break  # a pipe is held by a process we may not end
                if 0 < read < SMALL:
                    self._stop.wait(PAUSE)

    def _serve(self, selector: selectors.BaseSelector, lines: Lines | None) -> int:
        if lines is None:
            os.read(self._wake_read, 4096)
            return 0
        whole, size = lines.read()
        if whole:
            self._hand_over(lines.kind, whole, partial=False)
        if size == 0 or lines.overlong():
            self._hand_over_rest(lines)
        if size == 0:
            selector.unregister(lines.fd)
        return size

    def _hand_over_rest(self, lines: Lines | None) -> None:
        if lines is not None and (rest := lines.take_rest()):
            self._hand_over(lines.kind, rest, partial=True)

    def _hand_over(self, kind: ChunkKind, data: bytes, *, partial: bool) -> None:
        if kind is ChunkKind.LOG_LINES:
            tail = data[-65_536:].decode("utf-8", "backslashreplace")
            self._last.extend(line for line in tail.splitlines() if line.strip())
        elif not self._started:
            self._start()
        self._sink.chunk(
            Chunk(
                kind=kind,
                received=now_ns(),
                data=data,
                node=self._node,
                partial=partial,
                assumed=True,
            )
        )

    def _patience(self) -> float:
        """Return how long (s) to wait for output before looking at the clock again."""
        now = time.monotonic()
        dues = [due for due, _ in self._plan]
        if not self._started:
            dues.append(self._began + SETTLED)
        return max(0.0, min([now + LINGER, *dues]) - now)

    def _settle(self) -> None:
        old_enough = time.monotonic() - self._began >= SETTLED
        if not self._started and old_enough and self._child.poll() is None:
            self._start()

    def _start(self) -> None:
        self._started = True
        if self._nodes:
            self._sink.nodes(expected=self._nodes, connected=self._nodes)
        self._sink.started()

    def _escalate(self) -> None:
        with self._lock:
            now = time.monotonic()
            due = [sig for at, sig in self._plan if at <= now]
            self._plan = self._plan[len(due) :]
        for sig in due:
            if self._child.returncode is None:  # else its pid may be somebody else's by now
                self._killed = self._killed or sig is signal.SIGKILL
                _kill(self._child.pid, sig, self._argv)

    def _look_for_leftovers(self, exited: float) -> float:
        """Return when the child was first seen ended (0 = it runs). Its group goes with it."""
        if not exited and self._child.poll() is not None:
            return time.monotonic()
        if exited and time.monotonic() - exited > LINGER:
            _kill(self._child.pid, signal.SIGKILL, self._argv)
        return exited

    def _wait(self) -> int:
        """Wait for the child's end: it closed its output, so there is nothing more to come."""
        if not self._stop.is_set():
            try:
                return self._child.wait(LINGER)
            except subprocess.TimeoutExpired:
                self.stop(timeout=2 * LINGER)
        while True:
            self._escalate()
            try:
                return self._child.wait(min(0.1, self._patience() or 0.1))
            except subprocess.TimeoutExpired:
                continue

    def _tell_tail(self) -> None:
        record = self._tail(self._stopped_at, self._killed) if self._stopped_at else None
        if record is not None:
            self._sink.chunk(Chunk(kind=ChunkKind.LOSS, received=now_ns(), data=record))

    def _verdict(self, code: int) -> tuple[bool, str]:
        if self._stopped_at:
            return False, "it did not end in time and was killed" if self._killed else ""
        if code == 0:
            return False, "the gadget ended by itself"
        return True, why_failed(list(self._last), code)

    def _close(self) -> None:
        with self._lock:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()


def _popen(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
    hint = "install it, or correct the environment's `command`"
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise SourceError(f"there is no command {argv[0]!r}: {hint}") from error
    except PermissionError as error:
        raise SourceError(f"command {argv[0]!r} may not be executed: {hint}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"command {argv[0]!r} cannot be run: {error}") from error


def _widen(fd: int) -> None:
    """Make the pipe hold more; refused when the user has too many wide pipes already."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE)


def why_failed(log: Sequence[str], code: int) -> str:
    """Return why a gadget failed, from the last lines of its log: the cause first, its context after.

    IG chains errors with `: `, the cause last, behind hundreds of characters of context.
    """
    plain = [_ANSI.sub("", line).strip() for line in log]
    found = next((m[1] for line in reversed(plain) if (m := _ERROR.match(line))), "")
    how = f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
    if not found:
        return f"{how}: {plain[-1][:_MAX_REASON]}" if plain else how
    return cause_first(found)


def cause_first(found: str) -> str:
    """Return one of IG's error texts with its last link in front of the context."""
    if len(found) <= 2 * _ENOUGH:
        return found
    at = found.rfind(_CAUSE)
    if at < 0:
        at = found.rfind(": ", 0, len(found) - _ENOUGH) + 2
    context = found[:at].removesuffix(": ")
    return f"{found[at:]} ({context})"[:_MAX_REASON] if at > 1 else found[:_MAX_REASON]


# ------------------------------------------------------------ signals and identity


def _kill(pid: int, sig: signal.Signals, argv: Sequence[str]) -> None:
    """Signal the process group; what runs through `sudo` belongs to root and needs sudo again."""
    try:
        os.killpg(pid, sig)
    except ProcessLookupError:
        return
    except PermissionError:
        if Path(argv[0]).name == "sudo":
            command = (argv[0], "-n", "kill", f"-{int(sig)}", "--", f"-{pid}")
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
                )


def identity(pid: int) -> tuple[int, int] | None:
    """Return pid and start time of a living process, None when it is gone (or /proc is missing)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return pid, int(fields[19])


def reap(pid: int, starttime: int, timeout: float, argv: Sequence[str] = ("",)) -> bool:
    """End a gadget process (and its group) that a killed igdash left behind.

    Nothing is done unless the process with this pid is still the one that began at `starttime`.
    Returns True when there was one and it is gone within `timeout` s.
    """
    if identity(pid) != (pid, starttime):
        return False
    pause, began = threading.Event(), time.monotonic()
    for share, sig in ((0.5, signal.SIGINT), (0.8, signal.SIGTERM), (1.0, signal.SIGKILL)):
        _kill(pid, sig, argv)
        while time.monotonic() - began < timeout * share:
            if identity(pid) != (pid, starttime):
                return True
            pause.wait(0.02)
    pause.wait(0.05)
    return identity(pid) != (pid, starttime)
