"""Locks, crashes, lost connections, a full disk: nothing half done, and one clear error."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.errors import AlreadyRunning, StoreBusy, StoreError, StoreRefused
from igdash.domain.queries import EventRange
from igdash.domain.times import NS
from igdash.store import check, open_reader, open_writer, upgrade
from tests.support.disks import small_disk
from tests.support.postgres import Server
from tests.support.stores import T0, Store, batch, event, postgres_copy

SECRET = "hunter2-secret"


def path_of(store: Store) -> Path:
    return Path(store.url.removeprefix("sqlite:///"))


# ---------------------------------------------------------------- SQLite


def test_a_lock_of_another_program_is_busy_within_two_seconds(sqlite_store: Store) -> None:
    session = sqlite_store.create().id
    other = sqlite3.connect(path_of(sqlite_store), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    with pytest.raises(StoreBusy, match="locked"):
        sqlite_store.add(session, event())
    assert time.monotonic() - begin < 3
    assert sqlite_store.reader.sessions.get(session).events == 0
    other.execute("ROLLBACK")
    other.close()
    sqlite_store.add(session, event())
    assert sqlite_store.reader.sessions.get(session).events == 1


def test_opening_a_locked_database_is_busy_and_releases_the_lock(sqlite_store: Store) -> None:
    other = sqlite3.connect(path_of(sqlite_store), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy):
        open_writer(sqlite_store.url)
    other.close()
    open_writer(sqlite_store.url).close()


def test_a_long_reader_does_not_hold_up_the_writer(sqlite_store: Store) -> None:
    session = sqlite_store.create().id
    other = sqlite3.connect(path_of(sqlite_store), isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
    for _ in range(20):
        sqlite_store.add(session, event())
    assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
    other.close()
    assert sqlite_store.reader.sessions.get(session).events == 20


def test_connections_are_as_they_must_be(sqlite_store: Store) -> None:
    with sqlite_store.writer._engine.connect() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "page_size", "secure_delete")
        }
        checkpoint = conn.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    assert found == {"journal_mode": "wal", "synchronous": 2, "page_size": 8192, "secure_delete": 0}
    assert 8 << 20 <= checkpoint * 8192 <= 16 << 20


def test_the_wal_stays_small_and_is_gone_after_closing(sqlite_store: Store) -> None:
    session = sqlite_store.create().id
    wal = path_of(sqlite_store).with_name(path_of(sqlite_store).name + "-wal")
    text = '{"a":"' + "x" * 1000 + '"}'
    for _ in range(30):
        sqlite_store.add(session, *[event(text)] * 1_000)
        assert wal.stat().st_size < 32 << 20
    reader = open_reader(sqlite_store.url)
    assert reader.sessions.get(session).events == 30_000
    sqlite_store.writer.close()
    assert not wal.exists() or wal.stat().st_size == 0
    assert reader.sessions.get(session).events == 30_000
    reader.close()


KILLED = """
import sys
from igdash.domain.events import Decoded, NewEvent, Origin
from igdash.domain.ports import SessionBatch
from igdash.store import open_writer
writer = open_writer(sys.argv[1])
n = 0
while True:
    n += 1
    events = tuple(NewEvent(n, Origin(node=str(n)), "{}", 2) for _ in range(50))
    batch = SessionBatch(
        session=sys.argv[2], decoded=Decoded(events=events), received=50, spool_offset=n
    )
    writer.append([batch])
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_whole_commits(store: Store) -> None:
    session = store.create().id
    store.writer.close()
    for _ in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, store.url, session],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        acknowledged = [child.stdout.readline() for _ in range(5)]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        assert check(store.url) == []
        writer = open_writer(store.url)  # the lock went with the process
        [point] = writer.unfinished()
        assert point.spool_offset >= int(acknowledged[-1])
        assert point.session.last_seq % 50 == 0
        writer.close()
    del store.writer
    blocks = store.reader.events.stream(session, EventRange(limit=1000))
    events = [event.seq for block in blocks for event in block]
    assert events == list(range(1, len(events) + 1))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 6) as folder:
        yield folder


def test_a_full_disk_is_busy_and_heals(disk: Path) -> None:
    url = f"sqlite:///{disk}/x.db"
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(4 << 20))
    upgrade(url)
    store = Store(url, "sqlite")
    session = store.create().id
    text = '{"a":"' + "x" * 10_000 + '"}'
    commits = 0

    def fill() -> None:
        nonlocal commits
        for _ in range(200):
            store.add(session, *[event(text)] * 10)
            commits += 1

    with pytest.raises(StoreBusy, match="full"):
        fill()
    assert commits
    assert store.reader.sessions.get(session).events == commits * 10
    ballast.unlink()
    store.add(session, *[event(text)] * 10)
    assert store.reader.sessions.get(session).events == commits * 10 + 10
    store.close()
    assert check(url) == []


def test_a_new_file_is_only_its_owners(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        upgrade(f"sqlite:///{tmp_path}/new/folder/x.db")
        open_writer(f"sqlite:///{tmp_path}/new/folder/x.db").close()
    finally:
        os.umask(old)
    for path in (tmp_path / "new/folder").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "new/folder").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name", ["with space.db", "per%cent.db", "ques?tion.db", "ha#sh.db", "ü.db"]
)
def test_any_file_name_works(tmp_path: Path, name: str) -> None:
    from sqlalchemy import URL

    url = URL.create("sqlite", database=str(tmp_path / name)).render_as_string()
    upgrade(url)
    store = Store(url, "sqlite")
    store.create()
    assert check(url) == []
    store.close()
    assert (tmp_path / name).exists()


# ---------------------------------------------------------------- PostgreSQL


@pytest.mark.postgres
def test_a_cut_connection_is_busy_and_heals(postgres_server: Server) -> None:
    with postgres_copy(postgres_server) as store:
        session = store.create().id
        store.add(session, event(pod="a"))
        assert store.reader.sessions.get(session).events == 1
        postgres_server.cut(store.url.split("@/")[1].split("?")[0])
        fresh = event(pod="b")
        with pytest.raises(StoreBusy):
            store.add(session, fresh)
        store.add(session, fresh)
        assert store.reader.sessions.get(session).events == 2
        assert store.writer.unfinished()[0].session.last_seq == 2
        with pytest.raises(AlreadyRunning):  # taken again with the new connection
            open_writer(store.url)
        assert check(store.url) == []


@pytest.mark.postgres
def test_a_connection_cut_inside_a_transaction_changes_nothing(postgres_server: Server) -> None:
    with postgres_copy(postgres_server) as store:
        session = store.create().id
        database = store.url.split("@/")[1].split("?")[0]

        events = [event(pod="p") for _ in range(10)]
        bulk = store.writer._bulk
        write = bulk.events

        def cut(conn: object, rows: object) -> None:
            write(conn, rows)  # type: ignore[arg-type]
            postgres_server.cut(database)

        bulk.events = cut  # type: ignore[method-assign]
        with pytest.raises(StoreBusy):
            store.add(session, *events)
        bulk.events = write  # type: ignore[method-assign]
        assert store.writer.unfinished()[0].session.last_seq == 0
        store.add(session, *events)
        assert store.reader.sessions.get(session).events == 10
        assert check(store.url) == []


@pytest.mark.postgres
def test_after_a_lost_answer_the_store_tells_the_truth(postgres_server: Server) -> None:
    with postgres_copy(postgres_server) as store:
        session = store.create().id
        engine = store.writer._engine
        from sqlalchemy import event as hooks

        def lose(conn: object) -> None:
            raw = conn.connection.driver_connection  # type: ignore[attr-defined]
            raw.commit()  # the server has it all …
            raw.close()  # … but the answer never comes

        hooks.listen(engine, "commit", lose, once=True)
        with pytest.raises(StoreError):
            store.writer.append([batch(session, event(pod="p"), event(), spool_offset=42)])
        [point] = store.writer.unfinished()
        assert (point.session.last_seq, point.spool_offset) == (2, 42)
        store.add(session, event(pod="p"))
        assert check(store.url) == []


@pytest.mark.postgres
def test_a_crashed_server_is_busy_until_it_is_back() -> None:
    server = Server()
    store = Store(server.url(server.create()), "postgres")
    try:
        upgrade(store.url)
        session = store.create().id
        store.add(session, event())
        assert store.reader.sessions.get(session).events == 1
        server.stop(signal.SIGQUIT)
        for _ in range(2):
            with pytest.raises(StoreBusy):
                store.add(session, event())
            with pytest.raises(StoreBusy):
                store.reader.sessions.get(session)
        with pytest.raises(StoreBusy):
            open_reader(store.url)
        server.start()
        assert store.writer.unfinished()[0].session.last_seq == 1
        store.add(session, event())
        assert store.reader.sessions.get(session).events == 2
        assert check(store.url) == []
    finally:
        store.close()
        server.remove()


@pytest.mark.postgres
def test_wrong_urls_are_named_without_their_password(postgres_server: Server) -> None:
    for url in (
        f"postgresql+psycopg://nobody:{SECRET}@/test_none?host={postgres_server.folder}",
        f"postgresql+psycopg://igdash:{SECRET}@/nope?host={postgres_server.folder}",
        f"postgresql://igdash:{SECRET}@127.0.0.1:1/nope",
        f"mysql://root:{SECRET}@localhost/x",
        f"postgresql+asyncpg://root:{SECRET}@localhost/x",
        f"postgresql:/{SECRET}@",
        f"nonsense {SECRET}",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ):
        for call in (open_reader, open_writer, upgrade):
            with pytest.raises((StoreRefused, StoreBusy)) as caught:
                call(url)
            assert SECRET not in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_clock_far_off_does_not_stop_anything(store: Store) -> None:
    session = store.create(created=-(10**30)).id
    store.add(session, event(ts=10**30), event(ts=T0 - 10**9 * NS))
    assert store.reader.sessions.get(session).events == 2
    assert len(store.reader.events.histogram(session, start=None, end=None, buckets=50)) == 50
