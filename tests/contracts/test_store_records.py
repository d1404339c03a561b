"""Losses, log lines, malformed lines: merged or bounded, never miscounted."""

from __future__ import annotations

from igdash.domain.events import LogLevel, LogLine, Malformed
from igdash.domain.losses import Loss, LossCause
from igdash.domain.times import NS
from igdash.store.tables import KEPT_LINES
from tests.support.stores import T0, Store, event


def loss(start: int = 0, count: int = 1, **more: object) -> Loss:
    values = {"node": "n", "end": T0 + start + 5, "cause": LossCause.KERNEL} | more
    return Loss(start=T0 + start, count=count, **values)  # type: ignore[arg-type]


def line(text: str, ts: int = T0) -> LogLine:
    return LogLine(ts=ts, level=LogLevel.WARNING, node="n", text=text)


def bad(raw: bytes) -> Malformed:
    return Malformed(ts=T0, node="n", raw=raw, size=len(raw) + 7, reason="no JSON: é")


def test_losses_of_one_second_merge_within_and_over_appends(store: Store) -> None:
    session = store.create().id
    store.add(session, losses=(loss(100, 1, detail="a"), loss(50, 2, end=T0 + 10 * NS)))
    store.add(session, losses=(loss(200, 4, exact=False, detail="b"), loss(NS, 8)))
    store.add(session, losses=(loss(0, 16, node="m"), loss(0, 32, cause=LossCause.STREAM)))
    found, total = store.reader.records.losses(session)
    assert total == 63 == sum(one.count for one in found)
    assert store.reader.sessions.get(session).lost == 63
    merged = next(
        x for x in found if (x.node, x.cause, x.second) == ("n", LossCause.KERNEL, T0 // NS)
    )
    assert merged == loss(50, 7, end=T0 + 10 * NS, detail="a", exact=False)
    assert len(found) == 4
    assert found[-1].start == T0 + NS


def test_losses_of_unknown_number_are_kept(store: Store) -> None:
    session = store.create().id
    store.add(session, losses=(loss(0, 0, exact=False, cause=LossCause.STREAM, detail="restart"),))
    assert store.reader.records.losses(session) == (
        (loss(0, 0, exact=False, cause=LossCause.STREAM, detail="restart"),),
        0,
    )


def test_a_flood_of_loss_notices_is_one_record_a_second(store: Store) -> None:
    session = store.create().id
    for _ in range(3):
        store.add(session, losses=tuple(loss(i * (NS // 1000)) for i in range(3_000)))
    found, total = store.reader.records.losses(session)
    assert (len(found), total) == (3, 9_000)


def test_absurd_numbers_of_lost_events_stop_nothing(store: Store) -> None:
    session = store.create().id
    for start in (0, 1):
        store.add(session, event(), losses=(loss(start, 2**64), loss(NS, -5), loss(2 * NS, 7)))
    found, total = store.reader.records.losses(session)
    assert [(one.count, one.exact) for one in found] == [
        (2 * 10**14, False),
        (0, False),
        (14, True),
    ]
    assert total == sum(one.count for one in found)


def test_the_newest_losses_are_given_oldest_first(store: Store) -> None:
    session = store.create().id
    store.add(session, losses=tuple(loss(i * NS, i) for i in range(20)))
    found, total = store.reader.records.losses(session, limit=3)
    assert [one.count for one in found] == [17, 18, 19]
    assert total == 190


def test_received_is_stored_plus_lost_by_the_writer(store: Store) -> None:
    session = store.create().id
    store.add(session, event(), event(), losses=(loss(0, 40, cause=LossCause.WRITER), loss(0, 9)))
    store.add(session, event(), losses=(loss(0, 2, cause=LossCause.WRITER),))
    found, _ = store.reader.records.losses(session)
    ours = sum(x.count for x in found if x.cause is LossCause.WRITER)
    stored = store.reader.sessions.get(session)
    assert (stored.received, stored.events, ours) == (45, 3, 42)


def test_log_lines_are_numbered_and_paged(store: Store) -> None:
    session = store.create().id
    store.add(session, logs=(line("one"), line("two\0\ud800 é")))
    store.add(session, logs=(line("three"),))
    logs = store.reader.records.logs
    assert [(x.n, x.text) for x in logs(session)] == [(1, "one"), (2, "two�? é"), (3, "three")]
    assert [x.n for x in logs(session, after=1)] == [2, 3]
    assert [x.n for x in logs(session, after=1, limit=1)] == [2]
    assert [x.n for x in logs(session, limit=2)] == [2, 3]
    assert logs(session)[0] == LogLine(ts=T0, level=LogLevel.WARNING, node="n", text="one", n=1)
    assert store.reader.sessions.get(session).logs == 3


def test_only_the_newest_log_lines_are_kept_but_all_are_counted(store: Store) -> None:
    session = store.create().id
    store.add(session, logs=tuple(line(str(i)) for i in range(1, 5_001)))
    store.add(session, logs=tuple(line(str(i)) for i in range(5_001, 20_001)))
    store.add(session, logs=(line("20001"),))
    kept = store.sql("SELECT count(*), min(n), max(n) FROM logs")
    assert [tuple(row) for row in kept] == [(KEPT_LINES, 20_001 - KEPT_LINES + 1, 20_001)]
    assert store.reader.records.logs(session, limit=1)[0].text == "20001"
    assert store.reader.sessions.get(session).logs == 20_001


def test_malformed_lines_are_kept_raw_with_their_place(store: Store) -> None:
    session = store.create().id
    raws = (b"\x00\xff{", b"", b'{"a":NaN}')
    store.add(session, event(), malformed=tuple(map(bad, raws[:2])))
    store.add(session, event(), event(), malformed=(bad(raws[2]),))
    found = store.reader.records.malformed(session)
    assert [(x.n, x.raw, x.size, x.at_seq) for x in found] == [
        (1, raws[0], 10, 1),
        (2, raws[1], 7, 1),
        (3, raws[2], 16, 3),
    ]
    assert found[0].reason == "no JSON: é"
    assert [x.n for x in store.reader.records.malformed(session, after=1, limit=1)] == [2]
    assert store.reader.sessions.get(session).malformed == 3
