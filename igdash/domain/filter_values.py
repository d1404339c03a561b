"""Values in a filter: numbers, sizes (`10MiB`), durations (`5ms`), times, and back to text.

Everything is worked out on integers and fractions: a float would lose the last digits of a 64-bit
number.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

from igdash.domain.filters import Value, ValueKind
from igdash.domain.times import format_ns, parse_time

_DURATIONS: Final = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ns": 1,
}
_SIZES: Final = {
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "kB": 10**3,
    "KB": 10**3,
    "B": 1,
}
_PRINTED_DURATIONS: Final = ("h", "m", "s", "ms", "us")
_PRINTED_SIZES: Final = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB")
_MAX_DIGITS: Final = 64
_TIME: Final = len("2026-11-22T23:13:24.805647519Z")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,32}")
_DURATION: Final = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ns|[uµμ]s|ms|s|m|h|d))+)")
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|[uµμ]s|ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)([KMGT]iB|[kKMGT]?B)")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?")


def text_value(text: str) -> Value:
    """Return a text as a value."""
    return Value(kind=ValueKind.TEXT, value=text)


def bool_value(text: str) -> Value | None:
    """Return `true` or `false` as a value, None for anything else."""
    known = {"true": True, "false": False}
    return Value(kind=ValueKind.BOOL, value=known[text]) if text in known else None


def plain_number(text: str) -> Value | None:
    """Return a number without a unit, exact when it is whole; None when the text is none."""
    if len(text) > _MAX_DIGITS:
        return None
    if _HEX.fullmatch(text):
        return Value(kind=ValueKind.NUMBER, value=int(text, 16))
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[1] is None and match[2] is None:
        return Value(kind=ValueKind.NUMBER, value=int(text))
    number = float(text)
    return Value(kind=ValueKind.NUMBER, value=number) if math.isfinite(number) else None


def number(text: str) -> Value | None:
    """Return a number, size, duration or time as a value; None when the text is none of them."""
    return plain_number(text) or _measure(text) or moment(text)


def _measure(text: str) -> Value | None:
    if len(text) > _MAX_DIGITS:
        return None
    size = _SIZE.fullmatch(text)
    if size is not None:
        return _whole(ValueKind.SIZE, Fraction(size[1]) * _SIZES[size[2]])
    duration = _DURATION.fullmatch(text)
    if duration is None:
        return None
    parts = _DURATION_PART.findall(duration[2])
    total = sum((Fraction(count) * _DURATIONS[unit] for count, unit in parts), Fraction(0))
    return _whole(ValueKind.DURATION, -total if duration[1] else total)


def _whole(kind: ValueKind, exact: Fraction) -> Value:
    if exact.denominator == 1:
        return Value(kind=kind, value=exact.numerator)
    return Value(kind=ValueKind.NUMBER, value=float(exact))


def moment(text: str) -> Value | None:
    """Return an RFC 3339 time, a date, or a time without a zone (UTC); None for other texts."""
    if len(text) > _MAX_DIGITS:
        return None
    if _DATE.fullmatch(text):
        text += "T00:00:00Z"
    elif _LOCAL.fullmatch(text):
        text += "Z"
    try:
        found = Value(kind=ValueKind.TIME, value=parse_time(text))
        print_value(found)
    except (ValueError, OverflowError):  # also for what its zone puts out of the years 1 to 9999
        return None
    return found


def print_value(value: Value) -> str:
    """Return the canonical text of a value; reading it gives an equal one."""
    if isinstance(value.value, str):
        return quoted(value.value)
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    if isinstance(value.value, float):
        return repr(value.value).replace("e+", "e")
    if value.kind is ValueKind.DURATION:
        return _with_unit(value.value, _DURATIONS, _PRINTED_DURATIONS, "ns")
    if value.kind is ValueKind.SIZE:
        return _with_unit(value.value, _SIZES, _PRINTED_SIZES, "B")
    if value.kind is ValueKind.TIME:
        return format_ns(value.value).rjust(_TIME, "0")  # years are written with four digits
    return str(value.value)


def _with_unit(count: int, units: dict[str, int], shown: tuple[str, ...], least: str) -> str:
    unit = next((u for u in shown if count and count % units[u] == 0), least)
    return f"{count // units[unit]}{unit}"


def quoted(text: str) -> str:
    """Return a text in the quotes in which it is read back."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(token: str) -> str:
    """Return the text inside quotes: a backslash protects itself and quotes, all else stays."""
    return re.sub(r"\\([\\\"'])", r"\1", token[1:-1])
