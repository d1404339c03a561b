"""The port `Source`, over every adapter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from igdash.domain.environments import Environment, EnvironmentKind, Health
from igdash.domain.errors import SourceError
from igdash.domain.ports import Source
from igdash.domain.sessions import SessionId, SessionSpec, Target
from igdash.sources import make_source
from igdash.sources.native.daemon import shared_loop
from igdash.sources.native.kubernetes import KubernetesSource
from tests.support.cluster_process import cluster_process
from tests.support.daemon_process import daemon_process
from tests.support.sinks import RecordingSink
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FAKE = (sys.executable, "-I", "-S", str(ROOT / "tests" / "support" / "fake_ig.py"))
SESSION = SessionId("0123456789ab")

WORKING = {
    "replay": Environment(
        name="demo", kind=EnvironmentKind.REPLAY, folder=str(ROOT / "examples" / "recordings")
    ),
    "ig": Environment(name="host", kind=EnvironmentKind.IG, command=FAKE, args=("--host",)),
    "kubectl-gadget": Environment(name="k", kind=EnvironmentKind.KUBECTL_GADGET, command=FAKE),
    "ig-daemon": Environment(name="host", kind=EnvironmentKind.IG_DAEMON, address=""),
    "kubernetes": Environment(name="k", kind=EnvironmentKind.KUBERNETES),
}
BROKEN = {
    "replay": Environment(name="demo", kind=EnvironmentKind.REPLAY, folder="/nonexistent/folder"),
    "ig": Environment(name="host", kind=EnvironmentKind.IG, command=("/nonexistent/ig",)),
    "kubectl-gadget": Environment(
        name="k", kind=EnvironmentKind.KUBECTL_GADGET, command=("/nonexistent/kubectl-gadget",)
    ),
    "ig-daemon": Environment(
        name="host", kind=EnvironmentKind.IG_DAEMON, address="unix:///nonexistent/ig.socket"
    ),
    "kubernetes": Environment(
        name="k", kind=EnvironmentKind.KUBERNETES, kubeconfig="/nonexistent/kubeconfig"
    ),
}
WAITING = ("ig-daemon", "kubernetes")
"""Kinds whose sessions wait for an environment that is down."""
SERVED = {"trace_tcp": {"play": "kubernetes-trace_tcp", "rate": 200.0, "loop": True}}


@pytest.fixture(params=sorted(WORKING))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def daemon_address() -> Iterator[str]:
    with daemon_process(SERVED) as address:
        yield address


@pytest.fixture(scope="module")
def kubeconfig(daemon_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import_module("kubernetes.aio.config")  # once, for seconds, and it keeps a file open
    with cluster_process(tmp_path_factory.mktemp("cluster"), daemon_address) as config:
        yield config


@pytest.fixture
def made() -> Iterator[Callable[[Environment], Source]]:
    """Makes sources; those that watch are closed at the end."""
    sources: list[Source] = []

    def make(environment: Environment) -> Source:
        sources.append(make_source(environment))
        return sources[-1]

    yield make
    for one in sources:
        if isinstance(one, KubernetesSource):
            one.close()


@pytest.fixture
def source(
    kind: str, made: Callable[[Environment], Source], request: pytest.FixtureRequest
) -> Source:
    environment = WORKING[kind]
    if kind == "ig-daemon":
        environment = replace(environment, address=request.getfixturevalue("daemon_address"))
    elif kind == "kubernetes":
        environment = replace(environment, kubeconfig=request.getfixturevalue("kubeconfig"))
    return made(environment)


@pytest.fixture(autouse=True)
def nothing_left(kubeconfig: str) -> Iterator[None]:
    """No thread, process or file may outlive a stream.

    The native loop is of the process, and so are the threads it keeps for what blocks.
    """
    shared_loop()

    def state() -> tuple[set[str], int]:
        names = {thread.name for thread in threading.enumerate()}
        names = {name for name in names if not name.startswith("asyncio_")}
        return names, len(list(Path("/proc/self/fd").iterdir()))

    before = state()
    yield
    # A TLS connection says good-bye before its socket is closed.
    wait_until(lambda: state() == before, timeout=3)


def spec(gadget: str = "trace_tcp", **target: str) -> SessionSpec:
    return SessionSpec(gadget=gadget, environment="x", target=Target(**target))


def opened(source: Source, wanted: SessionSpec) -> tuple[RecordingSink, Callable[[], None]]:
    sink = RecordingSink()
    stream = source.open(SESSION, wanted, sink)

    def stop() -> None:
        stream.stop(timeout=5)
        stream.stop(timeout=5)
        assert stream.join(10)
        assert sink.over.is_set()
        assert not sink.faults

    return sink, stop


def test_a_session_from_start_to_stop(source: Source) -> None:
    sink, stop = opened(source, spec(namespace="production"))
    sink.wait_for(events=3, calls=("started",))
    assert sink.end is None
    stop()
    assert sink.end == (False, "")
    assert sink.calls.count("started") == 1
    assert sink.calls.count("ended") == 1
    assert sink.calls[-1] == "ended"
    assert not sink.malformed()
    assert all(e.ts > 0 and e.origin.namespace for e in sink.events() if '"last"' not in e.data)


def test_a_stop_right_after_the_start(source: Source) -> None:
    sink, stop = opened(source, spec())
    stop()
    assert sink.end is not None
    assert not sink.end[0]


def test_several_sessions_at_once(source: Source) -> None:
    sessions = [opened(source, spec()) for _ in range(4)]
    for sink, _ in sessions:
        sink.wait_for(events=2)
    for _, stop in sessions:
        stop()


def test_what_is_stored_with_a_session(source: Source) -> None:
    argv = source.command(SESSION, spec(namespace="demo"))
    assert isinstance(argv, tuple)
    assert "run" in argv
    assert any(arg.endswith("trace_tcp:latest") for arg in argv)
    info = source.info(spec())
    assert info
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in info.items())
    assert source.restartable(spec()) is True


def test_status_of_a_working_environment(kind: str, source: Source) -> None:
    status = source.status()
    assert (status.name, status.kind) == (WORKING[kind].name, WORKING[kind].kind)
    assert status.health is Health.UP
    assert status.reason == ""
    assert status.version


def test_a_broken_environment_says_what_is_wrong(
    kind: str, made: Callable[[Environment], Source]
) -> None:
    source = made(BROKEN[kind])
    status = source.status()
    assert status.health is Health.DOWN
    assert "/nonexistent/" in status.reason
    if kind in WAITING:
        return
    with pytest.raises(SourceError, match="/nonexistent/"):
        source.open(SESSION, spec(), RecordingSink())


def test_an_unknown_gadget(source: Source) -> None:
    with pytest.raises(SourceError, match="trace_tpc"):
        source.open(SESSION, spec("trace_tpc"), RecordingSink())


@pytest.mark.parametrize("kind", WAITING)
def test_a_session_waits_for_an_environment_that_is_down(
    kind: str, made: Callable[[Environment], Source]
) -> None:
    sink, stop = opened(made(BROKEN[kind]), spec())
    sink.wait_for(calls=("chunk",))
    assert "started" not in sink.calls
    assert sink.node_counts[-1:] == ([(1, 0)] if kind == "ig-daemon" else [])
    assert "/nonexistent/" in sink.logs()[0].text
    stop()
    assert sink.end == (False, "")
