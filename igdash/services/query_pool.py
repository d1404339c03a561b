"""A few processes that answer questions to the history, so that the web process never does.

A scan of a session is Python over millions of rows: in the web process it would take the GIL from
every other request. Here a request's thread waits for a worker, then for its answer, and looks
meanwhile whether its client is still there. How many questions run and wait is bounded; whoever
comes too late is told so at once. Long questions never take the last worker, so that short ones
are answered beside them. A worker that does not answer in time, also to being told to stop, is
killed; the next question starts another.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from igdash.domain.errors import QueryBusy, QueryCancelled, StoreBusy
from igdash.services.frames import Frames, Gone
from igdash.services.query_worker import LAST, NEWS

log = logging.getLogger(__name__)

LOOK = 0.05
"""Seconds between two looks whether the client is still there."""

IsGone = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """`workers` processes; `waiting` more questions may wait, each `wait` s at most, a long one as
    long as it may take itself. A question of more than `long` s is a long one. A worker gets `start` s to begin, and `grace` s on top of a
    question's own time before it is killed; `mercy` s to stop when told to."""

    workers: int = 2
    waiting: int = 12
    wait: float = 10.0
    long: float = 5.0
    start: float = 30.0
    grace: float = 5.0
    mercy: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgram:
    """What to run as a worker, and the first message it is sent (where its store is)."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    hello: bytes


class Said(NamedTuple):
    """What a worker says: news of how far it has come, at last (`final`) the answer."""

    text: bytes
    final: bool


class Pool:
    """Hands questions to workers. Thread-safe; starts nothing before the first question."""

    def __init__(self, program: WorkerProgram, limits: PoolLimits | None = None) -> None:
        self._program = program
        self.limits = limits or PoolLimits()
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._starting = 0
        self._long = 0
        self._waiting = 0
        self._closed = False

    def ask(self, question: bytes, *, seconds: float, gone: IsGone) -> Iterator[Said]:
        """Yield what is said to a question that should take up to `seconds`, the answer last.

        Raises `QueryBusy` when there is no room, `QueryCancelled` once `gone()`, `StoreBusy` when
        the worker failed. Closing the iterator takes the question back.
        """
        long = seconds > self.limits.long
        patience = max(seconds, self.limits.wait) if long else self.limits.wait
        worker = self._take(gone, patience, long=long)
        try:
            with contextlib.closing(
                worker.ask(question, seconds + self.limits.grace, gone)
            ) as answered:
                said = next(answered)
                while not said.final:
                    yield said
                    said = next(answered)
        finally:
            self._give(worker, long=long)
        yield said  # to one who may take its time over it: nobody else waits for that

    def warm(self) -> None:
        """Start a worker unless there is one: it begins while the first question is being typed."""
        if self.pids():
            return
        with contextlib.suppress(QueryBusy):
            self._give(self._take(lambda: False, 0.0, long=False), long=False)

    def pids(self) -> tuple[int, ...]:
        """Return the processes there are now."""
        with self._changed:
            return tuple(worker.pid for worker in (*self._idle, *self._busy))

    def close(self) -> None:
        """End all workers; questions that run fail. Safe to call twice."""
        with self._changed:
            self._closed = True
            idle, busy = [*self._idle], [*self._busy]
            self._idle.clear()
            self._changed.notify_all()
        for worker in idle:
            worker.kill()
        for worker in busy:
            worker.end()

    # ------------------------------------------------------------ who is free

    def _take(self, gone: IsGone, patience: float, *, long: bool) -> _Worker:
        worker = self._free(gone, patience, long=long)
        if worker is not None:
            return worker
        try:
            worker = _Worker(self._program, self.limits)
        except BaseException:
            self._started(None, long=long)
            raise
        self._started(worker, long=long)
        return worker

    def _free(self, gone: IsGone, patience: float, *, long: bool) -> _Worker | None:
        """Return an idle worker, or None when one is to be started; wait for either."""
        with self._changed:
            if self._waiting >= self.limits.waiting and not self._room(long):
                raise QueryBusy(
                    f"{len(self._busy)} questions are being answered and {self._waiting} wait;"
                    " try again in a moment"
                )
            self._wait_for_room(gone, patience, long=long)
            self._long += long
            while self._idle:
                worker = self._idle.pop()
                if worker.alive():
                    self._busy.add(worker)
                    return worker
                worker.kill()
            self._starting += 1
            return None

    def _wait_for_room(self, gone: IsGone, patience: float, *, long: bool) -> None:
        until = time.monotonic() + patience
        self._waiting += 1
        try:
            while not self._room(long):
                if gone():
                    raise QueryCancelled("the client has left")
                if time.monotonic() > until:
                    raise QueryBusy(f"nobody was free for {patience:.0f} s; try again")
                self._changed.wait(LOOK)
        finally:
            self._waiting -= 1

    def _room(self, long: bool) -> bool:
        """Whether a question need not wait. Raises `QueryBusy` once closed."""
        if self._closed:
            raise QueryBusy("igdash is shutting down")
        running = len(self._busy) + self._starting
        return running < self.limits.workers and (
            not long or self._long < max(1, self.limits.workers - 1)
        )

    def _started(self, worker: _Worker | None, *, long: bool) -> None:
        with self._changed:
            self._starting -= 1
            if worker is None:
                self._long -= long
                self._changed.notify()
            else:
                self._busy.add(worker)

    def _give(self, worker: _Worker, *, long: bool) -> None:
        with self._changed:
            self._busy.discard(worker)
            self._long -= long
            keep = worker.usable and not self._closed
            if keep:
                self._idle.append(worker)
            self._changed.notify_all()
        if not keep:
            worker.kill()


class _Worker:
    """One process, used by one thread at a time."""

    def __init__(self, program: WorkerProgram, limits: PoolLimits) -> None:
        """Start it; it begins while we go on, also when nobody asks it for long: its time to begin
        counts from here."""
        self._limits = limits
        self._numbers = itertools.count(1)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                list(program.argv),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=dict(program.environ),
                start_new_session=True,
            )
        self._frames = Frames(ours)
        self._begun = False
        self.usable = True
        self._born = time.monotonic()
        with contextlib.suppress(Gone):  # the first who asks is told
            self._frames.send(next(self._numbers), program.hello, timeout=limits.grace)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def ask(self, question: bytes, seconds: float, gone: IsGone) -> Generator[Said, None, None]:
        """Yield what it says, the answer last; closed before that, it takes the question back.

        Raises `QueryCancelled`, `StoreBusy`; look at `usable` after.
        """
        self._begin(gone)
        number = next(self._numbers)
        until = time.monotonic() + seconds
        open_ = True
        try:
            self._say(number, question)
            while open_:
                said = self._hear(number, until, gone)
                open_ = not said.final
                yield said
        finally:
            if open_ and self.usable:
                self._take_back(number)

    def kill(self) -> None:
        """End it and hang up; for the thread that uses it. Safe to call twice."""
        self.end()
        self._frames.close()

    def end(self) -> None:
        """End it; a thread that waits for its answer is told so. Safe to call twice."""
        self.usable = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _begin(self, gone: IsGone) -> None:
        """Wait until it works. One who leaves meanwhile leaves it to the next."""
        if self._begun:
            return
        self._hear(1, self._born + self._limits.start, gone)
        self._begun = True

    def _say(self, number: int, payload: bytes) -> None:
        try:
            self._frames.send(number, payload, timeout=self._limits.grace)
        except Gone as error:
            raise self._failed("ended") from error

    def _hear(self, number: int, until: float, gone: IsGone) -> Said:
        try:
            while True:
                message = self._frames.receive(LOOK)
                if message is not None and message[0] == number:
                    return self._read(message[1])
                if gone():
                    raise QueryCancelled("the client has left")
                if time.monotonic() > until:
                    raise self._failed("did not answer in time")
        except Gone as error:
            raise self._failed("ended") from error

    def _take_back(self, number: int) -> None:
        """Tell it to stop, and keep it when it does."""
        until = time.monotonic() + self._limits.mercy
        with contextlib.suppress(Gone):
            self._frames.send(number, timeout=self._limits.mercy)
            while (left := until - time.monotonic()) > 0:
                message = self._frames.receive(left)
                if message is not None and message[0] == number and self._read(message[1]).final:
                    return
        self.usable = False

    def _read(self, message: bytes) -> Said:
        kind = message[:1]
        if kind == LAST:
            self.usable = False
        return Said(message[1:], kind != NEWS)

    def _failed(self, how: str) -> StoreBusy:
        self.usable = False
        code = self._process.poll()
        log.error("query worker %d %s (exit code %s)", self.pid, how, code)
        return StoreBusy(f"the process that answers this {how}; try again")
