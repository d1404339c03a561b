"""Checking a spec: every problem at its field, nothing started."""

from __future__ import annotations

from typing import Any

from igdash.domain.control import Description
from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.sessions import SessionSpec, Target
from igdash.services.metadata import Metadata
from igdash.services.starts import MAX_TEXT, Starts
from igdash.sources.catalogue import load_catalogue


class Silent:
    """A collector that knows nothing more than the catalogue."""

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        return Description()


HERE = (Environment(name="here", kind=EnvironmentKind.IG, command=("ig",)),)
SILENT: Any = Silent()
STARTS = Starts(
    configured=HERE, metadata=Metadata(load_catalogue(), SILENT, HERE, ("ghcr.io/ours/",))
)


def test_a_good_spec_has_commands_and_no_problems() -> None:
    found = STARTS.check(SessionSpec(gadget="trace_dns", environment="here"))
    assert found.problems == {}
    assert any("trace_dns" in text for _, text in found.commands)


def test_an_unknown_environment_names_the_known() -> None:
    found = STARTS.check(SessionSpec(gadget="trace_dns", environment="there"))
    assert "here" in found.problems["environment"]
    assert found.commands == ()


def test_an_unknown_gadget_names_near_ones() -> None:
    found = STARTS.check(SessionSpec(gadget="trace_dsn", environment="there"))
    assert "trace_dns" in found.problems["gadget"]
    assert "environment" in found.problems


def test_an_image_is_checked_too() -> None:
    refused = STARTS.check(SessionSpec(gadget="ghcr.io/theirs/x:1", environment="here"))
    assert "allowed_images" in refused.problems["gadget"]
    good = STARTS.check(SessionSpec(gadget="ghcr.io/ours/x:1", environment="here"))
    assert good.problems == {}
    assert "ig run ghcr.io/ours/x:1" in good.commands[0][1]
    assert "igdash start ghcr.io/ours/x:1" in good.commands[1][1]


def test_texts_have_an_end() -> None:
    spec = SessionSpec(
        gadget="trace_dns", environment="here", target=Target(selector="a=" + "b" * MAX_TEXT)
    )
    assert str(MAX_TEXT) in STARTS.check(spec).problems["target.selector"]
