"""Gadget pods as the cluster's objects tell of them."""

from __future__ import annotations

import asyncio

import pytest

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.errors import SourceError
from igdash.sources.native.cluster import Cluster, Pod, pod_of
from igdash.sources.native.kubernetes import node_filter
from igdash.sources.native.watching import Item, Meta, Spec, Status

ENVIRONMENT = Environment(name="k", kind=EnvironmentKind.KUBERNETES)


def item(name: str, node: str = "w", phase: str = "Running", deleted: str | None = None) -> Item:
    return Item(
        metadata=Meta(name=name, namespace="gadget", deletion_timestamp=deleted),
        spec=Spec(node_name=node),
        status=Status(phase=phase),
    )


def cluster_of(*items: Item) -> Cluster:
    cluster = Cluster(ENVIRONMENT)
    cluster._gadgets.items = {("gadget", one.metadata.name): one for one in items}
    cluster._gadgets.trouble = ""
    cluster._pods_changed()
    return cluster


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/inspektor-gadget/inspektor-gadget:v0.55.0", "0.55.0"),
        ("localhost:5000/ig:latest@sha256:abc", "latest"),
        ("localhost:5000/ig", ""),
        ("ig:versioned", "versioned"),
        ("", ""),
    ],
)
def test_the_version_is_the_images_tag(image: str, version: str) -> None:
    assert Pod(name="a", node="w", image=image).version == version


def test_a_pod_without_a_node_is_not_there_yet() -> None:
    assert cluster_of(item("a", node="")).pods == {}


def test_of_two_pods_on_a_node_the_one_that_stays_counts() -> None:
    ending = item("a", deleted="2026-11-22T22:33:22Z")
    for order in ([ending, item("b")], [item("b"), ending]):
        assert cluster_of(*order).pods["w"].name == "b"
    assert cluster_of(ending).pods["w"].ending


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_is_ending(phase: str) -> None:
    assert pod_of(item("a", phase=phase)).ending


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (item("a", node="other"), "there is no gadget pod on w"),
        (item("a", deleted="x"), "the gadget pod a is ending"),
        (item("a", phase="Pending"), r"the gadget pod a is not running yet \(Pending\)"),
    ],
)
def test_a_pod_that_cannot_answer_is_not_asked(made: Item, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        asyncio.run(cluster_of(made).connect("w"))


def test_no_gadget_pod_is_said_with_what_to_do() -> None:
    assert "is Inspektor Gadget deployed there?" in cluster_of().trouble
    assert cluster_of(item("a")).trouble == ""


def test_the_time_of_a_change_is_kept() -> None:
    cluster = cluster_of(item("a"))
    first = cluster.since["w"]
    cluster._pods_changed()
    assert cluster.since["w"] == first
    cluster._gadgets.items["gadget", "a"] = item("a", phase="Failed")
    cluster._pods_changed()
    assert cluster.since["w"] > first


@pytest.mark.parametrize(
    ("text", "covered"),
    [("", "abc"), ("a", "a"), ("a, b", "ab"), ("!a", "bc"), ("!a,!b", "c"), ("a,b,!b", "a")],
)
def test_the_targets_nodes(text: str, covered: str) -> None:
    assert "".join(filter(node_filter(text), "abc")) == covered
