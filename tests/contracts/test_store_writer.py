"""The writer: one transaction or nothing, one collector, deletion in slices, clear errors."""

from __future__ import annotations

import random

import pytest

from igdash.domain.errors import AlreadyRunning, SessionNotFound, StoreError
from igdash.domain.events import NewTick, Schema
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS
from igdash.store import check, open_writer, stats
from tests.support.stores import T0, Store, batch, event

PER_SESSION = (
    "events",
    "ticks",
    "activity",
    "activity_origin",
    "activity_origin_sec",
    "session_origin",
    "session_fields",
    "losses",
    "logs",
    "malformed",
)


def fill(store: Store, count: int, **origin: str) -> SessionId:
    session = store.create().id
    loss = Loss(node="n", start=T0, end=T0, count=3, cause=LossCause.KERNEL)
    schema = Schema(ts=T0, node="n", sources=(DataSource(name=f"s{session}"),))
    tick = NewTick(ts=T0, node="n", source="s", first=0, events=1)
    for start in range(0, count, 100):
        events = [event(ts=T0 + i * NS, **origin) for i in range(start, min(count, start + 100))]
        store.add(session, *events, losses=(loss,), ticks=(tick,), schemas=(schema,))
    return session


def test_counters_and_rollups_equal_the_rows(store: Store) -> None:
    rng = random.Random(5)
    sessions = [store.create().id for _ in range(4)]
    for _ in range(30):
        store.writer.append(
            [
                batch(
                    session,
                    *[
                        event(ts=T0 + rng.randrange(200) * NS, pod=f"p{rng.randrange(5)}")
                        for _ in range(rng.randrange(20))
                    ],
                )
                for session in rng.sample(sessions, 3)
            ]
        )
    assert check(store.url) == []
    rows = store.sql("SELECT session_id, count(*), max(seq) FROM events GROUP BY 1 ORDER BY 1")
    for table in ("activity", "activity_origin", "activity_origin_sec", "session_origin"):
        summed = store.sql(f"SELECT session_id, sum(n) FROM {table} GROUP BY 1 ORDER BY 1")
        assert [(s, int(n)) for s, n in summed] == [(s, n) for s, n, _ in rows]
    spans = store.sql(
        "SELECT count(*) FROM activity a WHERE EXISTS (SELECT 1 FROM events e WHERE"
        " e.session_id = a.session_id AND e.ts / 1000000000 = a.sec"
        " AND (e.seq < a.first_seq OR e.seq > a.last_seq))"
    )
    assert [tuple(row) for row in spans] == [(0,)]


def test_check_names_what_does_not_add_up(store: Store) -> None:
    session = fill(store, 10)
    engine = store.writer._engine
    with engine.begin() as conn:
        conn.exec_driver_sql("DELETE FROM events WHERE seq = 4")
    assert check(store.url) == [f"session {session}: 9 events stored, 10 counted"]


def test_an_append_is_all_or_nothing(store: Store) -> None:
    good, bad = store.create().id, store.create().id
    poison = event()._replace(data="\ud800")  # no decoder gives this
    fresh = event(pod="seen first in a batch that fails")
    with pytest.raises(StoreError):
        store.writer.append([batch(good, event(), fresh), batch(bad, poison)])
    assert store.reader.sessions.get(good).last_seq == 0
    store.writer.append([batch(good, event(), fresh), batch(bad, event())])
    assert [e.seq for e in store.reader.events.page(good, EventRange()).events] == [1, 2]
    assert check(store.url) == []
    assert [row[0] for row in store.sql("SELECT pod FROM v_events WHERE seq = 2")] == [
        "seen first in a batch that fails"
    ]


def test_batches_of_deleted_or_unknown_sessions_are_left_out(store: Store) -> None:
    one, two = store.create().id, store.create().id
    store.writer.hide(two)
    advances = store.writer.append(
        [batch(two, event()), batch(one, event()), batch(SessionId("nope"), event())]
    )
    assert [(a.session, a.last_seq) for a in advances] == [(one, 1)]
    assert store.writer.append([]) == []
    assert store.sql("SELECT count(*) FROM events") == [(1,)]


def test_an_append_may_bring_no_event(store: Store) -> None:
    session = store.create().id
    store.add(session, event(), spool_offset=10)
    [advance] = store.writer.append([batch(session, spool_offset=20)])
    assert advance.last_seq == 1
    assert store.writer.unfinished()[0].spool_offset == 20


def test_only_one_collector_at_a_time(store: Store) -> None:
    assert store.writer
    with pytest.raises(AlreadyRunning, match="another igdash"):
        open_writer(store.url)
    store.create()
    store.reopen_writer().close()


def test_deletion_in_slices_leaves_the_others_alone(store: Store) -> None:
    keep, gone = fill(store, 150, pod="keep"), fill(store, 350, pod="gone", k8s='{"x":1}')
    other = fill(store, 20, pod="other", k8s='{"x":1}')
    store.writer.hide(gone)
    store.writer.hide(other)
    slices = 1
    while store.writer.purge(100):
        slices += 1
        assert slices < 60
    assert slices >= 8
    for table in PER_SESSION:
        assert store.sql(f"SELECT count(DISTINCT session_id) FROM {table}") == (
            [(1,)] if table not in ("logs", "malformed") else [(0,)]
        )
    assert store.sql("SELECT pod FROM origins") == [("keep",)]
    assert store.sql("SELECT count(*) FROM sessions") == [(1,)]
    assert not store.writer.purge(100)
    assert check(store.url) == []
    again = fill(store, 5, pod="gone", k8s='{"x":1}')
    assert [
        row[0]
        for row in store.sql(f"SELECT DISTINCT pod FROM v_events WHERE session_id = '{again}'")
    ] == ["gone"]
    assert len(store.reader.events.page(keep, EventRange(limit=1000)).events) == 150


def test_readers_know_origins_that_came_after_a_deletion(store: Store) -> None:
    gone = fill(store, 3, node="old")
    assert store.reader.events.get(gone, 1).node == "old"
    store.writer.hide(gone)
    while store.writer.purge(100):
        pass
    new = fill(store, 3, node="new")
    assert store.reader.events.get(new, 1).node == "new"


def test_hiding_needs_a_session(store: Store) -> None:
    with pytest.raises(SessionNotFound):
        store.writer.hide(SessionId("nope"))


def test_stats_tell_engine_version_and_counts(store: Store) -> None:
    fill(store, 10)
    found = stats(store.url)
    assert found["engine"] == ("sqlite" if store.kind == "sqlite" else "postgresql")
    assert found["version"][0].isdigit()
    assert (found["sessions"], found["events"], found["lost"]) == (1, 10, 3)
    assert found["bytes"] > 10_000


def test_readers_cannot_write(store: Store) -> None:
    store.create()
    engine = store.reader.engine
    for statement in ("DELETE FROM sessions", "CREATE TABLE x (y int)", "DROP TABLE events"):
        with pytest.raises(Exception, match=r"read-?only"), engine.connect() as conn:
            conn.exec_driver_sql(statement)
    store.reader.ping()
