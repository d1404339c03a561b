"""Sessions as readers see them: one, a page of many, their sparklines, the totals."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Integer, and_, case, cast, func, or_, select

from igdash.domain.errors import AmbiguousSession, InvalidQuery, SessionNotFound
from igdash.domain.gadgets import DataSource
from igdash.domain.nodes import NodeStatus
from igdash.domain.queries import SessionPage, SessionQuery, SessionSort
from igdash.domain.sessions import Session, SessionId, SessionState
from igdash.domain.times import NS, now_ns
from igdash.store.coverage import read_coverage
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.rates import rate_column
from igdash.store.rows import MAX_INT, clamp, clean, session_from
from igdash.store.schemas import session_sources
from igdash.store.sizes import database_bytes
from igdash.store.tables import activity, sessions

_c = sessions.c
_VISIBLE: Final = _c.deleted_at.is_(None)
_TEXTS: Final = {
    SessionSort.GADGET: _c.gadget,
    SessionSort.NAMESPACE: _c.namespace,
    SessionSort.POD: _c.pod,
    SessionSort.CONTAINER: _c.container,
    SessionSort.NODE: _c.node,
    SessionSort.NAME: _c.name,
    SessionSort.STATE: _c.state,
    SessionSort.ENVIRONMENT: _c.environment,
    SessionSort.ID: _c.uid,
}
_NUMBERS: Final[Mapping[SessionSort, ColumnElement[Any]]] = {
    SessionSort.STARTED: func.coalesce(_c.started, _c.created),
    SessionSort.CREATED: _c.created,
    SessionSort.STOPPED: func.coalesce(_c.stopped, MAX_INT),
    SessionSort.LAST_EVENT: func.coalesce(_c.last_ts, 0),
    SessionSort.EVENTS: _c.event_count,
    SessionSort.LOST: _c.lost,
    SessionSort.MALFORMED: _c.malformed,
    SessionSort.BYTES: _c.byte_count,
}

_Conditions = list[ColumnElement[bool]]


class StoredSessions:
    """The `SessionReader` port on SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"

    def get(self, session: SessionId) -> Session:
        """Return the session. Raises `SessionNotFound`."""
        with translated("cannot read the session"), self._engine.connect() as conn:
            row = session_row(conn, session)
        return session_from(row._mapping, now_ns())

    def resolve(self, prefix: str) -> SessionId:
        """Return the only id that begins with `prefix`."""
        wanted = _c.uid.startswith(clean(prefix), autoescape=True)
        with translated("cannot read the sessions"), self._engine.connect() as conn:
            found = conn.execute(
                select(_c.uid).where(_VISIBLE, wanted).order_by(_c.uid).limit(5)
            ).scalars()
            ids = [SessionId(uid) for uid in found]
        if prefix in ids or (len(ids) == 1 and prefix):
            return SessionId(prefix) if prefix in ids else ids[0]
        if not ids or not prefix:
            raise SessionNotFound(f"no session begins with {prefix[:64]!r}")
        raise AmbiguousSession(f"several sessions begin with {prefix!r}: {', '.join(ids)}")

    def list(self, query: SessionQuery) -> SessionPage:
        """Return one page; ties are broken by id."""
        now = now_ns()
        key = self._key(query.sort, now)
        conditions = self._conditions(query)
        order = (key.desc(), _c.uid.desc()) if query.descending else (key.asc(), _c.uid.asc())
        wanted = select(sessions, key.label("sort_key")).where(*conditions)
        if query.cursor:
            wanted = wanted.where(self._after(query, key))
        elif query.offset:
            wanted = wanted.offset(query.offset)
        wanted = wanted.order_by(*order).limit(query.limit + 1)
        with translated("cannot read the sessions"), self._engine.connect() as conn:
            rows = conn.execute(wanted).mappings().all()
            total = conn.execute(select(func.count()).where(*conditions)).scalar_one()
        page = rows[: query.limit]
        more = len(rows) > query.limit and page
        return SessionPage(
            sessions=tuple(session_from(row, now) for row in page),
            total=total,
            next=_cursor(query, page[-1]["sort_key"], page[-1]["uid"]) if more else "",
        )

    def sparks(
        self, sessions: Sequence[SessionId], start: int, end: int, buckets: int
    ) -> Mapping[SessionId, Sequence[int]]:
        """Return events per equal slice of `[start, end)` ns for each session asked for."""
        answer = {session: [0] * buckets for session in sessions}
        if end <= start or not answer:
            return answer
        a = activity.c
        first, last = clamp(start) // NS, (clamp(end) - 1) // NS
        place = (a.sec - first + 0.5) * (buckets * NS / (end - start))
        slot = cast(place if self._sqlite else func.floor(place), Integer)
        wanted = (
            select(_c.uid, slot.label("slot"), func.sum(a.n))
            .join(activity, a.session_id == _c.id)
            .where(_VISIBLE, _c.uid.in_([clean(s) for s in answer]), a.sec.between(first, last))
            .group_by(_c.uid, slot)
        )
        with translated("cannot read the activity"), self._engine.connect() as conn:
            for uid, index, n in conn.execute(wanted):
                answer[SessionId(uid)][min(index, buckets - 1)] += int(n)
        return answer

    def schema(self, session: SessionId) -> tuple[DataSource, ...]:
        """Return the columns the session has. Raises `SessionNotFound`."""
        with translated("cannot read the session's fields"), self._engine.connect() as conn:
            row = session_row(conn, session)
            return session_sources(conn, row.id, row.schema_id)

    def coverage(self, session: SessionId) -> tuple[NodeStatus, ...]:
        """Return each node the session covers or covered, by name. Raises `SessionNotFound`."""
        with translated("cannot read the session's nodes"), self._engine.connect() as conn:
            return read_coverage(conn, session_row(conn, session).id)

    def totals(self) -> Mapping[str, int]:
        """Return counts over all sessions."""
        running = case((_c.state == SessionState.RUNNING.value, 1), else_=0)
        columns = {
            "running": running,
            "events": _c.event_count,
            "lost": _c.lost,
            "bytes": _c.byte_count,
            "malformed": _c.malformed,
        }
        sums = [func.coalesce(func.sum(column), 0).label(name) for name, column in columns.items()]
        wanted = select(func.count().label("sessions"), *sums).where(_VISIBLE)
        with translated("cannot read the totals"), self._engine.connect() as conn:
            row = conn.execute(wanted).mappings().one()
            size = database_bytes(conn)
        return {name: int(value) for name, value in row.items()} | {"database_bytes": size}

    # ------------------------------------------------------------ parts of the list

    def _key(self, sort: SessionSort, now: int) -> ColumnElement[Any]:
        if sort is SessionSort.RATE:
            return rate_column(now)
        if sort in _NUMBERS:
            return _NUMBERS[sort]
        column = _TEXTS[sort]
        if self._sqlite:
            return func.lower(column)
        return func.lower(column.collate("C"))  # else the server's locale would order otherwise

    def _conditions(self, query: SessionQuery) -> Sequence[ColumnElement[bool]]:
        conditions: _Conditions = [_VISIBLE]
        if query.states:
            conditions.append(_c.state.in_([state.value for state in query.states]))
        for column, value in (
            (_c.gadget, query.gadget),
            (_c.namespace, query.namespace),
            (_c.environment, query.environment),
        ):
            if value:
                conditions.append(column == clean(value))
        if query.text:  # a search for text, not a pattern: no wildcard to escape
            find = func.instr if self._sqlite else func.strpos
            conditions.append(find(_c.search, clean(query.text).casefold()) > 0)
        return conditions

    def _after(self, query: SessionQuery, key: ColumnElement[Any]) -> ColumnElement[bool]:
        value, uid = _open(query)
        if query.descending:
            return or_(key < value, and_(key == value, _c.uid < uid))
        return or_(key > value, and_(key == value, _c.uid > uid))


def _cursor(query: SessionQuery, value: Any, uid: str) -> str:
    text = json.dumps([query.sort.value, query.descending, value, uid])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _open(query: SessionQuery) -> tuple[Any, str]:
    """Return the sort value and the id of a cursor. Raises `InvalidQuery`."""
    text = query.cursor
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        sort, descending, value, uid = json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        raise InvalidQuery("cursor", "is not one that igdash gave out") from None
    kind = str if query.sort in _TEXTS else int | float
    sound = isinstance(value, kind) and isinstance(uid, str) and "\0" not in uid
    if sound:
        sound = "\0" not in value if isinstance(value, str) else abs(value) < 2**63
    if not sound or sort != query.sort.value or descending != query.descending:
        raise InvalidQuery("cursor", "belongs to another query")
    return value, uid
