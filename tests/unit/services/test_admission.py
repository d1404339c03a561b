"""Starts judged by what the environment says, by the catalogue where it says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from igdash.domain.control import Description
from igdash.domain.errors import InvalidSpec
from igdash.domain.gadgets import DataSource, Gadget, Param
from igdash.domain.images import OFFICIAL
from igdash.domain.sessions import SessionSpec, Target
from igdash.services.admission import WAIT_KNOWN, WAIT_UNKNOWN, Admission, merged
from igdash.sources.catalogue import load_catalogue
from tests.support.collecting import FakeSource

OWN = replace(
    load_catalogue().get("trace_tcp"),
    sources=(DataSource(name="own"),),
    params=(
        Param(key="operator.oci.ebpf.newer", name="newer", type="uint32"),
        Param(key="operator.KubeManager.namespace", name="namespace", target=True),
    ),
)
IMAGE = OFFICIAL + "trace_new:v9"


class Desk:
    def __init__(self, answer: Description, offered: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.admission = Admission(
            catalogue=load_catalogue(),
            sources={"fake": FakeSource()},
            allowed_images=(OFFICIAL,),
            describe=lambda *question: self.asked.append(question) or answer,
            offered=lambda _: offered,
        )

    def problems(self, spec: SessionSpec) -> dict[str, str]:
        with pytest.raises(InvalidSpec) as caught:
            self.admission.check(spec)
        return caught.value.problems


def spec(gadget: str = "trace_tcp", **more: object) -> SessionSpec:
    return SessionSpec(gadget=gadget, environment="fake", **more)  # type: ignore[arg-type]


def test_the_environments_own_fields_and_parameters_count() -> None:
    desk = Desk(Description(gadget=OWN))
    found = desk.admission.check(spec(params={"newer": "7"}, target=Target(namespace="demo")))
    assert found.sources == OWN.sources
    assert found.spec.params == {"operator.oci.ebpf.newer": "7"}
    assert desk.asked == [("fake", "trace_tcp", WAIT_KNOWN)]
    assert "whole number" in desk.problems(spec(params={"newer": "x"}))["params.newer"]
    assert (
        "no parameter" in desk.problems(spec(params={"accept-only": "true"}))["params.accept-only"]
    )


def test_the_catalogue_counts_while_the_environment_is_silent() -> None:
    desk = Desk(Description(reason="still being asked", pending=True))
    found = desk.admission.check(spec(params={"accept-only": "true"}))
    assert found.sources == load_catalogue().get("trace_tcp").sources
    assert found.spec.params == {"accept-only": "true"}


def test_an_image_nobody_knows_can_run_where_it_is_allowed() -> None:
    desk = Desk(Description(reason="no answer"), offered=("trace_tcp",))
    found = desk.admission.check(spec(IMAGE, target=Target(namespace="demo")))
    assert found.sources == ()
    assert desk.asked == [("fake", IMAGE, WAIT_UNKNOWN)]
    assert desk.problems(spec(IMAGE, params={"x": "1"}))["params.x"]


def test_what_is_not_allowed_is_never_asked_for() -> None:
    desk = Desk(Description())
    assert "allowed_images" in desk.problems(spec("evil.io/x/y:1"))["gadget"]
    assert "no image reference" in desk.problems(spec("-o/x"))["gadget"]
    assert "did you mean trace_tcp" in desk.problems(spec("trace_tpc"))["gadget"]
    assert desk.asked == []


def test_everything_wrong_is_named() -> None:
    desk = Desk(Description(), offered=("trace_dns",))
    assert set(desk.problems(replace(spec(params={"x": "1"}), environment="nowhere"))) == {
        "environment",
        "params.x",
    }
    assert "does not have" in desk.problems(spec())["gadget"]


def test_an_image_without_containers_has_no_container_target() -> None:
    known = load_catalogue().get(IMAGE)
    plain: Gadget = replace(OWN, params=OWN.params[:1])
    assert not [p for p in merged(known, plain).params if p.target]
    assert merged(known, OWN).param("k8s-namespace")
    assert merged(known, None) is known
    assert merged(known, OWN).name == IMAGE
