"""`igdash serve` as people run it: one command, two processes, whatever dies comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Server
from tests.support.serving import Serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    found = Serving(tmp_path)
    try:
        yield found
    finally:
        found.close()


def soon(condition: Callable[[], object]) -> None:
    """Wait at most ten seconds for what asks the server or starts a process."""
    wait_until(condition, every=0.1)


def running(serving: Serving, *ids: str) -> bool:
    sessions = serving.sessions()
    return all(sessions[one]["state"] == "running" for one in ids)


def events(serving: Serving, one: str) -> int:
    return int(serving.get(f"/api/sessions/{one}")["events"])


def test_sessions_survive_the_death_of_everything(serving: Serving):
    """kill -9 the collector, kill -9 the web, SIGTERM: the same sessions go on each time."""
    serving.start()
    one = serving.igdash("start", "trace_tcp", "-e", "demo", "-n", "production").strip()
    two = serving.igdash("start", "trace_exec", "-e", "demo").strip()
    soon(lambda: events(serving, one) > 0 and events(serving, two) > 0)

    os.kill(serving.child("collect"), signal.SIGKILL)
    before = events(serving, one)
    soon(serving.is_ready)
    soon(lambda: events(serving, one) > before)
    soon(lambda: running(serving, one, two))
    assert "collect ended" in serving.said()
    assert "killed by SIGKILL" in serving.said()

    os.kill(serving.child("web"), signal.SIGKILL)
    soon(lambda: not serving.answers())
    soon(serving.answers)
    before = events(serving, one)
    soon(lambda: events(serving, one) > before)

    assert serving.stop() == 0
    assert {s["state"] for s in serving.sessions().values()} == {"running"}
    assert not serving.answers()

    serving.start()
    before = events(serving, one)
    soon(lambda: events(serving, one) > before)
    losses = serving.igdash("losses", one)
    assert "stream" in losses
    serving.igdash("stop", one, two[:6])
    soon(lambda: {s["state"] for s in serving.sessions().values()} == {"stopped"})
    serving.igdash("delete", one)
    assert set(serving.sessions()) == {two}
    assert serving.stop(signal.SIGINT) == 0
    assert "ok" in serving.igdash("db", "check")


@pytest.mark.postgres
def test_on_postgresql(tmp_path: Path, postgres_server: Server):
    """The same, with the history on a server; and the server going away for a moment."""
    name = postgres_server.create()
    serving = Serving(tmp_path, postgres_server.url(name))
    try:
        serving.start()
        one = serving.igdash("start", "trace_exec", "-e", "demo").strip()
        soon(lambda: events(serving, one) > 0)
        os.kill(serving.child("collect"), signal.SIGKILL)
        before = events(serving, one)
        soon(lambda: events(serving, one) > before)
        second = refused(serving, "--port", "0")
        assert second.returncode == 1
        assert "another igdash collects into" in second.stderr
        postgres_server.stop()
        postgres_server.start()
        before = int(serving.sessions()[one]["events"])
        soon(lambda: events(serving, one) > before)
        assert serving.stop() == 0
        assert serving.sessions()[one]["state"] == "running"
        assert "ok" in serving.igdash("db", "check")
    finally:
        serving.close()
        postgres_server.drop(name)


def test_one_that_runs(serving: Serving):
    """What a first line says, who may read the files, and that a second one is refused."""
    serving.start()
    line = next(line for line in serving.said().splitlines() if line.startswith("igdash is on"))
    assert line.startswith(f"igdash is on {serving.url} (store sqlite:///{serving.folder}")
    assert serving.collector() == serving.child("collect")
    assert serving.get("/healthz")
    with pytest.raises(OSError, match=r"400|403|421"):
        serving.get("/api/stats", Host="evil.example")

    serving.igdash("start", "trace_exec", "-e", "demo")
    for path in (serving.folder / "igdash.db", *(serving.folder / "igdash.state").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path

    broken = serving.call("start", "trace_exec", "-e", "broken")
    assert broken.returncode == 1
    assert "nowhere: No such file or directory" in broken.stderr
    for words, wanted in (
        (("trace_exek",), "did you mean trace_exec"),
        (("trace_exec", "--param", "pid=x", "--param", "nope=1"), "params.pid"),
        (("trace_exec", "-e", "other"), "configured: broken, demo"),
    ):
        wrong = serving.call("start", "-e", "demo", *words)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wanted in wrong.stderr
        assert wrong.stderr.count("\n") == 1

    second = refused(serving, "--port", "0")
    assert second.returncode == 1
    assert "another igdash collects into" in second.stderr
    assert serving.answers()


def test_what_lies_in_the_current_folder_is_not_imported(serving: Serving):
    for name in ("flask.py", "sqlalchemy.py", "igdash.py", "logging.py"):
        (serving.folder / name).write_text("raise SystemExit('taken for the real one')\n")
    igdash = Path(sys.executable).with_name("igdash")
    words = [str(igdash)] if igdash.exists() else [sys.executable, "-P", "-m", "igdash"]
    serving.run([*words, "serve", "--config", str(serving.config)], cwd=serving.folder)
    soon(serving.answers)


def test_a_busy_port_is_one_clear_line(serving: Serving):
    with socket.create_server(("127.0.0.1", serving.port)):
        done = refused(serving)
    assert done.returncode == 1
    assert f"port {serving.port} on 127.0.0.1 is in use" in done.stderr
    assert not (serving.folder / "igdash.db").exists()


def test_a_port_that_others_can_reach_needs_the_flag(serving: Serving):
    done = refused(serving, "--host", "0.0.0.0")
    assert done.returncode != 0
    assert "igdash has no login" in done.stderr
    assert "--insecure-no-login" in done.stderr
    serving.start("serve", "--host", "0.0.0.0", "--insecure-no-login")
    assert serving.answers()


def test_a_bad_configuration_is_one_clear_line(serving: Serving):
    serving.config.write_text("[web]\nprot = 1\n", encoding="utf-8")
    done = refused(serving)
    assert done.returncode == 2
    assert "did you mean web.port" in done.stderr


def test_a_store_it_may_not_touch_is_one_clear_line(serving: Serving):
    path = serving.folder / "igdash.db"
    path.write_bytes(b"something else\n" * 100)
    done = refused(serving)
    assert done.returncode == 1
    assert "igdash.db" in done.stderr
    assert path.read_bytes() == b"something else\n" * 100


def test_a_folder_that_cannot_be_used_is_one_clear_line(serving: Serving):
    (serving.folder / "file").touch()
    done = refused(serving, "--store", f"sqlite:///{serving.folder}/file/x.db")
    assert done.returncode == 1
    assert "store.url: cannot use the folder" in done.stderr


def test_children_end_when_their_parent_is_killed(serving: Serving):
    serving.start()
    pids = serving.children()
    assert serving.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not any(alive(pid) for pid in pids), timeout=12)


def refused(serving: Serving, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `serve`, which must end by itself with exactly one line."""
    done = subprocess.run(
        serving.argv("serve", *words), capture_output=True, text=True, check=False, timeout=100
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("igdash: ")]
    assert len(lines) == 1, done.stderr
    return done


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
