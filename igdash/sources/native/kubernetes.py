"""Every gadget pod of a cluster: a session covers each node, joins new ones, accounts for lost ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.errors import SourceError
from igdash.domain.gadgets import Gadget
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.sources.native.client import GrpcClient, GrpcFailure
from igdash.sources.native.cluster import Cluster
from igdash.sources.native.daemon import (
    STATUS_SECONDS,
    ask_info,
    ask_version,
    image_of,
    known_gadget,
    shared_loop,
)
from igdash.sources.native.describe import KUBERNETES, described, wire_params
from igdash.sources.native.runs import INFO_SECONDS, Wanted
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
        self._version = ""

    def cluster(self) -> Cluster:
        """Return the cluster; watching begins at the first use, and this waits for its first list."""

        async def begun() -> Cluster:
            if self._cluster is None:
                self._cluster = Cluster(self.environment)
            self._cluster.begin()
            try:
                async with asyncio.timeout(LISTED_SECONDS):
                    await self._cluster.answered.wait()
            except TimeoutError:
                pass
            return self._cluster

        with self._lock:
            return shared_loop().run(begun()).result(LISTED_SECONDS * 2)

    def status(self) -> EnvironmentStatus:
        """Return what the watch knows, and the version one of the pods tells."""
        cluster = self.cluster()
        nodes = tuple(sorted(cluster.pods))
        if nodes and not self._version:
            self._version = shared_loop().run(self._ask_version(cluster, nodes)).result(60)
        return EnvironmentStatus(
            name=self.environment.name,
            kind=self.environment.kind,
            health=Health.DOWN if cluster.trouble else Health.UP,
            reason=cluster.trouble,
            version=self._version,
            nodes=nodes,
            suggestions=cluster.suggestions(),
        )

    async def _ask_version(self, cluster: Cluster, nodes: tuple[str, ...]) -> str:
        for node in nodes[:3]:
            try:
                async with asyncio.timeout(STATUS_SECONDS * 2):
                    return await ask_version(partial(cluster.connect, node))
            except (SourceError, GrpcFailure, TimeoutError):
                continue
        return ""

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the `kubectl gadget` line that would run the same."""
        context = ("--context", self.environment.context) if self.environment.context else ()
        flags = [
            f"--{key.rsplit('.', 1)[-1]}={value}"
            for key, value in sorted(self._params(spec).items())
        ]
        image = image_of(self.environment, spec.gadget)
        return ("kubectl", "gadget", *context, "run", image, *flags, "-o", "json")

    def _params(self, spec: SessionSpec) -> dict[str, str]:
        return wire_params(spec, known_gadget(spec.gadget), KUBERNETES)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return facts to store with the session."""
        facts = {"image": image_of(self.environment, spec.gadget)}
        if self.environment.context:
            facts["context"] = self.environment.context
        return facts | ({"ig version": self._version} if self._version else {})

    def restartable(self, spec: SessionSpec) -> bool:  # noqa: ARG002
        """A stream can always be run again."""
        return True

    def describe(self, gadget: str) -> Gadget:
        """Return the gadget as the cluster describes it. Raises `SourceError`."""
        cluster = self.cluster()
        node = next(iter(sorted(cluster.pods)), None)
        if node is None:
            raise SourceError(cluster.trouble or "no gadget pod answers")
        image = image_of(self.environment, gadget)
        try:
            ask = ask_info(partial(cluster.connect, node), image)
            answer = shared_loop().run(ask).result(INFO_SECONDS + 10)
        except (GrpcFailure, TimeoutError) as error:
            raise SourceError(f"{gadget}: {str(error) or 'no answer'}") from error
        return described(answer, known_gadget(gadget), gadget)

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:  # noqa: ARG002
        """Start the gadget on every node the target allows, now and later."""
        wanted = Wanted(image=image_of(self.environment, spec.gadget), params=self._params(spec))
        return ClusterStream(self.cluster(), wanted, sink, _node_filter(spec.target.node))


def _node_filter(text: str) -> Callable[[str], bool]:
    """Return whether a node is covered: a comma list of names, `!name` excludes, empty = all."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    without = {word[1:] for word in words if word.startswith("!")}
    only = {word for word in words if not word.startswith("!")}
    return lambda node: node not in without and (not only or node in only)


class ClusterStream(NativeStream):
    """A session's stream that follows the cluster's gadget pods."""

    def __init__(
        self, cluster: Cluster, wanted: Wanted, sink: Sink, covers: Callable[[str], bool]
    ) -> None:
        self._cluster = cluster
        self._covers = covers
        self._missing: dict[str, asyncio.TimerHandle] = {}
        super().__init__(shared_loop(), wanted, sink, {})

    async def _begin(self, nodes: Mapping[str, Callable[[], Awaitable[GrpcClient]]]) -> None:  # noqa: ARG002
        self._cluster.listeners.add(self._follow)
        self._follow()
        self._tell()

    def _follow(self) -> None:
        """The set of gadget pods changed: cover new nodes, give up those that stay away."""
        if self._stopping:
            return
        here = {node for node in self._cluster.pods if self._covers(node)}
        for node in here:
            if handle := self._missing.pop(node, None):
                handle.cancel()
            self.join_node(node, partial(self._cluster.connect, node))
        if self._cluster.trouble:
            return  # Not knowing the pods is no reason to believe that they are gone.
        loop = asyncio.get_running_loop()
        for node in set(self._runs) - here - set(self._missing):
            why = f"no gadget pod on the node for {GONE_AFTER_SECONDS / 60:.0f} min"
            self._missing[node] = loop.call_later(GONE_AFTER_SECONDS, self.drop_node, node, why)

    def _finish(self) -> None:
        self._cluster.listeners.discard(self._follow)
        for handle in self._missing.values():
            handle.cancel()
        super()._finish()
