"""Ways to run gadgets: an adapter of the port `Source` for each kind of environment."""

from __future__ import annotations

from igdash.domain.environments import Environment
from igdash.domain.ports import Source
from igdash.sources.catalogue import load_catalogue
from igdash.sources.replay import ReplaySource

__all__ = ["make_source"]


def make_source(environment: Environment) -> Source:
    """Return the source for an environment. Nothing is started or looked for yet."""
    return ReplaySource(environment, load_catalogue())
