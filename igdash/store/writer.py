"""The one writer: every method is one transaction, durable when it returns.

What a batch adds is worked out before the first statement, and the session's counters change in
the same transaction as the rows they count, so no crash can make them differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, RowMapping, bindparam, insert, select, update

from igdash.domain.control import Advance
from igdash.domain.errors import SessionNotFound, StoreError
from igdash.domain.instances import Received
from igdash.domain.ports import ResumePoint, SessionBatch
from igdash.domain.schedules import Order, Schedule
from igdash.domain.sessions import NewSession, Session, SessionId, SessionState, StateChange
from igdash.domain.times import now_ns
from igdash.store import bulk, purge, records, schedules
from igdash.store.coverage import write_coverage
from igdash.store.engine import is_sqlite, shown, sqlite_path, writer_engine
from igdash.store.errors import translated
from igdash.store.lock import AdvisoryLock, FileLock
from igdash.store.migrate import require_head
from igdash.store.origins import Interner
from igdash.store.rates import ENDED, Window, advance
from igdash.store.recent import recent
from igdash.store.rollups import Rollup
from igdash.store.rows import clamp, clean, dump, session_from, session_values
from igdash.store.schemas import add_schemas, fields_id
from igdash.store.tables import sessions, ticks

_COUNTERS: Final = (
    "last_seq",
    "event_count",
    "byte_count",
    "first_ts",
    "last_ts",
    "ticks",
    "malformed",
    "lost",
    "logs",
    "received",
    "spool_offset",
    "rate_at",
    "rate_now",
    "rate_before",
)
_COUNT: Final = (
    update(sessions)
    .where(sessions.c.id == bindparam("this_id"))
    .values({name: bindparam(name) for name in _COUNTERS})
)
_STATE_OF: Final = (
    sessions.c.id,
    sessions.c.uid,
    sessions.c.state,
    *(sessions.c[name] for name in _COUNTERS),
)


class Writer:
    """The `EventWriter` port on SQL. Holds the collector's lock as long as it is open."""

    def __init__(self, url: str) -> None:
        """Open the store for writing.

        Raises `StoreRefused` when it is not at the current schema, `AlreadyRunning` when another
        collector has it, `StoreBusy` when it does not answer.
        """
        require_head(url)
        self._lock = FileLock(sqlite_path(url)) if is_sqlite(url) else None
        self._engine: Engine = writer_engine(url)
        if self._lock is None:
            self._advisory = AdvisoryLock(self._engine, shown(url))
        self._bulk = bulk.bulk_for(self._engine.dialect.name)
        self._origins = Interner()
        self._opened = False
        try:
            with self._transaction("cannot open the database for writing"):
                self._opened = True
        except BaseException:
            self.close()
            raise

    def create(self, session: NewSession) -> Session:
        """Store a new session in state `starting`. A second try of the same one changes nothing."""
        with self._transaction("cannot store the session") as conn:
            if not _stored(conn, session):
                conn.execute(
                    insert(sessions), session_values(session, fields_id(conn, session.sources))
                )
            return session_from(_row(conn, session.id), now_ns())

    def change(self, session: SessionId, change: StateChange) -> Session:
        """Store a step of a session's life. `info` is added to what is there."""
        with self._transaction("cannot store the session's state") as conn:
            row = _row(conn, session)
            conn.execute(
                update(sessions).where(sessions.c.id == row["id"]).values(_changed(row, change))
            )
            write_coverage(conn, row["id"], change.coverage or ())
            return session_from(_row(conn, session), now_ns())

    def append(self, batches: Sequence[SessionBatch]) -> Sequence[Advance]:
        """Add batches in one transaction; return one advance per session stored."""
        with self._transaction("cannot write events") as conn:
            found = _states(conn, {batch.session for batch in batches})
            rollup = Rollup()
            for batch in batches:
                if batch.session in found:
                    self._add(conn, rollup, found[batch.session], batch)
            bulk.write(self._bulk, conn, rollup)
            if found:
                conn.execute(_COUNT, [_counters(state) for state in found.values()])
        return [_advance(state) for state in found.values()]

    def unfinished(self) -> Sequence[ResumePoint]:
        """Return the sessions that have not ended, with their spool offsets."""
        c = sessions.c
        wanted = (
            select(sessions).where(c.state.not_in(ENDED), c.deleted_at.is_(None)).order_by(c.id)
        )
        with self._transaction("cannot read the sessions") as conn:
            rows = conn.execute(wanted).mappings().all()
        now = now_ns()
        return [
            ResumePoint(session=session_from(row, now), spool_offset=row["spool_offset"])
            for row in rows
        ]

    def recent(self, session: SessionId, lines: int) -> Sequence[Received]:
        """Return the newest lines, oldest first."""
        with self._transaction("cannot read the session's last events") as conn:
            row = _row(conn, session)
            return recent(conn, row["id"], row["last_seq"], lines)

    def hide(self, session: SessionId) -> Session:
        """Mark a session as deleted; return it as it was."""
        with self._transaction("cannot delete the session") as conn:
            row = _row(conn, session)
            conn.execute(
                update(sessions).where(sessions.c.id == row["id"]).values(deleted_at=now_ns())
            )
            return session_from(row, now_ns())

    def purge(self, rows: int) -> bool:
        """Delete up to `rows` rows of hidden sessions; return whether more remain."""
        try:
            with self._transaction("cannot delete old rows") as conn:
                return purge.purge(conn, rows)
        finally:  # also when the commit's answer was lost: an origin may be gone then
            self._origins.forget()

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports. Raises `ScheduleNotFound`, `WrongState`."""
        with self._transaction("cannot store the scheduled export") as conn:
            return schedules.obey(conn, order)

    def close(self) -> None:
        """Checkpoint and close."""
        if self._lock is not None and self._opened:
            with suppress(StoreError), translated("cannot checkpoint"):
                self._checkpoint()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def _checkpoint(self) -> None:
        raw = self._engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()

    # ------------------------------------------------------------ inside a transaction

    @contextmanager
    def _transaction(self, what: str) -> Iterator[Connection]:
        try:
            with translated(what), self._engine.begin() as conn:
                yield conn
        except BaseException:
            self._origins.rolled_back()
            raise
        self._origins.committed()

    def _add(
        self, conn: Connection, rollup: Rollup, state: dict[str, Any], batch: SessionBatch
    ) -> None:
        decoded, session, base = batch.decoded, state["id"], state["last_seq"]
        events = decoded.events
        if decoded.ticks:
            _add_ticks(conn, state, batch)
        if events:
            times, origins, payloads, sizes = zip(*events, strict=True)
            rollup.add(session, base, times, self._origins.ids(conn, origins), payloads)
            if not base:
                state["first_ts"] = clamp(times[0])
            state["last_ts"] = clamp(times[-1])
            state["last_seq"] = base + len(events)
            state["event_count"] += len(events)
            state["byte_count"] += sum(sizes)
        if decoded.schemas:
            add_schemas(conn, session, decoded.schemas)
        state["lost"] += records.add_losses(conn, session, decoded.losses)
        state["logs"] += records.add_logs(conn, session, state["logs"], decoded.logs)
        state["malformed"] += records.add_malformed(
            conn, session, state["malformed"], state["last_seq"], decoded.malformed
        )
        state["received"] += batch.received
        state["spool_offset"] = batch.spool_offset
        window = Window(state["rate_at"], state["rate_now"], state["rate_before"])
        window = advance(window, len(events), now_ns())
        state["rate_at"], state["rate_now"], state["rate_before"] = window


def open_writer(url: str) -> Writer:
    """Open the store for writing and take the collector's lock.

    Raises `AlreadyRunning`, `StoreRefused`, `StoreBusy`.
    """
    return Writer(url)


def _stored(conn: Connection, new: NewSession) -> bool:
    """Whether an earlier try stored it, whose acknowledgement was lost."""
    c = sessions.c
    same = select(c.id).where(
        c.uid == clean(new.id),
        c.created == clamp(new.created),
        c.state == SessionState.STARTING.value,
    )
    return conn.execute(same).first() is not None


def _row(conn: Connection, session: SessionId) -> RowMapping:
    c = sessions.c
    wanted = select(sessions).where(c.uid == clean(session), c.deleted_at.is_(None))
    row = conn.execute(wanted).mappings().one_or_none()
    if row is None:
        raise SessionNotFound(f"there is no session {session[:64]!r}")
    return row


def _changed(row: RowMapping, change: StateChange) -> dict[str, Any]:
    values: dict[str, Any] = {"state": change.state.value, "stopped": None}
    started = change.at if change.state is SessionState.RUNNING else change.started
    if started is not None and row["started"] is None:
        values["started"] = clamp(started)
    if change.state.ended:
        values["stopped"] = clamp(change.at)
    if change.reason is not None:
        values["reason"] = clean(change.reason)
    if change.nodes is not None:
        values["nodes_expected"] = change.nodes.expected
        values["nodes_connected"] = change.nodes.connected
    if change.info is not None:
        values["info"] = dump({**json.loads(row["info"]), **change.info})
    return values


def _states(conn: Connection, wanted: set[SessionId]) -> dict[SessionId, dict[str, Any]]:
    c = sessions.c
    rows = conn.execute(select(*_STATE_OF).where(c.uid.in_(wanted), c.deleted_at.is_(None)))
    return {SessionId(row["uid"]): dict(row) for row in rows.mappings()}


def _counters(state: dict[str, Any]) -> dict[str, Any]:
    counters = {name: state[name] for name in _COUNTERS}
    return {"this_id": state["id"], **counters, "lost": clamp(state["lost"])}


def _advance(state: dict[str, Any]) -> Advance:
    return Advance(
        session=SessionId(state["uid"]),
        state=SessionState(state["state"]),
        last_seq=state["last_seq"],
        lost=state["lost"],
        logs=state["logs"],
    )


def _add_ticks(conn: Connection, state: dict[str, Any], batch: SessionBatch) -> None:
    rows = [
        {
            "session_id": state["id"],
            "tick": number,
            "ts": clamp(tick.ts),
            "node": clean(tick.node),
            "source": clean(tick.source),
            "first_seq": state["last_seq"] + tick.first + 1,
            "n": tick.events,
        }
        for number, tick in enumerate(batch.decoded.ticks, state["ticks"] + 1)
    ]
    conn.execute(insert(ticks), rows)
    state["ticks"] += len(rows)
