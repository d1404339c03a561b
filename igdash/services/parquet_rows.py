"""Events as Parquet: typed columns from the session's fields, memory for one row group at a time.

Names are those of the SQL views (`proc.comm` is `proc_comm`). Whatever has no column, or another
type than its column, stands in the last one, `other`, as JSON under its own name: nothing is left
out. pyarrow is large: it is imported when somebody asks for it, not before.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from igdash.domain.events import Event
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.text import free_name

GROUP: Final = 20_000
"""Most rows per row group."""
GROUP_TEXT: Final = 32 * 1024 * 1024
"""So many characters of events end a group as well: taken apart, they need many times as much."""
_DIGITS: Final = 4_000
"""Python turns no text of more than 4,300 digits into an integer."""
_INTEGERS: Final = {
    f"{sign}{bits}": (
        f"{sign.lower()}{bits}",
        -(2 ** (bits - 1)) if sign == "Int" else 0,
        2 ** (bits - (sign == "Int")) - 1,
    )
    for sign in ("Int", "Uint")
    for bits in (8, 16, 32, 64)
}


def pyarrow() -> Any:
    """Return pyarrow and its `parquet`, imported at the first call."""
    importlib.import_module("pyarrow.parquet")
    return importlib.import_module("pyarrow")


class _Column:
    """One field: which values fit, and where they are put."""

    def __init__(self, arrow: Any, field: Field) -> None:
        self.low, self.high = 0, 0
        self.kind = "text"
        kind: Any = arrow.string()
        if field.kind in _INTEGERS:
            name, self.low, self.high = _INTEGERS[field.kind]
            self.kind, kind = "integer", getattr(arrow, name)()
        elif field.kind.startswith("Float"):
            self.kind, kind = "number", arrow.float64()
        elif field.kind == "Bool":
            self.kind, kind = "boolean", arrow.bool_()
        elif field.kind.endswith("]"):
            self.kind = "json"
        self.arrow = kind

    def fit(self, value: Any) -> tuple[bool, Any]:
        """Return whether the value has its place here, and what stands there."""
        match self.kind:
            case "text":
                return type(value) is str, value
            case "integer":
                return type(value) is int and self.low <= value <= self.high, value
            case "number":
                return _is_float(value), value
            case "boolean":
                return type(value) is bool, value
        return True, _json(value)


def _is_float(value: Any) -> bool:
    """Whether a float says exactly the same; beyond 2**53 not every integer has one."""
    return type(value) is float or (type(value) is int and abs(value) <= 2**53)


class ParquetTable:
    """Turns events into record batches of one schema."""

    def __init__(self, sources: Sequence[DataSource]) -> None:
        self._arrow = arrow = pyarrow()
        fields = [f for source in sources for f in source.fields if f.in_json and f.kind]
        groups = {f.name[:i] for f in fields for i, c in enumerate(f.name) if c == "."}
        self._index: dict[str, int] = {}
        self._columns: list[_Column] = []
        names: list[str] = []
        taken = {"seq", "ts", "node", "source", "other"}
        for field in fields:
            if field.name in groups or field.name in self._index:
                continue
            self._index[field.name] = len(self._columns)
            self._columns.append(_Column(arrow, field))
            names.append(free_name(_plain(field.name), taken))
        self._groups = groups
        own = [arrow.field(n, c.arrow) for n, c in zip(names, self._columns, strict=True)]
        head = [
            arrow.field("seq", arrow.int64()),
            arrow.field("ts", arrow.timestamp("ns", tz="UTC")),
            arrow.field("node", arrow.string()),
            arrow.field("source", arrow.string()),
        ]
        self.schema = arrow.schema([*head, *own, arrow.field("other", arrow.string())])

    def batch(self, events: Sequence[Event]) -> Any:
        """Return the events as one record batch."""
        cells: list[list[Any]] = [[None] * len(events) for _ in self._columns]
        rest: list[str | None] = [None] * len(events)
        for row, event in enumerate(events):
            left: dict[str, Any] = {}
            value = _decode(event.data)
            if isinstance(value, dict):
                self._walk(value, "", row, cells, left)
            else:
                left[""] = value
            if left:
                rest[row] = _json(left)
        head: list[Sequence[Any]] = [
            [event.seq for event in events],
            [event.ts for event in events],
            [event.node for event in events],
            [event.source for event in events],
        ]
        arrays = [
            self._arrow.array(values, field.type)
            for values, field in zip([*head, *cells, rest], self.schema, strict=True)
        ]
        return self._arrow.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _walk(
        self,
        members: dict[str, Any],
        prefix: str,
        row: int,
        cells: list[list[Any]],
        left: dict[str, Any],
    ) -> None:
        for key, value in members.items():
            name = prefix + key
            index = self._index.get(name)
            if index is not None:
                if value is None:
                    continue
                fits, stands = self._columns[index].fit(value)
                if fits:
                    cells[index][row] = stands
                else:
                    left[name] = value
            elif isinstance(value, dict) and name in self._groups:
                self._walk(value, name + ".", row, cells, left)
            else:
                left[name] = value


def write(out: BinaryIO, sources: Sequence[DataSource], blocks: Iterable[Sequence[Event]]) -> int:
    """Write blocks of events as one Parquet file; return the number of rows."""
    rows = 0
    for count, part in _parts(sources, blocks):
        rows += count
        out.write(part)
    return rows


def stream(sources: Sequence[DataSource], blocks: Iterable[Sequence[Event]]) -> Iterator[bytes]:
    """Return the bytes of one Parquet file, a row group at a time. Raises `InvalidQuery` at once."""
    table = ParquetTable(sources)
    return (part for _, part in _written(table, blocks))


def _parts(
    sources: Sequence[DataSource], blocks: Iterable[Sequence[Event]]
) -> Iterator[tuple[int, bytes]]:
    return _written(ParquetTable(sources), blocks)


def _written(table: ParquetTable, blocks: Iterable[Sequence[Event]]) -> Iterator[tuple[int, bytes]]:
    pipe = _Pipe()
    writer = pyarrow().parquet.ParquetWriter(pipe, table.schema, compression="zstd")
    waiting: list[Event] = []
    size = 0
    for block in blocks:
        waiting.extend(block)
        size += sum(len(event.data) for event in block)
        if len(waiting) >= GROUP or size >= GROUP_TEXT:
            writer.write_batch(table.batch(waiting))
            yield len(waiting), pipe.take()
            waiting, size = [], 0
    if waiting:
        writer.write_batch(table.batch(waiting))
    writer.close()
    yield len(waiting), pipe.take()


class _Pipe(io.RawIOBase):
    """What a writer wrote since the last look. It never seeks: Parquet is written front to back."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _decode(data: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:  # half of a surrogate pair, a number beyond all floats
        return _clean(json.loads(data, parse_int=_integer, parse_float=_number))


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS else text


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text  # no infinity came: its text says what did


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "field"
