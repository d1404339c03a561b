"""What igdash answers to questions with a filter: counts, top values, numbers, completions. Apart from
`schemas` for their number alone; the OpenAPI document is made from both."""

from __future__ import annotations

from igdash.api.problems import Problem
from igdash.api.schemas import Answer, ScopeOut


class CountOut(Answer):
    """How many events match."""

    count: int
    scope: ScopeOut


class ValueOut(Answer):
    """A value; `text` is how a filter writes it."""

    value: str | int | float | bool
    count: int
    text: str


class TopOut(Answer):
    """The most frequent values of a field. `count` events match, `missing` of them lack the field;
    `other` sums up what is not listed. Not `exact`: `distinct` is a lower bound."""

    field: str
    path: str
    values: list[ValueOut]
    count: int
    distinct: int
    other: int
    missing: int
    exact: bool
    scope: ScopeOut


class QuantileOut(Answer):
    """The number that a share `at` (0 to 1) of the values does not exceed."""

    at: float
    value: int | float


class StatsOfOut(Answer):
    """The numbers of a field. Not `exact`: quantiles come from a sample, but the least and the
    greatest."""

    field: str
    path: str
    count: int
    numbers: int
    quantiles: list[QuantileOut]
    mean: float | None
    exact: bool
    scope: ScopeOut


class SeqOut(Answer):
    """The first event at that time or later; null = none."""

    seq: int | None


class CompletionOut(Answer):
    """`insert` replaces the text between `start` and `end`."""

    insert: str
    kind: str
    detail: str


class CompletionsOut(Answer):
    """What may stand at the cursor, best first."""

    start: int
    end: int
    items: list[CompletionOut]


class FilterPartOut(Answer):
    """One of the conditions that must all hold: where it stands, and as igdash writes it."""

    start: int
    end: int
    text: str


class FilterOut(Answer, omit_defaults=True):
    """A filter that could be read, as igdash writes it ("" = none), and its parts; with
    `refused=true` instead what is wrong with it."""

    filter: str
    parts: list[FilterPartOut]
    error: Problem | None = None
