"""Headless sessions as the collector sees them: what is stored of them already, and what is left of
them where their gadgets ran."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from igdash.domain.chunks import ChunkKind
from igdash.domain.errors import SourceError, StoreBusy
from igdash.domain.instances import InstanceSource, Recall, Received, own_name, tails
from igdash.domain.ports import EventWriter, Source
from igdash.domain.sessions import Session
from igdash.domain.threads import spawn
from igdash.services.spool import Spool

log = logging.getLogger(__name__)

KEPT: Final = "kept"
"""Key in a session's info: its instance was left running at the stop."""
LINES: Final = 2_048
_BLOCK: Final = 1 << 20
_AGAIN: Final = (5.0, 30.0, 120.0)
"""Seconds to wait after each attempt to remove an instance."""


def recall(store: EventWriter, session: Session, spool: Spool, since: int) -> Recall:
    """Return what was received of a session before this process: stored, or spooled only.

    Raises `StoreBusy`. To be called before anybody else reads the spool.
    """

    def lines() -> Iterator[Received]:
        yield from store.recent(session.id, LINES)
        yield from _spooled(spool)

    return Recall(since=since, tails=tails(lines()))


def _spooled(spool: Spool) -> Iterator[Received]:
    try:
        while (position := spool.position) < spool.end:
            piece = spool.read(_BLOCK)
            if spool.position == position:
                raise StoreBusy("what was spooled cannot be read now")
            for chunk in piece.chunks:
                if chunk.kind is ChunkKind.JSON_LINES:
                    for line in chunk.data.split(b"\n")[:-1]:
                        yield Received(node=chunk.node, line=line, at=chunk.received)
    finally:
        spool.rewind()


class Leftovers:
    """Removes the instances of sessions that are over, failed or deleted. Thread-safe."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._ending = threading.Event()

    def remove(self, session: Session) -> None:
        """Remove a headless session's instance behind; returns at once. Others have none."""
        source: object = self._sources.get(session.spec.environment)
        if session.spec.headless and isinstance(source, InstanceSource):
            spawn(f"remove-{session.id}", partial(self._remove, source, session))

    def stop(self) -> None:
        """Try no more."""
        self._ending.set()

    def _remove(self, source: InstanceSource, session: Session) -> None:
        why = ""
        for wait in _AGAIN:
            why = _try(source, session)
            if not why or self._ending.wait(wait):
                return
        name, where = own_name(session.id), session.spec.environment
        log.warning("instance %s in %s could not be removed: %s", name, where, why)


def _try(source: InstanceSource, session: Session) -> str:
    """Return why it did not work, "" when it did."""
    try:
        source.remove_instance(session.id)
    except SourceError as error:
        return str(error)
    return ""
