"""Answers as files: exact numbers, harmless cells, each name once."""

from __future__ import annotations

import importlib
from pathlib import Path

from igdash.domain.sql import SqlAnswer, SqlColumn
from igdash.services import sql_files

ANSWER = SqlAnswer(
    columns=(
        SqlColumn(name="n", type="integer"),
        SqlColumn(name="n", type="text"),
        SqlColumn(name="x", type="number"),
    ),
    blocks=(b'[9223372036854775807,"=1+1",1.10]', b'[null,"a,\\"b\\"\\n",-1],[-5,"","1e999"]'),
    rows=3,
    truncated=False,
    engine="sqlite",
    elapsed_ms=1.0,
)


def test_csv_is_exact_and_harmless() -> None:
    assert "".join(sql_files.csv_lines(ANSWER)) == (
        'n,n,x\r\n9223372036854775807,\'=1+1,1.10\r\n,"a,""b""\n",-1\r\n-5,,1e999\r\n'
    )


def test_json_lines_keep_number_texts_and_name_columns_once() -> None:
    assert list(sql_files.json_lines(ANSWER)) == [
        '{"n":9223372036854775807,"n_2":"=1+1","x":1.10}\n',
        '{"n":null,"n_2":"a,\\"b\\"\\n","x":-1}\n',
        '{"n":-5,"n_2":"","x":"1e999"}\n',
    ]


def test_parquet_is_typed(tmp_path: Path) -> None:
    sql_files.write_parquet(ANSWER, tmp_path / "x.parquet")
    table = importlib.import_module("pyarrow.parquet").read_table(tmp_path / "x.parquet")
    assert [str(field.type) for field in table.schema] == ["int64", "string", "double"]
    assert table.column("n").to_pylist() == [9223372036854775807, None, -5]
