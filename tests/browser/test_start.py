"""The start form in a real browser: fields, commands as one types, problems, what is sent."""

from __future__ import annotations

from dataclasses import replace

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from igdash.domain.control import Description
from igdash.domain.gadgets import Param
from igdash.domain.queries import SessionQuery
from igdash.domain.sessions import Session, Target
from igdash.sources.catalogue import load_catalogue
from tests.browser.test_session_states import hold, release
from tests.support.browser import PHONE, Page
from tests.support.web import Web

WITHOUT = """api => { igdash.api = async (path, options) => {
    const answer = await api(path, options);
    if (path === '/api/environments') answer.environments.forEach(e => { e.gadgets = ['trace_dns'] });
    return answer;
} }"""
"""Make the page believe that every environment has one gadget only."""


LATER = """api => { igdash.api = async (path, options) => {
    const answer = await api(path, options);
    if (path === '/api/environments') answer.environments.forEach(e => { e.health = window.known ? 'up' : 'unknown' });
    return answer;
} }"""
"""Make the page believe that nothing is known of any environment until `known`."""


def field(key: str) -> str:
    return f'[data-field="{key}"] :is(input, select)'


def open_form(page: Page, path: str = "/start/trace_tcp") -> None:
    page.open(path)
    page.find(".start-form")
    page.wait("document.querySelectorAll('.start-cmd code').length === 2")


def write(page: Page, key: str, text: str) -> None:
    box = page.find(field(key))
    box.clear()
    box.send_keys(text)


def command(page: Page, number: int = 1) -> str:
    return page.texts(".start-cmd code")[number]


def namespaces(page: Page, text: str) -> None:
    page.js("document.querySelector('.start-seg input[value=these]').click() || 1")
    write(page, "target.namespace", text)


def only(side: Web) -> Session:
    """The one session there is."""
    page = side.services.sessions.list(SessionQuery())
    assert page.total == 1
    return page.sessions[0]


def test_three_sessions_of_one_gadget_are_told_apart_in_the_table(page: Page, side: Web) -> None:
    for namespace in ("production", "staging", "demo"):
        open_form(page)
        namespaces(page, namespace)
        page.click(".start-form button[type=submit]")
        page.wait("/^\\/sessions\\/[0-9a-f]{12}$/.test(location.pathname)")
    page.open("/sessions?q=trace_tcp")
    page.wait("document.querySelectorAll('.sess-table tbody tr').length === 3")
    assert page.texts("td.c-namespace") == ["demo", "staging", "production"]
    assert all("Trace TCP" in text for text in page.texts("td.c-gadget"))
    page.open("/start/trace_tcp")
    page.wait(lambda: "3 already running" in page.text(".start-right"))
    assert page.texts(".start-run .ell") == ["production / *", "staging / *", "demo / *"]


def test_the_untouched_form_leaves_out_igs_own_namespace(page: Page, side: Web) -> None:
    open_form(page)
    assert "-n '!gadget'" in command(page)
    assert "where Inspektor Gadget itself runs" in page.text(".start-form")
    page.js("document.querySelector('.start-seg input[value=all]').click() || 1")
    page.wait(lambda: "-n" not in command(page))
    assert "99.9 %" in page.text(".start-form")
    page.js("document.querySelector('.start-seg input[value=others]').click() || 1")
    page.click(".start-form button[type=submit]")
    page.wait("location.pathname.startsWith('/sessions/')")
    spec = only(side).spec
    assert spec.target == Target(namespace="!gadget")
    assert dict(spec.params) == {}
    assert spec.stop_after.seconds is None


def test_commands_and_address_follow_what_is_typed(page: Page, side: Web) -> None:
    open_form(page)
    write(page, "params.pid", "42")
    write(page, "target.pod", "web-1")
    write(page, "stop_after.seconds", "1h30m")
    write(page, "stop_after.events", "10,000")
    page.js(f"document.querySelector('{field('params.failure-only')}').click() || 1")
    page.wait(lambda: "--param pid=42" in command(page) and "failure-only=true" in command(page))
    assert "--max-events 10000" in command(page)
    assert "--duration 90m" in command(page)
    assert "--pid=42" in command(page, 0)
    assert "--podname=web-1" in command(page, 0)
    page.wait(
        "['params.pid=42', 'failure-only', 'events=10'].every(p => location.search.includes(p))"
    )
    page.driver.refresh()
    page.find(".start-form")
    assert page.js(f"document.querySelector('{field('params.pid')}').value") == "42"
    page.wait(lambda: "--max-events 10000" in command(page))
    hold = ActionChains(page.driver).key_down(Keys.CONTROL)
    hold.send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    page.wait("location.pathname.startsWith('/sessions/')")
    spec = only(side).spec
    assert dict(spec.params) == {"pid": "42", "failure-only": "true"}
    assert spec.target == Target(namespace="!gadget", pod="web-1")
    assert (spec.stop_after.seconds, spec.stop_after.events) == (5_400.0, 10_000)


def test_wrong_values_are_marked_where_they_are(page: Page, side: Web) -> None:
    open_form(page)
    write(page, "params.pid", "abc")
    write(page, "stop_after.seconds", "soon")
    page.wait(lambda: len(page.texts(".start-field.bad")) == 2)
    assert "no whole number" in page.text('[data-field="params.pid"] .wrong')
    assert "10m" in page.text('[data-field="stop_after.seconds"] .wrong')
    assert page.js(f"document.querySelector('{field('params.pid')}').ariaInvalid") == "true"
    assert page.text("button[type=submit]") == "Start session · 2 problems"
    page.find(field("stop_after.seconds")).send_keys(Keys.ENTER)
    page.wait("document.activeElement.closest('[data-field]')?.dataset.field === 'params.pid'")
    write(page, "params.pid", "1")
    write(page, "stop_after.seconds", "90s")
    page.wait(lambda: page.text("button[type=submit]") == "Start session")
    assert page.texts(".start-field.bad") == []
    assert side.services.sessions.reader.totals()["sessions"] == 0


def test_an_address_says_all_some_or_the_usual_namespaces(page: Page, side: Web) -> None:
    for query, scope, shown in (
        ("?namespace=", "all", "igdash start trace_tcp -e demo"),
        ("?namespace=%21gadget", "others", "igdash start trace_tcp -e demo -n '!gadget'"),
        ("?namespace=demo", "these", "igdash start trace_tcp -e demo -n demo"),
        ("?environment=this-host", "all", "igdash start trace_tcp -e this-host"),
    ):
        open_form(page, "/start/trace_tcp" + query)
        page.wait(lambda wanted=shown: command(page) == wanted)
        assert page.js("document.querySelector('.start-seg input:checked').value") == scope


def test_typing_survives_a_look_elsewhere(page: Page, side: Web) -> None:
    open_form(page)
    write(page, "name", "not lost")
    page.click("#nav-sessions")
    page.find(".sess-empty")
    page.js("igdash.nav('/start/trace_dns') || 1")
    page.wait(lambda: "Start Trace DNS" in page.text("#start-root h1"))
    assert page.js(f"document.querySelector('{field('name')}').value") == ""
    page.js("igdash.nav('/start/trace_tcp') || 1")
    page.wait(f"document.querySelector('{field('name')}')?.value === 'not lost'")
    page.wait("location.search === '?name=not+lost'")


def test_a_start_that_is_answered_late_takes_no_other_form_away(page: Page, side: Web) -> None:
    open_form(page)
    hold(page, "/api/sessions")
    page.click(".start-foot [type=submit]")
    page.wait("window.held.length > 0 && igdash.running.list().length === 0")
    page.js("igdash.nav('/start/trace_dns') || 1")
    page.wait("document.querySelector('.start-form')?.ariaLabel === 'Start Trace DNS'")
    write(page, "name", "half typed")
    release(page)
    page.wait(lambda: "Started" in page.text("#toasts"))
    assert page.path.startswith("/start/trace_dns")
    page.js("igdash.nav('/start/trace_tcp') || 1")
    page.wait("document.querySelector('.start-form')?.ariaLabel === 'Start Trace TCP'")
    page.js("igdash.nav('/start/trace_dns') || 1")
    page.wait("document.querySelector('.start-form')?.ariaLabel === 'Start Trace DNS'")
    assert page.js("document.querySelector(arguments[0]).value", field("name")) == "half typed"


def test_what_becomes_known_of_an_environment_is_in_the_form(page: Page, side: Web) -> None:
    page.open("/gadgets")
    page.js(f"({LATER})(igdash.api) || 1")
    page.js("igdash.nav('/start/trace_tcp') || 1")
    page.wait(lambda: "not known" in page.text(".start-health"))
    page.js("window.known = true")
    page.js("igdash.environments.refresh() && 1")
    page.wait(lambda: page.text(".start-health").startswith("ready"))


def test_a_collector_that_is_down_costs_nothing_typed(page: Page, side: Web) -> None:
    open_form(page)
    write(page, "name", "kept")
    side.control.down = True
    page.click(".start-form button[type=submit]")
    page.wait(lambda: "collector does not answer" in page.text(".start-form .banner"))
    assert page.js(f"document.querySelector('{field('name')}').value") == "kept"
    side.control.down = False
    page.click(".start-form button[type=submit]")
    page.wait("location.pathname.startsWith('/sessions/')")
    assert only(side).spec.name == "kept"
    assert all("503" in line for line in page.console())


def test_suggestions_complete_the_last_of_a_list_by_keyboard(page: Page, side: Web) -> None:
    open_form(page)
    namespaces(page, "demo,stag")
    page.find(".start-list [role=option]")
    page.keys(Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(f"document.querySelector('{field('target.namespace')}').value === 'demo,staging'")
    page.wait(lambda: "-n demo,staging" in command(page))
    assert page.path.startswith("/start/trace_tcp")


def test_advanced_parameters_are_folded_and_counted(page: Page, side: Web) -> None:
    open_form(page, "/start/trace_tcp?params.pull=always")
    assert page.js("document.querySelector('.start-more').open")
    assert "1 changed" in page.text(".start-more summary")
    page.wait(lambda: "--param pull=always" in command(page))
    write_default = (
        "s => { s.value = 'missing'; s.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    page.js(f"({write_default})(document.querySelector('{field('params.pull')}')) || 1")
    page.wait(lambda: "pull" not in command(page))
    page.wait("location.search === ''")


def test_many_parameters_can_be_searched(page: Page, side: Web) -> None:
    open_form(page, "/start/trace_lsm?params.trace-file_open=true")
    shown = (
        "[...document.querySelectorAll('.start-more .start-field')].filter(n => !n.hidden).length"
    )
    assert page.js(shown) > 100
    page.find(".start-find").send_keys("file_op", Keys.ENTER)
    page.wait(f"{shown} === 1")
    assert page.js(f"document.querySelector('{field('params.trace-file_open')}').checked")
    assert page.path == "/start/trace_lsm?params.trace-file_open=true"
    assert side.services.sessions.reader.totals()["sessions"] == 0


def test_a_parameter_the_gadget_lacks_is_told_not_dropped(page: Page, side: Web) -> None:
    open_form(page, "/start/trace_tcp?params.pidd=1")
    page.wait(lambda: "no parameter pidd" in page.text(".start-form .banner"))
    assert page.text("button[type=submit]") == "Start session · 1 problem"


def test_an_environment_without_the_gadget_is_the_problem(page: Page, side: Web) -> None:
    page.open("/gadgets")
    page.js(f"({WITHOUT})(igdash.api) || 1")
    page.js("igdash.nav('/start/trace_tcp') || 1")
    page.wait(lambda: "does not have Trace TCP" in page.text('[data-field="environment"] .wrong'))
    assert "cannot run this gadget" in page.text(field("environment"))
    page.click("button[type=submit]")
    page.wait("document.activeElement.closest('[data-field]')?.dataset.field === 'environment'")
    assert side.services.sessions.reader.totals()["sessions"] == 0


def test_an_unknown_gadget_names_near_ones(page: Page, side: Web) -> None:
    page.open("/start/trace_tpc")
    page.wait(lambda: "no gadget “trace_tpc”" in page.text("#start-root"))
    page.js(
        "[...document.querySelectorAll('.start-near a')].find(a => a.text.includes('TCP')).click()"
    )
    page.find(".start-form")
    assert page.path == "/start/trace_tcp"


def test_a_gadget_of_whole_machines_offers_no_namespaces(page: Page, side: Web) -> None:
    open_form(page, "/start/bpfstats")
    assert "looks at whole machines" in page.text(".start-form")
    assert page.js("!document.querySelector('.start-seg').checkVisibility()")
    assert "-n" not in command(page).split()


def test_durations_and_counts_are_read_as_people_write_them(page: Page, side: Web) -> None:
    page.open("/gadgets")
    durations = {"10m": 600, "90s": 90, "1h30m": 5_400, "45": 45, "1.5 h": 5_400, "2d": 172_800}
    for text, seconds in durations.items():
        assert page.js("igdash.startModel.parseDuration(arguments[0]).seconds", text) == seconds
    for text in ("soon", "-5m", "0", "5 x", "400d", "m"):
        assert page.js("igdash.startModel.parseDuration(arguments[0]).error", text), text
    assert page.js("igdash.startModel.parseCount('10,000').count") == 10_000
    for text in ("1.5", "-1", "0", "ten", "9" * 20):
        assert page.js("igdash.startModel.parseCount(arguments[0]).error", text), text
    assert page.js("igdash.startModel.parseDuration('').seconds === undefined")


def test_one_column_on_a_phone(page: Page, side: Web) -> None:
    page.resize(PHONE)
    open_form(page)
    assert page.js("document.documentElement.scrollWidth") == PHONE[0]
    lefts = page.js(
        "['[data-field=\"target.pod\"]', '[data-field=\"params.pid\"]', '.start-right']"
        ".map(s => Math.round(document.querySelector(s).getBoundingClientRect().left))"
    )
    assert len(set(lefts)) == 1
    button = page.find("button[type=submit]")
    assert button.rect["y"] + button.rect["height"] <= PHONE[1]
    ActionChains(page.driver).move_to_element(button).perform()


def own_parameters(**more: str) -> Description:
    """What an environment with another version says of trace_tcp: one parameter more, one less."""
    known = load_catalogue().get("trace_tcp")
    newer = Param(
        key="operator.oci.ebpf.newer", name="newer", type="uint32", title="A newer one", **more
    )
    params = tuple(p for p in known.params if p.name != "failure-only")
    return Description(gadget=replace(known, params=(newer, *params)))


def test_the_catalogue_answers_where_the_environment_does_not(page: Page, side: Web) -> None:
    side.control.descriptions["demo"] = Description(
        reason="demo is still being asked", pending=True
    )
    open_form(page)
    page.wait(lambda: "still being asked" in page.text(".start-by"))
    box = page.find(field("params.pid"))
    box.send_keys("12")
    page.js(f"document.querySelector('{field('params.pid')}').setSelectionRange(1, 1) || 1")
    side.control.descriptions["demo"] = own_parameters()
    page.wait(lambda: "As demo itself describes them" in page.text(".start-by"))
    assert page.js("document.activeElement.value") == "12"
    assert page.js("document.activeElement.selectionStart") == 1
    write(page, "params.newer", "7")
    assert not page.all(field("params.failure-only"))
    page.wait(lambda: "--param newer=7" in command(page) and "--param pid=12" in command(page))
    write(page, "params.newer", "x")
    page.wait(lambda: "whole number" in page.text('[data-field="params.newer"]'))


def test_a_search_among_parameters_outlives_the_environments_own(page: Page, side: Web) -> None:
    known = load_catalogue().get("trace_lsm")
    side.control.descriptions["demo"] = Description(
        reason="demo is still being asked", pending=True
    )
    open_form(page, "/start/trace_lsm?params.trace-file_open=true")
    page.wait(lambda: "still being asked" in page.text(".start-by"))
    page.find(".start-find").send_keys("file_op")
    newer = Param(key="operator.oci.ebpf.newer", name="newer", type="uint32", title="A newer one")
    own = replace(known, params=(newer, *known.params))
    side.control.descriptions["demo"] = Description(gadget=own)
    page.wait(lambda: "As demo itself describes them" in page.text(".start-by"))
    page.keys("en")
    assert page.js("document.querySelector('.start-find').value") == "file_open"
    shown = (
        "[...document.querySelectorAll('.start-more .start-field')].filter(n => !n.hidden).length"
    )
    page.wait(f"{shown} === 1")


def test_another_environment_another_word(page: Page, side: Web) -> None:
    side.control.descriptions["demo"] = own_parameters()
    side.control.descriptions["this-host"] = Description(reason="connection refused")
    open_form(page)
    page.find(field("params.newer"))
    choose = "const s = document.querySelector('{}'); s.value = '{}';".format(
        field("environment"), "this-host"
    )
    page.driver.execute_script(choose + "s.dispatchEvent(new Event('change', {bubbles: true}))")
    page.wait(lambda: "From the catalogue: connection refused." in page.text(".start-by"))
    page.wait(lambda: not page.all(field("params.newer")))
    page.find(field("params.failure-only"))


def test_another_image(page: Page, side: Web) -> None:
    open_form(page)
    page.click("#start-other")
    page.find("#start-image").send_keys("evil.io/x/y:1", Keys.ENTER)
    page.wait(lambda: "gadgets.allowed_images" in page.text("#start-image-wrong"))
    box = page.find("#start-image")
    box.clear()
    box.send_keys("ghcr.io/inspektor-gadget/gadget/trace_new:v9", Keys.ENTER)
    page.wait("document.querySelector('.start-form h1')?.innerText.includes('Start Trace new')")
    page.wait(lambda: "gadget/trace_new:v9" in command(page))
    page.driver.refresh()
    page.find(".start-form")
    page.click(".start-form button[type=submit]")
    page.wait("location.pathname.startsWith('/sessions/')")
    assert only(side).spec.gadget == "ghcr.io/inspektor-gadget/gadget/trace_new:v9"
    page.wait(lambda: "Trace new" in page.text(".run-t"))
