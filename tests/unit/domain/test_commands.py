"""Flags are those the gadget has, values stay values, and wrong ones are named by field."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from igdash.domain.commands import (
    check_spec,
    default_target,
    dropped_args,
    equivalents,
    run_argv,
    schema_for,
)
from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.sessions import SessionSpec, StopAfter, Target
from igdash.sources.catalogue import load_catalogue

GADGETS = load_catalogue()
TCP = GADGETS.get("trace_tcp")
HOST = Environment(
    name="host", kind=EnvironmentKind.IG, args=("--host", "--verify-image=false", "--pull", "never")
)
CLUSTER = Environment(name="prod", kind=EnvironmentKind.KUBECTL_GADGET)
REPLAY = Environment(name="demo", kind=EnvironmentKind.REPLAY)
IMAGE = "ghcr.io/inspektor-gadget/gadget/trace_tcp:latest"


def spec(gadget: str = "trace_tcp", **more: object) -> SessionSpec:
    return SessionSpec(gadget=gadget, environment="prod", **more)  # type: ignore[arg-type]


FULL = spec(
    target=Target(namespace="!gadget", pod="a,b", container="c", selector="app=x"),
    params={"pid": "5", "operator.oci.ebpf.accept-only": "true", "uid": "4294967295", "comm": ""},
)


def test_ig() -> None:
    assert run_argv(TCP, FULL, HOST) == (
        "ig", "run", IMAGE, "--host", "--verify-image=false", "--pull", "never",
        "--k8s-namespace=!gadget", "--k8s-podname=a,b", "--containername=c",
        "--k8s-selector=app=x", "--accept-only=true", "--pid=5", "-o", "json",
    )  # fmt: skip


def test_a_daemon() -> None:
    daemon = Environment(
        name="db", kind=EnvironmentKind.IG_DAEMON, address="tcp://db:8080",
        tls_ca="/a", tls_cert="/b", tls_key="/c", tls_server_name="ig",
    )  # fmt: skip
    assert run_argv(TCP, FULL, daemon) == (
        "gadgetctl", "run", IMAGE, "--remote-address=tcp://db:8080", "--tls-server-ca-file=/a",
        "--tls-cert-file=/b", "--tls-key-file=/c", "--tls-server-name=ig", "--host",
        "--k8s-namespace=!gadget", "--k8s-podname=a,b", "--containername=c",
        "--k8s-selector=app=x", "--accept-only=true", "--pid=5", "-o", "json",
    )  # fmt: skip
    plain = replace(daemon, host=False)
    assert "--host" not in run_argv(TCP, spec(), plain)
    assert "--host" not in run_argv(GADGETS.get("bpfstats"), spec("bpfstats"), daemon)
    assert equivalents(TCP, spec(), daemon)[0][0] == "gadgetctl"
    assert default_target(daemon) == Target()
    assert "target.node" in check_spec(TCP, spec(target=Target(node="a")), daemon)
    assert check_spec(GADGETS.get("advise_seccomp"), spec("advise_seccomp"), daemon) == {}
    hidden = {f.name for f in schema_for(TCP, daemon)[0].fields if f.hidden}
    assert "k8s.namespace" in hidden


def test_a_cluster_over_grpc() -> None:
    cluster = Environment(
        name="prod", kind=EnvironmentKind.KUBERNETES, kubeconfig="/k", context="p",
        gadget_namespace="ig",
    )  # fmt: skip
    assert run_argv(TCP, spec(), cluster) == (
        "kubectl-gadget", "run", IMAGE, "--kubeconfig=/k", "--context=p", "--gadget-namespace=ig",
        "--all-namespaces", "-o", "json",
    )  # fmt: skip
    assert check_spec(GADGETS.get("advise_seccomp"), spec("advise_seccomp"), cluster) == {}
    assert default_target(cluster) == Target(namespace="!ig")


def test_kubectl_gadget() -> None:
    there = replace(FULL, target=replace(FULL.target, node="worker-1"))
    assert run_argv(TCP, there, CLUSTER) == (
        "kubectl-gadget", "run", IMAGE, "--namespace=!gadget", "--podname=a,b",
        "--containername=c", "--selector=app=x", "--node=worker-1", "--accept-only=true",
        "--pid=5", "-o", "json",
    )  # fmt: skip
    assert "--all-namespaces" in run_argv(TCP, spec(), CLUSTER)
    other = replace(CLUSTER, gadget_namespace="ig", command=("kubectl", "gadget"))
    assert run_argv(TCP, spec(), other)[:4] == ("kubectl", "gadget", "run", IMAGE)
    assert "--gadget-namespace=ig" in run_argv(TCP, spec(), other)


@pytest.mark.parametrize(
    "name", ["bpfstats", "profile_blockio", "profile_tcprtt", "profile_qdisc_latency", "gpu_top"]
)
def test_flags_that_a_gadget_lacks_are_left_out(name: str) -> None:
    gadget = GADGETS.get(name)
    host = replace(HOST, args=("--host", "-c", "web", "--k8s-podname=x", "--verify-image=false"))
    assert dropped_args(gadget, host) == ("--host", "-c", "web", "--k8s-podname=x")
    argv = run_argv(gadget, spec(name, target=Target(namespace="!gadget")), host)
    assert "--verify-image=false" in argv
    assert not {"--host", "-c", "web", "--k8s-namespace=!gadget"} & set(argv)
    assert "--all-namespaces" not in run_argv(gadget, spec(name), CLUSTER)
    assert dropped_args(TCP, host) == ()


def test_profile_blockio_is_made_to_print() -> None:
    gadget = GADGETS.get("profile_blockio")
    quiet = "blockio:metrics.print=false"
    assert f"--annotate={quiet}" in run_argv(gadget, spec("profile_blockio"), HOST)
    own = spec("profile_blockio", params={"annotate": "blockio:x=y"})
    assert f"--annotate=blockio:x=y,{quiet}" in run_argv(gadget, own, CLUSTER)


@pytest.mark.parametrize("name", ["advise_seccomp", "profile_tcprtt", "profile_qdisc_latency"])
def test_gadgets_that_print_nothing_are_refused_where_that_matters(name: str) -> None:
    gadget = GADGETS.get(name)
    for environment in (HOST, CLUSTER):
        assert "prints nothing as JSON" in check_spec(gadget, spec(name), environment)["gadget"]
    assert check_spec(gadget, spec(name), REPLAY) == {}
    assert check_spec(gadget, spec(name)) == {}


def test_values_cannot_become_flags_or_shell() -> None:
    nasty = spec(params={"comm": "--host; rm -rf / $(id) 'x'"}, name="a 'b' $c")
    argv = run_argv(TCP, nasty, CLUSTER)
    assert argv[4] == "--comm=--host; rm -rf / $(id) 'x'"
    for _, line in equivalents(TCP, nasty, CLUSTER):
        assert shlex.split(line)  # quoted so that a shell reads the same words
    assert shlex.split(equivalents(TCP, nasty, CLUSTER)[0][1])[4] == argv[4]


def test_what_a_person_would_type() -> None:
    wanted = replace(FULL, name="two words", stop_after=StopAfter(seconds=600, events=1000))
    (label, kubectl), (own_label, own) = equivalents(TCP, wanted, CLUSTER)
    assert (label, own_label) == ("kubectl-gadget", "igdash")
    assert kubectl == (
        "kubectl-gadget run trace_tcp:latest '--namespace=!gadget' --podname=a,b "
        "--containername=c --selector=app=x --accept-only=true --pid=5 -o json --timeout=600"
    )
    assert own == (
        "igdash start trace_tcp -e prod -n '!gadget' -p a,b -c c -l app=x "
        "--param accept-only=true --param pid=5 --duration 10m --max-events 1000 "
        "--name 'two words'"
    )
    assert equivalents(TCP, spec(), REPLAY)[0][1] == (
        "kubectl-gadget run trace_tcp:latest --all-namespaces -o json"
    )


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("params.pid", "abc", "'abc' is no whole number"),
        ("params.pid", "-1", "-1 is not in 0 … 4294967295"),
        ("params.pid", "4294967296", "is not in"),
        ("params.pid", "\uff11", "is no whole number"),
        ("params.accept-only", "yes", "neither true nor false"),
        ("params.pull", "sometimes", "is not one of always, missing, never"),
        ("params.otel-metrics-print-interval", "5", "no duration such as"),
        ("params.pdi", "1", "trace_tcp has no parameter pdi; did you mean pid"),
        ("params.zzz", "1", "trace_tcp has no parameter zzz"),
        ("params.k8s-namespace", "x", "is set by the session's target"),
        ("params.comm", "@/etc/shadow", "would be read from a file"),
        ("params.comm", "a\x00b", "NUL"),
        ("params.comm", "x" * 3000, "longer than 2000"),
        ("target.namespace", "a b", "'a b' is no name"),
        ("target.namespace", "a,,b", "'' is no name"),
        ("target.namespace", "--host", "'--host' is no name"),
        ("target.pod", "nginx-*", "is no name"),
        ("target.selector", "app", "'app' is no label"),
        ("target.selector", "a=b," * 3000, "longer than"),
        ("stop_after.seconds", 0.0, "more than 0"),
        ("stop_after.seconds", float("nan"), "more than 0"),
        ("stop_after.seconds", float("inf"), "more than 0"),
        ("stop_after.events", 0, "more than 0"),
        ("name", "n" * 3000, "at most 2000"),
    ],
)
def test_wrong_values_are_named_by_field(field: str, value: object, reason: str) -> None:
    part, _, key = field.partition(".")
    wrong = {
        "params": {"params": {key: value}},
        "target": {"target": Target(**{key: value}) if part == "target" else None},
        "stop_after": {"stop_after": StopAfter(**{key: value}) if part == "stop_after" else None},
        "name": {"name": value},
    }[part]
    problems = check_spec(TCP, spec(**wrong))
    assert list(problems) == [field]
    assert reason in problems[field]


def test_right_values() -> None:
    assert check_spec(TCP, FULL, CLUSTER) == {}
    assert check_spec(TCP, spec(target=Target(selector="app=x,tier=y")), CLUSTER) == {}
    top = GADGETS.get("top_process")
    assert check_spec(top, spec("top_process", params={"interval": "1s", "count": "3"})) == {}


def test_targets_that_make_no_sense() -> None:
    there = spec(target=Target(node="worker-1"))
    assert "single machine" in check_spec(TCP, there, HOST)["target.node"]
    assert check_spec(TCP, there, CLUSTER) == {}
    stats = GADGETS.get("bpfstats")
    whole = spec("bpfstats", target=Target(pod="a", namespace="!gadget"))
    problems = check_spec(stats, whole, CLUSTER)
    assert list(problems) == ["target.pod"]  # the default of a form is let pass
    assert "whole machines" in problems["target.pod"]


def test_columns_as_the_environment_shows_them() -> None:
    (there,) = schema_for(TCP, CLUSTER)
    (here,) = schema_for(TCP, HOST)
    shown = {f.name for f in here.fields if not f.hidden}
    assert "runtime.containerName" in shown
    assert "k8s.podName" not in shown
    assert "k8s.podName" in {f.name for f in here.fields}
    assert not any(f.name.startswith(("src.k8s.", "dst.k8s.")) for f in here.fields)
    assert any(f.name == "src.k8s.kind" for f in there.fields)
    assert there.fields == TCP.sources[0].fields


def test_the_default_target_leaves_inspektor_gadget_out() -> None:
    assert default_target(HOST) == Target()
    assert default_target(CLUSTER) == Target(namespace="!gadget")
    assert default_target(replace(REPLAY, gadget_namespace="ig")) == Target(namespace="!ig")
