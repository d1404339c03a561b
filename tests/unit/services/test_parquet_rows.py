"""Parquet: nothing is rounded, nothing ends a file, memory stays small."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet
import pytest

from igdash.domain.events import Event
from igdash.domain.gadgets import DataSource, Field
from igdash.services import parquet_rows

SOURCES = (DataSource(name="", array=False, fields=(Field(name="a", kind="Float64"),)),)


def events(*data: str) -> list[Event]:
    return [Event(seq=n, ts=n, node="", source="", data=text) for n, text in enumerate(data, 1)]


def written(*blocks: Sequence[Event]) -> Any:
    out = io.BytesIO()
    assert parquet_rows.write(out, SOURCES, blocks) == sum(map(len, blocks))
    return pyarrow.parquet.ParquetFile(out)


@pytest.mark.parametrize(
    ("text", "column", "other"),
    [
        ("1.5", 1.5, None),
        ("9007199254740992", 2.0**53, None),
        ("9007199254740993", None, 9007199254740993),
        ("-18446744073709551617", None, -18446744073709551617),
        ("1" + "0" * 400, None, 10**400),
        ("1" + "0" * 5_000, None, "1" + "0" * 5_000),
        ("1e400", None, "1e400"),
        ("-1e400", None, "-1e400"),
    ],
)
def test_a_number_is_exact_or_beside_its_column(text: str, column: object, other: object) -> None:
    [row] = written(events(f'{{"a":{text}}}')).read(["a", "other"]).to_pylist()
    assert row["a"] == column
    assert row["other"] is None if other is None else json.loads(row["other"]) == {"a": other}


def test_large_events_make_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "GROUP_TEXT", 1_000)
    block = events(*['{"b":"' + "x" * 300 + '"}'] * 3)
    found = written(*[block] * 5, events('{"a":1}'))
    assert found.metadata.num_row_groups == 3
    assert found.metadata.num_rows == 16
