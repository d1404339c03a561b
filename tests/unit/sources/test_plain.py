"""The fast way says the same as the careful way, or leaves the line to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, restore
from igdash.sources import decode

RECORDINGS = sorted(Path("examples/recordings").glob("*/*.jsonl"))
PLACE = '"k8s":{"namespace":"shop","podName":"web"}'
RUNTIME = '"runtime":{"containerName":"app"}'


def chunk(*lines: str, node: str = "n") -> Chunk:
    data = "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass")
    return Chunk(kind=ChunkKind.JSON_LINES, received=77, data=data, node=node)


def careful(item: Chunk) -> Decoded:
    found = decode._Found(item)
    for line in decode._lines(item.data, found):
        decode._try(decode._read_line, line, found, "")
    return found.decoded()


def restored(decoded: Decoded) -> list[str]:
    return [restore(e.data, e.origin.k8s, e.origin.runtime) for e in decoded.events]


def facts(decoded: Decoded) -> list[tuple[object, ...]]:
    return [
        (e.ts, e.size, e.origin.node, e.origin.namespace, e.origin.pod, e.origin.container)
        for e in decoded.events
    ]


def same(item: Chunk) -> Decoded:
    fast, slow = decode.decode_chunk(item), careful(item)
    assert restored(fast) == restored(slow)
    assert facts(fast) == facts(slow)
    assert fast.malformed == slow.malformed
    return fast


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.parent.name)
def test_recordings_say_the_same_both_ways(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()[:400]
    fast = same(chunk(*lines))
    if lines[0].startswith("{"):
        assert decode._plain(chunk(*lines)) is not None, "the fast way is taken"
        assert [e.data for e in fast.events] == [e.data for e in careful(chunk(*lines)).events]


@pytest.mark.parametrize(
    "lines",
    [
        ["{}"],
        [f"{{{PLACE},{RUNTIME}}}", f"{{{RUNTIME},{PLACE}}}", f"{{{PLACE}}}", f"{{{RUNTIME}}}"],
        [f'{{"dst":{{{PLACE}}},{PLACE}}}'],
        [f'{{"a":{{{PLACE}}},"k8s": {{"namespace":"shop","podName":"web"}}}}'],
        [f'{{"a":{{{PLACE}}},"\\u006b8s":{{"namespace":"shop","podName":"web"}}}}'],
        [f'{{{PLACE},"k8s":{{"namespace":"other"}}}}'],
        ['{"k8s":null,"runtime":3}', '{"k8s":{},"runtime":{}}'],
        ['{"k8s":"@k8s"}', f"{{{PLACE}}}"],
        ['{"a":"@k8s"}', '{"a":"x@k8s","runtime":"@runtime"}'],
        ["{}{}", "{}"],
        ["{}{}", '{"a":', '{"b":1}}'],
        ['{"a":"}', '{"}'],
        ["{}", "", "{}"],
        ["{} ", " {}", "\t{}\r"],
        ["[]", "[{},{}]", "{}"],
        ["{}", "oops", "{}"],
        ['{"a":' * 250 + "1" + "}" * 250, "{}"],
        ['{"a":' + "[" * 250 + "]" * 250 + "}", "{}"],
        ['{"timestamp_raw":1e3}', '{"timestamp_raw":12}', '{"timestamp_raw":0}'],
        ['{"timestamp_raw":99999999999999999999}', '{"timestamp_raw":-5}'],
        ['{"a":"ü\\ud800"}', '{"ü":1}'],
        ['{"a":NaN}', '{"a":1}'],
        [f'{{"k8s":{{"x":"{"y" * 20_000}"}},{RUNTIME}}}'],
    ],
)
def test_odd_lines_say_the_same_both_ways(lines: list[str]) -> None:
    same(chunk(*lines))


def test_one_pair_of_texts_is_not_taken_for_another() -> None:
    """All begin alike: what differs is behind what they are found by."""
    tail = "x" * 200
    places = [f'"k8s":{{"containerName":"app","podName":"web-{n}"}}' for n in range(3)]
    runtimes = [f'"runtime":{{"containerId":"{tail}{n}"}}' for n in range(3)]
    lines = [
        f'{{"n":{"1" * (n % 7)}0,{place},"b":[{n}],{runtime}}}'
        for n, (place, runtime) in enumerate([(p, r) for p in places for r in runtimes] * 3)
    ]
    fast = same(chunk(*lines, f"{{{runtimes[0]}}}", "{}", lines[0], f"{{{places[1]}}}", lines[1]))
    assert [e.origin.pod for e in fast.events[:9:3]] == ["web-0", "web-1", "web-2"]
    assert restored(fast)[:27] == lines


@pytest.mark.parametrize("before", [True, False])
def test_only_the_objects_own_member_is_cut(before: bool) -> None:
    own, twin = f"{PLACE},{RUNTIME}", f'"dst":{{{PLACE},{RUNTIME}}}'
    long = f'{{"a":"{"x" * 90}",{own}}}'
    line = f"{{{twin},{own}}}" if before else f"{{{own},{twin}}}"
    for event in same(chunk(long, line, long, line)).events:
        data = json.loads(event.data)
        assert data.get("dst", json.loads(f"{{{own}}}")) == json.loads(f"{{{own}}}")
        assert (data["k8s"] == "@k8s") == bool(event.origin.k8s)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_KNOWN", 20)
    for n in range(100):
        place = PLACE.replace("web", f"web-{n}")
        runtime = f'"runtime":{{"containerId":"{n:064x}","containerName":"app"}}'
        (event,) = same(chunk(f"{{{place},{runtime}}}", node=f"n{n % 7}")).events
        assert event.origin.pod == f"web-{n}"
        assert sum(len(one.known) for one in decode._memories.values()) <= 21


@pytest.mark.parametrize("rest", ["", f'"a":"{"x" * 1_200}",', '"b":[],'])
@pytest.mark.parametrize("depth", [decode.MAX_DEPTH, decode.MAX_DEPTH + 1])
def test_the_depth_has_one_bound_however_it_is_found(rest: str, depth: int) -> None:
    deep = '{"a":' * (depth - 1) + "1" + "}" * (depth - 1)
    found = same(chunk(f"{{{rest}{PLACE},{RUNTIME}}}", f'{{{rest}"d":{deep},{PLACE},{RUNTIME}}}'))
    assert len(found.malformed) == (depth > decode.MAX_DEPTH)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("@k8s"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["k8s", "runtime", "a", "timestamp_raw"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
objects = st.dictionaries(
    st.sampled_from(["k8s", "runtime", "dst", "timestamp_raw", "b"]), values, max_size=5
)


@settings(max_examples=300, deadline=None)
@given(items=st.lists(objects, max_size=5), compact=st.booleans(), ascii_only=st.booleans())
def test_any_objects_say_the_same_both_ways(
    items: list[object], compact: bool, ascii_only: bool
) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    lines = [json.dumps(i, separators=separators, ensure_ascii=ascii_only) for i in items]
    assert restored(same(chunk(*lines))) == lines
