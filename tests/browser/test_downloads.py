"""Exports from the session view and the table: what they hold, how far they are, cancelled, broken."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.browser import Page
from tests.support.web import Web

CARD = "[...document.querySelectorAll('.toast.xp')].at(-1)"
HAND = (
    "(window.files = [],"
    " igdash.exports.hand = (blob, name) => blob.text().then(t => window.files.push([name, t])))"
)
SLOW = """(window.before = window.fetch, window.fetch = (url, options) =>
  !String(url).includes('/export') ? window.before(url, options) : Promise.resolve(new Response(
    new ReadableStream({ start(c) {
      c.enqueue(new TextEncoder().encode('{}\\n{}\\n{}\\n'));
      options.signal.addEventListener('abort', () => c.error(options.signal.reason));
      window.cut = () => c.error(new TypeError('network error'));
    } }), { headers: { 'Content-Disposition': 'attachment; filename="slow.jsonl"' } })))"""


@pytest.fixture
def quiet() -> Callable[[str], bool]:
    """A refused export is an error to the browser, too."""
    return lambda message: "/export?" in message and "503" in message


@pytest.fixture
def shown(page: Page, side: Web) -> Page:
    """A session of 40 events, of which 4 have the type `close`."""
    id_ = side.session("trace_tcp")
    kinds = ["close" if n % 10 == 0 else "connect" for n in range(40)]
    side.control.add(id_, [json.dumps({"type": kind, "n": 'a "b"\n'}) for kind in kinds])
    page.open(f"/sessions/{id_}?filter=type%20%3D%20close")
    page.wait("igdash.session.core.session && igdash.session.core.session.events")
    page.js(HAND)
    return page


def pick(page: Page, number: int) -> None:
    """Choose an entry of the export menu."""
    page.click("#session-export")
    page.wait(f"document.querySelectorAll('a.s-format').length > {number}")
    page.js(f"document.querySelectorAll('a.s-format')[{number}].click() || 1")


def test_what_matches_and_the_whole_in_every_format(shown: Page, side: Web) -> None:
    shown.click("#session-export")
    assert "type = close" in shown.text(".s-export-what")
    assert "40 events" in shown.texts(".s-export-part")[1].lower()
    names = [text.split("\n")[0] for text in shown.texts("a.s-format")]
    assert names == 2 * ["JSONL", "JSONL as ig prints it", "CSV", "Parquet", "Report"]
    shown.keys("\ue00c")
    for number, said in ((0, "4 events"), (2, "4 events"), (5, "40 events"), (8, "saved")):
        shown.js("document.querySelectorAll('.toast').forEach(t => t.remove()) || 1")
        pick(shown, number)
        shown.wait(f"{CARD} && {CARD}.classList.contains('ok')")
        assert said in shown.text(".toast.xp")
    shown.wait("window.files.length === 4")
    files = shown.js("window.files")
    assert [name.rsplit(".", 1)[1] for name, _ in files] == ["jsonl", "csv", "jsonl", "parquet"]
    assert files[0][1].count("\n") == 4
    assert files[2][1].count("\n") == 40
    assert files[3][1].startswith("PAR1")


def test_it_says_how_far_it_is_and_stops(shown: Page, side: Web) -> None:
    shown.js(SLOW)
    pick(shown, 5)
    shown.wait(f"{CARD} && {CARD}.innerText.includes('3 of 40 events')")
    shown.js("igdash.nav('/sessions')")
    shown.wait("location.pathname === '/sessions'")
    shown.click(".toast.xp .btn")
    shown.wait(f"{CARD}.innerText.includes('Cancelled; nothing was saved')")
    assert shown.js("window.files.length") == 0


def test_what_breaks_off_is_not_saved(shown: Page, side: Web) -> None:
    shown.js(SLOW)
    pick(shown, 0)
    shown.wait(f"{CARD} && {CARD}.innerText.includes('3 events so far')")
    shown.js("window.cut() || 1")
    shown.wait(f"{CARD}.innerText.includes('broke off; nothing was saved')")
    assert shown.js("window.files.length") == 0


def test_the_table_exports_too(shown: Page, side: Web) -> None:
    shown.js("igdash.nav('/sessions')")
    shown.click("[data-act=menu]")
    shown.js("document.querySelectorAll('.sess-menu a')[1].click() || 1")
    shown.wait("window.files.length === 1")
    assert shown.js("window.files[0][0]").endswith(".csv")
    shown.wait(f"{CARD}.innerText.includes('40 events')")
    shown.click("#view-sessions tbody input[type=checkbox]")
    shown.js(
        "(e => { e.value = 'format=jsonl'; e.dispatchEvent(new Event('change')); })"
        "(document.querySelector('.sess-file')) || 1"
    )
    shown.wait("window.files.length === 2")
    assert shown.js("window.files[1][0]").endswith(".jsonl")
