"""The statement that reads a block of a walk, so that each database does it from the index.

What origin and time decide is decided there. SQLite visits a row only when all of that is true;
PostgreSQL does so for keys alone, not for included columns, unless it is told in two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    column,
    literal_column,
    select,
    text,
)

from igdash.store.tables import events

Ranges = Sequence[tuple[int, int]]
"""Seqs, both included; at least one range"""
Conditions = Callable[[Any], list[ColumnElement[bool]]]
"""What origin and time must be, on the columns of a table"""

_ZERO: Final[ColumnElement[Any]] = literal_column("0")
_TRUE: Final[ColumnElement[Any]] = literal_column("true")


def table_of(names: Sequence[str], rows: Sequence[tuple[int, ...]]) -> CTE[Any]:
    """Return a few rows of integers as a table to join with.

    They are written into the statement: as parameters, one by one, SQLAlchemy would take longer
    over them than the database over the answer.
    """
    values = ", ".join(str(tuple(map(int, row))) for row in rows)
    columns = [column(f"column{i + 1}", BigInteger) for i in range(len(names))]
    return _renamed(text(f"VALUES {values}").columns(*columns).cte("v"), names)


def _renamed(table: Any, names: Sequence[str]) -> CTE[Any]:
    """Both databases name the columns of VALUES column1, column2, …"""
    return select(*(c.label(name) for c, name in zip(table.c, names, strict=True))).cte("r")


def joined(
    dialect: str, few: CTE[Any], table: Any, on: ColumnElement[bool], columns: Sequence[Any]
) -> Subquery:
    """Return some columns of a table's rows that belong to one of a few rows, with those of `few`.

    PostgreSQL knows nothing of how a range selects and would rather read the whole table: LATERAL
    and OFFSET 0 leave it no other way than to look each of the few up in the index.
    """
    if dialect != "postgresql":
        return select(*few.c, *columns).join_from(few, table, on).subquery("j")
    found = select(*columns).where(on).offset(_ZERO).lateral("l")
    return select(*few.c, *found.c).join_from(few, found, _TRUE).subquery("j")


def source(
    dialect: str, session: int, ranges: Ranges, conditions: Conditions, *, payload: bool = False
) -> Subquery:
    """Return seq, ts, origin_id (and payload) of what is in the ranges and meets the conditions."""
    e = events.c
    columns = [e.seq, e.ts, e.origin_id, *([e.payload] if payload else [])]
    if len(ranges) == 1:
        low, high = ranges[0]
        where = (e.session_id == session, e.seq >= low, e.seq <= high, *conditions(e))
        return select(*columns).where(*where).subquery("j")
    few = table_of(("low", "high"), ranges)
    inside = and_(e.session_id == session, e.seq >= few.c.low, e.seq <= few.c.high)
    return joined(dialect, few, events, and_(inside, *conditions(e)), columns)


def rows_of(
    conn: Connection,
    session: int,
    ranges: Ranges,
    conditions: Conditions,
    *,
    payload: bool,
    clause: ColumnElement[bool] | None,
    few: bool,
    down: bool,
) -> list[Any]:
    """Return seq, ts, origin and maybe payload of a block's rows, in the direction of the walk.

    `clause` is a condition on `events.c.payload`. `few`: conditions leave out most rows.
    """
    dialect = conn.dialect.name
    if few and payload and dialect == "postgresql":
        keys = source(dialect, session, ranges, conditions)
        wanted = _with_payload(session, keys, clause)
    else:

        def all_of(columns: Any) -> list[ColumnElement[bool]]:
            return conditions(columns) if clause is None else [*conditions(columns), clause]

        c = source(dialect, session, ranges, all_of, payload=payload).c
        wanted = select(c.seq, c.ts, c.origin_id, *([c.payload] if payload else []))
    if len(ranges) == 1:
        seq = wanted.selected_columns.seq
        return fetch(conn, wanted.order_by(seq.desc() if down else seq))
    found = fetch(conn, wanted)
    found.sort(key=itemgetter(0), reverse=down)
    return found


def _with_payload(session: int, keys: Subquery, clause: ColumnElement[bool] | None) -> Select[Any]:
    """Look the payloads of few rows up one by one: the index is read alone before."""
    e = events.c
    k = select(keys.c.seq, keys.c.ts, keys.c.origin_id).offset(_ZERO).subquery("k")
    texts = select(e.payload).where(e.session_id == session, e.seq == k.c.seq)
    if clause is not None:
        texts = texts.where(clause)
    p = texts.offset(_ZERO).lateral("p")
    return select(*k.c, *p.c).join_from(k, p, _TRUE)


def fetch(conn: Connection, wanted: Select[Any]) -> list[Any]:
    """Return plain driver rows: a Row object for each would cost as much as reading it."""
    result = conn.execute(wanted)
    try:
        return list(result.cursor.fetchall())
    finally:
        result.close()
