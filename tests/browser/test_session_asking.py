"""Asking the history in a real browser: orders, ranges, brush and split, columns, rows chosen together,
jumps, the palette. The numbers shown must be those of the whole history, not of what was loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from igdash.domain.events import NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, format_ns, now_ns
from tests.browser.test_session import (
    ROW,
    add_tick,
    column,
    painted,
    pids,
    scroll,
    see,
    started,
    tcp,
    ticks,
    top,
)
from tests.support.browser import Page
from tests.support.web import Web

ASK = "igdash.session.core.ask(arguments[0]) || 1"


def ask(page: Page, **changes: str | None) -> None:
    page.js(ASK, changes)


def answered(page: Page, rows: Sequence[int]) -> None:
    """Wait until exactly these process ids are the grid's first rows."""
    wanted = [str(row) for row in rows]
    page.wait(lambda: pids(page)[: len(wanted)] == wanted)


def header(page: Page, name: str) -> None:
    page.click(f"#session-grid .ag-header-cell[col-id='{name}'] .ag-header-cell-label")


def copied(page: Page) -> str:
    """What the next copy puts on the clipboard."""
    page.js(
        "navigator.clipboard.writeText = (t) => { window.copied = t; return Promise.resolve(); }, 1"
    )
    page.js("window.copied = undefined, 1")
    return "window.copied"


def row(page: Page, pid: int) -> Any:
    code = f"[...document.querySelectorAll('{ROW} [col-id=\"proc.pid\"]')].find(e => e.textContent === arguments[0])"
    return page.wait(lambda: page.js(code, str(pid)))


def down_to(page: Page, last: int) -> None:
    """Scroll on until this is the last row: more pages come while one goes down."""

    def there() -> bool:
        scroll(page, 10_000_000)
        return pids(page)[-1:] == [str(last)]

    page.wait(there, 30)


# ---------------------------------------------------------------- orders


def test_sorting_covers_the_whole_history_and_holds_still_while_events_arrive(
    page: Page, side: Web
) -> None:
    id_ = started(side, 0)
    side.control.add(id_, [tcp(n * 7919 % 2_003) for n in range(2_003)])
    see(page, id_)
    header(page, "proc.pid")
    answered(page, range(2_002, 1_980, -1))
    assert page.path == f"/sessions/{id_}?sort=-proc.pid"
    page.wait(lambda: page.text("#session-mode") == "in order of PID")
    side.control.add(id_, [tcp(5_000), tcp(1_999)])
    page.wait(lambda: page.text("#session-chip") == "2 new events")
    answered(page, range(2_002, 1_980, -1))
    page.click("#session-chip")
    answered(page, [5_000, 2_002, 2_001, 2_000, 1_999, 1_999, 1_998])
    header(page, "proc.pid")
    answered(page, range(20))
    header(page, "proc.pid")
    page.wait(lambda: page.path == f"/sessions/{id_}")
    answered(page, [1_999, 5_000])


def test_an_order_in_the_address_is_shown_and_pages_on(page: Page, side: Web) -> None:
    id_ = started(side, 350)
    see(page, id_, "?sort=proc.pid")
    answered(page, range(1, 20))
    page.wait(
        "document.querySelector('.ag-header-cell[col-id=\"proc.pid\"]').ariaSort === 'ascending'"
    )
    down_to(page, 350)
    page.wait(lambda: page.text("#session-rows").endswith("of 350"))


def test_oldest_first_needs_no_sorting(page: Page, side: Web) -> None:
    id_ = started(side, 30)
    see(page, id_)
    header(page, "@time")
    answered(page, range(1, 20))
    assert page.path.endswith("?sort=seq")
    page.click("#session-follow")
    answered(page, [30, 29])
    assert page.path == f"/sessions/{id_}"


# ---------------------------------------------------------------- filter and range


def mixed(number: int) -> str:
    return tcp(number, type="close" if number % 3 == 0 else "connect")


def test_with_a_filter_only_what_matches_comes_in(page: Page, side: Web) -> None:
    id_ = started(side)
    side.control.add(id_, [mixed(n) for n in range(1, 31)])
    see(page, id_, "?filter=type%20%3D%20close")
    answered(page, range(30, 0, -3))
    side.control.add(id_, [mixed(n) for n in range(31, 35)])
    answered(page, [33, 30, 27])
    page.keys("p")
    page.wait(lambda: page.text("#session-follow") == "Paused")
    side.control.add(id_, [mixed(n) for n in range(35, 50)])
    page.wait(lambda: page.text("#session-chip") == "5 new events")
    answered(page, [33, 30, 27])
    page.click("#session-chip")
    answered(page, [48, 45, 42, 39, 36, 33, 30])
    page.wait("document.querySelector('#session-grid .s-mark [col-id=\"proc.pid\"]')")
    assert page.text("#session-grid .s-mark [col-id='proc.pid']") == "36"


def test_more_matches_at_once_than_a_page_begin_anew_without_a_hole(page: Page, side: Web) -> None:
    id_ = started(side)
    side.control.add(id_, [mixed(n) for n in range(1, 31)])
    see(page, id_, "?filter=type%20%3D%20close")
    answered(page, [30, 27])
    side.control.add(id_, [mixed(n) for n in range(31, 1_501)])
    answered(page, range(1_500, 1_440, -3))
    down_to(page, 3)
    page.wait(lambda: page.text("#session-rows").endswith("of 500"))


def test_matches_page_down_to_the_first_event(page: Page, side: Web) -> None:
    id_ = started(side)
    for first in range(1, 2_001, 500):
        side.control.add(id_, [mixed(n) for n in range(first, first + 500)])
    see(page, id_, "?filter=type%20%3D%20close")
    answered(page, [1_998, 1_995])
    down_to(page, 3)
    page.wait(lambda: page.text("#session-rows").endswith("of 666"))


def test_nothing_matches_says_so_and_leads_out(page: Page, side: Web) -> None:
    id_ = started(side, 5)
    see(page, id_, "?filter=comm%20%3D%20nobody")
    page.wait(lambda: "No event matches" in page.text("#session-empty"))
    page.click(".s-empty-do .btn")
    answered(page, [5, 4, 3, 2, 1])


def spread(side: Web, seconds: int = 120) -> tuple[SessionId, int]:
    """One event a second in the past, numbered; and the first one's time."""
    id_ = started(side)
    begin = (now_ns() // NS - seconds) * NS
    times = [begin + n * NS for n in range(seconds)]
    side.control.add(id_, [tcp(n) for n in range(seconds)], ts=times)
    return id_, begin


def test_a_range_in_the_address_shows_that_time_only(page: Page, side: Web) -> None:
    id_, begin = spread(side)
    start, end = format_ns(begin + 40 * NS), format_ns(begin + 50 * NS)
    see(page, id_, f"?from={start}&to={end}")
    page.wait(lambda: pids(page) == [str(n) for n in range(49, 39, -1)])
    side.control.add(id_, [tcp(900)])
    page.wait(lambda: page.text("#session-mode") == "a time that has passed")
    assert pids(page)[0] == "49"
    page.click("#session-follow")
    answered(page, [900, 119])


def test_a_jump_under_a_filter_begins_there_and_goes_both_ways(page: Page, side: Web) -> None:
    id_, begin = spread(side, 600)
    see(page, id_, "?filter=pid%20%3E%3D%20100")
    answered(page, [599])
    page.js("igdash.session.showTime(arguments[0]) && 1", format_ns(begin + 200 * NS))
    page.wait(lambda: page.text(f"{ROW}.s-selected [col-id='proc.pid']") == "200")
    page.keys("k", "k")
    page.wait(lambda: page.text(f"{ROW}.s-selected [col-id='proc.pid']") == "202")
    page.keys("j", "j", "j")
    page.wait(lambda: page.text(f"{ROW}.s-selected [col-id='proc.pid']") == "199")
    page.keys(Keys.ESCAPE)
    page.click("#session-follow")
    answered(page, [599])


class TestWrongFilter:
    """The browser itself reports refused requests on the console."""

    @pytest.fixture
    def quiet(self) -> Any:
        return lambda message: "400" in message

    def test_it_is_said_why(self, page: Page, side: Web) -> None:
        id_ = started(side, 3)
        see(page, id_, "?filter=pid%20%3D%20%3D")
        page.wait(lambda: "cannot be answered" in page.text("#session-empty"))
        page.click(".s-empty-do .btn")
        answered(page, [3, 2, 1])


# ---------------------------------------------------------------- histogram


def drag(page: Page, start: int, end: int) -> None:
    """From `start` to `end` pixels beside the middle of the plot."""
    move = ActionChains(page.driver, duration=40).move_to_element(page.find(".s-plot"))
    move.move_by_offset(start, 0).click_and_hold().move_by_offset((end - start) // 2, 0)
    move.move_by_offset(end - start - (end - start) // 2, 0).release().perform()


def bars(page: Page) -> None:
    page.wait("document.querySelector('.s-bars').getAttribute('d').length > 0")


def test_a_drag_over_the_bars_is_a_range_and_a_double_click_undoes_it(
    page: Page, side: Web
) -> None:
    id_, _ = spread(side)
    see(page, id_)
    bars(page)
    drag(page, -200, 200)
    page.wait("new URLSearchParams(location.search).get('to')")
    start, end = page.js("['from', 'to'].map(n => new URLSearchParams(location.search).get(n))")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", start)
    seconds = page.js("(Date.parse(arguments[1]) - Date.parse(arguments[0])) / 1000", start, end)
    page.wait(lambda: page.text("#session-rows").endswith(f"of {seconds:.0f}"))
    page.click(".s-tools-inline .btn")
    page.wait(lambda: "Zoom out" in page.text(".s-tools-inline"))
    ActionChains(page.driver).double_click(page.find(".s-plot")).perform()
    page.wait(lambda: page.path == f"/sessions/{id_}")
    answered(page, [119])
    page.wait("!document.querySelector('.s-tools-inline .btn')")


def test_a_range_by_keys(page: Page, side: Web) -> None:
    id_, _ = spread(side)
    see(page, id_)
    bars(page)
    page.js("document.querySelector('.s-plot').focus() || 1")
    page.keys(Keys.ARROW_LEFT, Keys.PAGE_UP)
    for _ in range(3):
        ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(
            Keys.SHIFT
        ).perform()
    page.keys(Keys.ENTER)
    page.wait("new URLSearchParams(location.search).get('from')")
    page.wait("new URLSearchParams(location.search).get('to')")


def test_a_split_counts_every_value_and_its_legend_filters(page: Page, side: Web) -> None:
    id_ = started(side)
    side.control.add(id_, [mixed(n) for n in range(1, 31)])
    see(page, id_, "?split=type")
    page.wait(lambda: page.texts(".s-legend button") == ["connect\n20", "close\n10"])
    side.control.add(id_, [mixed(33)])
    page.wait(lambda: page.texts(".s-legend button") == ["connect\n20", "close\n11"])
    page.click(".s-legend button[data-value=close]")
    page.wait(
        lambda: page.js("new URLSearchParams(location.search).get('filter')") == "type = close"
    )
    answered(page, [33, 30, 27])
    page.wait(lambda: page.texts(".s-legend button") == ["close\n11"])


def test_losses_are_amber_and_our_own_red(page: Page, side: Web) -> None:
    id_, begin = spread(side)
    kernel = Loss(
        node="n",
        start=begin,
        end=begin + NS,
        count=5,
        cause=LossCause.KERNEL,
        detail="",
    )
    late = begin + 90 * NS
    ours = Loss(node="", start=late, end=late + NS, count=3, cause=LossCause.WRITER, detail="")
    side.control.add(id_, [], losses=[kernel, ours])
    see(page, id_)
    for name in ("lost-bars", "lost-ours"):
        page.wait(f"document.querySelector('.s-{name}').getAttribute('d').length > 0")


# ---------------------------------------------------------------- columns


def test_columns_of_a_link_are_shown_and_changes_go_into_it(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    see(page, id_, "?cols=proc.pid:150!,type,proc.comm")
    order = (
        "[...document.querySelectorAll('#session-grid .ag-header-cell')].map(e => e.getAttribute('col-id'))"
        ".sort().join()"
    )
    page.wait(lambda: page.js(order) == "proc.comm,proc.pid,type")
    pinned = "document.querySelector('.ag-pinned-left-header .ag-header-cell')"
    assert page.js(f"{pinned}.getAttribute('col-id')") == "proc.pid"
    assert page.js(f"{pinned}.offsetWidth") == 150
    cell = page.find("#session-grid .ag-header-cell[col-id='type']")
    ActionChains(page.driver).context_click(cell).perform()
    page.find(".menu button")
    page.js(
        "[...document.querySelectorAll('.menu button')].find(b => b.textContent === 'Hide').click() || 1"
    )
    page.wait(lambda: page.js(order) == "proc.comm,proc.pid")
    assert page.js("new URLSearchParams(location.search).get('cols')") == "proc.pid:150!,proc.comm"
    see(page, id_)
    page.wait(lambda: page.js(order) == "proc.comm,proc.pid")


# ---------------------------------------------------------------- several rows


def calling(number: int) -> str:
    """A process whose name a spreadsheet would run."""
    return tcp(number, proc={"comm": "=1+1", "pid": number})


def chosen(page: Page, side: Web) -> SessionId:
    """Rows 28, 26, 25 and 24 of 30 chosen by clicks."""
    id_ = started(side)
    side.control.add(id_, [calling(n) for n in range(1, 31)])
    see(page, id_, "?cols=proc.pid,proc.comm,dst")
    ActionChains(page.driver).key_down(Keys.CONTROL).click(row(page, 28)).click(
        row(page, 26)
    ).key_up(Keys.CONTROL).perform()
    ActionChains(page.driver).key_down(Keys.CONTROL).key_down(Keys.SHIFT).click(
        row(page, 24)
    ).key_up(Keys.SHIFT).key_up(Keys.CONTROL).perform()
    page.wait(lambda: page.text(".s-picks b") == "4 events chosen")
    return id_


def test_chosen_rows_are_copied_as_json_csv_and_filter(page: Page, side: Web) -> None:
    chosen(page, side)
    side.control.add(SessionId(page.path.split("/")[2].split("?")[0]), [tcp(31)])
    page.wait("document.querySelector('#session-chip:not([hidden])')")
    done = copied(page)
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("c").key_up(Keys.CONTROL).perform()
    text = page.wait(done)
    assert [one["proc"]["pid"] for one in json.loads(text)] == [24, 25, 26, 28]
    assert calling(24) in text
    copied(page)
    page.js("igdash.session.picks.copyCsv() && 1")
    lines = str(page.wait(done)).splitlines()
    assert lines[0] == "seq,ts,proc.pid,proc.comm,dst"
    assert re.fullmatch(r"24,[^,]+Z,24,'=1\+1,s/demo/redis:6379", lines[1])
    assert len(lines) == 5
    copied(page)
    page.js("igdash.session.picks.copyFilter() || 1")
    assert page.wait(done) == "seq in 24..26 or seq = 28"
    page.js(
        "[...document.querySelectorAll('.s-picks .btn')].find(b => b.textContent === 'Only these').click() || 1"
    )
    page.wait(lambda: pids(page) == ["28", "26", "25", "24"])


def test_escape_chooses_none_and_goes_on_following(page: Page, side: Web) -> None:
    id_ = chosen(page, side)
    side.control.add(id_, [tcp(31)])
    page.wait("document.querySelector('#session-chip:not([hidden])')")
    page.keys(Keys.ESCAPE)
    page.wait("document.querySelector('.s-picks').hidden")
    page.wait(top(page, 31))


# ---------------------------------------------------------------- jump to a time


def test_times_as_people_write_them(page: Page, side: Web) -> None:
    page.open("/gadgets")
    until = "new Date(2026, 10, 25, 14, 30).getTime()"

    def read(text: str) -> Any:
        code = f"igdash.session.readTime(arguments[0], {until})"
        return page.js(f"Number.isNaN({code}) ? null : igdash.fmt.datetime({code})", text)

    assert read("14:02") == "2026-11-25 14:02:00"
    assert read("14:02:11.5") == "2026-11-25 14:02:11"
    assert read("23:00") == "2026-11-24 23:00:00"
    assert read("-10m") == "2026-11-25 14:20:00"
    assert read("2h ago") == "2026-11-25 12:30:00"
    assert read("2026-11-20 08:00") == "2026-11-20 08:00:00"
    for wrong in ("", "soon", "25:00", "14:61", "2026-13-45"):
        assert read(wrong) is None


def test_g_t_goes_there(page: Page, side: Web) -> None:
    id_, begin = spread(side, 300)
    see(page, id_)
    page.keys("g", "t")
    page.find(".s-when input")
    page.keys(str(page.js("igdash.fmt.clock(arguments[0])", format_ns(begin + 50 * NS))))
    page.keys(Keys.ENTER)
    page.wait(lambda: page.text("#session-drawer h2") == "Event #51")


# ---------------------------------------------------------------- tables


def test_a_tick_is_filtered_and_cut_to_its_top(page: Page, side: Web) -> None:
    id_ = ticks(side, [40])
    see(page, id_, "?sort=-sent&top=10")
    page.wait(lambda: column(page, "sent") == [f"{n} B" for n in range(39, 29, -1)])
    page.wait(lambda: "top 10 of 40 rows by Sent" in page.text("#session-rows"))
    ask(page, filter="sent_raw < 3")
    page.wait(lambda: column(page, "sent") == ["2 B", "1 B", "0 B"])
    add_tick(side, id_, 2, 2)
    page.wait(lambda: column(page, "comm") == ["t2r1", "t2r0"])
    ask(page, filter="sent_raw > 100")
    page.wait(lambda: "No row of this tick matches" in page.text("#session-empty"))


def test_a_range_of_time_holds_the_ticks_in_it(page: Page, side: Web) -> None:
    id_ = side.session("top_tcp")
    begin = (now_ns() // NS - 100) * NS
    for number in range(10):
        at = begin + number * 10 * NS
        tick = NewTick(ts=at, node="worker-1", source="tcp", first=0, events=1)
        rows = [json.dumps({"comm": f"t{number + 1}", "pid": 1})]
        side.control.add(id_, rows, ticks=[tick], ts=[at])
    start, end = format_ns(begin + 30 * NS), format_ns(begin + 55 * NS)
    see(page, id_, f"?from={start}&to={end}")
    page.wait(lambda: column(page, "comm") == ["t6"])
    page.click("#session-ticks [aria-label='Older tick']")
    page.click("#session-ticks [aria-label='Older tick']")
    page.wait(lambda: column(page, "comm") == ["t4"])
    assert page.js("document.querySelector('#session-ticks [aria-label=\"Older tick\"]').disabled")
    ask(page, **{"from": None, "to": None})
    page.wait(lambda: column(page, "comm") == ["t10"])


# ---------------------------------------------------------------- palette


def palette(page: Page, text: str) -> None:
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
    page.find(".palette input")
    page.keys(text)


def test_the_palette_goes_to_sessions_views_and_gadgets(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    page.open("/gadgets")
    palette(page, "tcp demo")
    page.wait(
        lambda: (
            page.text(".palette-item[aria-selected=true]").startswith("TC")
            and "Trace TCP demo" in page.text(".palette-item[aria-selected=true]")
        )
    )
    page.keys(Keys.ENTER)
    painted(page, id_)
    palette(page, "sess")
    page.wait(lambda: "Sessions" in page.text(".palette-item[aria-selected=true]"))
    page.keys(Keys.ENTER)
    page.wait(lambda: page.path.startswith("/sessions") and id_ not in page.path)
    palette(page, "strtdns")
    page.wait(lambda: "Start Trace DNS" in page.text(".palette-item[aria-selected=true]"))
    page.keys(Keys.ENTER)
    page.wait(lambda: page.path.startswith("/start/trace_dns"))


def test_the_palette_does_things_and_closes(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    see(page, id_, "?sort=proc.pid")
    palette(page, "show everything")
    page.keys(Keys.ENTER)
    page.wait(lambda: page.path == f"/sessions/{id_}")
    palette(page, "zzzzqq")
    page.wait(lambda: "Nothing is called like that" in page.text(".palette-list"))
    page.keys(Keys.ESCAPE)
    page.wait("!document.querySelector('.palette')")
