"""Every gadget pod of a cluster: a session covers each node, joins new ones, accounts for lost ones."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from igdash.domain.commands import check_spec, run_argv
from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError
from igdash.domain.gadgets import Delivery, Gadget
from igdash.domain.instances import Instance, own_id
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.times import now_ns
from igdash.sources.catalogue import load_catalogue
from igdash.sources.native.client import GrpcFailure
from igdash.sources.native.cluster import Cluster, Pod
from igdash.sources.native.daemon import (
    STATUS_SECONDS,
    ask_info,
    ask_version,
    image_of,
    known_gadget,
    reading_instance,
    shared_loop,
    wanted_of,
)
from igdash.sources.native.describe import KUBERNETES, described
from igdash.sources.native.instances import instances_at, remove_at
from igdash.sources.native.reading import log_chunk
from igdash.sources.native.runs import INFO_SECONDS, Wanted
from igdash.sources.native.stream import NativeStream
from igdash.sources.process import cause_first

T = TypeVar("T")
LISTED_SECONDS: Final = 10.0
"""How long a first look at the cluster may take before it counts as not answering yet."""
GONE_AFTER_SECONDS: Final = 300.0
"""A node without a gadget pod for this long counts as gone for good."""
_ASKED: Final = 3
"""Nodes asked for the version before giving up for now."""


class KubernetesSource:
    """The `Source` of a `kubernetes` environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._version = ""
        self._version_of: Mapping[str, Pod] = {}

    def cluster(self) -> Cluster:
        """Return the cluster; watching begins at the first use, and this waits for its first list."""

        async def begun() -> Cluster:
            if self._cluster is None:
                self._cluster = Cluster(self.environment)
            self._cluster.begin()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTED_SECONDS):
                    await self._cluster.answered()
            return self._cluster

        with self._lock:
            return shared_loop().run(begun()).result(LISTED_SECONDS * 2)

    def close(self) -> None:
        """Stop watching; a later use begins anew."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            shared_loop().run(cluster.close()).result(LISTED_SECONDS)

    def status(self) -> EnvironmentStatus:
        """Return what the watches know, and the version that one of the pods tells."""
        cluster = self.cluster()
        return shared_loop().run(self._status(cluster)).result(STATUS_SECONDS * 2 * (_ASKED + 1))

    async def _status(self, cluster: Cluster) -> EnvironmentStatus:
        cluster.begin_suggestions()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STATUS_SECONDS):
                await cluster.ask_again()
        pods = dict(cluster.pods)
        known = self._version and pods.keys() == self._version_of.keys()
        if not known or not cluster.reachable:
            self._version, self._version_of = await self._ask_version(cluster, pods), pods
        return EnvironmentStatus(
            name=self.environment.name,
            kind=self.environment.kind,
            health=Health.DOWN if cluster.trouble else Health.UP,
            reason=cluster.trouble,
            version=self._version,
            nodes=tuple(sorted(pods)),
            suggestions=cluster.suggestions(),
            coverage=tuple(_node_status(cluster, pod) for _, pod in sorted(pods.items())),
            next_try=cluster.next_try() or 0,
            rights=cluster.missing_rights(),
            headless=not cluster.trouble,
        )

    async def _ask_version(self, cluster: Cluster, pods: Mapping[str, Pod]) -> str:
        running = [node for node, pod in sorted(pods.items()) if pod.phase == "Running"]
        for node in running[:_ASKED]:
            try:
                async with asyncio.timeout(STATUS_SECONDS * 2):
                    return await ask_version(partial(cluster.connect, node))
            except (SourceError, GrpcFailure, TimeoutError):
                continue
        return ""

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the `kubectl-gadget` line that would run the same."""
        return run_argv(_catalogued(spec), spec, self.environment)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return the image, the context, and the version if it is known already."""
        facts = {
            "image": image_of(self.environment, spec.gadget),
            "context": self.environment.context,
            "version": self._version,
        }
        return {key: value for key, value in facts.items() if value}

    def restartable(self, spec: SessionSpec) -> bool:
        """Whether running it again continues the session: not for a gadget with a single answer."""
        known = known_gadget(spec.gadget)
        return (
            spec.lives_on
            or known is None
            or known.delivery not in (Delivery.ONCE, Delivery.AT_STOP)
        )

    def describe(self, gadget: str) -> Gadget:
        """Return the gadget as the cluster describes it. Raises `SourceError`.

        May take minutes on a busy node.
        """
        cluster = self.cluster()
        node = next((n for n, pod in sorted(cluster.pods.items()) if pod.phase == "Running"), None)
        if node is None:
            raise SourceError(cluster.trouble or "no gadget pod is running")
        image = image_of(self.environment, gadget)
        try:
            ask = ask_info(partial(cluster.connect, node), image)
            answer = shared_loop().run(ask).result(INFO_SECONDS + 10)
        except (GrpcFailure, TimeoutError) as error:
            raise SourceError(f"{gadget}: {cause_first(str(error)) or 'no answer'}") from error
        return described(answer, known_gadget(gadget), gadget)

    def instances(self) -> Sequence[Instance]:
        """Return the headless instances, each with the nodes that have it. Raises `SourceError`."""
        cluster = self.cluster()
        found: dict[str, Instance] = {}
        for node in _running(cluster):
            for one in _answer(instances_at(partial(cluster.connect, node), node)):
                known = found.get(one.id, one)
                worse = one if one.state != "running" else known
                nodes = tuple(dict.fromkeys((*known.nodes, node)))
                found[one.id] = replace(worse, nodes=nodes)
        return tuple(found.values())

    def remove_instance(self, session: SessionId) -> None:
        """Remove the one that a session made, through one pod: that ends it on all nodes.

        Raises `SourceError`.
        """
        cluster = self.cluster()
        nodes = _running(cluster)
        if not nodes:
            raise SourceError(cluster.trouble or "no gadget pod is running")
        _answer(remove_at(partial(cluster.connect, nodes[0]), own_id(session)))

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the gadget on every node that the target allows, now and later; a cluster that does
        not answer is waited for. Raises `SourceError`."""
        problems = check_spec(_catalogued(spec), spec, self.environment)
        if problems:
            raise SourceError("; ".join(f"{name}: {why}" for name, why in problems.items()))
        wanted = reading_instance(wanted_of(self.environment, spec, KUBERNETES), session, spec)
        return ClusterStream(self.cluster(), wanted, sink, node_filter(spec.target.node))


def _running(cluster: Cluster) -> list[str]:
    return [node for node, pod in sorted(cluster.pods.items()) if pod.phase == "Running"]


def _answer(work: Coroutine[Any, Any, T]) -> T:
    try:
        return shared_loop().run(work).result(STATUS_SECONDS * 3)
    except (GrpcFailure, TimeoutError) as error:
        raise SourceError(str(error) or "no answer from the gadget pod") from error


def _catalogued(spec: SessionSpec) -> Gadget:
    try:
        return load_catalogue().get(spec.gadget)
    except GadgetNotFound as error:
        raise SourceError(str(error)) from error


def _node_status(cluster: Cluster, pod: Pod) -> NodeStatus:
    ready = pod.phase == "Running" and pod.started and not pod.ending
    reason = "" if ready else f"the gadget pod {pod.name} is {'ending' if pod.ending else 'not up'}"
    return NodeStatus(
        name=pod.node,
        state=NodeState.CONNECTED if ready else NodeState.WAITING,
        since=cluster.since.get(pod.node, 0),
        reason=reason,
        version=pod.version,
    )


def node_filter(text: str) -> Callable[[str], bool]:
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
        self._pods: dict[str, Pod] = {}
        self._missing: dict[str, asyncio.TimerHandle] = {}
        self._gone: set[str] = set()
        self._trouble = ""
        super().__init__(shared_loop(), wanted, sink, {})

    async def _begin(self, nodes: Mapping[str, Callable[[], object]]) -> None:  # noqa: ARG002
        self._cluster.listeners.add(self._follow)
        self._follow()
        self._hold = False
        self._tell()

    def _follow(self) -> None:
        """Something changed in the cluster: cover new nodes, give up those that stay away."""
        if self._stopping or self._over.is_set():
            return
        self._report()
        here = {node: pod for node, pod in self._cluster.pods.items() if self._covers(node)}
        for node, pod in here.items():
            if handle := self._missing.pop(node, None):
                handle.cancel()
            self._cover(node, pod)
        if self._cluster.current:
            # Not knowing the pods is no reason to believe that they are gone.
            for node in set(self._runs) - set(here) - set(self._missing) - self._gone:
                self._missing[node] = asyncio.get_running_loop().call_later(
                    GONE_AFTER_SECONDS, self._give_up, node
                )
                self._pods.pop(node, None)
        self._tell()

    def _cover(self, node: str, pod: Pod) -> None:
        seen, run = self._pods.get(node), self._runs.get(node)
        if seen == pod:
            return
        self._pods[node] = pod
        if run is None or node in self._gone:
            if self._started:
                # Marked, so that nobody takes the time before for quiet.
                text = f"{node} joined: its events begin here"
                self._sink.chunk(log_chunk(node, now_ns(), "info", text))
            self._gone.discard(node)
            self.join_node(node, partial(self._cluster.connect, node))
        elif run.state is NodeState.FAILED and (seen is None or seen.uid != pod.uid):
            # Another pod may have what this one lacked.
            self.join_node(node, partial(self._cluster.connect, node))
        else:
            run.hurry()

    def _give_up(self, node: str) -> None:
        del self._missing[node]
        self._gone.add(node)
        self.drop_node(node, f"no gadget pod there for {GONE_AFTER_SECONDS / 60:.0f} min")

    def _report(self) -> None:
        """Say once in the session's log that the cluster cannot be asked, and when it can again."""
        trouble, before = self._cluster.trouble, self._trouble
        if trouble == before:
            return
        self._trouble = trouble
        level, text = ("warning", trouble) if trouble else ("info", "the cluster answers again")
        self._sink.chunk(log_chunk("", now_ns(), level, text))
        if not trouble:
            for run in self._runs.values():
                run.hurry()

    def _done(self, task: asyncio.Task[None]) -> None:
        """A run is over. While others may still join, the session waits for them."""
        self._hold = not self._stopping and not self._all_ended()
        super()._done(task)

    def _all_ended(self) -> bool:
        """Whether every run ended of its own accord, not because its node went away."""
        return bool(self._runs.keys() - self._gone)

    def _finish(self) -> None:
        self._cluster.listeners.discard(self._follow)
        for handle in self._missing.values():
            handle.cancel()
        super()._finish()
