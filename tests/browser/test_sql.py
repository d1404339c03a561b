"""The SQL page: asked, answered, wrong, too slow, cancelled, kept, passed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.browser.test_axe import AXE, LOOKS, faults_of
from tests.browser.test_session_states import go, held, hold, release
from tests.support.browser import Page
from tests.support.web import Web

BIG = 9_223_372_036_854_775_807
ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
ROWS = "[...document.querySelectorAll('#sql-result .sqlp-rows .sqlp-tr')]"
CELLS = f"{ROWS}.map(r => [...r.children].slice(1).map(c => c.textContent))"


@pytest.fixture
def quiet() -> Callable[[str], bool]:
    """A browser tells of every answer from 400 on."""
    return lambda said: "/api/sql" in said and "the server responded with a status of 4" in said


@pytest.fixture
def asked(page: Page, side: Web) -> Page:
    session = side.session("trace_tcp")
    event = {"proc": {"comm": "curl"}, "dst": {"port": 443}, "netns_id": BIG}
    names = ("curl", "nginx", "curl", "redis", "curl")
    side.control.add(
        session, [json.dumps(event | {"proc": {"comm": name, "pid": 7}}) for name in names]
    )
    page.open("/sql")
    page.wait("document.querySelector('#sql-editor .cm-content')")
    page.wait("document.querySelector('.sqlp-view')")
    return page


def write(page: Page, text: str) -> None:
    """Type a statement in place of the one that is there."""
    page.driver.execute_script(
        "const c = document.querySelector('#sql-editor .cm-content'); c.focus();"
        "getSelection().selectAllChildren(c); document.execCommand('insertText', false, arguments[0])",
        text,
    )


def run(page: Page, text: str) -> None:
    write(page, text)
    page.driver.execute_cdp_cmd(
        "Input.dispatchKeyEvent",
        {
            "type": "rawKeyDown",
            "key": "Enter",
            "code": "Enter",
            "modifiers": 2,
            "windowsVirtualKeyCode": 13,
        },
    )  # with Control


def test_a_statement_is_answered(asked: Page) -> None:
    run(
        asked,
        "SELECT proc_comm, count(*) AS n, max(netns_id) AS ns FROM trace_tcp GROUP BY 1 ORDER BY n DESC, 1",
    )
    asked.wait(f"{ROWS}.length === 3")
    assert asked.js(CELLS)[0] == ["curl", "3", str(BIG)]
    assert "3 rows" in asked.text("#sql-note")
    assert asked.js(f"getComputedStyle({ROWS}[0].children[2]).textAlign") == "right"
    assert "q=SELECT" in asked.path
    asked.js(
        "(window.files = [], igdash.sql.hand = (blob, name) => window.files.push([name, blob]))"
    )
    for name in ("CSV", "JSON lines", "Parquet"):
        asked.js(
            "[...document.querySelectorAll('.sqlp-resultbar .btn')]"
            ".find(b => b.textContent === arguments[0]).click() || 1",
            name,
        )
    asked.wait("window.files.length === 3")
    assert asked.js("window.files.map(f => f[0].split('.')[1])") == ["csv", "jsonl", "parquet"]
    asked.js("window.files[2][1].slice(0, 4).text().then(t => window.magic = t)")
    asked.wait("window.magic === 'PAR1'")
    assert "3 rows" in asked.text("#sql-note")


def test_columns_of_the_views_named_are_offered(asked: Page) -> None:
    write(asked, "SELECT * FROM trace_tcp WHERE netns")
    offered = "[...document.querySelectorAll('.cm-completionLabel')].map(e => e.textContent)"
    asked.wait(f"({offered}).includes('netns_id')")


def test_views_and_columns_insert_their_names(asked: Page) -> None:
    write(asked, "")
    names = asked.js("[...document.querySelectorAll('.sqlp-view b')].map(b => b.textContent)")
    assert {"v_sessions", "v_events", "v_losses", "trace_tcp"} == set(names)
    asked.driver.execute_script("[...document.querySelectorAll('.sqlp-view')].at(-1).open = true")
    asked.click(".sqlp-view:last-of-type .sqlp-col")
    asked.wait("document.querySelector('#sql-editor .cm-content').innerText.includes('session_id')")


def test_an_error_is_underlined_where_it_is(asked: Page) -> None:
    run(asked, "SELECT absent FROM v_sessions")
    asked.wait("document.querySelector('.cm-wrong')")
    assert asked.text(".cm-wrong") == "absent"
    assert "line 1, column 8" in asked.text("#sql-note")
    run(asked, "SELECT * FROM events")
    asked.wait("document.querySelector('#sql-note').innerText.includes('not one of the views')")
    assert "Only SELECT over the views" in asked.text("#sql-note")


def test_a_slow_statement_ends_at_the_limit_once(asked: Page, side: Web) -> None:
    run(asked, ENDLESS)
    asked.wait("document.querySelector('#sql-note').innerText.includes('Running')")
    began = asked.js("performance.now()")
    asked.wait("document.querySelector('.sqlp-error')", timeout=15)
    assert "longer than 3 s" in asked.text("#sql-note")
    assert asked.js("performance.now()") - began < 6_000, "asked twice"


def test_a_statement_is_cancelled(asked: Page) -> None:
    run(asked, ENDLESS)
    asked.click("#sql-cancel")
    asked.wait("document.querySelector('#sql-note').innerText.includes('Cancelled')")
    run(asked, "SELECT 1 AS one")
    asked.wait(f"{ROWS}.length === 1")


def test_kept_statements_and_history(asked: Page) -> None:
    run(asked, "SELECT 41 + 1 AS answer")
    asked.wait(f"{ROWS}.length === 1")
    asked.click("#sql-save")
    asked.keys("the answer", "\ue007")
    asked.wait("document.querySelector('.sqlp-entry')?.innerText.includes('the answer')")
    asked.open("/sql")
    asked.wait("document.querySelector('.sqlp-view')")
    asked.click("#sql-side [role=tab]:nth-child(2)")
    assert "41 + 1" in asked.text(".sqlp-entry")
    asked.click("#sql-side [role=tab]:nth-child(3)")
    asked.click(".sqlp-entry button")
    asked.wait("document.querySelector('#sql-editor .cm-content').innerText.includes('41 + 1')")


def test_a_link_asks_again_and_draws(page: Page, side: Web) -> None:
    side.session("trace_tcp")
    page.open(
        "/sql?run=1&view=chart&kind=line&q=" + quote("SELECT 'a' AS x, 1 AS y UNION SELECT 'b', 5")
    )
    page.wait("document.querySelectorAll('.sqlp-svg .point').length === 2", timeout=15)
    assert "run=1" not in page.path
    page.click(".sqlp-kinds button")
    page.wait("document.querySelectorAll('.sqlp-svg .barr').length === 2")


def test_a_link_that_was_left_writes_into_no_other_view(page: Page, side: Web) -> None:
    side.session("trace_tcp")
    page.open("/gadgets")
    hold(page, "/api/sql")
    go(page, "/sql?run=1&q=SELECT%201")
    held(page)
    go(page, "/sessions?q=mine")
    release(page)
    page.wait("document.querySelector('.sqlp-view')")
    assert page.path == "/sessions?q=mine"
    go(page, "/sql")
    page.wait("document.querySelector('#sql-editor .cm-content').textContent === 'SELECT 1'")
    assert not page.js("document.getElementById('sql-run').disabled")


def test_a_long_answer_is_scrolled_sorted_and_opened(asked: Page) -> None:
    run(
        asked,
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 50000) SELECT n FROM r",
    )
    asked.wait(f"{ROWS}.length > 10")
    assert asked.js(f"{ROWS}.length") < 150
    asked.driver.execute_script("document.querySelector('.sqlp-scroll').scrollTop = 1e9")
    asked.wait(f"{ROWS}.at(-1).children[1].textContent === '50000'")
    asked.click(".sqlp-th button")
    asked.click(".sqlp-th button")
    asked.wait(f"{ROWS}[0].children[1].textContent === '50000'")
    asked.click(".sqlp-rows .sqlp-tr")
    asked.wait("document.querySelector('dialog[open] .sqlp-row dd').textContent === '50000'")


def test_a_limit_is_told(asked: Page) -> None:
    run(
        asked,
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 100001) SELECT n FROM r",
    )
    asked.wait("document.querySelector('#sql-note').innerText.includes('cut at 100,000 rows')")


def test_the_plan_is_shown(asked: Page) -> None:
    write(asked, "SELECT * FROM trace_tcp")
    asked.click("#sql-explain")
    asked.wait(f"{CELLS}.flat().some(t => t.includes('SEARCH') || t.includes('SCAN'))")


@LOOKS
def test_no_serious_fault(asked: Page, theme: str, size: tuple[int, int]) -> None:
    asked.prefer(prefers_color_scheme=theme)
    asked.resize(size)
    run(asked, "SELECT proc_comm, seq, NULL AS absent FROM trace_tcp")
    asked.wait(f"{ROWS}.length === 5")
    asked.driver.execute_script(AXE)
    assert faults_of(asked) == []
    assert asked.js("document.documentElement.scrollWidth <= innerWidth")
    run(asked, "SELECT absent")
    asked.wait("document.querySelector('.cm-wrong')")
    assert faults_of(asked) == []
