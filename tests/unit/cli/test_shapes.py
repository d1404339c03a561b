"""How environments look in a table."""

from __future__ import annotations

from igdash.cli.shapes import environment_listing
from igdash.domain.environments import EnvironmentKind, EnvironmentStatus
from igdash.domain.nodes import NodeState, NodeStatus


def cells(one: EnvironmentStatus) -> dict[str, str]:
    columns = environment_listing({one.name: "context prod"}).columns
    return {column.title: str(column.text(one)) for column in columns}


def test_nodes_are_counted_and_named() -> None:
    nodes = (
        NodeStatus(name="a", state=NodeState.CONNECTED),
        NodeStatus(name="b", state=NodeState.WAITING, reason="refused"),
    )
    found = cells(
        EnvironmentStatus(
            name="prod",
            kind=EnvironmentKind.KUBERNETES,
            coverage=nodes,
            rights=("list pods in shop: no suggestions of pods",),
        )
    )
    assert found["NODES"] == "1/2"
    assert found["EACH NODE"] == "a=connected,b=waiting"
    assert found["MISSING RIGHTS"] == "list pods in shop: no suggestions of pods"
    assert found["PLACE"] == "context prod"


def test_without_detail_the_number_is_all() -> None:
    found = cells(EnvironmentStatus(name="x", kind=EnvironmentKind.REPLAY, nodes=("n1", "n2")))
    assert (found["NODES"], found["EACH NODE"], found["GADGETS"]) == ("2", "n1,n2", "all")
