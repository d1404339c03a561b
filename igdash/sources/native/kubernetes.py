"""Every gadget pod of a cluster: a session covers each node, joins new ones, accounts for lost ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Final

from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.sources.native.client import GrpcClient
from igdash.sources.native.cluster import Cluster
from igdash.sources.native.daemon import known_gadget, shared_loop
from igdash.sources.native.describe import KUBERNETES, wire_params
from igdash.sources.native.runs import Wanted
from igdash.sources.native.stream import NativeStream

LISTED_SECONDS: Final = 10.0
GONE_AFTER_SECONDS: Final = 300.0
"""A node without a gadget pod for this long counts as gone for good."""


class KubernetesSource:
    """The `Source` of a `kubernetes` environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None

    async def _begun(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(self.environment)
        self._cluster.begin()
        return self._cluster

    def cluster(self) -> Cluster:
        """Return the watched cluster; watching begins at the first use."""
        with self._lock:
            return shared_loop().run(self._begun()).result(LISTED_SECONDS)
