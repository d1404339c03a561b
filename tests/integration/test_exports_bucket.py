"""Scheduled exports to a bucket through the real processes: it goes away, and its keys stay secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.s3 import KEY, SECRET, FakeS3, fake_s3
from tests.support.seed import seed
from tests.support.serving import Serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)
EVENTS = 12_000


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    with fake_s3() as double:
        for name, value in double.environment().items():
            monkeypatch.setenv(name, value)
        yield double


@pytest.fixture
def serving(s3: FakeS3, tmp_path: Path) -> Iterator[Serving]:
    found = Serving(tmp_path)
    with found.config.open("a") as config:
        config.write(f'[exports]\nbuckets = ["s3://{min(s3.buckets)}/igdash"]\n')
    try:
        yield found
    finally:
        found.close()


def exported(s3: FakeS3) -> list[int]:
    """Return the seqs in all runs that have a manifest; nothing else is in the bucket."""
    seqs, expected = [], set()
    for name in s3.names():
        if not name.endswith("/manifest.json"):
            continue
        folder = name.rpartition("/")[0]
        expected.add(name)
        for file in json.loads(s3.objects[name])["files"]:
            data = s3.objects[f"{folder}/{file['name']}"]
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            seqs += [json.loads(line)["seq"] for line in data.splitlines()]
            expected.add(f"{folder}/{file['name']}")
    assert set(s3.names()) == expected
    return sorted(seqs)


def test_a_bucket_that_vanishes_fails_the_run_and_the_next_goes_on(
    serving: Serving, s3: FakeS3
) -> None:
    url = f"sqlite:///{serving.folder}/igdash.db"
    seed(url, sessions=1, events=EVENTS, running=False)
    serving.start()
    other = serving.call("schedules", "add", "x", "--every", "1h", "--to", "s3://elsewhere/x")
    assert (other.returncode, "exports.buckets" in other.stderr) == (1, True)
    body = {"name": "far", "when": {"every": 3600.0}, "destination": "s3://backup/igdash/far"}
    made = serving.send("POST", "/api/schedules", body)
    path = f"/api/schedules/{made['id']}"

    def run() -> dict[str, Any]:
        known = serving.get(f"{path}/runs")["total"]
        serving.send("POST", f"{path}/run")

        def ended() -> Any:
            page = serving.get(f"{path}/runs")
            return page["total"] > known and page["runs"][0]["state"] != "running" and page

        found: dict[str, Any] = wait_until(ended, timeout=40, every=0.1)["runs"][0]
        return found

    s3.buckets.clear()
    gone = run()
    assert (gone["state"], gone["rows"], gone["files"]) == ("failed", 0, [])
    assert "s3://backup/igdash/far: NoSuchBucket: " in gone["reason"]
    s3.buckets.add("backup")
    s3.refuse = "manifest.json"
    denied = run()
    assert "AccessDenied" in denied["reason"]
    assert s3.objects == {}
    assert serving.get(path)["failures"] == 2
    s3.refuse = ""
    done = run()
    assert (done["state"], done["rows"]) == ("done", EVENTS)
    assert done["place"].startswith("s3://backup/igdash/far/")
    assert exported(s3) == list(range(1, EVENTS + 1))
    assert s3.parts >= 2  # the file is larger than one piece
    assert s3.uploads == {}
    assert run()["rows"] == 0
    shown = serving.igdash("schedules", "show", "far", "-o", "wide")
    assert "NoSuchBucket" in shown
    assert list((serving.folder / "igdash.state").glob("**/*.jsonl")) == []
    assert serving.stop() == 0
    assert told(serving) == []


def told(serving: Serving) -> list[Path]:
    """Return the files in which a key stands: log, database, state, configuration."""
    files = [path for path in serving.folder.rglob("*") if path.is_file()]
    assert serving.stderr in files
    assert any(path.suffix == ".db" for path in files)
    keys = (SECRET.encode(), KEY.encode())
    return [path for path in files if any(key in path.read_bytes() for key in keys)]
