"""The frame in a real browser: sidebar, picker, catalogue, addresses, theme."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from selenium.webdriver.common.keys import Keys

from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState, Target
from igdash.domain.times import now_ns
from tests.support.browser import PHONE, Page
from tests.support.web import Web

NAMESPACES = ("production", "staging", "demo")


def three(side: Web) -> list[SessionId]:
    """Three sessions of one gadget, with 1, 1,002 and 3 events."""
    ids = []
    for namespace, count in zip(NAMESPACES, (1, 1_002, 3), strict=True):
        pod = "nginx-*" if namespace == "demo" else ""
        id_ = side.session("trace_tcp", target=Target(namespace=namespace, pod=pod))
        side.control.add(id_, [json.dumps({"n": n}) for n in range(count)])
        ids.append(id_)
    return ids


def runs(page: Page) -> list[str]:
    return page.texts(".run")


def wait_runs(page: Page, count: int) -> None:
    page.wait(f"document.querySelectorAll('.run').length === {count}")


def test_sidebar_tells_three_sessions_of_one_gadget_apart(page: Page, side: Web) -> None:
    three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    assert page.texts(".run-t .ell") == ["Trace TCP"] * 3
    targets = page.texts(".run-m .ell")
    assert targets == ["production / *", "staging / *", "demo / nginx-*"]
    assert page.texts(".run-t .c") == ["1", "1,002", "3"]
    assert page.text("#running-count") == "3"
    assert page.text(".card[data-gadget=trace_tcp] .card-count") == "3 running"


def test_counts_are_written_into_entries_that_stay(page: Page, side: Web) -> None:
    ids = three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    page.js("document.querySelectorAll('.run').forEach(n => { n.mine = true }) || 1")
    now = now_ns()
    loss = Loss(node="worker-1", start=now, end=now, count=37, cause=LossCause.KERNEL, detail="")
    side.control.add(ids[0], ['{"n":2}', '{"n":3}'], losses=[loss])
    page.wait(lambda: page.texts(".run-t .c") == ["3", "1,002", "3"])
    page.wait(lambda: "37" in runs(page)[0])
    assert page.js("[...document.querySelectorAll('.run')].every(n => n.mine)")


def test_stop_from_the_sidebar_asks_once_while_events_flow(page: Page, side: Web) -> None:
    ids = three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    stop = f".run[data-id='{ids[1]}'] .btn.danger"
    page.click(stop)
    page.find(".run-ask")
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('.run-ask')")
    assert not side.services.sessions.get(ids[1]).state.ended
    page.click(stop)
    page.find(".run-ask")
    page.keys(Keys.ENTER)
    wait_runs(page, 2)
    assert side.services.sessions.get(ids[1]).state is SessionState.STOPPED
    assert page.texts(".run-m .ell") == ["production / *", "demo / nginx-*"]
    assert side.services.sessions.get(ids[0]).state is SessionState.RUNNING


def test_a_session_started_elsewhere_appears(page: Page, side: Web) -> None:
    page.open("/gadgets")
    page.wait(lambda: "Nothing is running" in page.text("#runs"))
    side.session("trace_exec")
    wait_runs(page, 1)
    assert page.text(".card[data-gadget=trace_exec] .card-count") == "1 running"


LATE = """(() => {
  const real = window.fetch.bind(window);
  window.fetch = async (url, options) => {
    const answer = await real(url, options);
    if (!String(url).includes('state=starting')) return answer;
    window.fetch = real;
    await new Promise((go) => { window.arrive = go; });
    return answer;
  };
  return 1;
})()"""


def test_a_late_answer_does_not_bring_back_a_session_that_ended(page: Page, side: Web) -> None:
    first, *_ = three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    page.js(LATE)
    page.js("(window.asked = igdash.running.refresh().then(() => { window.done = true; })) && 1")
    page.wait("Boolean(window.arrive)")
    side.control.end(first, SessionState.STOPPED)
    wait_runs(page, 2)
    page.js("window.arrive() || 1")
    page.wait("window.done")
    assert len(runs(page)) == 2


def test_picker_by_keyboard(page: Page, side: Web) -> None:
    ids = three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    page.keys("/")
    page.keys("trace_tcp", Keys.ENTER)
    page.find("dialog.pick")
    page.wait(f"document.activeElement.dataset.id === '{ids[0]}'")
    assert "production namespace (all pods)" in page.texts(".opt .x")[0]
    assert "1,002 events" in page.texts(".opt .x")[1]
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    page.wait(f"document.activeElement.dataset.id === '{ids[2]}'")
    page.keys(Keys.ARROW_UP)
    page.keys(Keys.ENTER)
    page.wait(lambda: page.path.startswith(f"/sessions/{ids[1]}"))
    assert page.js("!document.querySelector('dialog')")
    assert page.js("document.querySelector('.run.on').dataset.id") == ids[1]


def test_picker_has_live_counts_and_closes_on_escape(page: Page, side: Web) -> None:
    ids = three(side)
    page.open("/gadgets?pick=trace_tcp")
    page.wait("document.querySelectorAll('.opt').length === 3")
    side.control.add(ids[0], ['{"n":2}'])
    page.wait(lambda: "2 events" in page.texts(".opt .x")[0])
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('dialog')")
    assert page.path == "/gadgets"


def test_picker_creates_a_new_session(page: Page, side: Web) -> None:
    three(side)
    page.open("/gadgets?pick=trace_tcp")
    page.click("dialog .btn.primary")
    page.wait(lambda: page.path.startswith("/start/trace_tcp"))
    page.find("#view-start.on")


def test_a_card_leads_to_form_session_or_picker(page: Page, side: Web) -> None:
    three(side)
    only = side.session("trace_dns")
    page.open("/gadgets")
    wait_runs(page, 4)
    hrefs = page.js(
        "Object.fromEntries([...document.querySelectorAll('.card')]"
        ".map(c => [c.dataset.gadget, c.getAttribute('href')]))"
    )
    assert hrefs["trace_tcp"] == "/gadgets?pick=trace_tcp"
    assert hrefs["trace_dns"] == f"/sessions/{only}"
    assert hrefs["trace_exec"] == "/start/trace_exec"


def test_catalogue_search_category_and_their_address(page: Page) -> None:
    page.open("/gadgets?category=top")
    page.wait("document.querySelectorAll('.card:not([hidden])').length > 3")
    assert page.js(
        "[...document.querySelectorAll('.card:not([hidden])')].every(c => c.dataset.category === 'top')"
    )
    page.keys("/")
    page.keys("tcp")
    page.wait("document.querySelectorAll('.card:not([hidden])').length === 1")
    assert page.path == "/gadgets?category=top&q=tcp"
    page.keys("zzz")
    page.wait(lambda: "No gadget matches" in page.text("#gadgets-empty"))
    page.click("#gadgets-empty .btn")
    page.wait("document.querySelectorAll('.card:not([hidden])').length > 40")
    assert page.path == "/gadgets"


def test_deep_links_reload_back_and_titles(page: Page, side: Web) -> None:
    ids = three(side)
    page.open(f"/sessions/{ids[0]}")
    wait_runs(page, 3)
    page.find("#view-session.on")
    page.click("#nav-sessions")
    page.find("#view-sessions.on")
    page.wait("document.title === 'Sessions · igdash'")
    page.click("#nav-gadgets")
    page.find("#view-gadgets.on")
    assert page.js("document.title") == "Gadgets · igdash"
    page.driver.back()
    page.find("#view-sessions.on")
    page.driver.back()
    page.find("#view-session.on")
    page.driver.refresh()
    page.find("#view-session.on")
    wait_runs(page, 3)
    assert page.path.startswith(f"/sessions/{ids[0]}")


def test_a_key_held_down_leaves_the_address_free_for_a_click(page: Page) -> None:
    """Browsers take some 200 changes of the address in half a minute, and ignore all others."""
    page.open("/gadgets")
    page.find("#view-gadgets.on")
    page.js("[...Array(401).keys()].forEach(n => igdash.setParam('q', 'x' + n)) || 1")
    page.wait("new URL(location.href).searchParams.get('q') === 'x400'")
    page.click("#nav-sessions")
    page.find("#view-sessions.on")
    assert page.path == "/sessions"


def test_fifty_switches_change_nothing_for_the_sessions(page: Page, side: Web) -> None:
    ids = three(side)
    page.open("/gadgets")
    wait_runs(page, 3)
    marked = "document.getElementById('view-session').firstElementChild.mine"
    page.js(f"{marked} = 1")
    for number in range(50):
        to = ("/sessions", f"/sessions/{ids[number % 3]}", "/gadgets")[number % 3]
        page.js("igdash.nav(arguments[0])", to)
        side.control.add(ids[number % 3], ['{"n":9}'])
    assert page.js(marked) == 1
    counts = [side.services.sessions.get(id_).events for id_ in ids]
    assert sum(counts) == 1 + 1_002 + 3 + 50
    assert all(side.services.sessions.get(id_).state is SessionState.RUNNING for id_ in ids)
    page.wait(lambda: page.texts(".run-t .c") == [f"{n:,}" for n in counts])


def test_keys_and_help(page: Page) -> None:
    page.open("/gadgets")
    page.keys("g", "s")
    page.find("#view-sessions.on")
    page.keys("g", "g")
    page.find("#view-gadgets.on")
    page.keys("?")
    page.wait(lambda: "Sessions" in page.find("dialog.keys").text)
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('dialog')")
    page.keys("t")
    assert page.js("localStorage.getItem('igdash-theme')") == "light"
    assert page.js("document.documentElement.dataset.bsTheme") == "light"


@pytest.mark.parametrize(("system", "saved", "wanted"), [
    ("dark", None, "dark"),
    ("light", None, "light"),
    ("light", "dark", "dark"),
    ("dark", "light", "light"),
])  # fmt: skip
def test_theme_is_right_from_the_first_paint(
    page: Page, system: str, saved: str | None, wanted: str
) -> None:
    page.prefer(prefers_color_scheme=system)
    page.open("/gadgets")
    if saved:
        page.js("localStorage.setItem('igdash-theme', arguments[0])", saved)
    log = (
        "window.themes = []; new MutationObserver(() => { if (document.body)"
        " window.themes.push(document.documentElement.dataset.bsTheme) })"
        ".observe(document, {childList: true, subtree: true, attributes: true});"
    )
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": log})
    page.open("/gadgets")
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    assert set(page.js("window.themes")) == {wanted}


def test_drawer_of_a_narrow_screen(page: Page, side: Web) -> None:
    ids = three(side)
    page.resize(PHONE)
    page.open("/gadgets")
    assert page.js("document.documentElement.scrollWidth") == PHONE[0]
    assert not page.js(
        "document.getElementById('sidebar').checkVisibility({visibilityProperty: true})"
    )
    page.click("#menu-button")
    page.wait("document.activeElement.id === 'nav-gadgets'")
    assert page.js("document.getElementById('main').inert")
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('.shell.drawer')")
    assert page.js("document.activeElement.id") == "menu-button"
    page.click("#menu-button")
    page.click(f".run[data-id='{ids[0]}'] .run-a a")
    page.find("#view-session.on")
    assert not page.js("document.querySelector('.shell.drawer')")


class TestTroubles:
    """States in which the server says no, which the browser notes in its console."""

    @pytest.fixture
    def quiet(self) -> Callable[[str], bool]:
        return lambda message: "Failed to load resource" in message

    def test_collector_down_is_said_and_history_stays(self, page: Page, side: Web) -> None:
        three(side)
        page.open("/gadgets")
        wait_runs(page, 3)
        side.control.down = True
        page.find("#collector-banner", timeout=20)
        assert "The collector is down" in page.text("#collector-banner")
        assert "Since" in page.text("#collector-banner")
        assert len(runs(page)) == 3
        side.control.down = False
        page.wait("document.getElementById('collector-banner').hidden", timeout=20)

    def test_stop_that_fails_is_said(self, page: Page, side: Web) -> None:
        ids = three(side)
        page.open("/gadgets")
        wait_runs(page, 3)
        side.control.down = True
        page.js("igdash.running.stop(arguments[0]) && 1", ids[0])
        page.wait(lambda: "Could not stop" in page.text(".toast.err"))
        assert len(runs(page)) == 3

    def test_unknown_address_has_a_page(self, page: Page) -> None:
        page.open("/no/such/page")
        page.find("#view-missing.on")
        page.click("#view-missing .btn")
        page.find("#view-sessions.on")
