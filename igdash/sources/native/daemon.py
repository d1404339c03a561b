"""`ig daemon` on one host: one node, one address, a session's stream over gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError
from igdash.domain.gadgets import Gadget
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.sources.catalogue import load_catalogue
from igdash.sources.native.client import Connect, GrpcFailure, NativeLoop
from igdash.sources.native.describe import HOST, described, wire_params
from igdash.sources.native.pipes import Tls, check_address, daemon
from igdash.sources.native.runs import INFO, INFO_SECONDS, PROTOCOL, Wanted
from igdash.sources.native.stream import NativeStream
from igdash_wire import ig_pb2 as pb

GET_INFO: Final = "/api.BuiltInGadgetManager/GetInfo"
STATUS_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 5.0


@lru_cache(maxsize=1)
def shared_loop() -> NativeLoop:
    """Return the one event loop of this process; started at the first use."""
    return NativeLoop()


class DaemonSource:
    """The `Source` of an `ig-daemon` environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        tls = None
        if environment.tls_ca or environment.tls_cert or environment.tls_key:
            tls = Tls(
                ca=environment.tls_ca,
                cert=environment.tls_cert,
                key=environment.tls_key,
                server_name=environment.tls_server_name,
            )
        self._connect = daemon(environment.address, tls)
        kind, host, _ = check_address(environment.address)
        self.node = "localhost" if kind == "unix" else host
        self._lock = threading.Lock()
        self._known: tuple[float, EnvironmentStatus] | None = None

    def status(self) -> EnvironmentStatus:
        """Ask the daemon for its version."""
        with self._lock:
            if self._known is not None and time.monotonic() - self._known[0] < FRESH_SECONDS:
                return self._known[1]
            status = self._ask()
            self._known = (time.monotonic(), status)
            return status

    def _ask(self) -> EnvironmentStatus:
        made = EnvironmentStatus
        name, kind = self.environment.name, self.environment.kind
        try:
            version = shared_loop().run(ask_version(self._connect)).result(STATUS_SECONDS * 2 + 1)
        except (SourceError, GrpcFailure, TimeoutError) as error:
            reason = str(error) or "no answer"
            return made(name=name, kind=kind, health=Health.DOWN, reason=reason)
        return made(name=name, kind=kind, health=Health.UP, version=version, nodes=(self.node,))

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the `gadgetctl` line that would run the same."""
        gadget = known_gadget(spec.gadget)
        flags = [
            f"--{key.rsplit('.', 1)[-1]}={value}"
            for key, value in sorted(wire_params(spec, gadget, HOST).items())
        ]
        remote = f"--remote-address={self.environment.address}"
        return (
            "gadgetctl",
            "run",
            image_of(self.environment, spec.gadget),
            remote,
            *flags,
            "-o",
            "json",
        )

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return facts to store with the session."""
        facts = {
            "image": image_of(self.environment, spec.gadget),
            "address": self.environment.address,
        }
        version = self.status().version
        return facts | ({"ig version": version} if version else {})

    def restartable(self, spec: SessionSpec) -> bool:  # noqa: ARG002
        """A stream can always be run again."""
        return True

    def describe(self, gadget: str) -> Gadget:
        """Return the gadget as the daemon itself describes it. Raises `SourceError`."""
        image = image_of(self.environment, gadget)
        try:
            answer = shared_loop().run(ask_info(self._connect, image)).result(INFO_SECONDS + 10)
        except (GrpcFailure, TimeoutError) as error:
            raise SourceError(f"{gadget}: {str(error) or 'no answer'}") from error
        return described(answer, known_gadget(gadget), gadget)

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:  # noqa: ARG002
        """Start the gadget on the daemon; an unreachable one is waited for."""
        params = wire_params(spec, known_gadget(spec.gadget), HOST)
        wanted = Wanted(image=image_of(self.environment, spec.gadget), params=params)
        return NativeStream(shared_loop(), wanted, sink, {self.node: self._connect})


def image_of(environment: Environment, gadget: str) -> str:
    """Return the gadget's image reference; a full reference is left as it is."""
    if "/" in gadget:
        return gadget
    return f"{environment.image_prefix}{gadget}:{environment.image_tag}"


async def ask_version(connect: Connect) -> str:
    """Return the server's version. Raises `SourceError`, `GrpcFailure`, `TimeoutError`."""
    client = await connect()
    try:
        request = pb.InfoRequest(version="1.0").SerializeToString()
        answer = await client.unary(GET_INFO, request, timeout=STATUS_SECONDS)
        return pb.InfoResponse.FromString(answer).serverVersion
    finally:
        client.close()


async def ask_info(connect: Connect, image: str) -> pb.GadgetInfo:
    """Return a gadget's metadata. Raises as `ask_version`; may take minutes on a busy node."""
    client = await connect()
    try:
        request = pb.GetGadgetInfoRequest(imageName=image, version=PROTOCOL)
        answer = await client.unary(INFO, request.SerializeToString(), timeout=INFO_SECONDS)
        return pb.GetGadgetInfoResponse.FromString(answer).gadgetInfo
    finally:
        client.close()


def known_gadget(name: str) -> Gadget | None:
    """Return the catalogue's gadget of this name, if it has one."""
    try:
        return load_catalogue().get(name)
    except GadgetNotFound:
        return None
