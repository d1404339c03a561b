"""Which gadget printed these events: told by the fields they have, as a capture does not say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from igdash.domain.gadgets import DataSource, Field, Gadget

LEAST: Final = 0.6
"""Share of fields that the events and a gadget must have in common."""
AHEAD: Final = 0.02
"""How much more the best gadget must have than the next one."""
SAMPLE: Final = 200
MAX_FIELDS: Final = 400
MAX_DEPTH: Final = 8
_KINDS: Final[Mapping[type, str]] = {bool: "Bool", int: "Int64", float: "Float64", str: "String"}


def sampled(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return the first events as objects; what cannot be read is left out."""
    found: list[dict[str, Any]] = []
    for text in texts:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
        if len(found) >= SAMPLE:
            break
    return found


def guess(
    events: Iterable[dict[str, Any]], gadgets: Iterable[Gadget], *, array: bool, source: str = ""
) -> Gadget | None:
    """Return the only gadget whose fields are those of the events, None when none is or several.

    Events that came as arrays are of an array's gadget; single ones may be of any, as an export
    has rows one by one.
    """
    seen = set(paths(events))
    if not seen:
        return None
    scores = sorted(
        (
            (_score(seen, one, source), gadget.name, gadget)
            for gadget in gadgets
            for one in gadget.sources
            if one.array or not array
        ),
        reverse=True,
        key=lambda item: item[:2],
    )
    if not scores or scores[0][0] < LEAST:
        return None
    rival = next((score for score, name, _ in scores if name != scores[0][1]), 0.0)
    return scores[0][2] if scores[0][0] >= rival + AHEAD else None


def _score(seen: set[str], source: DataSource, name: str) -> float:
    known = {field.name for field in source.fields if field.kind and field.in_json}
    # An event has no member for a field of another environment (k8s on a plain host): what the
    # events lack weighs less than what they have.
    common = len(seen & known)
    if not common:
        return 0.0
    score = 0.75 * common / len(seen) + 0.25 * common / len(known)
    return score + (0.1 if name and source.name == name else 0.0)


def paths(events: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the dotted paths of the events' values with the kinds of what stands there."""
    found: dict[str, str] = {}
    for event in events:
        _collect(event, "", found, 0)
    return found


def _collect(value: dict[str, Any], prefix: str, found: dict[str, str], depth: int) -> None:
    for key, each in value.items():
        path = f"{prefix}{key}"
        if isinstance(each, dict) and depth < MAX_DEPTH:
            _collect(each, path + ".", found, depth + 1)
        elif len(found) < MAX_FIELDS and len(path) <= 200 and each is not None:
            kind = _KINDS.get(type(each), "")
            old = found.setdefault(path, kind)
            if old != kind:
                both = {old, kind}
                found[path] = "Float64" if both == {"Int64", "Float64"} else "String"


def described(events: Iterable[dict[str, Any]], *, array: bool, name: str = "") -> DataSource:
    """Return a data source of a gadget that nobody knows, from what its events look like."""
    fields = tuple(
        Field(name=path, kind=kind or "String", align_right=kind in ("Int64", "Float64"))
        for path, kind in paths(events).items()
    )
    return DataSource(name=name, array=array, fields=fields)
