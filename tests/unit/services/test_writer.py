from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.control import Advance
from igdash.domain.errors import SessionNotFound, StoreBusy
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import NewSession, SessionId, SessionState, StateChange
from igdash.domain.times import NS
from igdash.services.disk import DiskGuard
from igdash.services.lane import Lane, Step
from igdash.services.spool import Spool
from igdash.services.writer import WriterLoop
from tests.support.collecting import SMALL, SPEC, FlakyWriter, decode_lines, lines, sqlite_url
from tests.support.collecting import wait_until as wait

A, B = SessionId("a" * 12), SessionId("b" * 12)


class Rig:
    """A writer loop over a real SQLite store with two sessions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = sqlite_url(folder)
        store.upgrade(self.url)
        self.advances: list[Advance] = []
        self.errors: list[BaseException] = []
        self.flaky: FlakyWriter | None = None
        self.loop = WriterLoop(
            open_writer=self._open,
            limits=SMALL,
            publish=self._publish,
            fatal=self.errors.append,
        )
        self.loop.start()
        self.reader = store.open_reader(self.url)
        self.lanes = {session: self.lane(session) for session in (A, B)}

    def _open(self) -> FlakyWriter:
        self.flaky = FlakyWriter(store.open_writer(self.url))
        return self.flaky

    def _publish(self, advances: Sequence[Advance]) -> None:
        self.advances.extend(advances)

    @property
    def store(self) -> FlakyWriter:
        assert self.flaky is not None
        return self.flaky

    def lane(self, session: SessionId, max_bytes: int = 1 << 20) -> Lane:
        new = NewSession(id=session, spec=SPEC, created=NS)
        self.loop.call(lambda writer: writer.create(new), 5)
        spool = Spool(self.folder, session, max_bytes=max_bytes, segment_bytes=1 << 12)
        lane = Lane(session, spool, decode_lines, DiskGuard(self.folder, 0), self.loop.wake)
        self.loop.add(lane)
        return lane

    def stored(self, session: SessionId) -> list[str]:
        page = self.reader.events.page(session, EventRange(after=0, limit=1_000))
        assert [event.seq for event in page.events] == list(range(1, len(page.events) + 1))
        return [event.data.split(",")[0] for event in page.events]

    def events(self, session: SessionId) -> int:
        return self.reader.sessions.get(session).events


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.loop.stop(5)
    rig.reader.close()


def expected(count: int) -> list[str]:
    return [f'{{"n":{n}' for n in range(count)]


def feed(lane: Lane, count: int) -> None:
    for n in range(count):
        lane.put(lines(n))


def test_events_are_told_of_only_after_they_can_be_read(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    rig = Rig(tmp_path)
    publish = rig._publish

    def look(advances: Sequence[Advance]) -> None:
        publish(advances)
        seen.extend((a.last_seq, rig.reader.sessions.get(a.session).last_seq) for a in advances)

    rig.loop._publish = look
    feed(rig.lanes[A], 50)
    wait(lambda: rig.events(A) == 50)
    rig.loop.stop(5)
    rig.reader.close()
    assert seen
    assert all(told == readable for told, readable in seen)


def test_a_session_runs_before_it_has_events(rig: Rig) -> None:
    held = threading.Event()
    waiting = threading.Thread(target=lambda: rig.loop.call(lambda _: held.wait(5), 10))
    waiting.start()
    rig.lanes[A].step(Step(change=StateChange(state=SessionState.RUNNING, at=NS)))
    feed(rig.lanes[A], 3)
    held.set()
    waiting.join(10)
    wait(lambda: rig.events(A) == 3)
    told = [(a.state, a.last_seq) for a in rig.advances if a.session == A]
    assert told[0] == (SessionState.RUNNING, 0)
    assert {state for state, seq in told if seq} == {SessionState.RUNNING}


def test_a_busy_store_costs_nothing_and_says_why(rig: Rig) -> None:
    rig.store.busy = 4
    feed(rig.lanes[A], 20)
    assert "database is locked" in wait(rig.loop.meter.trouble)
    wait(lambda: rig.events(A) == 20)
    assert rig.stored(A) == expected(20)
    wait(lambda: rig.loop.meter.trouble() == "")


def test_what_cannot_be_read_for_now_is_not_asked_for_without_a_pause(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = os.open, 0

    def scarce(path: Path, flags: int, *mode: int) -> int:
        nonlocal tries
        if str(path).endswith(".spool") and not flags & os.O_WRONLY:
            tries += 1
            if tries < 20:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", scarce)
    begun = time.monotonic()
    feed(rig.lanes[A], 20)

    def poked() -> int:
        rig.loop.wake()  # as a source that tells of more
        return rig.events(A)

    wait(poked)
    assert time.monotonic() - begun > 15 * SMALL.commit_window
    wait(lambda: rig.events(A) == 20)
    assert rig.stored(A) == expected(20)


def test_a_lost_acknowledgement_is_recognised(rig: Rig) -> None:
    rig.store.lost = 1
    feed(rig.lanes[A], 20)
    rig.lanes[B].lose([Loss(node="", start=NS, end=NS, count=7, cause=LossCause.WRITER)])
    wait(lambda: rig.lanes[A].drained and rig.lanes[B].drained)
    wait(lambda: any(a.session == A and a.last_seq == 20 for a in rig.advances))
    assert rig.stored(A) == expected(20)
    session = rig.reader.sessions.get(B)
    assert (session.lost, session.received) == (7, 7)


def test_a_lost_acknowledgement_of_losses_alone_is_recognised(rig: Rig) -> None:
    loss = Loss(node="", start=NS, end=NS, count=7, cause=LossCause.WRITER)
    for _ in range(3):
        rig.store.lost = 1
        rig.lanes[B].lose([loss])
        wait(lambda: rig.lanes[B].drained and rig.store.lost == 0)
    wait(lambda: rig.reader.sessions.get(B).lost == 21)
    assert rig.reader.sessions.get(B).received == 21


def test_a_failed_resolution_is_tried_again(rig: Rig) -> None:
    rig.store.lost, rig.store.busy = 1, 0
    done = threading.Event()

    def also_busy(_: object) -> None:
        rig.store.busy = 3
        done.set()

    rig.loop.call(also_busy, 5)
    feed(rig.lanes[A], 5)
    wait(lambda: rig.lanes[A].drained)
    assert rig.stored(A) == expected(5)


def test_the_end_is_stored_behind_the_tail_and_leaves_no_file(rig: Rig) -> None:
    lane = rig.lanes[A]
    over: list[int] = []
    rig.store.busy = 2
    feed(lane, 30)
    change = StateChange(state=SessionState.STOPPED, at=5 * NS, reason="enough")
    lane.step(Step(change=change, last=True, done=lambda session: over.append(session.events)))
    wait(lambda: over)
    assert over == [30]
    session = rig.reader.sessions.get(A)
    assert (session.state, session.reason, session.events) == (SessionState.STOPPED, "enough", 30)
    assert not list(rig.folder.glob(f"{A}*"))
    assert rig.loop.lanes() == [rig.lanes[B]]


def test_calls_return_raise_and_give_up(rig: Rig) -> None:
    assert rig.loop.call(lambda writer: len(writer.unfinished()), 5) == 2
    with pytest.raises(SessionNotFound):
        rig.loop.call(lambda writer: writer.hide(SessionId("none")), 5)
    rig.store.busy = 1
    with pytest.raises(StoreBusy, match="locked"):
        rig.loop.call(lambda writer: writer.hide(A), 5)
    block = threading.Event()
    threading.Thread(target=rig.loop.call, args=(lambda _: block.wait(5), 10)).start()
    with pytest.raises(StoreBusy, match=r"not done within"):
        rig.loop.call(lambda _: None, 0.1)
    block.set()


def test_an_error_that_is_not_busy_is_fatal_and_fails_waiting_calls(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.store.broken = ValueError("corrupt")
    feed(rig.lanes[A], 1)
    assert isinstance(wait(lambda: rig.errors)[0], ValueError)
    assert "cannot go on" in caplog.text


def test_an_error_of_opening_is_raised_by_start(tmp_path: Path) -> None:
    def broken() -> FlakyWriter:
        raise StoreBusy("no server")

    loop = WriterLoop(
        open_writer=broken, limits=SMALL, publish=lambda _: None, fatal=lambda _: None
    )
    with pytest.raises(StoreBusy, match="no server"):
        loop.start()


def test_hidden_sessions_are_purged_behind_live_ones(rig: Rig) -> None:
    feed(rig.lanes[A], 100)
    wait(lambda: rig.events(A) == 100)
    rig.loop.call(lambda writer: writer.hide(A), 5)
    rig.loop.purge_soon()
    feed(rig.lanes[B], 10)
    wait(lambda: rig.events(B) == 10)
    wait(lambda: not rig.loop._purging)
    with pytest.raises(SessionNotFound):
        rig.reader.sessions.get(A)


def test_stop_gives_up_in_time_when_the_store_stays_busy(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.store.busy = 10_000
    feed(rig.lanes[A], 3)
    wait(rig.loop.meter.trouble)
    rig.loop.stop(0.5)
    rig.reader.close()
    assert not rig.lanes[A].drained
    # and the next process finds it
    again = Spool(tmp_path, A, max_bytes=1 << 20, segment_bytes=1 << 12)
    assert len(again.read(1 << 20).chunks) == 3
    again.close()
