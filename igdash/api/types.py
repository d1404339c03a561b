"""The one value type JSON does not have: a time, RFC 3339 outside, nanoseconds inside."""

from __future__ import annotations

from igdash.domain.times import MAX_NS, parse_time


class Moment:
    """A time given by a client. Kept as a type of its own so that validation, the error message
    and the OpenAPI document come from one annotation."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns


def decode(kind: type, value: object) -> object:
    """Make a `Moment` of text: msgspec's `dec_hook`. Raises `ValueError` with a readable reason."""
    if kind is not Moment:
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError("Expected an RFC 3339 time as text")
    try:
        ns = parse_time(value)
    except OverflowError as error:
        raise ValueError(f"{value[:40]!r} is out of range") from error
    if not -MAX_NS <= ns <= MAX_NS:
        raise ValueError(f"{value[:40]!r} is out of range: years 1678 to 2261")
    return Moment(ns)


def schema(kind: type) -> dict[str, object]:
    """Return the JSON schema of `Moment`: msgspec's `schema_hook`."""
    if kind is not Moment:
        raise NotImplementedError(kind)
    return {
        "type": "string",
        "format": "date-time",
        "description": "RFC 3339, e.g. 2026-11-22T23:13:24Z",
    }


def ns_of(moment: Moment | None) -> int | None:
    """Return the nanoseconds, None for None."""
    return None if moment is None else moment.ns
