"""REST calls that read the history: exact texts, pages, ticks, records, merged listings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from igdash.domain.events import LogLevel, LogLine, Malformed, NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.times import NS, format_ns, now_ns
from tests.support.stores import Store
from tests.support.web import Web, get, web

ODD = '{"z":1,"a":18446744073709551615,"f":1.50,"e":1e400,"u":"\\u00e9é","z2":{"b":[1, 2]},"z":2}'


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


@pytest.fixture
def each(store: Store) -> Iterator[Web]:
    """Runs the test over SQLite and over PostgreSQL."""
    with web(store.url) as made:
        yield made


def test_data_is_the_text_the_gadget_delivered(each: Web) -> None:
    id_ = each.session()
    each.control.add(id_, [ODD])
    client = each.app.test_client()
    for path in (f"/api/sessions/{id_}/events", f"/api/sessions/{id_}/events/1"):
        assert b'"data":' + ODD.encode() + b"}" in client.get(path).data
    assert ODD.encode() in client.get(f"/api/events?session={id_}").data
    exported = client.get(f"/api/sessions/{id_}/export").data
    assert exported == client.get(f"/api/sessions/{id_}/events/1").data + b"\n"


def test_pages_go_both_ways_without_holes(each: Web) -> None:
    id_ = each.session()
    each.control.add(id_, [f'{{"n":{n}}}' for n in range(1, 26)])
    seen, after = [], 0
    while after is not None:
        page = get(each, f"/api/sessions/{id_}/events?after={after}&limit=10")[1]
        assert (page["first_seq"], page["last_seq"]) == (1, 25)
        seen += [event["seq"] for event in page["events"]]
        after = page["next"]
    assert seen == list(range(1, 26))
    newest = get(each, f"/api/sessions/{id_}/events?before=26&limit=10")[1]
    assert [event["seq"] for event in newest["events"]] == list(range(16, 26))
    assert newest["next"] == 16
    assert get(each, f"/api/sessions/{id_}/events?after=25")[1]["events"] == []


def test_a_time_window_limits_events(each: Web) -> None:
    id_ = each.session()
    start = (now_ns() // NS - 100) * NS
    each.control.add(id_, ["{}"] * 10, ts=[start + n * NS for n in range(10)])
    low, high = format_ns(start + 3 * NS), format_ns(start + 6 * NS)
    page = get(each, f"/api/sessions/{id_}/events?from={low}&to={high}")[1]
    assert [event["seq"] for event in page["events"]] == [4, 5, 6]
    assert page["events"][0]["ts"] == low
    lines = each.app.test_client().get(f"/api/sessions/{id_}/export?from={low}&to={high}").data
    assert [json.loads(line)["seq"] for line in lines.splitlines()] == [4, 5, 6]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("filter=pid%3D", "filter"),
        ("sort=-nothing", "sort"),
        ("cursor=x", "cursor"),
        ("after=-1", "after"),
        ("after=99999999999999999999", "after"),
        ("after=1&before=2", "before"),
        ("limit=1001", "limit"),
        ("from=yesterday", "from"),
        ("from=2500-01-01T00:00:00Z", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("split=pod", "split"),
    ],
)
def test_what_is_wrong_is_named(side: Web, query: str, name: str) -> None:
    id_ = side.session()
    status, found = get(side, f"/api/sessions/{id_}/events?{query}")
    assert status == 400
    assert name in found["problems"]


@pytest.mark.parametrize(
    "path", ["counts", "fields/nothing/top", "events/0", "events/2", "events/x"]
)
def test_what_is_not_there_is_404(side: Web, path: str) -> None:
    id_ = side.session()
    side.control.add(id_, ["{}"])
    assert get(side, f"/api/sessions/{id_}/{path}")[0] == 404


@pytest.mark.parametrize("seq", ["9223372036854775808", "1" * 40, "-1", "1.0", "٣"])
def test_an_impossible_seq_is_404(side: Web, seq: str) -> None:
    id_ = side.session()
    assert get(side, f"/api/sessions/{id_}/events/{seq}")[0] == 404
    assert get(side, f"/api/sessions/{id_}/ticks/{seq}")[0] == 404


def test_the_histogram_adds_up(each: Web) -> None:
    id_ = each.session()
    now = now_ns()
    loss = Loss(node="n", start=now, end=now + 1, count=9, cause=LossCause.KERNEL)
    each.control.add(id_, ["{}"] * 30, losses=[loss])
    bars = get(each, f"/api/sessions/{id_}/histogram?buckets=7")[1]["buckets"]
    assert len(bars) == 7
    assert sum(bar["events"] for bar in bars) == 30
    assert sum(bar["lost"] for bar in bars) == 9
    assert all(one["to"] == two["from"] for one, two in pairwise(bars))
    assert get(each, f"/api/sessions/{id_}/histogram?buckets=0")[0] == 400


def test_losses_logs_and_malformed_lines(each: Web) -> None:
    id_ = each.session()
    now = now_ns()
    each.control.add(
        id_,
        ["{}"],
        losses=[
            Loss(node="w1", start=now, end=now + 5, count=3, cause=LossCause.KERNEL, detail="x"),
            Loss(node="", start=now, end=now, count=0, cause=LossCause.STREAM, exact=False),
        ],
        logs=(LogLine(ts=now, level=LogLevel.WARNING, node="w1", text="odd \x1b[31m"),),
        malformed=(Malformed(ts=now, node="w1", raw=b"{\xff", size=2, reason="not JSON"),),
    )
    losses = get(each, f"/api/sessions/{id_}/losses")[1]
    assert losses["total"] == 3
    kernel = next(one for one in losses["losses"] if one["cause"] == "kernel")
    assert kernel == {
        "node": "w1",
        "from": format_ns(now),
        "to": format_ns(now + 5),
        "count": 3,
        "cause": "kernel",
        "detail": "x",
        "exact": True,
    }
    assert any(one["exact"] is False for one in losses["losses"])
    logs = get(each, f"/api/sessions/{id_}/logs")[1]
    assert logs["total"] == 1
    assert logs["logs"][0]["text"] == "odd \x1b[31m"
    assert get(each, f"/api/sessions/{id_}/logs?after=1")[1]["logs"] == []
    kept = get(each, f"/api/sessions/{id_}/malformed")[1]
    assert kept["total"] == 1
    assert kept["malformed"][0]["raw"] == "{\\xff"


def test_ticks_and_their_rows(each: Web) -> None:
    id_ = each.session("top_tcp")
    ticks = [
        NewTick(ts=now_ns(), node="", source="tcp", first=0, events=2),
        NewTick(ts=now_ns(), node="", source="tcp", first=2, events=0),
        NewTick(ts=now_ns(), node="", source="tcp", first=2, events=3),
    ]
    each.control.add(id_, [f'{{"n":{n}}}' for n in range(5)], ticks=ticks)
    found = get(each, f"/api/sessions/{id_}/ticks?limit=2")[1]
    assert found["total"] == 3
    assert [(t["tick"], t["first_seq"], t["events"]) for t in found["ticks"]] == [
        (3, 3, 3),
        (2, 3, 0),
    ]
    assert get(each, f"/api/sessions/{id_}/ticks?before=2")[1]["ticks"][0]["tick"] == 1
    third = get(each, f"/api/sessions/{id_}/ticks/3")[1]
    assert [event["data"]["n"] for event in third["events"]] == [2, 3, 4]
    empty = get(each, f"/api/sessions/{id_}/ticks/2")[1]
    assert empty["tick"]["events"] == 0
    assert empty["events"] == []
    assert get(each, f"/api/sessions/{id_}/ticks/4")[0] == 404


def test_fields_are_those_stored_with_the_session(side: Web) -> None:
    id_ = side.session()
    sources = get(side, f"/api/sessions/{id_}/fields")[1]["sources"]
    names = [field["name"] for field in sources[0]["fields"]]
    assert "proc.comm" in names
    assert set(sources[0]["fields"][0]) == {
        "name",
        "kind",
        "description",
        "hidden",
        "width",
        "min_width",
        "max_width",
        "align_right",
        "ellipsis",
        "alias",
        "template",
        "one_of",
    }


def test_several_sessions_merge_in_time_order(each: Web) -> None:
    ids = sorted(each.session() for _ in range(3))
    start = now_ns() - 1_000 * NS
    for i, id_ in enumerate(ids):
        times = [start + (n * 3 + i) * 10_000_000 for n in range(40)]
        times[5], times[20] = times[20], times[5]  # a session's own times may run backwards
        each.control.add(id_, ["{}"] * 40, ts=times)
    query = "&".join(f"session={id_[:9]}" for id_ in ids)
    seen, cursor = [], ""
    while cursor is not None:
        page = get(each, f"/api/events?{query}&limit=7&cursor={cursor}")[1]
        seen += [(event["ts"], event["session"], event["seq"]) for event in page["events"]]
        cursor = page["next"]
    assert len(set(seen)) == 120
    assert seen == sorted(seen)
    assert get(each, "/api/events")[0] == 400
    assert get(each, "/api/events?session=ffff")[0] == 404
    assert get(each, f"/api/events?{query}&cursor=rubbish")[0] == 400
