from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.control import Advance
from igdash.domain.errors import (
    CollectorUnavailable,
    InvalidSpec,
    SessionNotFound,
    StoreBusy,
    WrongState,
)
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import EventWriter
from igdash.domain.queries import EventRange, SessionQuery
from igdash.domain.sessions import Nodes, Session, SessionId, SessionState, StateChange, StopAfter
from igdash.domain.times import NS, now_ns
from igdash.services.collector import Collector
from igdash.services.disk import DiskGuard, Ledger
from igdash.services.heartbeat import Heartbeat
from igdash.services.lane import Lane
from igdash.services.scheduler import Scheduler
from igdash.store.writer import Writer
from tests.support.collecting import (
    SMALL,
    SPEC,
    FakeCatalogue,
    FakeSource,
    FakeStream,
    decode_lines,
    lines,
    sqlite_url,
)
from tests.support.collecting import wait_until as wait


class Rig:
    """Collectors, one after the other, over one store and state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = sqlite_url(folder)
        store.upgrade(self.url)
        self.source = FakeSource()
        self.sources = {"fake": self.source}
        self.reaped: list[SessionId] = []
        self.collector = self.new()
        self.reader = store.open_reader(self.url)

    def new(self) -> Collector:
        self.collector = Collector(
            writer=lambda: store.open_writer(self.url),
            sources=self.sources,
            catalogue=FakeCatalogue(),
            decode=decode_lines,
            state_dir=self.folder / "state",
            limits=SMALL,
            reap=self._reap,
            fatal=lambda error: None,
        )
        self.collector.start()
        return self.collector

    def _reap(self, session: SessionId) -> str:
        self.reaped.append(session)
        return "a gadget process of a killed collector was ended"

    def restart(self, between: Callable[[], None] = lambda: None) -> None:
        self.collector.stop(5)
        between()
        self.new()

    def session(self, session: SessionId) -> Session:
        return self.reader.sessions.get(session)

    def reach(self, session: SessionId, state: SessionState) -> Session:
        wait(lambda: self.session(session).state is state, what=f"{state}")
        return self.session(session)

    def stream(self, session: SessionId) -> FakeStream:
        return self.source.streams[session]

    def losses(self, session: SessionId) -> tuple[Loss, ...]:
        return self.reader.records.losses(session)[0]

    def log(self, session: SessionId) -> str:
        return "\n".join(line.text for line in self.reader.records.logs(session))

    def stored(self, session: SessionId) -> int:
        page = self.reader.events.page(session, EventRange(after=0, limit=1_000))
        assert [event.seq for event in page.events] == list(range(1, len(page.events) + 1))
        return len(page.events)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.collector.stop(5)
    rig.reader.close()


def spool_files(rig: Rig) -> list[Path]:
    return list((rig.folder / "state" / "spool").iterdir())


def test_a_session_runs_from_start_to_stop_with_its_tail(rig: Rig) -> None:
    seen: list[Advance] = []
    unsubscribe = rig.collector.subscribe(seen.extend)
    session = rig.collector.start_session(SPEC)
    assert session.state in (SessionState.STARTING, SessionState.RUNNING)
    assert len(session.id) == 12
    rig.reach(session.id, SessionState.RUNNING)
    stream = rig.stream(session.id)
    stream.sink.chunk(lines(1, 2, 3))
    stream.sink.nodes(expected=2, connected=1)
    wait(lambda: rig.session(session.id).nodes == Nodes(expected=2, connected=1))
    stream.tail = lines(4, 5)
    rig.collector.stop_session(session.id)
    ended = rig.reach(session.id, SessionState.STOPPED)
    assert (ended.events, ended.received, ended.lost, ended.reason) == (5, 5, 0, "")
    assert ended.command == ("fake", "trace_tcp")
    assert ended.info["image"] == "trace_tcp"
    assert rig.losses(session.id) == ()
    assert spool_files(rig) == []
    states = list(dict.fromkeys(a.state for a in seen))
    assert states[-2:] == [SessionState.STOPPING, SessionState.STOPPED]
    assert [s.name for s in rig.reader.sessions.schema(session.id)] == ["tcp"]
    unsubscribe()


def test_a_wrong_spec_names_each_field(rig: Rig) -> None:
    with pytest.raises(InvalidSpec) as caught:
        rig.collector.start_session(replace(SPEC, gadget="nope", environment="nowhere"))
    assert set(caught.value.problems) == {"gadget", "environment"}
    assert "fake" in caught.value.problems["environment"]
    with pytest.raises(InvalidSpec) as caught:
        rig.collector.start_session(replace(SPEC, params={"nonsense": "1"}))
    assert any("nonsense" in key for key in caught.value.problems)
    assert rig.collector.runs() == []


def test_a_gadget_that_cannot_start_is_a_failed_session_with_its_reason(rig: Rig) -> None:
    rig.source.broken = "ig: not found; install it"
    session = rig.collector.start_session(SPEC)
    assert (session.state, session.reason) == (SessionState.FAILED, "ig: not found; install it")
    assert rig.session(session.id).state is SessionState.FAILED
    assert "not found" in rig.log(session.id)


@pytest.mark.parametrize(
    ("failed", "reason", "state", "shown"),
    [
        (False, "", SessionState.STOPPED, "the gadget ended"),
        (True, "exit code 1: boom", SessionState.FAILED, "exit code 1: boom"),
    ],
)
def test_a_gadget_that_ends_by_itself(
    rig: Rig, failed: bool, reason: str, state: SessionState, shown: str
) -> None:
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).sink.chunk(lines(1))
    rig.stream(session.id).end(failed=failed, reason=reason)
    ended = rig.reach(session.id, state)
    assert (ended.reason, ended.events) == (shown, 1)


def test_one_stopped_before_its_first_output_began_with_that(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.source.starts_by_itself = False
    session = rig.collector.start_session(SPEC)
    stream = rig.stream(session.id)
    monkeypatch.setattr(stream, "stop", lambda **_: None)
    rig.collector.stop_session(session.id)
    rig.reach(session.id, SessionState.STOPPING)
    before = now_ns()
    stream.sink.started()
    stream.sink.chunk(lines(1))
    stream.end()
    ended = rig.reach(session.id, SessionState.STOPPED)
    assert ended.events == 1
    assert ended.started is not None
    assert ended.stopped is not None
    assert before <= ended.started <= ended.stopped


def test_stopping_twice_unknown_or_ended(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    rig.collector.stop_session(session.id)
    rig.reach(session.id, SessionState.STOPPED)
    with pytest.raises(WrongState, match="stopped"):
        rig.collector.stop_session(session.id)
    with pytest.raises(SessionNotFound):
        rig.collector.stop_session(SessionId("f" * 12))
    with pytest.raises(SessionNotFound):
        rig.collector.delete_session(SessionId("f" * 12))
    assert rig.session(session.id).state is SessionState.STOPPED


def test_delete_hides_at_once_and_ends_the_gadget(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    stream = rig.stream(session.id)
    stream.sink.chunk(lines(*range(20)))
    wait(lambda: rig.session(session.id).events == 20)
    rig.collector.delete_session(session.id)
    with pytest.raises(SessionNotFound):
        rig.session(session.id)
    assert stream.join(1)
    wait(lambda: not rig.collector.runs())
    assert spool_files(rig) == []
    ended = rig.collector.start_session(SPEC)
    rig.collector.stop_session(ended.id)
    rig.reach(ended.id, SessionState.STOPPED)
    rig.collector.delete_session(ended.id)
    with pytest.raises(SessionNotFound):
        rig.session(ended.id)


def test_deleted_while_it_starts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its row and its run nobody knew whom to end."""
    lane = rig.collector._lane

    def late(session: SessionId, committed: int = 0) -> Lane:
        rig.collector.delete_session(session)
        return lane(session, committed)

    monkeypatch.setattr(rig.collector, "_lane", late)
    session = rig.collector.start_session(SPEC)
    assert rig.stream(session.id).join(5)
    wait(lambda: not rig.collector.runs())
    assert spool_files(rig) == []


def test_deleted_though_the_store_did_not_say_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acknowledgement was lost: nobody can see it any more to delete it again."""
    session = rig.collector.start_session(SPEC)
    again = rig.collector.start_session(SPEC)
    hide = Writer.hide

    def lost(writer: Writer, session: SessionId) -> Session:
        hide(writer, session)
        raise StoreBusy("connection lost during commit")

    monkeypatch.setattr(Writer, "hide", lost)
    for one in (session, again):
        with pytest.raises(StoreBusy):
            rig.collector.delete_session(one.id)
    monkeypatch.undo()
    rig.stream(session.id).sink.chunk(lines(1))
    assert rig.stream(session.id).join(5)
    rig.collector.delete_session(again.id)
    assert rig.stream(again.id).join(5)
    wait(lambda: not rig.collector.runs())
    assert spool_files(rig) == []


def test_what_is_hidden_is_deleted_though_the_store_did_not_say_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can ask for it again: it is not found any more."""
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).end()
    wait(lambda: not rig.collector.runs())
    hide, purge = Writer.hide, Writer.purge
    hidden, purged = threading.Event(), threading.Event()

    def lost(writer: Writer, session: SessionId) -> Session:
        hide(writer, session)
        hidden.set()
        raise StoreBusy("connection lost during commit")

    def look(writer: Writer, rows: int) -> bool:
        if hidden.is_set():
            purged.set()
        return purge(writer, rows)

    monkeypatch.setattr(Writer, "hide", lost)
    monkeypatch.setattr(Writer, "purge", look)
    with pytest.raises(StoreBusy):
        rig.collector.delete_session(session.id)
    assert purged.wait(5)


def test_stop_after_events_and_seconds(rig: Rig) -> None:
    by_events = rig.collector.start_session(replace(SPEC, stop_after=StopAfter(events=10)))
    by_time = rig.collector.start_session(replace(SPEC, stop_after=StopAfter(seconds=0.3)))
    rig.stream(by_events.id).sink.chunk(lines(*range(12)))
    ended = rig.reach(by_events.id, SessionState.STOPPED)
    assert ended.events == 12
    assert "10 events" in ended.reason
    ended = rig.reach(by_time.id, SessionState.STOPPED)
    assert "0.3 s" in ended.reason
    assert ended.started is not None
    assert ended.stopped is not None
    assert 0.3 <= (ended.stopped - ended.started) / NS < 1.5


def test_stop_and_start_again_resumes_with_one_gap(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).sink.chunk(lines(1, 2))
    rig.stream(session.id).tail = lines(3)
    before = now_ns()
    rig.restart(lambda: wait(lambda: rig.session(session.id).state is SessionState.RUNNING))
    assert rig.session(session.id).events == 3
    wait(lambda: rig.losses(session.id))
    (gap,) = rig.losses(session.id)
    assert (gap.cause, gap.count, gap.exact, gap.node) == (LossCause.STREAM, 0, False, "")
    assert gap.start <= before + NS // 10
    assert before < gap.end <= now_ns()
    assert "not collecting for" in gap.detail
    assert rig.reaped == [session.id]
    assert "killed collector" in rig.log(session.id)
    rig.stream(session.id).sink.chunk(lines(4))
    wait(lambda: rig.session(session.id).events == 4)
    assert rig.stored(session.id) == 4
    assert rig.session(session.id).state is SessionState.RUNNING


def test_a_kill_replays_the_spool_exactly_once(rig: Rig, tmp_path: Path) -> None:
    """The store stops taking writes, the process dies: what was spooled is stored by the next."""
    session = rig.collector.start_session(SPEC)
    sink = rig.stream(session.id).sink
    sink.chunk(lines(1))
    wait(lambda: rig.session(session.id).events == 1)
    block = threading.Event()
    writer = rig.collector._writer
    thread = threading.Thread(target=writer.call, args=(lambda _: block.wait(10), 15))
    thread.start()
    for n in range(2, 30):
        sink.chunk(lines(n))
    kept = {path.name: path.read_bytes() for path in spool_files(rig)}
    block.set()
    thread.join()
    wait(lambda: rig.session(session.id).events == 29)

    def put_back() -> None:
        for name, content in kept.items():
            (rig.folder / "state" / "spool" / name).write_bytes(content)

    rig.restart(put_back)
    wait(lambda: rig.losses(session.id))
    assert rig.stored(session.id) == 29


def test_what_cannot_go_on_is_interrupted_with_the_reason(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).sink.chunk(lines(1))
    rig.source.may_restart = False
    rig.restart()
    ended = rig.reach(session.id, SessionState.INTERRUPTED)
    assert "cannot go on" in ended.reason
    assert ended.events == 1
    other = rig.collector.start_session(SPEC)
    rig.restart(lambda: rig.sources.pop("fake"))
    ended = rig.reach(other.id, SessionState.INTERRUPTED)
    assert "'fake' is not configured" in ended.reason


def test_time_that_is_over_meanwhile_ends_it_then(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = rig.collector.start_session(replace(SPEC, stop_after=StopAfter(seconds=60)))
    started = rig.reach(timed.id, SessionState.RUNNING).started
    assert started is not None
    later = "igdash.services.collector.now_ns"
    rig.restart(lambda: monkeypatch.setattr(later, lambda: now_ns() + 3_600 * NS))
    ended = rig.reach(timed.id, SessionState.STOPPED)
    assert "60 s" in ended.reason
    assert ended.stopped == started + 60 * NS
    assert rig.source.opened.count(timed.id) == 1
    (gap,) = rig.losses(timed.id)  # most of the 60 s were asked for and not collected
    assert (gap.cause, gap.count, gap.exact) == (LossCause.STREAM, 0, False)
    assert gap.start < started + 5 * NS
    assert gap.end == ended.stopped


def test_a_stop_under_way_at_a_kill_is_finished_after_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = rig.collector.start_session(SPEC)
    rig.reach(session.id, SessionState.RUNNING)
    change = StateChange(state=SessionState.STOPPING, at=now_ns(), reason="why")

    def later() -> None:
        change_stored(rig, session.id, change)
        monkeypatch.setattr("igdash.services.collector.now_ns", lambda: now_ns() + 3_600 * NS)

    before = now_ns()
    rig.restart(later)
    ended = rig.reach(session.id, SessionState.STOPPED)
    assert ended.reason == "why"
    assert rig.source.opened.count(session.id) == 1
    assert ended.stopped is not None
    assert ended.stopped < before + 60 * NS  # not when igdash came back
    (tail,) = rig.losses(session.id)  # what the gadget told with nobody there
    assert (tail.cause, tail.count, tail.exact) == (LossCause.STOP_TAIL, 0, False)
    assert ended.started is not None
    assert tail.start <= ended.started <= ended.stopped


def change_stored(rig: Rig, session: SessionId, change: StateChange) -> None:
    writer = store.open_writer(rig.url)
    writer.change(session, change)
    writer.close()


def test_a_gap_that_was_open_at_a_second_restart_keeps_its_beginning(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).sink.chunk(lines(1))
    first = now_ns()
    rig.source.starts_by_itself = False
    rig.restart(lambda: threading.Event().wait(0.3))
    second = now_ns()
    wait(lambda: Heartbeat(rig.folder / "state").read())
    assert rig.losses(session.id) == ()
    rig.source.starts_by_itself = True
    rig.restart()
    wait(lambda: rig.losses(session.id))
    (gap,) = rig.losses(session.id)
    assert gap.start <= first
    assert gap.end > second


def test_a_stop_carries_a_gap_that_is_open(rig: Rig) -> None:
    """A cluster that is away stays away, and somebody starts igdash once more."""
    session = rig.collector.start_session(SPEC).id
    rig.reach(session, SessionState.RUNNING)
    rig.source.starts_by_itself = False
    long_ago = rig.session(session).created - 3_600 * NS
    heart = Heartbeat(rig.folder / "state")
    rig.restart(lambda: heart.write(now_ns(), {session: long_ago}))
    rig.collector.stop(5)
    beat = heart.read()
    assert beat is not None
    assert beat.gaps == {session: long_ago}
    rig.source.starts_by_itself = True
    rig.new()
    wait(lambda: rig.losses(session))
    assert [gap.start for gap in rig.losses(session)] == [long_ago]


def test_a_gap_is_in_the_heartbeat_until_its_record_is_stored(rig: Rig) -> None:
    """Else a kill in between would take the record along."""
    session = rig.collector.start_session(SPEC).id
    rig.stream(session).sink.chunk(lines(1))
    wait(lambda: rig.stored(session) == 1)
    rig.source.starts_by_itself = False
    rig.restart()
    heart = Heartbeat(rig.folder / "state")
    block = threading.Event()
    thread = threading.Thread(
        target=rig.collector._writer.call, args=(lambda _: block.wait(15), 20)
    )
    thread.start()
    rig.stream(session).sink.started()
    begun = now_ns()
    beat = wait(lambda: (found := heart.read()) and found.at > begun and found)
    block.set()
    thread.join(20)
    wait(lambda: rig.losses(session))
    assert beat.gaps == {session: rig.losses(session)[0].start}
    wait(lambda: (found := heart.read()) and not found.gaps)


def test_a_failed_reopening_fails_the_session_with_the_gap_told(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    wait(lambda: rig.session(session.id).state is SessionState.RUNNING)

    def break_it() -> None:
        rig.source.broken = "ig is gone"

    rig.restart(break_it)
    ended = rig.reach(session.id, SessionState.FAILED)
    assert ended.reason == "ig is gone"
    assert [loss.cause for loss in rig.losses(session.id)] == [LossCause.STREAM]


def test_stats_tell_of_backlog_and_lag(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC)
    stats = rig.collector.stats()
    assert stats.sessions == 1
    assert stats.rss_bytes > 1_000_000
    block = threading.Event()
    thread = threading.Thread(
        target=rig.collector._writer.call, args=(lambda _: block.wait(10), 15)
    )
    thread.start()
    rig.stream(session.id).sink.chunk(lines(1, received=now_ns() - 2 * NS))
    stats = rig.collector.stats()
    assert stats.lag_ms >= 2_000
    assert stats.backlog_bytes > 0
    block.set()
    thread.join()
    wait(lambda: rig.collector.stats().backlog_bytes == 0)
    stats = rig.collector.stats()
    assert (stats.lag_ms, stats.events, stats.trouble) == (0.0, 1, "")
    assert stats.rate > 0
    assert rig.collector.environments()[0].name == "fake"


def test_losses_nobody_could_store_survive_a_stop(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = rig.collector.start_session(SPEC)
    rig.reach(session.id, SessionState.RUNNING)
    monkeypatch.setattr(DiskGuard, "_free", lambda _: 0)
    rig.collector._guard.fill("no space left on device")
    assert "no space" in rig.collector.stats().trouble
    # The store takes nothing any more either.
    rig.collector._writer._ending.set()
    rig.collector._writer._join(5)
    rig.stream(session.id).sink.chunk(lines(1, 2, 3))
    rig.restart()
    wait(lambda: rig.losses(session.id))
    counts = {loss.cause: loss.count for loss in rig.losses(session.id)}
    assert counts[LossCause.WRITER] == 3
    assert rig.session(session.id).received == 3
    rig.restart()
    wait(lambda: rig.log(session.id).count("collecting again") == 2)
    assert rig.session(session.id).lost == 3


def test_a_loss_is_in_the_ledger_until_the_store_has_that_very_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session's commit says nothing of it, and a kill may come before its own."""
    owing, other, stored = (rig.collector.start_session(SPEC).id for _ in range(3))
    ledger, held = Ledger(rig.folder / "state"), {owing}

    def loss(count: int) -> tuple[Loss, ...]:
        return (Loss(node="", start=NS, end=NS, count=count, cause=LossCause.WRITER),)

    take = Scheduler.take

    def late(self: Scheduler, lanes: Iterable[Lane], scale: float = 1.0) -> object:
        return take(self, [lane for lane in lanes if lane.session not in held], scale)

    monkeypatch.setattr(Scheduler, "take", late)
    rig.restart(lambda: ledger.write({owing: loss(7), stored: loss(5)}) or None)
    rig.stream(other).sink.chunk(lines(1))
    wait(lambda: rig.session(other).events == 1)
    wait(lambda: rig.session(stored).lost == 5)
    wait(lambda: ledger.start() == {owing: loss(7)})
    held.clear()
    rig.stream(other).sink.chunk(lines(2))
    wait(lambda: rig.session(owing).lost == 7)
    wait(lambda: ledger.start() == {})


def test_nothing_is_taken_on_after_stop(rig: Rig) -> None:
    rig.collector.stop(5)
    with pytest.raises(CollectorUnavailable):
        rig.collector.start_session(SPEC)
    rig.new()


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    rig = Rig(tmp_path)
    session = rig.collector.start_session(SPEC)
    rig.stream(session.id).sink.chunk(lines(1))
    rig.collector.stop(5)
    rig.reader.close()
    assert set(threading.enumerate()) <= before


def test_a_start_that_the_store_took_too_late_does_not_come_to_life(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.collector._limits = replace(SMALL, call_timeout=0.3)
    release = threading.Event()
    real = rig.collector._writer.call

    def slow(work: Callable[[EventWriter], object], timeout: float) -> object:
        def late(writer: EventWriter) -> object:
            release.wait(5)
            return work(writer)

        return real(late, timeout)

    rig.collector._writer.call = slow  # type: ignore[assignment]
    with pytest.raises(StoreBusy):
        rig.collector.start_session(SPEC)
    busy: list[object] = []

    def busy_again(work: Callable[[EventWriter], object], timeout: float) -> object:
        if not busy:
            busy.append(work)
            raise StoreBusy("database is locked")
        return real(work, timeout)

    rig.collector._writer.call = busy_again  # type: ignore[assignment]
    release.set()
    (session,) = wait(lambda: rig.reader.sessions.list(SessionQuery()).sessions)
    ended = rig.reach(session.id, SessionState.FAILED)
    assert "too long" in ended.reason
    assert rig.source.opened == []
    rig.collector.stop(5)
    rig.reader.close()


def test_a_source_that_breaks_fails_the_session(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FakeSource, "open", lambda *_: 1 // 0)
    session = rig.collector.start_session(SPEC)
    assert session.state is SessionState.FAILED
    assert "division" in session.reason
    assert "opening its source failed" in caplog.text
