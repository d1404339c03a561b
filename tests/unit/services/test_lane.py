from __future__ import annotations

from pathlib import Path

import pytest

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, NewEvent, NewTick, Origin
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState, StateChange
from igdash.domain.times import NS
from igdash.services.disk import DiskGuard
from igdash.services.lane import Lane, Step, decode_safely, join
from igdash.services.limits import CollectorLimits
from igdash.services.scheduler import Scheduler
from igdash.services.spool import Spool
from tests.support.collecting import decode_lines, lines


def make(folder: Path, name: str = "a", max_bytes: int = 1 << 20) -> Lane:
    session = SessionId(name * 12)
    spool = Spool(folder, session, max_bytes=max_bytes, segment_bytes=1 << 16)
    return Lane(session, spool, decode_lines, DiskGuard(folder, 0), lambda: None)


def numbers(decoded: Decoded) -> list[str]:
    return [event.data.split(",")[0] for event in decoded.events]


def test_received_is_stored_plus_lost_when_the_bound_is_met(tmp_path: Path) -> None:
    lane = make(tmp_path, max_bytes=400)
    for n in range(0, 100, 2):
        lane.put(lines(n, n + 1))
    taken = lane.take(1 << 20)
    assert taken is not None
    batch = taken.batch
    lost = sum(item.count for item in batch.decoded.losses if item.cause is LossCause.WRITER)
    assert 0 < len(batch.decoded.events) < 100
    assert batch.received == len(batch.decoded.events) + lost == 100
    assert taken.lost == lost
    assert not lane.drained
    lane.committed(taken)
    assert lane.drained
    assert lane.take(1 << 20) is None


def test_a_batch_given_back_is_taken_again_whole(tmp_path: Path) -> None:
    lane = make(tmp_path, max_bytes=300)
    for n in range(20):
        lane.put(lines(n))
    first = lane.take(1 << 20)
    assert first is not None
    lane.give_back(first)
    second = lane.take(1 << 20)
    assert second is not None
    assert numbers(second.batch.decoded) == numbers(first.batch.decoded)
    assert second.batch.received == first.batch.received == 20
    assert second.batch.spool_offset == first.batch.spool_offset


def test_what_a_start_finds_damaged_in_the_spool_is_a_loss_of_the_session(tmp_path: Path) -> None:
    before = make(tmp_path)
    for n in range(3):
        before.put(lines(n, received=5 * NS))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    lane = make(tmp_path)
    assert lane.waiting
    found: list[Decoded] = []
    while (taken := lane.take(1 << 20)) is not None:
        found.append(taken.batch.decoded)
        lane.committed(taken)
    assert lane.drained
    assert len(join(found).events) == 1
    (loss,) = join(found).losses
    assert (loss.cause, loss.count, loss.exact) == (LossCause.WRITER, 0, False)
    assert (loss.start, loss.end > loss.start) == (5 * NS, True)
    assert str(len(content) * 2 // 3) in loss.detail
    assert list(tmp_path.iterdir()) == []


def test_losses_are_owed_until_the_store_has_them(tmp_path: Path) -> None:
    lane = make(tmp_path)

    def lose(start: int) -> None:
        lane.lose([Loss(node="", start=start, end=start, count=1, cause=LossCause.STREAM)])

    assert lane.owed is None
    lose(8 * NS)
    lose(5 * NS)
    assert lane.owed == 5 * NS
    first = lane.take(1 << 20)
    assert first is not None
    lose(7 * NS)
    assert lane.owed == 5 * NS  # under way is not stored
    lane.give_back(first)
    assert lane.owed == 5 * NS
    again = lane.take(1 << 20)
    assert again is not None
    lose(9 * NS)
    lane.committed(again)
    assert lane.owed == 9 * NS
    last = lane.take(1 << 20)
    assert last is not None
    lane.committed(last)
    assert lane.owed is None


def test_zero_takes_only_what_waits_in_memory(tmp_path: Path) -> None:
    lane = make(tmp_path)
    lane.put(lines(1))
    lane.note("hello")
    taken = lane.take(0)
    assert taken is not None
    assert not taken.batch.decoded.events
    assert taken.batch.decoded.logs[0].text == "igdash: hello"
    assert taken.batch.spool_offset == 0


def test_a_last_step_waits_for_the_tail(tmp_path: Path) -> None:
    lane = make(tmp_path)
    lane.put(lines(1))
    running = Step(change=StateChange(state=SessionState.RUNNING, at=1))
    stopped = Step(change=StateChange(state=SessionState.STOPPED, at=2), last=True)
    lane.step(running)
    lane.step(stopped)
    assert lane.next_step() is running
    lane.stepped(running)
    assert lane.next_step() is None
    taken = lane.take(1 << 20)
    assert taken is not None
    assert lane.next_step() is None
    lane.committed(taken)
    assert lane.next_step() is stopped


def test_discarded_takes_nothing_any_more(tmp_path: Path) -> None:
    lane = make(tmp_path)
    lane.put(lines(1))
    lane.discard()
    lane.put(lines(2))
    assert not lane.waiting
    assert list(tmp_path.iterdir()) == []


def test_what_breaks_the_decoder_is_kept_as_malformed(caplog: pytest.LogCaptureFixture) -> None:
    chunk = Chunk(kind=ChunkKind.JSON_LINES, received=7, data=b"boom", node="n")
    decoded = decode_safely(decode_lines, chunk)
    assert [(m.raw, m.size, m.ts, m.node) for m in decoded.malformed] == [(b"boom", 4, 7, "n")]
    assert "decoding" in caplog.text


def test_join_moves_ticks_to_their_rows() -> None:
    event = NewEvent(1, Origin(), "{}", 2)

    def part(count: int) -> Decoded:
        tick = NewTick(ts=1, node="", source="", first=0, events=count)
        return Decoded(events=(event,) * count, ticks=(tick,))

    joined = join([part(2), part(0), part(3)])
    assert [(tick.first, tick.events) for tick in joined.ticks] == [(0, 2), (2, 0), (2, 3)]
    assert len(joined.events) == 5


def test_a_flood_leaves_quiet_sessions_their_share(tmp_path: Path) -> None:
    limits = CollectorLimits(transaction_bytes=4_000, quantum_bytes=100)
    flood, *quiet = [make(tmp_path, name) for name in "f0123"]
    for n in range(500):
        flood.put(lines(n))
    for lane in quiet:
        lane.put(lines(1))
    taken = Scheduler(limits).take([flood, *quiet])
    assert [lane.session for lane, _ in taken[:4]] == [lane.session for lane in quiet]
    assert taken[4][0] is flood
    assert sum(item.batch.spool_offset for _, item in taken) <= 4_500


def test_who_got_nothing_is_first_at_the_next_turn(tmp_path: Path) -> None:
    lanes = [make(tmp_path, name) for name in "0123"]
    for lane in lanes:
        for n in range(50):
            lane.put(lines(n))
    scheduler = Scheduler(CollectorLimits(transaction_bytes=1_000, quantum_bytes=500))
    served: set[str] = set()
    for _ in range(2):
        for lane, item in scheduler.take(lanes):
            served.add(lane.session)
            lane.committed(item)
    assert served == {lane.session for lane in lanes}
