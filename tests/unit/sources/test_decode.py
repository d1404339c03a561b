"""What a gadget printed is what can be given back, and no line is ever lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind, Place
from igdash.domain.events import MAX_RAW, TOKEN_K8S, Decoded, Origin, restore
from igdash.domain.losses import Loss, LossCause
from igdash.sources.decode import MAX_DEPTH, decode_chunk
from igdash.sources.imported import IMPORTED, packed

settings.register_profile(
    "decode", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
PROFILE = settings.get_profile("decode")
NOW = 1_795_389_204_805_647_519
RECORDINGS = sorted(Path(__file__).parents[3].glob("examples/recordings/*/events.jsonl"))


def decode(data: bytes | str, **more: object) -> Decoded:
    raw = data.encode() if isinstance(data, str) else data
    fields = {"kind": ChunkKind.JSON_LINES, "received": NOW, "data": raw} | more
    return decode_chunk(Chunk(**fields))  # type: ignore[arg-type]


def printed(decoded: Decoded) -> str:
    """Return the lines as the gadget printed them."""
    rows = [restore(e.data, e.origin.k8s, e.origin.runtime) for e in decoded.events]
    if not decoded.ticks:
        return "".join(row + "\n" for row in rows)
    return "".join(
        "[" + ",".join(rows[t.first : t.first + t.events]) + "]\n" for t in decoded.ticks
    )


# ------------------------------------------------------------------ arbitrary JSON, as text

SPACE = st.sampled_from(["", "", "", " ", "\t", "  ", " \r "])
STRINGS = st.one_of(
    st.text(max_size=12).map(json.dumps),
    st.text(max_size=12).map(lambda s: json.dumps(s, ensure_ascii=False)),
    st.sampled_from(
        [
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '"\\u006b8s"',
            '"\\/"',
            '"@k8s"',
            '"@runtime"',
            '"{"',
            '"}"',
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1e400", "1.0E+2", "-0", "0e0", "1E-999", "18446744073709551615"]),
)
LEAVES = st.one_of(STRINGS, NUMBERS, st.sampled_from(["true", "false", "null"]))
KEYS = st.one_of(
    st.sampled_from(
        ['"k8s"', '"runtime"', '"k8\\u0073"', '"namespace"', '"timestamp_raw"', '"@k8s"']
    ),
    STRINGS,
)


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(SPACE, KEYS, SPACE, SPACE, values, SPACE), max_size=5))
    body = ",".join(f"{a}{key}{b}:{c}{value}{d}" for a, key, b, c, value, d in pairs)
    return "{" + body + (draw(SPACE) if not pairs else "") + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(st.tuples(SPACE, values, SPACE), max_size=4))
    return "[" + ",".join(a + value + b for a, value, b in items) + "]"


VALUES = st.recursive(LEAVES, lambda inner: st.one_of(objects(inner), arrays(inner)), max_leaves=12)
OBJECTS = objects(VALUES)


@settings(PROFILE)
@given(OBJECTS)
@example('{"k8s":{"a":1},"k8s":{"a":1}}')
@example('{"src":{"k8s":{"a":1}},"k8s": {"a":1}}')
@example('{"k8s":{"runtime":{}},"runtime":{}}')
@example('{"k8s":{"x":"@k8s"},"y":"k8s"}')
@example('{"k8s":{},"z":' + TOKEN_K8S.replace('"k8s":', "") + "}")
def test_any_object_comes_back_to_the_byte(text: str) -> None:
    decoded = decode(text + "\n")
    assert not decoded.malformed
    assert printed(decoded) == text + "\n"
    assert decoded.events[0].size == len(text.encode())


@settings(PROFILE)
@given(st.lists(st.tuples(SPACE, OBJECTS, SPACE), min_size=0, max_size=5))
def test_any_array_of_objects_comes_back_to_the_byte(items: list[tuple[str, str, str]]) -> None:
    text = "[" + ",".join(a + row + b for a, row, b in items) + "]"
    decoded = decode(text + "\n")
    assert not decoded.malformed
    assert printed(decoded) == text + "\n"
    assert [t.events for t in decoded.ticks] == [len(items)]


@settings(PROFILE)
@given(OBJECTS)
def test_what_is_cut_out_is_the_objects_own_member(text: str) -> None:
    (event,) = decode(text).events
    if event.origin.k8s:
        assert json.loads(event.data)["k8s"] == "@k8s"
        assert json.loads(event.origin.k8s, parse_constant=str) == json.loads(text)["k8s"]
    if event.origin.runtime:
        assert json.loads(event.data)["runtime"] == "@runtime"


@settings(PROFILE, max_examples=300)
@given(st.binary(max_size=400), st.sampled_from(list(ChunkKind)), st.booleans())
@example(b"\x0b\n\x0c", ChunkKind.EXPORTED, False)
@example(b"\x0b\n\x0c", ChunkKind.JSON_LINES, False)
def test_any_bytes_never_raise_and_no_line_is_lost(
    data: bytes, kind: ChunkKind, partial: bool
) -> None:
    imported = packed(Place(first=1), data) if kind in IMPORTED else data
    decoded = decode(imported, kind=kind, partial=partial)
    lines = [line for line in data.split(b"\n") if line.strip(b" \t\r")]
    rows = sum(t.events for t in decoded.ticks)
    told = len(decoded.events) - rows + len(decoded.ticks) + len(decoded.malformed)
    if kind is ChunkKind.LOG_LINES:
        assert (told, len(decoded.logs)) == (0, len(lines))
    else:
        assert told + len(decoded.losses) + len(decoded.schemas) == len(lines)


@given(st.binary(max_size=60), st.sampled_from(sorted(IMPORTED)))
def test_imported_bytes_without_their_place_are_kept(data: bytes, kind: ChunkKind) -> None:
    (one,) = decode(b"?" + data, kind=kind).malformed
    assert one.raw == b"?" + data
    assert "where it stands in the file" in one.reason


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.parent.name)
def test_recordings_of_a_real_gadget_come_back_to_the_byte(path: Path) -> None:
    raw = path.read_bytes()
    decoded = decode(raw)
    assert not decoded.malformed
    assert printed(decoded) == raw.decode()
    assert all(e.origin.k8s and e.origin.runtime for e in decoded.events)


# ------------------------------------------------------------------ origin and time

EVENT = (
    '{"dst":{"k8s":{"kind":"svc","namespace":"x"}},"k8s":{"containerName":"api","namespace":"demo",'
    '"node":"worker-1","podName":"api-1"},"runtime":{"containerName":"api-rt"},'
    '"timestamp":"2026-11-22T23:13:24.8Z","timestamp_raw":1795389204805647519}'
)


def test_origin_and_time_of_an_event() -> None:
    (event,) = decode(EVENT, received=1).events
    assert event.ts == 1_795_389_204_805_647_519
    assert event.origin == Origin(
        node="worker-1",
        namespace="demo",
        pod="api-1",
        container="api",
        k8s='{"containerName":"api","namespace":"demo","node":"worker-1","podName":"api-1"}',
        runtime='{"containerName":"api-rt"}',
    )
    assert event.data == (
        '{"dst":{"k8s":{"kind":"svc","namespace":"x"}},"k8s":"@k8s","runtime":"@runtime",'
        '"timestamp":"2026-11-22T23:13:24.8Z","timestamp_raw":1795389204805647519}'
    )


def test_the_connection_knows_the_node_better_than_the_event() -> None:
    assert decode(EVENT, node="edge").events[0].origin.node == "edge"


def test_an_event_that_names_its_node_knows_better_than_an_assumption() -> None:
    assert decode(EVENT, node="edge", assumed=True).events[0].origin.node == "worker-1"
    assert decode("{}", node="edge", assumed=True).events[0].origin.node == "edge"
    assert decode(f"[{EVENT}]", node="edge", assumed=True).events[0].origin.node == "worker-1"


def test_on_a_host_the_container_is_the_runtimes() -> None:
    line = '{"k8s":{"containerName":"","namespace":""},"runtime":{"containerName":"web"}}'
    assert decode(line).events[0].origin.container == "web"


@pytest.mark.parametrize(
    "raw", ["0", "-5", "1.5e18", '"1795389204805647519"', "9223372036854775808", "null", "1" * 30]
)
def test_a_time_that_is_none_is_replaced_by_the_time_of_receipt(raw: str) -> None:
    assert decode('{"timestamp_raw":' + raw + "}").events[0].ts == NOW


@pytest.mark.parametrize("value", ['"a\\u0000b"', '"\\ud800"', "5", '"' + "n" * 400 + '"'])
def test_names_no_database_could_hold_stay_out_of_the_origin(value: str) -> None:
    line = '{"k8s":{"namespace":' + value + "}}"
    (event,) = decode(line).events
    assert "\x00" not in event.origin.namespace
    assert len(event.origin.namespace.encode()) <= 253
    assert printed(decode(line)) == line + "\n"


def test_a_token_in_the_line_leaves_it_whole() -> None:
    line = '{"a":{' + TOKEN_K8S + '},"k8s":{"namespace":"demo"}}'
    (event,) = decode(line).events
    assert event.data == line
    assert event.origin == Origin(namespace="demo")


# ------------------------------------------------------------------ arrays


def test_an_array_is_a_tick_and_its_rows() -> None:
    decoded = decode('{"a":0}\n[{"a":1},{"a":2}]\n[]\n')
    assert [e.data for e in decoded.events] == ['{"a":0}', '{"a":1}', '{"a":2}']
    assert [(t.first, t.events, t.ts) for t in decoded.ticks] == [(1, 2, NOW), (3, 0, NOW)]


# ------------------------------------------------------------------ what is no event

DEEP = '{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "neither an object nor an array but null"),
        (b"5", "neither an object nor an array but int"),
        (b'"x"', "neither an object nor an array but str"),
        (b"hello", "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b'{"a":}', "not JSON"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b'{"a":1', "not JSON: input data was truncated"),
        (b'{"a":"\xff"}', "not UTF-8 (byte 6)"),
        (b'{"a":"\x00"}', "not JSON"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b"[1,2]", "an array with an element that is no object"),
        (b'[{"a":1},null]', "an array with an element that is no object"),
        (b'[{"a":1},]', "not JSON"),
        (DEEP.encode(), "nested too deeply: 201 levels, at most 200"),
        (b"[" + DEEP.encode() + b"]", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'[{"a":' * 50_000, "nested too deeply"),
    ],
)
def test_malformed_lines_are_kept_with_a_reason(line: bytes, reason: str) -> None:
    decoded = decode(line + b'\n{"ok":1}\n')
    (bad,) = decoded.malformed
    assert bad.reason.startswith(reason)
    assert (bad.raw, bad.size, bad.ts) == (line[:MAX_RAW], len(line), NOW)
    assert [e.data for e in decoded.events] == ['{"ok":1}']


def test_many_flat_arrays_are_not_deep() -> None:
    line = '{"buf":[' + ",".join(["[1]"] * 500) + "]}"
    assert [e.data for e in decode(line).events] == [line]


def test_one_bad_byte_spares_the_other_lines() -> None:
    decoded = decode(b'{"a":1}\n\xff\xfe\n{"b":2}\n')
    assert [e.data for e in decoded.events] == ['{"a":1}', '{"b":2}']
    assert [m.raw for m in decoded.malformed] == [b"\xff\xfe"]


def test_a_stream_that_ends_inside_a_line() -> None:
    decoded = decode('{"a":1}\n{"b":', partial=True)
    assert [e.data for e in decoded.events] == ['{"a":1}']
    assert decoded.malformed[0].reason.startswith("the stream ended inside this line: not JSON")
    assert [e.data for e in decode('{"a":1}', partial=True).events] == ['{"a":1}']


def test_blank_lines_are_nothing() -> None:
    assert decode("\n \n\t\r\n\n") == Decoded()


# ------------------------------------------------------------------ losses


def test_a_loss_record() -> None:
    record = (
        b'{"node":"n","start":5,"end":9,"count":0,"cause":"stream","detail":"away","exact":false}'
    )
    assert decode(record, kind=ChunkKind.LOSS).losses == (
        Loss(node="n", start=5, end=9, count=0, cause=LossCause.STREAM, detail="away", exact=False),
    )
    assert decode(b'{"node":"n"}', kind=ChunkKind.LOSS).malformed[0].reason.startswith("not JSON")


@pytest.mark.parametrize(
    "line",
    ['{"a":1}', '{"k8s":{"node":"n"},"a":"\\ud800"}', ' {"a":1}', '[{"a":1},{"k8s":{}}]', "[]"],
)
def test_the_data_source_is_kept(line: str) -> None:
    found = decode(f"{line}\n", node="worker-1", source="open\x00")
    assert {one.origin.source for one in found.events} <= {"open\\x00"}
    assert {one.source for one in found.ticks} <= {"open\\x00"}
    assert {one.origin.node for one in found.events} <= {"worker-1"}
    assert found.events or found.ticks
