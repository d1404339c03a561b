"""The script core in a real browser: exact numbers, words for people, hostile text, links."""

from __future__ import annotations

import json
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from igdash.domain.sessions import Target
from tests.support.browser import Page
from tests.support.web import Web


@pytest.fixture
def core(page: Page) -> Page:
    page.open("/gadgets")
    return page


EXACT = [
    ('{"inode": 18446744073709551615}', "inode", "18446744073709551615"),
    ('{"ts": 1795599861638080123}', "ts", "1795599861638080123"),
    ('{"ts": -9223372036854775808}', "ts", "-9223372036854775808"),
    ('{"small": 42, "pad": 1234567890123456789}', "small", "42"),
    ('{"x": 9007199254740993}', "x", "9007199254740993"),
    ('{"a": "12345678901234567890 \\" \\u00e9"}', "a", '12345678901234567890 " é'),
    ('{"f": 0.12345678901234567890123}', "f", "0.12345678901234567890123"),
    ('{"__proto__": 12345678901234567890}', "__proto__", "12345678901234567890"),
    ('{"e": [], "o": {}, "n": null, "t": true, "k": 12345678901234567890}', "n", "null"),
]


BROKEN = [
    '{"a":1',
    "[1,]",
    '{"a":12345678901234567890',
    "[12345678901234567890]x",
    "[12345678901234567890 1]",
    '{"a" 12345678901234567890}',
    "12345678901234567890,",
]


def test_numbers_stay_exact(core: Page) -> None:
    for text, key, wanted in EXACT:
        said = core.js("String(igdash.parseExact(arguments[0])[arguments[1]])", text, key)
        assert said == wanted, text


def test_what_is_no_json_is_refused(core: Page) -> None:
    tried = "(t => { try { igdash.parseExact(t); return 'taken' } catch (e) { return e.name } })"
    for text in BROKEN:
        assert core.js(f"{tried}(arguments[0])", text) == "SyntaxError", text


def test_exact_json_agrees_with_the_browsers_own(core: Page) -> None:
    value: dict[str, Any] = {
        "k8s": {"podName": 'a\nb\t"c"', "labels": [], "n": [1, -2.5, 1e300, 0, None, True]},
        "text": "日本語 \u2028 </script>",
        "deep": [[[[{"x": "y"}]]]],
    }
    text = json.dumps(value)
    padded = text[:-1] + ', "big": 12345678901234567890}'
    same = "JSON.stringify(igdash.parseExact(arguments[0])) === JSON.stringify(JSON.parse(arguments[0]))"
    assert core.js(same, text)
    back = core.js("JSON.stringify(igdash.parseExact(arguments[0]))", padded)
    assert json.loads(back) == {**value, "big": 12345678901234567890}


WORDS = [
    ("count(1234567)", "1,234,567"),
    ("count(igdash.parseExact('18446744073709551615'))", "18,446,744,073,709,551,615"),
    ("short(999)", "999"),
    ("short(48122)", "48.1k"),
    ("short(999960)", "1M"),
    ("short(12100000)", "12.1M"),
    ("rate(0)", "0/s"),
    ("rate(0.04)", "<0.1/s"),
    ("rate(0.4)", "0.4/s"),
    ("rate(96.2)", "96/s"),
    ("rate(1900)", "1.9k/s"),
    ("bytes(9800000000)", "9.8 GB"),
    ("bytes(12)", "12 B"),
    ("duration(820)", "820 ms"),
    ("duration(619000)", "10m 19s"),
    ("duration(7500000)", "2h 05m"),
    ("age(new Date(Date.now() - 600000))", "10m"),
    ("ago(new Date(Date.now() - 7200500))", "2h ago"),
    ("age(null)", "\u2013"),
    ("count(-1234567)", "-1,234,567"),
    ("count(1234.56789)", "1,234.56789"),
    ("count(0.00012)", "0.00012"),
    ("count(1e-7)", "1e-7"),
]


def test_words_for_numbers_and_times(core: Page) -> None:
    said = core.js(f"[{','.join('igdash.fmt.' + call for call, _ in WORDS)}]")
    assert said == [wanted for _, wanted in WORDS]
    nine = core.js("igdash.fmt.exactTime('2026-11-25T09:12:29.418205113Z')")
    assert nine.endswith(":29.418205113")
    assert core.js("igdash.fmt.time('2026-11-25T09:12:29.418205113Z')").endswith(":29.418")


def test_targets_in_words(core: Page) -> None:
    said = core.js(
        "[{}, {namespace: 'demo', pod: 'nginx-*'}, {namespace: '!gadget'}, {namespace: '!a,!b'},"
        " {namespace: 'a, b'}].map(igdash.target)"
    )
    assert said == ["* / *", "demo / nginx-*", "all but gadget / *", "all but a, b / *", "a, b / *"]


def test_hostile_names_stay_text(page: Page, side: Web) -> None:
    evil = "<img src=x onerror=window.hit=1>"
    for _ in range(2):
        side.session("trace_tcp", target=Target(namespace=evil, pod=evil), name=evil)
    page.open("/gadgets?pick=trace_tcp")
    page.wait("document.querySelectorAll('.run').length === 2")
    assert evil in page.texts(".run-m .ell")[0]
    assert evil in page.text(".opt .x")
    page.js("igdash.toast(arguments[0], 'err') && 1", evil)
    page.wait(lambda: evil in page.find(".toast").text)
    assert page.js("window.hit === undefined && !document.querySelector('img')")


def test_links_with_a_modifier_are_the_browsers(core: Page) -> None:
    link = core.driver.find_element(By.ID, "nav-sessions")
    before = len(core.driver.window_handles)
    ActionChains(core.driver).key_down(Keys.CONTROL).click(link).key_up(Keys.CONTROL).perform()
    core.wait(lambda: len(core.driver.window_handles) == before + 1)
    assert core.path == "/gadgets"
    new = core.driver.window_handles[-1]
    here = core.driver.current_window_handle
    core.driver.switch_to.window(new)
    core.wait("location.pathname === '/sessions'")
    core.driver.close()
    core.driver.switch_to.window(here)


def test_confirm_answers_what_was_chosen(core: Page) -> None:
    ask = "igdash.confirm('Delete 2 sessions?', {action: 'Delete'}).then(a => { window.answer = a }) && 1"
    core.js(ask)
    core.click("dialog .btn.danger")
    core.wait("window.answer === true")
    core.js(ask)
    core.find("dialog .btn.danger")
    core.keys(Keys.ESCAPE)
    core.wait("window.answer === false")
    assert core.js("!document.querySelector('dialog')")


def test_keys_rest_while_one_types(core: Page) -> None:
    core.keys("/")
    core.keys("gs?")
    assert core.path == "/gadgets?q=gs%3F"
    assert core.js("!document.querySelector('dialog')")


def test_core_works_without_a_socket(page: Page, side: Web) -> None:
    """A proxy that knows no WebSockets: the same counts come by polling."""
    id_ = side.session("trace_tcp")
    block = "window.WebSocket = class { constructor() { setTimeout(() => this.onclose && this.onclose(), 20) } close() {} }"
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": block})
    page.open("/gadgets")
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    page.wait("igdash.live.status === 'polling'")
    side.control.add(id_, ['{"n":1}', '{"n":2}'])
    page.wait(lambda: page.text(".run-t .c") == "2")


def test_a_line_that_is_dead_without_a_word_is_given_up(page: Page, side: Web) -> None:
    """A tunnel that broke: the socket stays open, says nothing, and its close waits for an answer."""
    id_ = side.session("trace_tcp")
    soon = "const wait = setTimeout; window.setTimeout = (fn, ms, ...a) => wait(fn, ms === 15000 ? 150 : ms, ...a);"
    dead = "window.WebSocket = class { close() {} };"
    source = {"source": soon + dead}
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    page.open("/gadgets")
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    page.wait("igdash.live.status === 'polling'")
    side.control.add(id_, ['{"n":1}', '{"n":2}'])
    page.wait(lambda: page.text(".run-t .c") == "2")
