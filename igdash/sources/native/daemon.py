"""`ig daemon` on one host: one node, one address, a session's stream over gRPC."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar

from igdash.domain.commands import run_argv
from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError
from igdash.domain.gadgets import Delivery, Gadget
from igdash.domain.images import image_of as image_of
from igdash.domain.instances import Instance, own_id, own_name
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.times import now_ns
from igdash.sources.catalogue import load_catalogue
from igdash.sources.native.client import Connect, GrpcFailure, NativeLoop
from igdash.sources.native.describe import HOST, described, wire_params
from igdash.sources.native.http2 import UNAVAILABLE
from igdash.sources.native.instances import instances_at, list_instances, remove_at
from igdash.sources.native.pipes import Tls, daemon
from igdash.sources.native.runs import INFO, INFO_SECONDS, PROTOCOL, Wanted
from igdash.sources.native.stream import NativeStream
from igdash.sources.process import cause_first
from igdash_wire import ig_pb2 as pb

T = TypeVar("T")
GET_INFO: Final = "/api.BuiltInGadgetManager/GetInfo"
STATUS_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 5.0


@lru_cache(maxsize=1)
def shared_loop() -> NativeLoop:
    """Return the one event loop of this process; started at the first use."""
    return NativeLoop()


class DaemonSource:
    """The `Source` of an `ig-daemon` environment. Thread-safe.

    Events of a plain host do not name their node, so they get the environment's name.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.node = environment.name
        self._connect = daemon(environment.address, tls_of(environment))
        self._lock = threading.Lock()
        self._known: EnvironmentStatus | None = None
        self._asked = 0.0

    def status(self) -> EnvironmentStatus:
        """Ask the daemon for its version. Never raises; takes up to 10 s, then is cached."""
        with self._lock:
            if self._known is None or time.monotonic() - self._asked > FRESH_SECONDS:
                self._known = self._with_node(self._ask())
                self._asked = time.monotonic()
            return self._known

    def _with_node(self, status: EnvironmentStatus) -> EnvironmentStatus:
        state = NodeState.CONNECTED if status.health is Health.UP else NodeState.WAITING
        before = self._known.coverage[0] if self._known and self._known.coverage else None
        since = before.since if before and before.state is state else now_ns()
        node = NodeStatus(
            name=self.node, state=state, since=since, reason=status.reason, version=status.version
        )
        return replace(status, coverage=(node,))

    def _ask(self) -> EnvironmentStatus:
        status = EnvironmentStatus(
            name=self.environment.name,
            kind=self.environment.kind,
            health=Health.DOWN,
            nodes=(self.node,),
        )
        try:
            asked = ask_abilities(self._connect)
            version, headless = shared_loop().run(asked).result(STATUS_SECONDS * 2 + 1)
        except (SourceError, GrpcFailure, TimeoutError) as error:
            return replace(status, reason=why_down(self.environment, error))
        return replace(status, health=Health.UP, version=version, headless=headless)

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the `gadgetctl` line that would run the same."""
        return run_argv(self._gadget(spec), spec, self.environment)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return the image, the address, and the version if it is known already."""
        facts = {
            "image": image_of(self.environment, spec.gadget),
            "address": self.environment.address,
        }
        known = self._known
        if known is not None and known.version:
            facts["version"] = known.version
        return facts

    def restartable(self, spec: SessionSpec) -> bool:
        """Whether running it again continues the session: not for a gadget with a single answer."""
        known = known_gadget(spec.gadget)
        return (
            spec.lives_on
            or known is None
            or known.delivery not in (Delivery.ONCE, Delivery.AT_STOP)
        )

    def describe(self, gadget: str) -> Gadget:
        """Return the gadget as the daemon itself describes it. Raises `SourceError`.

        May take minutes on a busy host.
        """
        image = image_of(self.environment, gadget)
        try:
            answer = shared_loop().run(ask_info(self._connect, image)).result(INFO_SECONDS + 10)
        except (GrpcFailure, TimeoutError) as error:
            if isinstance(error, GrpcFailure) and error.status.code == UNAVAILABLE:
                raise SourceError(why_down(self.environment, error)) from error
            raise SourceError(f"{gadget}: {cause_first(str(error)) or 'no answer'}") from error
        return described(answer, known_gadget(gadget), gadget)

    def instances(self) -> Sequence[Instance]:
        """Return the daemon's headless instances. Raises `SourceError`."""
        return self._about_instances(instances_at(self._connect, self.node))

    def remove_instance(self, session: SessionId) -> None:
        """Remove the one that a session made. Raises `SourceError`."""
        self._about_instances(remove_at(self._connect, own_id(session)))

    def _about_instances(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return shared_loop().run(work).result(STATUS_SECONDS * 3)
        except (SourceError, GrpcFailure, TimeoutError) as error:
            raise SourceError(why_down(self.environment, error)) from error

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the gadget on the daemon; an unreachable one is waited for.

        Raises `SourceError` for a gadget nobody knows. Parameters are checked against what the
        daemon itself says of the gadget, when it runs.
        """
        self._gadget(spec)
        wanted = reading_instance(wanted_of(self.environment, spec, HOST), session, spec)
        return NativeStream(shared_loop(), wanted, sink, {self.node: self._connect})

    def _gadget(self, spec: SessionSpec) -> Gadget:
        try:
            return load_catalogue().get(spec.gadget)
        except GadgetNotFound as error:
            raise SourceError(str(error)) from error


def tls_of(environment: Environment) -> Tls | None:
    """Return the TLS files of an environment, None when it has none."""
    if not environment.tls_ca:
        return None
    return Tls(
        ca=environment.tls_ca,
        cert=environment.tls_cert,
        key=environment.tls_key,
        server_name=environment.tls_server_name,
    )


def why_down(environment: Environment, error: Exception) -> str:
    """Return what is wrong and what to do, naming the address."""
    text = str(error) or "no answer"
    if environment.address in text:
        return text
    hint = ""
    if environment.address.startswith("tcp://") and ("closed" in text or "reset" in text):
        hint = (
            f": does the daemon accept the client certificate {environment.tls_cert!r}?"
            if environment.tls_ca
            else ": does the daemon want TLS (tls_ca, tls_cert, tls_key)?"
        )
    return f"{environment.address}: {text}{hint}"


def wanted_of(environment: Environment, spec: SessionSpec, manager: str) -> Wanted:
    """Return what a session's runs ask for."""
    known = known_gadget(spec.gadget)
    params = wire_params(spec, known, manager)
    if environment.host and (known is None or known.param("host")) and manager == HOST:
        params[f"{HOST}host"] = "true"
    return Wanted(
        image=image_of(environment, spec.gadget),
        params=params,
        gadget=spec.gadget,
        known=known,
        once=known is not None and known.delivery is Delivery.ONCE,
    )


def reading_instance(wanted: Wanted, session: SessionId, spec: SessionSpec) -> Wanted:
    """Return what is wanted of a headless instance, when the session is about one."""
    if spec.headless:
        return replace(wanted, instance=own_id(session), name=own_name(session))
    return replace(wanted, instance=spec.instance)


async def ask_abilities(connect: Connect) -> tuple[str, bool]:
    """Return the server's version, and whether it can have headless instances. Raises as below."""
    client = await connect()
    try:
        request = pb.InfoRequest(version="1.0").SerializeToString()
        answer = await client.unary(GET_INFO, request, timeout=STATUS_SECONDS)
        version = pb.InfoResponse.FromString(answer).serverVersion
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                await list_instances(client)
        except GrpcFailure:
            return version, False  # a server without a store for instances does not know the call
        except TimeoutError:
            return version, True  # it would say at once that it does not know the call: it is slow
        return version, True
    finally:
        await client.aclose()


async def ask_version(connect: Connect) -> str:
    """Return the server's version. Raises `SourceError`, `GrpcFailure`, `TimeoutError`."""
    client = await connect()
    try:
        request = pb.InfoRequest(version="1.0").SerializeToString()
        answer = await client.unary(GET_INFO, request, timeout=STATUS_SECONDS)
        return pb.InfoResponse.FromString(answer).serverVersion
    finally:
        await client.aclose()


async def ask_info(connect: Connect, image: str) -> pb.GadgetInfo:
    """Return a gadget's metadata. Raises as `ask_version`; may take minutes on a busy node."""
    client = await connect()
    try:
        request = pb.GetGadgetInfoRequest(imageName=image, version=PROTOCOL)
        answer = await client.unary(INFO, request.SerializeToString(), timeout=INFO_SECONDS)
        return pb.GetGadgetInfoResponse.FromString(answer).gadgetInfo
    finally:
        await client.aclose()


def known_gadget(name: str) -> Gadget | None:
    """Return the catalogue's gadget of this name, if it has one."""
    try:
        return load_catalogue().get(name)
    except GadgetNotFound:
        return None
