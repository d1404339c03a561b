"""Everything the web side can do, in one value: what REST, sockets and pages are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from igdash.domain.environments import Environment
from igdash.domain.images import OFFICIAL
from igdash.domain.ports import (
    Catalogue,
    Control,
    EventReader,
    QueryReader,
    RecordReader,
    ScheduleReader,
    SessionReader,
    SqlReader,
)
from igdash.services.export_places import Places
from igdash.services.exports import Exports
from igdash.services.gadgets import Gadgets
from igdash.services.health import Health
from igdash.services.history import History
from igdash.services.hub import Hub
from igdash.services.live import Live
from igdash.services.metadata import Metadata
from igdash.services.queries import Backend, Here, Queries
from igdash.services.query_asks import Answerer
from igdash.services.report import Reports
from igdash.services.schedules import Schedules
from igdash.services.sessions import Sessions
from igdash.services.sql import Sql
from igdash.services.starts import Starts
from igdash.services.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """The services of one web process. All are thread-safe."""

    sessions: Sessions
    history: History
    gadgets: Gadgets
    starts: Starts
    exports: Exports
    reports: Reports
    health: Health
    hub: Hub
    live: Live
    queries: Queries
    uploads: Uploads
    sql: Sql
    schedules: Schedules
    catalogue: Catalogue
    environments: Sequence[Environment]

    def close(self) -> None:
        """End every live reader (sockets close with 1001, going away) and every question that is
        being answered. Safe to call twice."""
        self.hub.close()
        self.queries.close()


def make_web_services(
    *,
    sessions: SessionReader,
    events: EventReader,
    records: RecordReader,
    queries: QueryReader,
    sql: SqlReader,
    schedules: ScheduleReader,
    places: Places,
    control: Control,
    catalogue: Catalogue,
    environments: Sequence[Environment],
    allowed_images: Sequence[str] = (OFFICIAL,),
    backend: Backend | None = None,
    upload_dir: Path | None = None,
) -> WebServices:
    """Return the services over these ports. Starts no thread and no process: the hub's begins with
    the first live reader, hence after any fork of the web server, a worker with the first question.

    Without a `backend` questions are answered in this process; without an `upload_dir` nothing can be
    uploaded.
    """
    here = Here(answerer=Answerer(sessions=sessions, queries=queries))
    asking = Queries(sessions=sessions, reader=queries, backend=backend or here)
    health = Health(control, sessions)
    metadata = Metadata(catalogue, control, environments, allowed_images)
    hub = Hub(sessions=sessions, events=events, records=records, control=control)
    return WebServices(
        sessions=Sessions(reader=sessions, control=control),
        history=History(sessions=sessions, events=events, records=records),
        gadgets=Gadgets(
            catalogue=catalogue,
            reader=sessions,
            control=control,
            configured=environments,
            metadata=metadata,
        ),
        starts=Starts(configured=environments, metadata=metadata),
        exports=Exports(sessions=sessions, events=events, queries=asking),
        reports=Reports(
            sessions=sessions,
            events=events,
            records=records,
            queries=asking,
            catalogue=catalogue,
        ),
        health=health,
        hub=hub,
        live=Live(sessions=sessions, health=health, hub=hub),
        queries=asking,
        uploads=Uploads(control=control, folder=upload_dir),
        sql=Sql(sql),
        schedules=Schedules(
            reader=schedules,
            sessions=sessions,
            queries=queries,
            control=control,
            places=places,
            sql=sql,
            catalogue=catalogue,
        ),
        catalogue=catalogue,
        environments=environments,
    )
