"""Ways to run gadgets: an adapter of the port `Source` for each kind of environment."""

from __future__ import annotations

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.ports import Source
from igdash.sources.binary import BinarySource
from igdash.sources.catalogue import load_catalogue
from igdash.sources.orphans import Orphans
from igdash.sources.replay import ReplaySource

__all__ = ["Orphans", "make_source"]


def make_source(environment: Environment, orphans: Orphans | None = None) -> Source:
    """Return the source for an environment. Nothing is started or looked for yet.

    With `orphans` the processes it starts are noted there, for an igdash after this one.
    """
    if environment.kind is EnvironmentKind.REPLAY:
        return ReplaySource(environment, load_catalogue())
    if environment.kind is EnvironmentKind.IG_DAEMON:
        # Imported here: HTTP/2 and protobuf cost 0.1 s, which every command would pay.
        from igdash.sources.native.daemon import DaemonSource

        return DaemonSource(environment)
    if environment.kind is EnvironmentKind.KUBERNETES:
        from igdash.sources.native.kubernetes import KubernetesSource

        return KubernetesSource(environment)
    return BinarySource(environment, load_catalogue(), orphans)
