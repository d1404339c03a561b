"""What is printed for people can neither move a cursor nor forge a line nor show a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.text import masked, visible


@given(st.text(st.characters(codec=None), max_size=50))
def test_visible_text_is_one_line_that_can_be_printed(text: str):
    shown = visible(text)
    assert shown.splitlines() in ([], [shown])
    shown.encode()
    assert "\x1b" not in shown


@given(st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=50))
def test_ordinary_text_stays_as_it_is(text: str):
    assert visible(text) == text


def test_how_it_looks():
    assert visible("a\nb\x1b[2J\u202e\ud800") == "a\\nb\\x1b[2J\\u202e\\ud800"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("postgresql://me:s3c/ret@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me:s3c@ret@h/d", "postgresql://me:***@h/d"),
        ("x postgresql+psycopg://me:s3cret@h:5/d y", "x postgresql+psycopg://me:***@h:5/d y"),
        ("host=h password=s3cret user=x", "host=h password=*** user=x"),
        ("postgresql://h/d?user=x&password=s3cret&z=1", "postgresql://h/d?user=x&password=***&z=1"),
        ("http://127.0.0.1:8050/x@y", "http://127.0.0.1:8050/x@y"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_passwords_are_masked(text: str, wanted: str):
    assert masked(text) == wanted
