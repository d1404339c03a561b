"""The catalogue as a page shows it: with how many sessions of each gadget are running now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from igdash.domain.environments import Environment, EnvironmentStatus
from igdash.domain.errors import CollectorUnavailable, EnvironmentNotFound, GadgetNotFound
from igdash.domain.gadgets import Gadget
from igdash.domain.instances import Instance
from igdash.domain.ports import Catalogue, Control, SessionReader
from igdash.domain.queries import SessionQuery
from igdash.domain.sessions import Session, SessionState
from igdash.services.admission import no_environment
from igdash.services.metadata import Described, Metadata

LIVE_STATES = (SessionState.STARTING, SessionState.RUNNING, SessionState.STOPPING)


def live_sessions(reader: SessionReader) -> tuple[Session, ...]:
    """Return every session that has not ended, however many there are."""
    found: list[Session] = []
    cursor = ""
    while True:
        page = reader.list(SessionQuery(states=LIVE_STATES, limit=500, cursor=cursor))
        found += page.sessions
        cursor = page.next
        if not cursor:
            return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gadgets:
    """Gadgets and environments. Thread-safe."""

    catalogue: Catalogue
    reader: SessionReader
    control: Control
    configured: Sequence[Environment]
    metadata: Metadata

    def all(self, environment: str = "") -> tuple[Gadget, ...]:
        """Return the gadgets an environment can run, "" = the whole catalogue.

        Raises `EnvironmentNotFound`.
        """
        gadgets = self.catalogue.all()
        if not environment:
            return gadgets
        offered = self.environment(environment).gadgets
        return tuple(g for g in gadgets if not offered or g.name in offered)

    def get(self, name: str) -> Gadget:
        """Return one gadget. Raises `GadgetNotFound`, naming near names."""
        return self.catalogue.get(name)

    def described(self, name: str, environment: str = "", wait: float = 0.0) -> Described:
        """Return a gadget as its environment describes it. Raises as `Metadata.get`."""
        return self.metadata.get(name, environment, wait)

    def title(self, name: str) -> str:
        """Return a gadget's title; a name the catalogue does not have is its own title."""
        try:
            return self.catalogue.get(name).title
        except GadgetNotFound:
            return name

    def running(self) -> Mapping[str, int]:
        """Return how many sessions of each gadget have not ended."""
        return Counter(session.spec.gadget for session in live_sessions(self.reader))

    def environments(self) -> tuple[EnvironmentStatus, ...]:
        """Return every configured environment; what is known of it while the collector answers."""
        try:
            known = {status.name: status for status in self.control.environments()}
            reason = "the collector does not know this environment yet"
        except CollectorUnavailable as error:
            known, reason = {}, str(error)
        return tuple(
            known.get(one.name) or EnvironmentStatus(name=one.name, kind=one.kind, reason=reason)
            for one in self.configured
        )

    def test(self, name: str) -> EnvironmentStatus:
        """Ask an environment anew. Raises `EnvironmentNotFound`, `CollectorUnavailable`."""
        if all(one.name != name for one in self.configured):
            raise EnvironmentNotFound(no_environment(name, [one.name for one in self.configured]))
        return self.control.test(name)

    def instances(self, name: str) -> Sequence[Instance]:
        """Return the headless instances of an environment.

        Raises `EnvironmentNotFound`, `InvalidSpec`, `SourceError`, `CollectorUnavailable`.
        """
        if all(one.name != name for one in self.configured):
            raise EnvironmentNotFound(no_environment(name, [one.name for one in self.configured]))
        return self.control.instances(name)

    def places(self) -> Mapping[str, str]:
        """Return where each configured environment is, in words, by name."""
        return {one.name: one.place for one in self.configured}

    def environment(self, name: str) -> EnvironmentStatus:
        """Return one environment. Raises `EnvironmentNotFound`, naming those there are."""
        for status in self.environments():
            if status.name == name:
                return status
        raise EnvironmentNotFound(no_environment(name, [one.name for one in self.configured]))
