"""Scheduled exports through the real processes: whatever is killed or full, every event comes once."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from igdash.domain.schedules import Deed, ExportFormat, Order, ScheduleSpec, What, When
from igdash.domain.times import NS, now_ns
from igdash.store import lock_run, open_writer
from tests.support.disks import small_disk
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
    serving.send("POST", f"/api/schedules/{schedule}/run")

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
            path = manifest.parent / file["name"]
            data = path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            if path.suffix == ".parquet":
                found = pyarrow.parquet.read_table(path)["seq"].to_pylist()
            else:
                found = [json.loads(line)["seq"] for line in data.splitlines()]
            assert len(found) == file["rows"]
            seqs[file["session"]] += found
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
        serving.send("POST", f"/api/schedules/{schedule}/run")
        wait_until(lambda n=known: len(runs(serving, schedule)) > n, timeout=30)  # type: ignore[misc]
        pid = serving.child("exporter")
        threading.Event().wait(choose.random() * 1.5)  # the moment of the kill is what varies
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


HOURLY = ScheduleSpec(
    name="hourly",
    what=What(),
    when=When(cron="0 * * * *", zone="Europe/Berlin"),
    format=ExportFormat.PARQUET,
    destination="out",
)


def test_what_was_missed_is_caught_up_once_and_a_restart_goes_on_at_the_same_seq(
    serving: Serving,
) -> None:
    """igdash was down for ten hours of an hourly schedule; nobody asks for a run."""
    url = f"sqlite:///{serving.folder}/igdash.db"
    [one] = seed(url, sessions=1, events=3_000, running=False)
    writer = open_writer(url)
    made = now_ns() - 10 * 3600 * NS
    writer.schedule(Order(deed=Deed.CREATE, schedule="s1", at=made, spec=HOURLY))
    writer.close()
    serving.start()

    def ended() -> list[str]:
        return [run["state"] for run in runs(serving, "s1") if run["state"] != "running"]

    wait_until(ended, timeout=30, every=0.1)
    due = serving.get("/api/schedules/s1")["next"]
    assert due[14:19] == "00:00"
    assert serving.stop() == 0
    serving.start()
    assert run_once(serving, "s1")["rows"] == 0
    found = [(run["state"], run["rows"]) for run in runs(serving, "s1")]
    hour = serving.get("/api/schedules/s1")["next"] != due  # the clock struck in between
    assert [one for one in found if one[1]] == [("done", 3_000)]
    assert len(found) <= 2 + hour
    assert whole(exported(serving.folder / "igdash.exports" / "out"), one.id, 3_000)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Serving, str]]:
    """An installation on each database, and the URL of its store."""
    url = f"sqlite:///{tmp_path}/igdash.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_store").url
    found = Serving(tmp_path, url)
    try:
        yield found, url
    finally:
        found.close()


def test_three_exporters_never_run_one_schedule_at_once(either: tuple[Serving, str]) -> None:
    """All are asked for at once, a run takes longer than each waits to look; two are killed, and
    the third ends what they had begun."""
    serving, url = either
    [one] = seed(url, sessions=1, events=12_000, running=False)
    serving.start()
    others = [subprocess.Popen(serving.argv("exporter"), stderr=subprocess.DEVNULL) for _ in "ab"]
    spec = {"when": {"every": 3600.0}, "format": "parquet"}
    try:
        made = [serving.send("POST", "/api/schedules", spec | {"name": n}) for n in "xyz"]
        ids = {schedule["id"]: Path(schedule["destination"]) for schedule in made}
        held = lock_run(url, serving.folder / "igdash.state" / "exporting", made[0]["id"])
        assert held is not None
        for id_ in ids:
            serving.send("POST", f"/api/schedules/{id_}/run")
        # who ran the second one had tried the first one before
        wait_until(lambda: runs(serving, made[1]["id"]), timeout=60)
        assert runs(serving, made[0]["id"]) == []
        held.release()
        wait_until(lambda: all(runs(serving, id_) for id_ in ids), timeout=60)
    finally:
        for process in others:
            process.kill()
            process.wait()

    def ended() -> bool:
        last = [runs(serving, id_)[0] for id_ in ids]
        return all(run["state"] == "done" for run in last)

    wait_until(ended, timeout=60, every=0.1)
    folder = Path(serving.get("/api/schedules")["folder"])
    for id_, destination in ids.items():
        found = runs(serving, id_)
        assert [run["rows"] for run in found if run["state"] == "done"] == [12_000]
        assert {run["reason"] for run in found if run["state"] != "done"} <= {CUT_SHORT}
        times = sorted((run["started"], run["ended"]) for run in found)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))
        assert whole(exported(folder / destination), one.id, 12_000)


CUT_SHORT = "igdash ended in the middle of it; nothing of it was kept"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder that is full after eight megabytes."""
    with small_disk(tmp_path / "small", 8) as folder:
        yield folder


def test_a_full_disk_is_a_failed_run_and_the_next_has_it_all(serving: Serving, small: Path) -> None:
    """Verified Parquet sets, through a full disk and a restart."""
    url = f"sqlite:///{serving.folder}/igdash.db"
    one, _ = seed(url, sessions=2, events=4_000, running=False)
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 8_250_000)  # the first rows fit, more do not
    with serving.config.open("a") as config:
        config.write(f'[exports]\nfolder = "{small}"\n')
    serving.start()
    made = ("schedules", "add", "all", "--every", "1h", "--to", "out", "--format", "parquet")
    schedule = serving.igdash(*made).strip()
    failed = run_once(serving, schedule)
    assert (failed["state"], "No space left" in failed["reason"]) == ("failed", True)
    assert (failed["rows"], failed["files"], failed["place"]) == (0, [], "")
    assert list((small / "out").iterdir()) == []
    assert serving.get(f"/api/schedules/{schedule}")["failures"] == 1
    assert serving.stop() == 0
    ballast.unlink()
    serving.start()
    assert run_once(serving, schedule)["state"] == "done"
    found = exported(small / "out")
    assert len(found) == 2
    assert whole(found, one.id, 4_000)
