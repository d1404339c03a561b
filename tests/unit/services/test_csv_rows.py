"""Cells: numbers as they came, texts that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.events import Event
from igdash.domain.gadgets import DataSource, Field
from igdash.services.csv_rows import Table, cell, compact, neutral, parse

FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", *FULL_WIDTH])
def test_what_looks_like_a_formula_is_text(start: str) -> None:
    assert neutral(start + "1") == "'" + start + "1"
    assert cell(start) == "'" + start


@pytest.mark.parametrize("text", ["-5", "1e400", "18446744073709551615", "0.10", "-0"])
def test_numbers_are_untouched(text: str) -> None:
    assert cell(parse(text)) == text


@pytest.mark.parametrize(
    ("value", "wanted"), [("null", ""), ("true", "true"), ("[1, 2.50]", "[1,2.50]"), ('"a"', "a")]
)
def test_other_values(value: str, wanted: str) -> None:
    assert cell(parse(value)) == wanted


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_compact_is_json_of_the_same_value(value: Any) -> None:
    assert json.loads(compact(parse(json.dumps(value)))) == value


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text() | st.integers(), max_size=3))
def test_a_reader_gets_every_cell_back(data: dict[str, Any]) -> None:
    fields = (Field(name="a", kind="String"), Field(name="b", kind="Int64"))
    table = Table([DataSource(name="x", fields=fields)])
    event = Event(seq=1, ts=0, node="n", source="x", data=json.dumps(data))
    text = (table.header() + table.rows([event])).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    for name in ("a", "b"):
        value = data.get(name, "")
        assert (
            row[name]
            == (neutral(value) if isinstance(value, str) else str(value))
            .encode("utf-8", "replace")
            .decode()
        )
    assert json.loads(row["other"] or "{}") == {k: v for k, v in data.items() if k == "c"}


def test_a_group_is_no_column_unless_it_is_a_value() -> None:
    fields = (
        Field(name="proc", kind="Bytes"),
        Field(name="proc.comm", kind="CString"),
        Field(name="src.endpoint", kind="String", in_json=False),
    )
    table = Table([DataSource(name="x", fields=fields)])
    assert table.columns == ("proc.comm",)
    odd = Event(seq=1, ts=0, node="", source="", data='{"proc":7}')
    assert table.rows([odd]).decode().strip().endswith('"{""proc"":7}"')


def test_no_field_hides_a_column_of_ours() -> None:
    names = ("seq", "ts", "node", "node_2", "source", "other", "node")
    fields = tuple(Field(name=name, kind="String") for name in names)
    table = Table([DataSource(name="x", fields=fields)])
    data = {name: f"its {name}" for name in names}
    event = Event(seq=7, ts=0, node="n", source="s", data=json.dumps(data))
    text = (table.header() + table.rows([event])).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["seq"], row["node"], row["source"], row["other"]) == ("7", "n", "s", "")
    assert (row["node_3"], row["node_2"], row["seq_2"]) == ("its node", "its node_2", "its seq")
    assert (row["other_2"], len(row)) == ("its other", 11)


def test_half_a_surrogate_does_not_break_the_file() -> None:
    table = Table([DataSource(name="x", fields=(Field(name="a", kind="String"),))])
    event = Event(seq=1, ts=0, node="", source="", data='{"a":"\\ud800"}')
    assert table.rows([event]).decode().split(",")[4] == "?"
