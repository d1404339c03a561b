from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.times import NS
from igdash.store.rollups import Rollup

events = st.lists(st.tuples(st.integers(-200 * NS, 200 * NS), st.integers(1, 3)), max_size=30)


@given(batches=st.lists(st.tuples(st.integers(1, 2), events), max_size=5))
def test_rollups_count_each_row_once_and_span_them_all(
    batches: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    rollup, last = Rollup(), Counter[int]()
    for session, some in batches:
        times, ids = [ts for ts, _ in some], [origin for _, origin in some]
        rollup.add(session, last[session], times, ids, [str(ts) for ts in times])
        last[session] += len(some)
    rows = rollup.events
    assert [(r[0], r[2], r[3]) for r in rows] == [(s, *one) for s, some in batches for one in some]
    assert all(row[4] == str(row[2]) for row in rows)
    for session in (1, 2):
        assert [r[1] for r in rows if r[0] == session] == list(range(1, last[session] + 1))
    seconds = Counter((s, ts // NS) for s, _, ts, _, _ in rows)
    minutes = Counter((s, ts // NS // 60, origin) for s, _, ts, origin, _ in rows)
    assert {key: span[0] for key, span in rollup.activity.items()} == seconds
    assert {key: span[0] for key, span in rollup.activity_origin.items()} == minutes
    each = Counter((s, ts // NS, origin) for s, _, ts, origin, _ in rows)
    assert {key: span[0] for key, span in rollup.activity_origin_sec.items()} == each
    assert rollup.session_origin() == Counter((s, origin) for s, _, _, origin, _ in rows)
    for (session, second), (_, first, final) in rollup.activity.items():
        seqs = [r[1] for r in rows if r[0] == session and r[2] // NS == second]
        assert (first, final) == (min(seqs), max(seqs))


def test_times_beyond_64_bits_are_clamped() -> None:
    rollup = Rollup()
    rollup.add(1, 0, [2**63, -(2**63) - 1, 5], [1, 1, 1], ["{}"] * 3)
    assert [row[2] for row in rollup.events] == [2**63 - 1, -(2**63), 5]
