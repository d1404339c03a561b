"""Whether a recorded row belongs to a session's target, by the rules Inspektor Gadget has."""

from __future__ import annotations

from collections.abc import Callable

from igdash.domain.sessions import Target
from igdash.sources.recording import Row

Match = Callable[[Row], bool]


def matcher(target: Target) -> Match | None:
    """Return a test for rows, None when every row belongs to the target."""
    tests: list[Match] = []
    for text, value_of in (
        (target.namespace, lambda row: row.namespace),
        (target.pod, lambda row: row.pod),
        (target.container, lambda row: row.container),
        (target.node, lambda row: row.node),
    ):
        if text.strip():
            tests.append(_listed(text, value_of))
    if target.selector.strip():
        tests.append(_labelled(target.selector))
    if not tests:
        return None
    return lambda row: all(test(row) for test in tests)


def _listed(text: str, value_of: Callable[[Row], str]) -> Match:
    """`a,b` = one of them; `!a` = not this one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    wanted = frozenset(name for name in names if not name.startswith("!"))
    refused = frozenset(name[1:] for name in names if name.startswith("!"))
    return lambda row: (not wanted or value_of(row) in wanted) and value_of(row) not in refused


def _labelled(text: str) -> Match:
    wanted = frozenset(label.strip() for label in text.split(",") if label.strip())
    return lambda row: wanted <= frozenset(row.labels.split(","))
