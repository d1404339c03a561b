"""`ig` and `kubectl-gadget`: what they are asked, and what is said when they cannot be."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from igdash.domain.environments import Environment, EnvironmentKind, Health
from igdash.domain.errors import SourceError
from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionId, SessionSpec, Target
from igdash.sources import Orphans, binary, make_source
from tests.support.sinks import RecordingSink

FAKE = (sys.executable, "-I", "-S", str(Path(__file__).parents[2] / "support" / "fake_ig.py"))
HOST = Environment(name="edge-box", kind=EnvironmentKind.IG, command=FAKE, args=("--host",))
CLUSTER = Environment(name="prod", kind=EnvironmentKind.KUBECTL_GADGET, command=FAKE)
SESSION = SessionId("0123456789ab")


def spec(gadget: str = "trace_tcp", **more: object) -> SessionSpec:
    return SessionSpec(gadget=gadget, environment="x", **more)  # type: ignore[arg-type]


def having(environment: Environment, *options: str) -> Environment:
    return replace(environment, command=(*FAKE, *options))


def run(environment: Environment, wanted: SessionSpec, orphans: Orphans | None = None):
    sink = RecordingSink()
    stream = make_source(environment, orphans).open(SESSION, wanted, sink)
    assert sink.over.wait(10)
    assert stream.join(5)
    return sink


def test_the_child_gets_target_and_parameters_as_flags(tmp_path: Path) -> None:
    wanted = spec(target=Target(namespace="!gadget"), params={"pid": "5"})
    run(having(CLUSTER, f"--args={tmp_path / 'args'}", "--lines=1"), wanted)
    assert (tmp_path / "args").read_text().split("\n") == [
        "ghcr.io/inspektor-gadget/gadget/trace_tcp:latest",
        "--namespace=!gadget", "--pid=5", "-o", "json",
    ]  # fmt: skip


def test_events_of_a_host_get_the_environments_name_as_node() -> None:
    (event, _) = run(having(HOST, "--lines=1"), spec()).events()
    assert event.origin.node == "edge-box"
    (event, _) = run(having(CLUSTER, "--lines=1"), spec()).events()
    assert event.origin.node == ""


def test_how_many_nodes_are_covered() -> None:
    assert run(having(HOST, "--lines=1"), spec()).node_counts == [(1, 1)]
    assert run(having(CLUSTER, "--lines=1"), spec()).node_counts == []
    two = spec(target=Target(node="worker-1,worker-2"))
    assert run(having(CLUSTER, "--lines=1"), two).node_counts == [(2, 2)]


def test_a_failing_start_ends_the_session_with_the_reason() -> None:
    sink = run(having(HOST, "--fail=fetching gadget information: not found"), spec())
    assert sink.end == (True, "fetching gadget information: not found")
    assert len(sink.logs()) == 2


def test_what_a_stop_throws_away_is_told_for_a_cluster_only() -> None:
    for environment, losses in ((CLUSTER, [LossCause.STOP_TAIL]), (HOST, [])):
        sink = RecordingSink()
        stream = make_source(environment).open(SESSION, spec(), sink)
        sink.wait_for(events=2)
        stream.stop(timeout=5)
        assert stream.join(10)
        assert [loss.cause for loss in sink.losses()] == losses
        assert all(not loss.exact and loss.count == 0 for loss in sink.losses())


def test_gadgets_that_print_nothing_are_refused() -> None:
    with pytest.raises(SourceError, match="prints nothing as JSON"):
        run(CLUSTER, spec("advise_seccomp"))


def test_what_was_left_out_is_said() -> None:
    info = make_source(HOST).info(spec("bpfstats"))
    assert info["left out"] == "--host: bpfstats has no such flag"
    assert info["image"] == "ghcr.io/inspektor-gadget/gadget/bpfstats:latest"
    assert "left out" not in make_source(HOST).info(spec())


def test_version_is_asked_once_and_kept(tmp_path: Path) -> None:
    source = make_source(HOST)
    assert source.status().version == "v0.55.0-55-gaeac857bd"
    assert source.status() is source.status()
    assert source.status().nodes == ("edge-box",)
    assert source.info(spec())["version"] == "v0.55.0-55-gaeac857bd"


def test_one_that_answers_with_an_error_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    status = make_source(having(CLUSTER, "--version-fails")).status()
    assert (status.health, status.reason) == (Health.DOWN, "no cluster: connection refused")
    monkeypatch.setattr(binary, "PATIENCE", 0.2)
    status = make_source(having(CLUSTER, "--version-hangs")).status()
    assert status.health is Health.DOWN
    assert "did not answer in 0.2 s" in status.reason
    status = make_source(replace(HOST, command=("/etc/passwd",))).status()
    assert status.health is Health.DOWN
    assert "cannot be run" in status.reason


def test_what_may_be_run_again() -> None:
    source = make_source(HOST)
    assert source.restartable(spec("trace_tcp"))
    assert source.restartable(spec("top_tcp"))
    assert not source.restartable(spec("snapshot_process"))
    assert not source.restartable(spec("traceloop"))
    assert not source.restartable(spec("nosuch"))


def test_the_process_is_noted_while_it_runs(tmp_path: Path) -> None:
    orphans = Orphans(tmp_path / "gadgets")
    note = tmp_path / "gadgets" / f"{SESSION}.pid"
    sink = RecordingSink()
    stream = make_source(HOST, orphans).open(SESSION, spec(), sink)
    sink.wait_for(events=1)
    assert json.loads(note.read_text())["pid"] == stream.process[0]
    stream.stop(timeout=5)
    assert stream.join(10)
    assert not note.exists()
    run(having(HOST, "--fail=x"), spec(), orphans)
    assert not note.exists()
