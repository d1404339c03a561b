"""Time as igdash keeps it: integer nanoseconds since the epoch, RFC 3339 UTC text at the borders.

`datetime` stops at microseconds, and a float loses digits past 2^53; IG's `timestamp_raw` needs
all nine decimals, so both directions are done here on integers.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

NS: Final = 1_000_000_000
MAX_NS: Final = 2**63 - 1

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+ -])(\d\d):?(\d\d))"
)
"""A space before the offset is a `+` that nobody encoded for a URL."""


def now_ns() -> int:
    """Return the wall clock in nanoseconds since the epoch."""
    return time.time_ns()


def format_ns(ns: int) -> str:
    """Return `ns` as RFC 3339 UTC text with nine decimals, e.g. `2026-11-22T23:13:24.805647519Z`."""
    seconds, rest = divmod(ns, NS)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def parse_time(text: str) -> int:
    """Return the nanoseconds since the epoch that RFC 3339 `text` names.

    Raises `ValueError` with a readable reason when the text is no RFC 3339 time.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-11-22T23:13:24Z")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_h, off_m = match.groups()
    zone = UTC
    if not zulu:
        offset = timedelta(hours=int(off_h), minutes=int(off_m))
        zone = timezone(-offset if sign == "-" else offset)
    leap = second == "60"
    moment = datetime(
        int(year),
        int(month),
        int(day),
        int(hour),
        int(minute),
        59 if leap else int(second),
        tzinfo=zone,
    )
    whole = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) + int(leap)
    return whole * NS + int((fraction or "0").ljust(9, "0"))
