"""Conditions on `time` and `seq` turned into ranges, so that only those events are read."""

from __future__ import annotations

from dataclasses import replace

from igdash.domain.filters import And, Compare, Filter, Op, Range, conjunction
from igdash.domain.queries import Where


def narrowed(where: Where) -> Where:
    """Return the same question with conditions of the whole filter on time and seq as ranges."""
    node = where.filter
    if node is None:
        return where
    left: list[Filter] = []
    for part in node.parts if isinstance(node, And) else (node,):
        span = _span(part)
        if span is None:
            left.append(part)
        else:
            where = _within(where, *span)
    return replace(where, filter=conjunction(*left))


def _span(node: Filter) -> tuple[str, int | None, int | None] | None:
    """Return path, first and last value (both included) that a condition leaves."""
    if not isinstance(node, Compare | Range) or node.path not in ("@time", "@seq"):
        return None
    if isinstance(node, Range):
        low, high = node.low.value, node.high.value
        whole = type(low) is int and type(high) is int
        return (node.path, int(low), int(high)) if whole else None
    if type(node.value.value) is not int:
        return None
    value = node.value.value
    spans: dict[Op, tuple[int | None, int | None]] = {
        Op.EQ: (value, value),
        Op.LT: (None, value - 1),
        Op.LE: (None, value),
        Op.GT: (value + 1, None),
        Op.GE: (value, None),
    }
    return (node.path, *spans[node.op]) if node.op in spans else None


def _within(where: Where, path: str, low: int | None, high: int | None) -> Where:
    if path == "@time":
        if low is not None:
            where = replace(where, start=low if where.start is None else max(low, where.start))
        if high is not None:
            end = high + 1
            where = replace(where, end=end if where.end is None else min(end, where.end))
        return where
    if low is not None:
        after = low - 1
        where = replace(where, after=after if where.after is None else max(after, where.after))
    if high is not None:
        before = high + 1
        where = replace(where, before=before if where.before is None else min(before, where.before))
    return where
