"""The session view while answers are late, fail or overtake each other, and at a session's end: what
is shown is of what is asked now, and nothing waits for ever."""

from __future__ import annotations

from igdash.domain.events import LogLevel, LogLine
from igdash.domain.losses import Loss, LossCause
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.sessions import SessionId, SessionState
from igdash.domain.times import NS, format_ns, now_ns
from tests.browser.test_session import painted, pids, scroll, see, started, tcp, ticks
from tests.support.browser import Page
from tests.support.web import Web

HOLD = """(() => {
  const real = window.fetch.bind(window), part = arguments[0];
  window.held = [];
  window.release = () => { window.fetch = real; window.held.forEach((go) => go()); return 1; };
  window.fetch = async (url, options) => {
    const answer = await real(url, options);
    if (String(url).includes(part)) await new Promise((go) => window.held.push(go));
    return answer;
  };
  return 1;
})()"""


def hold(page: Page, part: str) -> None:
    """From now on answers to addresses with `part` in them are kept back until `release`."""
    page.js(HOLD, part)


def held(page: Page) -> None:
    page.wait("window.held.length > 0")


def release(page: Page) -> None:
    page.js("window.release()")


def go(page: Page, path: str) -> None:
    page.js("igdash.nav(arguments[0]) || 1", path)


def ask(page: Page, **changes: str | None) -> None:
    page.js("igdash.session.core.ask(arguments[0]) || 1", changes)


def lost(side: Web, id_: SessionId, count: int = 7) -> None:
    now = now_ns()
    loss = Loss(node="worker-1", start=now - 5, end=now, count=count, cause=LossCause.KERNEL)
    side.control.add(id_, [], losses=[loss])


def test_an_end_soon_after_other_news_is_shown_with_its_reason(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    see(page, id_)
    side.control.cover(
        id_,
        NodeStatus(name="worker-1", state=NodeState.CONNECTED),
        NodeStatus(name="worker-2", state=NodeState.WAITING),
    )
    page.wait(lambda: "1/2" in page.text("#session-stats"))
    side.control.end(id_, SessionState.FAILED, "no kprobes in this kernel")
    page.wait(lambda: "no kprobes in this kernel" in page.text("#session-banner"))


def test_losses_that_are_not_known_yet_are_not_called_none(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    lost(side, id_)
    page.open("/gadgets")
    hold(page, "/losses")
    go(page, f"/sessions/{id_}?tab=losses")
    held(page)
    page.wait("igdash.session.core.session !== null")
    assert "Nothing was lost" not in page.text("#session-losses")
    release(page)
    page.wait(lambda: "7 events lost" in page.text("#session-losses"))


def test_a_session_opened_while_another_is_asked_is_not_dimmed(page: Page, side: Web) -> None:
    one, two = started(side, 3), started(side, 3)
    see(page, one)
    hold(page, "/events?")
    ask(page, filter="comm = nginx")
    held(page)
    go(page, "/sessions")
    release(page)
    go(page, f"/sessions/{two}")
    painted(page, two)
    assert not page.js("document.getElementById('session-root').classList.contains('s-asking')")


CUT = """(() => {
  const real = window.fetch.bind(window);
  window.cutting = true;
  window.under = 0;
  window.fetch = async (url, options) => {
    const asked = /\\/events\\?.*before=(\\d+)/.exec(String(url));
    if (!asked || !window.cutting || !String(url).includes('filter=')) return real(url, options);
    window.under += 1;
    await new Promise((go) => setTimeout(go, 50));
    setTimeout(() => { window.under -= 1; }, 50);
    return new Response(JSON.stringify({ events: [], first_seq: 1, last_seq: 300, next: Math.min(301, Number(asked[1])),
      scope: { from_seq: 301, to_seq: 300, examined: 1, total: 300, complete: false } }));
  };
  return 1;
})()"""


def test_a_search_goes_on_when_it_is_looked_at_again(page: Page, side: Web) -> None:
    id_ = started(side, 300)
    see(page, id_)
    page.js(CUT)
    ask(page, filter="pid = 1")
    page.wait(lambda: "Looked through" in page.text(".s-search"))
    page.click("#session-tabs [data-tab='log']")
    page.wait("document.getElementById('session-root').dataset.tab === 'log'")
    page.wait("window.under === 0")  # nobody looks: it rests
    page.js("window.cutting = false, 1")
    page.click("#session-tabs [data-tab='events']")
    page.wait(lambda: pids(page) == ["1"])


def test_figures_go_with_the_filter_they_were_of(page: Page, side: Web) -> None:
    id_ = started(side, 30)
    see(page, id_)
    page.js("igdash.session.fields.open('proc.pid') || 1")
    page.find("[data-field='proc.pid'] .f-figures")
    ask(page, filter="comm = nobody")
    page.wait(lambda: "No event matches" in page.text("[data-field='proc.pid']"))
    assert page.all("[data-field='proc.pid'] .f-figures") == []


REFUSE = """(() => {
  const real = window.fetch.bind(window), part = arguments[0];
  window.fetch = async (url, options) => {
    if (!String(url).includes(part)) return real(url, options);
    window.fetch = real;
    window.refused = true;
    return new Response('{"status":503,"title":"Busy","detail":"all workers are busy"}', { status: 503 });
  };
  return 1;
})()"""


def test_rows_of_a_removed_filter_are_not_left_behind_when_the_stream_is_refused(
    page: Page, side: Web
) -> None:
    id_ = started(side, 9)
    side.control.end(id_, SessionState.STOPPED)
    see(page, id_, "?filter=pid%20%3D%205")
    page.wait(lambda: pids(page) == ["5"])
    page.js(REFUSE, "/events?")
    ask(page, filter=None)
    page.click("#session-trouble .btn")
    page.wait(lambda: pids(page)[:2] == ["9", "8"])


def test_bars_of_an_ended_session_are_those_of_its_filter_though_once_refused(
    page: Page, side: Web
) -> None:
    id_ = started(side, 30)
    side.control.end(id_, SessionState.STOPPED)
    see(page, id_)
    page.wait("document.querySelector('.s-bars').getAttribute('d') !== ''")
    page.js(REFUSE, "/histogram")
    ask(page, filter="comm = nobody")
    page.wait("window.refused")
    page.wait("document.querySelector('.s-bars').getAttribute('d') === ''")


def test_bars_hold_what_came_while_they_were_counted_for_the_last_time(
    page: Page, side: Web
) -> None:
    id_ = started(side, 5)
    see(page, id_, "?split=type")
    page.wait(lambda: page.text(".s-legend") == "connect\n5")
    hold(page, "/histogram")
    held(page)
    side.control.add(id_, [tcp(n) for n in range(6, 10)])
    side.control.end(id_, SessionState.STOPPED)
    page.wait("igdash.session.core.ended()")
    page.wait("igdash.session.core.session.stopped")
    release(page)
    page.wait(lambda: page.text(".s-legend") == "connect\n9")


def test_a_log_that_could_not_be_read_is_asked_for_again(page: Page, side: Web) -> None:
    id_ = started(side, 3)
    side.control.end(id_, SessionState.STOPPED)
    see(page, id_)
    page.js(REFUSE, "/logs")
    page.click("#session-tabs [data-tab='log']")
    page.wait(lambda: "cannot be read" in page.text("#session-log"))
    page.click("#session-tabs [data-tab='events']")
    page.click("#session-tabs [data-tab='log']")
    page.wait(lambda: "No log lines" in page.text("#session-log"))


def test_a_burst_of_the_log_is_shown_to_its_end(page: Page, side: Web) -> None:
    id_ = started(side, 3)

    def say(first: int, last: int) -> None:
        now, info = now_ns(), LogLevel.INFO
        lines = [LogLine(ts=now, level=info, node="", text=f"{n}") for n in range(first, last)]
        side.control.add(id_, [], logs=tuple(lines))

    say(1, 3)
    see(page, id_, "?tab=log")
    page.wait(lambda: page.texts(".s-line .s-text") == ["1", "2"])
    say(3, 1_201)
    page.wait(lambda: page.texts(".s-line .s-text")[-1:] == ["1200"])
    assert len(page.all(".s-line")) == 1_200


def test_ticks_that_were_refused_once_are_asked_for_again(page: Page, side: Web) -> None:
    id_ = ticks(side, [3])
    side.control.end(id_, SessionState.STOPPED)
    page.open("/gadgets")
    page.js(REFUSE, "/ticks")
    go(page, f"/sessions/{id_}")
    page.wait("window.refused")
    painted(page, id_)
    page.wait(lambda: page.text("#session-rows").startswith("3 rows"))


def test_losses_are_those_asked_for_last_whichever_answer_comes_first(
    page: Page, side: Web
) -> None:
    id_ = started(side, 3)
    side.control.end(id_, SessionState.STOPPED)
    see(page, id_)
    page.wait("igdash.session.core.losses")
    hold(page, "/losses")
    page.js("igdash.session.core.loadLosses() || 1")
    page.wait("window.held.length === 1")
    lost(side, id_)
    page.js("igdash.session.core.loadLosses() || 1")
    page.wait("window.held.length === 2")
    page.js("window.held.reverse() && 1")
    release(page)
    page.wait("igdash.session.core.losses.losses.length === 1")
    page.js("new Promise((done) => setTimeout(done)).then(() => 1)")
    assert page.js("igdash.session.core.losses.losses.length") == 1


def test_what_could_not_be_read_is_not_told_once_it_was_read(page: Page, side: Web) -> None:
    id_ = started(side, 300)
    see(page, id_)
    page.js(REFUSE, "/events?")
    scroll(page, 7_000)
    page.wait("!document.getElementById('session-trouble').hidden")
    scroll(page, 0)
    side.control.add(id_, [tcp(301)])
    page.wait(lambda: pids(page)[:1] == ["301"])
    page.wait("document.getElementById('session-trouble').hidden")


def test_a_value_that_comes_later_has_its_own_part_of_the_bars(page: Page, side: Web) -> None:
    id_ = started(side, 5)
    see(page, id_, "?split=type")
    page.wait(lambda: page.text(".s-legend") == "connect\n5")
    side.control.add(id_, [tcp(n, type="close") for n in range(6, 9)])
    page.wait(lambda: page.text(".s-legend") == "connect\n5\nclose\n3")


def test_a_value_that_overtakes_one_of_six_takes_its_place(page: Page, side: Web) -> None:
    id_ = started(side)
    side.control.add(id_, [tcp(n, type=f"t{n % 6}") for n in range(12)] + [tcp(12, type="t0")])
    see(page, id_, "?split=type")
    page.wait(lambda: len(page.all(".s-legend button")) == 6)
    side.control.add(id_, [tcp(13, type="new")])
    page.wait(lambda: "other" in page.text(".s-legend"))
    side.control.add(id_, [tcp(n, type="new") for n in range(14, 18)])
    page.wait(lambda: page.texts(".s-legend button")[0] == "new\n5")


def test_a_moment_is_gone_to_though_the_order_is_taken_back_slowly(page: Page, side: Web) -> None:
    id_ = started(side)
    now = now_ns()
    stamps = [now + n * NS // 10 for n in range(500)]
    side.control.add(id_, [tcp(n) for n in range(1, 501)], ts=stamps)
    side.control.end(id_, SessionState.STOPPED)
    see(page, id_, "?sort=proc.pid")
    page.wait(lambda: pids(page)[:1] == ["1"])
    hold(page, "/events?before=")
    page.js("(window.gone = igdash.session.showTime(arguments[0])) && 1", format_ns(stamps[149]))
    held(page)
    release(page)
    page.wait("document.querySelector('#session-grid .ag-row.s-selected')")
    page.wait(lambda: "150" in pids(page))
    assert page.js("new URL(location).searchParams.get('seq')") == "150"
    assert page.js("igdash.session.grid.state.found") is None
