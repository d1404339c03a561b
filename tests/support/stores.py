"""Stores for tests, over both databases, each empty and at the current schema.

The fixtures here are made known by `tests/conftest.py`:
- `store`: runs the test once per database;
- `sqlite_store`: one SQLite store;
- `postgres_server`: the suite's PostgreSQL server, started at first use.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.events import Decoded, NewEvent, Origin
from igdash.domain.losses import LossCause
from igdash.domain.ports import SessionBatch
from igdash.domain.sessions import NewSession, Session, SessionId, SessionSpec, Target
from igdash.domain.times import NS
from igdash.store import Reader, Writer, open_reader, open_writer, upgrade
from tests.support.postgres import NoPostgres, Server, running_server

T0 = 1_760_000_000 * NS
_ids = count(1)


class Store:
    """A store of one test: `url`, and its writer and reader, opened when first asked for."""

    def __init__(self, url: str, kind: str) -> None:
        self.url = url
        self.kind = kind

    @cached_property
    def writer(self) -> Writer:
        return open_writer(self.url)

    @cached_property
    def reader(self) -> Reader:
        return open_reader(self.url)

    def close(self) -> None:
        for name in ("reader", "writer"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def reopen_writer(self) -> Writer:
        self.writer.close()
        del self.writer
        return self.writer

    def create(self, **more: Any) -> Session:
        return self.writer.create(new_session(**more))

    def add(self, session: SessionId, *events: NewEvent, **decoded: Any) -> None:
        self.writer.append([batch(session, *events, **decoded)])

    def sql(self, query: str) -> Sequence[Any]:
        """Return the rows of a query of the test's own."""
        engine: Any = self.reader.engine
        with engine.connect() as conn:
            return conn.exec_driver_sql(query).all()


def new_session(**more: Any) -> NewSession:
    """Return a session to create; `namespace`, `pod`, `gadget`, `name`, … may be given."""
    spec = {name: more.pop(name) for name in ("gadget", "environment", "name") if name in more}
    targets = ("namespace", "pod", "container", "node", "selector")
    target = {name: more.pop(name) for name in targets if name in more}
    values: dict[str, Any] = {
        "id": SessionId(f"{next(_ids):012x}"),
        "spec": SessionSpec(
            **{"gadget": "trace_tcp", "environment": "demo"} | spec,
            target=Target(**target),
            params=more.pop("params", {}),
        ),
        "created": T0,
    }
    return NewSession(**values | more)


def event(data: str = '{"a":1}', ts: int = T0, **origin: str) -> NewEvent:
    """Return one event; `origin` sets fields of its `Origin`."""
    return NewEvent(ts, Origin(**origin), data, len(data.encode()))


def batch(session: SessionId, *events: NewEvent, **decoded: Any) -> SessionBatch:
    """Return a batch with correct `received`; `spool_offset` and `Decoded` fields may be given."""
    offset = decoded.pop("spool_offset", 0)
    found = Decoded(events=events, **decoded)
    lost = sum(loss.count for loss in found.losses if loss.cause is LossCause.WRITER)
    received = len(events) + lost
    return SessionBatch(session=session, decoded=found, received=received, spool_offset=offset)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once, copied for each test: a migration per test would take most of the time."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    if os.environ.get("IGDASH_TEST_NO_POSTGRES") == "1":
        pytest.skip("IGDASH_TEST_NO_POSTGRES=1")
    try:
        with running_server() as server:
            server.execute("CREATE DATABASE igdash_template")
            upgrade(server.url("igdash_template"))
            yield server
    except NoPostgres as error:
        pytest.fail(str(error), pytrace=False)


@contextmanager
def sqlite_copy(template: Path, folder: Path) -> Iterator[Store]:
    path = folder / f"store-{next(_ids)}.db"
    shutil.copyfile(template, path)
    store = Store(f"sqlite:///{path}", "sqlite")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def postgres_copy(server: Server) -> Iterator[Store]:
    name = server.create("igdash_template")
    store = Store(server.url(name), "postgres")
    try:
        yield store
    finally:
        store.close()
        server.drop(name)


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    with sqlite_copy(sqlite_template, tmp_path) as store:
        yield store


@pytest.fixture
def postgres_store(postgres_server: Server) -> Iterator[Store]:
    with postgres_copy(postgres_server) as store:
        yield store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store:
    """A new, empty store, once on each database."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
