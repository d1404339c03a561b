"""Up from nothing and from every step, equal to the models, and never a foreign file touched."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from igdash.domain.errors import AlreadyRunning, StoreBusy, StoreError, StoreRefused
from igdash.domain.queries import EventRange
from igdash.domain.threads import spawn
from igdash.store import check, migrate, open_reader, open_writer, upgrade
from igdash.store.engine import create_file, sqlite_path, writer_engine
from igdash.store.tables import metadata
from tests.support.postgres import Server
from tests.support.stores import Store, event

ROOT = Path(__file__).parents[2]
BASES = [
    script.revision
    for script in reversed(list(ScriptDirectory(str(ROOT / "migrations")).walk_revisions()))
]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/x.db"
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = server.create()
    yield server.url(name)
    server.drop(name)


def run(url: str, *statements: str) -> None:
    engine = writer_engine(url)
    with engine.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
    engine.dispose()


def test_up_from_nothing_and_again(empty: str) -> None:
    assert upgrade(empty) == upgrade(empty) == migrate.head() == BASES[-1]
    store = Store(empty, "")
    store.add(store.create().id, event())
    store.close()
    assert check(empty) == []


def test_file_names_say_the_revisions() -> None:
    assert migrate.revisions() == BASES


def test_models_and_migrations_are_the_same(empty: str) -> None:
    upgrade(empty)
    engine = writer_engine(empty)
    with engine.connect() as conn:
        dialect = conn.dialect.name

        def here(item: Any, _name: object, _kind: str, _reflected: bool, _other: object) -> bool:
            """Leave out what is only for the other database."""
            return bool(item.info.get("dialect", dialect) == dialect)

        context = MigrationContext.configure(
            conn,
            opts={"compare_type": True, "compare_server_default": True, "include_object": here},
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.parametrize("base", BASES)
def test_up_from_each_step_with_data(empty: str, base: str) -> None:
    if empty.startswith("sqlite"):
        create_file(sqlite_path(empty))
    migrate.migrate_to(empty, base)
    run(
        empty,
        "INSERT INTO sessions (uid, gadget, environment, state, created, params, stop_after, command,"
        " info, last_seq, event_count, received) VALUES ('old', 'trace_tcp', 'e', 'running', 5, '{}',"
        " '{\"seconds\":null,\"events\":null}', '[]', '{}', 1, 1, 1)",
        "INSERT INTO origins (hash, node) VALUES ('x', 'n')",
        "INSERT INTO events (session_id, seq, ts, origin_id, payload) VALUES (1, 1, -7, 1, '{\"a\":1}')",
        *(["INSERT INTO activity_origin_sec VALUES (1, -1, 1, 1, 1, 1)"] if base >= "0007" else []),
        "INSERT INTO activity (session_id, sec, n, first_seq, last_seq) VALUES (1, -1, 1, 1, 1)",
    )
    if base != BASES[-1]:
        with pytest.raises(StoreRefused, match=f"older schema {base}.*db upgrade"):
            open_reader(empty)
        with pytest.raises(StoreRefused, match="older schema"):
            open_writer(empty)
    upgrade(empty)
    assert check(empty) == []
    store = Store(empty, "")
    assert [tuple(row) for row in store.sql("SELECT * FROM activity_origin_sec")] == [
        (1, -1, 1, 1, 1, 1)
    ]
    [old] = store.writer.unfinished()
    store.add(old.session.id, event())
    page = store.reader.events.page(old.session.id, EventRange())
    assert [(e.seq, e.data, e.node) for e in page.events] == [
        (1, '{"a":1}', "n"),
        (2, '{"a":1}', ""),
    ]
    store.close()


def test_a_store_that_is_not_there_or_empty_is_refused(empty: str) -> None:
    for call in (open_reader, open_writer):
        with pytest.raises(StoreRefused, match="igdash db upgrade"):
            call(empty)
    if empty.startswith("sqlite"):
        assert not list(sqlite_path(empty).parent.iterdir())


def test_a_newer_database_is_refused(empty: str) -> None:
    upgrade(empty)
    run(empty, "UPDATE alembic_version SET version_num = '9999'")
    for call in (open_reader, open_writer, upgrade, check):
        with pytest.raises(StoreRefused, match=r"newer igdash \(schema 9999\)"):
            call(empty)


def test_another_programs_tables_are_refused(empty: str) -> None:
    if empty.startswith("sqlite"):
        create_file(sqlite_path(empty))
    run(empty, "CREATE TABLE invoices (id int)", "CREATE TABLE alembic_version (version_num text)")
    for call in (open_reader, open_writer, upgrade):
        with pytest.raises(StoreRefused, match=r"another program.*invoices"):
            call(empty)


def newer(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    run(f"sqlite:///{path}", "UPDATE alembic_version SET version_num = '9999'")


def foreign(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE invoices (id int)")
    conn.close()


def text(path: Path) -> None:
    path.write_text("not a database at all\n" * 400)


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0short")


def truncated(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    os.truncate(path, path.stat().st_size // 2)


def scrambled(path: Path) -> None:
    upgrade(f"sqlite:///{path}")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)


@pytest.mark.parametrize("spoil", [newer, foreign, text, short, truncated, scrambled])
def test_refused_files_keep_every_byte(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "x.db"
    spoil(path)
    before = hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns
    for call in (upgrade, open_writer, open_reader, check):
        with pytest.raises(StoreRefused) as caught:
            call(f"sqlite:///{path}")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns) == before


def test_damage_inside_is_found_by_a_check(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    upgrade(url)
    store = Store(url, "sqlite")
    store.add(store.create().id, *[event('{"a":"' + "x" * 500 + '"}')] * 500)
    store.close()
    path = tmp_path / "x.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 8192 * 6)
        file.write(b"\xff" * 8192 * 3)
    assert check(url)


def test_places_that_cannot_be_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "x.db"):
        with pytest.raises(StoreRefused, match=str(tmp_path)):
            upgrade(f"sqlite:///{path}")


BREAKS = """
import os, sys
from alembic import op
real = op.create_table
def dies(name, *args, **more):
    if name == "sessions":
        os.kill(os.getpid(), 9)
    return real(name, *args, **more)
op.create_table = dies
from igdash.store import upgrade
upgrade(sys.argv[1])
"""


def test_an_interrupted_migration_leaves_nothing_behind(empty: str) -> None:
    done = subprocess.run([sys.executable, "-c", BREAKS, empty], cwd=ROOT, capture_output=True)
    assert done.returncode == -9
    assert migrate.revision(empty) is None
    upgrade(empty)
    assert check(empty) == []


def test_two_migrations_at_once_do_it_once(empty: str) -> None:
    failed: list[StoreError] = []

    def go() -> None:
        try:
            upgrade(empty)
        except (StoreBusy, AlreadyRunning) as error:  # SQLite: the other one holds the lock
            failed.append(error)

    threads = [spawn(f"migrating {i}", go) for i in range(2)]
    for thread in threads:
        thread.join(30)
    assert len(failed) <= 1
    assert upgrade(empty) == BASES[-1]
    assert check(empty) == []


@pytest.mark.postgres
def test_a_migration_waits_only_so_long_for_locks(
    postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(migrate, "_LOCK_WAIT_MS", 200)
    name = postgres_server.create()
    with psycopg.connect(postgres_server.dsn(name)) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (migrate.ADVISORY_KEY + 1,))
        with pytest.raises(StoreBusy, match="lock"):
            upgrade(postgres_server.url(name))
    upgrade(postgres_server.url(name))
    postgres_server.drop(name)


def test_no_migration_under_a_working_collector(store: Store) -> None:
    assert store.writer
    engine = store.writer._engine
    with engine.begin() as conn:
        conn.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{BASES[0]}'")
    with pytest.raises(AlreadyRunning):
        upgrade(store.url)
