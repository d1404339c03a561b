"""Questions, answers and errors are the same on the other side."""

from __future__ import annotations

from typing import Any

import pytest

from igdash.domain import errors
from igdash.domain.filters import FilterError, Value, ValueKind
from igdash.domain.queries import (
    Counted,
    FieldStats,
    Scope,
    SplitBucket,
    SplitHistogram,
    Top,
    TopValue,
)
from igdash.domain.sessions import SessionId
from igdash.services.query_asks import Answerer, AskCount, AskHistogram, AskStats, AskTop
from igdash.services.query_wire import encode_ask, read_answer, read_news, respond
from igdash.services.query_worker import Hearing

ID = SessionId("aaaaaaaaaaaa")
SCOPE = Scope(from_seq=1, to_seq=9, complete=True, examined=9, total=9)


class Reader:
    """Answers every question with one thing, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def schema(self, _session: SessionId) -> tuple[()]:
        return ()

    def pattern_problem(self, _pattern: str) -> str:
        return ""

    def _give(self, *_: Any, budget: Any = None, **__: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        if budget is not None:
            budget.progress(SCOPE)
        return self.answer

    def count(self, session: Any, where: Any, budget: Any) -> Any:
        return self._give(budget=budget)

    def stats(self, session: Any, path: Any, where: Any, budget: Any) -> Any:
        return self._give(budget=budget)

    top = histogram = _give


def through(ask: Any, answer: Any, news: list[bytes] | None = None) -> Any:
    """Return what arrives for an answer."""
    reader: Any = Reader(answer)
    hearing = Hearing(cancelled=lambda: False, tell=(news if news is not None else []).append)
    told = respond(Answerer(sessions=reader, queries=reader), encode_ask(ask), hearing)
    return read_answer(ask, told)


def test_an_answer_and_its_news_arrive() -> None:
    news: list[bytes] = []
    counted = Counted(count=2**40, scope=SCOPE)
    assert through(AskCount(session=ID), counted, news) == counted
    assert [read_news(one) for one in news] == [SCOPE]


def test_values_keep_their_types() -> None:
    values = (True, 1, 2**64 - 1, -(2**63), 1.0, "1", "")
    kinds = {bool: ValueKind.BOOL, str: ValueKind.TEXT}
    top = Top(
        path="x",
        values=tuple(
            TopValue(value=Value(kind=kinds.get(type(v), ValueKind.NUMBER), value=v), count=1)
            for v in values
        ),
        count=7, distinct=7, other=0, missing=0, exact=True, scope=SCOPE,
    )  # fmt: skip
    found = through(AskTop(session=ID, path="x", limit=9), top)
    assert found == top
    assert [type(one.value.value) for one in found.values] == list(map(type, values))


@pytest.mark.parametrize("value", [10**30, -(10**30)])
def test_numbers_too_large_for_any_machine_arrive(value: int) -> None:
    one = TopValue(value=Value(kind=ValueKind.NUMBER, value=value), count=1)
    top = Top(
        path="x", values=(one,), count=1, distinct=1, other=0, missing=0, exact=True, scope=SCOPE
    )
    (found,) = through(AskTop(session=ID, path="x", limit=9), top).values
    assert found.value.value == value
    stats = FieldStats(
        path="x", count=1, numbers=1, quantiles=((0.0, value), (1.0, float("inf"))),
        mean=float("-inf"), exact=True, scope=SCOPE,
    )  # fmt: skip
    sent = through(AskStats(session=ID, path="x"), stats)
    assert sent.quantiles[0][1] == value
    assert sent.quantiles[1][1] > 1e300
    assert sent.mean < -1e300


def test_texts_that_are_no_utf8_arrive() -> None:
    bar = SplitBucket(start=0, end=1, events=2, lost=0, split={"\ud800": 1, "é": 1})
    found = SplitHistogram(buckets=(bar,), values=("\ud800", "é"), scope=SCOPE)
    sent = through(AskHistogram(session=ID, buckets=1, split="x"), found)
    assert sent.values == ("\ufffd", "é")
    assert sent.buckets[0].split == {"\ufffd": 1, "é": 1}


@pytest.mark.parametrize(
    "error",
    [
        errors.SessionNotFound("no session x"),
        errors.EventNotFound("no event 7"),
        errors.StoreBusy("locked"),
        errors.QueryCancelled("gone"),
        errors.InvalidQuery("cursor", "is not one"),
    ],
)
def test_errors_are_what_they_were(error: Exception) -> None:
    with pytest.raises(type(error)) as found:
        through(AskCount(session=ID), error)
    assert str(found.value) == str(error)


def test_a_filter_error_keeps_its_place() -> None:
    with pytest.raises(FilterError) as found:
        through(AskCount(session=ID, filter="x ="), Counted(count=0, scope=SCOPE))
    assert (found.value.position, found.value.message) == (3, "a value is missing here")
    with pytest.raises(FilterError) as found:
        through(AskCount(session=ID), FilterError("m", 1, 2, ("a", "b")))
    assert found.value.suggestions == ("a", "b")


def test_what_nobody_foresaw_is_one_error_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(errors.IgdashError) as found:
        through(AskCount(session=ID), ZeroDivisionError("secret"))
    assert "secret" not in str(found.value)
    assert "secret" in caplog.text
    with pytest.raises(errors.IgdashError):
        read_answer(
            AskCount(session=ID),
            respond(
                Answerer(sessions=Reader(None), queries=Reader(None)),  # type: ignore[arg-type]
                b"nonsense",
                Hearing(cancelled=lambda: False, tell=lambda _news: None),
            ),
        )
