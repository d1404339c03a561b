"""A Kubernetes cluster as igdash needs it: its gadget pods, what else is there, and a way to each pod.

The gadget pods are found by label and watched: a pod's phase and its containers' restarts say when it
is worth while to try again. Namespaces, pods and labels for the start form come from two more
watches; whoever may not read them only misses the suggestions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from igdash.domain.environments import Environment
from igdash.domain.errors import SourceError
from igdash.domain.times import now_ns
from igdash.sources.native.apiserver import ApiServer, ApiSocket, Denied, NotThere, Right
from igdash.sources.native.client import GrpcClient
from igdash.sources.native.forward import PROTOCOL, Forwards
from igdash.sources.native.watching import MOST_WAIT, Item, Watch

GADGET_LABEL: Final = "k8s-app=gadget"
GADGET_PORT: Final = 8080
MOST_SUGGESTED: Final = 1_000
"""Values offered per field; a person types on, and free text is always allowed."""
_OVER: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A gadget pod as last seen. Equal ones are in the same state, so trying again is no use."""

    name: str
    node: str
    uid: str = ""
    phase: str = ""
    ending: bool = False
    restarts: int = 0
    started: bool = False
    image: str = ""

    @property
    def version(self) -> str:
        """The tag of its image, without a leading `v`."""
        tag = self.image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        return tag[1:] if tag[:1] == "v" and tag[1:2].isdigit() else tag


def pod_of(item: Item) -> Pod:
    """Return the gadget pod that an object of the API is."""
    statuses = item.status.container_statuses or ()
    return Pod(
        name=item.metadata.name,
        node=item.spec.node_name,
        uid=item.metadata.uid,
        phase=item.status.phase,
        ending=item.metadata.deletion_timestamp is not None or item.status.phase in _OVER,
        restarts=sum(one.restart_count for one in statuses),
        started=any(one.started or one.ready for one in statuses),
        image=statuses[0].image if statuses else "",
    )


class Cluster:
    """One cluster. Everything runs on the loop.

    `pods` are the gadget pods by node: of several on one node the one that stays. `listeners` are
    called after every change of `pods` or `trouble`.
    """

    def __init__(self, environment: Environment) -> None:
        self._namespace = environment.gadget_namespace
        self._server = ApiServer(environment)
        self._gadgets = Watch(
            self._server,
            "pods",
            namespace=self._namespace,
            selector=GADGET_LABEL,
            changed=self._pods_changed,
        )
        self._others = (Watch(self._server, "namespaces"), Watch(self._server, "pods"))
        self._forwards = Forwards()
        self._forward_right = Right(
            verb="get and create", resource="pods/portforward", namespace=self._namespace
        )
        self._forward_denied = False
        self.pods: dict[str, Pod] = {}
        self.since: dict[str, int] = {}
        self.listeners: set[Callable[[], None]] = set()

    # -- life

    def begin(self) -> None:
        """Start watching the gadget pods, once."""
        self._gadgets.begin()

    def begin_suggestions(self) -> None:
        """Start watching what the start form suggests, once."""
        for watch in self._others:
            watch.begin()

    async def answered(self) -> None:
        """Wait until the API server was asked for the gadget pods."""
        await self._gadgets.answered.wait()

    async def ask_again(self) -> None:
        """If the API server did not answer, ask now instead of later, and wait for what it says."""
        if self._gadgets.trouble:
            self._gadgets.answered.clear()
            self._gadgets.hurry()
            await self.answered()

    async def close(self) -> None:
        """Stop watching and close the HTTP session as soon as no forward needs it."""
        for watch in (self._gadgets, *self._others):
            await watch.close()
        await self._server.close()

    # -- what is known

    @property
    def trouble(self) -> str:
        """Why the gadget pods are not known, or not as they are now; empty = they are."""
        watch = self._gadgets
        if not watch.trouble and not self.pods:
            return (
                f"no pod with label {GADGET_LABEL} in namespace {self._namespace}: is Inspektor"
                " Gadget deployed there?"
            )
        return watch.trouble

    @property
    def current(self) -> bool:
        """Whether `pods` is what the cluster has now, as far as can be known."""
        return not self._gadgets.trouble

    @property
    def reachable(self) -> bool:
        """Whether forwards were allowed when last tried."""
        return not self._forward_denied

    def next_try(self) -> int | None:
        """Return when the API server is asked again (ns), if it failed."""
        return self._gadgets.next_try

    def missing_rights(self) -> tuple[str, ...]:
        """Return each right that the API server refused, and what is off because of it."""
        missing = []
        if right := self._gadgets.denied:
            missing.append(f"{right}: {_off(right, 'gadget pods', 'gadget pods cannot be found')}")
        if self._forward_denied:
            missing.append(f"{self._forward_right}: gadgets cannot be run")
        for watch, what in zip(self._others, ("namespaces", "pods and labels"), strict=True):
            if right := watch.denied:
                missing.append(f"{right}: {_off(right, what, f'no suggestions for {what}')}")
        return tuple(missing)

    def suggestions(self) -> dict[str, tuple[str, ...]]:
        """Return known values for a target's fields, sorted, at most `MOST_SUGGESTED` each."""
        namespaces, pods = (watch.items for watch in self._others)
        found: dict[str, set[str]] = {
            "namespace": {name for _, name in namespaces} | {space for space, _ in pods},
            "pod": {name for _, name in pods},
            "container": {c.name for pod in pods.values() for c in pod.spec.containers or ()},
            "selector": {
                f"{key}={value}"
                for pod in pods.values()
                for key, value in (pod.metadata.labels or {}).items()
            },
            "node": set(self.pods),
        }
        return {key: tuple(sorted(values)[:MOST_SUGGESTED]) for key, values in found.items()}

    def _pods_changed(self) -> None:
        best: dict[str, Pod] = {}
        for item in self._gadgets.items.values():
            pod = pod_of(item)
            known = best.get(pod.node)
            if pod.node and (known is None or (known.ending, known.name) > (pod.ending, pod.name)):
                best[pod.node] = pod
        now = now_ns()
        for node in best.keys() | self.pods.keys():
            if best.get(node) != self.pods.get(node):
                self.since[node] = now
        self.pods = best
        self._forwards.keep({pod.name for pod in best.values()})
        for listener in tuple(self.listeners):
            listener()

    # -- the way to a pod

    async def connect(self, node: str) -> GrpcClient:
        """Return a connection to the gadget pod that is on `node` now. Raises `SourceError`."""
        pod = self.pods.get(node)
        if pod is None:
            raise SourceError(f"there is no gadget pod on {node} at the moment")
        if pod.ending:
            raise SourceError(f"the gadget pod {pod.name} is ending")
        if pod.phase != "Running":
            raise SourceError(f"the gadget pod {pod.name} is not running yet ({pod.phase})")
        try:
            client = await self._forwards.client(pod.name, partial(self._forward, pod))
        except Denied:
            self._forward_denied = True
            raise
        except NotThere as error:
            # We missed a change: the watch tells of the new pod, or is begun anew.
            self._gadgets.hurry()
            raise SourceError(f"the gadget pod {pod.name} is gone") from error
        self._forward_denied = False
        return client

    async def _forward(self, pod: Pod) -> ApiSocket:
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod.name}/portforward"
        return await self._server.upgrade(
            f"{path}?ports={GADGET_PORT}", self._forward_right, PROTOCOL
        )

    def counts(self) -> Mapping[str, int]:
        """Return how many forwards are open, gadget pods are known and requests watches made."""
        watches = (self._gadgets, *self._others)
        return {
            "forwards": self._forwards.count(),
            "pods": len(self.pods),
            "watch_requests": sum(watch.requests for watch in watches),
            "tasks": len(asyncio.all_tasks()),
        }


def _off(right: Right, what: str, off: str) -> str:
    """Return what a missing right costs: who may list but not watch sees changes later."""
    return f"{what} are listed every {MOST_WAIT:.0f} s instead" if right.verb == "watch" else off
