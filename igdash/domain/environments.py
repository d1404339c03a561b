"""Where gadgets can run: configured once, asked often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from igdash.domain.nodes import NodeStatus


class EnvironmentKind(StrEnum):
    """The ways to reach a gadget."""

    IG = "ig"
    """A local `ig` binary, one subprocess per session."""
    IG_DAEMON = "ig-daemon"
    """gRPC to `ig daemon`."""
    KUBERNETES = "kubernetes"
    """gRPC to every gadget pod of a cluster, over the API server's port-forward."""
    KUBECTL_GADGET = "kubectl-gadget"
    """A `kubectl-gadget` binary, one subprocess per session."""
    REPLAY = "replay"
    """Recorded JSON lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One `[[environments]]` entry of the configuration (design: api.md, Configuration).

    `command` is the argv prefix, `args` are appended after `run IMAGE`; the image of a gadget is
    `image_prefix + name + ":" + image_tag`. `folder`, `speed` (0 = as fast as it can), `loop` and
    `retime` belong to replay; `gadget_namespace` is where IG itself runs. `address` (`unix://…`,
    `tcp://…`), the `tls_…` files and `host` (the host's own processes, too, not only containers)
    belong to ig-daemon; `kubeconfig` (empty = the usual places, or the pod's own account) and
    `context` to kubernetes.
    """

    name: str
    kind: EnvironmentKind
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    address: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_server_name: str = ""
    host: bool = True
    kubeconfig: str = ""
    context: str = ""
    image_prefix: str = "ghcr.io/inspektor-gadget/gadget/"
    image_tag: str = "latest"
    gadget_namespace: str = "gadget"
    folder: str = ""
    speed: float = 1.0
    loop: bool = True
    retime: bool = True

    @property
    def place(self) -> str:
        """Where it is, in words for people: an address, a cluster's context, a command, a folder."""
        if self.kind is EnvironmentKind.REPLAY:
            return self.folder
        if self.kind is EnvironmentKind.IG_DAEMON:
            return self.address
        if self.kind is EnvironmentKind.KUBERNETES:
            context = f"context {self.context}" if self.context else "current context"
            return f"{context}, namespace {self.gadget_namespace}"
        return " ".join(self.command)


class Health(StrEnum):
    """Whether an environment answers."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentStatus:
    """What is known of an environment right now; `reason` says why it is down and what to do.

    `gadgets` names those it can run, empty = not known, so all of the catalogue. `suggestions` maps
    `namespace`, `pod`, `container`, `node` to values known to exist there (may be empty).
    `coverage` tells of each node by itself where that is known (then `nodes` are their names);
    `next_try` is when it is looked at again (ns since the epoch, 0 = not known). `rights` names each
    missing right and what is off without it. `headless`: gadgets can run there by themselves.
    """

    name: str
    kind: EnvironmentKind
    health: Health = Health.UNKNOWN
    reason: str = ""
    version: str = ""
    nodes: tuple[str, ...] = ()
    gadgets: tuple[str, ...] = ()
    suggestions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coverage: tuple[NodeStatus, ...] = ()
    next_try: int = 0
    rights: tuple[str, ...] = ()
    headless: bool = False


def parse_address(address: str) -> tuple[str, str, int]:
    """Return (`unix`, path, 0) or (`tcp`, host, port). Raises `ValueError` saying what is allowed."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        port = None
    else:
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            return "unix", parts.path, 0
        if parts.scheme == "tcp" and parts.hostname and port and parts.path in ("", "/"):
            return "tcp", parts.hostname, port
    raise ValueError(
        f"{address!r} is no address such as unix:///var/run/ig/ig.socket or tcp://host:8080"
    )


def daemon_problem(environment: Environment) -> tuple[str, str] | None:
    """Return the key of an ig-daemon's entry that is wrong and why, None when it is fine."""
    try:
        scheme, _, _ = parse_address(environment.address)
    except ValueError as error:
        return "address", str(error)
    files = ("tls_ca", "tls_cert", "tls_key")
    given = [key for key in (*files, "tls_server_name") if getattr(environment, key)]
    missing = [key for key in files if key not in given]
    if given and missing:
        return missing[0], (
            f"must be given, too: the daemon wants to see a certificate, and {given[0]} is set"
        )
    if given and scheme == "unix":
        return given[0], "is for tcp:// addresses, a socket needs no TLS"
    return None


# ---------------------------------------------------------------- what each kind can be told

_BINARY: Final = {
    "command": "Words that start the program, before `run IMAGE`, e.g. ['sudo', '-n', 'ig'].",
    "args": "Words appended after `run IMAGE`, e.g. ['--host'].",
    "image_prefix": "Put before a gadget's name to make its image.",
    "image_tag": "Put after a gadget's name, behind a colon.",
}
_DAEMON: Final = {
    "address": "Where `ig daemon` listens: unix:///var/run/ig/ig.socket or tcp://host:port.",
    "tls_ca": "PEM file of the authority that signed the daemon's certificate; with `tls_cert` and"
    " `tls_key`, or none of the three.",
    "tls_cert": "PEM file of the client certificate that the daemon asks for.",
    "tls_key": "PEM file of the client certificate's key, without a passphrase.",
    "tls_server_name": "Name in the daemon's certificate. Empty: the host of `address`.",
    "host": "Whether the host's own processes are watched, not only containers.",
    "image_prefix": "Put before a gadget's name to make its image.",
    "image_tag": "Put after a gadget's name, behind a colon.",
}
ENVIRONMENT_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "ig": _BINARY,
    "ig-daemon": _DAEMON,
    "kubernetes": {
        "kubeconfig": "Kubeconfig file. Empty: `KUBECONFIG`, else ~/.kube/config; without one, the"
        " account of the pod that igdash runs in.",
        "context": "Context of the kubeconfig. Empty: its current one.",
        "gadget_namespace": "Namespace in which Inspektor Gadget itself runs.",
        "image_prefix": "Put before a gadget's name to make its image.",
        "image_tag": "Put after a gadget's name, behind a colon.",
    },
    "kubectl-gadget": _BINARY
    | {"gadget_namespace": "Namespace in which Inspektor Gadget itself runs."},
    "replay": {
        "folder": "Folder of the recordings, relative to the configuration file.",
        "speed": "How many times faster than recorded; 0 = as fast as it can.",
        "loop": "Whether to begin again at the end.",
        "retime": "Whether to move the events' own times to now.",
    },
}
