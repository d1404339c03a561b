"""The session view in a real browser: grid over the history, live tail, drawer, ticks, losses."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence

import pytest
from selenium.webdriver.common.keys import Keys

from igdash.domain.events import LogLevel, LogLine, Malformed, NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState, Target
from igdash.domain.times import NS, now_ns
from tests.support.browser import PHONE, Page
from tests.support.web import Web

BIG = 1795389204805647519
ROW = "#session-grid .ag-row"


def tcp(number: int, **more: object) -> str:
    """One trace_tcp event; its process id is its number."""
    event = {
        "dst": {
            "addr": "10.43.0.19",
            "k8s": {"kind": "svc", "name": "redis", "namespace": "demo"},
            "port": 6379,
        },
        "error": "",
        "k8s": {"namespace": "demo", "node": "worker-1", "podName": f"web-{number}"},
        "proc": {"comm": "nginx", "pid": number},
        "src": {"addr": "::1", "port": 443, "version": 6},
        "timestamp_raw": BIG,
        "type": "connect",
    }
    return json.dumps(event | more, separators=(",", ":"))


def started(side: Web, events: int = 0, **spec: object) -> SessionId:
    """A running trace_tcp session with events numbered from 1."""
    id_ = side.session("trace_tcp", target=Target(namespace="demo"), **spec)
    for first in range(1, events + 1, 1_000):
        side.control.add(id_, [tcp(n) for n in range(first, min(first + 1_000, events + 1))])
    return id_


def see(page: Page, id_: SessionId, query: str = "") -> None:
    """Open a session and wait until its rows (or the word that there are none) are painted."""
    page.open(f"/sessions/{id_}{query}")
    painted(page, id_)


def painted(page: Page, id_: SessionId) -> None:
    page.wait(f"document.getElementById('session-root').dataset.painted === '{id_}'")


def column(page: Page, name: str) -> list[str]:
    """The texts of one column, from the top of the viewport down."""
    cells = (
        "[...document.querySelectorAll('#session-grid .ag-row')]"
        ".sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))"
        '.map(r => r.querySelector(`[col-id="${arguments[0]}"]`)?.textContent)'
    )
    return list(page.js(cells, name))


def pids(page: Page) -> list[str]:
    return column(page, "proc.pid")


def scroll(page: Page, to: int) -> None:
    page.js(
        "(document.querySelector('#session-grid .ag-body-viewport,#session-grid .ag-grid-scrolling-viewport').scrollTop = arguments[0]) || 1",
        to,
    )


def top(page: Page, pid: int) -> Callable[[], bool]:
    return lambda: pids(page)[:1] == [str(pid)]


# ---------------------------------------------------------------- rows


def test_newest_first_with_texts_as_the_gadget_gave_them(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    side.control.add(id_, [tcp(4, type="close", error="ETIMEDOUT")])
    page.open("/gadgets")
    page.js(
        "localStorage.setItem('igdash.columns.trace_tcp', arguments[0]) || 1",
        json.dumps({"shown": ["proc.pid", "src", "dst", "type", "error", "timestamp_raw"]}),
    )
    see(page, id_)
    assert pids(page) == ["4", "3", "2", "1"]
    assert column(page, "src")[0] == "[::1]:443"
    assert column(page, "dst")[0] == "s/demo/redis:6379"
    assert column(page, "timestamp_raw") == [str(BIG)] * 4
    assert column(page, "error") == ["ETIMEDOUT", "", "", ""]
    tag = "[col-id=error] .s-tag.s-k-err"
    assert page.js(f"document.querySelectorAll('{ROW} {tag}').length") == 1
    assert page.text("#session-title") == "Trace TCP"
    assert page.text("#session-target") == "demo / *"
    assert page.text("#session-stats .stat b") == "4"


def test_the_whole_history_is_one_scroll_away(page: Page, side: Web) -> None:
    id_ = started(side, 2_500)
    see(page, id_)
    assert pids(page)[0] == "2500"
    scroll(page, 10_000_000)
    page.wait(lambda: pids(page)[-1:] == ["1"])
    page.wait("document.querySelector('#session-rows').textContent.endsWith('#1 of 2,500')")


def test_columns_are_chosen_and_remembered(page: Page, side: Web) -> None:
    id_ = started(side, 2)
    see(page, id_)
    assert column(page, "proc.tid") == [None, None]
    page.click("#session-columns")
    page.find(".s-columns input[type=search]").send_keys("proc.tid")
    page.click(".s-columns-list label:not([hidden]) input")
    page.wait(lambda: column(page, "proc.tid") == ["", ""])
    see(page, id_)
    assert column(page, "proc.tid") == ["", ""]


# ---------------------------------------------------------------- live tail


def test_at_the_top_it_follows(page: Page, side: Web) -> None:
    id_ = started(side, 5)
    see(page, id_)
    for n in (6, 7, 8):
        side.control.add(id_, [tcp(n)])
        page.wait(top(page, n))
    assert page.text("#session-follow") == "Following"
    assert page.text("#session-stats .stat b") == "8"


def test_scrolled_away_it_holds_still_and_goes_on_without_a_gap(page: Page, side: Web) -> None:
    id_ = started(side, 400)
    see(page, id_)
    scroll(page, 2_800)
    page.wait(lambda: "300" in pids(page))
    before = pids(page)
    for n in range(401, 408):
        side.control.add(id_, [tcp(n)])
    page.wait(
        "document.querySelector('#session-chip:not([hidden])')?.textContent === '7 new events'"
    )
    assert pids(page) == before
    page.click("#session-chip")
    page.wait(top(page, 407))
    assert pids(page)[:20] == [str(n) for n in range(407, 387, -1)]
    page.wait("document.querySelector('#session-chip').hidden")
    side.control.add(id_, [tcp(408)])
    page.wait(top(page, 408))


def test_paused_with_p_and_followed_again(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    see(page, id_)
    page.keys("p")
    page.wait(lambda: page.text("#session-follow") == "Paused")
    side.control.add(id_, [tcp(4), tcp(5)])
    page.wait(
        "document.querySelector('#session-chip:not([hidden])')?.textContent === '2 new events'"
    )
    assert pids(page) == ["3", "2", "1"]
    page.keys("p")
    page.wait(top(page, 5))


def test_keys_walk_through_events_and_esc_closes(page: Page, side: Web) -> None:
    id_ = started(side, 30)
    see(page, id_)
    page.keys(Keys.ENTER)
    page.wait(lambda: page.text("#session-drawer h2") == "Event #30")
    page.keys("j", "j", "k")
    page.wait(lambda: page.text("#session-drawer h2") == "Event #29")
    assert page.path.endswith("?seq=29")
    side.control.add(id_, [tcp(31)])
    page.wait("document.querySelector('#session-chip:not([hidden])')")
    page.keys("k", "k")
    page.wait(lambda: page.text("#session-drawer h2") == "Event #31")
    page.keys(Keys.ESCAPE)
    page.wait("document.getElementById('session-drawer').hidden")
    assert page.path == f"/sessions/{id_}"


# ---------------------------------------------------------------- one event


def test_a_deep_link_opens_an_event_far_away(page: Page, side: Web) -> None:
    id_ = started(side, 3_000)
    see(page, id_, "?seq=17")
    page.wait(lambda: page.text("#session-drawer h2") == "Event #17")
    page.wait(
        "document.querySelector('#session-grid .ag-row.s-selected [col-id=\"proc.pid\"]')?.textContent === '17'"
    )
    page.wait(lambda: str(BIG) in page.text("#session-drawer"))
    for title in ("SOURCE", "DESTINATION", "PROCESS", "KUBERNETES"):
        assert title in page.text("#session-drawer")


def test_json_is_shown_and_copied_exactly(page: Page, side: Web) -> None:
    id_ = started(side)
    text = (
        '{"n":1.50,"id":18446744073709551615,"s":"<img src=x onerror=alert(1)> \\u00a0é","e":1e400}'
    )
    side.control.add(id_, [text])
    see(page, id_, "?seq=1")
    page.js(
        "navigator.clipboard.writeText = (t) => { window.copied = t; return Promise.resolve(); }, 1"
    )
    page.wait(lambda: "18446744073709551615" in page.text("#session-drawer"))
    page.click(".s-switch .btn:last-child")
    shown = page.text("#session-drawer pre")
    assert "1.50" in shown
    assert "18446744073709551615" in shown
    assert "<img src=x" in shown
    page.click(".s-drawer-bar > .btn")
    assert page.wait("window.copied") == text


# ---------------------------------------------------------------- ticks


def ticks(side: Web, counts: Sequence[int]) -> SessionId:
    """A top_tcp session with one tick per count; rows are named after tick and row."""
    id_ = side.session("top_tcp")
    for number, count in enumerate(counts, 1):
        add_tick(side, id_, number, count)
    return id_


def add_tick(side: Web, id_: SessionId, number: int, count: int) -> None:
    rows = [
        json.dumps({"comm": f"t{number}r{row}", "pid": row, "sent": f"{row} B", "sent_raw": row})
        for row in range(count)
    ]
    tick = NewTick(ts=now_ns(), node="worker-1", source="tcp", first=0, events=count)
    side.control.add(id_, rows, ticks=[tick])


def test_the_newest_tick_is_the_table_and_the_slider_goes_back(page: Page, side: Web) -> None:
    id_ = ticks(side, [2, 0, 3])
    see(page, id_)
    page.wait(lambda: column(page, "comm") == ["t3r0", "t3r1", "t3r2"])
    assert "3 of 3" in page.text("#session-ticks")
    page.click("#session-ticks [aria-label='Older tick']")
    page.wait(lambda: "Nothing in this tick" in page.text("#session-empty"))
    page.click("#session-ticks [aria-label='Older tick']")
    page.wait(lambda: column(page, "comm") == ["t1r0", "t1r1"])
    assert page.path.endswith("?tick=1")
    add_tick(side, id_, 4, 1)
    page.wait(lambda: "1 of 4" in page.text("#session-ticks"))
    assert column(page, "comm") == ["t1r0", "t1r1"]
    page.click("#session-follow")
    page.wait(lambda: column(page, "comm") == ["t4r0"])
    add_tick(side, id_, 5, 2)
    page.wait(lambda: column(page, "comm") == ["t5r0", "t5r1"])


def test_a_tick_is_sorted_by_its_raw_numbers(page: Page, side: Web) -> None:
    id_ = ticks(side, [12])
    see(page, id_, "?tick=1")
    page.wait(lambda: len(column(page, "comm")) == 12)
    header = "#session-grid .ag-header-cell[col-id=sent] .ag-header-cell-label"
    page.click(header)
    page.wait(lambda: column(page, "sent")[:3] == ["11 B", "10 B", "9 B"])
    assert page.path.endswith("?tick=1&sort=-sent")


# ---------------------------------------------------------------- losses, log, states


def test_losses_are_in_header_strip_and_table(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    see(page, id_)
    now = now_ns()
    known = Loss(
        node="worker-3",
        start=now - NS,
        end=now,
        count=37,
        cause=LossCause.KERNEL,
        detail="lost 37 samples",
    )
    side.control.add(id_, [tcp(4)], losses=[known])
    page.wait(
        lambda: page.text("#session-strip").startswith("37 events lost at the source on worker-3")
    )
    page.wait(
        "[...document.querySelectorAll('.s-lost:not([hidden]) b')].map(e => e.textContent).join() === '37'"
    )
    unknown = Loss(
        node="",
        start=now,
        end=now,
        count=0,
        cause=LossCause.STREAM,
        exact=False,
        detail="igdash was restarted",
    )
    side.control.add(id_, [tcp(5)], losses=[unknown])
    page.click("#session-tabs [data-tab=losses]")
    page.wait(lambda: "unknown" in page.text("#session-losses"))
    shown = page.text("#session-losses")
    assert "kernel buffer full" in shown
    assert "no connection to the gadget" in shown
    assert "At least 37 events" in shown


def test_log_and_unreadable_lines_are_inert_text(page: Page, side: Web) -> None:
    id_ = started(side, 1)
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    log = LogLine(ts=now_ns(), level=LogLevel.ERROR, node="worker-1", text=hostile)
    bad = Malformed(
        ts=now_ns(), node="worker-1", raw=hostile.encode(), size=9_999, reason="not JSON"
    )
    side.control.add(id_, [], logs=(log,), malformed=(bad,))
    see(page, id_, "?tab=log")
    page.wait(lambda: hostile in page.text(".s-log"))
    page.click(".s-bad summary")
    page.wait(lambda: hostile in page.text(".s-bad-list pre"))
    assert page.js("document.querySelectorAll('#session-log img').length") == 0
    assert page.text("#session-tabs [data-tab=log] .pill") == "2"


def test_stop_asks_once_while_events_flow_and_run_again_opens_the_new_one(
    page: Page, side: Web
) -> None:
    id_ = started(side, 20)
    see(page, id_)
    page.wait("igdash.session.core.session.rate > 0")
    page.click("#session-stop")
    page.click(".s-sure .btn.danger")
    page.wait(lambda: "Stopped by the user" in page.text("#session-banner"))
    page.click("#session-again")
    page.wait(f"!location.pathname.endsWith('{id_}') && location.pathname.startsWith('/sessions/')")
    page.wait(lambda: "Waiting for the first event" in page.text("#session-empty"))


def test_a_failed_session_says_why_and_where_to_look(page: Page, side: Web) -> None:
    id_ = started(side)
    side.control.end(id_, SessionState.FAILED, "no kprobes in this kernel")
    see(page, id_)
    page.wait(lambda: "no kprobes in this kernel" in page.text("#session-banner"))
    page.click("#session-banner .btn")
    page.wait(lambda: page.path.endswith("?tab=log"))
    assert page.js("document.getElementById('session-stop').hidden")


def test_info_has_the_facts(page: Page, side: Web) -> None:
    id_ = started(side, 2)
    see(page, id_, "?tab=info")
    page.wait(lambda: id_ in page.text("#session-info"))
    assert page.text(".s-command") == "ig run trace_tcp"
    assert "all at their defaults" in page.text("#session-info")


class TestUnknown:
    """Sessions that are not there."""

    @pytest.fixture
    def quiet(self) -> Callable[[str], bool]:
        return lambda message: "404" in message

    def test_an_unknown_session(self, page: Page, side: Web) -> None:
        page.open("/sessions/nosuchsession")
        page.wait(lambda: "There is no such session" in page.text("#session-problem"))
        id_ = started(side, 1)
        page.js(f"igdash.nav('/sessions/{id_}') || 1")
        painted(page, id_)
        assert page.js("document.getElementById('session-problem').hidden")

    def test_a_session_deleted_while_it_is_looked_at(self, page: Page, side: Web) -> None:
        id_ = started(side, 3)
        see(page, id_)
        side.control.delete(id_)
        page.wait(lambda: "There is no such session" in page.text("#session-problem"))

    def test_an_unknown_event(self, page: Page, side: Web) -> None:
        id_ = started(side, 3)
        see(page, id_, "?seq=99")
        page.wait(lambda: "no event #99; its newest is #3" in page.text("#session-drawer"))
        assert pids(page) == ["3", "2", "1"]


# ---------------------------------------------------------------- histogram


def test_a_click_on_a_bar_shows_that_time(page: Page, side: Web) -> None:
    id_ = started(side)
    now = now_ns()
    side.control.add(
        id_, [tcp(n) for n in range(1, 201)], ts=[now + n * NS // 10 for n in range(200)]
    )
    side.control.end(id_, SessionState.STOPPED, "")
    see(page, id_)
    page.wait(
        "igdash.session.core.ended() && document.querySelector('.s-bars').getAttribute('d').length > 50"
    )
    page.js("document.querySelector('.s-plot').focus() || 1")
    page.keys(*([Keys.ARROW_LEFT] * 200), Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    said = page.js("document.querySelector('.s-plot').getAttribute('aria-valuetext')")
    assert "10 events" in said
    page.keys(Keys.ENTER)
    page.wait("document.querySelector('#session-grid .ag-row.s-selected')")
    selected = int(page.js("new URL(location).searchParams.get('seq')"))
    assert 20 <= selected <= 35


def test_a_stray_time_does_not_squeeze_the_histogram(page: Page, side: Web) -> None:
    id_ = started(side)
    now = now_ns()
    side.control.add(id_, [tcp(n) for n in range(10)], ts=[1, *[now + n * NS for n in range(9)]])
    side.control.end(id_, SessionState.STOPPED, "")
    see(page, id_)
    page.wait("document.querySelector('.s-bars').getAttribute('d').length > 20")
    page.js("document.querySelector('.s-plot').focus() || 1")
    page.keys(Keys.ARROW_LEFT)
    said = page.js("document.querySelector('.s-plot').getAttribute('aria-valuetext')")
    begin, end = (
        int(h) * 3600 + int(m) * 60 + int(s)
        for h, m, s in re.findall(r"(\d\d):(\d\d):(\d\d)", said)
    )
    assert (end - begin) % 86_400 <= 60, said


# ---------------------------------------------------------------- switching


def test_switches_change_nothing_for_the_sessions(page: Page, side: Web) -> None:
    """Fifty of them while a real collector works are in test_session_serve.py."""
    ids = [started(side, 50) for _ in range(3)]
    for id_ in ids:
        side.control.fill(id_, every=0.05, batch=5)
    see(page, ids[0])
    threads = threading.active_count()
    for turn in range(15):
        id_ = ids[turn % 3]
        page.js(f"igdash.nav('/sessions/{id_}') || 1")
        painted(page, id_)
    assert threading.active_count() <= threads + 4
    for id_ in ids:
        side.control.end(id_, SessionState.STOPPED, "")
        found = side.services.sessions.reader.get(id_)
        assert found.events == found.received == found.last_seq > 50
        assert page.wait(f"igdash.live.sessions.get('{id_}').events") > 50


def test_answers_of_another_session_are_never_painted(page: Page, side: Web) -> None:
    one, two = started(side, 150), started(side)
    side.control.add(two, [tcp(n) for n in range(9_001, 9_101)])
    see(page, one)
    for _ in range(10):
        page.js(
            f"igdash.nav('/sessions/{two}'), igdash.nav('/sessions/{one}'), igdash.nav('/sessions/{two}'), 1"
        )
        painted(page, two)
        assert all(int(pid) > 9_000 for pid in pids(page))
        page.js(f"igdash.nav('/sessions/{one}') || 1")
        painted(page, one)
        assert pids(page)[0] == "150"


def test_a_short_id_is_enough(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    page.open(f"/sessions/{id_[:8]}?seq=2")
    painted(page, id_)
    page.wait(lambda: page.text("#session-drawer h2") == "Event #2")
    assert page.path == f"/sessions/{id_}?seq=2"


def test_back_and_reload_show_the_same(page: Page, side: Web) -> None:
    one, two = started(side, 5), started(side, 7)
    see(page, one, "?seq=3")
    page.wait(lambda: page.text("#session-drawer h2") == "Event #3")
    page.js(f"igdash.nav('/sessions/{two}?tab=info') || 1")
    page.wait(lambda: two in page.text("#session-info"))
    page.js("history.back() || 1")
    painted(page, one)
    page.wait(lambda: page.text("#session-drawer h2") == "Event #3")


# ---------------------------------------------------------------- small screens


def test_a_phone_has_the_grid_and_a_full_width_drawer(page: Page, side: Web) -> None:
    id_ = started(side, 50)
    page.resize(PHONE)
    see(page, id_)
    assert page.js("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.js("document.querySelectorAll('#session-grid .ag-row').length") >= 5
    page.click(f"{ROW} .ag-cell")
    page.wait("document.getElementById('session-drawer').offsetWidth === window.innerWidth")
