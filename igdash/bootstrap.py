"""Where concrete things meet: the only module that names stores, sources and the collector.

A Runtime is a process's worth of parts with `start()` and `stop()`; commands that only look or ask
get a `Desk`.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import igdash
from igdash.domain.errors import (
    CollectorUnavailable,
    EnvironmentNotFound,
    SettingsError,
    StoreError,
)
from igdash.services.control_client import ControlClient
from igdash.services.files import allow_files
from igdash.services.memory import collect_seldom
from igdash.settings import Settings, child_environ

if TYPE_CHECKING:
    from flask import Flask

    from igdash.domain.imports import CaptureFile
    from igdash.domain.ports import Catalogue, RunLock, SqlReader
    from igdash.services.check import Checked
    from igdash.services.export_places import Places
    from igdash.services.exports import Exports
    from igdash.services.gadgets import Gadgets
    from igdash.services.history import History
    from igdash.services.metadata import Metadata
    from igdash.services.queries import Queries
    from igdash.services.query_asks import Answerer
    from igdash.services.query_pool import Pool
    from igdash.services.report import Reports
    from igdash.services.schedules import Schedules
    from igdash.services.sessions import Sessions
    from igdash.services.web import WebServices
    from igdash.store import Reader

log = logging.getLogger(__name__)

MIB = 1024 * 1024
_FILES: Final = 8_192
"""Files the collector may have open. A gadget's process takes about seven (two pipes, what starts
and watches it, its spool twice), so that this is enough for a thousand sessions."""


class CollectRuntime:
    """The collecting process: store at head, collector, control server."""

    def __init__(self, settings: Settings) -> None:
        from igdash import store
        from igdash.services.collector import Collector
        from igdash.services.control_server import ControlServer
        from igdash.services.limits import CollectorLimits
        from igdash.sources import Orphans, make_source
        from igdash.sources.decode import decode_chunk

        self._settings = settings
        orphans = Orphans(settings.state_dir / "gadgets")
        self.collector = Collector(
            writer=lambda: store.open_writer(settings.store.url),
            sources={one.name: make_source(one, orphans) for one in settings.environments},
            catalogue=catalogue(),
            decode=decode_chunk,
            state_dir=settings.state_dir,
            limits=CollectorLimits(
                commit_window=settings.collect.window_ms / 1000,
                max_spool_bytes=settings.collect.max_spool_mb * MIB,
                stop_timeout=settings.collect.stop_timeout_s,
            ),
            allowed_images=settings.gadgets.allowed_images,
            open_capture=open_capture,
            reap=orphans.reap,
        )
        self._control = ControlServer(self.collector, settings.control_path)

    def start(self) -> None:
        """Migrate the store, resume sessions, answer calls. Raises `StoreError`, `AlreadyRunning`."""
        allow_files(_FILES, what="a thousand sessions", instead="run fewer sessions at once")
        revision = upgrade_store(self._settings)
        log.info("store %s is at %s", self._settings.store.url, revision)
        _offer_sql(self._settings)
        self.collector.start()
        self._control.start()
        collect_seldom()

    def stop(self, timeout: float) -> None:
        """Drain and close within `timeout` s; running sessions stay marked as running."""
        self._control.stop()
        self.collector.stop(timeout)


class ExportRuntime:
    """The exporting process: readers of the store, schedules, the way to the collector."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        from igdash import store
        from igdash.services.export_runs import Runner
        from igdash.services.exporter import Exporter, giver

        reader = store.open_reader(settings.store.url)
        sql = open_sql(settings, reader)
        give = giver(control_client(settings), stop)
        locks = settings.state_dir / "exporting"

        def runner(lock: RunLock) -> Runner:
            return Runner(
                sessions=reader.sessions,
                events=reader.events,
                queries=reader.queries,
                schedules=reader.schedules,
                sql=sql,
                places=places(settings),
                give=give,
                gone=stop.is_set,
                held=lock.held,
            )

        self._reader = reader
        self._exporter = Exporter(
            schedules=reader.schedules,
            lock=lambda schedule: store.lock_run(settings.store.url, locks, schedule),
            runner=runner,
            stop=stop,
        )

    def run(self) -> None:
        """Run what is due, until told to stop."""
        try:
            self._exporter.run()
        finally:
            self._reader.close()


class WebRuntime:
    """The web process: readers, services, Flask application with API and dashboard."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services: WebServices | None = None

    def start(self) -> Flask:
        """Return the application, ready to serve. Raises `StoreError`."""
        from igdash import store
        from igdash.api.app import create_flask
        from igdash.api.options import WebOptions
        from igdash.services.queries import Workers
        from igdash.services.web import make_web_services
        from igdash.ui.app import create_app

        web = self._settings.web
        reader = store.open_reader(self._settings.store.url)
        services = make_web_services(
            sessions=reader.sessions,
            events=reader.events,
            records=reader.records,
            queries=reader.queries,
            sql=open_sql(self._settings, reader),
            schedules=reader.schedules,
            places=places(self._settings),
            backend=Workers(pool=query_pool(self._settings)),
            control=control_client(self._settings),
            catalogue=catalogue(),
            environments=self._settings.environments,
            allowed_images=self._settings.gadgets.allowed_images,
            upload_dir=self._settings.import_dir,
        )
        options = WebOptions(
            host=web.host,
            allowed_hosts=web.allowed_hosts,
            max_sockets=web.max_sockets,
            max_upload=web.max_upload_mb * MIB,
        )
        app = create_flask(services, options)
        create_app(services, app)
        self._services = services
        return app

    def stop(self) -> None:
        """Send every live reader away, so that requests in flight come to their end."""
        if self._services is not None:
            self._services.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What commands look at and ask: the store's readers and the collector's control."""

    reader: Reader
    sessions: Sessions
    history: History
    gadgets: Gadgets
    exports: Exports
    reports: Reports
    schedules: Schedules
    queries: Queries


def open_desk(settings: Settings) -> Desk:
    """Return the services of the command line. Raises `StoreRefused`, `StoreBusy`."""
    from igdash.services.exports import Exports
    from igdash.services.gadgets import Gadgets
    from igdash.services.history import History
    from igdash.services.metadata import Metadata
    from igdash.services.queries import Here, Queries
    from igdash.services.query_asks import Answerer
    from igdash.services.report import Reports
    from igdash.services.schedules import Schedules
    from igdash.services.sessions import Sessions

    reader = open_history(settings)
    here = Here(answerer=Answerer(sessions=reader.sessions, queries=reader.queries))
    queries = Queries(sessions=reader.sessions, reader=reader.queries, backend=here)
    control = control_client(settings)
    return Desk(
        reader=reader,
        sessions=Sessions(reader=reader.sessions, control=control),
        history=History(sessions=reader.sessions, events=reader.events, records=reader.records),
        gadgets=Gadgets(
            catalogue=catalogue(),
            reader=reader.sessions,
            control=control,
            configured=settings.environments,
            metadata=Metadata(
                catalogue(), control, settings.environments, settings.gadgets.allowed_images
            ),
        ),
        exports=Exports(sessions=reader.sessions, events=reader.events, queries=queries),
        reports=Reports(
            sessions=reader.sessions,
            events=reader.events,
            records=reader.records,
            queries=queries,
            catalogue=catalogue(),
        ),
        schedules=Schedules(
            reader=reader.schedules,
            sessions=reader.sessions,
            queries=reader.queries,
            control=control,
            places=places(settings),
            sql=open_sql(settings, reader),
            catalogue=catalogue(),
        ),
        queries=queries,
    )


def check_environment(
    settings: Settings, name: str, gadgets: Sequence[str], seconds: float
) -> Iterator[Checked]:
    """Yield what each gadget does there, all of the catalogue when none is named.

    Raises `EnvironmentNotFound`, `GadgetNotFound`, and `SourceError` when it cannot be used at all.
    """
    from igdash.services import check
    from igdash.sources import make_source
    from igdash.sources.decode import decode_chunk

    found = next((one for one in settings.environments if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in settings.environments) or "none"
        raise EnvironmentNotFound(f"no environment {name!r}; configured: {names}")
    source = make_source(found)
    wanted = [catalogue().get(gadget) for gadget in gadgets]
    return check.check(
        source, wanted or check.offered(source, catalogue()), decode_chunk, seconds=seconds
    )


def open_history(settings: Settings) -> Reader:
    """Return the store's readers. Raises `StoreRefused`, `StoreBusy`."""
    from igdash import store

    return store.open_reader(settings.store.url)


def open_sql(settings: Settings, reader: Reader) -> SqlReader:
    """Return SQL over the open store."""
    from igdash import store

    return store.open_sql(settings.store.url, reader, role_file=sql_role_file(settings))


def set_up_sql(settings: Settings) -> str:
    """Make what SQL needs on PostgreSQL; return the role's name. Raises `StoreError`."""
    from igdash import store

    make_folders(settings)
    return store.set_up_sql(settings.store.url, sql_role_file(settings))


def _offer_sql(settings: Settings) -> None:
    """Set SQL up where that is still to be done and allowed; collecting does not depend on it."""
    from igdash import store

    try:
        role = store.set_up_sql_once(settings.store.url, sql_role_file(settings))
    except (StoreError, OSError) as error:
        log.warning("SQL is not set up: %s", error)
        return
    if role:
        log.info("SQL is set up: role %s reads the views", role)


def sql_role_file(settings: Settings) -> Path:
    """Return where `set_up_sql` leaves how SQL connects."""
    return settings.state_dir / "sql-role.json"


def open_capture(path: Path) -> CaptureFile:
    """Open a file to import, whatever it is. Raises `InvalidSpec` (field `file`)."""
    from igdash.sources import captures
    from igdash.store.desktop import open_desktop

    if captures.begins_like_sqlite(path):
        return open_desktop(path, catalogue())
    return captures.open_lines(path)


def upgrade_store(settings: Settings) -> str:
    """Create the store or bring it to this version; return its revision. Raises `StoreError`."""
    from igdash import store

    make_folders(settings)
    return store.upgrade(settings.store.url)


def places(settings: Settings) -> Places:
    """Return where scheduled exports may write."""
    from igdash.services.export_places import Places

    scheme, _, path = settings.store.url.partition(":///")
    beside = Path(path).with_suffix(".exports") if scheme == "sqlite" else None
    folder = Path(settings.exports.folder).expanduser() if settings.exports.folder else beside
    return Places(
        folder=(folder or settings.state_dir / "exports").absolute(),
        buckets=settings.exports.buckets,
        scratch=settings.state_dir / "exporting" / "out",
    )


def check_store(settings: Settings) -> list[str]:
    """Return what is wrong with the store, empty = sound."""
    from igdash import store

    return store.check(settings.store.url)


def store_stats(settings: Settings) -> dict[str, Any]:
    """Return sizes and counts of the store. Raises `StoreError`."""
    from igdash import store

    return store.stats(settings.store.url)


def gadget_metadata(settings: Settings) -> Metadata:
    """Return who knows gadgets as their environments describe them, through the collector."""
    from igdash.services.metadata import Metadata

    allowed = settings.gadgets.allowed_images
    return Metadata(catalogue(), control_client(settings), settings.environments, allowed)


def catalogue() -> Catalogue:
    """Return the gadgets igdash knows."""
    from igdash.sources.catalogue import load_catalogue

    return load_catalogue()


def control_client(settings: Settings) -> ControlClient:
    """Return the way to ask the collector of this store; it need not be running."""
    return ControlClient(settings.control_path)


def collector_pid(settings: Settings) -> int | None:
    """Return the process id of the running collector, None when none answers."""
    try:
        return control_client(settings).stats().pid
    except CollectorUnavailable:
        return None


def same_python(environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return how to run this very igdash once more: words and environment.

    `-P` keeps the current folder out of the import path, where any `flask.py` would be taken for
    Flask; the folder of this package takes its place.
    """
    paths = [str(Path(igdash.__file__).parents[1]), environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, paths))
    return [sys.executable, "-P", "-m", "igdash"], {**environ, "PYTHONPATH": path}


def query_pool(settings: Settings) -> Pool:
    """Return the processes that answer questions; none runs before the first question."""
    import msgspec

    from igdash.services.query_pool import Pool, PoolLimits, WorkerProgram

    python, environ = same_python(child_environ({}, None))
    hello = {
        "store": settings.store.url,
        "log": {"level": settings.log.level, "format": settings.log.format},
    }
    program = WorkerProgram(
        argv=[*python, "query-worker"], environ=environ, hello=msgspec.msgpack.encode(hello)
    )
    return Pool(program, PoolLimits(workers=settings.web.query_workers))


def answerer(url: str) -> Answerer:
    """Return what answers questions from the store. Raises `StoreRefused`, `StoreBusy`."""
    from igdash import store
    from igdash.services.query_asks import Answerer

    reader = store.open_reader(url)
    return Answerer(sessions=reader.sessions, queries=reader.queries)


def make_folders(settings: Settings) -> None:
    """Create the folders of database and state, readable for this user alone.

    Raises `SettingsError` naming the setting whose folder cannot be made.
    """
    _make("store.state_dir", settings.state_dir)
    scheme, _, path = settings.store.url.partition(":///")
    if scheme == "sqlite":
        _make("store.url", Path(path).parent)


def _make(key: str, folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise SettingsError(f"{key}: cannot use the folder {folder}: {error.strerror}") from error
