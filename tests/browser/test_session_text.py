"""The session view's pure functions, run where they run for users: in the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from igdash.sources.catalogue import load_catalogue
from igdash.ui.app import create_app
from tests.support.browser import Page, dashboard
from tests.support.seed import RECORDINGS
from tests.support.web import web

TEXT = "igdash.session.text"
COLUMNS = "igdash.session.columns"


@pytest.fixture(scope="module")
def script(chrome: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the scripts loaded, once for all tests here: they change nothing."""
    store = tmp_path_factory.mktemp("text") / "text.db"
    with web(f"sqlite:///{store}") as side:
        create_app(side.services, side.app)
        chrome.reset()
        with dashboard(side.app) as base:
            chrome.base = base
            chrome.open("/gadgets")
            yield chrome
            chrome.driver.get("about:blank")


def fields(gadget: str) -> list[dict[str, Any]]:
    """A gadget's fields as the REST interface gives them."""
    return [
        {
            "name": f.name,
            "kind": f.kind,
            "description": f.description,
            "hidden": f.hidden,
            "width": f.width,
            "min_width": f.min_width,
            "align_right": f.align_right,
            "ellipsis": f.ellipsis,
            "alias": f.alias,
            "template": f.template,
            "one_of": list(f.one_of),
        }
        for f in load_catalogue().get(gadget).sources[0].fields
        if f.in_json
    ]


def shown(page: Page, gadget: str) -> list[str]:
    code = f"{COLUMNS}.of(arguments[0]).filter(c => c.shown).map(c => c.id)"
    return list(page.js(code, fields(gadget)))


def test_a_page_is_cut_without_touching_a_byte(script: Page) -> None:
    lines = (RECORDINGS / "trace_tcp" / "events.jsonl").read_text().splitlines()[:50]
    lines += ['{"s":"}]\\"{\\\\","n":[1,{"a":"]"}],"big":18446744073709551615}', "{}", "[ ]", '"x"']
    events = [
        f'{{"seq":{n},"ts":"2026-11-22T23:13:24.8Z","node":"w\\"1","source":"","data":{line}}}'
        for n, line in enumerate(lines, 1)
    ]
    text = '{"events":[' + ", ".join(events) + '],"first_seq":1,"last_seq":99,"next":null}'
    found = script.js(
        f"(p => ({{raw: p.events.map(e => e.raw), node: p.events[0].node, seq: p.events.at(-1).seq, last: p.last}}))({TEXT}.page(arguments[0]))",
        text,
    )
    assert found == {"raw": lines, "node": 'w"1', "seq": len(lines), "last": 99}


def test_pretty_json_keeps_every_literal(script: Page) -> None:
    text = '{"a":[],"b":{ },"c":[1.50,-0,1e400],"d":"x\\"{}[]:,y","e":18446744073709551615}'
    pretty = script.js(f"{TEXT}.pretty(arguments[0])", text)
    assert pretty.splitlines()[:4] == ["{", '  "a": [],', '  "b": {},', '  "c": [']
    assert '"e": 18446744073709551615' in pretty
    assert "1.50" in pretty
    assert json.loads(pretty) == json.loads(text)


ENDPOINTS: tuple[tuple[object, str], ...] = (
    ({"addr": "10.0.0.1", "port": 443}, "10.0.0.1:443"),
    ({"addr": "::1", "port": 443}, "[::1]:443"),
    ({"addr": "10.0.0.1", "port": 0, "k8s": {"kind": "raw", "name": ""}}, "r/10.0.0.1:0"),
    ({"addr": "10.0.0.1", "port": 80, "k8s": {"kind": "pod", "namespace": "a", "name": "b"}}, "p/a/b:80"),
    ({"addr": "10.0.0.1", "port": 80, "k8s": {"kind": "svc", "namespace": "a", "name": "b"}}, "s/a/b:80"),
    ({"addr": "9.9.9.9", "version": 4}, "9.9.9.9"),
    ({"addr": ""}, ""),
    (None, ""),
    ("as text", "as text"),
)  # fmt: skip


def test_endpoints_read_as_ig_prints_them(script: Page) -> None:
    values, said = zip(*ENDPOINTS, strict=True)
    assert script.js(f"arguments[0].map({TEXT}.endpoint)", values) == list(said)


def test_loss_words(script: Page) -> None:
    def lost(**loss: object) -> str:
        return str(script.js(f"{TEXT}.lost(arguments[0])", loss))

    assert lost(count=1_234, exact=True) == "1,234"
    assert lost(count=0, exact=False) == "unknown"
    assert lost(count=5, exact=False) == "≥ 5"
    line = {"count": 1, "exact": True, "cause": "writer", "node": "", "from": "2026-11-22T23:13:24Z", "to": "2026-11-22T23:13:25Z"}  # fmt: skip
    assert script.js(f"{TEXT}.lossLine(arguments[0])", line).startswith(
        "1 event lost in igdash between "
    )


def test_histogram_steps_are_round_and_few(script: Page) -> None:
    def step(seconds: float) -> int:
        return int(script.js(f"{TEXT}.step(arguments[0], 240)", seconds))

    assert [step(s) for s in (1, 240, 241, 3_600, 86_400)] == [1, 1, 2, 15, 600]
    assert all(s / step(s) <= 240 for s in (7, 999, 12_345, 10**6, 10**8))


def test_where_and_who_come_first_and_groups_are_no_columns(script: Page) -> None:
    assert shown(script, "trace_tcp") == [
        "@time", "@node", "k8s.namespace", "k8s.podName", "proc.comm", "proc.pid", "src", "dst", "type", "error",
    ]  # fmt: skip
    assert shown(script, "top_tcp")[-3:] == ["comm", "sent", "received"]


def test_every_gadget_has_columns_and_cells_for_what_it_delivers(script: Page) -> None:
    code = f"""(() => {{
      const list = {COLUMNS}.of(arguments[0]);
      const rows = arguments[1].map(raw => new {TEXT}.Row('{{"seq":1,"ts":"2026-11-22T23:13:24Z","data":' + raw + '}}'));
      return rows.map(row => list.map(column => {COLUMNS}.cell(column, row)));
    }})()"""
    for path in sorted(RECORDINGS.glob("*/events.jsonl")):
        gadget = path.parent.name.split(".")[0]
        lines = []
        for line in path.read_text().splitlines()[:40]:
            rows = json.loads(line) if line.startswith("[") else [json.loads(line)]
            lines += [json.dumps(row) for row in rows[:3]]
        cells = script.js(code, fields(gadget), lines)
        assert all(isinstance(cell, str) and "[object" not in cell for row in cells for cell in row)
        assert sum(bool(cell) for row in cells for cell in row) > 4 * len(cells), gadget


def test_rows_of_a_tick_sort_by_raw_values(script: Page) -> None:
    rows = [
        {"comm": "b", "sent": "8.2 kB", "sent_raw": 8_233},
        {"comm": "a", "sent": "17 B", "sent_raw": 17},
        {"comm": "a", "sent": "1.0 MB"},
    ]
    code = f"""(() => {{
      const list = {COLUMNS}.of(arguments[0]);
      const rows = arguments[1].map(data => ({{data, ts: '', node: ''}}));
      const by = (...model) => {COLUMNS}.sort(rows, list, model).map(row => row.data.sent);
      return [by({{colId: 'sent', sort: 'desc'}}), by({{colId: 'comm', sort: 'asc'}}, {{colId: 'sent', sort: 'asc'}}), by()];
    }})()"""
    down, two, as_came = script.js(code, fields("top_tcp"), rows)
    assert down == ["1.0 MB", "8.2 kB", "17 B"]
    assert two == ["17 B", "1.0 MB", "8.2 kB"]
    assert as_came == ["8.2 kB", "17 B", "1.0 MB"]


def test_long_texts_keep_both_ends(script: Page) -> None:
    cut = script.js(f"{COLUMNS}.middle('p/production/catalog-sync-b97b64b5d-25q6r:44812', 170)")
    assert cut.startswith("p/prod")
    assert cut.endswith("r:44812")
    assert cut.count("…") == 1
    assert 15 <= len(cut) <= 22
    assert script.js(f"{COLUMNS}.middle('web-1', 170)") == "web-1"


def test_events_without_metadata_still_have_columns(script: Page) -> None:
    code = f"""(() => {{
      const rows = [{{data: arguments[0], ts: '', node: ''}}];
      const list = {COLUMNS}.of({COLUMNS}.guess(rows));
      return {COLUMNS}.shown(list, null, rows);
    }})()"""
    data = {"k8s": {"namespace": "a", "podName": "b", "owner": {"kind": "x"}}, "src": {"addr": "1.2.3.4", "port": 5}, "what": 7}  # fmt: skip
    assert script.js(code, data) == ["@time", "k8s.namespace", "k8s.podName", "src", "what"]


def test_a_command_line_is_quoted_for_a_shell(script: Page) -> None:
    line = script.js(
        "igdash.session.shellLine(arguments[0])", ["ig", "run", "a b", "it's", "--x=1"]
    )
    assert line == "ig run 'a b' 'it'\\''s' --x=1"


# ---------------------------------------------------------------- rows of a question

HISTORY = """
const done = arguments[arguments.length - 1];
const { Found } = igdash.session.found;
let last = 1000, asked = [];
/* A server over events 1 to `last` of which every tenth matches; it looks at `reach` events a call. */
const server = (reach) => async (query) => {
  asked.push(query);
  const events = [];
  let seq = query.before === undefined ? query.after : Math.min(query.before, last + 1), seen = 0;
  const step = query.before === undefined ? 1 : -1;
  for (; seen < reach && events.length < query.limit; seen += 1) {
    if (seq + step < 1 || seq + step > last) break;
    seq += step;
    if (seq % 10 === 0) events.push({ seq: seq });
  }
  const end = seq + step < 1 || seq + step > last;
  if (step < 0) events.reverse();
  return { events: events, first: 1, last: last, next: end ? null : seq,
    scope: { complete: end, examined: seen, total: last, from_seq: 1, to_seq: last } };
};
const run = async () => { CODE };
run().then(done, (error) => done(String(error)));
"""


def history(script: Page, code: str) -> Any:
    """Run `code` against rows of a question over a made-up history."""
    return script.driver.execute_async_script(HISTORY.replace("CODE", code))


def test_an_answer_cut_by_its_time_is_shown_and_goes_on(script: Page) -> None:
    steps = history(
        script,
        """
        const found = new Found(server(300), '', Infinity);
        const say = () => [found.total, found.cut, found.end, found.room];
        await found.need(0, 100);
        const first = say();
        await found.more(); await found.more();
        return [first, say(), (await found.more(), say()), found.at(0).seq, found.at(99).seq, found.indexOf(500), asked[0].budget_ms, asked[1].budget_ms];
        """,
    )
    assert steps == [
        [30, True, False, 30],
        [90, True, False, 90],
        [100, False, True, 100],
        1000,
        10,
        50,
        120,
        None,
    ]


def test_pages_nobody_looks_at_are_read_again_by_their_cursor(script: Page) -> None:
    kept, again, same = history(
        script,
        """
        last = 200000;
        const found = new Found(server(5000), '', 200000);
        await found.need(8900, 9000);
        const kept = found.at(0) === undefined;
        await found.need(0, 100);
        return [kept, found.at(0).seq, found.at(99).seq];
        """,
    )
    assert kept is True
    assert (again, same) == (200_000, 199_010)


def test_new_matches_come_in_front_once(script: Page) -> None:
    got = history(
        script,
        """
        const found = new Found(server(5000), '', Infinity);
        await found.need(0, 100);
        last = 1025;
        const [one, two] = await Promise.all([found.peek(), found.peek()]);
        return [found.take(one), found.take(two), found.at(0).seq, found.at(1).seq, found.at(2).seq, found.head];
        """,
    )
    assert got == [2, 0, 1020, 1010, 1000, 1025]
    many = history(
        script,
        """
        const found = new Found(server(50000), '', Infinity);
        await found.need(0, 100);
        last = 9000;
        return found.take(await found.peek());
        """,
    )
    assert many is None


def test_columns_in_an_address(script: Page) -> None:
    code = f"{COLUMNS}.fromParam(arguments[0])"
    assert script.js(code, "@time!,k8s.podName:210,type") == {
        "shown": ["@time", "k8s.podName", "type"],
        "widths": {"k8s.podName": 210},
        "pinned": ["@time"],
    }
    assert script.js(f"{COLUMNS}.toParam({code})", "@time!,k8s.podName:210!,type") == (
        "@time!,k8s.podName:210!,type"
    )
    for nothing in ("", ",,", ":9", "!"):
        assert script.js(code, nothing) is None


def test_letters_find_names(script: Page) -> None:
    def score(query: str, text: str) -> float:
        return float(script.js("igdash.fuzzy(arguments[0], arguments[1]).score", query, text))

    assert score("tcp", "Trace TCP") > score("tcp", "Trace tcpconnect") > score("tcp", "tXcXpX")
    assert score("strtdns", "Start Trace DNS") > 0
    assert score("dns start", "Start Trace DNS") > 0
    assert score("xyz", "Trace TCP") < 0
