"""Headless instances: gadgets that run in an environment by themselves, whoever reads them or not.

Whoever attaches to one is first told its last 1,024 events again, without a number that stays the
same from one attach to the next. So what a session has already is recognised by content: a hash of
each of its last lines, kept in memory while it runs and read back from the history after a restart.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from igdash.domain.images import OFFICIAL, is_reference, short_name
from igdash.domain.sessions import SessionId, SessionSpec

REMEMBERED: Final = 2_048
"""Lines per node that are remembered: twice what is told again."""
RING: Final = 1_024
"""Events that an instance tells again at each attach."""
DIGEST: Final = 16
"""Bytes of a line's hash."""
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One that an environment has. `state` is running, failed (then `reason` says why) or unknown;
    `nodes` are those that have it; `created` is when it was made (ns; 0 = not told, as by a daemon
    on a host)."""

    id: str
    name: str
    image: str
    tags: tuple[str, ...] = ()
    state: str = "unknown"
    reason: str = ""
    nodes: tuple[str, ...] = ()
    created: int = 0

    @property
    def gadget(self) -> str:
        """The gadget's name when its image is an official one, else the image."""
        ours = self.image.startswith(OFFICIAL) or not is_reference(self.image)
        return short_name(self.image) if ours else self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One line as it was received: an event, or all rows of a tick as an array; `at` is its time."""

    node: str
    line: bytes
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The hashes of the last lines of a node, oldest first; `at` is the newest one's time (ns)."""

    digests: tuple[bytes, ...] = ()
    at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What an earlier process received of a session, which was away since `since` (ns)."""

    since: int
    tails: Mapping[str, Tail] = field(default_factory=dict)


def digest(line: bytes) -> bytes | None:
    """Return the hash of a line; None for one that is no event and no tick, for it is not stored."""
    if line[:1] not in (b"{", b"["):
        return None
    return hashlib.blake2b(line, digest_size=DIGEST).digest()


def tails(lines: Iterable[Received]) -> dict[str, Tail]:
    """Return the tail of each node, of lines in the order they were received."""
    found: dict[str, deque[Received]] = {}
    for line in lines:
        found.setdefault(line.node, deque(maxlen=REMEMBERED)).append(line)
    return {
        node: Tail(
            digests=tuple(d for one in own if (d := digest(one.line)) is not None),
            at=own[-1].at,
        )
        for node, own in found.items()
    }


def known_lines(have: Sequence[bytes], told: Sequence[bytes]) -> int | None:
    """Return how many of the lines `told` again are among those we `have`; None = nothing overlaps.

    What is told again ends where the instance is now and begins up to 1,024 events before; what we
    have ends where we left. So the longest end of ours that is the beginning of theirs is what both
    have; lines of the same text beyond it are new. Ours may be shorter than theirs (then all of it
    lies inside), or lack some that were lost on the way (then the end of ours is looked for).
    """
    ours, theirs = b"".join(have), b"".join(told)
    for n in range(min(len(have), len(told)), 0, -1):
        if ours.endswith(theirs[: n * DIGEST]):
            return n
    if not have:
        return None
    return _inside(ours, theirs, len(have)) or _after_a_hole(have, told)


def _inside(ours: bytes, theirs: bytes, count: int) -> int | None:
    at = theirs.find(ours)
    while at >= 0 and at % DIGEST:
        at = theirs.find(ours, at + 1)
    return at // DIGEST + count if at >= 0 else None


_ENOUGH: Final = 8


def _after_a_hole(have: Sequence[bytes], told: Sequence[bytes]) -> int | None:
    """Return where our end lies in what is told, when the lines before it prove that it is ours:
    several of them, or a line that exists only once."""
    last, best, found = have[-1], 0, None
    for end in range(len(told), 0, -1):
        if told[end - 1] != last:
            continue
        same = 0
        while same < min(end, len(have)) and told[end - 1 - same] == have[-1 - same]:
            same += 1
        if same > best:
            best, found = same, end
    unique = have.count(last) == 1 and told.count(last) == 1
    return found if best >= _ENOUGH or unique else None


def own_id(session: SessionId) -> str:
    """Return the id of the instance that a headless session makes."""
    return hashlib.blake2b(f"igdash {session}".encode(), digest_size=16).hexdigest()


def own_name(session: SessionId) -> str:
    """Return its name, by which people find it."""
    return f"igdash-{session}"


def instance_problem(spec: SessionSpec) -> str:
    """Return what is wrong with the instance that a session wants to attach to, or ""."""
    if spec.instance and not _ID.fullmatch(spec.instance):
        return "is no instance id (32 hex digits); igdash instances ENV lists them"
    return ""


@runtime_checkable
class InstanceSource(Protocol):
    """A source whose environment can have headless instances."""

    def instances(self) -> Sequence[Instance]:
        """Return those it has now. Raises `SourceError`."""

    def remove_instance(self, session: SessionId) -> None:
        """Remove the instance that a session made; one that is not there is fine. Raises
        `SourceError`."""


@runtime_checkable
class Remembers(Protocol):
    """A sink that knows what its session received before this process."""

    @property
    def recall(self) -> Recall | None:
        """What is stored or spooled already; None = the session is new."""
