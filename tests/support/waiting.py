"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def patience(seconds: float) -> float:
    """Return the time that this many seconds of an idle machine may take on a busy one."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(condition: Callable[[], T], timeout: float = 10.0, every: float = 0.02) -> T:
    """Return the first truthy answer of `condition`.

    Raises `AssertionError` after `timeout` s, longer on a busy machine.
    """
    allowed = patience(timeout)
    end = time.monotonic() + allowed
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"still not true after {allowed:.1f} s: {condition!r}"
        time.sleep(every)


def no_thread(*_: object) -> None:
    """Stand in for `spawn` on a machine, or in a container, that gives no more threads."""
    raise RuntimeError("can't start new thread")
