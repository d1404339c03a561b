"""Durations as Go writes them, which is how Inspektor Gadget tells its intervals."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def go_duration(text: str) -> int:
    """Return the nanoseconds of `1s`, `1000ms`, `1m30s` …, 0 for `0` and for what is no duration."""
    if not text or _PIECE.sub("", text):
        return 0
    return int(sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text)))
