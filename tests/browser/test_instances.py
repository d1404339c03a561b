"""Headless instances in pages: made by the start form, listed, collected from, left or removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from igdash.domain.environments import Environment, EnvironmentKind, Health
from igdash.domain.images import OFFICIAL
from igdash.domain.instances import Instance
from igdash.domain.queries import SessionQuery
from igdash.domain.sessions import Session, SessionState
from igdash.domain.times import NS, now_ns
from igdash.ui.app import create_app
from tests.browser.test_axe import AXE, LOOKS, faults_of
from tests.support.browser import Page
from tests.support.web import ENVIRONMENTS, Web, web

KEY = "a" * 32
SWITCH = '[data-field="headless"] input'
PANEL = "[data-name=fleet] .envs-inst"


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The web side with a daemon that can have instances and has three."""
    fleet = Environment(name="fleet", kind=EnvironmentKind.IG_DAEMON, address="tcp://127.0.0.1:9")
    monkeypatch.setattr("tests.support.web.ENVIRONMENTS", (*ENVIRONMENTS, fleet))
    with web(f"sqlite:///{tmp_path / 'browser.db'}") as made:
        create_app(made.services, made.app)
        made.control.statuses["fleet"] = CAN
        made.control.found = THREE
        yield made


CAN = {"headless": True, "health": Health.UP, "reason": ""}
THREE = (
    Instance(
        id=KEY,
        name="watch-tcp",
        image=f"{OFFICIAL}trace_tcp:v0.55.0",
        tags=("team-a",),
        state="running",
        nodes=("worker-1", "worker-2"),
        created=now_ns() - 7_200 * NS,
    ),
    Instance(
        id="b" * 32,
        name="watch-dns-of-everything-in-the-whole-production-cluster-1",
        image=f"{OFFICIAL}trace_dns:v0.55.0",
        state="failed",
        reason="no BTF: /sys/kernel/btf/vmlinux was not found on this node",
        nodes=("worker-1",),
    ),
    Instance(id="c" * 32, name="", image="example.org/own:1", nodes=("worker-1",)),
)


def newest(side: Web) -> Session:
    return side.services.sessions.list(SessionQuery()).sessions[0]


def open_panel(page: Page) -> None:
    page.open("/environments")
    page.click(f"{PANEL} summary")
    page.wait(lambda: "Asked at" in page.text(PANEL))


class TestStartForm:
    """The switch of the start form."""

    def test_the_switch_is_sent_shared_and_shown_as_a_command(self, page: Page, side: Web) -> None:
        page.open("/start/trace_tcp?environment=fleet")
        page.click(SWITCH)
        page.wait(lambda: "headless=true" in page.path)
        page.open(page.path)
        page.wait(f"document.querySelector('{SWITCH}')?.checked")
        page.wait(lambda: all("-" in text for text in page.texts(".start-cmd code")))
        page.wait(lambda: "--detach" in page.text(".start-cmd code"))
        assert "--headless" in page.texts(".start-cmd code")[1]
        page.click(".start-form button[type=submit]")
        page.wait("location.pathname.startsWith('/sessions/')")
        assert newest(side).spec.headless

    def test_only_where_gadgets_can_run_by_themselves(self, page: Page, side: Web) -> None:
        page.open("/start/trace_tcp?environment=this-host")
        page.wait("document.querySelectorAll('.start-cmd code').length === 2")
        assert not page.js(f"document.querySelector('{SWITCH}').checkVisibility()")
        page.open("/start/trace_tcp?environment=this-host&headless=true")
        page.wait(lambda: "this-host has no headless instances" in page.text(".start-away .wrong"))


class TestEnvironments:
    """The list on an environment's card."""

    def test_it_is_asked_for_and_one_is_collected_from(self, page: Page, side: Web) -> None:
        open_panel(page)
        assert not page.all("[data-name=this-host] .envs-inst")
        first, second, third = page.texts(f"{PANEL} li")
        for words in ("watch-tcp", "Trace TCP", "team-a", "running · 2 nodes · 2h", "Collect"):
            assert words in first, words
        assert "no BTF" in second
        assert "Collect" not in second
        assert "cccccccccccc" in third
        page.click(f"{PANEL} li .btn")
        page.wait("location.pathname.startsWith('/sessions/')")
        assert newest(side).spec.instance == KEY
        assert newest(side).spec.gadget == "trace_tcp"
        page.driver.back()
        page.wait(lambda: "View session" in page.texts(f"{PANEL} li")[0])

    def test_it_outlives_news_of_the_environment(self, page: Page, side: Web) -> None:
        open_panel(page)
        page.js("document.querySelector('.envs-inst summary').focus() || 1")
        side.control.statuses["fleet"] = CAN | {"version": "v0.99"}
        page.js("igdash.environments.refresh() && 1")
        page.wait(lambda: "v0.99" in page.text("[data-name=fleet]"))
        assert len(page.texts(f"{PANEL} li")) == 3
        assert page.js("document.activeElement.matches('.envs-inst summary')")

    def test_none(self, page: Page, side: Web) -> None:
        side.control.found = ()
        open_panel(page)
        assert "No gadget runs here by itself" in page.text(PANEL)


class TestSession:
    """What a session's page and its entry in the sidebar offer."""

    def test_stop_leaves_it_or_removes_it(self, page: Page, side: Web) -> None:
        left, removed = side.session(headless=True), side.session(headless=True)
        for id_, words in ((left, "Leave it running"), (removed, "Remove the instance")):
            page.open(f"/sessions/{id_}")
            page.wait("igdash.session.core.session")
            page.click("#session-stop")
            assert page.texts(".s-sure .btn")[-1] == "Cancel"
            page.js(
                "[...document.querySelectorAll('.s-sure .btn')]"
                ".find(b => b.textContent === arguments[0]).click() || 1",
                words,
            )
            page.wait(lambda: "Stopped by the user" in page.text("#session-banner"))
        assert side.control.kept == [left]
        assert side.services.sessions.get(removed).state is SessionState.STOPPED

    def test_so_does_the_sidebar(self, page: Page, side: Web) -> None:
        left, removed = side.session(headless=True), side.session(headless=True)
        page.open("/gadgets")
        page.click(f".run[data-id='{left}'] .btn.danger")
        page.wait("document.activeElement.textContent === 'Remove it'")
        page.keys(Keys.ESCAPE)
        page.wait("!document.querySelector('.run-ask')")
        page.click(f".run[data-id='{left}'] .btn.danger")
        page.keys(Keys.TAB, Keys.ENTER)
        page.wait("document.querySelectorAll('.run').length === 1")
        page.click(f".run[data-id='{removed}'] .btn.danger")
        page.keys(Keys.ENTER)
        page.wait("document.querySelectorAll('.run').length === 0")
        assert side.control.kept == [left]

    def test_info_names_the_instance(self, page: Page, side: Web) -> None:
        own, read = side.session(headless=True), side.session(instance=KEY)
        page.open(f"/sessions/{own}?tab=info")
        page.wait(lambda: f"igdash-{own}" in page.text("#session-info"))
        assert "unless you leave it running" in page.text("#session-info")
        page.open(f"/sessions/{read}?tab=info")
        page.wait(lambda: KEY in page.text("#session-info"))
        page.click("#session-stop")
        page.wait(lambda: "Stopped by the user" in page.text("#session-banner"))
        assert side.control.kept == []


@LOOKS
def test_no_serious_fault(page: Page, side: Web, theme: str, size: tuple[int, int]) -> None:
    id_ = side.session(headless=True)
    page.prefer(prefers_color_scheme=theme)
    page.resize(size)
    open_panel(page)
    page.driver.execute_script(AXE)
    faults = {"/environments": faults_of(page)}
    assert page.js("document.documentElement.scrollWidth") <= size[0]
    assert page.js(
        "[...document.querySelectorAll('.envs-card')].every(c => c.scrollWidth <= c.clientWidth + 1)"
    )
    for address, ready in (
        ("/start/trace_tcp?environment=fleet", f"document.querySelector('{SWITCH}')"),
        (f"/sessions/{id_}?tab=info", "document.querySelector('.s-info')"),
    ):
        page.js("igdash.nav(arguments[0])", address)
        page.wait(ready)
        page.js("document.querySelector('.start-away')?.scrollIntoView() || 1")
        if address.startswith("/sessions"):
            page.click("#session-stop")
            page.find(".s-sure")
        faults[address] = faults_of(page)
        assert page.js("document.documentElement.scrollWidth") <= size[0]
    assert not any(faults.values()), faults


class TestTroubles:
    """The browser notes a refused request in its console."""

    @pytest.fixture
    def quiet(self) -> Callable[[str], bool]:
        return lambda message: "Failed to load resource" in message

    def test_nobody_to_ask_and_then_somebody(self, page: Page, side: Web) -> None:
        page.open("/environments")
        page.find(PANEL)
        side.control.down = True
        page.click(f"{PANEL} summary")
        page.wait(lambda: "Could not be asked" in page.text(PANEL))
        side.control.down = False
        page.click(f"{PANEL} .btn")
        page.wait(lambda: len(page.texts(f"{PANEL} li")) == 3)

    def test_collecting_that_fails_says_so(self, page: Page, side: Web) -> None:
        open_panel(page)
        side.control.down = True
        page.click(f"{PANEL} li .btn")
        page.wait(lambda: "Could not collect" in page.text(".toast.err"))
