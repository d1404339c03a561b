"""Which nodes a session covers, and where on them it lost events."""

from __future__ import annotations

import pytest

from igdash.domain.losses import Loss, LossCause
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.times import NS, now_ns
from tests.support.browser import DESKTOP, PHONE, Page
from tests.support.web import Web


def node(name: str, state: NodeState = NodeState.CONNECTED, reason: str = "") -> NodeStatus:
    return NodeStatus(name=name, state=state, since=now_ns() - 300 * NS, reason=reason)


def lost() -> NodeStatus:
    return node("worker-2", NodeState.WAITING, "connection reset by peer")


def test_a_node_that_goes_is_named_in_header_and_sidebar(page: Page, side: Web) -> None:
    id_ = side.session()
    side.control.cover(id_, node("worker-1"), node("worker-2"), node("worker-3"))
    page.open(f"/sessions/{id_}")
    stat = "[...document.querySelectorAll('#session-stats .stat')].find(n => n.innerText.includes('nodes'))"
    page.wait(f"{stat}?.innerText.startsWith('3/3')")
    page.wait(f"{stat}.title === 'worker-1, worker-2, worker-3'")
    page.wait(lambda: "3/3 nodes" in page.text(".run-rest"))
    assert not page.all(".run-rest .t-warn")
    side.control.cover(id_, node("worker-1"), lost(), node("worker-3"))
    page.wait(f"{stat}.innerText.startsWith('2/3')")
    page.wait(f"{stat}.title.startsWith('worker-2: no connection for 5m (connection reset')")
    page.wait(f"{stat}.classList.contains('s-short')")
    page.wait(lambda: page.text(".run-rest .t-warn").endswith("2/3 nodes"))
    page.wait(
        "document.querySelector('.run-rest .t-warn').title.includes('worker-2: connection reset')"
    )
    side.control.cover(id_, node("worker-1"), node("worker-2"), node("worker-3"))
    page.wait(f"{stat}.innerText.startsWith('3/3')")
    page.wait("!document.querySelector('.run-rest .t-warn')")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["wide", "narrow"])
def test_losses_have_a_lane_per_node_and_cause(
    page: Page, side: Web, size: tuple[int, int]
) -> None:
    id_ = side.session()
    side.control.cover(id_, node("worker-1"), lost())
    now = now_ns()

    def loss(where: str, ago: int, long: int, count: int, cause: LossCause) -> Loss:
        start = now - ago * NS
        return Loss(
            node=where,
            start=start,
            end=start + long * NS,
            count=count,
            cause=cause,
            exact=count > 0,
        )

    losses = [loss("worker-1", 100 - 10 * i, 1, 5, LossCause.KERNEL) for i in range(10)]
    losses.append(loss("worker-2", 60, 30, 0, LossCause.STREAM))
    losses.append(loss("worker-2", 20, 1, 900, LossCause.IG_QUEUE))
    side.control.add(id_, ["{}"], losses=losses)
    page.resize(size)
    page.open(f"/sessions/{id_}?tab=losses")
    page.find(".lanes")
    labels = page.js(
        "[...document.querySelectorAll('.lanes svg')].map(s => s.getAttribute('aria-label'))"
    )
    assert [label.rpartition(": ")[2] for label in labels] == [
        "900 lost in 1 record",
        "unknown lost in 1 record",
        "50 lost in 10 records",
    ]
    assert [label.partition(",")[0] for label in labels] == ["worker-2", "worker-2", "worker-1"]
    bars = (
        "[...document.querySelectorAll('.lanes svg')].map(s => s.querySelectorAll('rect').length)"
    )
    assert page.js(bars) == [1, 1, 10]
    wide = page.js("document.querySelectorAll('.lanes svg')[1].firstChild.getAttribute('width')")
    begun = 100 * NS  # before `now`, and the axis goes on to the present
    shown = 30 * NS / (begun + now_ns() - now) * 1000
    assert shown - 15 <= float(wide) <= 315
    assert page.texts(".lanes-node .ell") == ["worker-2", "worker-1"]
    assert page.js("document.documentElement.scrollWidth") == size[0]
