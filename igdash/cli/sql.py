"""sql: one statement over the stored events, under the same limits as in the dashboard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from igdash.bootstrap import open_history, open_sql
from igdash.cli.context import settings_of
from igdash.cli.main import OK
from igdash.cli.output import Column, print_table
from igdash.domain.errors import InvalidQuery, SqlError
from igdash.domain.sql import SqlAnswer, SqlColumn, SqlQuery
from igdash.services import sql_files
from igdash.services.csv_rows import cell


def sql(args: argparse.Namespace) -> int:
    """Run the statement and print its answer; a note on stderr says when it was cut."""
    if args.output == "parquet" and args.file is None:
        raise InvalidQuery("--file", "name the Parquet file to write")
    settings = settings_of(args)
    reader = open_history(settings)
    text = sys.stdin.read() if args.statement == "-" else args.statement
    query = SqlQuery(
        sql=text,
        limit=args.limit,
        explain=args.explain,
        sessions=tuple(reader.sessions.resolve(prefix) for prefix in args.session),
    )
    try:
        answer = open_sql(settings, reader).run(query, lambda: False)
    except SqlError as error:
        raise _placed(error, text) from error
    _print(answer, args.output, args.file)
    if answer.truncated:
        print(f"igdash: the answer is cut after {answer.rows:,} rows", file=sys.stderr)
    return OK


def _placed(error: SqlError, text: str) -> SqlError:
    if not error.position:
        return error
    before = text[: error.position - 1]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return type(error)(f"{error} (line {line}, column {column})", error.position)


def _print(answer: SqlAnswer, how: str, file: Path | None) -> None:
    if how == "parquet":
        assert file is not None
        sql_files.write_parquet(answer, file)
        return
    out = file.open("w", encoding="utf-8", newline="") if file else sys.stdout
    try:
        if how == "table" and file is None:
            _table(answer)
        elif how == "csv":
            out.writelines(sql_files.csv_lines(answer))
        elif how == "json":
            out.write(
                "[" + ",\n".join(line.rstrip() for line in sql_files.json_lines(answer)) + "]\n"
            )
        else:
            out.writelines(sql_files.json_lines(answer))
    finally:
        if file:
            out.close()


def _table(answer: SqlAnswer) -> None:
    columns = [_column(number, column) for number, column in enumerate(answer.columns)]
    print_table(columns, list(sql_files.parsed_rows(answer)))


def _column(number: int, column: SqlColumn) -> Column[list[Any]]:
    def text(row: list[Any]) -> object:
        return "" if row[number] is None else cell(row[number])

    right = column.type in ("integer", "number")
    return Column(title=column.name.upper(), text=text, right=right)
