"""Rows and filters for property tests: few names and values, so that they meet often."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded
from igdash.domain.filters import (
    And,
    Compare,
    Exists,
    Filter,
    In,
    Network,
    Not,
    Op,
    Or,
    Range,
    Text,
    Value,
    ValueKind,
    Virtual,
)
from igdash.sources.decode import decode_chunk
from tests.support.stores import T0

PATHS = (
    "a", "b", "dst.port", "dst.addr", "dst", "proc.parent.comm", "n", "list", "rows.x", "",
    "k8s.namespace", "k8s.podName", "runtime.containerName", "k8s", "timestamp_raw", "é",
    "@time", "@seq", "@node", "@source", "@container",
)  # fmt: skip
TEXTS = (
    "", "demo", "Demo", "curl", "x", "é", "É", "ß", "SS", "K", "k", "10.0.0.7", "10.1.2.3", "fd00::7",
    "::ffff:10.0.0.9", "a\"b", "back\\slash", "/etc/passwd", "nul\0nul", "\ud800", "443", "k8s", "@k8s",
    "%", "_", "line\nbreak", "İ", "ﬁ", "long" * 80,
)  # fmt: skip
NUMBERS: tuple[int | float, ...] = (
    0, 1, -1, 443, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**64 - 1, 2**64, 0.1, 1.0, 443.0, 1e300,
    T0, T0 + 1, T0 + 3,
)  # fmt: skip

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
scalars = st.one_of(texts, numbers, st.booleans(), st.none())
leaves = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.lists(st.fixed_dictionaries({}, optional={"x": scalars, "port": scalars}), max_size=3),
)
places = st.fixed_dictionaries(
    {},
    optional={"namespace": texts, "podName": texts, "containerName": texts, "node": texts},
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "a": leaves,
        "b": leaves,
        "n": leaves,
        "list": st.lists(leaves, max_size=3),
        "rows": leaves,
        "é": scalars,
        "dst": st.one_of(
            st.fixed_dictionaries({}, optional={"port": leaves, "addr": leaves}), leaves
        ),
        "proc": st.one_of(
            st.fixed_dictionaries(
                {}, optional={"parent": st.fixed_dictionaries({}, optional={"comm": leaves})}
            ),
            scalars,
        ),
        "k8s": st.one_of(places, leaves),
        "runtime": st.one_of(places, scalars),
        "timestamp_raw": st.sampled_from([T0, T0 + 1, T0 + 2, T0 + 3, 0, -5]),
    },
)


def _value(value: Any) -> Value:
    if isinstance(value, bool):
        return Value(kind=ValueKind.BOOL, value=value)
    return Value(kind=ValueKind.TEXT if isinstance(value, str) else ValueKind.NUMBER, value=value)


values = st.one_of(texts, numbers, st.booleans()).map(_value)
paths = st.sampled_from(PATHS)


@st.composite
def conditions(draw: Any) -> Filter:
    path = draw(paths)
    kind = draw(st.integers(0, 8))
    if kind == 0:
        return Exists(field=path, path=path)
    if kind == 1:
        word = draw(texts.filter(bool))
        return Text(word=word)
    if kind == 2:
        return In(
            field=path, path=path, values=tuple(draw(st.lists(values, min_size=1, max_size=4)))
        )
    if kind == 3:
        low, high = sorted((draw(numbers), draw(numbers)))
        return Range(field=path, path=path, low=_value(low), high=_value(high))
    if kind == 4:
        nets = draw(
            st.lists(
                st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "0.0.0.0/0"]),
                min_size=1,
                max_size=2,
            )
        )
        return Network(field=path, path=path, networks=tuple(nets))
    if kind == 5:
        return Virtual(name=draw(st.sampled_from(["lost", "malformed"])))
    op = draw(st.sampled_from(Op))
    if op in (Op.LT, Op.LE, Op.GT, Op.GE):
        value = _value(draw(numbers))
    elif op is Op.REGEX:
        value = _value(draw(st.sampled_from(["^d", "e.o$", "(?i)CURL", ".", "[0-9]+", "", "é"])))
    elif op is Op.LIKE:
        value = _value(
            draw(st.sampled_from(["*", "d*", "?emo", "*.*", "", "*e*", "10.?.*", "d*o*"]))
        )
    elif op is Op.CONTAINS:
        value = _value(draw(texts))
    else:
        value = draw(values)
    return Compare(field=path, path=path, op=op, value=value)


def _listed(kind: Any) -> Any:
    def make(parts: list[Filter]) -> Filter:
        flat: list[Filter] = []
        for part in parts:
            flat += part.parts if isinstance(part, kind) else (part,)
        return kind(parts=tuple(flat))

    return make


filters = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(_listed(And)),
        st.lists(inner, min_size=2, max_size=3).map(_listed(Or)),
        inner.map(lambda node: node.part if isinstance(node, Not) else Not(part=node)),
    ),
    max_leaves=6,
)


def decoded(found: list[dict[str, Any]], *, ascii_only: bool, node: str = "n1") -> Decoded:
    """Return rows as the decoder delivers them (origins cut out and all)."""
    lines = [
        json.dumps(row, ensure_ascii=ascii_only, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        for row in found
    ]
    data = b"\n".join(lines) + b"\n"
    return decode_chunk(Chunk(kind=ChunkKind.JSON_LINES, received=T0 + 2, data=data, node=node))
