"""Sessions: what goes in comes out, lists in any order, search, life, deletion."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from igdash.domain.errors import AmbiguousSession, InvalidQuery, SessionNotFound, StoreError
from igdash.domain.events import Schema
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange, SessionQuery, SessionSort
from igdash.domain.sessions import (
    NewSession,
    Nodes,
    SessionId,
    SessionSpec,
    SessionState,
    StateChange,
    StopAfter,
    Target,
)
from igdash.domain.times import NS, now_ns
from tests.support.stores import T0, Store, batch, event, new_session

NASTY = [
    "'; DROP TABLE sessions; --",
    "100%",
    "a_b",
    "back\\slash",
    "%s %(x)s :name ?",
    'quo"te',
    "line\nbreak",
    "<script>alert(1)</script>",
    "Ünïcödé 😀 ‮",
]


def listed(store: Store, **query: Any) -> list[str]:
    return [s.spec.name for s in store.reader.sessions.list(SessionQuery(**query)).sessions]


def test_everything_of_a_session_comes_back(store: Store) -> None:
    spec = SessionSpec(
        gadget="trace_tcp",
        environment="prod",
        name="Ünï",
        target=Target(namespace="a,b", pod="!p", container="c", node="n", selector="app=x,y!=z"),
        params={"pid": "1", "paths": "a b", "ä": '"'},
        stop_after=StopAfter(seconds=1.5, events=10**12),
    )
    new = NewSession(
        id=SessionId("0123456789ab"),
        spec=spec,
        created=T0 + 123_456_789,
        command=("ig", "run", "--x=a b", "ü"),
        info={"image": "ghcr.io/x"},
    )
    made = store.writer.create(new)
    assert made == store.reader.sessions.get(new.id)
    assert (made.spec, made.created, made.command, made.info) == (
        spec,
        new.created,
        new.command,
        {"image": "ghcr.io/x"},
    )
    assert made.state is SessionState.STARTING
    assert (made.events, made.last_seq, made.rate, made.reason) == (0, 0, 0.0, "")
    assert (made.started, made.stopped, made.first_event, made.last_event) == (None,) * 4


def test_creating_again_after_a_lost_answer_changes_nothing(store: Store) -> None:
    new = new_session()
    assert store.writer.create(new) == store.writer.create(new)
    with pytest.raises(StoreError):
        store.writer.create(new_session(id=new.id, created=T0 + 1))
    assert store.reader.sessions.list(SessionQuery()).total == 1


def test_fields_come_back_and_are_kept_once(store: Store) -> None:
    sources = (
        DataSource(
            name="tcp",
            fields=(Field(name="src.port", kind="Uint16", one_of=("1", "2"), align_right=True),),
            annotations={"ü": "<x>"},
        ),
        DataSource(name="other", array=True),
    )
    one, two = store.create(sources=sources).id, store.create(sources=sources).id
    three = store.create().id
    schema = store.reader.sessions.schema
    assert schema(one) == schema(two) == sources
    assert schema(three) == ()
    assert store.sql("SELECT count(*) FROM fields") == [(1,)]


def test_schemas_that_streams_tell_replace_the_expected_one(store: Store) -> None:
    def source(*names: str) -> tuple[DataSource, ...]:
        return (DataSource(name="tcp", fields=tuple(Field(name=name) for name in names)),)

    def tell(*names: str) -> None:
        store.add(one, schemas=(Schema(ts=T0, node="n\0", sources=source(*names)),))

    one, other = store.create(sources=source("guess")).id, store.create(sources=source("guess")).id
    schema = store.reader.sessions.schema
    tell("a", "b")
    assert schema(one) == source("a", "b")
    tell("b", "c")
    tell("a", "b")
    store.add(one, schemas=(Schema(ts=T0, node="", sources=()),))
    assert schema(one) == source("b", "c", "a")
    assert store.sql("SELECT n, node FROM session_fields") == [(1, "n�"), (2, "n�")]
    assert schema(other) == source("guess")


def test_a_life_from_start_to_stop(store: Store) -> None:
    session = store.create().id

    def change(state: SessionState, at: int, **more: Any) -> Any:
        return store.writer.change(session, StateChange(state=state, at=at, **more))

    change(SessionState.RUNNING, T0 + 1, nodes=Nodes(expected=3, connected=2))
    again = change(SessionState.RUNNING, T0 + 2, info={"version": "1"})
    assert (again.started, again.stopped, again.nodes) == (
        T0 + 1,
        None,
        Nodes(expected=3, connected=2),
    )
    stopping = change(SessionState.STOPPING, T0 + 3, reason="by the user")
    assert (stopping.stopped, stopping.reason) == (None, "by the user")
    stopped = change(SessionState.STOPPED, T0 + 4, info={"image": "x"})
    assert (stopped.started, stopped.stopped, stopped.reason) == (T0 + 1, T0 + 4, "by the user")
    assert stopped.info == {"version": "1", "image": "x"}
    assert stopped == store.reader.sessions.get(session)
    with pytest.raises(SessionNotFound):
        store.writer.change(SessionId("nope"), StateChange(state=SessionState.STOPPED, at=T0))


def test_a_session_that_never_ran_can_have_begun_all_the_same(store: Store) -> None:
    session = store.create().id
    for at in (T0 + 2, T0 + 5):  # the first time told stays
        change = StateChange(state=SessionState.STOPPING, at=at, started=at)
        changed = store.writer.change(session, change)
        assert (changed.started, changed.stopped) == (T0 + 2, None)


def test_counters_follow_the_commits(store: Store) -> None:
    session = store.create().id
    store.add(session, event('{"a":"é"}', T0 + 5), event("{}", T0 + 3))
    found = store.reader.sessions.get(session)
    assert (found.events, found.last_seq, found.received, found.bytes) == (2, 2, 2, 12)
    assert (found.first_event, found.last_event) == (T0 + 5, T0 + 3)


def test_unfinished_sessions_come_with_their_offsets(store: Store) -> None:
    running, ended, hidden, fresh = (store.create().id for _ in range(4))
    store.writer.append([batch(s, event(), spool_offset=77) for s in (running, ended, hidden)])
    store.writer.change(running, StateChange(state=SessionState.RUNNING, at=T0))
    for state in (SessionState.STOPPED, SessionState.FAILED, SessionState.INTERRUPTED):
        store.writer.change(ended, StateChange(state=state, at=T0))
        assert ended not in [p.session.id for p in store.writer.unfinished()]
    store.writer.hide(hidden)
    points = store.reopen_writer().unfinished()
    assert [(p.session.id, p.spool_offset, p.session.last_seq) for p in points] == [
        (running, 77, 1),
        (fresh, 0, 0),
    ]


def test_rate_is_that_of_receiving_and_decays(store: Store) -> None:
    session = store.create().id
    store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0))
    store.add(session, *[event(ts=T0)] * 200)
    assert 15 < store.reader.sessions.get(session).rate <= 20
    [listed_one] = store.reader.sessions.list(SessionQuery(sort=SessionSort.RATE)).sessions
    assert 15 < listed_one.rate <= 20
    store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0))
    assert store.reader.sessions.get(session).rate == 0


def test_rates_in_sql_are_those_in_python(store: Store) -> None:
    for i in range(4):
        session = store.create(name=f"s{i}").id
        store.add(session, *[event()] * (10 * (i * 7 % 5 + 1)))
        store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0))
    page = store.reader.sessions.list(SessionQuery(sort=SessionSort.RATE))
    rates = [s.rate for s in page.sessions]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4
    views = dict(store.sql("SELECT id, rate FROM v_sessions"))  # type: ignore[arg-type]
    for session in store.reader.sessions.list(SessionQuery()).sessions:
        assert views[session.id] == pytest.approx(session.rate, rel=0.1)


def test_every_sort_pages_through_all_with_ties(store: Store) -> None:
    rng = random.Random(3)
    for i in range(23):
        session = store.create(
            name=rng.choice(["a", "B", "é", ""]),
            namespace=rng.choice(["x", "Y", "z-1", "z_1"]),
            gadget=rng.choice(["trace_tcp", "top_tcp"]),
            created=T0 + rng.randrange(3) * NS,
        ).id
        store.add(session, *[event(ts=T0 + i * NS)] * rng.randrange(3))
        if i % 2:
            store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0 + i % 3))
        if i % 4 == 1:
            store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0 + 9))
    read = store.reader.sessions.list
    for sort in SessionSort:
        for descending in (True, False):
            query = {"sort": sort, "descending": descending}
            whole = [s.id for s in read(SessionQuery(**query, limit=100)).sessions]
            assert len(set(whole)) == 23
            if sort is SessionSort.RATE:  # falls while we look
                continue
            paged: list[str] = []
            cursor = ""
            while True:
                page = read(SessionQuery(**query, limit=5, cursor=cursor))
                assert page.total == 23
                paged += [s.id for s in page.sessions]
                if not (cursor := page.next):
                    break
            jumped = [
                s.id
                for n in range(0, 23, 5)
                for s in read(SessionQuery(**query, limit=5, offset=n)).sessions
            ]
            assert paged == whole == jumped


def test_text_order_ignores_case_and_the_servers_locale(store: Store) -> None:
    for name in ("b", "A", "_", "a-1", "a_1", "C", "Z9"):
        store.create(name=name)
    by_name = listed(store, sort=SessionSort.NAME, descending=False)
    assert by_name == sorted(by_name, key=str.lower)


def test_foreign_cursors_are_refused(store: Store) -> None:
    for i in range(3):
        store.create(name=str(i))
    page = store.reader.sessions.list(SessionQuery(limit=1))
    for cursor in ("x", "%%%", "é", page.next[:-3], "W10", "bnVsbA"):
        with pytest.raises(InvalidQuery):
            store.reader.sessions.list(SessionQuery(limit=1, cursor=cursor))
    told = f'["{SessionSort.STARTED.value}", true, {{}}, "{"a" * 12}"]'
    for value in ("[" * 9_000 + "]" * 9_000, "9" * 400, "1e999", '"x"', "null"):
        cursor = base64.urlsafe_b64encode(told.format(value).encode()).decode()
        with pytest.raises(InvalidQuery):
            store.reader.sessions.list(SessionQuery(limit=1, cursor=cursor))
    with pytest.raises(InvalidQuery):
        store.reader.sessions.list(SessionQuery(cursor=page.next, sort=SessionSort.NAME))
    with pytest.raises(InvalidQuery):
        store.reader.sessions.list(SessionQuery(cursor=page.next, descending=False))


def test_conditions_filter_and_count(store: Store) -> None:
    a = store.create(name="a", gadget="trace_tcp", namespace="demo", environment="e1").id
    store.create(name="b", gadget="trace_dns", namespace="demo", environment="e2")
    store.create(name="c", gadget="trace_tcp", namespace="prod", environment="e1")
    store.writer.change(a, StateChange(state=SessionState.STOPPED, at=T0))
    assert sorted(listed(store, gadget="trace_tcp")) == ["a", "c"]
    assert listed(store, gadget="trace_tcp", namespace="demo") == ["a"]
    assert listed(store, environment="e2") == ["b"]
    assert sorted(listed(store, states=(SessionState.STARTING, SessionState.FAILED))) == ["b", "c"]
    assert listed(store, states=(SessionState.STOPPED,)) == ["a"]
    assert store.reader.sessions.list(SessionQuery(namespace="demo", limit=1)).total == 2


def test_search_takes_texts_literally_and_ignores_case(store: Store) -> None:
    for text in NASTY:
        store.create(name=text)
    store.create(name="plain", pod="Web-1", namespace="shop")
    for text in NASTY:
        assert listed(store, text=text) == [text]
        assert listed(store, text=text.upper()) == [text]
    assert listed(store, text="web-1") == ["plain"]
    assert listed(store, text="SHOP") == ["plain"]
    assert listed(store, text="%") == ["%s %(x)s :name ?", "100%"]
    assert listed(store, text="x" * 100_000) == []
    assert listed(store, text="a\0b") == []
    for session in store.reader.sessions.list(SessionQuery()).sessions:
        [found] = store.reader.sessions.list(SessionQuery(text=session.id)).sessions
        assert found == session


def test_nasty_texts_come_back_from_everywhere(store: Store) -> None:
    for text in NASTY:
        session = store.create(name=text, namespace=text, params={text: text}, info={text: text})
        store.writer.change(session.id, StateChange(state=SessionState.FAILED, at=T0, reason=text))
        found = store.reader.sessions.get(session.id)
        assert (found.spec.name, found.reason) == (text, text)
        assert found.spec.params == found.info == {text: text}
        assert listed(store, namespace=text) == [text]


def test_texts_a_database_cannot_hold_are_made_holdable(store: Store) -> None:
    session = store.create(name="a\0b", info={"x\0": "\ud800"})
    assert session.spec.name == "a�b"
    assert store.reader.sessions.get(session.id) == session


def test_prefixes_resolve_when_unique(store: Store) -> None:
    for uid in ("abc1", "abc2", "abd1", "a_c1", "abc"):
        store.create(id=SessionId(uid))
    resolve = store.reader.sessions.resolve
    assert resolve("abd") == "abd1"
    assert resolve("abc") == "abc"
    assert resolve("abc2") == "abc2"
    assert resolve("a_") == "a_c1"
    with pytest.raises(AmbiguousSession, match="abc1"):
        resolve("ab")
    for unknown in ("x", "", "%", "abc22", "\0"):
        with pytest.raises(SessionNotFound):
            resolve(unknown)


def test_hidden_sessions_are_gone_from_every_answer(store: Store) -> None:
    keep, gone = store.create(name="keep").id, store.create(name="gone").id
    store.writer.append([batch(s, event()) for s in (keep, gone)])
    store.writer.hide(gone)
    reader = store.reader
    assert listed(store) == ["keep"]
    assert reader.sessions.list(SessionQuery()).total == 1
    totals = reader.sessions.totals()
    assert (totals["sessions"], totals["events"]) == (1, 1)
    assert reader.sessions.sparks([gone], T0, T0 + NS, 2)[gone] == [0, 0]
    for ask in (
        lambda: reader.sessions.get(gone),
        lambda: reader.sessions.schema(gone),
        lambda: reader.sessions.resolve(gone),
        lambda: reader.events.page(gone, EventRange()),
        lambda: reader.events.get(gone, 1),
        lambda: reader.events.ticks(gone),
        lambda: reader.events.tick_at(gone, 1),
        lambda: reader.records.losses(gone),
        lambda: reader.records.logs(gone),
        lambda: reader.records.malformed(gone),
        lambda: store.writer.hide(gone),
        lambda: store.writer.change(gone, StateChange(state=SessionState.STOPPED, at=T0)),
    ):
        with pytest.raises(SessionNotFound):
            ask()
    for view, column in (("v_sessions", "id"), ("v_events", "session_id")):
        assert store.sql(f"SELECT DISTINCT {column} FROM {view}") == [(keep,)]


def test_sparks_count_events_per_slice(store: Store) -> None:
    one, two, quiet = (store.create().id for _ in range(3))
    store.add(one, *[event(ts=T0 + i * NS) for i in range(100)])
    store.add(two, event(ts=T0 - 1), event(ts=T0), event(ts=T0 + 99 * NS), event(ts=T0 + 100 * NS))
    sparks = store.reader.sessions.sparks([one, two, quiet], T0, T0 + 100 * NS, 10)
    assert sparks == {one: [10] * 10, two: [1] + [0] * 8 + [1], quiet: [0] * 10}
    assert store.reader.sessions.sparks([], T0, T0 + NS, 3) == {}
    assert store.reader.sessions.sparks([one], T0, T0, 3) == {one: [0, 0, 0]}


def test_totals_are_sums(store: Store) -> None:
    empty = store.reader.sessions.totals()
    assert {k: v for k, v in empty.items() if k != "database_bytes"} == dict.fromkeys(
        ("sessions", "running", "events", "lost", "bytes", "malformed"), 0
    )
    one, two = store.create().id, store.create().id
    loss = Loss(node="n", start=T0, end=T0, count=5, cause=LossCause.KERNEL)
    store.writer.append([batch(one, event("{}"), losses=(loss,)), batch(two, event("{}"))])
    store.writer.change(two, StateChange(state=SessionState.RUNNING, at=now_ns()))
    totals = store.reader.sessions.totals()
    assert totals["database_bytes"] > 10_000
    assert (totals["sessions"], totals["running"], totals["events"]) == (2, 1, 2)
    assert (totals["lost"], totals["bytes"], totals["malformed"]) == (5, 4, 0)
