"""Views switched to and fro over a real collector: nobody who collects may notice."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.serving import Serving
from tests.support.waiting import wait_until

TARGETS = ("production", "staging", "demo")
SWITCHES = 50


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A real `igdash serve` on the bundled recordings."""
    made = Serving(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.close()


def post(serving: Serving, path: str, body: object = None) -> Any:
    wanted = urllib.request.Request(
        serving.url + path,
        data=json.dumps(body).encode() if body is not None else b"",
        headers={"Content-Type": "application/json"} if body is not None else {},
        method="POST",
    )
    with urllib.request.urlopen(wanted, timeout=10) as answer:
        return json.load(answer)


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def stored(serving: Serving, id_: str) -> list[int]:
    """All seqs of a session, page by page."""
    found: list[int] = []
    while True:
        after = found[-1] if found else 0
        page = serving.get(f"/api/sessions/{id_}/events?after={after}&limit=1000")["events"]
        if not page:
            return found
        found += [event["seq"] for event in page]


def ended(serving: Serving, id_: str) -> None:
    wait_until(lambda: serving.get(f"/api/sessions/{id_}")["state"] == "stopped", timeout=30)


def test_fifty_switches_while_a_real_collector_works(chrome: Page, serving: Serving) -> None:
    ids = [
        post(
            serving,
            "/api/sessions",
            {"gadget": "trace_tcp", "environment": "demo", "target": {"namespace": name}},
        )["id"]
        for name in TARGETS
    ]
    wait_until(lambda: serving.get(f"/api/sessions/{ids[0]}")["events"] > 0, timeout=30)
    chrome.reset()
    chrome.base = serving.url
    chrome.open(f"/sessions/{ids[2]}")
    collector = serving.collector()
    before = threads(collector)
    for turn in range(SWITCHES):
        id_ = ids[turn % 3]
        chrome.js(f"igdash.nav('/sessions/{id_}') || 1")
        chrome.wait(f"document.getElementById('session-root').dataset.painted === '{id_}'")
    assert threads(collector) <= before  # idle ones may end, none begins
    assert serving.collector() == collector
    assert chrome.console() == []
    chrome.driver.get("about:blank")
    for id_ in ids:
        post(serving, f"/api/sessions/{id_}/stop")
        ended(serving, id_)
        session = serving.get(f"/api/sessions/{id_}")
        assert session["received"] == session["events"] > 0
        assert stored(serving, id_) == list(range(1, session["events"] + 1))
        causes = {loss["cause"] for loss in serving.get(f"/api/sessions/{id_}/losses")["losses"]}
        assert "writer" not in causes
