"""References people type: shape and allow-list."""

from __future__ import annotations

import pytest

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.images import OFFICIAL, image_of, image_problem, short_name

DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    "reference",
    [
        OFFICIAL + "trace_tcp",
        OFFICIAL + "trace_tcp:v0.55.0",
        OFFICIAL + "trace_tcp:v0.55.0" + DIGEST,
        OFFICIAL + "a/b-c" + DIGEST,
        "trace_tcp",
    ],
)
def test_allowed_by_default(reference: str) -> None:
    assert image_problem(reference, (OFFICIAL,)) == ""


@pytest.mark.parametrize(
    "reference",
    [
        "--verify-image=false/x",
        "-/x",
        "ghcr.io/inspektor-gadget/gadget/../x",
        "ghcr.io/inspektor-gadget/gadget/x y",
        "ghcr.io/inspektor-gadget/gadget/x;id",
        "ghcr.io/inspektor-gadget/gadget/",
        "https://ghcr.io/inspektor-gadget/gadget/x",
        OFFICIAL + "x" * 400,
        OFFICIAL + "x\n",
    ],
)
def test_what_is_no_reference(reference: str) -> None:
    assert "no image reference" in image_problem(reference, ("*",))


@pytest.mark.parametrize(
    ("reference", "pattern", "fits"),
    [
        ("ghcr.io/inspektor-gadget/gadget-evil/x", "ghcr.io/inspektor-gadget/gadget", False),
        ("ghcr.io/inspektor-gadget/gadget/x", "ghcr.io/inspektor-gadget/gadget", True),
        ("ghcr.io/x/y:1", "ghcr.io/x/y", True),
        ("ghcr.io/x/yz:1", "ghcr.io/x/y", False),
        ("ghcr.io/x/y:1.2", "ghcr.io/x/y:1", False),
        ("reg.io:5000/team-a/gadgets/x", "reg.io:5000/*/gadgets/", True),
        ("reg.io:5000/team-a/b/gadgets/x", "reg.io:5000/*/gadgets/", False),
        ("evil.io/ghcr.io/x/y", "ghcr.io/x/", False),
        ("regxio/x/y", "reg.io/x/", False),
        ("any.where/x", "*", True),
        ("any.where/x", "", False),
    ],
)
def test_patterns_are_prefixes_up_to_a_border(reference: str, pattern: str, fits: bool) -> None:
    problem = image_problem(reference, (pattern,))
    assert (problem == "") is fits
    assert fits or "gadgets.allowed_images" in problem


def test_names() -> None:
    assert short_name("ghcr.io/a/trace_x:1" + DIGEST) == "trace_x"
    assert short_name("reg.io:5000/a/trace_x") == "trace_x"
    here = Environment(name="h", kind=EnvironmentKind.IG, image_tag="v1")
    assert image_of(here, "trace_tcp") == OFFICIAL + "trace_tcp:v1"
    assert image_of(here, "reg.io/x:2") == "reg.io/x:2"
