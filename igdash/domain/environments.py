"""Where gadgets can run: configured once, asked often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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
    `tcp://…`) and the `tls_…` files belong to ig-daemon; `kubeconfig` (empty = the usual places, or
    the pod's own account) and `context` to kubernetes.
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
    kubeconfig: str = ""
    context: str = ""
    image_prefix: str = "ghcr.io/inspektor-gadget/gadget/"
    image_tag: str = "latest"
    gadget_namespace: str = "gadget"
    folder: str = ""
    speed: float = 1.0
    loop: bool = True
    retime: bool = True


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
    """

    name: str
    kind: EnvironmentKind
    health: Health = Health.UNKNOWN
    reason: str = ""
    version: str = ""
    nodes: tuple[str, ...] = ()
    gadgets: tuple[str, ...] = ()
    suggestions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
