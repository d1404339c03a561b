"""A statement's own process, seen from the one that asked: started, listened to, and always ended.

The child bounds itself (`sandbox.py`); here is what holds when it does not: it is killed at the
limit, when nobody waits any more, and when it says more than it may.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from igdash.domain.errors import (
    QueryCancelled,
    SqlError,
    SqlForbidden,
    SqlInvalid,
    SqlTimeout,
    SqlTooLarge,
    StoreBusy,
)
from igdash.domain.sql import SQL_BYTES

SCRIPT: Final = Path(__file__).with_name("sandbox.py")
GRACE: Final = 0.5
"""Seconds beyond the limit in which the child may still say that it was too slow."""
LOOK: Final = 0.05
"""Seconds between two looks whether somebody still waits."""
_SLACK: Final = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a statement's process said: names and types of columns, rows as JSON, how it ended."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    blocks: tuple[bytes, ...]
    rows: int
    truncated: bool
    elapsed_ms: float


def run(request: Mapping[str, Any], gone: Callable[[], bool], site: bool) -> Said:
    """Run one statement in a process of its own and return what it said.

    `site` lets it see installed packages. Raises `SqlError`, `QueryCancelled`, `StoreBusy`.
    """
    seconds = float(request["seconds"])
    options = ["-I"] if site else ["-I", "-S"]
    with _child([sys.executable, *options, str(SCRIPT)], inherit=site) as child:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.close()
        lines = _listen(child, time.monotonic() + seconds + GRACE, gone, seconds)
    return _said(lines, request)


@contextlib.contextmanager
def _child(argv: list[str], *, inherit: bool) -> Any:
    """Run a process that is gone when the block ends, whatever happened in it."""
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=None if inherit else {"LC_ALL": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _listen(
    child: subprocess.Popen[bytes], until: float, gone: Callable[[], bool], seconds: float
) -> list[bytes]:
    """Return all lines. Raises `SqlTimeout`, `SqlTooLarge`, `QueryCancelled`."""
    assert child.stdout is not None
    number = child.stdout.fileno()
    poll = select.poll()  # select() takes no file whose number is 1,024 or more
    poll.register(number, select.POLLIN)
    parts: list[bytes] = []
    size = 0
    while True:
        if gone():
            raise QueryCancelled("the statement was cancelled")
        if time.monotonic() > until:
            raise _too_slow(seconds)
        if not poll.poll(LOOK * 1000):
            continue
        part = os.read(number, 262_144)
        if not part:
            return b"".join(parts).splitlines()
        parts.append(part)
        size += len(part)
        if size > SQL_BYTES + _SLACK:
            raise SqlTooLarge("the answer is larger than it may be")


def _said(lines: list[bytes], request: Mapping[str, Any]) -> Said:
    if not lines or lines[-1][:1] != b"E":
        raise SqlTooLarge(_memory(request))  # it was ended: by the kernel, for what it took
    end = json.loads(lines[-1][1:])
    if "kind" in end:
        raise _error(end, request)
    names: list[str] = next((json.loads(line[1:]) for line in lines if line[:1] == b"C"), [])
    return Said(
        names=tuple(names),
        types=tuple(end["types"]),
        blocks=tuple(line[1:] for line in lines if line[:1] == b"R"),
        rows=int(end["rows"]),
        truncated=bool(end["truncated"]),
        elapsed_ms=float(end["ms"]),
    )


def _error(end: Mapping[str, Any], request: Mapping[str, Any]) -> SqlError | StoreBusy:
    kind, why, at = str(end["kind"]), str(end["why"]), int(end["position"])
    if kind == "time":
        return _too_slow(float(request["seconds"]))
    if kind == "memory":
        return SqlTooLarge(f"{_memory(request)}{f' ({why})' if why else ''}")
    if kind == "store":
        return StoreBusy(f"the database cannot answer now: {why}")
    return (SqlForbidden if kind == "forbidden" else SqlInvalid)(why, at)


def _too_slow(seconds: float) -> SqlTimeout:
    return SqlTimeout(
        f"the statement took longer than {seconds:g} s; give it a session_id and a range of seq or ts"
    )


def _memory(request: Mapping[str, Any]) -> str:
    return f"the statement needs more than the {int(request['memory']) >> 20} MiB it may use"
