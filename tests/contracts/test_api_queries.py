"""REST calls that ask the history with a filter, a sort or a field; over both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from igdash.domain.events import NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, format_ns, now_ns
from igdash.store.query.scan import Scan
from tests.support.stores import Store
from tests.support.web import Web, get, web

BIG = 2**53 + 1
COMMS = ("curl", "nginx", "Curl-x", "")


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


@pytest.fixture
def each(store: Store) -> Iterator[Web]:
    """Runs the test over SQLite and over PostgreSQL."""
    with web(store.url) as made:
        yield made


def row(n: int) -> dict[str, Any]:
    """Event number n (from 1): 30 of them make a small history."""
    data: dict[str, Any] = {
        "k8s": {"namespace": "demo" if n % 3 else "production", "podName": f"web-{n % 4}"},
        "proc": {"comm": COMMS[n % 4], "pid": 1_000 + n % 5},
        "dst": {"addr": f"10.0.{n % 2}.{n}", "port": 443 if n % 2 else 80},
        "timestamp_raw": BIG - n,
    }
    if n % 10 == 0:
        data["error"] = "ETIMEDOUT"
    return data


START = (now_ns() // NS - 1_000) * NS


def fill(side: Web, events: int = 30, gadget: str = "trace_tcp", first: int = 1) -> SessionId:
    id_ = side.session(gadget)
    numbers = range(first, first + events)
    side.control.add(
        id_, [json.dumps(row(n)) for n in numbers], ts=[START + n * NS for n in numbers]
    )
    return id_


def seqs(found: Any) -> list[int]:
    return [event["seq"] for event in found["events"]]


def ask(side: Web, id_: str, call: str, **query: Any) -> Any:
    names = {"start": "from", "end": "to"}
    text = "&".join(f"{names.get(k, k)}={quote(str(v))}" for k, v in query.items())
    status, found = get(side, f"/api/sessions/{id_}/{call}?{text}")
    assert status == 200, found
    return found


FILTERS = [
    ('comm = "curl"', lambda n: n % 4 == 0),
    ("comm ~ CURL", lambda n: n % 4 in (0, 2)),
    ("not comm ~ curl", lambda n: n % 4 in (1, 3)),
    ("namespace = production and dst.port in (80, 443)", lambda n: n % 3 == 0),
    ("pid in 1001..1002", lambda n: n % 5 in (1, 2)),
    ("dst.addr in 10.0.1.0/24", lambda n: n % 2 == 1),
    ("exists error", lambda n: n % 10 == 0),
    ("not (error = x)", lambda n: n % 10 == 0),
    ("exists comm", lambda n: n % 4 != 3),
    ("etimedout", lambda n: n % 10 == 0),
    ("pod =~ '^web-[12]$'", lambda n: n % 4 in (1, 2)),
    ("seq <= 3 or seq > 29", lambda n: n <= 3 or n > 29),
    (f"timestamp_raw = {BIG - 7}", lambda n: n == 7),
    ("lost", lambda n: False),
]


@pytest.mark.parametrize(("text", "matches"), FILTERS, ids=[text for text, _ in FILTERS])
def test_a_filter_picks_its_events_everywhere(side: Web, text: str, matches: Any) -> None:
    id_ = fill(side)
    wanted = [n for n in range(1, 31) if matches(n)]
    found = ask(side, id_, "events", filter=text, limit=100)
    assert seqs(found) == wanted
    assert found["scope"]["complete"] is True
    assert found["next"] is None
    counted = ask(side, id_, "count", filter=text)
    assert counted["count"] == len(wanted)
    assert counted["scope"] == {
        "from_seq": 1, "to_seq": 30, "complete": True, "examined": 30, "total": 30,
    }  # fmt: skip
    bars = ask(side, id_, "histogram", filter=text, buckets=7)["buckets"]
    assert sum(bar["events"] for bar in bars) == len(wanted)
    exported = side.app.test_client().get(f"/api/sessions/{id_}/export?filter={quote(text)}")
    assert [json.loads(line)["seq"] for line in exported.data.splitlines()] == wanted
    merged = get(side, f"/api/events?session={id_}&filter={quote(text)}")[1]
    assert seqs(merged) == wanted


def test_pages_with_a_filter_go_both_ways_without_holes(each: Web) -> None:
    id_ = fill(each)
    wanted = [n for n in range(1, 31) if n % 3]
    up: list[int] = []
    after: int | None = 0
    while after is not None:
        page = ask(each, id_, "events", filter="namespace=demo", after=after, limit=7)
        up += seqs(page)
        after = page["next"]
    assert up == wanted
    down: list[int] = []
    page = ask(each, id_, "events", filter="namespace=demo", newest="true", limit=7)
    while True:
        down = seqs(page) + down
        if page["next"] is None:
            break
        page = ask(each, id_, "events", filter="namespace=demo", before=page["next"], limit=7)
    assert down == wanted


@pytest.mark.parametrize("order", ["pid", "-pid", "error", "-timestamp_raw", "time", "-comm"])
def test_pages_in_the_order_of_a_field(each: Web, order: str) -> None:
    id_ = fill(each)
    found: list[int] = []
    cursor = ""
    while True:
        page = ask(each, id_, "events", sort=order, limit=7, cursor=cursor)
        found += seqs(page)
        if page["next"] is None:
            break
        cursor = page["next"]
    name = order.removeprefix("-")
    value = {
        "pid": lambda n: row(n)["proc"]["pid"],
        "error": lambda n: row(n).get("error"),
        "timestamp_raw": lambda n: row(n)["timestamp_raw"],
        "time": lambda n: n,
        "comm": lambda n: row(n)["proc"]["comm"],
    }[name]
    down = order.startswith("-")
    have = sorted((n for n in range(1, 31) if value(n) is not None), key=lambda n: (value(n), n))
    lack = [n for n in range(1, 31) if value(n) is None]
    assert found == (have[::-1] if down else have) + (lack[::-1] if down else lack)


def test_figures_of_a_field_are_exact(each: Web) -> None:
    id_ = fill(each)
    top = ask(each, id_, "fields/pod/top", n=2, filter="namespace = demo")
    assert (top["field"], top["path"]) == ("pod", "k8s.podName")
    assert [(one["value"], one["count"]) for one in top["values"]] == [
        ("web-1", 6),
        ("web-2", 6),
    ] or (sum(one["count"] for one in top["values"]) >= 10)
    assert (top["count"], top["distinct"], top["missing"]) == (20, 4, 0)
    assert top["other"] == 20 - sum(one["count"] for one in top["values"])
    ports = ask(each, id_, "fields/dst.port/top")
    assert [(v["value"], v["count"], v["text"]) for v in ports["values"]] == [
        (80, 15, "80"),
        (443, 15, "443"),
    ]
    stats = ask(each, id_, "fields/pid/stats", filter="seq <= 10")
    assert stats["numbers"] == 10
    assert (stats["quantiles"][0], stats["quantiles"][-1]) == (
        {"at": 0.0, "value": 1_000},
        {"at": 1.0, "value": 1_004},
    )
    assert stats["mean"] == 1_002


def test_a_values_text_finds_its_events(each: Web) -> None:
    """What one clicks in the list of values is the filter that counts as many."""
    id_ = fill(each)
    for field in ("comm", "pid", "dst.addr", "timestamp_raw", "error"):
        for value in ask(each, id_, f"fields/{field}/top", n=3)["values"]:
            text = f"{field} = {value['text']}"
            assert ask(each, id_, "count", filter=text)["count"] == value["count"], text


def test_no_event_is_before_seq_0(side: Web) -> None:
    id_ = fill(side)
    assert ask(side, id_, "count", before=0)["count"] == 0
    assert sum(bar["events"] for bar in ask(side, id_, "histogram", before=0)["buckets"]) == 0
    assert sum(bar["events"] for bar in ask(side, id_, "histogram", after=0)["buckets"]) == 30


def test_a_histogram_is_split_by_a_field(each: Web) -> None:
    id_ = fill(each)
    loss = Loss(node="n", start=START + NS, end=START + 2 * NS, count=9, cause=LossCause.KERNEL)
    each.control.add(id_, [], losses=[loss])
    found = ask(
        each, id_, "histogram",
        split="namespace", buckets=3, start=format_ns(START + NS), end=format_ns(START + 31 * NS),
    )  # fmt: skip
    assert found["values"] == ["demo", "production"]
    assert [bar["events"] for bar in found["buckets"]] == [10, 10, 10]
    for bar in found["buckets"]:
        assert sum(bar["split"].values()) == bar["events"]
    plain = ask(each, id_, "histogram", buckets=3)
    assert "split" not in plain["buckets"][0]
    assert "values" not in plain


def test_several_sessions_are_merged_through_one_filter(each: Web) -> None:
    """A session whose gadget has no such field has no such events; a field nobody has is wrong."""
    first, second = fill(each), fill(each, gadget="trace_dns", first=100)
    text = quote("dst.port = 443 and comm ~ curl-x")
    path = f"/api/events?session={first}&session={second}&filter={text}"
    found, cursor = [], ""
    while True:
        page = get(each, f"{path}&limit=4&cursor={cursor}")[1]
        found += [(event["session"], event["seq"]) for event in page["events"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert found == []
    text = quote("dst.port = 443")
    page = get(each, f"/api/events?session={first}&session={second}&filter={text}")[1]
    times = [event["ts"] for event in page["events"]]
    assert times == sorted(times)
    assert {event["session"] for event in page["events"]} == {first, second}
    text = quote("nothing = 443")
    status, wrong = get(each, f"/api/events?session={first}&session={second}&filter={text}")
    assert status == 400
    assert "nothing" in wrong["problems"]["filter"]


def test_one_tick_filtered_and_its_top(each: Web) -> None:
    id_ = each.session("top_tcp")
    rows = [json.dumps({"pid": n, "comm": "ab"[n % 2], "sent": n * 7 % 10}) for n in range(10)]
    each.control.add(
        id_,
        rows,
        ticks=[
            NewTick(ts=START, node="n", source="tcp", first=0, events=4),
            NewTick(ts=START + NS, node="n", source="tcp", first=4, events=6),
        ],
    )
    found = ask(each, id_, "ticks/2", filter="comm = a")
    assert seqs(found) == [5, 7, 9]
    assert found["tick"]["events"] == 6
    top = ask(each, id_, "ticks/2", sort="-pid", limit=2)
    assert [event["data"]["pid"] for event in top["events"]] == [9, 8]


def large_tick(side: Web) -> SessionId:
    id_ = side.session("top_tcp")
    rows = [json.dumps({"pid": n, "comm": "a"}) for n in range(2_300)]
    tick = NewTick(ts=START, node="n", source="tcp", first=0, events=len(rows))
    side.control.add(id_, rows, ticks=[tick])
    return id_


@pytest.mark.parametrize("query", [{"filter": "comm = a"}, {"sort": "-pid"}, {}])
def test_a_large_tick_is_there_as_a_whole(side: Web, query: dict[str, Any]) -> None:
    id_ = large_tick(side)
    assert sorted(seqs(ask(side, id_, "ticks/1", **query))) == list(range(1, 2_301))
    assert len(seqs(ask(side, id_, "ticks/1", **query, limit=7))) == 7


def test_half_a_tick_is_no_answer(side: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = large_tick(side)
    monkeypatch.setattr(Scan, "_after_block", lambda *_: True)  # time is up at once
    assert len(seqs(ask(side, id_, "ticks/1", filter="comm = a"))) == 2_300
    assert get(side, f"/api/sessions/{id_}/ticks/1?sort=-pid")[0] == 503


def test_jump_to_time_and_neighbours(each: Web) -> None:
    id_ = fill(each)
    assert ask(each, id_, "seq", time=format_ns(START + 7 * NS))["seq"] == 7
    assert ask(each, id_, "seq", time=format_ns(START + 7 * NS + 1))["seq"] == 8
    assert ask(each, id_, "seq", time=format_ns(START + 99 * NS))["seq"] is None
    around = ask(each, id_, "events/16/neighbours", filter="namespace = production", limit=2)
    assert seqs(around) == [12, 15, 16, 18, 21]
    assert get(each, f"/api/sessions/{id_}/events/31/neighbours")[0] == 404


def test_a_wrong_filter_is_told_with_its_place_and_what_may_stand_there(side: Web) -> None:
    id_ = fill(side)
    text = "namespace = demo and commm = curl"
    calls = ["events", "count", "histogram", "fields/pid/top", "fields/pid/stats", "export"]
    for call in calls:
        status, found = get(side, f"/api/sessions/{id_}/{call}?filter={quote(text)}")
        assert status == 400, call
        assert text[found["position"] : found["end"]] == "commm"
        assert "comm" in found["suggestions"]
        assert "commm" in found["problems"]["filter"]
    status, found = get(side, f"/api/sessions/{id_}/filter?text={quote(text)}")
    assert (status, found["position"]) == (400, 21)
    _, answer = get(side, f"/api/sessions/{id_}/filter?refused=true&text={quote(text)}")
    assert answer == {"filter": "", "parts": [], "error": found}
    _, answer = get(side, f"/api/sessions/{id_}/filter?refused=true&text=pid")
    assert list(answer) == ["filter", "parts"]


@pytest.mark.parametrize(
    ("call", "status", "named"),
    [
        ("events?sort=nothing", 400, "sort"),
        ("events?filter=comm%20%3D~%20%22(%22", 400, "filter"),
        ("events?sort=pid&cursor=!!", 400, "cursor"),
        ("events?filter=x&after=1&before=9", 400, "before"),
        ("events?filter=x&budget_ms=0", 400, "budget_ms"),
        ("events?filter=x&budget_ms=999999", 400, "budget_ms"),
        ("events?filter=x&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 400, "to"),
        ("histogram?split=nothing", 400, "split"),
        ("histogram?split=proc", 400, "split"),
        ("fields/nothing/top", 404, None),
        ("fields/nothing/stats", 404, None),
        ("fields/proc/top", 404, None),
        ("fields/pid/top?n=0", 400, "n"),
        ("seq", 400, "time"),
        ("filter", 400, "text"),
    ],
)
def test_what_is_wrong_is_named(side: Web, call: str, status: int, named: str | None) -> None:
    id_ = fill(side, 3)
    found, problem = get(side, f"/api/sessions/{id_}/{call}")
    assert found == status, problem
    assert named is None or named in problem["problems"]


HOSTILE = [
    "(" * 10_000,
    "not " * 2_000 + "x",
    "a=" * 3_000,
    '"' + "\\" * 4_999,
    "comm =~ '(a+)+$'",
    "comm =~ '" + "(a|b)*" * 500 + "'",
    "comm like '" + "*a" * 2_000 + "'",
    "pid in 1..99999999999999999999999999999999",
    "pid = 1e999",
    "dst.addr in ::/0",
    "\u202e\u0000",
    "' or 1=1; drop table events; --",
    "$.a[0] = 1",
    '"a"".""b" = 1',
    "%' or '1'='1",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:20] for text in HOSTILE])
def test_hostile_filters_are_answered_or_refused(each: Web, text: str) -> None:
    id_ = fill(each, 5)
    for call in ("events", "count", "histogram", "fields/comm/top"):
        status, found = get(each, f"/api/sessions/{id_}/{call}", query_string={"filter": text})
        assert status in (200, 400), found
    status, found = get(each, f"/api/sessions/{id_}/complete", query_string={"text": text})
    assert status in (200, 400), found
    assert ask(each, id_, "count")["count"] == 5


def test_values_that_json_or_utf8_cannot_say(each: Web) -> None:
    id_ = each.session()
    odd = [
        '{"proc":{"comm":"\\ud800","pid":1e400}}',
        '{"proc":{"comm":"é","pid":99999999999999999999999}}',
        '{"proc":{"comm":"\\u0000","pid":-0.0}}',
    ]
    each.control.add(id_, odd)
    assert len(ask(each, id_, "fields/comm/top")["values"]) == 3
    assert len(ask(each, id_, "fields/pid/top")["values"]) == 3
    assert ask(each, id_, "fields/pid/stats")["numbers"] == 3
    assert ask(each, id_, "histogram", split="comm")["values"]
    assert len(ask(each, id_, "events", sort="pid")["events"]) == 3


def test_completion_knows_names_operators_and_stored_values(each: Web) -> None:
    id_ = fill(each)
    found = ask(each, id_, "complete", text="na")
    assert found["items"][0]["insert"].strip() == "namespace"
    assert (found["start"], found["end"]) == (0, 2)
    found = ask(each, id_, "complete", text="comm ")
    assert "=" in {item["insert"].strip() for item in found["items"]}
    found = ask(each, id_, "complete", text="pod = web", cursor=9)
    inserts = [item["insert"] for item in found["items"]]
    assert {one.strip('"') for one in inserts} >= {"web-0", "web-1", "web-2", "web-3"}
    text = "pod = " + inserts[0]
    assert ask(each, id_, "count", filter=text)["count"] > 0
    assert "production" in str(ask(each, id_, "complete", text="namespace = "))


def test_a_filter_is_read_into_its_parts(side: Web) -> None:
    id_ = fill(side, 1)
    text = "namespace == demo  and (pid>5 or comm~x)"
    found = ask(side, id_, "filter", text=text)
    parts = [text[part["start"] : part["end"]] for part in found["parts"]]
    assert parts[0] == "namespace == demo"
    assert "pid>5 or comm~x" in parts[1]
    again = ask(side, id_, "filter", text=found["filter"])
    assert again["filter"] == found["filter"]
    assert ask(side, id_, "filter", text=" ") == {"filter": "", "parts": []}


def test_progress_comes_as_lines_before_the_answer(side: Web) -> None:
    id_ = fill(side)
    client = side.app.test_client()
    answer = client.get(f"/api/sessions/{id_}/count?filter=comm~curl&progress=true")
    assert answer.content_type == "application/x-ndjson"
    *news, last = map(json.loads, answer.data.splitlines())
    assert all(list(one) == ["scope"] for one in news)
    assert last["answer"]["count"] == 15
    assert client.get(f"/api/sessions/{id_}/count?filter=x%3D&progress=true").status_code == 400


def test_a_running_session_counts_what_is_stored(each: Web) -> None:
    id_ = fill(each)
    before = ask(each, id_, "events", sort="-pid", before=31, limit=5)
    each.control.add(id_, [json.dumps(row(n)) for n in range(31, 40)])
    assert ask(each, id_, "events", sort="-pid", before=31, limit=5)["events"] == before["events"]
    assert ask(each, id_, "count")["count"] == 39
    assert ask(each, id_, "count", filter="seq > 0", after=30)["count"] == 9
