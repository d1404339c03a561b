"""Events: dense seq, exact bytes, pages both ways, time limits, ticks."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.errors import EventNotFound, SessionNotFound
from igdash.domain.events import TOKEN_K8S, TOKEN_RUNTIME, NewTick
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.domain.threads import spawn
from igdash.domain.times import NS
from igdash.services.render import event_lines, text_lines
from igdash.sources.decode import decode_chunk
from tests.support.stores import T0, Store, batch, event

EXACT = [
    '{"b":1,"a":2}',
    '{"n":9223372036854775807,"u":18446744073709551615}',
    '{"f":1.0,"g":1e5,"h":0.10,"i":-0.0,"j":1E+2}',
    '{"s":"h\\u00e9llo / \\/ \\u0000 \\ud83d\\ude00 é😀 ‮"}',
    '{"sql":"\'; DROP TABLE events; -- %s %(x)s :y ? \\\\ $1 {0}"}',
    '{"deep":[[[[{}]]]],"empty":{},"null":null,"t":true}',
    "{}",
]


def seqs(store: Store, session: SessionId, **wanted: Any) -> list[int]:
    return [e.seq for e in store.reader.events.page(session, EventRange(**wanted)).events]


def filled(store: Store, count: int, step: int = NS) -> SessionId:
    session = store.create().id
    store.add(session, *[event(f'{{"i":{i}}}', T0 + i * step) for i in range(count)])
    return session


def test_seq_is_dense_from_one_over_batches_and_reopenings(store: Store) -> None:
    one, two = store.create().id, store.create().id
    for n in (3, 1, 5):
        store.writer.append([batch(one, *[event()] * n), batch(two, event())])
        store.reopen_writer()
    assert seqs(store, one) == list(range(1, 10))
    assert seqs(store, two) == [1, 2, 3]


def test_one_append_may_hold_a_session_twice(store: Store) -> None:
    session = store.create().id
    advances = store.writer.append([batch(session, event()), batch(session, event(), event())])
    assert [a.last_seq for a in advances] == [3]
    assert seqs(store, session) == [1, 2, 3]


def test_text_comes_back_exactly(store: Store) -> None:
    session = store.create().id
    store.add(session, *[event(text, node="n1", source="tcp") for text in EXACT])
    for seq, text in enumerate(EXACT, 1):
        found = store.reader.events.get(session, seq)
        assert (found.data, found.ts, found.node, found.source) == (text, T0, "n1", "tcp")


def test_interned_parts_come_back_in_their_places(store: Store) -> None:
    session = store.create().id
    k8s, runtime = '{"namespace":"demo","x":"\\u0041"}', '{"containerName":"c"}'
    data = f'{{"a":1,{TOKEN_K8S},"z":{{}},{TOKEN_RUNTIME}}}'
    store.add(session, event(data, k8s=k8s, runtime=runtime), event(data, k8s=k8s))
    first, second = store.reader.events.page(session, EventRange()).events
    assert first.data == f'{{"a":1,"k8s":{k8s},"z":{{}},"runtime":{runtime}}}'
    assert second.data == f'{{"a":1,"k8s":{k8s},"z":{{}},{TOKEN_RUNTIME}}}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(
    st.sampled_from(["k8s", "runtime", "timestamp_raw", "proc", "a", "é", "node"]),
    json_values,
    max_size=6,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(objects, min_size=1, max_size=5), ascii_only=st.booleans())
def test_what_a_gadget_delivered_comes_back_byte_for_byte(
    store: Store, rows: list[dict[str, Any]], ascii_only: bool
) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    chunk = Chunk(
        kind=ChunkKind.JSON_LINES, received=T0, data=("\n".join(lines) + "\n").encode(), node="n"
    )
    decoded = decode_chunk(chunk)
    session = store.create().id
    store.add(session, *decoded.events, malformed=decoded.malformed)
    stored = [e.data for e in store.reader.events.page(session, EventRange()).events]
    assert len(stored) + len(decoded.malformed) == len(lines)
    assert stored == [line for line in lines if line in stored]
    if not decoded.malformed:
        assert stored == lines


def test_pages_upwards_and_downwards_meet(store: Store) -> None:
    session = filled(store, 25)
    read = store.reader.events.page
    up, after = [], None
    while True:
        page = read(session, EventRange(after=after, limit=10))
        up += [e.seq for e in page.events]
        assert (page.first_seq, page.last_seq) == (1, 25)
        if (after := page.next) is None:
            break
    down, before = [], 26
    while before is not None:
        page = read(session, EventRange(before=before, limit=10))
        down = [e.seq for e in page.events] + down
        before = page.next
    assert up == down == list(range(1, 26))


RANGES: list[tuple[dict[str, int], list[int]]] = [
    ({"after": 0, "limit": 3}, [1, 2, 3]),
    ({"after": 8, "limit": 3}, [9, 10]),
    ({"after": 10}, []),
    ({"after": 10**30}, []),
    ({"after": -5, "limit": 2}, [1, 2]),
    ({"before": 4, "limit": 2}, [2, 3]),
    ({"before": 1}, []),
    ({"before": -(10**30)}, []),
    ({"before": 10**30, "limit": 2}, [9, 10]),
    ({"start": T0 + 2 * NS, "end": T0 + 5 * NS}, [3, 4, 5]),
    ({"start": T0 + 2 * NS, "after": 3, "limit": 2}, [4, 5]),
    ({"end": T0 + 5 * NS, "before": 100, "limit": 2}, [4, 5]),
    ({"start": T0 + 1, "end": T0 + NS}, []),
    ({"start": T0 + 99 * NS}, []),
    ({"start": -(10**30), "end": 10**30, "limit": 2}, [1, 2]),
]


def test_ranges(store: Store) -> None:
    session = filled(store, 10)
    for wanted, expected in RANGES:
        assert (wanted, seqs(store, session, **wanted)) == (wanted, expected)


def test_time_limits_hold_for_events_out_of_order(store: Store) -> None:
    session = store.create().id
    times = [5, 1, 9, 1, 5, 3, 9, 2]
    store.add(session, *[event(ts=T0 + t * NS + 7) for t in times])
    for start in range(10):
        for end in range(start, 11):
            inside = [i for i, t in enumerate(times, 1) if start <= t < end]
            assert seqs(store, session, start=T0 + start * NS, end=T0 + end * NS) == inside


def test_a_page_with_time_limits_continues(store: Store) -> None:
    session = filled(store, 30)
    wanted = {"start": T0 + 5 * NS, "end": T0 + 15 * NS}
    page = store.reader.events.page(session, EventRange(limit=6, **wanted))
    assert page.next == 11
    page = store.reader.events.page(session, EventRange(after=page.next, limit=6, **wanted))
    assert ([e.seq for e in page.events], page.next) == ([12, 13, 14, 15], None)


def test_absurd_times_are_kept_as_near_as_64_bits_can(store: Store) -> None:
    for ts in (0, -1, -(2**63), 2**63 - 1, 10**40, -(10**40)):
        session = store.create().id
        store.add(session, event(ts=T0), event(ts=ts), event(ts=T0))
        kept = min(max(ts, -(2**63)), 2**63 - 1)
        page = store.reader.events.page(session, EventRange())
        assert [e.ts for e in page.events] == [T0, kept, T0]
        bars = store.reader.events.histogram(session, start=None, end=None, buckets=7)
        assert sum(bar.events for bar in bars) == 3
        assert store.reader.sessions.get(session).last_event == T0


def test_unknown_things_are_not_found(store: Store) -> None:
    session = filled(store, 2)
    events = store.reader.events
    for seq in (0, 3, -1, 10**30):
        with pytest.raises(EventNotFound):
            events.get(session, seq)
    for unknown in ("", "nope", "'; --", "a\0b", "%"):
        with pytest.raises(SessionNotFound):
            events.page(SessionId(unknown), EventRange())
        with pytest.raises(SessionNotFound):
            events.stream(SessionId(unknown), EventRange())
        with pytest.raises(SessionNotFound):
            events.histogram(SessionId(unknown), start=None, end=None, buckets=3)


def test_stream_yields_blocks_up_to_the_end_as_it_was(store: Store) -> None:
    session = filled(store, 25)
    stream = store.reader.events.stream(session, EventRange(limit=10))
    store.add(session, event())
    blocks = [[e.seq for e in block] for block in stream]
    assert blocks == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]


def test_stream_takes_the_limits_of_a_range(store: Store) -> None:
    session = filled(store, 25)

    def streamed(**limits: int) -> list[int]:
        blocks = store.reader.events.stream(session, EventRange(limit=4, **limits))
        return [e.seq for block in blocks for e in block]

    assert streamed(after=20) == [21, 22, 23, 24, 25]
    assert streamed(before=4) == [1, 2, 3]
    assert streamed(start=T0 + 3 * NS, end=T0 + 13 * NS) == list(range(4, 14))
    assert streamed(start=T0 + 99 * NS) == []


def test_texts_are_the_events_of_the_stream(store: Store) -> None:
    """Interned members come back, and what is not ASCII stays."""
    session = store.create().id
    lines = [
        f'{{"n":{n},"k8s":{{"node":"é","namespace":"a{n % 3}"}},"runtime":{{"runtimeName":"x"}}}}'
        for n in range(12)
    ]
    data = "\n".join([*lines, '{"t":"\\u0000 \\ud83d €"}', '{"runtime":{}}']).encode() + b"\n"
    decoded = decode_chunk(Chunk(kind=ChunkKind.JSON_LINES, received=T0, data=data))
    store.add(session, *decoded.events)
    for more in ({}, {"after": 3}, {"before": 6}, {"start": T0, "end": T0 + 1}):
        wanted = EventRange(limit=5, **more)
        blocks = list(store.reader.events.stream(session, wanted))
        texts = list(store.reader.events.texts(session, wanted))
        assert texts == [
            [(e.seq, e.ts, e.node, e.source, e.data.encode()) for e in block] for block in blocks
        ]
        assert b"".join(map(text_lines, texts)) == b"".join(map(event_lines, blocks))
    assert sum(map(len, texts)) == 14


def test_stream_of_a_session_deleted_meanwhile_does_not_end_as_if_complete(store: Store) -> None:
    session = filled(store, 25)
    stream = store.reader.events.stream(session, EventRange(limit=10))
    next(stream)
    store.writer.hide(session)
    with pytest.raises(SessionNotFound):
        list(stream)


def test_ticks_name_their_rows_also_when_there_are_none(store: Store) -> None:
    session = store.create().id

    def tick(first: int, events: int) -> NewTick:
        return NewTick(ts=T0, node="n1", source="top", first=first, events=events)

    store.add(session, event(), event(), event(), ticks=(tick(0, 2), tick(2, 0), tick(2, 1)))
    store.add(session, ticks=(tick(0, 0),))
    store.add(session, event(), ticks=(tick(0, 1),))
    page = store.reader.events.ticks(session)
    assert page.total == 5
    assert [(t.tick, t.first_seq, t.events) for t in page.ticks] == [
        (5, 4, 1),
        (4, 4, 0),
        (3, 3, 1),
        (2, 3, 0),
        (1, 1, 2),
    ]
    rows = [[e.seq for e in store.reader.events.tick_at(session, t)] for t in range(1, 6)]
    assert rows == [[1, 2], [], [3], [], [4]]
    older = store.reader.events.ticks(session, before=4, limit=2)
    assert [t.tick for t in older.ticks] == [3, 2]
    for missing in (0, 6, 10**30):
        with pytest.raises(EventNotFound):
            store.reader.events.tick_at(session, missing)


def test_readers_see_whole_commits_while_the_writer_writes(store: Store) -> None:
    session = store.create().id
    done = threading.Event()
    seen: list[tuple[int, int, int]] = []

    def read() -> None:
        reader = store.reader
        while not done.is_set():
            stored = reader.sessions.get(session)
            page = reader.events.page(session, EventRange(before=10**9, limit=1000))
            bars = reader.events.histogram(session, start=None, end=None, buckets=9)
            assert page.last_seq >= stored.events
            assert [e.seq for e in page.events] == list(range(1, page.last_seq + 1))
            seen.append((stored.events, page.last_seq, sum(bar.events for bar in bars)))

    assert store.reader
    thread = spawn("reading", read)
    for i in range(60):
        store.add(session, *[event(ts=T0 + i * NS)] * 10)
    done.set()
    thread.join(20)
    assert not thread.is_alive()
    assert seen
    assert all(n % 10 == 0 for row in seen for n in row)
    assert all(
        a <= b for first, second in pairwise(seen) for a, b in zip(first, second, strict=True)
    )


def test_events_of_sessions_never_mix(store: Store) -> None:
    one, two = store.create().id, store.create().id
    for i in range(5):
        store.writer.append(
            [batch(one, event(f'{{"one":{i}}}')), batch(two, event(f'{{"two":{i}}}'))]
        )
    assert all('"one"' in e.data for e in store.reader.events.page(one, EventRange()).events)
    assert all('"two"' in e.data for e in store.reader.events.page(two, EventRange()).events)
