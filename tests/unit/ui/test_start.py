"""The start form's place on the page: what its scripts are told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.services.web import WebServices
from igdash.ui import start


def usual(*environments: Environment) -> dict[str, str]:
    services = cast("WebServices", SimpleNamespace(environments=environments))
    props: dict[str, Any] = start.layout(services).to_plotly_json()["props"]
    assert props["id"] == start.ROOT
    return dict(json.loads(props["data-usual"]))


def test_targets_begin_outside_igs_own_namespace() -> None:
    cluster = Environment(name="prod", kind=EnvironmentKind.KUBECTL_GADGET, gadget_namespace="ig")
    demo = Environment(name="demo", kind=EnvironmentKind.REPLAY)
    assert usual(cluster, demo) == {"prod": "!ig", "demo": "!gadget"}


def test_a_plain_host_has_no_namespace_to_leave_out() -> None:
    assert usual(Environment(name="this-host", kind=EnvironmentKind.IG)) == {"this-host": ""}


def test_a_name_cannot_break_out_of_the_attribute() -> None:
    name = '"></div><script>'
    assert usual(Environment(name=name, kind=EnvironmentKind.IG)) == {name: ""}


def test_no_environment_at_all() -> None:
    assert usual() == {}
