"""The sessions table in a real browser: order, search, selection, live numbers, keys, phone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionSpec, SessionState, Target
from igdash.domain.times import now_ns
from tests.support.browser import PHONE, Page
from tests.support.web import Web

COUNTS = {"production": 5, "staging": 1_234, "demo": 40}


def three(side: Web) -> dict[str, SessionId]:
    """Three sessions of one gadget in three namespaces, in this order, with different counts."""
    ids = {}
    for namespace, count in COUNTS.items():
        ids[namespace] = side.session("trace_tcp", target=Target(namespace=namespace))
        side.control.add(ids[namespace], [json.dumps({"n": n}) for n in range(count)])
    return ids


def column(page: Page, name: str) -> list[str]:
    return page.texts(f".sess-table td.c-{name}")


def wait_column(page: Page, name: str, wanted: list[str]) -> None:
    page.wait(lambda: column(page, name) == wanted)


def state(side: Web, session: SessionId) -> SessionState:
    return side.services.sessions.get(session).state


def open_table(page: Page, path: str = "/sessions", rows: int = 3) -> None:
    page.open(path)
    page.wait(f"document.querySelectorAll('.sess-table tbody tr').length === {rows}")


def away(page: Page) -> None:
    """Move the pointer out of the table, so that its order may be renewed."""
    ActionChains(page.driver).move_to_element(page.find("#sessions-summary")).perform()


def box(page: Page, id_: SessionId) -> str:
    return f"tr[data-id='{id_}'] input[type=checkbox]"


def test_every_session_with_its_target_and_exact_counts(page: Page, side: Web) -> None:
    three(side)
    side.control.end(side.session("trace_dns", name="old one"), SessionState.FAILED, "no image")
    open_table(page, rows=4)
    assert column(page, "namespace") == ["all", "demo", "staging", "production"]
    assert column(page, "events") == ["0", "40", "1,234", "5"]
    assert column(page, "state") == ["failed", "running", "running", "running"]
    assert "Trace DNS" in column(page, "gadget")[0]
    assert "old one" in column(page, "gadget")[0]
    assert page.js("document.querySelector('td.c-state .word').title") == "no image"
    summary = page.text("#sessions-summary")
    assert summary.startswith("3 running, 1 in history · 1,279 events stored")
    assert page.texts(".sess-chip .n") == ["4", "3", "0", "1"]


def test_sorted_by_events_and_by_age(page: Page, side: Web) -> None:
    three(side)
    open_table(page)
    page.click("th[data-sort=events] button")
    wait_column(page, "events", ["1,234", "40", "5"])
    assert page.js("document.querySelector('th[data-sort=events]').ariaSort") == "descending"
    assert page.path == "/sessions?sort=-events"
    page.click("th[data-sort=events] button")
    wait_column(page, "events", ["5", "40", "1,234"])
    page.click("th[data-sort=started] button")
    wait_column(page, "namespace", ["demo", "staging", "production"])
    assert page.path == "/sessions"
    page.click("th[data-sort=started] button")
    wait_column(page, "namespace", ["production", "staging", "demo"])


def test_search_filters_and_a_reload_that_keeps_them(page: Page, side: Web) -> None:
    ids = three(side)
    side.control.end(ids["demo"], SessionState.STOPPED)
    open_table(page)
    page.keys("/")
    page.keys("stag")
    wait_column(page, "namespace", ["staging"])
    assert page.path == "/sessions?q=stag"
    page.wait(lambda: page.texts(".sess-chip .n") == ["1", "1", "0", "0"])
    page.click(".sess-chip[data-group=ended]")
    page.wait(lambda: "No session matches" in page.text(".sess-empty"))
    page.driver.refresh()
    page.wait(lambda: "“stag”" in page.text(".sess-empty"))
    assert page.js("document.querySelector('.sess-q').value") == "stag"
    page.click(".sess-empty button")
    wait_column(page, "namespace", ["demo", "staging", "production"])
    assert page.path == "/sessions"


def test_the_sessions_of_one_environment(page: Page, side: Web) -> None:
    three(side)
    spec = SessionSpec(gadget="trace_dns", environment="edge")
    side.control.start(spec)
    open_table(page, "/sessions?state=running&environment=edge", rows=1)
    assert "Trace DNS" in column(page, "gadget")[0]
    assert page.texts(".sess-chip .n") == ["1", "1", "0", "0"]
    assert page.js("document.querySelector('[aria-label=Environment]').value") == "edge"
    page.js("igdash.nav('/sessions') || 1")
    page.wait("document.querySelectorAll('.sess-table tbody tr').length === 4")


MANY = """(() => {
  const real = igdash.api;
  window.many = 1_100;
  igdash.api = async (path, options) => {
    const answer = await real(path, options);
    const params = new URL(path, location.origin).searchParams;
    if (!path.startsWith('/api/sessions?') || !params.has('offset')) return answer;
    const first = Number(params.get('offset')), end = Math.min(window.many, first + Number(params.get('limit')));
    const [model] = answer.sessions.length ? answer.sessions : [window.model];
    window.model = model;
    answer.sessions = [];
    for (let n = first; n < end; n += 1) answer.sessions.push({ ...model, id: 's' + (window.many - n) });
    return { ...answer, total: window.many };
  };
  return 1;
})()"""
"""Make the page believe that there are more sessions than one answer holds."""


def test_more_rows_than_one_answer_holds_are_renewed_too(page: Page, side: Web) -> None:
    side.session("trace_tcp")
    page.open("/gadgets")
    page.js(MANY)
    page.js("igdash.sessionsQuery.PAGE = 1_000")
    page.js("igdash.nav('/sessions') || 1")

    def all_loaded() -> bool:
        page.js("document.querySelector('.sess-scroll').scrollTo(0, 1e9) || 1")
        return page.text("#sessions-root .status").startswith("1,100 of 1,100")

    page.wait(all_loaded)
    page.js("window.many = 1_101")
    side.session("trace_dns")
    page.click("#sessions-root .status button")
    page.wait("document.querySelector('.sess-table tbody tr').dataset.id === 's1101'")
    assert " of 1,101 sessions" in page.text("#sessions-root .status")


def test_back_returns_to_the_same_table(page: Page, side: Web) -> None:
    ids = three(side)
    open_table(page, "/sessions?sort=events&q=trace")
    page.click(f"tr[data-id='{ids['staging']}'] .title")
    page.wait(f"location.pathname === '/sessions/{ids['staging']}'")
    page.driver.back()
    page.find(".sess-table")
    assert page.path == "/sessions?sort=events&q=trace"
    assert column(page, "events") == ["5", "40", "1,234"]


def test_numbers_change_in_place_while_the_pointer_keeps_the_order(page: Page, side: Web) -> None:
    ids = three(side)
    open_table(page, "/sessions?sort=-events")
    row = page.find(f"tr[data-id='{ids['demo']}']")
    ActionChains(page.driver).move_to_element(row).perform()
    page.js("document.querySelectorAll('tr[data-id]').forEach(n => { n.mine = true }) || 1")
    now = now_ns()
    loss = Loss(node="n", start=now, end=now, count=37, cause=LossCause.KERNEL, detail="")
    side.control.add(ids["demo"], [json.dumps({"n": n}) for n in range(2_000)], losses=[loss])
    wait_column(page, "events", ["1,234", "2,040", "5"])
    wait_column(page, "lost", ["", "37", ""])
    page.wait(lambda: "Order changed" in page.text(".sess .status"), 15)
    assert column(page, "events") == ["1,234", "2,040", "5"]
    away(page)
    wait_column(page, "events", ["2,040", "1,234", "5"])
    assert page.js("[...document.querySelectorAll('tr[data-id]')].every(n => n.mine)")


def test_a_session_started_elsewhere_appears(page: Page, side: Web) -> None:
    three(side)
    open_table(page)
    away(page)
    side.session("trace_exec", name="fresh")
    page.wait(lambda: any("fresh" in text for text in column(page, "gadget")))


def test_several_are_stopped_after_one_question_that_names_them(page: Page, side: Web) -> None:
    ids = three(side)
    open_table(page)
    page.click(box(page, ids["demo"]))
    shift = ActionChains(page.driver).key_down(Keys.SHIFT)
    shift.click(page.find(box(page, ids["staging"]))).key_up(Keys.SHIFT).perform()
    assert page.text(".sess-selbar b") == "2 selected"
    page.click(".sess-selbar .danger")
    page.find("dialog .danger")
    question = page.text("dialog")
    assert "demo / *" in question
    assert "staging / *" in question
    assert "production" not in question
    page.click("dialog .danger")
    wait_column(page, "state", ["stopped", "stopped", "running"])
    assert state(side, ids["demo"]) is SessionState.STOPPED
    assert state(side, ids["staging"]) is SessionState.STOPPED
    assert state(side, ids["production"]) is SessionState.RUNNING
    page.wait("document.querySelector('.sess-selbar').hidden")


def test_a_headless_session_is_not_stopped_without_a_word_of_its_instance(
    page: Page, side: Web
) -> None:
    id_ = side.session("trace_tcp", headless=True)
    open_table(page, rows=1)
    page.click("td.c-actions [data-act=stop]")
    assert "The headless instance is removed from the nodes" in page.find("dialog p").text
    assert state(side, id_) is SessionState.RUNNING


def test_all_shown_are_deleted_and_a_refusal_is_told_per_session(page: Page, side: Web) -> None:
    ids = three(side)
    side.control.end(ids["demo"], SessionState.STOPPED)
    open_table(page)
    page.click("th.c-check input")
    assert page.text(".sess-selbar b") == "3 selected"
    assert "Stop 2 running" in page.text(".sess-selbar")
    side.control.down = True
    page.click(".sess-selbar .danger:nth-of-type(2)")
    page.wait(lambda: "1,279 stored events" in page.text("dialog"))
    assert "2 of them are running and are stopped first" in page.text("dialog")
    page.click("dialog .danger")
    page.wait(lambda: len(page.texts(".sess-problem li")) == 3)
    assert "Trace TCP (staging / *)" in page.text(".sess-problem")
    assert "does not answer" in page.text(".sess-problem")
    side.control.down = False
    page.click(".sess-selbar .danger:nth-of-type(2)")
    page.find("dialog .danger")
    page.click("dialog .danger")
    page.wait(lambda: "No sessions yet" in page.text(".sess-empty"))
    assert side.services.sessions.reader.totals()["sessions"] == 0
    assert all("503" in line for line in page.console())


def test_a_deleted_session_is_not_called_new(page: Page, side: Web) -> None:
    ids = three(side)
    open_table(page)
    ActionChains(page.driver).move_to_element(page.find(".sess-table tbody tr")).perform()
    page.click(box(page, ids["demo"]))
    page.click(".sess-selbar .btn.danger:nth-of-type(2)")
    page.click("dialog .btn.danger")
    page.wait("document.querySelectorAll('.sess-table tbody tr').length === 2")
    page.wait(f"igdash.live.sessions.get('{ids['demo']}').state === 'deleted'")
    assert page.text("#sessions-root .status").startswith("2 of 2 sessions")
    assert page.js("document.querySelector('#sessions-root .status .btn').hidden")


def test_row_menu_and_run_again(page: Page, side: Web) -> None:
    id_ = side.session(
        "trace_tcp", name="first", target=Target(namespace="demo"), params={"pid": "7"}
    )
    side.control.end(id_, SessionState.STOPPED)
    open_table(page, rows=1)
    page.click("[data-act=menu]")
    hrefs = page.js(
        "[...document.querySelectorAll('.sess-menu a')].map(a => a.getAttribute('href'))"
    )
    assert hrefs == [
        f"/api/sessions/{id_}/export?format={f}" for f in ("jsonl", "csv", "parquet", "html")
    ]
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('.sess-menu')")
    assert page.js("document.activeElement.dataset.act") == "menu"
    page.click("[data-act=again]")
    page.wait("document.querySelectorAll('.sess-table tbody tr').length === 2")
    assert column(page, "state") == ["running", "stopped"]
    page.click(f"tr[data-id='{id_}'] [data-act=menu]")
    page.keys(Keys.ENTER)
    page.find(".start-form")
    assert page.js("document.querySelector('[data-field=\"params.pid\"] input').value") == "7"
    assert (
        page.js("document.querySelector('[data-field=\"target.namespace\"] input').value") == "demo"
    )


def test_keyboard_through_the_rows(page: Page, side: Web) -> None:
    ids = three(side)
    open_table(page)
    page.keys(Keys.ARROW_DOWN)
    page.wait(f"document.activeElement.dataset.id === '{ids['demo']}'")
    page.keys(Keys.ARROW_DOWN)
    page.wait(f"document.activeElement.dataset.id === '{ids['staging']}'")
    page.keys(" ")
    assert page.text(".sess-selbar b") == "1 selected"
    page.keys(Keys.ESCAPE)
    page.wait("document.querySelector('.sess-selbar').hidden")
    page.keys(Keys.ENTER)
    page.wait(f"location.pathname === '/sessions/{ids['staging']}'")


def test_more_rows_come_as_one_scrolls(page: Page, side: Web) -> None:
    for _ in range(130):
        side.control.end(side.session("trace_exec"), SessionState.STOPPED)
    open_table(page, rows=100)
    assert "100 of 130 sessions" in page.text(".sess .status")
    page.js("document.querySelector('.sess-scroll').scrollTo(0, 1e6) || 1")
    page.wait("document.querySelectorAll('.sess-table tbody tr').length === 130")
    ids: list[str] = page.js("[...document.querySelectorAll('tr[data-id]')].map(n => n.dataset.id)")
    assert len(set(ids)) == 130


def test_no_sessions_leads_to_the_gadgets(page: Page, side: Web) -> None:
    page.open("/sessions")
    page.click(".sess-empty a")
    page.wait("location.pathname === '/gadgets'")


def test_a_phone_gets_cards_that_fit(page: Page, side: Web) -> None:
    three(side)
    page.resize(PHONE)
    open_table(page)
    edges: Mapping[str, Any] = page.js(
        "(() => { const r = document.querySelector('tr[data-id]').getBoundingClientRect();"
        " return {left: r.left, right: r.right, page: document.documentElement.scrollWidth} })()"
    )
    assert edges["left"] >= 0
    assert edges["right"] <= PHONE[0]
    assert edges["page"] == PHONE[0]
    assert page.find("tr[data-id] [data-act=stop]").is_displayed()
