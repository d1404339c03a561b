"""Text from kernels, pods and attackers on its way to a terminal or a log file.

A process name may hold an escape sequence that repaints an operator's terminal, a line break that
forges a log line, or a bidirectional override that hides what follows. Whatever is printed for
people goes through `visible` first; data for programs (JSON, exports) is left as it is.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_PASSWORD: Final = re.compile(
    r"(\bpostgres[\w+]*://[^\s/:@]*):\S+@"  # slashes included, and an @ that should be %40
    r"|(\w://[^\s/:@]*):[^\s/@]+@"
    r"|(password=)[^\s&'\"]+",
    re.IGNORECASE,
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """Return `text` with control, bidirectional and unpaired surrogate characters escaped."""
    return _UNSAFE.sub(_escape, text)


def masked(text: str) -> str:
    """Return `text` with the passwords of all URLs and connection strings in it replaced by ***."""
    return _PASSWORD.sub(lambda m: f"{m[3]}***" if m[3] else f"{m[1] or m[2]}:***@", text)


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, or with a number behind it where that is taken; it is taken then."""
    free, number = name, 2
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    taken.add(free)
    return free


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
