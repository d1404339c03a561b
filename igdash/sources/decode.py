"""From a chunk's bytes to events: pure, and fast, because every event of every session passes here.

Only three members of an event are looked at (`k8s`, `runtime`, `timestamp_raw`); the rest is checked
to be JSON and left as text, so what a gadget delivered is what is stored. msgspec's validating skip
costs about 1 µs for a line of 1.4 kB, a tenth of `json.loads`.

`k8s` and `runtime` are half of an event's bytes and repeat for thousands of events. They are cut out
as exact texts and the store keeps each once; `domain.events.restore` puts them back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import (
    MAX_RAW,
    TOKEN_K8S,
    TOKEN_RUNTIME,
    Decoded,
    LogLine,
    Malformed,
    NewEvent,
    NewTick,
    Origin,
    Schema,
)
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss
from igdash.domain.times import MAX_NS
from igdash.sources.imported import IMPORTED, read_imported
from igdash.sources.logs import read_log, storable
from igdash.sources.plain import Known, Memory, plain_events

MAX_DEPTH: Final = 200
"""Nesting beyond this is refused: parsers further on (SQLite, browsers, Python) have limits too."""
MAX_CUT: Final = 16_384
"""Longest `k8s` or `runtime` text that is cut out: an origin must stay small to be worth sharing."""
MAX_NAME: Final = 253
"""Longest name Kubernetes allows; what is longer is cut in the origin, never in the event."""

MAX_KNOWN: Final = 4_096
"""Pairs of `k8s` and `runtime` texts remembered for the fast way, over all places."""

_BLANK: Final = " \t\r"
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_T = TypeVar("_T")
_NOTHING: Final = msgspec.Raw(b"")
_KEY_K8S: Final = '"k8s":'
_KEY_RUNTIME: Final = '"runtime":'
_CUT_K8S: Final = TOKEN_K8S.removeprefix(_KEY_K8S).encode()
_CUT_RUNTIME: Final = TOKEN_RUNTIME.removeprefix(_KEY_RUNTIME).encode()


class _Head(msgspec.Struct):
    k8s: msgspec.Raw = _NOTHING
    runtime: msgspec.Raw = _NOTHING
    timestamp_raw: msgspec.Raw = _NOTHING


_head: Final = msgspec.json.Decoder(_Head)
_rows: Final = msgspec.json.Decoder(list[msgspec.Raw])
_object: Final = msgspec.json.Decoder(dict[str, Any])
_memories: Final[dict[tuple[str, bool, str], Memory]] = {}
_loss: Final = msgspec.json.Decoder(Loss)
_sources: Final = msgspec.json.Decoder(tuple[DataSource, ...])


class NotAnEvent(Exception):
    """A line that cannot be stored as an event; the message is the reason."""


class _Place(NamedTuple):
    """What a pair of `k8s` and `runtime` texts means, and both with their keys, to be found by."""

    namespace: str
    pod: str
    container: str
    node: str
    k8s: str
    runtime: str


class _Found:
    """What has been read of a chunk so far."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.events: list[NewEvent] = []
        self.ticks: list[NewTick] = []
        self.losses: list[Loss] = []
        self.malformed: list[Malformed] = []
        self.logs: list[LogLine] = []
        self.schemas: list[Schema] = []

    def reject(self, line: bytes, reason: str) -> None:
        self.malformed.append(
            Malformed(
                ts=self.chunk.received,
                node=storable(self.chunk.node),
                raw=line[:MAX_RAW],
                size=len(line),
                reason=storable(reason),
            )
        )

    def decoded(self) -> Decoded:
        return Decoded(
            events=tuple(self.events),
            ticks=tuple(self.ticks),
            losses=tuple(self.losses),
            malformed=tuple(self.malformed),
            logs=tuple(self.logs),
            schemas=tuple(self.schemas),
        )


def decode_chunk(chunk: Chunk) -> Decoded:
    """Return what the chunk says, in order. Never raises: what cannot be read is `Malformed`.

    Each line that is not blank becomes an event, a tick with its rows, a loss, a log line or a
    malformed line. White space around a line's array is not part of it. An unfinished last line
    (`chunk.partial`) that is complete JSON all the same is an event.
    """
    if chunk.kind in IMPORTED:
        return read_imported(chunk, decode_chunk, _event)
    found = _Found(chunk)
    if chunk.kind is ChunkKind.LOG_LINES:
        _read_logs(found)
        return found.decoded()
    if chunk.kind is ChunkKind.JSON_LINES and not chunk.partial:
        plain = _plain(chunk)
        if plain is not None:
            return Decoded(events=tuple(plain))
    read = _READ[chunk.kind]
    unfinished = b"" if not chunk.partial else chunk.data[chunk.data.rfind(b"\n") + 1 :]
    whole = chunk.data[: len(chunk.data) - len(unfinished)]
    for line in _lines(whole, found):
        _try(read, line, found, "")
    for line in _lines(unfinished, found):
        _try(read, line, found, "the stream ended inside this line: ")
    return found.decoded()


def _plain(chunk: Chunk) -> list[NewEvent] | None:
    place = (chunk.node, chunk.assumed, chunk.source)
    memory = _memories.get(place)
    if memory is None:
        memory = _memories[place] = Memory(partial(_known, *place))
    return plain_events(chunk.data, chunk.received, memory)


def _known(node: str, assumed: bool, source: str, line: str) -> Known | None:
    if sum(1 + len(one.known) for one in list(_memories.values())) > MAX_KNOWN:
        _memories.clear()
    try:
        head = _head.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    k8s, runtime = bytes(head.k8s), bytes(head.runtime)
    place = _place(k8s, runtime)
    origin = _origin(node, assumed, source, place, bool(place.k8s), bool(place.runtime))
    members = (_CUT_K8S if place.k8s else k8s, _CUT_RUNTIME if place.runtime else runtime)
    return Known((place.k8s, place.runtime), members, origin, MAX_DEPTH)


def _lines(data: bytes, found: _Found) -> Iterator[str]:
    """Yield the lines that are not blank; those that are not UTF-8 are put aside."""
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        yield from _lines_one_by_one(data, found)
        return
    for line in lines:
        if line and line.strip(_BLANK):
            yield line


def _lines_one_by_one(data: bytes, found: _Found) -> Iterator[str]:
    for raw in data.split(b"\n"):
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            found.reject(raw, f"not UTF-8 (byte {error.start})")
            continue
        if line.strip(_BLANK):
            yield line


def _try(read: Callable[[str, _Found], None], line: str, found: _Found, why: str) -> None:
    try:
        read(line, found)
    except NotAnEvent as error:
        found.reject(line.encode(), f"{why}{error}")


def _read_line(line: str, found: _Found) -> None:
    if line[0] == "{":
        found.events.append(_event(line, found.chunk))
        return
    text = line.strip(_BLANK)
    if text[0] == "{":
        found.events.append(_event(line, found.chunk))
    elif text[0] == "[":
        _read_array(text, found)
    else:
        raise NotAnEvent(_why_no_container(text))


def _why_no_container(text: str) -> str:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "not JSON"
    kind = "null" if value is None else type(value).__name__
    return f"neither an object nor an array but {kind}"


def _read_array(text: str, found: _Found) -> None:
    """One array is one tick; all of its rows are events or the whole line is malformed."""
    _check_depth(text)
    events = [_event(row, found.chunk) for row in split_rows(text)]
    found.ticks.append(
        NewTick(
            ts=events[0].ts if events else found.chunk.received,
            node=events[0].origin.node if events else storable(found.chunk.node),
            source=storable(found.chunk.source),
            first=len(found.events),
            events=len(events),
        )
    )
    found.events.extend(events)


def split_rows(text: str) -> list[str]:
    """Return the rows of an array's text: joined with commas and bracketed they are it again.

    Raises `NotAnEvent` when it is no array of objects.
    """
    plain = text
    try:
        raws = _rows.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        plain = _without_surrogates(text, error)
        raws = _retry(_rows, plain)
    rows = [bytes(raw).decode() for raw in raws]
    if any(row[0] != "{" for row in rows):
        raise NotAnEvent("an array with an element that is no object")
    if plain is text and len(text) == sum(map(len, rows)) + max(len(rows), 1) + 1:
        return rows
    return [text[start:end] for start, end in _spans(plain, rows)]


def _spans(text: str, rows: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where each row lies, the white space around it included."""
    start = 1
    for row in rows:
        end = text.index(row, start) + len(row)
        while text[end] not in ",]":
            end += 1
        yield start, end
        start = end + 1


def _event(line: str, chunk: Chunk) -> NewEvent:
    _check_depth(line)
    try:
        head = _head.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return _odd_event(line, chunk, error)
    size = len(line) if line.isascii() else len(line.encode())
    k8s, runtime = bytes(head.k8s), bytes(head.runtime)
    ts = _timestamp(bytes(head.timestamp_raw)) or chunk.received
    return NewEvent(ts, *_cut(line, chunk, _place(k8s, runtime)), size)


def _odd_event(line: str, chunk: Chunk, error: Exception) -> NewEvent:
    head = _retry(_head, _without_surrogates(line, error))
    place = _place(bytes(head.k8s), bytes(head.runtime))
    ts = _timestamp(bytes(head.timestamp_raw)) or chunk.received
    origin = _origin(chunk.node, chunk.assumed, chunk.source, place, False, False)
    return NewEvent(ts, origin, line, len(line.encode()))


def _without_surrogates(text: str, error: Exception) -> str:
    """Return `text` as long as it was, without the escapes that msgspec refuses.

    Lone surrogates in escapes are JSON too (RFC 8259, 8.2). Only for reading: the text stays.
    """
    plain = _SURROGATE.sub(r"\\ufffd", text)
    if plain == text:
        raise NotAnEvent(_reason(error)) from error
    return plain


def _retry(decoder: msgspec.json.Decoder[_T], text: str) -> _T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnEvent(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error).removeprefix("JSON is malformed: ")
    return f"not JSON: {text[0].lower()}{text[1:]}"


def _check_depth(text: str) -> None:
    if text.count("{") + ("[" in text and text.count("[")) <= MAX_DEPTH or text[:2] == "[{":
        # The second case is an array of rows: each row is checked on its own.
        return
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside, escaped = escaped or char != '"', char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "}]":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise NotAnEvent(f"nested too deeply: {deepest} levels, at most {MAX_DEPTH}")


def _timestamp(raw: bytes) -> int:
    """Return a sane time in ns, else 0. Digits only: a float has lost what it pretends to say."""
    if 0 < len(raw) <= 19 and raw.isdigit():
        ts = int(raw)
        return ts if ts <= MAX_NS else 0
    return 0


def _cut(line: str, chunk: Chunk, place: _Place) -> tuple[Origin, str]:
    """Return the origin and the line without its `k8s` and `runtime` texts.

    Only when there can be no doubt: no token is in the line already, and after the cut the token is
    what the object's own member says. A nested member of the same text that comes first, an escaped
    key or white space make it differ: then the line stays whole.
    """
    known = (chunk.node, chunk.assumed, chunk.source, place)
    k8s, runtime = place.k8s, place.runtime
    at = line.find(k8s) if k8s else -1
    data = line if at < 0 else line[:at] + TOKEN_K8S + line[at + len(k8s) :]
    end = data.find(runtime) if runtime else -1
    if end >= 0:
        data = data[:end] + TOKEN_RUNTIME + data[end + len(runtime) :]
    if data is line:
        return _origin(*known, False, False), line
    head = _head.decode(data)
    sound = (at < 0 or bytes(head.k8s) == _CUT_K8S) and (
        end < 0 or bytes(head.runtime) == _CUT_RUNTIME
    )
    if not sound or ("@" in line and _has_token(line)):
        return _origin(*known, False, False), line
    return _origin(*known, at >= 0, end >= 0), data


def _has_token(line: str) -> bool:
    return TOKEN_K8S in line or TOKEN_RUNTIME in line


@lru_cache(maxsize=4096)
def _origin(
    node: str, assumed: bool, source: str, place: _Place, cut_k8s: bool, cut_runtime: bool
) -> Origin:
    given = storable(node)[:MAX_NAME]
    return Origin(
        node=place.node or given if assumed else given or place.node,
        source=storable(source)[:MAX_NAME],
        namespace=place.namespace,
        pod=place.pod,
        container=place.container,
        k8s=place.k8s.removeprefix(_KEY_K8S) if cut_k8s else "",
        runtime=place.runtime.removeprefix(_KEY_RUNTIME) if cut_runtime else "",
    )


@lru_cache(maxsize=4096)
def _place(k8s: bytes, runtime: bytes) -> _Place:
    """Return what the texts mean; parsed once per pair, as they repeat."""
    place = _place_of(_parse(k8s), _parse(runtime))
    return place._replace(k8s=_needle(_KEY_K8S, k8s), runtime=_needle(_KEY_RUNTIME, runtime))


def _needle(key: str, raw: bytes) -> str:
    return key + raw.decode() if raw[:1] == b"{" and len(raw) <= MAX_CUT else ""


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        return _object.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _place_of(k8s: dict[str, Any], runtime: dict[str, Any]) -> _Place:
    return _Place(
        namespace=_name(k8s, "namespace"),
        pod=_name(k8s, "podName"),
        container=_name(k8s, "containerName") or _name(runtime, "containerName"),
        node=_name(k8s, "node"),
        k8s="",
        runtime="",
    )


def _name(member: dict[str, Any], key: str) -> str:
    value = member.get(key)
    return storable(value)[:MAX_NAME] if isinstance(value, str) else ""


def _read_loss(line: str, found: _Found) -> None:
    try:
        found.losses.append(_loss.decode(line))
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnEvent(_reason(error)) from error


def _read_schema(line: str, found: _Found) -> None:
    try:
        sources = _sources.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnEvent(_reason(error)) from error
    chunk = found.chunk
    found.schemas.append(Schema(ts=chunk.received, node=storable(chunk.node), sources=sources))


def _read_logs(found: _Found) -> None:
    chunk = found.chunk
    for raw in chunk.data.split(b"\n"):
        text = raw.decode("utf-8", "backslashreplace").rstrip("\r")
        if not text.strip(_BLANK):
            continue
        line, loss = read_log(text, chunk.node, chunk.received)
        found.logs.append(line)
        if loss is not None:
            found.losses.append(loss)


_READ: Final[dict[ChunkKind, Callable[[str, _Found], None]]] = {
    ChunkKind.JSON_LINES: _read_line,
    ChunkKind.LOSS: _read_loss,
    ChunkKind.SCHEMA: _read_schema,
}
