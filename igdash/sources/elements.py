"""IG's data elements as the very JSON that `ig run -o json` prints for the same event.

A row arrives as a list of byte strings; the schema (GadgetInfo) says where each field lies in
them. Walking the schema for every row would cost more than everything else, so a data source is
compiled once into three C-speed steps: unpack the numbers of each eBPF struct in one go, turn the
texts into JSON through bounded caches (most of them repeat), and fill one prepared template.

Rules (IG: pkg/datasource/formatters/json/json.go, seen to give the same bytes): keys sorted by
bytes on every level; hidden fields are printed, unreferenced ones and `json.skip` are not; 64-bit
numbers are plain numbers; broken UTF-8 becomes `\\ufffd`; bytes are hex text. One difference: where
IG prints nothing for NaN and infinity, which is no JSON, this writes `null`.
"""

from __future__ import annotations

import contextlib
import math
import operator
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from igdash_wire import ig_pb2 as pb

ARRAY_BIT: Final = 0x1000_0000
FLAG_EMPTY: Final = 1
FLAG_HAS_PARENT: Final = 8
FLAG_UNREFERENCED: Final = 32
SOURCE_BIG_ENDIAN: Final = 1
SOURCE_ARRAY: Final = 2

_MAX_CACHED: Final = 16_384
_MAX_STRUCT: Final = 16 * 1024 * 1024
"""Largest struct believed, bytes: short samples are padded to the size their schema claims."""
_NUMBERS: Final[dict[int, str]] = {
    pb.Int8: "b", pb.Int16: "h", pb.Int32: "i", pb.Int64: "q",
    pb.Uint8: "B", pb.Uint16: "H", pb.Uint32: "I", pb.Uint64: "Q",
}  # fmt: skip
_FLOATS: Final[dict[int, str]] = {pb.Float32: "f", pb.Float64: "d"}

Convert = Callable[[bytes], str]
_call: Final[Callable[[Convert, bytes], str]] = operator.call


class Cache(dict[bytes, str]):
    """Remembers what bytes became. Emptied when full: no bookkeeping on the way."""

    def __init__(self, convert: Convert) -> None:
        super().__init__()
        self.convert = convert

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= _MAX_CACHED:
            self.clear()
        text = self[raw] = self.convert(raw)
        return text


# ------------------------------------------------------------------ values to JSON text

_PLAIN = re.compile(r'[^\x00-\x1f"\\\u2028\u2029\udcff]*')
_SPECIAL = re.compile(r'[\x00-\x1f"\\\u2028\u2029\udcff]')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "\udcff": "\\ufffd"}


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _decode(raw: bytes) -> str:
    """Return UTF-8 text in which every byte that is not part of a character is U+DCFF."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    parts: list[str] = []
    while raw:
        try:
            parts.append(raw.decode())
            break
        except UnicodeDecodeError as error:
            # Like Go: one replacement per byte, and go on behind that byte.
            parts += (raw[: error.start].decode(), "\udcff")
            raw = raw[error.start + 1 :]
    return "".join(parts)


def text(raw: bytes) -> str:
    """Return `raw` as a JSON string, escaped exactly as IG does."""
    plain = _decode(raw)
    if _PLAIN.fullmatch(plain):
        return f'"{plain}"'
    return f'"{_SPECIAL.sub(_escape, plain)}"'


def c_text(raw: bytes) -> str:
    """Return the text before the first NUL as a JSON string."""
    return text(raw.partition(b"\0")[0])


def hex_text(raw: bytes) -> str:
    """Return bytes as hex text."""
    return f'"{raw.hex()}"'


def boolean(raw: bytes) -> str:
    """Return the JSON of a bool: true for the single byte 1."""
    return "true" if raw == b"\x01" else "false"


def float_text(value: float, shortest: str | None = None) -> str:
    """Return a float as Go prints it: shortest digits, exponents below 1e-6 and from 1e21 on."""
    if not math.isfinite(value):
        return "null"
    digits = shortest or repr(value)
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = f"{Decimal(digits).normalize():e}".partition("e")
        number = int(exponent)
        return f"{mantissa}e{number}" if -10 < number < 0 else f"{mantissa}e{number:+03d}"
    plain = f"{Decimal(digits):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _float32(value: float) -> str:
    packed = struct.pack("<f", value)
    for precision in range(1, 10):
        digits = f"{value:.{precision}g}"
        # Rounded up, the largest numbers are none of 32 bits.
        with contextlib.suppress(OverflowError):
            if struct.pack("<f", float(digits)) == packed:
                return float_text(value, digits)
    return float_text(value)


def _number(code: str, order: str) -> Convert:
    one = struct.Struct(order + code)

    def convert(raw: bytes) -> str:
        # A wrong length reads as 0 (IG: pkg/datasource accessors).
        return str(one.unpack(raw)[0]) if len(raw) == one.size else "0"

    return convert


def _float(code: str, order: str) -> Convert:
    one = struct.Struct(order + code)
    show = _float32 if code == "f" else float_text

    def convert(raw: bytes) -> str:
        return show(one.unpack(raw)[0]) if len(raw) == one.size else "0"

    return convert


def _array(kind: int, order: str) -> Convert:
    code = _NUMBERS.get(kind) or _FLOATS.get(kind)
    if code is None:
        return hex_text
    # Uint64 elements come out signed, as in IG.
    code = "q" if code == "Q" else code
    size = struct.calcsize(order + code)
    show: Callable[[float], str] = {"f": _float32, "d": float_text}.get(code, str)

    def convert(raw: bytes) -> str:
        count = len(raw) // size
        return (
            "["
            + ",".join(map(show, struct.unpack(f"{order}{count}{code}", raw[: count * size])))
            + "]"
        )

    return convert


_TEXTS: Final[dict[int, Convert]] = {pb.Bool: boolean, pb.String: text, pb.CString: c_text}


def _converter(kind: int, order: str) -> Convert:
    """Return how the bytes of a field of this kind become JSON."""
    if kind & ARRAY_BIT:
        return _array(kind & ~ARRAY_BIT, order)
    if kind in _NUMBERS:
        return _number(_NUMBERS[kind], order)
    if kind in _FLOATS:
        return _float(_FLOATS[kind], order)
    return _TEXTS.get(kind, hex_text)


# ------------------------------------------------------------------ the schema, compiled


@dataclass(slots=True)
class _Leaf:
    """A field with a value: `code` is its struct code when it lies in a struct as a number."""

    field: pb.Field
    code: str = ""


@dataclass(slots=True)
class _Group:
    members: list[tuple[str, _Group | _Leaf]] = field(default_factory=list)


def _tree(source: pb.DataSource) -> _Group:
    """Return the JSON object's shape: members sorted by the bytes of their names."""
    children: dict[int | None, list[pb.Field]] = {}
    for one in source.fields:
        children.setdefault(one.parent if one.flags & FLAG_HAS_PARENT else None, []).append(one)

    def build(parent: int | None) -> _Group:
        group = _Group()
        for one in sorted(children.get(parent, ()), key=lambda each: each.name.encode()):
            if one.flags & FLAG_UNREFERENCED or one.annotations.get("json.skip") == "true":
                continue
            below = build(one.index) if one.index in children else _Group()
            if below.members:
                group.members.append((one.name, below))
            elif not one.flags & FLAG_EMPTY:
                group.members.append((one.name, _Leaf(one)))
        return group

    return build(None)


def _layers(leaves: Sequence[_Leaf]) -> list[list[_Leaf]]:
    """Split the members of one struct into layers whose members do not overlap (unions do)."""
    layers: list[list[_Leaf]] = []
    for leaf in sorted(leaves, key=lambda each: (each.field.offs, each.field.size)):
        for layer in layers:
            last = layer[-1].field
            if last.offs + last.size <= leaf.field.offs:
                layer.append(leaf)
                break
        else:
            layers.append([leaf])
    return layers


@dataclass(slots=True)
class _Struct:
    """One pass over one byte string: `unpack` gives the raw values of `leaves` in order."""

    index: int
    unpack: struct.Struct
    leaves: list[_Leaf]


def _compile_struct(index: int, leaves: list[_Leaf], order: str) -> _Struct:
    codes, at = [order], 0
    for leaf in leaves:
        one = leaf.field
        codes.append(f"{one.offs - at}x")  # a count: nobody's schema shall cost what it claims
        code = _NUMBERS.get(one.kind, "")
        if code and struct.calcsize(order + code) == one.size:
            leaf.code = code
            codes.append(code)
        else:
            codes.append(f"{one.size}s")
        at = one.offs + one.size
    if at > _MAX_STRUCT:
        raise ValueError(f"a struct of {at:,} bytes")
    return _Struct(index, struct.Struct("".join(codes)), leaves)


class RowFormat:
    """One data source, compiled. Not thread-safe: each stream has its own (the caches are plain).

    Raises `ValueError` or `RecursionError` for a schema that makes no sense.
    """

    def __init__(self, source: pb.DataSource) -> None:
        self.name = source.name
        self.is_array = source.type == SOURCE_ARRAY
        order = ">" if source.flags & SOURCE_BIG_ENDIAN else "<"
        parts: list[str] = []
        leaves: list[_Leaf] = []
        _template(_tree(source), parts, leaves)
        inside: dict[int, list[_Leaf]] = {}
        whole: list[_Leaf] = []
        for leaf in leaves:
            one = leaf.field
            if one.size:
                inside.setdefault(one.payloadIndex, []).append(leaf)
            else:
                whole.append(leaf)
        self._structs = [
            _compile_struct(index, layer, order)
            for index, members in sorted(inside.items())
            for layer in _layers(members)
        ]
        self._width = 1 + max((leaf.field.payloadIndex for leaf in leaves), default=-1)
        self._plan(leaves, whole, order)
        self._template = "".join(parts)

    def _plan(self, leaves: list[_Leaf], whole: list[_Leaf], order: str) -> None:
        """Decide where each template slot's value comes from: a number of a struct, or a text."""
        numbers: list[_Leaf] = []
        raws: list[_Leaf] = []
        self._numbers_at: list[list[int]] = []
        for one in self._structs:
            for leaf in one.leaves:
                (numbers if leaf.code else raws).append(leaf)
        raws += whole
        unpacked = [leaf for one in self._structs for leaf in one.leaves]
        flat = {id(leaf): place for place, leaf in enumerate(unpacked)}
        for place, leaf in enumerate(whole):
            flat[id(leaf)] = len(unpacked) + place
        self._whole = _getter([leaf.field.payloadIndex for leaf in whole])
        self._raw = _getter([flat[id(leaf)] for leaf in raws])
        self._convert = [_cached(leaf, order) for leaf in raws]
        slot = {id(leaf): flat[id(leaf)] for leaf in numbers}
        total = len(unpacked) + len(whole)
        for place, leaf in enumerate(raws):
            slot[id(leaf)] = total + place
        self._slots = _getter([slot[id(leaf)] for leaf in leaves])

    def row(self, payload: Sequence[bytes]) -> str:
        """Return one row's JSON object. `payload` is a DataElement's list of byte strings.

        Raises `ValueError` when the element does not fit the schema (fewer byte strings than the
        schema names): a guess would be a lie.
        """
        if len(payload) < self._width:
            raise ValueError(
                f"{self.name}: {len(payload)} byte strings, the schema needs {self._width}"
            )
        values: tuple[Any, ...] = ()
        for one in self._structs:
            raw = payload[one.index]
            if len(raw) < one.unpack.size:
                raw = raw.ljust(one.unpack.size, b"\0")
            values += one.unpack.unpack_from(raw)
        values += self._whole(payload)
        return self._template % self._slots(
            (*values, *map(_call, self._convert, self._raw(values)))
        )


def _cached(leaf: _Leaf, order: str) -> Callable[[bytes], str]:
    """Return the leaf's converter, with a cache unless its values hardly ever repeat."""
    convert = _converter(leaf.field.kind, order)
    if "type:gadget_timestamp" in leaf.field.tags or leaf.field.name == "timestamp":
        return convert
    return Cache(convert).__getitem__


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return `itemgetter(*places)` that always answers a tuple."""
    if len(places) > 1:
        return operator.itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _template(group: _Group, parts: list[str], leaves: list[_Leaf]) -> None:
    """Write the object's constant text with a `%s` per leaf into `parts`."""
    parts.append("{")
    for place, (name, member) in enumerate(group.members):
        key = text(name.encode()).replace("%", "%%")
        parts.append(f"{',' if place else ''}{key}:")
        if isinstance(member, _Group):
            _template(member, parts, leaves)
        else:
            parts.append("%s")
            leaves.append(member)
    parts.append("}")
