"""Credentials that run out, rights that are missing, an API server that contradicts itself."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from igdash.domain.environments import Health
from igdash.domain.errors import SourceError
from igdash.domain.losses import LossCause
from igdash.sources.native import apiserver
from igdash.sources.native.kubernetes import KubernetesSource
from tests.support.apiserver import ALL
from tests.support.cluster import Site, collecting, environment, received, watched
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
GADGET = frozenset(
    {("list", "pods", "gadget"), ("watch", "pods", "gadget")}
    | {("get", "pods/portforward", "gadget"), ("create", "pods/portforward", "gadget")}
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, "worker-1")
    yield made
    made.close()


def up(source: KubernetesSource) -> None:
    wait_until(lambda: source.status().health is Health.UP)


# ---------------------------------------------------------------- credentials


def test_a_client_certificate(site: Site) -> None:
    with watched(site.server.cert_config()) as source:
        status = source.status()
        assert (status.health, status.nodes, status.version) == (Health.UP, ("worker-1",), "0.55.1")


def plugin(site: Site, *tokens: str) -> tuple[Path, Path]:
    """Return a kubeconfig whose credential plugin gives these tokens one after the other, and the
    file that has a line per run."""
    runs, script = site.server.folder / "runs", site.server.folder / "plugin"
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "@"},
    }
    script.write_text(
        f"#!/bin/sh\necho run >> {runs}\nset -- {' '.join(tokens)}\n"
        f'n=$(wc -l < {runs}); [ "$n" -gt $# ] && n=$#; shift $((n - 1))\n'
        f"echo '{json.dumps(answer)}' | sed \"s/@/$1/\"\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(script),
            "interactiveMode": "Never",
        }
    }
    return site.server.kubeconfig(user, "kubeconfig-exec"), runs


def test_an_expired_token_is_renewed_by_its_plugin(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "RELOAD_SECONDS", 0.0)
    config, runs = plugin(site, "first", "second")
    site.server.tokens = {"first": ALL}
    with watched(config) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        site.server.tokens = {"second": ALL}
        assert len(runs.read_text().splitlines()) == 1
        # What is open stays open; the next requests come with the new token.
        assert sink.node_counts[-1] == (1, 1)
        site.server.cut(site.pods["worker-1"])
        wait_until(lambda: any(x.cause is LossCause.STREAM for x in sink.losses()))
        wait_until(lambda: sink.node_counts[-1] == (1, 1))
        assert len(runs.read_text().splitlines()) == 2
        site.add("worker-2")
        wait_until(lambda: "worker-2" in received(sink))


def test_credentials_that_stay_bad_are_not_asked_for_all_the_time(site: Site) -> None:
    config, runs = plugin(site, "bad")
    with watched(config) as source:
        status = source.status()
        assert status.health is Health.DOWN
        assert "does not accept the credentials (401)" in status.reason
        wait_until(lambda: len(site.server.requests) >= 6)
        assert len(runs.read_text().splitlines()) == 1


def test_the_account_of_the_pod(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import incluster_config, kube_config

    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent")
    monkeypatch.setattr("kubernetes.aio.config.KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(site.server.authority.ca))
    monkeypatch.setattr(apiserver, "RELOAD_SECONDS", 0.0)
    site.server.tokens = {"first": ALL}
    with watched("") as source:
        assert "igdash does not run in a pod" in source.status().reason
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(site.server.port))
    with watched("") as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        token.write_text("second")
        site.server.tokens = {"second": ALL}
        site.server.cut(site.pods["worker-1"])
        wait_until(lambda: any(x.cause is LossCause.STREAM for x in sink.losses()))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("/nonexistent/kubeconfig", r"there is no kubeconfig /nonexistent/kubeconfig"),
        ("{", "the kubeconfig cannot be used"),
        ("{}", "the kubeconfig cannot be used"),
        ("no certificate", "its certificate is refused"),
        ("nobody there", "the API server https://127.0.0.1:1 does not answer: Connection refused"),
    ],
)
def test_what_is_wrong_is_said(site: Site, tmp_path: Path, config: str, reason: str) -> None:
    path = tmp_path / "config"
    made = yaml.safe_load(site.server.token_config().read_text())
    if config == "no certificate":
        del made["clusters"][0]["cluster"]["certificate-authority"]
    elif config == "nobody there":
        made["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    elif config.startswith("/"):
        path = Path(config)
    if not config.startswith("/"):
        path.write_text(config if config.startswith("{") else json.dumps(made))
    with watched(path) as source:
        status = source.status()
        assert status.health is Health.DOWN
        assert re.search(reason, status.reason)
        with pytest.raises(SourceError, match=reason):
            source.describe("trace_open")


def test_an_unknown_context_is_said(site: Site) -> None:
    with watched(site.server.token_config(), context="nope") as source:
        assert "nope" in source.status().reason


# ---------------------------------------------------------------- rights


def test_no_right_to_find_the_gadget_pods(site: Site) -> None:
    site.server.tokens = {"good-token": frozenset()}
    with watched(site.server.token_config()) as source:
        status = source.status()
        assert status.health is Health.DOWN
        assert status.reason == "missing right: list pods in namespace gadget"
        assert status.rights[0].startswith("list pods in namespace gadget: ")


def test_without_the_right_to_watch_the_list_still_serves(site: Site) -> None:
    site.server.tokens = {"good-token": GADGET - {("watch", "pods", "gadget")}}
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        right = "watch pods in namespace gadget: gadget pods are listed every 10 s instead"
        wait_until(lambda: right in source.status().rights)
        site.add("worker-2")
        wait_until(lambda: "worker-2" in received(sink), timeout=15)
        asked = len(site.server.requests)
        for _ in range(50):
            status = source.status()
            assert (status.health, right in status.rights) == (Health.UP, True)
        assert len(site.server.requests) - asked < 10  # none per look
        site.server.tokens = {"good-token": GADGET}
        wait_until(lambda: right not in source.status().rights, timeout=15)


@pytest.mark.parametrize("verb", ["get", "create"])
def test_one_verb_is_not_enough_to_reach_a_pod(site: Site, verb: str) -> None:
    site.server.tokens = {"good-token": GADGET - {(verb, "pods/portforward", "gadget")}}
    with watched(site.server.token_config()) as source:
        status = source.status()
        right = "get and create pods/portforward in namespace gadget"
        assert f"{right}: gadgets cannot be run" in status.rights
        with collecting(source) as sink:
            wait_until(lambda: any(right in line.text for line in sink.logs()))
            assert right in sink.coverage["worker-1"].reason
            site.server.tokens = {"good-token": GADGET}
            wait_until(lambda: received(sink))
        assert not any("portforward" in text for text in source.status().rights)


def test_without_rights_on_the_cluster_only_suggestions_are_off(site: Site) -> None:
    site.server.tokens = {"good-token": GADGET}
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        wait_until(lambda: len(source.status().rights) == 2)
        status = source.status()
        assert status.health is Health.UP
        assert status.rights == (
            "list namespaces in all namespaces: no suggestions for namespaces",
            "list pods in all namespaces: no suggestions for pods and labels",
        )
        assert status.suggestions["node"] == ("worker-1",)
        assert status.suggestions["pod"] == ()


def test_the_documented_rights_are_those_asked_for(site: Site) -> None:
    """Every right in rbac.yaml is used, and none is used that is not in it."""
    granted = set()
    text = (ROOT / "deploy" / "kubernetes" / "rbac.yaml").read_text()
    for made in yaml.safe_load_all(text):
        if made["kind"] in ("Role", "ClusterRole"):
            namespace = made["metadata"].get("namespace", "")
            for rule in made["rules"]:
                assert rule["apiGroups"] == [""]
                granted |= {
                    (verb, resource, namespace)
                    for verb in rule["verbs"]
                    for resource in rule["resources"]
                }
    site.server.tokens = {"good-token": frozenset(granted)}
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        source.describe("trace_open")
        wait_until(lambda: source.status().suggestions["pod"])
        site.replace("worker-1")
        site.server.compact()
        site.add("worker-2")
        wait_until(lambda: "worker-2" in received(sink))
        assert not source.status().rights
    assert site.server.used == granted


# ---------------------------------------------------------------- suggestions and watches


def test_suggestions_follow_the_cluster(site: Site) -> None:
    server = site.server
    server.put("namespaces", "shop")
    labels = {"labels": {"app": "cart", "tier": "web"}}
    spec = {"containers": [{"name": "main"}, {"name": "proxy"}]}
    server.put("pods", "cart-1", "shop", metadata=labels, spec=spec)
    with watched(server.token_config()) as source:
        wait_until(lambda: "cart-1" in source.status().suggestions["pod"])
        found = source.status().suggestions
        assert found["namespace"] == ("gadget", "shop")
        assert found["container"] == ("gadget", "main", "proxy")
        assert {"app=cart", "tier=web"} <= set(found["selector"])
        # One for each of three kinds; a list is answered before its watch begins.
        wait_until(lambda: server.watches == 3)
        server.put("namespaces", "bank")
        server.delete("pods", "cart-1", "shop")
        wait_until(lambda: "cart-1" not in source.status().suggestions["pod"])
        wait_until(lambda: "bank" in source.status().suggestions["namespace"])
        for _ in range(20):
            source.status()
        assert server.watches == 3  # none per look


def test_many_pods_come_in_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igdash.sources.native.watching.PAGE", 7)
    for number in range(30):
        site.server.put("pods", f"p{number:02}", "shop")
    with watched(site.server.token_config()) as source:
        wait_until(lambda: len(source.status().suggestions["pod"]) == 31)


def test_a_watch_that_is_too_old_lists_again(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        site.server.kill()
        site.server.compact()
        site.server.start()
        wait_until(lambda: sink.node_counts[-1] == (1, 1) and len(sink.losses()) == 1)
        site.add("worker-2")
        wait_until(lambda: "worker-2" in received(sink))


def test_versions_that_run_backwards_are_listed_again(site: Site) -> None:
    """A restored or replaced server knows older versions than ours: 504, then 200."""
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: received(sink))
        site.server.kill()
        site.server.state.version -= 500
        site.server.start()
        site.add("worker-2")
        wait_until(lambda: "worker-2" in received(sink))


def test_watches_end_and_begin_by_themselves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igdash.sources.native.watching.WATCH_SECONDS", 1)
    with watched(site.server.token_config()) as source:
        up(source)
        lists = [r for r in site.server.requests if "limit=" in r]
        wait_until(lambda: site.server.watches > 8)
        assert [r for r in site.server.requests if "limit=" in r] == lists
        site.add("worker-2")
        wait_until(lambda: source.status().nodes == ("worker-1", "worker-2"))


def test_a_watch_that_falls_silent_is_begun_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("igdash.sources.native.watching.SILENCE", 0.3)
    site.server.bookmark_every = 60
    with watched(site.server.token_config()) as source:
        up(source)
        lists = [r for r in site.server.requests if "gadget/pods" in r and "limit=" in r]
        wait_until(lambda: site.server.watches > 6)
        assert source.status().health is Health.UP
        again = [r for r in site.server.requests if "gadget/pods" in r and "limit=" in r]
        assert again == lists


# ---------------------------------------------------------------- what the source tells


def test_a_cluster_without_inspektor_gadget(site: Site) -> None:
    with watched(site.server.token_config(), gadget_namespace="other") as source:
        status = source.status()
        assert status.health is Health.DOWN
        assert "no pod with label k8s-app=gadget in namespace other" in status.reason


def test_nodes_and_their_versions(site: Site) -> None:
    server = site.server
    server.gadget_pod("gadget-x", "worker-0", 0, phase="Pending")
    with watched(server.token_config()) as source:
        up(source)
        status = source.status()
        assert [(one.name, one.state.value, one.version) for one in status.coverage] == [
            ("worker-0", "waiting", "0.55.1"),
            ("worker-1", "connected", "0.55.1"),
        ]
        assert source.describe("trace_open").sources[0].name == "numbers"


def test_a_closed_port_is_said(site: Site) -> None:
    site.server.ports[site.pods["worker-1"]] = 0
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        wait_until(lambda: any("failed to connect to localhost" in x.text for x in sink.logs()))
        site.server.ports[site.pods["worker-1"]] = site.daemons["worker-1"].port
        wait_until(lambda: received(sink))


def test_a_wrong_target_is_refused_before_anything_runs(site: Site) -> None:
    from igdash.domain.sessions import SessionId, SessionSpec, Target
    from tests.support.sinks import RecordingSink

    source = KubernetesSource(environment(site.server.token_config()))
    spec = SessionSpec(gadget="trace_open", environment="k", target=Target(pod="a b"))
    with pytest.raises(SourceError, match=r"target\.pod"):
        source.open(SessionId("0123456789ab"), spec, RecordingSink())
    assert not site.server.requests
