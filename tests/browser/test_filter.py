"""Filter bar, field panel, values to click and the Share menu, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from igdash.domain.sessions import SessionId, SessionState, Target
from tests.browser.test_axe import AXE, faults_of
from tests.support.browser import PHONE, Page
from tests.support.web import Web

PODS = ("web-1", "web-1", "web-1", "api-2", "db-0")


@pytest.fixture
def quiet() -> Callable[[str], bool]:
    """Typing leaves the console empty; a link with a wrong filter is a 400, and noted as such."""
    return lambda message: "filter=nosuchfield" in message and "status of 400" in message


def tcp(number: int, **more: object) -> str:
    """One event: its pod goes round, its port is even or odd, its size is its number."""
    event = {
        "dst": {"addr": "10.43.0.19", "k8s": {"kind": "raw"}, "port": 6379 + number % 2},
        "error": "ETIMEDOUT" if number % 10 == 0 else "",
        "k8s": {"namespace": "demo", "podName": PODS[number % 5]},
        "proc": {"comm": "nginx", "pid": number},
        "src": {"addr": "::1", "port": 443},
        "type": "connect",
    }
    return json.dumps(event | more)


def see(page: Page, side: Web, events: int = 100, query: str = "") -> SessionId:
    """A session with `events` events, opened and painted, its field panel shown."""
    id_ = side.session("trace_tcp", target=Target(namespace="demo"))
    if events:
        side.control.add(id_, [tcp(n) for n in range(1, events + 1)])
    page.open("/gadgets")
    page.js("localStorage.setItem('igdash.fields.@shown', 'true') || 1")
    page.js("igdash.nav(arguments[0]) || 1", f"/sessions/{id_}{query}")
    page.wait(f"document.getElementById('session-root').dataset.painted === '{id_}'")
    return id_


def asked(page: Page) -> str:
    return str(page.js("igdash.session.core.asked.filter"))


def matched(page: Page, words: str) -> None:
    page.wait(lambda: page.text("#session-match").replace("\n", " ") == words)


def type_in(page: Page, *keys: str) -> None:
    page.keys("/")
    page.wait("document.activeElement.id === 'session-filter'")
    page.keys(*keys)


def values(page: Page, field: str) -> list[str]:
    rows = page.texts(f'[data-field="{field}"] .f-value')
    return [" ".join(row.split()) for row in rows]


def menu(page: Page, label: str) -> None:
    """Click the entry of the open menu that begins with `label`."""
    find = "[...document.querySelectorAll('.menu button')].find(b => b.textContent.startsWith(arguments[0]))"
    page.wait(lambda: page.js(find, label))
    page.js(f"{find}.click() || 1", label)


# ---------------------------------------------------------------- the bar


def test_a_filter_is_typed_counted_and_kept_in_the_address(page: Page, side: Web) -> None:
    id_ = see(page, side)
    type_in(page, "dst.port = 6379 and pod ~ web", Keys.ENTER)
    page.wait(lambda: page.texts(".f-chip .f-text") == ["dst.port = 6379", "pod ~ web"])
    matched(page, "30 of 100 events match")
    assert page.path == f"/sessions/{id_}?filter=dst.port+%3D+6379+and+pod+%7E+web"
    page.driver.back()
    page.wait(lambda: page.texts(".f-chip") == [])
    page.wait("document.getElementById('session-match').hidden")
    page.driver.forward()
    matched(page, "30 of 100 events match")


def test_a_link_opens_with_its_filter_and_counts_what_arrives(page: Page, side: Web) -> None:
    id_ = see(page, side, query="?filter=error+%3D+ETIMEDOUT")
    matched(page, "10 of 100 events match")
    side.control.add(id_, [tcp(n) for n in range(101, 121)])
    matched(page, "12 of 120 events match")


def test_chips_are_switched_edited_and_removed(page: Page, side: Web) -> None:
    see(page, side, query="?filter=dst.port+%3D+6379+and+pod+%3D+web-1")
    page.wait(lambda: len(page.all(".f-chip")) == 2)
    page.click(".f-chip .f-dot")
    page.wait(lambda: asked(page) == "pod = web-1")
    assert page.texts(".f-chip.f-off .f-text") == ["dst.port = 6379"]
    page.click(".f-chip.f-off .f-dot")
    page.wait(lambda: asked(page) == "pod = web-1 and dst.port = 6379")
    page.click(".f-chip .f-text")
    page.wait("document.getElementById('session-filter').value === 'pod = web-1'")
    page.keys(Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE)
    page.keys("api-2", Keys.ENTER)
    page.wait(lambda: asked(page) == "pod = api-2 and dst.port = 6379")
    page.click(".f-chip .f-x")
    page.wait(lambda: asked(page) == "dst.port = 6379")


def test_an_or_is_one_chip_and_stays_whole_beside_others(page: Page, side: Web) -> None:
    see(page, side, query="?filter=pod+%3D+api-2+or+pod+%3D+db-0")
    matched(page, "40 of 100 events match")
    type_in(page, "dst.port = 6379", Keys.ENTER)
    page.wait(lambda: asked(page) == "(pod = api-2 or pod = db-0) and dst.port = 6379")
    matched(page, "20 of 100 events match")


def test_what_is_wrong_is_underlined_and_a_click_puts_it_right(page: Page, side: Web) -> None:
    see(page, side)
    type_in(page, "dst.prt = 6379", Keys.ENTER)
    page.wait("document.querySelector('.f-mirror u')?.textContent === 'dst.prt'")
    assert "dst.prt" in page.text("#session-filter-error")
    assert asked(page) == ""
    page.click("#session-filter-error .btn")
    page.wait("document.getElementById('session-filter').value === 'dst.port = 6379'")
    page.keys(Keys.ENTER)
    matched(page, "50 of 100 events match")


def test_names_operators_and_stored_values_are_completed(page: Page, side: Web) -> None:
    see(page, side)
    type_in(page, "po")
    page.wait(lambda: "pod" in page.texts("#session-filter-list .f-insert"))
    page.keys(Keys.TAB)
    page.wait("document.getElementById('session-filter').value === 'pod '")
    page.wait(lambda: "=" in page.texts("#session-filter-list .f-insert"))
    page.keys("= ")
    page.wait(lambda: '"web-1"' in page.texts("#session-filter-list .f-insert"))
    page.keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(
        "document.getElementById('session-filter').value.trim().match(/^pod = \"(web-1|api-2|db-0)\"$/)"
    )
    page.keys(Keys.ENTER)
    page.wait(lambda: asked(page).startswith('pod = "'))


def test_a_wrong_filter_in_a_link_can_be_corrected(page: Page, side: Web) -> None:
    see(page, side, query="?filter=nosuchfield+%3D+1")
    page.wait("document.getElementById('session-filter').value === 'nosuchfield = 1'")
    page.wait("document.querySelector('.f-mirror u')?.textContent === 'nosuchfield'")


def test_filters_are_remembered_saved_and_taken_elsewhere(page: Page, side: Web) -> None:
    see(page, side)
    type_in(page, "pod = db-0", Keys.ENTER)
    page.wait(lambda: asked(page) == "pod = db-0")
    page.click("#session-filter-kept")
    page.find(".f-save input").send_keys("The database", Keys.ENTER)
    page.wait(lambda: page.js("localStorage.getItem('igdash.filters.saved')"))
    page.click(".f-clear")
    page.wait(lambda: asked(page) == "")
    page.click("#session-filter-kept")
    assert page.texts(".f-kept > span") == ["The database", "pod = db-0", "pod = db-0"]
    page.click(".f-kept")
    page.wait(lambda: asked(page) == "pod = db-0")
    taken = {"igdash": "filters", "filters": [{"name": "Slow", "filter": "error != ''"}, {"x": 1}]}
    page.js("igdash.session.takeFilters(arguments[0]) || 1", json.dumps(taken))
    saved = json.loads(page.js("localStorage.getItem('igdash.filters.saved')"))
    assert saved == [
        {"name": "Slow", "filter": "error != ''"},
        {"name": "The database", "filter": "pod = db-0"},
    ]


def test_the_whole_history_is_counted_in_slices(page: Page, side: Web) -> None:
    """The server may answer with a part: what is older is asked for until all is counted."""
    see(page, side)
    page.js(
        """(() => { const get = igdash.session.core.get;
        igdash.session.core.get = async (rest, signal) => {
          if (!rest.startsWith('/count?')) return get(rest, signal);
          const q = new URLSearchParams(rest.slice(7)), before = Number(q.get('before') || 101);
          if (q.get('after')) return {count: 0, scope: {from_seq: 101, to_seq: 100, complete: true, examined: 0, total: 0}};
          q.set('after', Math.max(0, before - 26));
          const answer = await get('/count?' + q, signal);
          return {count: answer.count, scope: {from_seq: Math.max(1, before - 25), to_seq: before - 1, complete: before <= 26, examined: 25, total: 100}};
        }; return 1 })()"""
    )
    page.js("igdash.session.filter.set('dst.port = 6379') || 1")
    matched(page, "50 of 100 events match")


# ---------------------------------------------------------------- fields


def test_fields_show_exact_values_and_a_click_narrows(page: Page, side: Web) -> None:
    see(page, side)
    page.wait(lambda: values(page, "k8s.podName") == ["web-1 60", "api-2 20", "db-0 20"])
    assert page.text('[data-field="k8s.podName"] .f-distinct') == "3"
    page.click('[data-field="k8s.podName"] .f-row:nth-of-type(2) .f-value')
    page.wait(lambda: asked(page) == "pod = api-2")
    page.wait(lambda: values(page, "k8s.podName") == ["api-2 20"])
    page.wait("document.querySelector('.f-value[aria-pressed=true]')")
    page.click('[data-field="k8s.podName"] .f-value')
    page.wait(lambda: asked(page) == "")
    page.wait(lambda: len(values(page, "k8s.podName")) == 3)
    out = '[aria-label="Without pod web-1"]'
    page.js("document.querySelector(arguments[0]).click() || 1", out)
    page.wait(lambda: asked(page) == "pod != web-1")
    page.wait(lambda: values(page, "k8s.podName") == ["api-2 20", "db-0 20"])


def test_any_field_is_found_opened_and_remembered(page: Page, side: Web) -> None:
    id_ = see(page, side)
    page.find(".f-panel-head input").send_keys("dst.port")
    assert [f for f in page.texts(".f-facet:not([hidden]) .f-head") if "dst.port" in f]
    page.click('[data-field="dst.port"] .f-head')
    page.wait(lambda: values(page, "dst.port") == ["6379 50", "6380 50"])
    page.wait(lambda: page.texts('[data-field="dst.port"] .f-figures dd')[:1] == ["6,379"])
    page.open(f"/sessions/{id_}")
    page.wait(lambda: values(page, "dst.port") == ["6379 50", "6380 50"])


def test_values_are_counted_again_without_changing_place_under_the_pointer(
    page: Page, side: Web
) -> None:
    id_ = see(page, side)
    page.wait(lambda: values(page, "k8s.podName")[:1] == ["web-1 60"])
    ActionChains(page.driver).move_to_element(page.find(".f-panel-head")).perform()
    more = [tcp(n, k8s={"namespace": "demo", "podName": "api-2"}) for n in range(101, 201)]
    side.control.add(id_, more)
    page.wait(lambda: values(page, "k8s.podName") == ["web-1 60", "api-2 120", "db-0 20"])
    ActionChains(page.driver).move_to_element(page.find("#session-title")).perform()
    page.wait(lambda: values(page, "k8s.podName") == ["api-2 120", "web-1 60", "db-0 20"])


def test_a_part_of_the_history_says_so_until_all_of_it_is_counted(page: Page, side: Web) -> None:
    see(page, side)
    page.wait(lambda: values(page, "k8s.podName")[:1] == ["web-1 60"])
    page.js(
        """(() => { const get = igdash.session.core.get;
        window.goOn = new Promise((done) => { window.letGo = done; });
        igdash.session.core.get = async (rest, signal) => {
          if (!rest.startsWith('/fields/k8s.podName/top?')) return get(rest, signal);
          if (rest.includes('budget_ms')) await window.goOn;
          const answer = await get(rest, signal);
          if (!rest.includes('budget_ms')) Object.assign(answer.scope, {complete: false, examined: 60});
          return answer;
        }; igdash.session.filter.set('exists type'); return 1 })()"""
    )
    note = '[data-field="k8s.podName"] .f-note'
    page.wait(lambda: page.texts(note) == ["newest 60 of 100 …"])
    page.js("window.letGo() || 1")
    page.wait(lambda: page.texts(note) == [])
    assert values(page, "k8s.podName") == ["web-1 60", "api-2 20", "db-0 20"]


def test_on_a_narrow_screen_the_fields_are_a_sheet(page: Page, side: Web) -> None:
    page.resize(PHONE)
    see(page, side)
    assert page.js("document.getElementById('session-fields').hidden")
    page.click("#session-fields-toggle")
    page.wait(lambda: values(page, "k8s.podName")[:1] == ["web-1 60"])
    assert page.js("document.documentElement.scrollWidth") <= PHONE[0]
    page.keys(Keys.ESCAPE)
    page.wait("document.getElementById('session-fields').hidden")


# ---------------------------------------------------------------- values and links


def test_a_cell_offers_its_value_as_a_filter(page: Page, side: Web) -> None:
    see(page, side)
    cell = page.find('#session-grid .ag-row[row-index="0"] .ag-cell[col-id="dst"]')
    ActionChains(page.driver).context_click(cell).perform()
    menu(page, "dst.port = 6379")
    page.wait(lambda: asked(page) == "dst.port = 6379")
    matched(page, "50 of 100 events match")


def test_values_of_an_open_event_filter_in_and_out(page: Page, side: Web) -> None:
    see(page, side, query="?seq=100")
    page.wait(lambda: page.text("#session-drawer h2") == "Event #100")
    page.wait("document.querySelector('[aria-label=\"Filter to this error\"]')")
    page.js("document.querySelector('[aria-label=\"Filter to this error\"]').click() || 1")
    page.wait(lambda: asked(page) == "error = ETIMEDOUT")
    matched(page, "10 of 100 events match")


def test_share_copies_the_link_a_command_and_curl(page: Page, side: Web) -> None:
    id_ = see(page, side, query="?filter=pod+%3D+%22db-0%22&from=2020-01-01T00:00:00Z&seq=5")
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite"], "origin": page.base}
    )
    copied: list[str] = []
    page.js("(igdash.session.copy = (text) => { window.copied = text; }) && 1")
    for label in ("Copy link", "Copy as igdash command", "Copy as curl"):
        page.click("#session-share")
        menu(page, label)
        copied.append(str(page.wait("window.copied")))
        page.js("(window.copied = null) || 1")
    link, command, curl = copied
    assert link.startswith(f"{page.base}/sessions/{id_}?filter=pod+%3D+%22db-0%22")
    assert command == f"igdash events {id_} --filter 'pod = \"db-0\"' --from 2020-01-01T00:00:00Z"
    assert curl.startswith(f"curl -sS '{page.base}/api/sessions/{id_}/events?filter=pod")


def test_an_ended_session_can_be_asked_as_well(page: Page, side: Web) -> None:
    id_ = see(page, side)
    side.control.end(id_, SessionState.STOPPED)
    page.wait(lambda: page.text("#session-state") == "stopped")
    type_in(page, "not exists error", Keys.ENTER)
    matched(page, "90 of 100 events match")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_that_opens_has_a_serious_fault(page: Page, side: Web, theme: str) -> None:
    page.prefer(prefers_color_scheme=theme)
    see(page, side, query="?filter=dst.port+%3D+6379&seq=100")
    page.wait(lambda: values(page, "k8s.podName") != [])
    page.driver.execute_script(AXE)
    faults = {}

    def look(name: str) -> None:
        if found := faults_of(page):
            faults[name] = found

    look("bar and panel")
    type_in(page, "dst.prt = 1", Keys.ENTER)
    page.find("#session-filter-error")
    look("error")
    page.keys(Keys.ESCAPE, "po")
    page.find("#session-filter-list")
    look("list")
    page.keys(Keys.ESCAPE, Keys.ESCAPE)
    for button in ("#session-filter-kept", "#session-share", "#session-export"):
        page.click(button)
        page.find(".menu")
        look(button)
        page.keys(Keys.ESCAPE)
        page.wait("!document.querySelector('.menu:popover-open')")
    assert faults == {}
