"""The supervisor with real, tiny children: restarts, refusals, order of stopping, orphans."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from igdash.services import supervisor
from igdash.services.supervisor import EXIT_REFUSED, Child, Supervisor
from tests.support.waiting import no_thread, wait_until

READY_THEN_WAIT = "print('ready', flush=True); signal.pause()"
LOG_END = "signal.signal(15, lambda *a: (note('end'), sys.exit(0)))"


def child(folder: Path, name: str, code: str, **more: object) -> Child:
    """A Python child that can `note(word)`: append `name word pid` to the diary."""
    head = (
        "import os, signal, sys, time\n"
        f"def note(word): open({str(folder / 'diary')!r}, 'a').write("
        f"f'{name} {{word}} {{os.getpid()}}\\n')\n"
        "note('start')\n"
    )
    argv = [sys.executable, "-S", "-c", head + code]
    return Child(name=name, argv=argv, environ=dict(os.environ), **more)  # type: ignore[arg-type]


def diary(folder: Path) -> list[list[str]]:
    path = folder / "diary"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def words(folder: Path) -> list[str]:
    return [" ".join(entry[:2]) for entry in diary(folder)]


class Running:
    """A supervisor on a thread of its own, without its signal handlers."""

    def __init__(self, *children: Child, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervisor.signal, "signal", lambda *_: signal.SIG_DFL)
        self.supervisor = Supervisor(children)
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.code = self.supervisor.run()

    def stop(self) -> int | None:
        self.supervisor.stop()
        return self.wait()

    def wait(self) -> int | None:
        self.thread.join(15)
        assert not self.thread.is_alive()
        return self.code


def test_web_waits_for_the_collector_and_is_stopped_after_it(tmp_path, monkeypatch):
    code = f"{LOG_END}\n{READY_THEN_WAIT}"
    running = Running(
        child(tmp_path, "collect", "time.sleep(0.2)\n" + code),
        child(tmp_path, "web", code, after="collect"),
        monkeypatch=monkeypatch,
    )
    wait_until(lambda: len(diary(tmp_path)) == 2)
    wait_until(lambda: running.supervisor.is_past_start("web"))
    assert running.stop() == 0
    assert words(tmp_path) == ["collect start", "web start", "collect end", "web end"]


def test_a_killed_child_is_started_again(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    running = Running(child(tmp_path, "collect", READY_THEN_WAIT), monkeypatch=monkeypatch)
    wait_until(lambda: running.supervisor.is_past_start("collect"))
    os.kill(int(diary(tmp_path)[0][2]), signal.SIGKILL)
    wait_until(lambda: len(diary(tmp_path)) == 2)
    assert running.stop() == 0
    assert "killed by SIGKILL" in caplog.text


@pytest.mark.parametrize("what", ["process", "thread"])
def test_without_room_for_a_child_the_others_go_on(tmp_path, monkeypatch, caplog, what):
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(supervisor, "MAX_DELAY", 0.05)
    running = Running(
        child(tmp_path, "collect", READY_THEN_WAIT),
        child(tmp_path, "web", READY_THEN_WAIT, after="collect"),
        monkeypatch=monkeypatch,
    )
    wait_until(lambda: running.supervisor.is_past_start("web"))
    with monkeypatch.context() as patch:
        if what == "process":
            patch.setattr(supervisor.subprocess, "Popen", no_process)
        else:
            patch.setattr(supervisor, "spawn", no_thread)
        os.kill(int(diary(tmp_path)[1][2]), signal.SIGKILL)
        wait_until(lambda: "web cannot be started" in caplog.text)
    wait_until(lambda: words(tmp_path).count("web start") > 1)
    assert words(tmp_path).count("collect start") == 1
    assert running.stop() == 0


def no_process(*_: object, **__: object) -> None:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_restarts_come_slower_and_slower(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(supervisor, "MAX_DELAY", 0.15)
    running = Running(child(tmp_path, "collect", "sys.exit(1)"), monkeypatch=monkeypatch)
    wait_until(lambda: len(diary(tmp_path)) >= 5)
    running.stop()
    delays = [record.args[-1] for record in caplog.records]
    assert delays[:4] == pytest.approx([0.05, 0.1, 0.15, 0.15])
    assert "exit code 1" in caplog.text


def test_a_child_that_cannot_be_started_now_is_tried_again(tmp_path, monkeypatch, caplog):
    """Too many processes, no memory: what killed one child must not take the others along."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    running = Running(
        child(tmp_path, "collect", READY_THEN_WAIT),
        child(tmp_path, "web", READY_THEN_WAIT),
        monkeypatch=monkeypatch,
    )
    wait_until(lambda: running.supervisor.is_past_start("collect"))
    wait_until(lambda: running.supervisor.is_past_start("web"))
    real, tries = subprocess.Popen, []

    def scarce(*args, **more):
        tries.append(1)
        if len(tries) < 3:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real(*args, **more)

    monkeypatch.setattr(supervisor.subprocess, "Popen", scarce)
    collector = next(pid for name, _, pid in diary(tmp_path) if name == "collect")
    os.kill(int(collector), signal.SIGKILL)
    wait_until(lambda: len(diary(tmp_path)) == 3)
    assert "collect cannot be started" in caplog.text
    assert sorted(words(tmp_path)) == ["collect start", "collect start", "web start"]
    assert running.stop() == 0


def test_a_web_process_starts_although_the_collector_cannot(tmp_path, monkeypatch):
    running = Running(
        child(tmp_path, "collect", "sys.exit(1)"),
        child(tmp_path, "web", READY_THEN_WAIT, after="collect"),
        monkeypatch=monkeypatch,
    )
    wait_until(lambda: "web start" in words(tmp_path))
    assert running.stop() == 0


def test_a_child_that_refuses_ends_everything_with_1(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, logger=supervisor.log.name)
    running = Running(
        child(tmp_path, "collect", f"{LOG_END}\n{READY_THEN_WAIT}"),
        child(tmp_path, "web", f"sys.exit({EXIT_REFUSED})", after="collect"),
        monkeypatch=monkeypatch,
    )
    assert running.wait() == 1
    assert words(tmp_path) == ["collect start", "web start", "collect end"]
    # A second start would be ended so soon that it seldom gets to say anything.
    assert [record.args[0] for record in caplog.records] == ["collect", "web"]


def test_a_child_that_worked_before_is_tried_again_although_it_refuses(tmp_path, monkeypatch):
    """The other one, which collects, does not even notice."""
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    count = f"open({str(tmp_path / 'diary')!r}).read().count('web start')"
    web = f"n = {count}\nprint('ready', flush=True) if n == 1 else sys.exit({EXIT_REFUSED})"
    running = Running(
        child(tmp_path, "collect", READY_THEN_WAIT),
        child(tmp_path, "web", f"{web}\ntime.sleep(0.2)\nsys.exit(1)", after="collect"),
        monkeypatch=monkeypatch,
    )
    wait_until(lambda: words(tmp_path).count("web start") >= 3)
    assert running.stop() == 0
    assert words(tmp_path).count("collect start") == 1


def test_a_child_that_does_not_end_is_killed_after_its_grace(tmp_path, monkeypatch, caplog):
    stubborn = "signal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"
    running = Running(child(tmp_path, "collect", stubborn, grace=0.2), monkeypatch=monkeypatch)
    wait_until(lambda: running.supervisor.is_past_start("collect"))
    assert running.stop() == 0
    assert "did not end within" in caplog.text


def test_death_is_noticed_although_a_grandchild_holds_the_output(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    leaves_one = "pid = os.fork()\nif pid == 0: time.sleep(3); os._exit(0)\nsys.exit(1)"
    running = Running(child(tmp_path, "collect", leaves_one), monkeypatch=monkeypatch)
    wait_until(lambda: words(tmp_path).count("collect start") >= 2, timeout=2)
    running.stop()


def test_children_learn_of_the_parents_death_by_the_end_of_stdin(tmp_path):
    """A real parent process, killed hard: its child notices and says so."""
    watcher = child(tmp_path, "collect", "sys.stdin.read(); note('orphan')")
    script = (
        "from igdash.services.supervisor import *\n"
        f"Supervisor([Child(name='c', argv={list(watcher.argv)!r}, environ={{}})]).run()\n"
    )
    import subprocess

    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_until(lambda: "collect start" in words(tmp_path))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: "collect orphan" in words(tmp_path))


def test_the_parent_imports_neither_dash_nor_the_database():
    import subprocess

    script = (
        "import sys, igdash.cli.run\n"
        "heavy = {'dash', 'sqlalchemy', 'flask', 'alembic', 'plotly'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
