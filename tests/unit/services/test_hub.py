"""The hub: one subscription, one reading of the store per commit, cursors of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from igdash.domain.control import Advance
from igdash.domain.errors import CollectorUnavailable, SessionNotFound
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState
from igdash.services import feed as feeds
from igdash.services import hub as hubs
from igdash.services.hub import Hub, HubClosed, Reader
from tests.support.fake_readers import FakeReaders
from tests.support.waiting import no_thread, wait_until


class Watch:
    """A Control of which only `watch` is used."""

    def __init__(self) -> None:
        self.tell: Callable[[Sequence[Advance]], None] | None = None
        self.down = False
        self.entered = 0

    @contextmanager
    def watch(self, on_advance: Callable[[Sequence[Advance]], None]) -> Iterator[None]:
        if self.down:
            raise CollectorUnavailable("away")
        self.entered += 1
        self.tell = on_advance
        try:
            yield
        finally:
            self.tell = None


class Setup:
    def __init__(self) -> None:
        self.store = FakeReaders()
        self.control = Watch()
        parts: Any = self.store
        self.hub = Hub(sessions=parts, events=parts, records=parts, control=self.control)  # type: ignore[arg-type]

    def open(self, id_: SessionId, after: int | None = None) -> tuple[Reader, threading.Event]:
        woken = threading.Event()
        reader = self.hub.open(id_, after=after, wake=woken.set)
        assert json.loads(reader.take() or b"")["type"] == "hello"
        wait_until(lambda: self.control.tell or self.control.down)
        return reader, woken

    def tell(self, *news: Advance) -> None:
        assert self.control.tell
        self.control.tell(news)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    monkeypatch.setattr(hubs, "LOOK", 0.05)
    monkeypatch.setattr(hubs, "LINGER", 0.2)
    made = Setup()
    yield made
    made.hub.close()
    wait_until(lambda: made.control.tell is None)


def _seqs(reader: Reader) -> list[int]:
    seen: list[int] = []
    while (payload := reader.take()) is not None:
        message = json.loads(payload)
        if message["type"] == "events":
            seen += [event["seq"] for event in message["events"]]
    return seen


def test_readers_share_one_reading_of_the_store(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    readers = [setup.open(id_)[0] for _ in range(5)]
    setup.store.reads = 0
    for n in range(1, 4):
        setup.tell(setup.store.add(id_, [1, 2]))
        payloads = {id(reader.take()) for reader in readers}
        assert len(payloads) == 1
        assert [reader.cursor for reader in readers] == [2 * n] * 5
    assert setup.store.reads == 3
    assert readers[0].take() is None


def test_who_is_behind_reads_alone_and_catches_up(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    setup.store.add(id_, range(2_000))
    behind, _ = setup.open(id_, after=0)
    live, _ = setup.open(id_)
    setup.tell(setup.store.add(id_, range(100)))
    assert _seqs(live) == list(range(2_001, 2_101))
    assert _seqs(behind) == list(range(1, 2_101))
    setup.tell(setup.store.add(id_, range(10)))
    setup.store.reads = 0
    assert _seqs(live) == _seqs(behind) == list(range(2_101, 2_111))
    assert setup.store.reads == 1


def test_a_cursor_inside_a_frame_gets_the_rest(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    live, _ = setup.open(id_)
    setup.tell(setup.store.add(id_, range(10)))
    _seqs(live)
    late, _ = setup.open(id_, after=4)
    assert _seqs(late) == list(range(5, 11))


def test_the_ring_is_bounded(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RING_BYTES", 20_000)
    id_ = setup.store.new("a" * 12)
    live, _ = setup.open(id_)
    slow, _ = setup.open(id_)
    for _ in range(50):
        setup.tell(setup.store.add(id_, range(20)))
        _seqs(live)
    feed = setup.hub._feeds[id_]
    assert feed._ring_bytes <= 20_000
    assert sum(len(frame.payload) for frame in feed._ring) == feed._ring_bytes
    assert _seqs(slow) == list(range(1, 1_001))


def test_large_events_make_small_frames(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    setup.store.add(id_, range(40), data='{"x":"' + "y" * 100_000 + '"}')
    reader, _ = setup.open(id_, after=0)
    while (payload := reader.take()) is not None:
        assert len(payload) < 2 * feeds.FRAME_BYTES
    assert reader.cursor == 40


def test_news_wake_and_silence_is_looked_into(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    reader, woken = setup.open(id_)
    woken.clear()
    setup.tell(setup.store.add(id_, [1]))
    assert woken.is_set()
    assert _seqs(reader) == [1]
    woken.clear()
    setup.store.add(id_, [1])  # nobody says so
    assert woken.wait(5)
    assert _seqs(reader) == [2]


def test_while_the_collector_is_away_the_store_is_polled(setup: Setup) -> None:
    setup.control.down = True
    id_ = setup.store.new("a" * 12)
    reader, woken = setup.open(id_)
    woken.clear()
    setup.store.add(id_, [1])
    assert woken.wait(5)
    assert _seqs(reader) == [1]
    setup.control.down = False
    wait_until(lambda: setup.control.tell)
    setup.tell(setup.store.add(id_, [1]))
    assert _seqs(reader) == [2]


def test_the_end_comes_after_the_last_event(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    reader, _ = setup.open(id_)
    setup.store.add(id_, range(3))
    setup.tell(setup.store.change(id_, state=SessionState.STOPPED))
    kinds = []
    while (payload := reader.take()) is not None:
        kinds.append(json.loads(payload)["type"])
    assert kinds == ["events", "state", "end"]
    assert reader.finished
    assert reader.take() is None


def test_late_news_never_go_back(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    reader, _ = setup.open(id_)
    early = setup.store.add(id_, [1])
    setup.tell(setup.store.change(id_, state=SessionState.STOPPED))
    setup.tell(early)
    while reader.take() is not None:
        pass
    assert reader.finished


def test_only_new_losses_are_told(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    old = Loss(node="n", start=0, end=1, count=2, cause=LossCause.KERNEL)
    setup.store.lose(id_, old)
    reader, _ = setup.open(id_)
    second = Loss(node="n", start=10**9, end=10**9, count=5, cause=LossCause.KERNEL)
    setup.tell(setup.store.lose(id_, second))
    message = json.loads(reader.take() or b"")
    assert (message["type"], message["count"], message["total"]) == ("loss", 5, 7)
    assert reader.take() is None


def test_a_loss_of_unknown_size_is_told_too(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "RECHECK", 0.1)
    id_ = setup.store.new("a" * 12)
    reader, woken = setup.open(id_)
    unknown = Loss(node="", start=0, end=9, count=0, cause=LossCause.STREAM, exact=False)
    setup.store.lose(id_, unknown)

    def told() -> bytes | None:
        woken.wait(1)
        return reader.take()

    message = json.loads(wait_until(told))
    assert (message["type"], message["cause"], message["exact"]) == ("loss", "stream", False)


def test_losses_do_not_wait_behind_a_flood(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    setup.store.add(id_, range(5_000))
    reader, _ = setup.open(id_, after=0)
    reader.take()
    loss = Loss(node="n", start=0, end=1, count=2, cause=LossCause.IG_QUEUE)
    setup.tell(setup.store.lose(id_, loss))
    assert json.loads(reader.take() or b"")["type"] == "loss"


def test_deleted_sessions_end_their_readers(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    reader, woken = setup.open(id_)
    woken.clear()
    setup.store.drop(id_)
    assert woken.wait(5)
    with pytest.raises(SessionNotFound):
        reader.take()
    with pytest.raises(SessionNotFound):
        setup.hub.open(id_, after=None, wake=woken.set)


def test_nothing_stays_when_nobody_reads(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    readers = [setup.open(id_)[0] for _ in range(3)]
    leave = setup.hub.listen(lambda: None)
    assert setup.hub.readers() == 4
    for reader in readers:
        reader.close()
    leave()
    assert setup.hub.readers() == 0
    assert not setup.hub._feeds
    wait_until(lambda: not any(thread.name == "hub" for thread in threading.enumerate()))
    again, _ = setup.open(id_)
    setup.tell(setup.store.add(id_, [1]))
    assert _seqs(again) == [1]
    assert setup.control.entered == 2


def test_closing_wakes_all_and_lets_nobody_in(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    _, woken = setup.open(id_)
    woken.clear()
    setup.hub.close()
    assert woken.is_set()
    assert setup.hub.closed
    with pytest.raises(HubClosed):
        setup.hub.open(id_, after=None, wake=woken.set)
    with pytest.raises(HubClosed):
        setup.hub.listen(woken.set)


def test_a_hub_that_found_no_thread_finds_one_later(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(hubs, "spawn", no_thread)
        with pytest.raises(RuntimeError):
            setup.hub.listen(lambda: None)
    watch = setup.control.watch

    @contextmanager
    def once(on_advance: Callable[[Sequence[Advance]], None]) -> Iterator[None]:
        setup.control.watch = watch  # type: ignore[method-assign]
        no_thread()
        yield

    setup.control.watch = once  # type: ignore[method-assign]
    leave = setup.hub.listen(lambda: None)
    wait_until(lambda: setup.control.entered == 1)
    leave()
