"""Checking a spec: every problem at its field, nothing started."""

from __future__ import annotations

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.sessions import SessionSpec, Target
from igdash.services.starts import MAX_TEXT, Starts
from igdash.sources.catalogue import load_catalogue

STARTS = Starts(
    catalogue=load_catalogue(),
    configured=(Environment(name="here", kind=EnvironmentKind.IG, command=("ig",)),),
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


def test_texts_have_an_end() -> None:
    spec = SessionSpec(
        gadget="trace_dns", environment="here", target=Target(selector="a=" + "b" * MAX_TEXT)
    )
    assert str(MAX_TEXT) in STARTS.check(spec).problems["target.selector"]
