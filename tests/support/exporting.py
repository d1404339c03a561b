"""The exporter inside a test: runs what is due, over the web side's own store and collector."""

from __future__ import annotations

import threading
from pathlib import Path

from igdash.services.export_runs import Runner
from igdash.services.exporter import Exporter, giver, is_due
from igdash.store import lock_run, open_reader, open_sql
from tests.support.web import Web


def run_due(side: Web, folder: Path) -> None:
    """Run every schedule of `side` that is due now, once."""
    reader = open_reader(side.url)
    stop = threading.Event()
    try:
        Exporter(
            schedules=reader.schedules,
            lock=lambda schedule: lock_run(side.url, folder / "locks", schedule),
            runner=lambda lock: Runner(
                sessions=reader.sessions,
                events=reader.events,
                queries=reader.queries,
                schedules=reader.schedules,
                sql=open_sql(side.url, reader),
                places=side.services.schedules.places,
                give=giver(side.control, stop),
                gone=stop.is_set,
                held=lock.held,
            ),
            stop=stop,
        )._each(is_due)
    finally:
        reader.close()
