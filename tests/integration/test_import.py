"""Imports through a real collector into a real store: what goes in comes out again, to the byte."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk
from igdash.domain.errors import InvalidSpec
from igdash.domain.imports import ImportRequest, ImportState
from igdash.domain.ports import Control
from igdash.domain.sessions import SessionState
from igdash.domain.times import format_ns
from igdash.services import imports
from igdash.services.spool import Spool, SpoolFull
from igdash.services.uploads import Uploads
from tests.support.collecting import wait_until
from tests.support.importing import ImportRig, desktop_file

RECORDINGS = Path(__file__).resolve().parents[2] / "examples" / "recordings"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportRig]:
    rig = ImportRig(tmp_path_factory.mktemp("imports"))
    yield rig
    rig.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ImportRig]:
    rig = ImportRig(tmp_path / "rig")
    yield rig
    rig.close()


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("folder", sorted(p.name for p in RECORDINGS.iterdir() if p.is_dir()))
def test_every_recording_survives_both_ways(shared: ImportRig, folder: str) -> None:
    original = (RECORDINGS / folder / "events.jsonl").read_bytes()
    session = shared.import_one(RECORDINGS / folder / "events.jsonl")
    assert session.spec.gadget == folder.partition(".")[0]
    assert session.spec.environment == "import"
    assert session.state is SessionState.STOPPED
    assert session.malformed == 0
    assert session.lost == 0
    assert shared.export(session.id, plain=True) == original
    exported = shared.export(session.id)
    again = shared.import_one(exported)
    assert shared.export(again.id) == exported
    assert again.spec.gadget == session.spec.gadget
    packed = shared.import_one(gzip.compress(exported))
    assert shared.export(packed.id) == exported


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_space = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def _object(draw: st.DrawFn) -> str:
    value = draw(st.dictionaries(st.text(max_size=8), _json, max_size=4))
    if draw(st.booleans()):
        value["k8s"] = {"namespace": draw(st.sampled_from(["a", "b"])), "node": "n1"}
    if draw(st.booleans()):
        value["timestamp_raw"] = draw(st.integers(0, 2**63))
    ascii_only = draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    return text if _utf8(text) else json.dumps(value, separators=separators)


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_line = st.one_of(
    _object(),
    st.builds(lambda a, o, b: a + o + b, _space, _object(), _space),
    st.lists(_object(), max_size=4).map(lambda rows: "[" + ",".join(rows) + "]"),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(lines=st.lists(_line, min_size=1, max_size=12))
def test_whatever_a_gadget_prints_comes_back(shared: ImportRig, lines: list[str]) -> None:
    original = "".join(line + "\n" for line in lines).encode()
    session = shared.import_one(original)
    assert session.malformed == 0
    plain = shared.export(session.id, plain=True)
    assert plain == original
    exported = shared.export(session.id)
    if not exported:
        return
    again = shared.import_one(exported)
    assert again.malformed == 0
    assert shared.export(again.id) == exported


def test_events_keep_node_source_and_times_without_their_own(rig: ImportRig) -> None:
    lines = [
        {
            "seq": 1,
            "ts": "1969-12-31T23:59:59.999999999Z",
            "node": 'n"1',
            "source": "x",
            "data": {},
        },
        {
            "seq": 2,
            "ts": "2026-01-02T03:04:05.000000006Z",
            "node": "",
            "source": "",
            "data": {"a": 1},
        },
    ]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
    session = rig.import_one(text, gadget="trace_open")
    assert rig.export(session.id) == text


def test_an_export_that_begins_with_a_very_long_event_is_one_too(rig: ImportRig) -> None:
    data = b'{"a":"%s"}\n{"a":1}\n' % (b"x" * 300_000)
    exported = rig.export(rig.import_one(data, gadget="unknown").id)
    assert rig.export(rig.import_one(exported, gadget="unknown").id) == exported


def test_a_part_of_an_export_is_numbered_anew(rig: ImportRig) -> None:
    session = rig.import_one(RECORDINGS / "trace_exec" / "events.jsonl")
    part = b"".join(rig.export(session.id).splitlines(keepends=True)[10:20])
    again = rig.import_one(part)
    found = [json.loads(line) for line in rig.export(again.id).splitlines()]
    assert [one["seq"] for one in found] == list(range(1, 11))
    assert [one["data"] for one in found] == [json.loads(x)["data"] for x in part.splitlines()]


# ---------------------------------------------------------------- what a session says of itself


def test_an_imported_session_tells_where_it_comes_from(rig: ImportRig) -> None:
    path = RECORDINGS / "trace_tcp" / "events.jsonl"
    session = rig.import_one(path, name="from the shop")
    first = json.loads(path.read_bytes().split(b"\n", 1)[0])["timestamp_raw"]
    assert session.spec.name == "from the shop"
    assert session.started == first
    assert session.stopped == session.last_event
    assert session.info["imported from"] == "events.jsonl"
    assert session.info["format"] == "capture"
    assert session.info["lines"] == "774"
    assert len(session.info["sha256"]) == 64
    assert session.info["gadget told by"] == "its fields"
    assert rig.reader.sessions.schema(session.id)
    assert session.reason == "imported"


def test_a_gadget_nobody_knows_gets_the_fields_it_shows(rig: ImportRig) -> None:
    session = rig.import_one(b'{"alpha":{"beta":1},"name":"x"}\n{"alpha":{"beta":2.5}}\n')
    assert session.spec.gadget == "unknown"
    fields = {f.name: f.kind for s in rig.reader.sessions.schema(session.id) for f in s.fields}
    assert fields == {"alpha.beta": "Float64", "name": "String"}


def test_a_given_gadget_counts_more_than_a_guess(rig: ImportRig) -> None:
    session = rig.import_one(RECORDINGS / "trace_tcp" / "events.jsonl", gadget="trace_dns")
    assert session.spec.gadget == "trace_dns"
    with pytest.raises(InvalidSpec, match="did you mean trace_tcp"):
        rig.begin(b"{}\n", gadget="trace_tpc")


# ---------------------------------------------------------------- broken, hostile, not ours


def test_broken_lines_are_kept_with_their_numbers(rig: ImportRig) -> None:
    data = b'{"a":1}\n\nnot json\n{"a":2}\n\xff\xfe\n[1]\n{"a":3'
    session = rig.import_one(data)
    kept = rig.reader.records.malformed(session.id)
    assert session.events == 2
    assert [one.reason.split(":")[0] for one in kept] == ["line 3", "line 5", "line 6", "line 7"]
    assert [one.raw for one in kept] == [b"not json", b"\xff\xfe", b"[1]", b'{"a":3']


def test_broken_lines_of_an_export_are_kept_with_their_numbers(rig: ImportRig) -> None:
    good = (
        b'{"seq":1,"ts":"2026-01-02T03:04:05.000000006Z","node":"n","source":"","data":{"a":1}}\n'
    )
    bad = [
        b'{"seq":"x","ts":"2026-01-02T03:04:05Z","node":"n","source":"","data":{}}',
        b'{"seq":1,"ts":"yesterday","node":"n","source":"","data":{}}',
        b'{"seq":1,"ts":"2026-01-02T03:04:05Z","node":"n","source":"","data":[1]}',
        b'{"a":1}',
        b"\xff",
    ]
    session = rig.import_one(good + b"\n".join(bad) + b"\n" + good)
    kept = rig.reader.records.malformed(session.id)
    assert session.events == 2
    assert [one.raw for one in kept] == bad
    assert [one.reason.split(":")[0] for one in kept] == [f"line {n}" for n in range(2, 7)]


def test_a_line_without_end_is_kept_as_malformed_and_counted(rig: ImportRig) -> None:
    data = b'{"a":1}\n{"a":"' + b"x" * (18 * 1024 * 1024) + b'"}\n{"a":2}\n'
    session = rig.import_one(data)
    (kept,) = rig.reader.records.malformed(session.id)
    assert session.events == 2
    assert kept.reason == "line 2: longer than 16 MiB"
    assert kept.size == 18 * 1024 * 1024 + 8
    assert len(kept.raw) == 65_536
    assert session.info["lines"] == "3"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"seq,ts,node,source,comm\r\n1,2026,n,s,sh\r\n", "CSV"),
        (b"PK\x03\x04abc", "zip"),
        (b"\x28\xb5\x2f\xfdabc", "zstd"),
        (b"PAR1abcPAR1", "Parquet"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (gzip.compress(b"PK\x03\x04", mtime=0), "zip"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"hello\n", "is not JSON lines"),
        (b'{\n  "a": 1\n}\n', "has no line that can be read"),
        (b"\x1f\x8bnot gzip at all", "gzip"),
        (b"SQLite format 3\0" + b"x" * 4096, "SQLite"),
        (b"\0" * 5000, "is not JSON lines"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_a_reason(
    rig: ImportRig, data: bytes, why: str
) -> None:
    with pytest.raises(InvalidSpec) as caught:
        rig.begin(data)
    assert why in caught.value.problems["file"]
    assert rig.collector.imports() == ()


def test_a_file_that_is_not_there_is_refused(rig: ImportRig) -> None:
    with pytest.raises(InvalidSpec, match="cannot be read: No such file"):
        rig.begin(rig.folder / "none")


def test_a_gzip_stream_cut_short_keeps_what_was_read(rig: ImportRig) -> None:
    whole = gzip.compress((RECORDINGS / "trace_tcp" / "events.jsonl").read_bytes())
    begun = rig.begin(whole[: len(whole) // 2])
    status = rig.done(begun.id)
    session = rig.session(begun.sessions[0])
    assert status.state is ImportState.FAILED
    assert "cut short" in status.reason
    assert session.state is SessionState.FAILED
    assert session.reason == f"the file {status.reason}"
    assert session.events > 0
    assert session.malformed == 1
    assert session.stopped == session.last_event


def test_a_disk_that_fills_up_meanwhile_costs_no_line(
    rig: ImportRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is still there: what cannot be spooled now is spooled when there is room."""
    append, tries = Spool.append, 0

    def full_at_times(spool: Spool, chunk: Chunk) -> None:
        nonlocal tries
        tries += 1
        if tries in (2, 4):
            raise SpoolFull("No space left on device", disk=True)
        append(spool, chunk)

    monkeypatch.setattr(Spool, "append", full_at_times)
    lines = (RECORDINGS / "trace_tcp" / "events.jsonl").read_bytes()
    count = -(-2_000_000 // len(lines))
    begun = rig.begin(lines * count)
    session = rig.session(rig.done(begun.id).sessions[0])
    assert tries > 4
    assert (session.lost, session.events) == (0, lines.count(b"\n") * count)


def test_a_small_bound_of_the_spool_costs_no_line(rig: ImportRig) -> None:
    """It is for gadgets, which do not wait; but what never fits is counted as theirs would be."""
    rig.collector._limits = replace(rig.collector._limits, max_spool_bytes=1_000_000)
    lines = b'{"n":1234567890}\n' * 100_000
    huge = b'{"n":"%s"}\n' % (b"x" * 1_000_000)
    begun = rig.begin(lines + huge + lines)
    session = rig.session(rig.done(begun.id).sessions[0])
    assert session.received == session.events + session.lost == 200_001
    assert session.lost < 50_000


def test_a_temporary_file_is_removed_whatever_happens(rig: ImportRig) -> None:
    for data in (b'{"a":1}\n', b"hello"):
        path = rig.file(data, "upload")
        request = ImportRequest(path=str(path), file="up.jsonl", temporary=True)
        with contextlib.suppress(InvalidSpec):
            rig.done(rig.collector.import_file(request).id)
        assert not path.exists()


def test_an_import_without_a_thread_is_over_and_takes_no_place(
    rig: ImportRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(imports, "spawn", refuse)
        for _ in range(imports.MOST):
            path = rig.file(b'{"a":1}\n', "upload")
            request = ImportRequest(path=str(path), file="up.jsonl", temporary=True)
            status = rig.done(rig.collector.import_file(request).id)
            assert (status.state, path.exists()) == ("failed", False)
            assert "can't start new thread" in status.reason
            assert rig.session(status.sessions[0]).state == "failed"
    assert rig.import_one(b'{"a":1}\n').last_seq == 1


# ---------------------------------------------------------------- stopped, deleted, gone


def _endless(folder: Path, megabytes: int = 40) -> Path:
    path = folder / "big.jsonl"
    line = b'{"comm":"sh","n":%d,"timestamp_raw":1700000000000000000}\n'
    with path.open("wb") as file:
        for start in range(0, megabytes * 16_000, 16_000):
            file.write(b"".join([line % n for n in range(start, start + 16_000)]))
    return path


def test_stopping_the_session_stops_the_import(rig: ImportRig) -> None:
    begun = rig.begin(_endless(rig.folder))
    session = begun.sessions[0]
    wait_until(lambda: rig.session(session).events > 0)
    rig.collector.stop_session(session)
    status = rig.done(begun.id)
    assert status.state is ImportState.STOPPED
    stored = rig.session(session)
    assert stored.state is SessionState.STOPPED
    assert 0 < stored.events < 640_000
    assert stored.lost == 0


def test_deleting_the_session_ends_the_import(rig: ImportRig) -> None:
    begun = rig.begin(_endless(rig.folder))
    rig.collector.delete_session(begun.sessions[0])
    wait_until(lambda: rig.status(begun.id).finished)
    assert rig.status(begun.id).state is ImportState.STOPPED


def test_an_import_that_a_restart_broke_is_interrupted_and_can_be_deleted(rig: ImportRig) -> None:
    begun = rig.begin(_endless(rig.folder))
    session = begun.sessions[0]
    left = rig.folder / "state" / "imports" / "left"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    wait_until(lambda: rig.session(session).events > 0)
    rig.collector.stop(5)
    rig.collector = rig.make()
    rig.collector.start()
    wait_until(lambda: rig.session(session).state.ended)
    stored = rig.session(session)
    assert stored.state is SessionState.INTERRUPTED
    assert "went down during the import" in stored.reason
    assert 0 < stored.events < 640_000
    assert rig.reader.records.losses(session) == ((), 0)
    assert not left.exists()
    rig.collector.delete_session(session)


def test_several_files_at_once_each_get_their_own_session(rig: ImportRig) -> None:
    names = ["trace_tcp", "trace_dns", "trace_exec", "top_tcp"]
    found: dict[str, str] = {}

    def work(name: str) -> None:
        found[name] = rig.begin(RECORDINGS / name / "events.jsonl").id

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        session = rig.session(rig.done(found[name]).sessions[0])
        assert session.spec.gadget == name


# ---------------------------------------------------------------- Inspektor Gadget Desktop


def test_a_desktop_session_becomes_a_session_per_run(rig: ImportRig) -> None:
    ms = 1_765_394_725_000
    info = {
        "imageName": "my_gadget",
        "dataSources": [
            {
                "name": "things",
                "type": 1,
                "fields": [
                    {"name": "count", "fullName": "inner.count", "kind": "Uint32", "flags": 4},
                    {"name": "x", "fullName": "x", "kind": 12},
                ],
            }
        ],
    }
    path = desktop_file(
        rig.folder / "s.db",
        [
            {"id": "r1", "image": "ghcr.io/inspektor-gadget/gadget/trace_open:v0.46.0",
             "params": {"operator.KubeManager.namespace": "demo", "operator.oci.ebpf.pid": "7"},
             "started": ms, "stopped": ms + 5000},
            {"id": "r2", "image": "my_gadget", "info": info, "started": ms},
            {"id": "r3", "image": "top_file", "started": ms + 1},
        ],
        [
            ("r1", ms + 1, 3, "open", {"proc.comm": "cat", "proc.pid": 3, "fname": "/a.b", "k8s.namespace": "demo", "timestamp_raw": 1765394725123456789}),
            ("r2", ms + 2, 3, "things", b'{"inner.count": 18446744073709551615, "odd.key": 1.50, "x": "y"}'),
            ("r1", ms + 2, 4, "", {"msg": 'lost "3"', "severity": "warning", "timestamp": "2025-12-10 19:25:25"}),
            ("r1", ms + 3, 3, "open", {"proc.comm": "dog"}),
            ("r1", ms + 4, 3, "open", b"broken"),
            ("r1", ms + 4, 9, "open", {}),
            ("r3", ms + 5, 6, "file", [{"proc.comm": "a"}, {"proc.comm": "b"}]),
            ("r3", ms + 6, 6, "file", []),
        ],
    )  # fmt: skip
    before = path.read_bytes()
    one, two, three = rig.import_all(path)
    assert [s.spec.gadget for s in (one, two, three)] == ["trace_open", "my_gadget", "top_file"]
    assert one.spec.name == "my recording"
    assert one.spec.target.namespace == "demo"
    assert dict(one.spec.params) == {"pid": "7"}
    assert (one.started, one.stopped) == (ms * 10**6, (ms + 5000) * 10**6)
    events = [json.loads(line) for line in rig.export(one.id).splitlines()]
    assert events[0]["data"]["proc"] == {"comm": "cat", "pid": 3}
    assert events[0]["ts"] == format_ns(1765394725123456789)
    assert events[1]["ts"] == format_ns((ms + 3) * 10**6)
    assert {e["source"] for e in events} == {"open"}
    assert rig.reader.records.logs(one.id)[0].text == 'lost "3"'
    assert [m.reason.split(":")[0] for m in rig.reader.records.malformed(one.id)] == [
        "row 5",
        "row 6",
    ]
    (event,) = rig.export(two.id).splitlines()
    assert b'{"inner":{"count":18446744073709551615},"odd.key":1.50,"x":"y"}' in event
    assert two.stopped == two.last_event
    assert rig.reader.sessions.schema(two.id)[0].fields[0].hidden
    assert (three.events, three.ticks) == (2, 2)
    assert rig.export(three.id, plain=True).splitlines()[1] == b"[]"
    assert path.read_bytes() == before
    assert not list(rig.folder.glob("s.db-*"))
    assert one.info["sha256"] == two.info["sha256"]


_HOSTILE = {
    "views": "CREATE TABLE session(name); CREATE TABLE gadget_runs(id,gadget_image,params,gadget_info,"
    "started_at,stopped_at); CREATE VIEW events AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT"
    " x+1 FROM c) SELECT x AS id FROM c;",
    "bomb": "CREATE TABLE session(name); CREATE TABLE gadget_runs(id,gadget_image,params,gadget_info"
    " GENERATED ALWAYS AS (hex(zeroblob(300000))),started_at,stopped_at); CREATE TABLE"
    " events(id INTEGER PRIMARY KEY,run_id,timestamp,type,datasource_id,data);"
    " INSERT INTO gadget_runs(id) VALUES('a');",
    "norun": "CREATE TABLE session(name); CREATE TABLE gadget_runs(id,gadget_image,params,gadget_info,"
    "started_at,stopped_at); CREATE TABLE events(id,run_id,timestamp,type,datasource_id,data);",
    "virtual": "CREATE TABLE session(name); CREATE TABLE gadget_runs(id,gadget_image,params,"
    "gadget_info,started_at,stopped_at); CREATE VIRTUAL TABLE events USING fts5(a);",
    "other": "CREATE TABLE people(name);",
    "columns": "CREATE TABLE session(a); CREATE TABLE gadget_runs(a); CREATE TABLE events(a);",
}


@pytest.mark.parametrize("kind", sorted(_HOSTILE))
def test_a_hostile_database_is_refused_at_once(rig: ImportRig, kind: str) -> None:
    path = rig.folder / "bad.db"
    conn = sqlite3.connect(path)
    conn.executescript(_HOSTILE[kind])
    conn.close()
    with pytest.raises(InvalidSpec) as caught:
        rig.begin(path)
    assert caught.value.problems["file"]


def test_rows_of_any_type_are_kept_or_malformed(rig: ImportRig) -> None:
    path = desktop_file(rig.folder / "s.db", [{"id": "r", "started": 0}], [])
    conn = sqlite3.connect(path)
    rows = [
        (None, None, None, None), (2**62, "x", b"\xff", b"\xff"), (-5, 3, 7, 9.5),
        ("t", 3, "open", '{"a.b":1,"a":2}'), (1, 6, "open", b"[1]"), (1, 4, "", b"[]"),
        (1, 3, "open", b'{"a":{"b":[1,\n2]}}'),
    ]  # fmt: skip
    for row in rows:
        conn.execute(
            "INSERT INTO events (run_id,timestamp,type,datasource_id,data) VALUES ('r',?,?,?,?)",
            row,
        )
    conn.commit()
    conn.close()
    session = rig.import_one(path)
    assert session.events == 2
    assert session.malformed == 5


def test_a_damaged_database_ends_the_import_not_igdash(rig: ImportRig) -> None:
    events = [("r", 1, 3, "open", {"fname": "x" * 500, "n": n}) for n in range(2_000)]
    path = desktop_file(rig.folder / "s.db", [{"id": "r"}], events)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40_000] = b"\x55" * 40_000
    path.write_bytes(data)
    try:
        begun = rig.begin(path)
    except InvalidSpec:
        return
    assert rig.done(begun.id).state in (ImportState.FAILED, ImportState.DONE)


def test_an_upload_under_way_outlives_a_restart_of_the_collector(rig: ImportRig) -> None:
    folder = rig.folder / "state" / "imports"
    uploads = Uploads(control=cast("Control", Restarted(rig)), folder=folder)

    def blocks() -> Iterator[bytes]:
        yield b'{"a":1}\n'
        rig.collector.stop(5)
        rig.collector = rig.make()
        rig.collector.start()
        yield b'{"a":2}\n'

    status = uploads.take(blocks(), ImportRequest(path="", file="x", gadget="unknown"))
    assert rig.session(rig.done(status.id).sessions[0]).events == 2


class Restarted:
    """Calls the collector that there is now."""

    def __init__(self, rig: ImportRig) -> None:
        self.rig = rig

    def imports(self) -> object:
        return self.rig.collector.imports()

    def import_file(self, request: ImportRequest) -> object:
        return self.rig.collector.import_file(request)
