"""The environments page: health, nodes, rights, test button; and the way to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from igdash.domain.environments import Health
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.times import NS, now_ns
from tests.support.browser import PHONE, Page
from tests.support.web import Web

RIGHT = "list pods in every namespace: no suggestions of pods"


def three_nodes(side: Web) -> None:
    now = now_ns()
    side.control.statuses["demo"] = {
        "version": "v0.55.0",
        "coverage": (
            NodeStatus(name="worker-1", state=NodeState.CONNECTED, since=now, version="v0.55.0"),
            NodeStatus(
                name="worker-2",
                state=NodeState.WAITING,
                since=now - 300 * NS,
                reason="the port-forward was closed: connection reset by peer",
            ),
            NodeStatus(name="worker-3", state=NodeState.CONNECTED, since=now - 7200 * NS),
        ),
        "rights": (RIGHT,),
    }
    side.control.statuses["this-host"] = {"next_try": now + 600 * NS}


def test_each_environment_says_how_it_is(page: Page, side: Web) -> None:
    three_nodes(side)
    side.session()
    page.open("/environments")
    page.wait("document.querySelectorAll('.envs-card[data-name]').length === 2")
    assert page.text("#envs-summary") == "2 configured · 1 up · 1 down"
    demo = page.text(".envs-card[data-name=demo]")
    for words in ("replay", "examples/recordings", "2 / 3", "v0.55.0", RIGHT, "reset by peer"):
        assert words in demo, words
    assert page.texts("[data-name=demo] .envs-nodes b") == ["worker-2", "worker-1", "worker-3"]
    assert "5m" in page.texts("[data-name=demo] .envs-nodes li")[0]
    page.wait(lambda: page.text("[data-name=demo] .envs-facts a") == "1")
    host = page.text(".envs-card[data-name=this-host]")
    assert "no program `ig`" in host
    assert "Tried again in" in host
    assert page.js("document.querySelector('#nav-environments').classList.contains('on')")
    assert page.text("#nav-environments .n") == "2"


def test_the_test_button_asks_anew(page: Page, side: Web) -> None:
    page.open("/environments")
    page.find("[data-name=this-host] .envs-why")
    page.js("document.querySelector('[data-name=demo]').mine = 1")
    side.control.statuses["this-host"] = {"health": Health.UP, "reason": "", "version": "v0.55.1"}
    page.click("[data-name=this-host] .btn")
    page.wait(lambda: "Answered in" in page.text("[data-name=this-host] .envs-end"))
    assert side.control.tested == ["this-host"]
    assert "v0.55.1" in page.text("[data-name=this-host]")
    assert page.js("document.activeElement.closest('[data-name]').dataset.name") == "this-host"
    assert page.js("document.querySelector('[data-name=demo]').mine") == 1
    page.click("#envs-refresh")
    page.wait(lambda: sorted(side.control.tested) == ["demo", "this-host", "this-host"])


def test_its_key_address_and_narrow_screen(page: Page, side: Web) -> None:
    three_nodes(side)
    page.resize(PHONE)
    page.open("/gadgets")
    page.keys("g", "e")
    page.find("[data-name=demo] .envs-nodes")
    assert page.path == "/environments"
    assert page.js("document.title") == "Environments · igdash"
    assert page.js("document.documentElement.scrollWidth") == PHONE[0]
    assert page.js(
        "[...document.querySelectorAll('.envs-card')].every(c => c.scrollWidth <= c.clientWidth + 1)"
    )
    page.click("[data-name=demo] .envs-facts a")
    page.wait(lambda: page.path.startswith("/sessions?"))


class TestTroubles:
    """The browser notes a refused request in its console."""

    @pytest.fixture
    def quiet(self) -> Callable[[str], bool]:
        return lambda message: "Failed to load resource" in message

    def test_a_test_without_collector_says_so(self, page: Page, side: Web) -> None:
        page.open("/environments")
        page.find("[data-name=demo]")
        side.control.down = True
        page.click("[data-name=demo] .btn")
        page.wait(lambda: "does not answer" in page.text("[data-name=demo] .envs-end"))


TIMERS = """(() => {
  const { setTimeout: set, clearTimeout: clear } = window;
  window.timers = new Set();
  window.setTimeout = (fn, ms, ...more) => {
    const id = set(fn, ms, ...more);
    if (ms === 5000) window.timers.add(id);
    return id;
  };
  window.clearTimeout = (id) => { window.timers.delete(id); clear(id); };
  return 1;
})()"""


def test_coming_and_going_asks_no_more_often(page: Page) -> None:
    page.open("/gadgets")
    page.js(TIMERS)
    for _ in range(5):
        page.js("igdash.nav('/environments'), igdash.nav('/gadgets'), 1")
    page.js("igdash.nav('/environments') || 1")
    assert page.js("window.timers.size") == 1
