"""Answers to statements as files: CSV, JSON lines, Parquet. Numbers keep the texts they came with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from igdash.domain.sql import SqlAnswer, SqlColumn
from igdash.services import parquet_rows
from igdash.services.csv_rows import cell, parse

_RAW_ROWS: Final = msgspec.json.Decoder(list[list[msgspec.Raw]])


def parsed_rows(answer: SqlAnswer) -> Iterator[list[Any]]:
    """Yield rows with every number as its own text (`csv_rows.Number`)."""
    for block in answer.blocks:
        yield from parse(f"[{block.decode()}]")


def csv_lines(answer: SqlAnswer) -> Iterator[str]:
    """Yield CSV with a header; a text that a spreadsheet would run gets an apostrophe in front."""
    yield _csv([column.name for column in answer.columns])
    for row in parsed_rows(answer):
        yield _csv([cell(value) for value in row])


def json_lines(answer: SqlAnswer) -> Iterator[str]:
    """Yield one JSON object per row; of columns named alike the second becomes `name_2`."""
    keys = [json.dumps(name, ensure_ascii=False) for name in unique_names(answer.columns)]
    for block in answer.blocks:
        for row in _RAW_ROWS.decode(b"[" + block + b"]"):
            pairs = zip(keys, row, strict=True)
            yield "{" + ",".join(f"{key}:{bytes(value).decode()}" for key, value in pairs) + "}\n"


def unique_names(columns: Sequence[SqlColumn]) -> list[str]:
    """Return a name per column, each once."""
    names: list[str] = []
    for column in columns:
        name, number = column.name, 2
        while name in names:
            name = f"{column.name}_{number}"
            number += 1
        names.append(name)
    return names


def write_parquet(answer: SqlAnswer, where: Path | BinaryIO) -> None:
    """Write a Parquet file."""
    pyarrow = parquet_rows.pyarrow()
    rows = list(parsed_rows(answer))
    columns = [
        _arrow(pyarrow, column, [row[number] for row in rows])
        for number, column in enumerate(answer.columns)
    ]
    table = pyarrow.Table.from_arrays(columns, names=unique_names(answer.columns))
    pyarrow.parquet.write_table(table, where)


def _arrow(pyarrow: Any, column: SqlColumn, values: Sequence[Any]) -> Any:
    make, kind = {
        "integer": (int, pyarrow.int64()),
        "number": (float, pyarrow.float64()),
        "boolean": (bool, pyarrow.bool_()),
    }.get(column.type, (_text, pyarrow.string()))
    try:
        return pyarrow.array(_made(values, make), kind)
    except (ValueError, OverflowError, pyarrow.ArrowInvalid):  # beyond 64 bits, or mixed
        return pyarrow.array(_made(values, _text), pyarrow.string())


def _made(values: Sequence[Any], make: Callable[[Any], Any]) -> list[Any]:
    return [None if value is None else make(value) for value in values]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _csv(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
