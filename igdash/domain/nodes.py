"""The nodes that an environment has and a session covers: which, since when, and if not, why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NodeState(StrEnum):
    """Where a node stands."""

    CONNECTED = "connected"
    """It answers; a session's gadget runs there."""
    WAITING = "waiting"
    """No connection (yet, or any more); tried again until it works."""
    FAILED = "failed"
    """It refused, so that trying again is pointless."""
    ENDED = "ended"
    """Over: the gadget ended there, or the node is gone for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node: its state `since` then (ns since the epoch, 0 = not known), and why.

    `version` is that of the Inspektor Gadget there, where it was asked.
    """

    name: str
    state: NodeState
    since: int = 0
    reason: str = ""
    version: str = ""
