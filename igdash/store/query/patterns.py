"""Regular expressions whose time is linear in the text, whatever the pattern (RE2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

_MEMORY: Final = 8 << 20
"""Bytes one compiled pattern may take; larger ones are refused."""
_LONGEST: Final = 1_000
_REMEMBERED_TEXT: Final = 200


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a test whether the pattern is found in a text. Raises `ValueError` with the reason."""
    if len(pattern) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST:,} characters")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        search = re2.compile(pattern, options=options).search
    except (re2.error, UnicodeError) as error:
        raise ValueError(_reason(error)) from error

    @lru_cache(maxsize=4096)
    def remembered(text: str) -> bool:
        return search(text) is not None

    def found(text: str) -> bool:
        if not text.isascii():  # a lone surrogate cannot be said in UTF-8
            text = text.encode("utf-8", "replace").decode()
        return remembered(text) if len(text) < _REMEMBERED_TEXT else search(text) is not None

    return found


def pattern_problem(pattern: str) -> str:
    """Return why a pattern is not taken, or ""."""
    try:
        compile_pattern(pattern)
    except ValueError as error:
        return str(error)
    return ""


def _reason(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
