"""The statement that reads a block of a walk, as each database does it from the index.

What origin and time decide is decided in the index. SQLite visits a row only when all of that is
true; PostgreSQL does so for keys alone, not for included columns, unless it is told in two steps.
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

_walked: Final = events.alias("w")


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


def within(session: int, ranges: Ranges, wanted: Select[Any], table: Any = events) -> Select[Any]:
    """Return a select from `table` (events or an alias) limited to ranges of a session's seqs."""
    c = table.c
    if len(ranges) == 1:
        low, high = ranges[0]
        return wanted.where(and_(c.session_id == session, c.seq >= low, c.seq <= high))
    r = table_of(("low", "high"), ranges)
    inside = and_(c.session_id == session, c.seq >= r.c.low, c.seq <= r.c.high)
    return wanted.join_from(r, table, inside)


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

    `clause` is a condition on the payload. `few`: conditions leave out most rows.
    """
    if few and payload and conn.dialect.name == "postgresql":
        wanted = _in_two_steps(session, ranges, conditions, clause)
        ordered = False
    else:
        e = events.c
        columns = (e.seq, e.ts, e.origin_id, e.payload) if payload else (e.seq, e.ts, e.origin_id)
        clauses = conditions(e) if clause is None else [*conditions(e), clause]
        wanted = within(session, ranges, select(*columns)).where(*clauses)
        ordered = len(ranges) == 1
        if ordered:
            wanted = wanted.order_by(e.seq.desc() if down else e.seq)
    found = fetch(conn, wanted)
    if not ordered:
        found.sort(key=itemgetter(0), reverse=down)
    return found


def _in_two_steps(
    session: int, ranges: Ranges, conditions: Conditions, clause: ColumnElement[bool] | None
) -> Select[Any]:
    """OFFSET 0 keeps PostgreSQL from making one of them again."""
    w, e = _walked.c, events.c
    keys = within(session, ranges, select(w.seq, w.ts, w.origin_id), _walked)
    k = keys.where(*conditions(w)).offset(literal_column("0")).subquery("k")
    texts = select(e.payload).where(e.session_id == session, e.seq == k.c.seq)
    if clause is not None:
        texts = texts.where(clause)
    p = texts.offset(literal_column("0")).lateral("p")
    return select(k.c.seq, k.c.ts, k.c.origin_id, p.c.payload).join_from(
        k, p, literal_column("true")
    )


def fetch(conn: Connection, wanted: Select[Any]) -> list[Any]:
    """Return plain driver rows: a Row object for each would cost as much as reading it."""
    result = conn.execute(wanted)
    try:
        return list(result.cursor.fetchall())
    finally:
        result.close()
