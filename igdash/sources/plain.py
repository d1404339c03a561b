"""The fast way through a chunk of ordinary lines, which is nearly every chunk.

One call reads the heads of all lines, instead of two calls a line. The first place where the exact
text of `k8s` (`runtime`) stands with its key is cut out; should that be a nested twin of the
object's own member, then the same text comes back in the same place all the same, as long as no
token was in the line before. Whatever is not ordinary is left to the careful way in `decode`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from igdash.domain.events import TOKEN_K8S, TOKEN_RUNTIME, NewEvent, Origin
from igdash.domain.times import MAX_NS

_NOTHING: Final = msgspec.Raw(b"")


class Known(NamedTuple):
    """A pair of `k8s` and `runtime` texts as they stand in a line with their keys ("" = not cut),
    and the origin they make."""

    k8s: str
    runtime: str
    origin: Origin


class _Head(msgspec.Struct, gc=False):
    k8s: msgspec.Raw = _NOTHING
    runtime: msgspec.Raw = _NOTHING
    timestamp_raw: msgspec.Raw = _NOTHING


_heads: Final = msgspec.json.Decoder(_Head)


def plain_events(
    data: bytes,
    received: int,
    known: Callable[[bytes, bytes], Known],
    careful: Callable[[str], NewEvent],
    max_depth: int,
) -> list[NewEvent] | None:
    """Return the events of a chunk of whole lines; None when it is no plain one.

    `careful` reads one line about which there is doubt; what it raises goes through.
    """
    heads = _read_heads(data)
    lines = _read_lines(data, max_depth) if heads is not None else None
    if heads is None or lines is None or len(heads) != len(lines):
        return None
    wide = not data.isascii()
    events = []
    for line, head in zip(lines, heads, strict=True):
        one = known(bytes(head.k8s), bytes(head.runtime))
        text = _cut(line, one)
        if text is None:
            events.append(careful(line))
            continue
        size = len(line.encode()) if wide else len(line)
        raw = bytes(head.timestamp_raw)
        ts = int(raw) if 0 < len(raw) <= 19 and raw.isdigit() else 0
        events.append(NewEvent(ts if 0 < ts <= MAX_NS else received, one.origin, text, size))
    return events


def _read_heads(data: bytes) -> list[_Head] | None:
    if b"@" in data and (b'"@k8s"' in data or b'"@runtime"' in data):
        return None
    try:
        return _heads.decode_lines(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _read_lines(data: bytes, max_depth: int) -> list[str] | None:
    """Return the lines when each is an object not nested too deeply; None when one is not.

    Each begins and ends as an object does. As no value can go on from a `}` at a line's end to a
    `{` at the next one's start, as many values as lines means: one value a line.
    """
    if data[-1:] != b"\n":
        return None
    try:
        lines = data[:-1].decode().split("\n")
    except UnicodeDecodeError:
        return None
    if not all([line[:1] == "{" and line[-1:] == "}" for line in lines]):  # noqa: C419 - faster
        return None
    most = max([line.count("{") for line in lines])
    if b"[" in data:
        most += max([line.count("[") for line in lines])
    return lines if most <= max_depth else None


def _cut(line: str, one: Known) -> str | None:
    """Return the line with both texts replaced by their tokens; None = they are not there so."""
    k8s, runtime = one.k8s, one.runtime
    at = line.find(k8s)
    if k8s and runtime:
        after = at + len(k8s)
        then = line.find(runtime, after)
        if at >= 0 and then >= 0:
            rest = line[then + len(runtime) :]
            return f"{line[:at]}{TOKEN_K8S}{line[after:then]}{TOKEN_RUNTIME}{rest}"
        return None
    if not k8s and not runtime:
        return line
    only, token = (k8s, TOKEN_K8S) if k8s else (runtime, TOKEN_RUNTIME)
    at = line.find(only)
    return f"{line[:at]}{token}{line[at + len(only) :]}" if at >= 0 else None
