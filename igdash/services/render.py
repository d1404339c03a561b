"""Events as JSON bytes, made by splicing the stored text, never by parsing it.

One place decides what an event looks like on the wire, so that a REST page, a socket frame and a
line of an export cannot drift apart; and a 64-bit integer in `data` never meets a float.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from igdash.domain.events import Event
from igdash.domain.ports import EventText
from igdash.domain.times import NS, format_ns


@lru_cache(maxsize=4_096)
def quoted(text: str) -> str:
    """Return `text` as a JSON string. Nodes and sources repeat for thousands of events."""
    return msgspec.json.encode(text).decode()


@lru_cache(maxsize=1_024)
def _second(second: int) -> str:
    return format_ns(second * NS)[:-10]


def time_text(ns: int) -> str:
    """Return `format_ns(ns)`; the text of each second is made once, as events come in bursts."""
    second, rest = divmod(ns, NS)
    return f"{_second(second)}{rest:09d}Z"


@lru_cache(maxsize=4_096)
def _from(node: str, source: str) -> str:
    return f'","node":{quoted(node)},"source":{quoted(source)},"data":'


def event_text(event: Event, session: str = "") -> str:
    """Return the JSON text of one `Event`; with `session`, as the merged listing has it."""
    head = f'{{"session":{quoted(session)},"seq":' if session else '{"seq":'
    return (
        f'{head}{event.seq},"ts":"{time_text(event.ts)}{_from(event.node, event.source)}'
        f"{event.data}}}"
    )


def event_lines(events: Iterable[Event]) -> bytes:
    """Return the events as JSON lines, each with its newline.

    Exports make millions of them, so the parts are joined once and `data` is copied once.
    """
    parts: list[str] = []
    for event in events:
        head = f'{{"seq":{event.seq},"ts":"{time_text(event.ts)}{_from(event.node, event.source)}'
        parts += (head, event.data, "}\n")
    return "".join(parts).encode()


def text_lines(texts: Iterable[EventText]) -> bytes:
    """Return the same lines of events that are plain tuples."""
    parts: list[bytes] = []
    for seq, ts, node, source, data in texts:
        head = f'{{"seq":{seq},"ts":"{time_text(ts)}{_from(node, source)}'
        parts += (head.encode(), data, b"}\n")
    return b"".join(parts)


def events_frame(events: Sequence[Event], last_seq: int) -> bytes:
    """Return the socket frame that carries these events."""
    body = ",".join([event_text(event) for event in events])
    return f'{{"type":"events","events":[{body}],"last_seq":{last_seq}}}'.encode()
