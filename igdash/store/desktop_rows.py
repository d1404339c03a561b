"""What the rows of an Inspektor Gadget Desktop file mean here: runs as sessions, events as lines.

Desktop stores an event flattened (`"proc.comm"`), this program as the gadget prints it (nested);
values keep their texts. A key whose beginning is no known group of the gadget stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from igdash.domain.chunks import Chunk, ChunkKind, Place
from igdash.domain.errors import GadgetNotFound
from igdash.domain.gadgets import DataSource, Field, Gadget
from igdash.domain.images import is_reference, short_name
from igdash.domain.ports import Catalogue
from igdash.domain.sessions import Target
from igdash.domain.times import MAX_NS, now_ns

EVENT: Final = 3
LOG: Final = 4
ARRAY: Final = 6
_PIECE: Final = 256 * 1024
_MS: Final = 1_000_000
_HIDDEN: Final = 4
_ARRAY_SOURCE: Final = 2
_TARGETS: Final = {
    "namespace": "namespace",
    "k8s-namespace": "namespace",
    "podname": "pod",
    "k8s-podname": "pod",
    "containername": "container",
    "selector": "selector",
    "k8s-selector": "selector",
    "node": "node",
}
_MANAGERS: Final = ("operator.KubeManager.", "operator.LocalManager.")
_KINDS: Final = (
    "Invalid", "Bool", "Int8", "Int16", "Int32", "Int64", "Uint8", "Uint16", "Uint32", "Uint64",
    "Float32", "Float64", "String", "CString", "Bytes",
)  # fmt: skip

_raw_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_rows: Final = msgspec.json.Decoder(list[msgspec.Raw])
_any: Final = msgspec.json.Decoder()


class Row(NamedTuple):
    """One row of `events`, as SQLite gave it: any column may hold anything."""

    id: int
    run: object
    ms: object
    type: object
    source: object
    data: object


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run of a gadget. `flat_parents` are the groups under which keys are nested."""

    id: str
    gadget: str
    target: Target
    params: Mapping[str, str]
    sources: tuple[DataSource, ...]
    flat_parents: frozenset[str]
    started: int | None
    stopped: int | None
    info: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, row: tuple[Any, ...], catalogue: Catalogue) -> RunFacts:
        """Read a row of `gadget_runs`: id, image, params, gadget_info, started, stopped."""
        run, image, params, info, started, stopped = row
        name = _gadget_name(_text(image), catalogue)
        known = _known(name, catalogue)
        given = {
            key: value for key, value in _object(params).items() if isinstance(value, str) and value
        }
        sources = _sources(_object(info), known)
        columns = sources or (known.sources if known else ())
        return cls(
            id=_text(run),
            gadget=name,
            target=_target(given),
            params=_params(given, known),
            sources=columns,
            flat_parents=frozenset(_parents(columns)),
            started=_ns(started),
            stopped=_ns(stopped),
            info={"image": _text(image)[:400], "run": _text(run)[:80]},
        )


class Rows:
    """Makes chunks of one run's rows: neighbours of the same time and source become one."""

    def __init__(self, parents: frozenset[str]) -> None:
        self._parents = parents

    def chunks(self, rows: Iterable[Row]) -> Iterator[Chunk]:
        """Yield the rows as chunks, in order."""
        held: list[Row] = []
        lines: list[bytes] = []
        size = 0
        for row in rows:
            line = self._line(row)
            if held and (line is None or size > _PIECE or not _same(held[-1], row)):
                yield self._chunk(held[0], lines)
                held, lines, size = [], [], 0
            if line is None:
                yield _broken(row)
                continue
            held.append(row)
            lines.append(line)
            size += len(line)
        if held:
            yield self._chunk(held[0], lines)

    def _chunk(self, row: Row, lines: list[bytes]) -> Chunk:
        received = _ns(row.ms) or now_ns()
        if row.type == LOG:
            data = b"\n".join(lines) + b"\n"
            return Chunk(kind=ChunkKind.LOG_LINES, received=received, data=data)
        return Chunk(
            kind=ChunkKind.CAPTURED,
            received=received,
            data=_packed(Place(first=row.id, unit="row"), b"\n".join(lines) + b"\n"),
            source=_text(row.source)[:253],
        )

    def _line(self, row: Row) -> bytes | None:
        """Return the row as a line as a gadget prints it, None when it cannot be one."""
        data = row.data.encode() if isinstance(row.data, str) else row.data
        if not isinstance(data, bytes):
            return None
        try:
            if row.type == LOG:
                entry = _any.decode(data)
                return _log_line(entry) if isinstance(entry, dict) else None
            if row.type == ARRAY:
                rows = [self._nested(bytes(raw)) for raw in _raw_rows.decode(data)]
                return b"[" + b",".join(rows) + b"]"
            return self._nested(data) if row.type == EVENT else None
        except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
            return None

    def _nested(self, text: bytes) -> bytes:
        """Return a flattened object with its groups as objects again; values as they are."""
        tree: dict[str, Any] = {}
        for key, raw in _raw_object.decode(text).items():
            at, parts, depth = tree, key.split("."), 0
            while depth < len(parts) - 1 and ".".join(parts[: depth + 1]) in self._parents:
                at = at.setdefault(parts[depth], {})
                if not isinstance(at, dict):
                    return _one_line(
                        text
                    )  # a group and a value of one name: better flat than wrong
                depth += 1
            if at.setdefault(".".join(parts[depth:]), raw) is not raw:
                return _one_line(text)
        return _one_line(msgspec.json.encode(tree))


def _one_line(text: bytes) -> bytes:
    """Return JSON without line breaks: they can only stand between its parts."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def _same(one: Row, other: Row) -> bool:
    return (one.ms, one.type, one.source) == (
        other.ms,
        other.type,
        other.source,
    ) and other.id == one.id + 1


def _broken(row: Row) -> Chunk:
    data = row.data.encode() if isinstance(row.data, str) else row.data
    raw = data if isinstance(data, bytes) else str(data).encode()
    kind = str(row.type)[:20]
    reason = f"no event, array or log line as Desktop writes them (type {kind})"
    place = Place(first=row.id, unit="row", reason=reason, size=len(raw))
    return Chunk(
        kind=ChunkKind.CAPTURED,
        received=_ns(row.ms) or now_ns(),
        data=_packed(place, raw[:65_536]),
    )


def _packed(place: Place, lines: bytes) -> bytes:
    return msgspec.json.encode(place) + b"\n" + lines


def _log_line(entry: Mapping[str, Any]) -> bytes:
    message, severity = str(entry.get("msg", "")), str(entry.get("severity", "info"))
    stamp = str(entry.get("timestamp", "")).replace(" ", "T", 1)
    level = "".join(filter(str.isalpha, severity.lower())) or "info"
    head = f'time="{stamp}Z" ' if len(stamp) == 19 and '"' not in stamp else ""
    quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{head}level={level} msg="{quoted}"'.encode("utf-8", "backslashreplace")


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return text.replace("\0", "")


def _ns(value: object) -> int | None:
    """Return ns of ms; a run that ended by a crash has 0."""
    if isinstance(value, int) and 0 < value <= MAX_NS // _MS:
        return value * _MS
    return None


def _object(value: object) -> dict[str, Any]:
    data = value.encode() if isinstance(value, str) else value
    try:
        found = _any.decode(data) if isinstance(data, bytes) else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _gadget_name(image: str, catalogue: Catalogue) -> str:
    """Return the catalogue's name where it has the image, else a name that is safe to show."""
    name = short_name(image) if is_reference(image) else image.partition(":")[0]
    return name if _known(name, catalogue) else (name[:120] or "unknown")


def _known(name: str, catalogue: Catalogue) -> Gadget | None:
    if is_reference(name):
        return None
    try:
        return catalogue.get(name)
    except GadgetNotFound:
        return None


def _target(given: Mapping[str, str]) -> Target:
    parts: dict[str, str] = {}
    for manager in _MANAGERS:
        for key, value in given.items():
            part = _TARGETS.get(key.removeprefix(manager)) if key.startswith(manager) else None
            if part:
                parts.setdefault(part, value[:2_000])
    return Target(**parts)


def _params(given: Mapping[str, str], known: Gadget | None) -> dict[str, str]:
    """Return the gadget's own parameters, by their short names where the catalogue has them."""
    found = {}
    for key, value in list(given.items())[:200]:
        if key.startswith(_MANAGERS):
            continue
        param = known.param(key) if known else None
        found[(param.name if param else key)[:200]] = value[:2_000]
    return found


def _sources(info: Mapping[str, Any], known: Gadget | None) -> tuple[DataSource, ...]:
    listed = info.get("dataSources")
    found = []
    for one in listed[:20] if isinstance(listed, list) else ():
        if isinstance(one, dict):
            fields = one.get("fields")
            columns = (
                [_field(each, known) for each in fields[:1_000]] if isinstance(fields, list) else []
            )
            found.append(
                DataSource(
                    name=str(one.get("name", ""))[:253],
                    array=_number(one.get("type"), 1) == _ARRAY_SOURCE,
                    fields=tuple(column for column in columns if column is not None),
                )
            )
    return tuple(found)


def _field(one: object, known: Gadget | None) -> Field | None:
    if not isinstance(one, dict):
        return None
    name = one.get("fullName") or one.get("name")
    if not isinstance(name, str) or not name or len(name) > 253:
        return None
    ours = (
        next((f for s in known.sources for f in s.fields if f.name == name), None)
        if known
        else None
    )
    if ours is not None:
        return ours
    notes = one.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    return Field(
        name=name,
        kind=_kind(one.get("kind")),
        description=str(notes.get("description", ""))[:2_000],
        hidden=bool(_number(one.get("flags"), 0) & _HIDDEN)
        or notes.get("columns.hidden") == "true",
        align_right=notes.get("columns.alignment") == "right",
        template=str(notes.get("template", ""))[:100],
    )


def _kind(value: object) -> str:
    if isinstance(value, str) and value.isidentifier():
        return "" if value == "Invalid" else value
    number = _number(value, 0)
    return _KINDS[number] if 0 < number < len(_KINDS) else ""


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _parents(sources: Iterable[DataSource]) -> Iterator[str]:
    for source in sources:
        for column in source.fields:
            parts = column.name.split(".")
            yield from (".".join(parts[:depth]) for depth in range(1, len(parts)))
