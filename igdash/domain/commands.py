"""What a session is as a command line: what igdash runs, and what a person would type instead.

Pure, so that a form can check and show it while somebody types. Values become `--name=value`
arguments of an argv, never part of a shell line; flags come from what the gadget has, because one
it lacks (`--host` for bpfstats) makes the whole command fail.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Final

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.gadgets import DataSource, Field, Gadget, Param
from igdash.domain.images import image_of
from igdash.domain.instances import instance_problem
from igdash.domain.sessions import SessionSpec, Target

MAX_TEXT: Final = 2_000
"""Longest text of one value, in characters."""

SILENT: Final = frozenset({"advise_seccomp", "profile_tcprtt", "profile_qdisc_latency"})
"""Gadgets that print nothing with `-o json` (seen on the real thing); over gRPC their data come."""
BINARIES: Final = frozenset({EnvironmentKind.IG, EnvironmentKind.KUBECTL_GADGET})
"""Ways in that read what a program prints."""
HOSTS: Final = frozenset({EnvironmentKind.IG, EnvironmentKind.IG_DAEMON})
"""Ways in to one machine."""

HEADLESS: Final = frozenset({EnvironmentKind.IG_DAEMON, EnvironmentKind.KUBERNETES})
"""Ways in to gadgets that run by themselves."""

_IG_TARGET: Final = {
    "namespace": "k8s-namespace",
    "pod": "k8s-podname",
    "container": "containername",
    "selector": "k8s-selector",
}
_KUBECTL_TARGET: Final = {
    "namespace": "namespace",
    "pod": "podname",
    "container": "containername",
    "selector": "selector",
    "node": "node",
}
_ON_CONTAINERS: Final = "k8s-namespace"
"""A parameter that every gadget has whose events belong to containers, and no other gadget."""

_HOST_FLAGS: Final = frozenset(
    {"host", "c", "containername", "runtime-containername", "runtime-containerimage-id"}
    | {"runtime-containerimage-digest", *_IG_TARGET.values()}
)
_KUBERNETES_COLUMNS: Final = frozenset(
    {"k8s.node", "k8s.namespace", "k8s.podName", "k8s.containerName"}
)

_INTEGER: Final = re.compile(r"(u?)int(8|16|32|64)?")
_DURATION: Final = re.compile(
    r"0|-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?)(ns|us|µs|ms|s|m|h))*"
)
_NAME: Final = re.compile(r"!?[A-Za-z0-9][A-Za-z0-9._-]*")
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]*=[A-Za-z0-9._-]*")


# ---------------------------------------------------------------- what is run


def run_argv(gadget: Gadget, spec: SessionSpec, environment: Environment) -> tuple[str, ...]:
    """Return the argv that runs the session there.

    For a replay: the `kubectl-gadget` command that would give such events on a cluster.
    """
    if spec.instance:
        remote = _daemon_flags(gadget, replace(environment, host=False))
        places = remote if environment.kind is EnvironmentKind.IG_DAEMON else ()
        return (*_program(environment), "attach", spec.instance, *places, "-o", "json")
    image = image_of(environment, gadget.name)
    return (*_program(environment), "run", image, *_flags(gadget, spec, environment))


def _usual(environment: Environment) -> str:
    names = {EnvironmentKind.IG: "ig", EnvironmentKind.IG_DAEMON: "gadgetctl"}
    return names.get(environment.kind, "kubectl-gadget")


def _program(environment: Environment) -> tuple[str, ...]:
    return environment.command or (_usual(environment),)


def _flags(gadget: Gadget, spec: SessionSpec, environment: Environment) -> Iterator[str]:
    yield from fitting_args(gadget, environment)
    if environment.kind is EnvironmentKind.IG_DAEMON:
        yield from _daemon_flags(gadget, environment)
    if environment.kind in HOSTS:
        yield from _target_flags(gadget, spec.target, _IG_TARGET)
    else:
        if environment.kind is EnvironmentKind.KUBERNETES:
            places = {"kubeconfig": environment.kubeconfig, "context": environment.context}
            yield from (f"--{flag}={value}" for flag, value in places.items() if value)
        if environment.gadget_namespace != "gadget":
            yield f"--gadget-namespace={environment.gadget_namespace}"
        if not spec.target.namespace and _has_containers(gadget):
            yield "--all-namespaces"
        yield from _target_flags(gadget, spec.target, _KUBECTL_TARGET)
    for name, value in _given(gadget, spec.params).items():
        yield f"--{name}={value}"
    if spec.headless:
        yield "--detach"
        return
    yield from ("-o", "json")


def _daemon_flags(gadget: Gadget, environment: Environment) -> Iterator[str]:
    yield f"--remote-address={environment.address}"
    files = {
        "tls-server-ca-file": environment.tls_ca,
        "tls-cert-file": environment.tls_cert,
        "tls-key-file": environment.tls_key,
        "tls-server-name": environment.tls_server_name,
    }
    yield from (f"--{flag}={value}" for flag, value in files.items() if value)
    if environment.host and gadget.param("host"):
        yield "--host"


def _given(gadget: Gadget, params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that differ from their defaults, by short name, in a fixed order.

    `-o json` leaves profile_blockio silent unless its own drawing of a histogram is switched off.
    """
    given = dict(sorted(short_params(gadget, params).items()))
    if gadget.name == "profile_blockio":
        quiet = "blockio:metrics.print=false"
        given["annotate"] = ",".join(filter(None, (given.get("annotate"), quiet)))
    return given


def short_params(gadget: Gadget, params: Mapping[str, str]) -> dict[str, str]:
    """Return the gadget's own parameters among `params` that are set to something else than their
    defaults, by short name."""
    found = {}
    for key, value in params.items():
        param = gadget.param(key)
        if param and not param.target and value not in ("", param.default):
            found[param.name] = value
    return found


def _target_flags(gadget: Gadget, target: Target, names: Mapping[str, str]) -> Iterator[str]:
    for part, flag in names.items():
        value = getattr(target, part)
        if value and (part == "node" or _has_containers(gadget)):
            yield f"--{flag}={value}"


def _has_containers(gadget: Gadget) -> bool:
    return gadget.param(_ON_CONTAINERS) is not None


def fitting_args(gadget: Gadget, environment: Environment) -> tuple[str, ...]:
    """Return the environment's `args` without flags that this gadget does not have."""
    return tuple(arg for arg, fits in _judged(gadget, environment.args) if fits)


def dropped_args(gadget: Gadget, environment: Environment) -> tuple[str, ...]:
    """Return those of the environment's `args` that this gadget would refuse as unknown flags."""
    return tuple(arg for arg, fits in _judged(gadget, environment.args) if not fits)


def _judged(gadget: Gadget, args: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Yield each argument and whether it may stay; the value after a flag shares its fate."""
    fits = value_follows = False
    for arg in args:
        if not (value_follows and not arg.startswith("-")):
            name, equals, _ = arg.lstrip("-").partition("=")
            fits = name not in _HOST_FLAGS or gadget.param(name) is not None
            value_follows = arg.startswith("-") and not equals
        yield arg, fits


def schema_for(gadget: Gadget, environment: Environment) -> tuple[DataSource, ...]:
    """Return the gadget's data sources as this environment's Inspektor Gadget describes them.

    On a plain host the k8s columns are hidden, the runtime's container is shown, and endpoints
    have no `k8s` object.
    """
    if environment.kind not in HOSTS:
        return gadget.sources
    return tuple(
        replace(source, fields=tuple(_on_host(source.fields))) for source in gadget.sources
    )


def _on_host(columns: tuple[Field, ...]) -> Iterator[Field]:
    for column in columns:
        if ".k8s." in column.name:
            continue
        if column.name in _KUBERNETES_COLUMNS:
            yield replace(column, hidden=True)
        elif column.name == "runtime.containerName":
            yield replace(column, hidden=False)
        else:
            yield column


def default_target(environment: Environment) -> Target:
    """Return the target a form begins with: on a cluster everything but Inspektor Gadget itself,
    which else makes 90 to 99.9 % of many gadgets' events."""
    if environment.kind in HOSTS:
        return Target()
    return Target(namespace=f"!{environment.gadget_namespace}")


# ---------------------------------------------------------------- what a person would type


def equivalents(
    gadget: Gadget, spec: SessionSpec, environment: Environment
) -> tuple[tuple[str, str], ...]:
    """Return (label, command line) pairs, quoted for a shell."""
    plain = Environment(name="", kind=environment.kind)
    shown = environment
    label = _usual(environment)
    if environment.image_prefix == plain.image_prefix:
        shown = replace(environment, image_prefix="")
    argv = run_argv(gadget, spec, shown)
    if spec.stop_after.seconds is not None and math.isfinite(spec.stop_after.seconds):
        argv = (*argv, f"--timeout={max(1, round(spec.stop_after.seconds))}")
    return ((label, shlex.join(argv)), ("igdash", shlex.join(_igdash(gadget, spec))))


def _igdash(gadget: Gadget, spec: SessionSpec) -> Iterator[str]:
    target, stop = spec.target, spec.stop_after
    yield from ("igdash", "start", gadget.name, "-e", spec.environment)
    options = (
        ("-n", target.namespace),
        ("-p", target.pod),
        ("-c", target.container),
        ("-l", target.selector),
        ("--node", target.node),
    )
    for option, value in options:
        if value:
            yield from (option, value)
    for name, value in sorted(short_params(gadget, spec.params).items()):
        yield from ("--param", f"{name}={value}")
    if stop.seconds is not None:
        yield from ("--duration", _duration(stop.seconds))
    if stop.events is not None:
        yield from ("--max-events", str(stop.events))
    if spec.headless:
        yield "--headless"
    if spec.instance:
        yield from ("--attach", spec.instance)
    if spec.name:
        yield from ("--name", spec.name)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


# ---------------------------------------------------------------- what is wrong


def check_spec(
    gadget: Gadget, spec: SessionSpec, environment: Environment | None = None
) -> dict[str, str]:
    """Return what is wrong with the spec: field (`params.pid`, `target.pod` …) to reason.

    With `environment` also what only matters there. Empty = it can be started.
    """
    problems = dict(_target_problems(gadget, spec.target, environment))
    for key, value in spec.params.items():
        why = _param_problem(gadget, key, value)
        if why:
            problems[f"params.{key}"] = why
    for param in gadget.params:
        if param.required and not param.default and not spec.params.get(param.name):
            problems.setdefault(f"params.{param.name}", "is required")
    problems |= _stop_problems(spec)
    problems |= _instance_problems(spec, environment)
    if len(spec.name) > MAX_TEXT or "\x00" in spec.name:
        problems["name"] = f"must be a text of at most {MAX_TEXT} characters"
    if environment and environment.kind in BINARIES and gadget.name in SILENT:
        problems["gadget"] = (
            f"{gadget.name} prints nothing as JSON, so there would be nothing to collect here"
        )
    return problems


def _instance_problems(spec: SessionSpec, environment: Environment | None) -> dict[str, str]:
    if why := instance_problem(spec):
        return {"instance": why}
    if spec.headless and spec.instance:
        return {"headless": "is for a gadget of one's own; leave it out to read an instance"}
    if spec.lives_on and environment and environment.kind not in HEADLESS:
        name = "headless" if spec.headless else "instance"
        return {name: f"{environment.name} has no headless instances"}
    return {}


def _target_problems(
    gadget: Gadget, target: Target, environment: Environment | None
) -> Iterator[tuple[str, str]]:
    own = f"!{environment.gadget_namespace}" if environment else "!gadget"
    for part in (each.name for each in fields(target)):
        value = getattr(target, part)
        if not value:
            continue
        why = _list_problem(value, _LABEL if part == "selector" else _NAME)
        if not why and part == "node":
            if environment and environment.kind in HOSTS:
                why = "this environment is a single machine, leave it empty"
        elif not why and not _has_containers(gadget) and value != own:
            why = f"{gadget.name} looks at whole machines, it cannot be limited to a {part}"
        if why:
            yield f"target.{part}", why


def _list_problem(value: str, pattern: re.Pattern[str]) -> str:
    if len(value) > MAX_TEXT:
        return f"is longer than {MAX_TEXT} characters"
    for item in value.split(","):
        if not pattern.fullmatch(item.strip()):
            if pattern is _LABEL:
                return f"{item!r} is no label such as app=shop"
            return f"{item!r} is no name; give names, comma separated, !name to leave one out"
    return ""


def _param_problem(gadget: Gadget, key: str, value: str) -> str:
    param = gadget.param(key)
    if param is None:
        names = [p.name for p in gadget.params if not p.target]
        near = difflib.get_close_matches(key, names, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"{gadget.name} has no parameter {key}{hint}"
    if param.target:
        return "is set by the session's target"
    if len(value) > MAX_TEXT:
        return f"is longer than {MAX_TEXT} characters"
    if "\x00" in value or "\n" in value:
        return "may not hold line breaks or NUL"
    if value.startswith("@"):
        return "may not begin with @: the value would be read from a file"
    return _value_problem(param, value) if value else ""


def _value_problem(param: Param, value: str) -> str:
    if param.one_of:
        allowed = ", ".join(param.one_of)
        return "" if value in param.one_of else f"{value!r} is not one of {allowed}"
    if param.type == "bool":
        return "" if value in ("true", "false") else f"{value!r} is neither true nor false"
    if param.type == "duration":
        fine = _DURATION.fullmatch(value)
        return "" if fine else f"{value!r} is no duration such as 500ms or 5s"
    integer = _INTEGER.fullmatch(param.type)
    return _integer_problem(value, bool(integer[1]), int(integer[2] or 64)) if integer else ""


def _integer_problem(value: str, unsigned: bool, bits: int) -> str:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not re.fullmatch(r"-?[0-9]{1,20}", value):
        return f"{value!r} is no whole number"
    return "" if low <= int(value) <= high else f"{value} is not in {low} … {high}"


def _stop_problems(spec: SessionSpec) -> dict[str, str]:
    problems = {}
    seconds, events = spec.stop_after.seconds, spec.stop_after.events
    if seconds is not None and not 0 < seconds < math.inf:
        problems["stop_after.seconds"] = "must be more than 0"
    if events is not None and events <= 0:
        problems["stop_after.events"] = "must be more than 0"
    return problems
