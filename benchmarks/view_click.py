"""A click on [View] to painted rows, in a real Chromium over millions of stored events.

`python -m benchmarks.view_click [--events 1000000] [--switches 40] [--rate 0] [--db FILE]`

Two sessions of `--events` events each, switched to and fro by the sidebar's own buttons. Measured in
the page: from the click until the frame after the session's rows are in the document. Goal:
p95 ≤ 350 ms. A `--db` that exists is used as it is, so a second run need not seed again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.domain.threads import spawn
from igdash.services.gadgets import live_sessions
from igdash.ui.app import create_app
from tests.support.browser import Page, chromium, dashboard
from tests.support.seed import seed
from tests.support.web import Web, web

GOAL_MS = 350
MEASURE = """
const [id, done] = arguments;
const root = document.getElementById('session-root');
const begun = performance.now();
const watcher = new MutationObserver(() => {
  if (root.dataset.painted !== id) return;
  watcher.disconnect();
  requestAnimationFrame(() => setTimeout(() => done([performance.now() - begun,
    document.querySelectorAll('#session-grid .ag-row:not(.s-pending)').length])));
});
watcher.observe(root, {attributes: true, attributeFilter: ['data-painted']});
document.querySelector(`.run[data-id="${id}"] .btn`).click();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="From the click on View to painted rows.")
    parser.add_argument("--events", type=int, default=1_000_000, help="per session")
    parser.add_argument("--switches", type=int, default=40)
    parser.add_argument("--rate", type=int, default=0, help="events/s that arrive meanwhile")
    parser.add_argument("--db", type=Path, help="keep (and reuse) the database")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (wanted.db or Path(folder) / "clicks.db").absolute()
        if not path.exists():
            begun = time.perf_counter()
            seed(f"sqlite:///{path}", sessions=2, events=wanted.events)
            print(f"seeded 2 x {wanted.events:,} events in {time.perf_counter() - begun:.0f} s")
        with web(f"sqlite:///{path}") as side:
            create_app(side.services, side.app)
            _measure(side, wanted.switches, wanted.rate)


def _measure(side: Web, switches: int, rate: int) -> None:
    found = live_sessions(side.services.sessions.reader)
    stored = sum(session.events for session in found)
    pair = [session.id for session in found[:2]]
    stop = _arrive(side, pair, rate)
    with dashboard(side.app) as base, chromium() as page:
        page.base = base
        times = _switch(page, pair, switches)
    stop.set()
    times.sort()
    p50, p95 = statistics.median(times), times[int(len(times) * 0.95) - 1]
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{stored:,} events stored, {rate:,}/s arriving, {len(times)} switches: "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {times[-1]:.0f} ms "
        f"({'within' if p95 <= GOAL_MS else 'OVER'} the goal of {GOAL_MS} ms; load {load})"
    )


def _switch(page: Page, pair: Sequence[SessionId], switches: int) -> list[float]:
    page.open(f"/sessions/{pair[1]}")
    page.wait(f"document.getElementById('session-root').dataset.painted === '{pair[1]}'", 60)
    page.wait(f"document.querySelectorAll('.run').length >= {len(pair)}", 30)
    times = []
    pause = threading.Event()
    for turn in range(switches + 2):
        took, rows = page.driver.execute_async_script(MEASURE, pair[turn % 2])
        assert rows > 10, f"only {rows} rows were painted"
        if turn >= 2:
            times.append(float(took))
        pause.wait(0.25)
    return times


def _arrive(side: Web, sessions: Sequence[SessionId], rate: int) -> threading.Event:
    """Let `rate` events/s arrive over all sessions until the event returned is set."""
    stop = threading.Event()
    if rate <= 0:
        return stop
    known = side.services.history.page(sessions[0], EventRange(limit=100)).events
    each = max(1, rate // 10 // len(sessions))
    texts = [known[n % len(known)].data for n in range(each)]

    def work() -> None:
        while not stop.wait(0.1):
            for session in sessions:
                side.control.add(session, texts)

    spawn("arrive", work)
    return stop


if __name__ == "__main__":
    main()
