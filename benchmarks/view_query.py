"""Asking the history in a real Chromium: from a filter to painted rows, and what following costs.

`python -m benchmarks.view_query [--events 2000000] [--turns 15] [--rate 2000] [--seconds 10] [--db FILE]`

One session of `--events` events. First, questions in the page, each some times: from the change of the
address to the frame after the answer's rows are in the document; alone, then while `--rate` events/s
arrive. Then the share of the browser's main thread that the page needs while it follows, without and
with a filter and a split histogram. Questions are answered by worker processes, as in production; the
web server shares its process with what makes the events up. A `--db` that exists is used as it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from igdash.api.app import create_flask
from igdash.api.options import WebOptions
from igdash.bootstrap import query_pool
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.domain.threads import spawn
from igdash.services.gadgets import live_sessions
from igdash.services.queries import Workers
from igdash.settings import load
from igdash.ui.app import create_app
from tests.support.browser import Page, chromium, dashboard
from tests.support.seed import seed
from tests.support.web import Web, web

GOAL_MS = 350
QUESTIONS = {
    "namespace and pod (interned)": {"filter": 'namespace = production and pod ~ "web"'},
    "type = close (a third)": {"filter": "type = close"},
    "comm = nginx and dst.port = 443": {"filter": "comm = nginx and dst.port = 443"},
    "matches nothing": {"filter": "comm = nobody"},
    "the last minute": {"from": "-60"},
    "oldest first": {"sort": "seq"},
    "sorted by pid": {"sort": "-proc.pid"},
}
ASK = """
const [changes, done] = arguments;
const root = document.getElementById('session-root');
const core = igdash.session.core;
if (changes.from) changes.from = new Date(Date.now() + Number(changes.from) * 1000).toISOString();
delete root.dataset.answered;
const begun = performance.now();
const watcher = new MutationObserver(() => {
  if (root.dataset.answered === undefined) return;
  watcher.disconnect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
});
watcher.observe(root, {attributes: true, attributeFilter: ['data-answered']});
core.ask({filter: null, from: null, to: null, sort: null, ...changes}, {replace: true});
"""
RESET = (
    "igdash.session.core.ask({filter: null, from: null, to: null, sort: null, split: null}) || 1"
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Asking the history in a real browser.")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument(
        "--turns", type=int, default=15, help="times each question is asked; 0 = not"
    )
    parser.add_argument("--rate", type=int, default=2_000, help="events/s that arrive")
    parser.add_argument("--seconds", type=float, default=10, help="how long following is watched")
    parser.add_argument("--db", type=Path, help="keep (and reuse) the database")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (wanted.db or Path(folder) / "asking.db").absolute()
        url = f"sqlite:///{path}"
        if not path.exists():
            begun = time.perf_counter()
            seed(url, sessions=1, events=wanted.events)
            print(f"seeded {wanted.events:,} events in {time.perf_counter() - begun:.0f} s")
        with web(url) as side, _pages(side, url) as base, chromium() as page:
            page.base = base
            _measure(page, side, wanted)


@contextmanager
def _pages(side: Web, url: str) -> Iterator[str]:
    """Serve the pages of `side` with workers that answer questions."""
    workers = Workers(pool=query_pool(load(overrides={"store.url": url})))
    services = replace(side.services, queries=replace(side.services.queries, backend=workers))
    app = create_flask(services, WebOptions())
    create_app(services, app)
    try:
        with dashboard(app) as base:
            yield base
    finally:
        workers.close()


def _measure(page: Page, side: Web, wanted: argparse.Namespace) -> None:
    session = live_sessions(side.services.sessions.reader)[0]
    page.open(f"/sessions/{session.id}")
    page.wait(f"document.getElementById('session-root').dataset.painted === '{session.id}'", 60)
    print(
        f"{session.events:,} events stored; ms from the question to painted rows (goal {GOAL_MS})"
    )
    _ask_all(page, wanted.turns, "alone")
    stop = _arrive(side, session.id, wanted.rate)
    try:
        _ask_all(page, wanted.turns, f"while {wanted.rate:,}/s arrive")
        print(f"share of the main thread while {wanted.rate:,}/s arrive:")
        for name, changes in {
            "following": {},
            "following a filter": {"filter": "type = close"},
            "following a filter, split by type": {"filter": "type != x", "split": "type"},
        }.items():
            share, came = _busy(page, changes, wanted.seconds)
            print(f"  {name:<34} {share:5.1%}   {came:,.0f} events/s shown as stored")
    finally:
        stop.set()


def _ask_all(page: Page, turns: int, how: str) -> None:
    if turns == 0:
        return
    pause = threading.Event()
    busy = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f" {how} (load {busy})")
    for name, changes in QUESTIONS.items():
        times = []
        for _ in range(turns + 1):
            times.append(float(page.driver.execute_async_script(ASK, dict(changes))))
            page.js(RESET)
            page.wait("igdash.session.grid.state.found === null", 30)
            pause.wait(0.2)
        times = sorted(times[1:])
        p95 = times[max(0, int(len(times) * 0.95) - 1)]
        print(f"  {name:<34} p50 {statistics.median(times):6.0f}   p95 {p95:6.0f}")


def _busy(page: Page, changes: dict[str, str], seconds: float) -> tuple[float, float]:
    """Return the share of time the page's main thread worked, and how fast it moved on."""
    page.js(RESET)
    page.js("igdash.session.core.ask(arguments[0]) || 1", changes)
    pause = threading.Event()
    pause.wait(3)
    page.wait("igdash.session.grid.following() && Number.isFinite(igdash.session.grid.head())", 60)
    begun, before, seq = time.perf_counter(), _worked(page), _shown(page)
    pause.wait(seconds)
    worked, shown = _worked(page) - before, _shown(page) - seq
    span = time.perf_counter() - begun
    return worked / span, shown / span


def _shown(page: Page) -> int:
    return int(page.js("igdash.session.grid.head()"))


def _worked(page: Page) -> float:
    """Return the processor time (s) that the page's main thread has used."""
    page.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    found = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def _arrive(side: Web, session: SessionId, rate: int) -> threading.Event:
    """Let `rate` events/s arrive until the event returned is set."""
    stop = threading.Event()
    known = side.services.history.page(session, EventRange(limit=1_000)).events
    texts = cycle([one.data for one in known])

    def work() -> None:
        due = time.monotonic()
        while not stop.is_set():
            side.control.add(session, list(islice(texts, rate // 10)))
            due += 0.1
            stop.wait(max(0.0, due - time.monotonic()))

    spawn("arrive", work)
    return stop


if __name__ == "__main__":
    main()
