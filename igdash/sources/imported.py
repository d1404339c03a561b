"""Decoding what was imported: as what a gadget prints, but nothing may change on a way back.

Lines carry their number in the file, for whoever asks what is wrong with it. Events of igdash's own
export keep their times, nodes and texts to the byte: where a line is exactly as igdash writes it,
the event's text is cut out of it, white space and all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

import msgspec

from igdash.domain.chunks import Chunk, ChunkKind, Place
from igdash.domain.events import MAX_RAW, Decoded, Malformed, NewEvent
from igdash.domain.times import MAX_NS, parse_time
from igdash.sources.logs import storable

IMPORTED: Final = frozenset({ChunkKind.CAPTURED, ChunkKind.EXPORTED})


class Exported(msgspec.Struct, forbid_unknown_fields=True):
    """One line of igdash's own JSONL."""

    seq: int
    ts: str
    node: str
    source: str
    data: msgspec.Raw


_exported: Final = msgspec.json.Decoder(Exported)
_place: Final = msgspec.json.Decoder(Place)

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

Decode = Callable[[Chunk], Decoded]
Event = Callable[[str, Chunk], NewEvent]


def packed(place: Place, lines: bytes) -> bytes:
    """Return the data of an imported chunk."""
    return msgspec.json.encode(place) + b"\n" + lines


def read_imported(chunk: Chunk, decode: Decode, event: Event) -> Decoded:
    """Return what the lines say; `decode` reads a chunk of a gadget's lines, `event` one event.

    `event` raises an exception whose text is the reason why a text is no event.
    """
    head, _, lines = chunk.data.partition(b"\n")
    plain = replace(chunk, kind=ChunkKind.JSON_LINES, data=lines)
    try:
        place = _place.decode(head)
    except msgspec.DecodeError:
        unknown = Place(first=0, unit="chunk")
        reason = "where it stands in the file cannot be read"
        return Decoded(malformed=(_malformed(plain, unknown, chunk.data, reason, len(chunk.data)),))
    if place.reason:
        return Decoded(malformed=(_malformed(plain, place, lines, place.reason, place.size),))
    if chunk.kind is ChunkKind.EXPORTED:
        return _read_events(plain, place, event)
    decoded = decode(plain)
    if not decoded.malformed:
        return decoded
    return replace(decoded, malformed=tuple(_numbered(plain, place, decoded, decode)))


def _numbered(chunk: Chunk, place: Place, decoded: Decoded, decode: Decode) -> Iterator[Malformed]:
    """Yield the malformed lines with their numbers: there are few, so each line is asked alone."""
    left = len(decoded.malformed)
    for number, raw in enumerate(chunk.data.split(b"\n"), place.first):
        if not left:
            return
        for one in decode(replace(chunk, data=raw)).malformed:
            left -= 1
            yield replace(one, reason=f"{place.unit} {number}: {one.reason}")


def _read_events(chunk: Chunk, place: Place, event: Event) -> Decoded:
    events: list[NewEvent] = []
    malformed: list[Malformed] = []
    for number, raw in enumerate(chunk.data.split(b"\n"), place.first):
        if not raw.strip(b" \t\r"):
            continue
        try:
            events.append(_read_event(raw, chunk, event))
        except Exception as error:  # noqa: BLE001 - whatever it is, the line is kept
            malformed.append(
                _malformed(chunk, replace(place, first=number), raw, _reason(error), len(raw))
            )
    return Decoded(events=tuple(events), malformed=tuple(malformed))


def _read_event(raw: bytes, chunk: Chunk, event: Event) -> NewEvent:
    line = raw.decode().strip(" \t\r")
    head = read_head(line)
    ts = _moment(head.ts)
    prefix = _prefix(head)
    data = line[len(prefix) : -1] if line.startswith(prefix) else bytes(head.data).decode()
    if not data.lstrip(" \t\r").startswith("{"):
        raise ValueError("its data is no object")
    found = event(data, replace(chunk, node=head.node, source=head.source, received=ts))
    return found._replace(ts=ts)


def read_head(line: str) -> Exported:
    """Return the members of a line. Raises `msgspec.DecodeError` (`ValidationError`: other JSON)."""
    try:
        return _exported.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # Half a surrogate pair is JSON, too, and refused by msgspec; the text itself stays as it is.
        plain = _SURROGATE.sub(r"\\ufffd", line)
        head = _exported.decode(plain)
        if not line.startswith(_prefix(head)):
            raise
        return head


def _prefix(head: Exported) -> str:
    node = msgspec.json.encode(head.node).decode()
    source = msgspec.json.encode(head.source).decode()
    return f'{{"seq":{head.seq},"ts":"{head.ts}","node":{node},"source":{source},"data":'


def _moment(text: str) -> int:
    """Return ns. Most texts are of one second and end in nine digits and a Z."""
    if len(text) == 30 and text[19] == "." and text[29] == "Z" and text[20:29].isdecimal():
        ts = _second(text[:19]) + int(text[20:29])
    else:
        ts = parse_time(text)
    if abs(ts) > MAX_NS:
        raise ValueError(f"its time {text} is out of range")
    return ts


@lru_cache(maxsize=1024)
def _second(text: str) -> int:
    return parse_time(text + "Z")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.start})"
    if isinstance(error, msgspec.ValidationError):
        return f"no line of an igdash export: {str(error).replace('`', '')}"
    if isinstance(error, msgspec.DecodeError):
        return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    return str(error) or type(error).__name__


def _malformed(chunk: Chunk, place: Place, raw: bytes, reason: str, size: int) -> Malformed:
    return Malformed(
        ts=chunk.received,
        node=storable(chunk.node),
        raw=raw[:MAX_RAW],
        size=size,
        reason=storable(f"{place.unit} {place.first}: {reason}"),
    )
