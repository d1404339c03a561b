"""What igdash exports by REST and by schedules `igdash import` takes back: import(export(x)) = x."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import RECORDINGS, Serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)
GADGETS = ("trace_tcp", "trace_dns", "top_tcp", "snapshot_process")
ODD = (
    b'{"a":1e2,"b":-0.0,"c":18446744073709551615,"d":"\\ud83d\\ude00 \\u0000 <&>","e":{}}\n'
    b'{ "k8s": {"node":"n\\"1","namespace":"d\xc3\xa9mo"}, "runtime":{"a":null}, "x" : [1.0, 1] }\n'
    b'{"timestamp_raw":9223372036854775807,"z":0.1e-7}\n'
    b"[]\n"
)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    found = Serving(tmp_path)
    found.start()
    try:
        yield found
    finally:
        found.close()


def exported(serving: Serving, session: str, query: str = "") -> bytes:
    """Return an export by REST."""
    path = f"{serving.url}/api/sessions/{session}/export?format=jsonl{query}"
    with urllib.request.urlopen(path, timeout=60) as answer:
        data: bytes = answer.read()
        return data


def imported(serving: Serving, *files: Path) -> list[str]:
    """Return the sessions that `igdash import` makes of files, in their order."""
    return serving.igdash("import", *map(str, files)).split()


def test_by_rest_and_by_schedule_and_by_command_line(serving: Serving) -> None:
    folder = serving.folder / "files"
    folder.mkdir()
    originals = [RECORDINGS / gadget / "events.jsonl" for gadget in GADGETS]
    (folder / "odd.jsonl").write_bytes(ODD)
    originals.append(folder / "odd.jsonl")
    first = imported(serving, *originals)
    assert len(first) == len(originals)
    events = []
    for session, original in zip(first, originals, strict=True):
        assert exported(serving, session, "&plain=true") == original.read_bytes()
        events.append(exported(serving, session))
    saved = [folder / f"{session}.jsonl" for session in first]
    for path, data in zip(saved, events, strict=True):
        path.write_bytes(data)
    assert [exported(serving, session) for session in imported(serving, *saved)] == events

    body = {
        "name": "zst",
        "when": {"every": 3600.0},
        "format": "jsonl.zst",
        "what": {"sessions": first},
    }
    schedule = serving.send("POST", "/api/schedules", body)["id"]
    serving.send("POST", f"/api/schedules/{schedule}/run")

    def done() -> bool:
        runs = serving.get(f"/api/schedules/{schedule}/runs")["runs"]
        return bool(runs) and runs[0]["state"] == "done"

    wait_until(done, timeout=40, every=0.1)
    [manifest] = (serving.folder / "igdash.exports").glob("*/*/manifest.json")
    files = {one["session"]: one["name"] for one in json.loads(manifest.read_bytes())["files"]}
    packed = [manifest.parent / files[session] for session in first]
    assert [exported(serving, session) for session in imported(serving, *packed)] == events
