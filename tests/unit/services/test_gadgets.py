"""The catalogue with counts, and environments while the collector is up or away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from igdash.domain.environments import Environment, EnvironmentKind, EnvironmentStatus, Health
from igdash.domain.errors import CollectorUnavailable, EnvironmentNotFound
from igdash.domain.sessions import SessionState
from igdash.services.gadgets import Gadgets
from igdash.services.metadata import Metadata
from igdash.sources.catalogue import load_catalogue
from tests.support.fake_readers import FakeReaders


class Collector:
    down = False

    def environments(self) -> Sequence[EnvironmentStatus]:
        if self.down:
            raise CollectorUnavailable("away")
        return [
            EnvironmentStatus(
                name="here", kind=EnvironmentKind.IG, health=Health.UP, gadgets=("trace_dns",)
            )
        ]

    def test(self, environment: str) -> EnvironmentStatus:
        if self.down:
            raise CollectorUnavailable("away")
        return EnvironmentStatus(name=environment, kind=EnvironmentKind.IG, health=Health.DOWN)


def _gadgets() -> tuple[Gadgets, FakeReaders, Collector]:
    store: Any = FakeReaders()
    control: Any = Collector()
    configured = [Environment(name=name, kind=EnvironmentKind.IG) for name in ("here", "there")]
    catalogue = load_catalogue()
    made = Gadgets(
        catalogue=catalogue,
        reader=store,
        control=control,
        configured=configured,
        metadata=Metadata(catalogue, control, configured, ()),
    )
    return made, store, control


def test_running_counts_what_has_not_ended() -> None:
    gadgets, store, _ = _gadgets()
    for n in range(1_200):
        store.new(f"{n:012x}", gadget="trace_tcp")
    ended = store.new("f" * 12, gadget="trace_dns")
    store.change(ended, state=SessionState.STOPPED)
    assert gadgets.running() == {"trace_tcp": 1_200}


def test_an_environment_limits_what_it_can_run() -> None:
    gadgets, _, control = _gadgets()
    assert [g.name for g in gadgets.all("here")] == ["trace_dns"]
    assert len(gadgets.all("there")) == len(gadgets.all()) == 45
    control.down = True
    assert len(gadgets.all("here")) == 45
    with pytest.raises(EnvironmentNotFound, match="here, there"):
        gadgets.all("nowhere")


def test_every_configured_environment_is_listed() -> None:
    gadgets, _, control = _gadgets()
    assert [(e.name, e.health.value) for e in gadgets.environments()] == [
        ("here", "up"),
        ("there", "unknown"),
    ]
    control.down = True
    assert [e.reason for e in gadgets.environments()] == ["away", "away"]


def test_a_test_asks_the_collector() -> None:
    gadgets, _, control = _gadgets()
    assert gadgets.test("there").health is Health.DOWN
    with pytest.raises(EnvironmentNotFound, match="here, there"):
        gadgets.test("nowhere")
    control.down = True
    with pytest.raises(CollectorUnavailable):
        gadgets.test("there")


def test_places_are_words() -> None:
    gadgets, _, _ = _gadgets()
    assert gadgets.places() == {"here": "", "there": ""}


def test_titles() -> None:
    gadgets, _, _ = _gadgets()
    assert gadgets.title("trace_tcp") == "Trace TCP"
    assert gadgets.title("of_another_time") == "of_another_time"
