"""The read side of a store in one object, for the processes that only show."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from igdash.domain.ports import (
    EventReader,
    QueryReader,
    RecordReader,
    ScheduleReader,
    SessionReader,
)
from igdash.store.engine import reader_engine
from igdash.store.errors import translated
from igdash.store.events import StoredEvents
from igdash.store.migrate import require_head
from igdash.store.query.reader import StoredQueries
from igdash.store.records import StoredRecords
from igdash.store.schedules import StoredSchedules
from igdash.store.sessions import StoredSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A store opened for reading. Thread-safe."""

    sessions: SessionReader
    events: EventReader
    records: RecordReader
    queries: QueryReader
    schedules: ScheduleReader
    engine: Engine

    def ping(self) -> None:
        """Ask the database for a sign of life. Raises `StoreError`."""
        with translated("the database does not answer"), self.engine.connect() as conn:
            conn.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_reader(url: str) -> Reader:
    """Open the store for reading.

    Raises `StoreRefused` when there is none or it has not this version's schema, `StoreBusy` when
    it does not answer.
    """
    require_head(url)
    engine = reader_engine(url)
    return Reader(
        sessions=StoredSessions(engine),
        events=StoredEvents(engine),
        records=StoredRecords(engine),
        queries=StoredQueries(engine),
        schedules=StoredSchedules(engine),
        engine=engine,
    )
