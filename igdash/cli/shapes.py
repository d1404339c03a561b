"""How each kind of thing looks in a table; in JSON it looks as the API has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from igdash.api import shapes
from igdash.api.schemas import SessionOut
from igdash.bootstrap import catalogue
from igdash.cli.output import Column, Listing, age, count, size
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import GadgetNotFound
from igdash.domain.events import LogLine
from igdash.domain.gadgets import Gadget
from igdash.domain.instances import Instance
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeState
from igdash.domain.sessions import Session
from igdash.domain.times import format_ns


def title(gadget: str) -> str:
    """Return a gadget's title; a name the catalogue does not have is its own title."""
    try:
        return catalogue().get(gadget).title
    except GadgetNotFound:
        return gadget


def _session(one: Session) -> SessionOut:
    return shapes.session(one, title(one.spec.gadget))


def _nodes(one: Session) -> str:
    return f"{one.nodes.connected}/{one.nodes.expected}" if one.nodes.expected else ""


SESSION: Final[Listing[Session]] = Listing(
    key="sessions",
    columns=(
        Column(title="ID", text=lambda s: s.id),
        Column(title="GADGET", text=lambda s: s.spec.gadget),
        Column(title="ENVIRONMENT", text=lambda s: s.spec.environment, wide=True),
        Column(title="NAMESPACE", text=lambda s: s.spec.target.namespace or "*"),
        Column(title="POD", text=lambda s: s.spec.target.pod or "*"),
        Column(title="NODE", text=lambda s: s.spec.target.node or "*", wide=True),
        Column(title="STATE", text=lambda s: s.state),
        Column(title="EVENTS", text=lambda s: count(s.events), right=True),
        Column(title="RATE", text=lambda s: f"{s.rate:.1f}/s", right=True),
        Column(title="LOST", text=lambda s: count(s.lost), right=True),
        Column(title="MALFORMED", text=lambda s: count(s.malformed), right=True, wide=True),
        Column(title="SIZE", text=lambda s: size(s.bytes), right=True, wide=True),
        Column(title="NODES", text=_nodes, wide=True),
        Column(title="AGE", text=lambda s: age(s.started or s.created), right=True),
        Column(title="NAME", text=lambda s: s.spec.name, wide=True),
        Column(title="REASON", text=lambda s: s.reason, wide=True),
    ),
    name=lambda s: s.id,
    shape=_session,
)

GADGET: Final[Listing[Gadget]] = Listing(
    key="gadgets",
    columns=(
        Column(title="NAME", text=lambda g: g.name),
        Column(title="CATEGORY", text=lambda g: g.category),
        Column(title="DELIVERY", text=lambda g: g.delivery, wide=True),
        Column(title="TITLE", text=lambda g: g.title),
        Column(title="DESCRIPTION", text=lambda g: g.description, wide=True),
    ),
    name=lambda g: g.name,
    shape=lambda g: shapes.gadget(g, 0, brief=True),
)


def _covered(one: EnvironmentStatus) -> str:
    """Return how many nodes answer, as `2/3`; their number where nothing tells."""
    if not one.coverage:
        return str(len(one.nodes) or "")
    there = sum(node.state is NodeState.CONNECTED for node in one.coverage)
    return f"{there}/{len(one.coverage)}"


def _each_node(one: EnvironmentStatus) -> str:
    if not one.coverage:
        return ",".join(one.nodes)
    return ",".join(f"{node.name}={node.state}" for node in one.coverage)


def environment_listing(places: Mapping[str, str]) -> Listing[EnvironmentStatus]:
    """Return how environments look; `places` says where each is, by name."""
    return Listing(
        key="environments",
        columns=(
            Column(title="NAME", text=lambda e: e.name),
            Column(title="KIND", text=lambda e: e.kind),
            Column(title="HEALTH", text=lambda e: e.health),
            Column(title="VERSION", text=lambda e: e.version),
            Column(title="NODES", text=_covered, right=True),
            Column(title="GADGETS", text=lambda e: len(e.gadgets) or "all", wide=True),
            Column(title="PLACE", text=lambda e: places.get(e.name, ""), wide=True),
            Column(title="EACH NODE", text=_each_node, wide=True),
            Column(title="MISSING RIGHTS", text=lambda e: "; ".join(e.rights), wide=True),
            Column(title="REASON", text=lambda e: e.reason),
        ),
        name=lambda e: e.name,
        shape=lambda e: shapes.environment(e, places.get(e.name, "")),
    )


INSTANCE: Final[Listing[Instance]] = Listing(
    key="instances",
    columns=(
        Column(title="ID", text=lambda one: one.id),
        Column(title="NAME", text=lambda one: one.name),
        Column(title="GADGET", text=lambda one: one.gadget),
        Column(title="STATE", text=lambda one: one.state),
        Column(title="NODES", text=lambda one: ",".join(one.nodes)),
        Column(title="TAGS", text=lambda one: ",".join(one.tags), wide=True),
        Column(title="IMAGE", text=lambda one: one.image, wide=True),
        Column(title="REASON", text=lambda one: one.reason),
    ),
    name=lambda one: one.id,
    shape=shapes.instance,
)

LOSS: Final[Listing[Loss]] = Listing(
    key="losses",
    columns=(
        Column(title="FROM", text=lambda one: format_ns(one.start)),
        Column(title="TO", text=lambda one: format_ns(one.end)),
        Column(title="NODE", text=lambda one: one.node),
        Column(
            title="COUNT",
            text=lambda one: ("" if one.exact else "≥") + count(one.count),
            right=True,
        ),
        Column(title="CAUSE", text=lambda one: one.cause),
        Column(title="DETAIL", text=lambda one: one.detail),
    ),
    name=lambda one: format_ns(one.start),
    shape=shapes.loss,
)

LOG: Final[Listing[LogLine]] = Listing(
    key="logs",
    columns=(
        Column(title="N", text=lambda line: line.n, right=True, wide=True),
        Column(title="TIME", text=lambda line: format_ns(line.ts)),
        Column(title="LEVEL", text=lambda line: line.level),
        Column(title="NODE", text=lambda line: line.node, wide=True),
        Column(title="TEXT", text=lambda line: line.text),
    ),
    name=lambda line: str(line.n),
    shape=shapes.log,
)
