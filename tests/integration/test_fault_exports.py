"""Scheduled exports through the real processes: whatever is killed or full, every event comes once."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.seed import seed
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


def runs(serving: Serving, schedule: str) -> list[dict[str, Any]]:
    """Return the runs, newest first."""
    found: list[dict[str, Any]] = serving.get(f"/api/schedules/{schedule}/runs?limit=500")["runs"]
    return found


def run_once(serving: Serving, schedule: str) -> dict[str, Any]:
    """Have one run and return it when it has ended."""
    known = {run["id"] for run in runs(serving, schedule)}
    serving.igdash("schedules", "run", schedule)

    def new() -> list[dict[str, Any]]:
        found = [run for run in runs(serving, schedule) if run["id"] not in known]
        return [run for run in found if run["state"] != "running"]

    return wait_until(new, timeout=30, every=0.1)[-1]


def exported(folder: Path) -> dict[str, list[int]]:
    """Return the seqs of each session in all runs that are in their place, each checked."""
    seqs: dict[str, list[int]] = defaultdict(list)
    for manifest in sorted(folder.glob("*/manifest.json")):
        told = json.loads(manifest.read_bytes())
        names = {file["name"] for file in told["files"]}
        assert {path.name for path in manifest.parent.iterdir()} == {*names, "manifest.json"}
        for file in told["files"]:
            data = (manifest.parent / file["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            assert data.count(b"\n") == file["rows"]
            seqs[file["session"]] += [json.loads(line)["seq"] for line in data.splitlines()]
    assert all(path.name == "manifest.json" or path.is_dir() for path in folder.iterdir())
    return {session: sorted(found) for session, found in seqs.items()}


def another(serving: Serving, pid: int) -> bool:
    """Whether an exporter runs that is not this one."""
    try:
        return serving.child("exporter") != pid
    except AssertionError:
        return False


def whole(found: dict[str, list[int]], session: str, events: int) -> bool:
    return found.get(session) == list(range(1, events + 1))


def test_kill_9_at_any_moment_leaves_nothing_half_and_nothing_twice(serving: Serving) -> None:
    url = f"sqlite:///{serving.folder}/igdash.db"
    big = seed(url, sessions=1, events=40_000, running=False)[0].id
    serving.start()
    live = serving.igdash("start", "trace_tcp", "-e", "demo").strip()
    made = ("schedules", "add", "all", "--every", "1h", "--to", "out")
    schedule = serving.igdash(*made).strip()
    choose = random.Random(6)
    for _ in range(5):
        known = len(runs(serving, schedule))
        serving.igdash("schedules", "run", schedule)
        wait_until(lambda n=known: len(runs(serving, schedule)) > n, timeout=30)  # type: ignore[misc]
        pid = serving.child("exporter")
        end = choose.random() * 1.5
        try:  # not a wait for a result: the moment of the kill is what varies
            wait_until(lambda p=pid: not Path(f"/proc/{p}").exists(), timeout=end)  # type: ignore[misc]
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda p=pid: another(serving, p), timeout=20, every=0.1)  # type: ignore[misc]
    serving.igdash("stop", live)
    wait_until(lambda: serving.sessions()[live]["state"] == "stopped", timeout=20, every=0.2)
    assert run_once(serving, schedule)["state"] == "done"
    found = exported(serving.folder / "igdash.exports" / "out")
    assert whole(found, big, 40_000)
    assert whole(found, live, serving.sessions()[live]["events"])
    assert sum(run["rows"] for run in runs(serving, schedule) if run["state"] == "done") == sum(
        map(len, found.values())
    )
    assert serving.igdash("db", "check")


def test_a_restart_of_everything_goes_on_at_the_same_seq(serving: Serving) -> None:
    url = f"sqlite:///{serving.folder}/igdash.db"
    [one] = seed(url, sessions=1, events=3_000, running=False)
    serving.start()
    schedule = serving.igdash("schedules", "add", "all", "--every", "1h", "--to", "out").strip()
    assert run_once(serving, schedule)["rows"] == 3_000
    assert serving.stop() == 0
    serving.start()
    assert run_once(serving, schedule)["rows"] == 0
    assert whole(exported(serving.folder / "igdash.exports" / "out"), one.id, 3_000)


def test_two_exporters_never_run_one_schedule_at_once(serving: Serving) -> None:
    url = f"sqlite:///{serving.folder}/igdash.db"
    [one] = seed(url, sessions=1, events=5_000, running=False)
    serving.start()
    live = serving.igdash("start", "trace_tcp", "-e", "demo").strip()
    others = [subprocess.Popen(serving.argv("exporter"), stderr=subprocess.DEVNULL) for _ in "ab"]
    try:
        schedule = serving.igdash("schedules", "add", "all", "--every", "1h", "--to", "out").strip()
        for _ in range(4):
            run_once(serving, schedule)
        times = sorted((run["started"], run["ended"]) for run in runs(serving, schedule))
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))
        serving.igdash("stop", live)
        wait_until(lambda: serving.sessions()[live]["state"] == "stopped", timeout=20, every=0.2)
        run_once(serving, schedule)
        found = exported(serving.folder / "igdash.exports" / "out")
        assert whole(found, one.id, 5_000)
        assert whole(found, live, serving.sessions()[live]["events"])
    finally:
        for process in others:
            process.terminate()
        assert [process.wait(20) for process in others] == [0, 0]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder that is full after eight megabytes."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    argv = [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, str(folder)], check=True)


def test_a_full_disk_is_a_failed_run_and_the_next_has_it_all(serving: Serving, small: Path) -> None:
    url = f"sqlite:///{serving.folder}/igdash.db"
    [one] = seed(url, sessions=1, events=2_000, running=False)
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 8_200_000)
    with serving.config.open("a") as config:
        config.write(f'[exports]\nfolder = "{small}"\n')
    serving.start()
    schedule = serving.igdash("schedules", "add", "all", "--every", "1h", "--to", "out").strip()
    failed = run_once(serving, schedule)
    assert (failed["state"], "No space left" in failed["reason"]) == ("failed", True)
    assert list((small / "out").iterdir()) == []
    assert serving.get(f"/api/schedules/{schedule}")["failures"] == 1
    ballast.unlink()
    assert run_once(serving, schedule)["state"] == "done"
    assert whole(exported(small / "out"), one.id, 2_000)
