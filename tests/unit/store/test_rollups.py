from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.events import NewEvent, Origin
from igdash.domain.times import NS
from igdash.store.rollups import Rollup

ORIGINS = [Origin(pod=str(i)) for i in range(3)]
IDS = {id(origin): number for number, origin in enumerate(ORIGINS, 1)}

events = st.lists(
    st.tuples(st.integers(-200 * NS, 200 * NS), st.sampled_from(ORIGINS)), max_size=30
).map(lambda found: [NewEvent(ts, origin, "{}", 2) for ts, origin in found])


@given(batches=st.lists(st.tuples(st.integers(1, 2), events), max_size=5))
def test_rollups_count_each_row_once_and_span_them_all(
    batches: list[tuple[int, list[NewEvent]]],
) -> None:
    rollup, last = Rollup(), Counter[int]()
    for session, some in batches:
        rollup.add(session, last[session], some, IDS)
        last[session] += len(some)
    rows = rollup.events
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
    rollup.add(1, 0, [NewEvent(ts, ORIGINS[0], "{}", 2) for ts in (2**63, -(2**63) - 1, 5)], IDS)
    assert [row[2] for row in rollup.events] == [2**63 - 1, -(2**63), 5]
