"""Questions with a filter: every answer is held against the filter's meaning in plain Python."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.domain.errors import (
    EventNotFound,
    InvalidQuery,
    QueryBusy,
    QueryCancelled,
    SessionNotFound,
)
from igdash.domain.events import Event
from igdash.domain.filter_match import finder, matcher, scalars
from igdash.domain.filter_text import parse
from igdash.domain.filters import Filter, ValueKind
from igdash.domain.queries import UNLIMITED, Budget, EventQuery, EventRange, Where
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS
from igdash.store import open_reader
from igdash.store.query import reader as query_reader
from igdash.store.query import totals
from igdash.store.query.patterns import compile_pattern
from tests.support import filters as made
from tests.support.stores import T0, Store, event

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def stored(store: Store, session: SessionId) -> list[Event]:
    return [
        one
        for block in store.reader.events.stream(session, EventRange(limit=1000))
        for one in block
    ]


def filled(store: Store, rows: list[dict[str, Any]], ascii_only: bool = True) -> SessionId:
    session = store.create().id
    half = len(rows) // 2
    for node, some in (("n1", rows[:half]), ("", rows[half:])):
        found = made.decoded(some, ascii_only=ascii_only, node=node)
        store.add(session, *found.events)
    return session


def page_seqs(store: Store, session: SessionId, query: EventQuery) -> list[int]:
    """Return the seqs of all pages, one after the other."""
    seqs: list[int] = []
    queries = store.reader.queries
    for _ in range(1000):
        page = queries.page(session, query, UNLIMITED)
        found = [one.seq for one in page.events]
        seqs = found + seqs if query.newest and not query.sort else seqs + found
        if not page.next:
            return seqs
        query = EventQuery(
            **{
                name: getattr(query, name)
                for name in ("where", "newest", "sort", "descending", "limit")
            },
            cursor=page.next,
        )
    raise AssertionError("the pages never end")


@quick
@given(
    rows=st.lists(made.rows, min_size=1, max_size=12),
    asked=st.lists(made.filters, min_size=1, max_size=6),
    ascii_only=st.booleans(),
)
def test_every_engine_agrees_with_the_meaning(
    store: Store, rows: list[dict[str, Any]], asked: list[Filter], ascii_only: bool
) -> None:
    session = filled(store, rows, ascii_only)
    events = stored(store, session)
    queries = store.reader.queries
    for node in asked:
        means = matcher(node, compile_pattern)
        expected = [one.seq for one in events if means(one)]
        live = queries.matcher(node)
        assert [one.seq for one in events if live(one)] == expected, node
        where = Where(filter=node)
        assert page_seqs(store, session, EventQuery(where=where, limit=3)) == expected, node
        newest = EventQuery(where=where, newest=True, limit=2)
        assert page_seqs(store, session, newest) == expected
        counted = queries.count(session, where, UNLIMITED)
        assert counted.count == len(expected)
        assert counted.scope.complete
        streamed = [e for block in queries.stream(session, where, UNLIMITED) for e in block]
        assert streamed == [one for one in events if one.seq in expected]


def values_of(one: Event, path: str) -> list[Any]:
    special = {
        "@time": one.ts,
        "@seq": one.seq,
        "@node": one.node or None,
        "@source": one.source or None,
    }
    found = special[path] if path in special else finder(path)(json.loads(one.data))
    return list(scalars(found))


@quick
@given(
    rows=st.lists(made.rows, min_size=1, max_size=12),
    node=st.one_of(st.none(), made.filters),
    path=made.paths,
)
def test_top_values_and_quantiles_are_exact(
    store: Store, rows: list[dict[str, Any]], node: Filter | None, path: str
) -> None:
    session = filled(store, rows)
    means = matcher(node, compile_pattern) if node else lambda _: True
    matching = [one for one in stored(store, session) if means(one)]
    queries = store.reader.queries
    top = queries.top(session, path, Where(filter=node), limit=1000, budget=UNLIMITED)
    expected: Counter[Any] = Counter()
    for one in matching:
        expected.update({(isinstance(v, bool), v) for v in values_of(one, path)})
    found = {(v.value.kind is ValueKind.BOOL, v.value.value): v.count for v in top.values}
    assert found == dict(expected)
    counts = [v.count for v in top.values]
    assert counts == sorted(counts, reverse=True)
    assert (top.count, top.distinct, top.other) == (len(matching), len(expected), 0)
    assert top.missing == sum(not values_of(one, path) for one in matching)
    few = queries.top(session, path, Where(filter=node), limit=2, budget=UNLIMITED)
    assert few.values == top.values[:2]
    assert few.other == sum(counts[2:])
    numbers = sorted(v for one in matching for v in values_of(one, path) if type(v) in (int, float))
    stats = queries.stats(session, path, Where(filter=node), UNLIMITED)
    assert (stats.count, stats.numbers) == (len(matching), len(numbers))
    if numbers:
        quantiles = dict(stats.quantiles)
        assert (quantiles[0.0], quantiles[1.0]) == (numbers[0], numbers[-1])
        assert quantiles[0.5] == numbers[(len(numbers) + 1) // 2 - 1]


@quick
@given(
    rows=st.lists(made.rows, min_size=1, max_size=12),
    node=st.one_of(st.none(), made.filters),
    path=made.paths.filter(bool),
    descending=st.booleans(),
)
def test_sorted_pages_are_one_stable_order(
    store: Store, rows: list[dict[str, Any]], node: Filter | None, path: str, descending: bool
) -> None:
    session = filled(store, rows)
    means = matcher(node, compile_pattern) if node else lambda _: True
    matching = [one for one in stored(store, session) if means(one)]

    def key(one: Event) -> Any:
        first = values_of(one, path)[:1]
        if not first:
            return (-1 if descending else 3, 0, one.seq)
        value = first[0]
        rank = 2 if isinstance(value, bool) else 1 if isinstance(value, str) else 0
        return (rank, value[:256] if isinstance(value, str) else value, one.seq)

    expected = [one.seq for one in sorted(matching, key=key, reverse=descending)]
    query = EventQuery(where=Where(filter=node), sort=path, descending=descending, limit=2)
    assert page_seqs(store, session, query) == expected


@quick
@given(
    rows=st.lists(made.rows, min_size=1, max_size=12),
    node=st.one_of(st.none(), made.filters),
    split=st.one_of(st.just(""), made.paths),
    start=st.sampled_from([None, T0 - 5, T0, T0 + 1]),
    end=st.sampled_from([None, T0 + 2, T0 + 3, T0 + NS]),
)
def test_bars_hold_what_matches(
    store: Store,
    rows: list[dict[str, Any]],
    node: Filter | None,
    split: str,
    start: int | None,
    end: int | None,
) -> None:
    session = filled(store, rows)
    means = matcher(node, compile_pattern) if node else lambda _: True
    inside = [
        one
        for one in stored(store, session)
        if means(one) and (start is None or one.ts >= start) and (end is None or one.ts < end)
    ]
    where = Where(filter=node, start=start, end=end)
    queries = store.reader.queries
    found = queries.histogram(session, where, buckets=4, split=split, budget=UNLIMITED)
    assert sum(bar.events for bar in found.buckets) == len(inside)
    assert queries.count(session, where, UNLIMITED).count == len(inside)
    for index, bar in enumerate(found.buckets):
        first, last = index == 0 and start is None, index == 3 and end is None
        here = [
            one for one in inside if (one.ts >= bar.start or first) and (one.ts < bar.end or last)
        ]
        assert bar.events == len(here)
        for value in found.values:
            assert bar.split.get(value, 0) >= 0
    assert len(found.values) <= 6


@pytest.mark.parametrize(
    "row",
    [
        {"runtime": {"containerName": "web"}},
        {"k8s": {"containerName": "web"}},
        {"k8s": {"containerName": ""}, "runtime": {"containerName": "web"}},
        {"k8s": {"containerName": ""}, "runtime": "x"},
        {"k8s": {"podName": "p"}, "runtime": {"containerName": "web", "x": "curl"}},
        {"k8s": [{"containerName": "web"}]},
    ],
)
def test_a_container_may_be_half_interned(store: Store, row: dict[str, Any]) -> None:
    session = filled(store, [row, {"a": 1}])
    events, queries = stored(store, session), store.reader.queries
    for text in ("container = web", "container != web", "exists container", "curl", "not curl"):
        means = matcher(parse(text))
        expected = [one.seq for one in events if means(one)]
        query = EventQuery(where=Where(filter=parse(text)))
        assert page_seqs(store, session, query) == expected, text
    top = queries.top(session, "@container", Where(), limit=5, budget=UNLIMITED)
    found = [v for one in events for v in values_of(one, "@container")]
    assert [v.value.value for v in top.values] == found


def sample(store: Store, count: int = 60) -> SessionId:
    rows = [
        {
            "i": i,
            "dst": {"port": 443 if i % 3 else 80, "addr": f"10.0.0.{i % 5}"},
            "k8s": {"namespace": "demo" if i % 2 else "prod", "podName": f"p{i % 4}"},
            "timestamp_raw": T0 + i * 10 * NS,
        }
        for i in range(count)
    ]
    return filled(store, rows)


def test_counts_over_minutes_and_their_edges(store: Store) -> None:
    session = sample(store)
    queries = store.reader.queries
    node = parse('namespace = "demo"')
    for start, end in (
        (None, None),
        (T0 + 5, T0 + 500 * NS),
        (T0 + 61 * NS, None),
        (None, T0 + 333 * NS),
        (T0, T0 + 1),
    ):
        times = [T0 + i * 10 * NS for i in range(60) if i % 2]
        expected = sum((start is None or ts >= start) and (end is None or ts < end) for ts in times)
        assert (
            queries.count(session, Where(filter=node, start=start, end=end), UNLIMITED).count
            == expected
        )
        top = queries.top(
            session,
            "k8s.podName",
            Where(filter=node, start=start, end=end),
            limit=5,
            budget=UNLIMITED,
        )
        assert top.count == expected


def test_time_and_seq_conditions_limit_what_is_read(store: Store) -> None:
    session = sample(store)
    queries = store.reader.queries
    for text, expected in (
        ("seq > 10 and seq <= 12", [11, 12]),
        ("seq in 3..4 and dst.port = 443", [3]),
        ("seq = 7", [7]),
        ("seq > 59 and seq < 3", []),
        ("seq < 3 or seq > 59", [1, 2, 60]),
    ):
        found = queries.page(session, EventQuery(where=Where(filter=parse(text))), UNLIMITED)
        assert [one.seq for one in found.events] == expected, text
    page = queries.page(session, EventQuery(where=Where(filter=parse("seq > 58"))), UNLIMITED)
    assert page.scope.total == 2


def test_neighbours_and_times(store: Store) -> None:
    session = sample(store)
    queries = store.reader.queries
    node = parse("dst.port = 80")
    found = queries.neighbours(session, 30, Where(filter=node), 2, UNLIMITED)
    assert [one.seq for one in found.events] == [25, 28, 30, 31, 34]
    assert found.scope.complete
    assert [e.seq for e in queries.neighbours(session, 1, Where(), 2, UNLIMITED).events] == [
        1,
        2,
        3,
    ]
    with pytest.raises(EventNotFound):
        queries.neighbours(session, 61, Where(), 2, UNLIMITED)
    with pytest.raises(EventNotFound):
        queries.neighbours(session, 2**80, Where(), 2, UNLIMITED)
    assert queries.at_time(session, T0) == 1
    assert queries.at_time(session, T0 + 1) == 2
    assert queries.at_time(session, T0 + 95 * NS) == 11
    assert queries.at_time(session, -(2**70)) == 1
    assert queries.at_time(session, T0 + 10_000 * NS) is None


def test_a_budget_ends_a_walk_and_the_next_page_goes_on(store: Store) -> None:
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}', T0 + i) for i in range(3_000)])
    none = Budget(seconds=0.0)
    queries = store.reader.queries
    where = Where(filter=parse("i in (5, 2990)"))
    seqs, cursor, pages = [], "", 0
    while True:
        page = queries.page(session, EventQuery(where=where, cursor=cursor), none)
        seqs += [one.seq for one in page.events]
        pages += 1
        cursor = page.next
        if not cursor:
            break
        assert not page.scope.complete
        assert page.scope.from_seq <= page.scope.to_seq
    assert seqs == [6, 2991]
    assert pages > 1
    counted = queries.count(session, where, none)
    assert not counted.scope.complete
    assert counted.scope.total == 3_000
    assert counted.scope.to_seq == 3_000
    assert counted.count == 1
    ranked = queries.page(session, EventQuery(sort="i", limit=5), none)
    assert ranked.events[0].seq == ranked.scope.from_seq
    more = queries.page(session, EventQuery(sort="i", limit=5, cursor=ranked.next), none)
    assert more.events[0].seq == ranked.events[-1].seq + 1
    assert not more.scope.complete


def test_an_order_of_a_part_stays_one_of_a_part(store: Store) -> None:
    """Also on the pages that another worker answers, with time enough for all of that part."""
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}', T0 + i) for i in range(3_000)])
    first = store.reader.queries.page(session, EventQuery(sort="i", limit=5), Budget(seconds=0.0))
    assert not first.scope.complete
    other = open_reader(store.url)
    query = EventQuery(sort="i", limit=5, cursor=first.next)
    more = other.queries.page(session, query, UNLIMITED)
    again = other.queries.page(session, replace(query, cursor=more.next), UNLIMITED)
    other.close()
    assert more.events[0].seq == first.events[-1].seq + 1
    assert again.events[0].seq == more.events[-1].seq + 1
    assert first.scope == more.scope == again.scope


def test_an_order_leaves_nothing_out_where_a_later_page_has_less_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}', T0 + i) for i in range(3_000)])
    query = EventQuery(sort="i", limit=5)
    first = store.reader.queries.page(session, query, UNLIMITED)
    other = open_reader(store.url)  # as another worker, which remembers nothing
    query = replace(query, cursor=first.next)
    with monkeypatch.context() as patched:
        patched.setattr(query_reader, "_AGAIN_SECONDS", 0.0)
        with pytest.raises(QueryBusy):
            other.queries.page(session, query, Budget(seconds=0.0))
    more = other.queries.page(session, query, Budget(seconds=0.0))
    other.close()
    assert [one.seq for one in more.events] == [6, 7, 8, 9, 10]
    assert more.scope == first.scope


def test_long_values_are_not_kept_apart_without_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "CHARACTERS", 250)
    session = store.create().id
    long = [f"{i}" * 100 for i in range(5)]
    store.add(session, *[event(f'{{"t":"{text}"}}') for text in (*long, *long, "x", "x")])
    top = store.reader.queries.top(session, "t", Where(), limit=9, budget=UNLIMITED)
    assert [(one.value.value, one.count) for one in top.values] == [
        (long[3], 2),
        (long[4], 2),
        ("x", 2),
    ]
    assert (top.count, top.distinct, top.other, top.exact) == (12, 3, 6, False)


def test_what_nobody_waits_for_ends(store: Store) -> None:
    session = sample(store)
    gone = Budget(cancelled=lambda: True)
    queries = store.reader.queries
    with pytest.raises(QueryCancelled):
        queries.count(session, Where(filter=parse("dst.port = 80")), gone)
    with pytest.raises(QueryCancelled):
        queries.page(session, EventQuery(sort="i"), gone)
    with pytest.raises(QueryCancelled):
        queries.neighbours(session, 30, Where(filter=parse("dst.port = 1")), 2, gone)


def test_a_session_deleted_meanwhile_is_no_answer_without_events(store: Store) -> None:
    """Also where only the rollups, gone with it, say where to look."""
    session = store.create().id
    found = [event('{"i":1}', T0 + i, node="n" if i % 1_000 else "rare") for i in range(5_000)]
    store.add(session, *found)
    where = Where(filter=parse('node = "rare" and i = 1'))
    blocks = store.reader.queries.stream(session, where, UNLIMITED)
    store.writer.hide(session)
    while store.writer.purge(10_000):
        pass
    with pytest.raises(SessionNotFound):
        list(blocks)


def test_a_whole_number_beyond_floats_leaves_a_field_its_figures(store: Store) -> None:
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}') for i in ("1" + "0" * 400, "0.5", "2")])
    found = store.reader.queries.stats(session, "i", Where(), UNLIMITED)
    assert (found.numbers, found.mean) == (3, None)
    assert [value for at, value in found.quantiles if at in (0, 0.5, 1)] == [0.5, 2, 10**400]


def test_a_name_of_a_thousand_parts_is_looked_up_like_any_other(store: Store) -> None:
    session = store.create().id
    store.add(session, event('{"a":{"a":1}}'), event('{"b":1}'))
    found = parse(f"{'.'.join('a' * 2_000)} = 1 or b = 1")
    assert store.reader.queries.count(session, Where(filter=found), UNLIMITED).count == 1
    live = store.reader.queries.matcher(found)
    assert [live(one) for one in stored(store, session)] == [False, True]


def test_progress_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igdash.store.query.scan._PROGRESS_S", -1)
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}') for i in range(5_000)])
    told = []
    queries = store.reader.queries
    queries.count(session, Where(filter=parse("i = 1")), Budget(progress=told.append))
    assert [scope.to_seq for scope in told] == [5_000] * len(told)
    assert told[0].examined < told[-1].examined == 5_000


def test_sorted_pages_stay_while_events_arrive(store: Store) -> None:
    session = sample(store)
    queries = store.reader.queries
    query = EventQuery(sort="dst.addr", descending=True, limit=7)
    first = queries.page(session, query, UNLIMITED)
    store.add(session, event('{"dst":{"addr":"99"}}', T0), event('{"dst":{"addr":"10.0.0.4"}}', T0))
    fresh = store.reader.queries.__class__(store.reader.engine)  # type: ignore[call-arg, attr-defined]
    for reader in (queries, fresh):
        seqs = [one.seq for one in first.events]
        cursor = first.next
        while cursor:
            page = reader.page(
                session,
                EventQuery(sort="dst.addr", descending=True, limit=7, cursor=cursor),
                UNLIMITED,
            )
            seqs += [one.seq for one in page.events]
            cursor = page.next
        assert sorted(seqs) == list(range(1, 61))
        assert seqs == sorted(seqs, key=lambda seq: ((seq - 1) % 5, seq), reverse=True)


def test_the_rows_of_a_tick_in_an_order(store: Store) -> None:
    session = sample(store)
    tick = Where(after=20, before=27, filter=parse("dst.port = 443"))
    query = EventQuery(where=tick, sort="dst.addr", descending=True, limit=3)
    page = store.reader.queries.page(session, query, UNLIMITED)
    assert [one.seq for one in page.events] == [24, 23, 26]
    assert page.scope.total == 6
    assert page_seqs(store, session, query) == [24, 23, 26, 21]


def test_what_cannot_be_asked(store: Store) -> None:
    session = sample(store)
    queries = store.reader.queries
    bad = parse('dst.addr =~ "("')
    with pytest.raises(InvalidQuery, match="regular expression"):
        queries.count(session, Where(filter=bad), UNLIMITED)
    with pytest.raises(InvalidQuery, match="regular expression"):
        queries.matcher(bad)
    assert queries.pattern_problem("(")
    assert queries.pattern_problem("a" * 2000)
    assert queries.pattern_problem("^a+$") == ""
    for cursor in ("x", "-1", "9" * 30, "é"):
        with pytest.raises(InvalidQuery):
            queries.page(session, EventQuery(cursor=cursor), UNLIMITED)
        with pytest.raises(InvalidQuery):
            queries.page(session, EventQuery(cursor=cursor, sort="i"), UNLIMITED)
    other = queries.page(session, EventQuery(sort="i", limit=2), UNLIMITED).next
    with pytest.raises(InvalidQuery, match="another"):
        queries.page(
            session, EventQuery(sort="i", limit=2, descending=True, cursor=other), UNLIMITED
        )
    missing = SessionId("0" * 12)
    with pytest.raises(SessionNotFound):
        queries.count(missing, Where(), UNLIMITED)
    store.writer.hide(session)
    with pytest.raises(SessionNotFound):
        queries.page(session, EventQuery(), UNLIMITED)


def test_an_empty_session_answers_everything(store: Store) -> None:
    session = store.create().id
    queries = store.reader.queries
    where = Where(filter=parse("a = 1"))
    assert queries.page(session, EventQuery(where=where), UNLIMITED).events == ()
    assert queries.page(session, EventQuery(where=where, sort="a"), UNLIMITED).next == ""
    assert queries.count(session, where, UNLIMITED).scope.complete
    assert queries.top(session, "a", where, limit=3, budget=UNLIMITED).values == ()
    assert queries.stats(session, "a", where, UNLIMITED).quantiles == ()
    bars = queries.histogram(session, where, buckets=5, split="a", budget=UNLIMITED)
    assert [bar.events for bar in bars.buckets] == [0] * 5
    assert queries.at_time(session, 0) is None


def test_rare_origins_are_not_looked_for_everywhere(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "i": i,
            "k8s": {"namespace": "rare" if i == 700 else "often"},
            "timestamp_raw": T0 + i * NS,
        }
        for i in range(1_000)
    ]
    session = filled(store, rows)
    queries = store.reader.queries
    page = queries.page(
        session, EventQuery(where=Where(filter=parse("namespace = rare and i > 1"))), UNLIMITED
    )
    assert [one.seq for one in page.events] == [701]
    assert page.scope.examined == 1_000
