"""Texts and TOML values turned into what a setting takes, with errors that say what is allowed.

The same words come from a file (typed), a variable or a command line (text); each is accepted in
both forms, and nothing is guessed: `port = true` is an error, not 1.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from igdash.domain.errors import SettingsError

_BOOLS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a value may be: numbers `low` to `high` (both included), texts one of `choices`."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


ANY: Final = Limits()


def convert(key: str, value: Any, *, like: Any, limits: Limits = ANY) -> Any:
    """Return `value` as the type of `like`. Raises `SettingsError` naming `key`."""
    if isinstance(like, bool):
        return _bool(key, value)
    if isinstance(like, (int, float)):
        return _number(key, value, type(like), limits)
    if isinstance(like, tuple):
        return _words(key, value)
    if not isinstance(value, str) or "\0" in value:
        raise SettingsError(f"{key}: must be text, not {value!r}")
    if limits.choices and value not in limits.choices:
        allowed = ", ".join(limits.choices)
        raise SettingsError(
            f"{key}: must be one of {allowed}, not {value!r}{near(value, limits.choices)}"
        )
    return value


def near(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean a or b?)` for names much like `name`, else an empty text."""
    found = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _bool(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise SettingsError(f"{key}: must be true or false, not {value!r}")


def _number(key: str, value: Any, kind: type, limits: Limits) -> Any:
    wrong = f"{key}: must be {'a whole number' if kind is int else 'a number'}, not {value!r}"
    if isinstance(value, bool) or not isinstance(value, (str, int, kind)):
        raise SettingsError(wrong)
    try:
        number = kind(value)
    except (ValueError, OverflowError) as error:
        raise SettingsError(wrong) from error
    low = -math.inf if limits.low is None else limits.low
    high = math.inf if limits.high is None else limits.high
    if not low <= number <= high:  # false for NaN, too
        raise SettingsError(f"{key}: must be from {low:g} to {high:g}, not {value!r}")
    return number


def _words(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise SettingsError(f'{key}: must be a list of texts, such as ["a", "b"], not {value!r}')
