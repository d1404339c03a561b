"""Statements of users: a few at once, each with a name by which it can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from igdash.domain.errors import InvalidQuery, QueryBusy, QueryCancelled, WrongState
from igdash.domain.ports import SqlReader
from igdash.domain.sql import SQL_ROWS, SqlAnswer, SqlQuery, SqlView

LOOK: Final = 0.05
"""Seconds between two looks whether somebody still waits for a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlLimits:
    """`at_once` statements run; `waiting` more may wait, each `wait` s at most."""

    at_once: int = 2
    waiting: int = 6
    wait: float = 5.0


class Sql:
    """Runs statements, bounded. Thread-safe."""

    def __init__(self, reader: SqlReader, limits: SqlLimits | None = None) -> None:
        self.reader = reader
        self.limits = limits or SqlLimits()
        self._changed = threading.Condition()
        self._running = 0
        self._waiting = 0
        self._named: dict[str, threading.Event] = {}

    def views(self) -> tuple[SqlView, ...]:
        """Return what can be read. Raises `StoreError`."""
        return self.reader.views()

    def run(self, query: SqlQuery, *, name: str = "", gone: Callable[[], bool]) -> SqlAnswer:
        """Run a statement; `cancel(name)` ends it. Raises `QueryBusy` and what `SqlReader` does."""
        if not 1 <= query.limit <= SQL_ROWS:
            raise InvalidQuery("limit", f"must be 1 to {SQL_ROWS}")
        with self._cancellable(name) as cancelled:

            def over() -> bool:
                return cancelled.is_set() or gone()

            with self._place(over):
                return self.reader.run(query, over)

    def cancel(self, name: str) -> bool:
        """End the statement of this name; return whether one runs."""
        with self._changed:
            event = self._named.get(name)
            if event is None:
                return False
            event.set()
            self._changed.notify_all()
            return True

    @contextmanager
    def _cancellable(self, name: str) -> Iterator[threading.Event]:
        event = threading.Event()
        if not name:
            yield event
            return
        with self._changed:
            if name in self._named:
                raise WrongState(f"a statement {name!r} is running already")
            self._named[name] = event
        try:
            yield event
        finally:
            with self._changed:
                del self._named[name]

    @contextmanager
    def _place(self, over: Callable[[], bool]) -> Iterator[None]:
        """Hold one of the places. Raises `QueryBusy`, `QueryCancelled`."""
        with self._changed:
            self._wait_for_place(over)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def _wait_for_place(self, over: Callable[[], bool]) -> None:
        most = self.limits.at_once
        if self._running >= most and self._waiting >= self.limits.waiting:
            raise QueryBusy(f"{most} statements are running and {self._waiting} wait; try again")
        until = time.monotonic() + self.limits.wait
        self._waiting += 1
        try:
            while self._running >= most:
                if over():
                    raise QueryCancelled("the statement was cancelled")
                if time.monotonic() > until:
                    raise QueryBusy(f"{most} statements are running; try again in a moment")
                self._changed.wait(LOOK)
        finally:
            self._waiting -= 1
