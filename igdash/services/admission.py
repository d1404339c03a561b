"""Whether a session may be started as asked, judged by what its environment says of the gadget.

The catalogue is a snapshot of one Inspektor Gadget; an environment may run another version, with
other parameters and fields. Where it tells, its word counts, for the check as for the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from igdash.domain.commands import check_spec, schema_for
from igdash.domain.control import Description
from igdash.domain.errors import GadgetNotFound, InvalidSpec
from igdash.domain.gadgets import DataSource, Gadget
from igdash.domain.images import image_problem, is_reference
from igdash.domain.ports import Catalogue, Source
from igdash.domain.sessions import SessionSpec

WAIT_KNOWN: Final = 3.0
"""Seconds a start waits for the environment's word on a gadget of the catalogue."""
WAIT_UNKNOWN: Final = 30.0
"""The same for an image of which nothing else is known."""

_TARGETS: Final = ("k8s-namespace", "namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A session that may be started: `sources` are its data sources as known now."""

    spec: SessionSpec
    source: Source
    sources: tuple[DataSource, ...]


class Admission:
    """Decides on specs. `describe` asks an environment (name, gadget, seconds to wait), `offered`
    names the gadgets an environment has (empty = not known)."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        sources: Mapping[str, Source],
        allowed_images: Sequence[str],
        describe: Callable[[str, str, float], Description],
        offered: Callable[[str], Sequence[str]],
    ) -> None:
        self._catalogue = catalogue
        self._sources = sources
        self._allowed_images = allowed_images
        self._describe = describe
        self._offered = offered

    def check(self, spec: SessionSpec) -> Admitted:
        """Return what is to be started. Raises `InvalidSpec` naming every wrong field."""
        problems: dict[str, str] = {}
        source = self._sources.get(spec.environment)
        if source is None:
            problems["environment"] = no_environment(spec.environment, self._sources)
        known = self._known(spec.gadget, problems)
        if known is None or source is None:
            if known is not None:
                problems |= check_spec(known, spec)
            raise InvalidSpec(problems)
        wait = WAIT_UNKNOWN if is_reference(spec.gadget) else WAIT_KNOWN
        description = self._describe(spec.environment, spec.gadget, wait)
        gadget = merged(known, description.gadget)
        problems |= check_spec(gadget, spec, source.environment)
        offered = self._offered(spec.environment)
        if offered and spec.gadget not in offered and not is_reference(spec.gadget):
            problems.setdefault("gadget", f"{spec.environment} does not have {spec.gadget}")
        if problems:
            raise InvalidSpec(problems)
        sources = schema_for(known, source.environment)
        if description.gadget is not None:
            sources = description.gadget.sources
        return Admitted(spec=_by_key(spec, known, gadget), source=source, sources=sources)

    def _known(self, name: str, problems: dict[str, str]) -> Gadget | None:
        try:
            known = self._catalogue.get(name)
        except GadgetNotFound as error:
            problems["gadget"] = str(error)
            return None
        if why := image_problem(name, self._allowed_images):
            problems["gadget"] = why
            return None
        return known


def no_environment(name: str, known: Collection[str]) -> str:
    """Return the words for an environment that is not configured."""
    return f"no environment {name[:80]!r}; configured: {', '.join(sorted(known)) or 'none'}"


def merged(known: Gadget, described: Gadget | None) -> Gadget:
    """Return the gadget to judge by: the environment's own, with the target of every way in.

    An environment names only the target parameters of its own kind, while a session's target is
    the same everywhere.
    """
    if described is None:
        return known
    own = tuple(param for param in described.params if not param.target)
    targets = tuple(param for param in known.params if param.target)
    if is_reference(known.name) and not any(described.param(name) for name in _TARGETS):
        targets = ()
    return replace(described, name=known.name, params=own + targets)


def _by_key(spec: SessionSpec, known: Gadget, gadget: Gadget) -> SessionSpec:
    """Return the spec with parameters the catalogue lacks under their full keys: whoever runs the
    session later needs nobody to explain the short ones."""
    params = {}
    for name, value in spec.params.items():
        own = gadget.param(name)
        params[own.key if own and known.param(name) is None else name] = value
    return replace(spec, params=params) if params != spec.params else spec
