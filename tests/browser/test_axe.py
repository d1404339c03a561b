"""No page has a serious accessibility fault, in either theme, wide or narrow.

Judged by axe-core 4.14.1 (Deque Systems, MPL-2.0), which lies beside this file, compressed: tests
must not need the network.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionState, Target
from igdash.domain.times import now_ns
from tests.support.browser import DESKTOP, PHONE, Page
from tests.support.web import Web

AXE = gzip.decompress((Path(__file__).parent / "axe.min.js.gz").read_bytes()).decode()
RUN = (
    "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
    ".then(r => done(r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
    ".map(v => v.id + ' at ' + v.nodes.map(n => n.target.join(' ')).slice(0, 5).join(', '))))"
)
STILL = (
    "document.getAnimations().every("
    "a => a.effect.getTiming().iterations === Infinity || a.playState !== 'running')"
)
EVENT = {"proc": {"comm": "curl", "pid": 7}, "type": "connect", "k8s": {"namespace": "demo"}}
LOOKS = pytest.mark.parametrize(
    ("theme", "size"),
    [
        pytest.param("dark", DESKTOP, id="wide-dark"),
        pytest.param("light", PHONE, id="narrow-light"),
        pytest.param("light", DESKTOP, id="wide-light", marks=pytest.mark.nightly),
        pytest.param("dark", PHONE, id="narrow-dark", marks=pytest.mark.nightly),
    ],
)
"""Both themes and both sizes in the gate, every pair of them at night."""


def faults_of(page: Page) -> Any:
    """Return the serious faults of the page as it is once nothing moves: half-faded texts have too
    little contrast."""
    page.wait(STILL)
    return page.driver.execute_async_script(RUN)


OPENED = {
    "chosen rows": "igdash.session.picks.toggleCurrent()",
    "column menu": "document.getElementById('session-columns').click()",
    "jump to time": "igdash.session.askTime()",
    "palette": "igdash.palette()",
    "keys": "igdash.help()",
}
"""What opens over a session, by what opens it."""


def _fill(side: Web) -> list[str]:
    """Two running sessions of one gadget, one with losses, and one that failed; return addresses."""
    ids = [side.session("trace_tcp", target=Target(namespace=ns)) for ns in ("demo", "staging")]
    now = now_ns()
    loss = Loss(node="worker-1", start=now, end=now, count=37, cause=LossCause.KERNEL, detail="")
    side.control.add(ids[0], [json.dumps(EVENT | {"n": n}) for n in range(40)], losses=[loss])
    failed = side.session("trace_dns")
    side.control.end(failed, SessionState.FAILED, "no program `ig`")
    return [
        "/gadgets",
        "/gadgets?pick=trace_tcp",
        "/start/trace_tcp",
        "/sessions",
        "/environments",
        "/exports",
        f"/sessions/{ids[0]}",
        f"/sessions/{ids[0]}?seq=5",
        f"/sessions/{ids[0]}?filter=type%20%3D%20connect&split=type&sort=-proc.pid&cols=@time!,type",
        f"/sessions/{ids[0]}?filter=type%20%3D%20nothing",
        f"/sessions/{ids[0]}?tab=losses",
        f"/sessions/{ids[0]}?tab=log",
        f"/sessions/{ids[0]}?tab=info",
        f"/sessions/{failed}",
    ]


@LOOKS
@pytest.mark.timeout(300)
def test_no_serious_fault(page: Page, side: Web, theme: str, size: tuple[int, int]) -> None:
    addresses = _fill(side)
    page.prefer(prefers_color_scheme=theme)
    page.resize(size)
    page.open("/gadgets")
    page.driver.execute_script(AXE)
    faults = {}
    for address in addresses:
        page.js("igdash.nav(arguments[0])", address)
        page.wait("![...document.querySelectorAll('.view.on .sk')].some(e => e.checkVisibility())")
        if found := faults_of(page):
            faults[address] = found
        page.js("document.querySelector('dialog') && document.querySelector('dialog').close()")
    first = next(one for one in addresses if "?seq=" in one)
    page.js("igdash.nav(arguments[0])", first)
    page.wait("igdash.session.grid.selected()")
    for name, code in OPENED.items():
        page.js(f"{code} || 1")
        if found := faults_of(page):
            faults[name] = found
        page.js("document.querySelector('dialog') && document.querySelector('dialog').close()")
    assert faults == {}
