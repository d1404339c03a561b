"""What every `Control` does: the client over a real socket, and a direct one for comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import EnvironmentStatus, Health
from igdash.domain.errors import (
    EnvironmentNotFound,
    GadgetNotFound,
    InvalidSpec,
    ScheduleNotFound,
    SessionNotFound,
    WrongState,
)
from igdash.domain.gadgets import DataSource
from igdash.domain.instances import Instance
from igdash.domain.ports import Control
from igdash.domain.schedules import Deed, Order, Schedule, ScheduleSpec, What, When
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState, StopAfter, Target
from igdash.services.collector import Collector
from igdash.services.control_client import ControlClient
from igdash.services.control_server import ControlServer
from tests.support.collecting import (
    SMALL,
    SPEC,
    FakeCatalogue,
    FakeSource,
    decode_lines,
    lines,
    sqlite_url,
)
from tests.support.collecting import wait_until as wait


class DirectControl:
    """`Control` in the collector's own process."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def start(self, spec: SessionSpec) -> Session:
        return self._collector.start_session(spec)

    def stop(self, session: SessionId, *, keep: bool = False) -> None:
        self._collector.stop_session(session, keep=keep)

    def instances(self, environment: str) -> Sequence[Instance]:
        return self._collector.instances(environment)

    def delete(self, session: SessionId) -> None:
        self._collector.delete_session(session)

    def schedule(self, order: Order) -> Schedule:
        return self._collector.schedule(order)

    def environments(self) -> Sequence[EnvironmentStatus]:
        return self._collector.environments()

    def test(self, environment: str) -> EnvironmentStatus:
        return self._collector.test(environment)

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        return self._collector.describe(environment, gadget, wait)

    def stats(self) -> CollectorStats:
        return self._collector.stats()

    def watch(
        self, on_advance: Callable[[Sequence[Advance]], None]
    ) -> AbstractContextManager[None]:
        @contextmanager
        def watching() -> Iterator[None]:
            on_advance(())
            unsubscribe = self._collector.subscribe(on_advance)
            try:
                yield
            finally:
                unsubscribe()

        return watching()


class Rig:
    def __init__(self, folder: Path, direct: bool) -> None:
        url = sqlite_url(folder)
        store.upgrade(url)
        self.source = FakeSource()
        self.collector = Collector(
            writer=lambda: store.open_writer(url),
            sources={"fake": self.source},
            catalogue=FakeCatalogue(),
            decode=decode_lines,
            state_dir=folder / "state",
            limits=SMALL,
        )
        self.collector.start()
        self.server = ControlServer(self.collector, folder / "control.sock")
        self.server.start()
        self.control: Control = (
            DirectControl(self.collector) if direct else ControlClient(folder / "control.sock")
        )


@pytest.fixture(params=["direct", "socket"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, request.param == "direct")
    yield rig
    rig.server.stop()
    rig.collector.stop(5)


def test_start_returns_the_session_as_asked_for(rig: Rig) -> None:
    spec = replace(
        SPEC,
        name="ünïcode",
        target=Target(namespace="shop,!gadget", pod="web"),
        params={"pid": "12"},
        stop_after=StopAfter(seconds=60.5, events=2**53 + 1),
    )
    session = rig.control.start(spec)
    assert session.spec == spec
    assert session.command == ("fake", "trace_tcp")
    assert session.id in rig.source.streams
    assert not session.state.ended


def test_a_wrong_spec_keeps_its_problems(rig: Rig) -> None:
    with pytest.raises(InvalidSpec) as caught:
        rig.control.start(replace(SPEC, gadget="nope", environment="nowhere"))
    assert set(caught.value.problems) == {"gadget", "environment"}


def test_stop_then_wrong_state_then_delete_then_not_found(rig: Rig) -> None:
    session = rig.control.start(SPEC)
    rig.control.stop(session.id)
    wait(lambda: not rig.collector.runs())
    with pytest.raises(WrongState):
        rig.control.stop(session.id)
    rig.control.delete(session.id)
    with pytest.raises(SessionNotFound):
        rig.control.delete(session.id)
    with pytest.raises(SessionNotFound):
        rig.control.stop(session.id)


def test_environments_and_stats(rig: Rig) -> None:
    (environment,) = wait(lambda: [e for e in rig.control.environments() if e.health is Health.UP])
    assert environment.name == "fake"
    rig.control.start(SPEC)
    stats = rig.control.stats()
    assert (stats.sessions, stats.trouble) == (1, "")


def test_a_test_asks_anew(rig: Rig) -> None:
    wait(lambda: [e for e in rig.control.environments() if e.health is Health.UP])
    rig.source.health = Health.DOWN
    found = rig.control.test("fake")
    assert (found.name, found.health) == ("fake", Health.DOWN)
    assert found.next_try > 0
    with pytest.raises(EnvironmentNotFound, match="configured: fake"):
        rig.control.test("nowhere")


def test_describe_tells_what_the_environment_says(rig: Rig) -> None:
    gadget = replace(FakeCatalogue.gadget, sources=(DataSource(name="own", array=True),))
    rig.source.description = gadget
    assert rig.control.describe("fake", "trace_tcp", 5) == Description(gadget=gadget)
    with pytest.raises(EnvironmentNotFound):
        rig.control.describe("nowhere", "trace_tcp", 0)
    with pytest.raises(GadgetNotFound):
        rig.control.describe("fake", "nope", 0)


def test_describe_never_waits_longer_than_asked_to(rig: Rig) -> None:
    rig.source.may_describe.clear()
    found = rig.control.describe("fake", "trace_tcp", 0.05)
    assert (found.pending, found.gadget) == (True, None)
    rig.source.may_describe.set()
    wait(lambda: not rig.control.describe("fake", "trace_tcp", 1).pending)
    assert rig.source.described == ["trace_tcp"]


def test_watch_begins_with_nothing_then_tells_of_commits_in_order(rig: Rig) -> None:
    seen: list[Sequence[Advance]] = []
    with rig.control.watch(seen.append):
        wait(lambda: seen)
        assert list(seen[0]) == []
        session = rig.control.start(SPEC)
        for n in range(5):
            rig.source.streams[session.id].sink.chunk(lines(n))
        wait(lambda: any(a.last_seq == 5 for batch in seen for a in batch))
        rig.control.stop(session.id)
        wait(lambda: any(a.state is SessionState.STOPPED for batch in seen for a in batch))
    told = [a.last_seq for batch in seen for a in batch]
    assert told == sorted(told)
    count = len(seen)
    rig.control.start(SPEC)
    wait(lambda: rig.control.stats().sessions == 1)
    assert len(seen) == count


def test_scheduled_exports_are_changed_by_the_collector(rig: Rig) -> None:
    spec = ScheduleSpec(name="ünïcode", what=What(gadget="trace_tcp"), when=When(every=0.5))
    order = Order(deed=Deed.CREATE, schedule="s1", at=2**62, spec=spec)
    made = rig.control.schedule(order)
    assert (made.spec, made.anchor) == (spec, 2**62)
    with pytest.raises(ScheduleNotFound, match="nope"):
        rig.control.schedule(Order(deed=Deed.ASK, schedule="nope", at=1))
