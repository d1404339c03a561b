"""What is answered from rollups is what a walk over the events finds, and what is true of them."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.domain.events import NewEvent
from igdash.domain.filter_text import parse
from igdash.domain.queries import UNLIMITED, Budget, EventQuery, Where
from igdash.domain.sessions import SessionId, SessionState, StateChange
from igdash.domain.times import NS
from igdash.store.query import bars, cells, scan, spans, totals
from tests.support.stores import T0, Store, event

quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LIFE = 600
SPACES = ("demo", "production", "")
times = st.one_of(
    st.integers(-2 * NS, (LIFE + 2) * NS),
    st.sampled_from([0, NS, 60 * NS, 60 * NS - 1, 300 * NS, LIFE * NS]),
    st.sampled_from([-(2**63) - T0, 2**63 - 1 - T0, -T0 - 1]),  # 64 bits' ends, before 1970
)
histories = st.lists(
    st.tuples(times, st.sampled_from(SPACES), st.integers(0, 2)), min_size=1, max_size=60
)
ends = st.one_of(
    st.none(),
    st.integers(0, LIFE * NS).map(lambda t: T0 + t),
    st.sampled_from([0, 1, 20, 60, 140, LIFE]).map(
        lambda t: T0 + t * NS
    ),  # T0 is 20 s into a minute
)
questions = st.lists(
    st.tuples(
        st.sampled_from(["", "namespace = demo", "namespace != demo", "exists namespace"]),
        st.sampled_from(["", "k8s.namespace", "@node", "k8s.podName"]),
        ends,
        ends,
        st.sampled_from([1, 2, 4, 7, 60, 200, 1_000]),
    ),
    min_size=3,
    max_size=6,
)


def made(ts: int, space: str, pod: int) -> NewEvent:
    k8s = f'{{"namespace":"{space}","podName":"p{pod}"}}' if space else '{"hostnetwork":true}'
    return event('{"k8s":"@k8s"}', T0 + ts, namespace=space, pod=f"p{pod}", node=f"n{pod}", k8s=k8s)


def filled(store: Store, history: list[tuple[int, str, int]]) -> SessionId:
    session = store.create().id
    for first in range(0, len(history), 9):
        store.add(session, *[made(*one) for one in history[first : first + 9]])
    store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0))
    store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0 + LIFE * NS))
    return session


def value(one: tuple[int, str, int], split: str) -> str | None:
    _, space, pod = one
    return {
        "": None,
        "@node": f"n{pod}",
        "k8s.namespace": space or None,
        "k8s.podName": f"p{pod}" if space else None,
    }[split]


def answers(store: Store, session: SessionId, asked: tuple[Any, ...]) -> tuple[Any, ...]:
    text, split, start, end, buckets = asked
    queries = store.reader.queries
    where = Where(filter=parse(text) if text else None, start=start, end=end)
    count = queries.count(session, where, UNLIMITED)
    top = queries.top(session, split or "@source", where, limit=100, budget=UNLIMITED)
    found = queries.histogram(session, where, buckets=buckets, split=split, budget=UNLIMITED)
    return count, top, found


@quick
@given(
    history=histories,
    asked=questions,
    named=st.sampled_from([1, 2, 6]),
    most=st.sampled_from([1, 500]),
)
def test_rollups_and_a_walk_and_the_events_agree(
    store: Store,
    history: list[tuple[int, str, int]],
    asked: list[tuple[Any, ...]],
    named: int,
    most: int,
) -> None:
    session = filled(store, history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bars, "NAMED", named)
        patch.setattr(cells, "_MOST_ORIGINS", most)
        agree(store, session, history, asked)


def agree(
    store: Store,
    session: SessionId,
    history: list[tuple[int, str, int]],
    asked: list[tuple[Any, ...]],
) -> None:
    for one in asked:
        text, split, start, end, buckets = one
        if start is not None and end is not None and start >= end:
            start, end = None, end + 1
            one = text, split, start, end, buckets
        fits = {
            "": lambda _: True,
            "namespace = demo": lambda space: space == "demo",
            "namespace != demo": lambda space: space == "production",
            "exists namespace": bool,
        }[text]
        inside = [
            (ts, space, pod)
            for ts, space, pod in history
            if fits(space)
            and (start is None or T0 + ts >= start)
            and (end is None or T0 + ts < end)
        ]
        count, top, found = answers(store, session, one)
        assert count.count == top.count == len(inside)
        assert all(answer.scope.complete for answer in (count, top, found))
        if split:
            values = Counter(value(row, split) for row in inside)
            assert top.missing == values.pop(None, 0)
            assert {v.value.value: v.count for v in top.values} == values
        for index, bar in enumerate(found.buckets):
            first, last = index == 0 and start is None, index == buckets - 1 and end is None
            here = [
                row
                for row in inside
                if (T0 + row[0] >= bar.start or first) and (T0 + row[0] < bar.end or last)
            ]
            assert bar.events == len(here), bar
            split_here = Counter(value(row, split) for row in here)
            split_here.pop(None, None)
            assert bar.split == {v: n for v, n in split_here.items() if v in found.values}
        with pytest.MonkeyPatch.context() as patch:
            for module in (bars, totals):
                patch.setattr(module, "rollups", lambda _: nullcontext())
            assert answers(store, session, one) == (count, top, found)


def test_no_event_is_walked_for_what_rollups_know(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = filled(store, [(n * NS // 3, SPACES[n % 3], n % 2) for n in range(1_700)])
    for name in ("hits", "groups"):
        monkeypatch.setattr(scan.Scan, name, lambda *_, **__: pytest.fail("events are walked"))
    for bounds in ((None, None), (T0 + 7, T0 + 307 * NS + 9)):
        for buckets in (1, 4, 120):
            count, top, found = answers(
                store, session, ("namespace = demo", "k8s.podName", *bounds, buckets)
            )
            assert count.count == top.count == sum(bar.events for bar in found.buckets)
            assert sum(n for bar in found.buckets for n in bar.split.values()) == count.count


def test_a_borders_second_with_too_many_events_is_walked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = filled(store, [(n * NS // 50, "demo", 0) for n in range(2_000)])
    asked = ("namespace = demo", "k8s.podName", T0 + 5, T0 + 25 * NS + 7, 7)
    expected = answers(store, session, asked)
    monkeypatch.setattr("igdash.store.query.cells.MOST_READ", 10)
    assert answers(store, session, asked) == expected


@quick
@given(
    often=st.lists(st.booleans(), min_size=1, max_size=200),
    shuffle=st.randoms(use_true_random=False),
    limit=st.integers(1, 5),
    newest=st.booleans(),
    most=st.sampled_from([1, 3, 200]),
)
def test_rare_origins_are_found_between_the_others(
    store: Store, often: list[bool], shuffle: Any, limit: int, newest: bool, most: int
) -> None:
    """Ranges of a few seqs, many at a time, however the budget and the pages cut them."""
    history = [(n * 7 * NS, "demo" if one else "rare", n % 2) for n, one in enumerate(often)]
    shuffle.shuffle(history)
    session = filled(store, history)
    expected = [seq for seq, one in enumerate(history, 1) if one[1] == "rare" and one[2] == 0]
    where = Where(filter=parse("namespace = rare and pod = p0"))
    queries = store.reader.queries
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_RARE", 1.0)
        patch.setattr(spans, "MOST_RANGES", most)
        patch.setattr(spans, "_NEAR", 0)
        patch.setattr(spans, "_LONG", 1)
        for budget in (UNLIMITED, Budget(seconds=0.0)):
            seqs: list[int] = []
            cursor = ""
            for _ in range(1_000):
                query = EventQuery(where=where, newest=newest, limit=limit, cursor=cursor)
                page = queries.page(session, query, budget)
                found = [one.seq for one in page.events]
                seqs = found + seqs if newest else seqs + found
                cursor = page.next
                if not cursor:
                    break
            assert seqs == expected
        counted = queries.count(session, where, UNLIMITED)
        assert counted.count == len(expected)
        top = queries.top(session, "a", where, limit=1, budget=UNLIMITED)
        assert (top.count, top.missing) == (len(expected), len(expected))
