"""What a start form asks before Start: is this right, and what would a person type instead?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from igdash.domain import commands
from igdash.domain.environments import Environment
from igdash.domain.errors import GadgetNotFound, InvalidSpec
from igdash.domain.sessions import SessionSpec
from igdash.services.metadata import Metadata

MAX_TEXT = 2_000
"""Longest text of one field; Kubernetes' own limits are far below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Problems by field (empty = it can be started) and (label, command line) pairs for people."""

    problems: Mapping[str, str]
    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """Checks a spec without starting anything, by what is known now: instant, usable while typing."""

    configured: Sequence[Environment]
    metadata: Metadata

    def check(self, spec: SessionSpec) -> Check:
        """Return what is wrong with `spec` and, when its gadget is known, its command lines."""
        problems: dict[str, str] = {}
        environment = next((e for e in self.configured if e.name == spec.environment), None)
        if environment is None:
            names = ", ".join(e.name for e in self.configured) or "none"
            problems["environment"] = f"is not configured; there is: {names}"
        try:
            where = environment.name if environment else ""
            gadget = self.metadata.get(spec.gadget, where).gadget
        except GadgetNotFound as error:
            return Check(problems={"gadget": str(error), **problems}, commands=())
        except InvalidSpec as error:
            return Check(problems={**error.problems, **problems}, commands=())
        problems |= commands.check_spec(gadget, spec, environment)
        problems |= _too_long(spec)
        lines = commands.equivalents(gadget, spec, environment) if environment else ()
        return Check(problems=problems, commands=tuple(lines))


def _too_long(spec: SessionSpec) -> dict[str, str]:
    target = spec.target
    texts = {
        "name": spec.name,
        "target.namespace": target.namespace,
        "target.pod": target.pod,
        "target.container": target.container,
        "target.node": target.node,
        "target.selector": target.selector,
        **{f"params.{key}": value for key, value in spec.params.items()},
    }
    return {
        field: f"is longer than {MAX_TEXT} characters"
        for field, text in texts.items()
        if len(text) > MAX_TEXT
    }
