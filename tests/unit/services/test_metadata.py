"""Whose word a form shows: the environment's, or the catalogue's and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from igdash.domain.control import Description
from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.errors import (
    CollectorUnavailable,
    EnvironmentNotFound,
    GadgetNotFound,
    InvalidSpec,
)
from igdash.domain.gadgets import DataSource
from igdash.domain.images import OFFICIAL
from igdash.services.metadata import Metadata
from igdash.sources.catalogue import load_catalogue

HOST = Environment(name="box", kind=EnvironmentKind.IG_DAEMON)
KNOWN = load_catalogue().get("trace_tcp")
OWN = replace(KNOWN, sources=(DataSource(name="own"),))


class Asked:
    def __init__(self) -> None:
        self.calls: list[float] = []
        self.answer = Description(gadget=OWN)
        self.down = False

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        self.calls.append(wait)
        if self.down:
            raise CollectorUnavailable("the collector is away")
        return self.answer


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def metadata(asked: Asked) -> Metadata:
    control: Any = asked
    return Metadata(load_catalogue(), control, [HOST], (OFFICIAL,))


def test_the_environments_word(metadata: Metadata, asked: Asked) -> None:
    found = metadata.get("trace_tcp", "box", wait=2)
    assert (found.own, found.gadget.sources, found.reason) == (True, OWN.sources, "")
    metadata.get("trace_tcp", "box")
    metadata.get("trace_tcp", "box", wait=2)
    assert asked.calls == [2]


def test_the_catalogues_word_as_the_kind_of_environment_has_it(
    metadata: Metadata, asked: Asked
) -> None:
    asked.answer = Description(reason="still being asked", pending=True)
    found = metadata.get("trace_tcp", "box")
    assert (found.own, found.reason, found.pending) == (False, "still being asked", True)
    hidden = {field.name: field.hidden for field in found.gadget.sources[0].fields}
    assert hidden["k8s.namespace"]
    asked.answer = Description(gadget=OWN)
    assert not metadata.get("trace_tcp", "box").own
    assert metadata.get("trace_tcp", "box", wait=1).own
    assert asked.calls == [0.0, 1]


def test_a_collector_that_is_away_is_a_reason(metadata: Metadata, asked: Asked) -> None:
    asked.down = True
    found = metadata.get("trace_tcp", "box")
    assert (found.own, found.reason) == (False, "the collector is away")


def test_without_environment_nobody_is_asked(metadata: Metadata, asked: Asked) -> None:
    assert metadata.get("trace_tcp").gadget is KNOWN
    assert asked.calls == []


def test_what_cannot_be_asked(metadata: Metadata, asked: Asked) -> None:
    with pytest.raises(GadgetNotFound):
        metadata.get("nope", "box")
    with pytest.raises(EnvironmentNotFound, match="configured: box"):
        metadata.get("trace_tcp", "nowhere")
    with pytest.raises(InvalidSpec, match="allowed_images"):
        metadata.get("evil.io/x/y", "box")
    assert asked.calls == []
