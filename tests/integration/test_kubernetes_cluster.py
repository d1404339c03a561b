"""A cluster of three gadget pods: what goes, comes back, joins or freezes is covered and accounted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.environments import Health
from igdash.domain.losses import LossCause
from igdash.domain.nodes import NodeState
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.times import NS
from igdash.sources.native import client, kubernetes, runs
from tests.support.cluster import SessionSink, Site, account, collecting, received, watched
from tests.support.proxy import Proxy
from tests.support.waiting import patience, wait_until

NODES = ("worker-1", "worker-2", "worker-3")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, *NODES)
    yield made
    made.close()


def gaps(sink: SessionSink, node: str) -> int:
    return sum(1 for x in sink.losses() if x.node == node and x.cause is LossCause.STREAM)


def flowing(sink: SessionSink, *nodes: str, more: int = 3) -> None:
    """Wait until each node sends, from now on."""
    before = {node: len(numbers) for node, numbers in received(sink).items()}
    wait_until(
        lambda: all(len(received(sink).get(n, ())) > before.get(n, 0) + more for n in nodes),
        every=0.1,
    )


def test_three_nodes_one_pod_replaced_one_node_joins(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        answered = site.replace("worker-2", starting=1.0)
        wait_until(lambda: gaps(sink, "worker-2"), every=0.05)
        # Within seconds of the new pod answering, not after the back-off.
        assert time.monotonic() - answered < patience(3.0)
        site.add("worker-4")
        flowing(sink, *NODES, "worker-4")
        assert sink.node_counts[-1] == (4, 4)
    missing = account(site, sink)
    assert missing["worker-2"] > 10
    assert {node: missing[node] for node in ("worker-1", "worker-3", "worker-4")} == {
        "worker-1": 0,
        "worker-3": 0,
        "worker-4": 0,
    }
    texts = [line.text for line in sink.logs()]
    assert "worker-4 joined: its events begin here" in texts
    assert not any("joined" in text for text in texts if "worker-4" not in text)


def test_a_gadget_process_that_dies_comes_back_in_the_same_pod(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.crash("worker-1", away=1.0)
        flowing(sink, *NODES)
        assert gaps(sink, "worker-1") == 1
        assert gaps(sink, "worker-2") == 0
    assert account(site, sink)["worker-1"] > 20


def test_a_change_of_the_pod_ends_the_back_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        monkeypatch.setattr(runs.Backoff, "next", lambda self: 60.0)
        site.crash("worker-1", away=0.5)
        flowing(sink, *NODES)
        site.server.kill()
        wait_until(lambda: sink.node_counts[-1] == (3, 0))
        wait_until(lambda: source.status().next_try)
        site.server.start()
        source.status()  # as a person who presses the button would
        flowing(sink, *NODES)
    account(site, sink)


def test_a_node_that_refuses_is_tried_again_with_its_next_pod(site: Site) -> None:
    site.daemons["worker-2"].scripts["trace_open"].error = "starting operators: no systemd"
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, "worker-1", "worker-3")
        wait_until(lambda: sink.coverage["worker-2"].state is NodeState.FAILED)
        assert sink.node_counts[-1] == (3, 2)
        assert "no systemd" in sink.coverage["worker-2"].reason
        site.replace("worker-2")
        flowing(sink, *NODES)
        assert sink.node_counts[-1] == (3, 3)


def test_a_gadget_that_every_node_refuses_has_failed(site: Site) -> None:
    for daemon in site.daemons.values():
        daemon.scripts["trace_open"].error = "starting operators: no kprobes"
    with watched(site.server.token_config()) as source:
        sink = SessionSink()
        spec = SessionSpec(gadget="trace_open", environment="k")
        stream = source.open(SessionId("0123456789ab"), spec, sink)
        assert stream.join(10)
        assert sink.end is not None
        assert sink.end[0]
        assert "no kprobes" in sink.end[1]


def test_the_api_server_goes_and_comes_back(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.server.kill()
        wait_until(lambda: sink.node_counts[-1] == (3, 0))
        wait_until(lambda: source.status().health is Health.DOWN)
        assert "does not answer" in source.status().reason
        assert source.status().next_try
        site.server.start()
        flowing(sink, *NODES)
        assert [gaps(sink, node) for node in NODES] == [1, 1, 1]
        wait_until(lambda: source.status().health is Health.UP)
    assert all(account(site, sink).values())
    texts = [line.text for line in sink.logs()]
    assert texts.count("the cluster answers again") == 1


@pytest.mark.nightly
def test_the_api_server_is_away_for_a_minute(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.server.kill()
        time.sleep(60)
        site.server.start()
        back = time.monotonic()
        wait_until(lambda: all(gaps(sink, node) == 1 for node in NODES), timeout=30)
        assert time.monotonic() - back < patience(12)
        flowing(sink, *NODES)
    assert all(account(site, sink).values())


def test_a_cut_forward_touches_one_node(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        assert site.server.cut(site.pods["worker-3"]) == 1
        wait_until(lambda: gaps(sink, "worker-3"))
        flowing(sink, *NODES)
    missing = account(site, sink)
    assert (missing["worker-1"], missing["worker-2"]) == (0, 0)


def test_a_path_that_swallows_everything_is_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.QUIET + client.PATIENCE <= 30
    monkeypatch.setattr(client, "QUIET", 0.4)
    monkeypatch.setattr(client, "PATIENCE", 0.6)
    road = Proxy(site.server.port)
    config = site.server.kubeconfig({"token": "good-token"}, port=road.port)
    with watched(config) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        road.freeze()
        wait_until(lambda: sink.node_counts[-1] == (3, 0))
        road.thaw()
        flowing(sink, *NODES)
        assert [gaps(sink, node) for node in NODES] == [1, 1, 1]
    assert all(account(site, sink).values())
    road.close()


def test_a_node_without_a_pod_is_given_up_and_taken_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "GONE_AFTER_SECONDS", 0.5)
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.remove("worker-1")
        wait_until(lambda: gaps(sink, "worker-1"))
        wait_until(lambda: sink.node_counts[-1] == (2, 2))
        assert sink.coverage["worker-1"].state is NodeState.ENDED
        site.add("worker-1")
        flowing(sink, *NODES)
        assert sink.node_counts[-1] == (3, 3)


def test_a_pod_that_is_no_gadget_pod_any_more_was_read_until_then(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took its label away: it answers as before, but is none of ours."""
    monkeypatch.setattr(kubernetes, "GONE_AFTER_SECONDS", 0.5)
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.server.delete("pods", site.pods["worker-1"], "gadget")
        wait_until(lambda: sink.node_counts[-1] == (2, 2))
        flowing(sink, "worker-2", "worker-3")
    first = min(event.ts for event in sink.events() if event.origin.node == "worker-1")
    [gap] = [one for one in sink.losses() if one.node == "worker-1"]
    assert gap.start > first + 0.5 * NS


def test_a_node_away_at_the_stop_has_its_loss_record(site: Site) -> None:
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        flowing(sink, *NODES)
        site.remove("worker-2")
        wait_until(lambda: sink.node_counts[-1] == (3, 2))
        flowing(sink, "worker-1", "worker-3", more=30)
    assert account(site, sink)["worker-2"]


def test_the_target_names_nodes(site: Site) -> None:
    with watched(site.server.token_config()) as source:
        with collecting(source, "worker-1,worker-3") as sink:
            flowing(sink, "worker-1", "worker-3")
            assert sink.node_counts[-1] == (2, 2)
        with collecting(source, "!worker-1") as sink:
            flowing(sink, "worker-2", "worker-3")
            assert "worker-1" not in received(sink)


def test_sessions_share_one_forward_per_node(site: Site) -> None:
    with watched(site.server.token_config()) as source:
        with collecting(source) as one, collecting(source) as two:
            wait_until(lambda: one.node_counts[-1] == two.node_counts[-1] == (3, 3))
            assert len(site.server.forwards) == 3
        wait_until(lambda: not site.server.forwards)


def test_two_igdash_on_one_cluster_do_not_disturb_each_other(site: Site) -> None:
    config = site.server.token_config()
    with watched(config) as mine, watched(config) as yours, collecting(mine) as sink:
        with collecting(yours) as other:
            wait_until(lambda: sink.node_counts[-1] == other.node_counts[-1] == (3, 3))
            assert len(site.server.forwards) == 6
            flowing(other, *NODES)
        flowing(sink, *NODES)
        assert [gaps(sink, node) for node in NODES] == [0, 0, 0]


def test_a_session_waits_for_a_cluster_that_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "LISTED_SECONDS", 0.5)
    site.server.kill()
    with watched(site.server.token_config()) as source, collecting(source) as sink:
        assert any("does not answer" in line.text for line in sink.logs())
        site.server.start()
        flowing(sink, *NODES)
        assert [gaps(sink, node) for node in NODES] == [0, 0, 0]
