"""Data elements come out as `-o json` prints them: recorded streams, and any schema at all."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from igdash.sources import elements
from igdash.sources.elements import ARRAY_BIT, RowFormat, c_text, float_text, text
from igdash_wire import ig_pb2 as pb
from tests.support.daemon import STREAMS, messages_of

RECORDED = sorted(path.name.removesuffix(".jsonl.gz") for path in STREAMS.glob("*.gz"))
CODES = {
    pb.Int8: "b", pb.Int16: "h", pb.Int32: "i", pb.Int64: "q", pb.Uint8: "B", pb.Uint16: "H",
    pb.Uint32: "I", pb.Uint64: "Q", pb.Float32: "f", pb.Float64: "d",
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_streams_have_no_difference(name: str) -> None:
    formats: dict[int, RowFormat] = {}
    rows = 0
    for event, wanted in messages_of(name):
        if event.type == 4:
            info = pb.GadgetInfo.FromString(event.payload)
            formats = {source.id: RowFormat(source) for source in info.dataSources}
        elif event.type == 0:
            form = formats[event.dataSourceID]
            if form.is_array:
                array = pb.GadgetDataArray.FromString(event.payload).dataArray
                got = "[" + ",".join(form.row(one.payload) for one in array) + "]"
            else:
                got = form.row(pb.GadgetData.FromString(event.payload).data.payload)
            assert got == wanted
            rows += 1
    assert rows


def test_there_are_recordings_of_every_kind() -> None:
    assert len(RECORDED) >= 15
    assert sum(path.stat().st_size for path in STREAMS.iterdir()) < 600_000


# ------------------------------------------------------------------ any schema, the slow way


def slow(source: pb.DataSource, payload: list[bytes]) -> str:
    """Field by field, as IG's formatter does it."""
    order = ">" if source.flags & 1 else "<"

    def leaf(one: pb.Field) -> str:
        raw = payload[one.payloadIndex]
        if one.size:
            raw = raw[one.offs : one.offs + one.size].ljust(one.size, b"\0")
        return value(one.kind, raw, order)

    def group(parent: int | None) -> str | None:
        members = []
        for one in source.fields:
            mine = one.parent if one.flags & 8 else None
            if mine != parent or one.flags & 32 or one.annotations.get("json.skip") == "true":
                continue
            below = group(one.index)
            if below is not None:
                members.append((one.name.encode(), below))
            elif not one.flags & 1:
                members.append((one.name.encode(), leaf(one)))
        if parent is not None and not members:
            return None
        members.sort(key=lambda pair: pair[0])
        return "{" + ",".join(f"{go_text(name)}:{shown}" for name, shown in members) + "}"

    return group(None) or "{}"


def value(kind: int, raw: bytes, order: str) -> str:
    if kind & ARRAY_BIT:
        code = CODES.get(kind & ~ARRAY_BIT)
        if code is None:
            return f'"{raw.hex()}"'
        code = "q" if code == "Q" else code
        size = struct.calcsize(order + code)
        items = [raw[at : at + size] for at in range(0, len(raw) - size + 1, size)]
        return "[" + ",".join(number(code, item, order) for item in items) + "]"
    if kind in CODES:
        return number(CODES[kind], raw, order)
    if kind == pb.Bool:
        return "true" if raw == b"\x01" else "false"
    if kind == pb.String:
        return go_text(raw)
    if kind == pb.CString:
        return go_text(raw.split(b"\0")[0])
    return f'"{raw.hex()}"'


def number(code: str, raw: bytes, order: str) -> str:
    if len(raw) != struct.calcsize(order + code):
        return "0"
    found = struct.unpack(order + code, raw)[0]
    return (
        elements._float32(found)
        if code == "f"
        else float_text(found)
        if code == "d"
        else str(found)
    )


def go_text(raw: bytes) -> str:
    out = []
    at = 0
    while at < len(raw):
        for size in (1, 2, 3, 4):
            try:
                char = raw[at : at + size].decode()
            except UnicodeDecodeError:
                continue
            if len(char) == 1:
                break
        else:
            size, char = 1, ""
        plain = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "": "\\ufffd"}
        if char in plain:
            out.append(plain[char])
        elif ord(char) < 32 or char in "\u2028\u2029":
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(char)
        at += size
    return '"' + "".join(out) + '"'


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
KINDS = st.sampled_from([*CODES, pb.Bool, pb.String, pb.CString, pb.Bytes, pb.Invalid])
RAW = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=12).map(str.encode),
    st.sampled_from([b"", b"\x01", b"\0" * 8, b"\xff" * 8, b'"%s"\\', b"\xe2\x80\xa8", b"\xc3("]),
)


@st.composite
def sources(draw: st.DrawFn) -> pb.DataSource:
    source = pb.DataSource(id=1, name="x", type=1, flags=draw(st.sampled_from([0, 1])))
    offset = 0
    used: set[tuple[int, str]] = set()
    for index in range(draw(st.integers(0, 9))):
        kind = draw(KINDS) | (ARRAY_BIT if draw(st.integers(0, 5)) == 0 else 0)
        flags = draw(st.sampled_from([0, 0, 0, 0, 1, 4, 32]))
        name, parent = draw(NAMES), draw(st.integers(-1, index - 1))
        if (parent, name) in used:
            continue
        used.add((parent, name))
        one = source.fields.add(
            name=name, index=index, kind=kind, flags=flags | (8 if parent >= 0 else 0)
        )
        if parent >= 0:
            one.parent = parent
        if draw(st.booleans()):
            natural = struct.calcsize("<" + CODES[kind]) if kind in CODES else 0
            one.size = natural if natural and draw(st.integers(0, 5)) else draw(st.integers(1, 12))
            gap = draw(st.sampled_from([0, 0, 1, 3]))
            one.offs = max(0, offset + gap - draw(st.sampled_from([0, 0, 0, 2])))
            offset = one.offs + one.size
            one.payloadIndex = 0
        else:
            one.payloadIndex = draw(st.integers(0, 4))
        if draw(st.integers(0, 9)) == 0:
            one.annotations["json.skip"] = "true"
    return source


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(sources(), st.lists(st.lists(RAW, min_size=5, max_size=5), min_size=1, max_size=4))
def test_any_schema_equals_the_slow_way(source: pb.DataSource, rows: list[list[bytes]]) -> None:
    form = RowFormat(source)
    for _ in range(2):  # the second time from the caches
        for row in rows:
            got = form.row(row)
            assert got == slow(source, row)
            json.loads(got)
            assert "\n" not in got


@given(st.binary(max_size=60))
def test_texts_are_escaped_as_go_does(raw: bytes) -> None:
    assert text(raw) == go_text(raw)
    assert c_text(raw) == go_text(raw.split(b"\0")[0])


@given(st.floats())
def test_floats_are_json_and_exact(number: float) -> None:
    shown = float_text(number)
    if not math.isfinite(number):
        assert shown == "null"
        return
    assert float(json.loads(shown)) == number


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"), (1.0, "1"), (-2.5, "-2.5"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.25e300, "1.25e+300"),
        (2.5e-20, "2.5e-20"),
    ],
)  # fmt: skip
def test_floats_look_as_go_prints_them(number: float, shown: str) -> None:
    assert float_text(number) == shown


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(3.4028234663852886e38)
@example(3.4025001647762064e38)
def test_small_floats_have_their_own_shortest_form(number: float) -> None:
    shown = float(elements._float32(number))
    assert struct.pack("<f", shown) == struct.pack("<f", number)


def one_field(**more: int) -> pb.DataSource:
    source = pb.DataSource(id=1, name="x", type=1)
    source.fields.add(name="a", **more)
    return source


def test_elements_that_do_not_fit_are_refused() -> None:
    form = RowFormat(one_field(payloadIndex=2, kind=pb.String))
    with pytest.raises(ValueError, match="2 byte strings, the schema needs 3"):
        form.row([b"", b""])
    assert form.row([b"", b"", b"v", b"more"]) == '{"a":"v"}'


def nonsense() -> list[Callable[[], pb.DataSource]]:
    def circle() -> pb.DataSource:
        source = pb.DataSource(name="x")
        source.fields.add(name="a", index=0)
        source.fields.add(name="b", index=0, parent=0, flags=8)
        return source

    return [circle, lambda: one_field(offs=0xFFFFFFF0, size=8, kind=pb.Uint64)]


@pytest.mark.parametrize("make", nonsense())
def test_schemas_that_make_no_sense_are_refused(make: Callable[[], pb.DataSource]) -> None:
    with pytest.raises((ValueError, RecursionError)):
        RowFormat(make())


def test_a_refused_schema_does_not_cost_the_memory_it_claims() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="a struct of"):
            RowFormat(one_field(offs=0x1000_0000, size=8, kind=pb.Uint64))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_caches_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_MAX_CACHED", 10)
    cache = elements.Cache(text)
    for n in range(100):
        assert cache[b"%d" % n] == f'"{n}"'
    assert len(cache) <= 10
