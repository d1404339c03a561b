"""Pictures of every page, dark and light, wide and narrow, taken from a dashboard that runs.

Without `--url` the demo is started in a scratch folder and stopped afterwards. One picture is kept in
the repository for the README (`docs/screenshot.png`); the others go to `docs/screenshots/`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.browser import DESKTOP, PHONE, Page, chromium, missing  # noqa: E402

README_PICTURE = "session-dark"
SQL = """SELECT proc_comm, dst_addr, dst_port, count(*) AS events
FROM trace_tcp
WHERE type = 'connect'
GROUP BY proc_comm, dst_addr, dst_port
ORDER BY events DESC LIMIT 40"""
SCHEDULES: tuple[dict[str, Any], ...] = (
    {
        "name": "TCP of production, every hour",
        "when": {"cron": "0 * * * *"},
        "what": {"gadget": "trace_tcp", "namespace": "production"},
        "format": "parquet",
        "keep": 48,
    },
    {
        "name": "Failed opens, every night",
        "when": {"cron": "0 2 * * *"},
        "what": {"gadget": "trace_open", "filter": 'error != ""'},
        "format": "jsonl.gz",
        "keep": 14,
        "paused": True,
    },
)
WARM_UP = 20.0
"""Seconds the demo collects before the first picture: enough for histograms and losses."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture: where, what to do there first, and what must be seen before it is taken."""

    name: str
    path: str
    seen: str
    then: Callable[[Page], None] | None = None


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a dashboard that runs already (default: start the demo)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--only", default="", help="names that contain this text")
    args = parser.parse_args()
    if why := missing():
        raise SystemExit(f"cannot take pictures: {why}")
    with contextlib.ExitStack() as stack:
        base = args.url or stack.enter_context(demo())
        page = stack.enter_context(chromium())
        page.base = base.rstrip("/")
        for shot in shots(page.base):
            if args.only in shot.name:
                take(page, shot, args.out)
    picture = args.out / f"{README_PICTURE}.png"
    if picture.exists() and args.out == ROOT / "docs" / "screenshots":
        (ROOT / "docs" / "screenshot.png").write_bytes(picture.read_bytes())


def take(page: Page, shot: Shot, out: Path) -> None:
    """Take one picture in both themes and both sizes."""
    for theme in ("dark", "light"):
        page.prefer(prefers_color_scheme=theme)
        for size, suffix in ((DESKTOP, ""), (PHONE, "-narrow")):
            page.resize(size)
            page.open(shot.path)
            page.wait(shot.seen, timeout=30)
            if shot.then:
                shot.then(page)
            settle(page)
            page.shot(out / f"{shot.name}-{theme}{suffix}.png")
            if said := [line for line in page.console() if "SEVERE" in line]:
                say(f"{shot.name} ({theme}{suffix}): {said}")
    say(shot.name)


def say(text: str) -> None:
    """Tell how far we are."""
    sys.stderr.write(text + "\n")


def settle(page: Page) -> None:
    """Wait until fonts are there, nothing moves and no skeleton is left in the visible view."""
    page.wait("document.fonts.status === 'loaded'")
    page.wait(
        "document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)"
    )
    page.wait(
        "![...document.querySelectorAll('.view.on .sk, #runs .sk')].some(e => e.checkVisibility())",
        20,
    )
    threading.Event().wait(0.4)


def shots(base: str) -> list[Shot]:
    """Return what to take; sessions are found by what they are, not by their ids."""
    sessions = get(f"{base}/api/sessions?limit=200")["sessions"]
    stream = pick(sessions, "trace_tcp", "production")
    lossy = max(sessions, key=lambda s: s["lost"])
    array = pick(sessions, "top_tcp", "")
    asked = urllib.parse.urlencode({"filter": "proc.comm = nginx and type = accept"})
    rows = "document.querySelectorAll('#view-session .ag-center-cols-container .ag-row').length > 3"
    listed = "document.querySelectorAll('#view-sessions [data-id]').length > 3"
    return [
        Shot(name="gadgets", path="/gadgets", seen="document.querySelector('.card.on')"),
        Shot(name="picker", path="/gadgets?pick=trace_tcp", seen="document.querySelector('.opt.on')"),
        Shot(name="start", path="/start/trace_tcp", seen="document.querySelector('#view-start.on form')"),
        Shot(name="sessions", path="/sessions", seen=listed),
        Shot(name="session", path=f"/sessions/{stream}", seen=rows),
        Shot(name="session-event", path=f"/sessions/{stream}?seq=5", seen=rows),
        Shot(name="session-losses", path=f"/sessions/{lossy['id']}?tab=losses", seen="document.querySelector('#view-session.on')"),
        Shot(name="session-log", path=f"/sessions/{lossy['id']}?tab=log", seen="document.querySelector('#view-session.on')"),
        Shot(name="session-info", path=f"/sessions/{stream}?tab=info", seen="document.querySelector('#view-session.on')"),
        Shot(name="session-top", path=f"/sessions/{array}", seen=rows),
        Shot(name="session-filter", path=f"/sessions/{stream}?{asked}", seen=rows),
        Shot(name="session-export", path=f"/sessions/{stream}?{asked}", seen=rows, then=click("#session-export")),
        Shot(name="environments", path="/environments", seen="document.querySelector('.envs-card')"),
        Shot(name="sql", path="/sql?run=1&" + urllib.parse.urlencode({"q": SQL}), seen="document.querySelector('.sqlp-rows .sqlp-tr')"),
        Shot(name="sql-chart", path="/sql?run=1&view=chart&" + urllib.parse.urlencode({"q": SQL}), seen="document.querySelector('.sqlp-svg')"),
        Shot(name="exports", path="/exports", seen="document.querySelector('.exp-card, #view-exports .empty')"),
        Shot(name="exports-form", path="/exports", seen="document.querySelector('.exp-card, #view-exports .empty')", then=click("#exports-new")),
        Shot(name="import", path="/sessions", seen=listed, then=click("#sessions-import")),
        Shot(name="palette", path="/gadgets", seen="document.querySelector('.card.on')", then=lambda page: page.js("igdash.palette() || 1")),
        Shot(name="keys", path="/gadgets", seen="document.querySelector('.card.on')", then=lambda page: page.keys("?")),
        Shot(name="menu", path="/gadgets", seen="document.querySelector('.run')", then=open_menu),
    ]  # fmt: skip


def click(css: str) -> Callable[[Page], None]:
    """Return what clicks there."""
    return lambda page: page.click(css)


def open_menu(page: Page) -> None:
    """Open the drawer, where there is one."""
    page.js(
        "getComputedStyle(document.getElementById('menu-button').parentElement).display !== 'none' && document.getElementById('menu-button').click()"
    )


def pick(sessions: list[dict[str, Any]], gadget: str, namespace: str) -> str:
    """Return the id of the session of a gadget, in this namespace if there is one."""
    of_gadget = [s for s in sessions if s["gadget"] == gadget] or sessions
    best = [s for s in of_gadget if s["target"]["namespace"] == namespace] or of_gadget
    return str(best[0]["id"])


def get(url: str) -> Any:
    """Return parsed JSON."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def post(url: str, body: Any) -> Any:
    """Send JSON; return parsed JSON."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """Run the demo in a scratch folder; yield its address once it has collected something."""
    with tempfile.TemporaryDirectory(prefix="igdash-pictures-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "igdash", "demo", "--port", str(port), folder]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            base = f"http://127.0.0.1:{port}"
            wait_for(base, process)
            for schedule in SCHEDULES:
                made = post(f"{base}/api/schedules", schedule)
                post(f"{base}/api/schedules/{made['id']}/run", {})
            threading.Event().wait(5)  # the exporter looks every second or two
            yield base
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def wait_for(base: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the dashboard answers and has collected for a while."""
    pause, deadline = threading.Event(), time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            get(f"{base}/api/stats")
            pause.wait(WARM_UP)
            return
        pause.wait(0.3)
    raise SystemExit("the demo did not start")


if __name__ == "__main__":
    main()
