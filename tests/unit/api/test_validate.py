"""Validation: all problems at once, each at its name."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import Meta, Struct, field

from igdash.api.types import Moment
from igdash.api.validate import Invalid, from_body, from_query


class Inner(Struct, kw_only=True):
    """An inner one."""

    n: Annotated[int, Meta(ge=1)]


class Thing(Struct, kw_only=True):
    """A thing."""

    text: str = ""
    n: Annotated[int, Meta(ge=0, le=9)] = 3
    flag: bool = False
    many: Annotated[list[str], Meta(max_length=2)] = field(default_factory=list)
    start: Moment | None = field(default=None, name="from")
    inner: Inner | None = None


def test_texts_become_values() -> None:
    found = from_query(
        Thing,
        {"n": ["4"], "flag": ["true"], "many": ["a", "b"], "from": ["1970-01-01T00:00:01Z"]},
    )
    assert found is not None
    assert (found.n, found.flag, found.many) == (4, True, ["a", "b"])
    assert found.start is not None
    assert found.start.ns == 10**9


def test_a_plus_may_have_become_a_space() -> None:
    for text in ("1970-01-01T02:00:01+02:00", "1970-01-01T02:00:01 02:00"):
        found = from_query(Thing, {"from": [text]})
        assert found is not None
        assert found.start is not None
        assert found.start.ns == 10**9


def test_null_is_as_if_not_given() -> None:
    body = {"text": None, "n": None, "many": None, "from": None, "inner": None}
    assert from_body(Thing, body) == Thing()
    with pytest.raises(Invalid) as wrong:
        from_body(Inner, {"n": None})
    assert set(wrong.value.problems) == {"n"}


def test_all_problems_are_named() -> None:
    with pytest.raises(Invalid) as wrong:
        from_query(
            Thing,
            {"n": ["10"], "flag": ["maybe"], "many": ["a"] * 3, "from": ["x"], "y": ["1"]},
        )
    assert set(wrong.value.problems) == {"n", "flag", "many", "from", "y"}
    assert wrong.value.where == "query"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"inner": {"n": 0, "m": 1}}, {"inner.n", "inner.m"}),
        ({"inner": {}}, {"inner.n"}),
        ({"inner": []}, {"inner"}),
        ({"n": "4"}, {"n"}),
        ({"n": True}, {"n"}),
        ({"from": 5}, {"from"}),
        ({"text": "a\0"}, {"text"}),
        ({"many": ["\0"]}, {"many"}),
        ([], {""}),
        (None, {""}),
    ],
)
def test_bodies(body: object, problems: set[str]) -> None:
    with pytest.raises(Invalid) as wrong:
        from_body(Thing, body)
    assert set(wrong.value.problems) == problems
    assert wrong.value.where == "body"


def test_one_value_only() -> None:
    with pytest.raises(Invalid, match="more than once"):
        from_query(Thing, {"n": ["1", "2"]})


def test_without_a_struct_nothing_is_known() -> None:
    assert from_query(None, {}) is None
    with pytest.raises(Invalid, match="unknown parameter"):
        from_query(None, {"x": ["1"]})


@pytest.mark.parametrize(
    "text",
    [
        "2262-05-01T00:00:00Z",
        "1600-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-13-01T00:00:00Z",
        "2026-01-01",
        "",
    ],
)
def test_times_out_of_reach(text: str) -> None:
    with pytest.raises(Invalid):
        from_query(Thing, {"from": [text]})
