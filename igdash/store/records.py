"""Losses, log lines and malformed lines: written by the batch, read by the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    and_,
    case,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from igdash.domain.events import LogLevel, LogLine, Malformed
from igdash.domain.losses import Loss, LossCause, merge
from igdash.domain.sessions import SessionId
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.rows import clamp, clean
from igdash.store.tables import KEPT_LINES, logs, losses, malformed

# ---------------------------------------------------------------- writing


def add_losses(conn: Connection, session: int, found: Iterable[Loss]) -> int:
    """Merge losses into their records; return by how much the session's total grows."""
    merged: dict[tuple[str, LossCause, int], Loss] = {}
    for loss in found:
        key = (loss.node, loss.cause, loss.second)
        merged[key] = merge(merged[key], loss) if key in merged else loss
    if merged:
        conn.execute(
            _loss_upsert(conn.dialect.name), [_loss_row(session, x) for x in merged.values()]
        )
    return sum(loss.count for loss in merged.values())


def _loss_row(session: int, loss: Loss) -> dict[str, Any]:
    return {
        "session_id": session,
        "node": clean(loss.node),
        "cause": loss.cause.value,
        "sec": clamp(loss.second),
        "start_ts": clamp(loss.start),
        "end_ts": clamp(loss.end),
        "n": clamp(loss.count),
        "detail": clean(loss.detail),
        "exact": loss.exact,
    }


def _loss_upsert(dialect: str) -> Any:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = make(losses)
    old, new = losses.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["session_id", "node", "cause", "sec"],
        set_={
            "n": old.n + new.n,
            "start_ts": case((new.start_ts < old.start_ts, new.start_ts), else_=old.start_ts),
            "end_ts": case((new.end_ts > old.end_ts, new.end_ts), else_=old.end_ts),
            "detail": case((old.detail == "", new.detail), else_=old.detail),
            "exact": and_(old.exact, new.exact),
        },
    )


def add_logs(conn: Connection, session: int, before: int, lines: Sequence[LogLine]) -> int:
    """Add log lines after number `before`; return how many came."""
    rows = [
        {
            "session_id": session,
            "n": n,
            "ts": clamp(line.ts),
            "level": line.level.value,
            "node": clean(line.node),
            "text": clean(line.text),
        }
        for n, line in enumerate(lines, before + 1)
    ]
    _add_bounded(conn, logs, session, before, rows)
    return len(rows)


def add_malformed(
    conn: Connection, session: int, before: int, at_seq: int, lines: Sequence[Malformed]
) -> int:
    """Add malformed lines after number `before`; return how many came."""
    rows = [
        {
            "session_id": session,
            "n": n,
            "ts": clamp(line.ts),
            "node": clean(line.node),
            "at_seq": at_seq,
            "size": line.size,
            "reason": clean(line.reason),
            "raw": line.raw,
        }
        for n, line in enumerate(lines, before + 1)
    ]
    _add_bounded(conn, malformed, session, before, rows)
    return len(rows)


def _add_bounded(
    conn: Connection, table: Table, session: int, before: int, rows: list[dict[str, Any]]
) -> None:
    if not rows:
        return
    conn.execute(insert(table), rows[-KEPT_LINES:])
    newest = before + len(rows)
    if newest > KEPT_LINES:
        old = and_(table.c.session_id == session, table.c.n <= newest - KEPT_LINES)
        conn.execute(delete(table).where(old))


# ---------------------------------------------------------------- reading


class StoredRecords:
    """The `RecordReader` port on SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def losses(self, session: SessionId, *, limit: int = 1_000) -> tuple[tuple[Loss, ...], int]:
        """Return the newest loss records, oldest of them first, and the total count."""
        c = losses.c
        with translated("cannot read losses"), self._engine.connect() as conn:
            row = session_row(conn, session)
            newest = (
                select(losses)
                .where(c.session_id == row.id)
                .order_by(c.sec.desc(), c.start_ts.desc(), c.node.desc(), c.cause.desc())
                .limit(limit)
            )
            found = conn.execute(newest).all()
        return tuple(_loss(one) for one in reversed(found)), row.lost

    def logs(self, session: SessionId, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return log lines with `n > after`, in order; with `after=0` the newest `limit`."""
        with translated("cannot read the log"), self._engine.connect() as conn:
            row = session_row(conn, session)
            lower = after if after > 0 else row.logs - limit
            wanted = (
                select(logs)
                .where(logs.c.session_id == row.id, logs.c.n > lower)
                .order_by(logs.c.n)
                .limit(limit)
            )
            found = conn.execute(wanted).all()
        return tuple(
            LogLine(ts=x.ts, level=LogLevel(x.level), node=x.node, text=x.text, n=x.n)
            for x in found
        )

    def malformed(
        self, session: SessionId, *, after: int = 0, limit: int = 100
    ) -> tuple[Malformed, ...]:
        """Return kept malformed lines with `n > after`, in order."""
        c = malformed.c
        with translated("cannot read malformed lines"), self._engine.connect() as conn:
            row = session_row(conn, session)
            wanted = (
                select(malformed)
                .where(c.session_id == row.id, c.n > after)
                .order_by(c.n)
                .limit(limit)
            )
            found = conn.execute(wanted).all()
        return tuple(
            Malformed(
                ts=x.ts,
                node=x.node,
                raw=bytes(x.raw),
                size=x.size,
                reason=x.reason,
                at_seq=x.at_seq,
                n=x.n,
            )
            for x in found
        )


def _loss(row: Any) -> Loss:
    return Loss(
        node=row.node,
        start=row.start_ts,
        end=row.end_ts,
        count=row.n,
        cause=LossCause(row.cause),
        detail=row.detail,
        exact=bool(row.exact),
    )
