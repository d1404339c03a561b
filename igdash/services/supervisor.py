"""The parent of collect and web: starts both, restarts what dies, stops them in order.

It imports no Dash and no database, so nothing that can go wrong in them takes it down. Each child
has a pipe from us as its stdin: when we die, even by SIGKILL, the pipe ends and the child stops by
itself; no collector is left behind that nobody owns. Children run in sessions of their own, so
that a Ctrl-C reaches us alone and we decide the order of stopping.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igdash.domain.threads import spawn

log = logging.getLogger(__name__)

EXIT_REFUSED: Final = 3
"""Exit code of a child that said what is wrong and would say the same again. It ends everything
at the start; later on, when it has worked already, the other child goes on and this one is tried
again: a port that someone took while the web process was down is no reason to stop collecting."""
READY: Final = b"ready\n"
"""What a child writes to stdout once it works."""
FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 10.0
STEADY: Final = 60.0
"""A child that lived this long (s) starts again with the shortest delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run. `after` names the child that must be ready (or dead) first; `grace` is how many
    seconds it gets between SIGTERM and SIGKILL."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    after: str = ""
    grace: float = 10.0


class Supervisor:
    """Runs children until told to stop. `run` belongs to one thread; `stop` may come from any,
    and from a signal handler."""

    def __init__(self, children: Sequence[Child], *, cwd: Path | None = None) -> None:
        self._keepers = [_Keeper(child, self, cwd) for child in children]
        self._wake = threading.Event()
        self._stopping = False
        self._refused = False

    def run(self) -> int:
        """Keep the children running; return 0 after a stop, 1 when a child refused to run."""
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._is_over():
                self._wake.clear()
                wait = min((keeper.look() for keeper in self._keepers), default=MAX_DELAY)
                if not self._is_over():
                    self._wake.wait(wait)
        finally:
            for keeper in self._keepers:
                keeper.end()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return 1 if self._refused else 0

    def stop(self) -> None:
        """Ask `run` to stop the children and return."""
        self._stopping = True
        self._wake.set()

    def refuse(self) -> None:
        """Note that a child will never run; `run` ends with 1."""
        self._refused = True

    def wake(self) -> None:
        """Make `run` look at the children now."""
        self._wake.set()

    def is_past_start(self, name: str) -> bool:
        """Whether the child is ready, or died once, so that others need not wait for it."""
        return any(k.child.name == name and k.past_start for k in self._keepers)

    def _is_over(self) -> bool:
        return self._stopping or self._refused

    def _on_signal(self, number: int, _frame: object) -> None:
        log.info("%s: stopping, running sessions go on at the next start", signal.strsignal(number))
        self.stop()


class _Keeper:
    """One child through its lives. All methods are called by the supervisor's thread."""

    def __init__(self, child: Child, supervisor: Supervisor, cwd: Path | None) -> None:
        self.child = child
        self.past_start = False
        self._worked = False
        self._supervisor = supervisor
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._delay = FIRST_DELAY
        self._born = 0.0
        self._next = 0.0

    def look(self) -> float:
        """Start it when it is time, notice its death; return how many seconds nothing is due."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return MAX_DELAY
            _hang_up(self._process)
            self._process = None
            if not self._buried(code):
                return MAX_DELAY
        if self.child.after and not self._supervisor.is_past_start(self.child.after):
            return MAX_DELAY
        wait = self._next - time.monotonic()
        return wait if wait > 0 else self._start()

    def _start(self) -> float:
        try:
            self._process, self._born = self._open(), time.monotonic()
        except (OSError, RuntimeError):
            # What ended the child, such as a lack of memory or threads, may still last. Others go on.
            self.past_start = True
            wait = self._put_off()
            log.exception("%s cannot be started; trying again in %.1f s", self.child.name, wait)
            return wait
        return MAX_DELAY

    def _open(self) -> subprocess.Popen[bytes]:
        """Return it started. Raises `OSError`, `RuntimeError` when there is no room for it."""
        process = subprocess.Popen(
            list(self.child.argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(self.child.environ),
            cwd=self._cwd,
            start_new_session=True,
        )
        log.debug("%s is process %d", self.child.name, process.pid)
        try:
            spawn(f"await-{self.child.name}", lambda: self._await(process))
            spawn(f"listen-{self.child.name}", lambda: self._listen(process))
        except RuntimeError:  # nobody would hear it say that it is ready
            process.kill()
            process.wait()
            _hang_up(process)
            assert process.stdout is not None
            process.stdout.close()
            raise
        return process

    def _put_off(self) -> float:
        """Have it started again after a while, each time a longer one; return how long (s)."""
        wait = self._delay
        self._next = time.monotonic() + wait
        self._delay = min(wait * 2, MAX_DELAY)
        return wait

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Read what the child says, in a thread of its own."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line == READY:
                    self.past_start = self._worked = True
                    self._supervisor.wake()

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        """Wake the supervisor when the child is dead. Not done by `_listen`: a process that the
        child left behind may hold its stdout open."""
        process.wait()
        self._supervisor.wake()

    def _buried(self, code: int) -> bool:
        """Take note of its death; return whether it is to live again."""
        lived = time.monotonic() - self._born
        self.past_start = True
        if code == EXIT_REFUSED and not self._worked:
            self._supervisor.refuse()
            return False
        self._delay = FIRST_DELAY if lived > STEADY else self._delay
        log.error(
            "%s ended after %.1f s (%s); starting it again in %.1f s",
            self.child.name,
            lived,
            _cause(code),
            self._put_off(),
        )
        return True

    def end(self) -> None:
        """Stop the child: SIGTERM, its grace, SIGKILL. Waits until it is dead."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.child.grace)
        if process.poll() is None:
            log.error("%s did not end within %.0f s: killed", self.child.name, self.child.grace)
            process.kill()
            process.wait()
        _hang_up(process)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    """Close our end of a dead child's stdin."""
    if process.stdin is not None:
        process.stdin.close()


def _cause(code: int) -> str:
    """Return what an exit code means, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
