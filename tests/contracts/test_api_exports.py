"""Exports: byte for byte what the gadget printed, rows in memory bounded, cells harmless."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import NewTick
from igdash.domain.ports import SessionBatch
from igdash.domain.sessions import SessionId, Target
from igdash.domain.times import NS, format_ns, now_ns
from igdash.sources.decode import decode_chunk
from tests.support.stores import Store
from tests.support.web import Web, get, web

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


def _export(side: Web, id_: str, query: str = "") -> bytes:
    answer = side.app.test_client().get(f"/api/sessions/{id_}/export?{query}")
    assert answer.status_code == 200, answer.data
    return answer.data


def _store(side: Web, id_: SessionId, data: bytes) -> None:
    """Store bytes as the collector would: chunk, decode, append."""
    chunk = Chunk(kind=ChunkKind.JSON_LINES, received=now_ns(), data=data)
    decoded = decode_chunk(chunk)
    batch = SessionBatch(
        session=id_, decoded=decoded, received=len(decoded.events), spool_offset=len(data)
    )
    with side.control._lock:
        side.control._writer.append([batch])


def _recordings() -> list[Path]:
    return sorted(RECORDINGS.rglob("events.jsonl"))


@pytest.mark.parametrize(
    "path", _recordings(), ids=lambda p: f"{p.parent.parent.name}-{p.parent.name}"
)
def test_plain_gives_back_a_recording_byte_for_byte(side: Web, path: Path) -> None:
    whole = path.read_bytes()
    data = whole[:400_000]
    data = data[: data.rfind(b"\n") + 1] or whole[: whole.find(b"\n") + 1]
    id_ = side.session()
    _store(side, id_, data)
    assert _export(side, id_, "plain=true") == data
    lines = [json.loads(line) for line in _export(side, id_).splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_there_are_recordings() -> None:
    assert len(_recordings()) >= 5


OBJECTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.one_of(
        st.integers(-(2**63), 2**64),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        st.booleans(),
        st.none(),
        st.lists(st.integers(), max_size=3),
    ),
    max_size=5,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(OBJECTS | st.lists(OBJECTS, max_size=3), min_size=1, max_size=8))
def test_plain_gives_back_whatever_was_delivered(side: Web, lines: list[object]) -> None:
    printed = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines]
    data = "".join(line + "\n" for line in printed).encode()
    id_ = side.session()
    _store(side, id_, data)
    assert _export(side, id_, "plain=true") == data


def test_ticks_are_arrays_again_the_empty_ones_too(side: Web) -> None:
    id_ = side.session("top_tcp")
    start = (now_ns() // NS - 100) * NS
    ticks = [
        NewTick(ts=start, node="", source="", first=0, events=0),
        NewTick(ts=start + NS, node="", source="", first=0, events=2),
        NewTick(ts=start + 2 * NS, node="", source="", first=2, events=0),
        NewTick(ts=start + 3 * NS, node="", source="", first=3, events=1),
        NewTick(ts=start + 4 * NS, node="", source="", first=4, events=0),
    ]
    data = ['{"a":1}', '{"a":2}', '{"loose":1}', '{"a":3}']
    side.control.add(id_, data, ticks=ticks, ts=[start + NS] * 4)
    assert _export(side, id_, "plain=true") == (
        b'[]\n[{"a":1},{"a":2}]\n[]\n{"loose":1}\n[{"a":3}]\n[]\n'
    )
    low, high = format_ns(start + NS), format_ns(start + 3 * NS)
    assert _export(side, id_, f"plain=true&from={low}&to={high}") == (
        b'[{"a":1},{"a":2}]\n[]\n{"loose":1}\n'
    )


def test_many_ticks_in_pages(side: Web) -> None:
    id_ = side.session("top_tcp")
    for part in range(3):
        ticks = [
            NewTick(ts=now_ns(), node="", source="", first=n // 2, events=n % 2)
            for n in range(1_000)
        ]
        side.control.add(id_, [f'{{"n":{part * 500 + n}}}' for n in range(500)], ticks=ticks)
    lines = _export(side, id_, "plain=true").splitlines()
    assert len(lines) == 3_000
    assert [json.loads(line) for line in lines if line != b"[]"] == [
        [{"n": n}] for n in range(1_500)
    ]


def test_a_csv_has_a_column_per_field_and_loses_nothing(side: Web) -> None:
    id_ = side.session()
    event = {
        "proc": {"comm": 'cu"rl,\n', "pid": 18446744073709551615, "creds": {"uid": -5}},
        "k8s": {"podName": "=cmd|' /C calc'!A0", "namespace": "production"},
        "dst": {"addr": "-1.2.3.4", "port": 443},
        "unheard_of": {"deep": [1, 2.50, "x"]},
    }
    side.control.add(id_, [json.dumps(event).replace("2.5,", "2.50,")])
    data = _export(side, id_, "format=csv")
    assert data.count(b"\r\n") == 2
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    row = rows[0]
    assert row["seq"] == "1"
    assert row["node"] == "worker-1"
    assert row["proc.comm"] == 'cu"rl,\n'
    assert row["proc.pid"] == "18446744073709551615"
    assert row["proc.creds.uid"] == "-5"
    assert row["k8s.podName"] == "'=cmd|' /C calc'!A0"
    assert row["dst.addr"] == "'-1.2.3.4"
    assert row["dst.port"] == "443"
    assert row["other"] == '{"unheard_of":{"deep":[1,2.50,"x"]}}'


def test_a_filter_leaves_the_matching_rows_of_arrays(side: Web) -> None:
    id_ = side.session("top_tcp")
    rows = [json.dumps({"pid": n}) for n in range(1, 8)]
    ticks = [
        NewTick(ts=now_ns(), node="n", source="tcp", first=first, events=events)
        for first, events in ((0, 3), (3, 0), (3, 2), (5, 2))
    ]
    side.control.add(id_, rows, ticks=ticks)
    plain = _export(side, id_, "plain=true&filter=pid%20in%20(2,3,7)")
    assert plain == b'[{"pid": 2},{"pid": 3}]\n[{"pid": 7}]\n'
    assert _export(side, id_, "plain=true&filter=pid%20=%2099") == b""
    table = list(csv.reader(io.StringIO(_export(side, id_, "format=csv&filter=pid=2").decode())))
    assert len(table) == 2
    assert "2" in table[1]


def test_parquet_has_typed_columns_and_leaves_nothing_out(side: Web) -> None:
    id_ = side.session()
    big = 2**64 - 1
    rows = [
        f'{{"proc":{{"pid":{n},"comm":"=x\\ud800"}},"timestamp_raw":{big},"new":[{big}]}}'
        for n in range(5)
    ]
    side.control.add(id_, [*rows, '{"proc":{"pid":"text"},"src":{"port":70000}}'])
    table = pyarrow.parquet.read_table(io.BytesIO(_export(side, id_, "format=parquet")))
    assert table["seq"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert table["proc_pid"].to_pylist() == [0, 1, 2, 3, 4, None]
    assert table["proc_comm"].to_pylist()[:2] == ["=x?", "=x?"]
    assert table["timestamp_raw"].to_pylist()[0] == big
    assert str(table.schema.field("ts").type) == "timestamp[ns, tz=UTC]"
    assert [json.loads(text) for text in table["other"].to_pylist()] == [
        *[{"new": [big]}] * 5,
        {"proc.pid": "text", "src.port": 70000},
    ]
    picked = _export(side, id_, "format=parquet&filter=pid%20%3E%202")
    assert pyarrow.parquet.read_table(io.BytesIO(picked))["seq"].to_pylist() == [4, 5]
    empty = pyarrow.parquet.read_table(io.BytesIO(_export(side, side.session(), "format=parquet")))
    assert empty.num_rows == 0


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("format=xml", "format"),
        ("format=csv&plain=true", "plain"),
        ("filter=x%3D", "filter"),
        ("plain=maybe", "plain"),
        ("from=x", "from"),
    ],
)
def test_what_cannot_be_exported_is_named(side: Web, query: str, name: str) -> None:
    status, found = get(side, f"/api/sessions/{side.session()}/export?{query}")
    assert status == 400
    assert name in found["problems"]


def test_the_file_has_a_harmless_name(side: Web) -> None:
    id_ = side.session(target=Target(namespace='a"b/../c\r\nX: y'))
    answer = side.app.test_client().get(f"/api/sessions/{id_}/export?plain=1")
    name = f"trace_tcp-a-b-..-c-X-y-{id_}.plain.jsonl"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.content_type == "application/x-ndjson"


@pytest.mark.parametrize("query", ["", "plain=true", "format=csv"])
def test_memory_does_not_grow_with_the_session(side: Web, query: str) -> None:
    id_ = side.session()
    for _ in range(8):
        side.control.add(id_, ['{"pad":"' + "x" * 1_000 + '"}'] * 2_000)
    client = side.app.test_client()
    answer = client.get(f"/api/sessions/{id_}/export?{query}", buffered=False)
    tracemalloc.start()
    try:
        size = sum(len(part) for part in answer.response)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        answer.close()
    assert size > 16_000_000
    assert peak < 12_000_000
