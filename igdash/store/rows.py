"""Sessions to rows and back: the one place that knows how a session's values are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping

from igdash.domain.gadgets import DataSource
from igdash.domain.sessions import (
    NewSession,
    Nodes,
    Session,
    SessionId,
    SessionSpec,
    SessionState,
    StopAfter,
    Target,
)
from igdash.store.rates import Window, rate

MAX_INT: Final = 2**63 - 1
MIN_INT: Final = -(2**63)


def clean(text: str) -> str:
    """Return `text` as both databases take it: no NUL, no lone surrogates."""
    if text.isascii():
        return text.replace("\0", "�")
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def clamp(number: int) -> int:
    """Return `number` within 64 bits: clocks and counters of others can say anything."""
    return min(max(number, MIN_INT), MAX_INT)


def dump(value: object) -> str:
    """Return JSON text for a small value of ours."""
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def dump_sources(sources: tuple[DataSource, ...]) -> tuple[bytes, str]:
    """Return the content hash and the JSON text of data sources."""
    text = clean(msgspec.json.encode(sources).decode())
    return hashlib.blake2b(text.encode(), digest_size=16).digest(), text


def load_sources(text: str) -> tuple[DataSource, ...]:
    """Return the data sources of their JSON text."""
    return msgspec.json.decode(text, type=tuple[DataSource, ...])


def session_values(new: NewSession, schema_id: int | None) -> dict[str, Any]:
    """Return the column values of a session that begins."""
    spec, target = new.spec, new.spec.target
    texts = {
        "uid": new.id,
        "gadget": clean(spec.gadget),
        "environment": clean(spec.environment),
        "name": clean(spec.name),
        "namespace": clean(target.namespace),
        "pod": clean(target.pod),
        "container": clean(target.container),
        "node": clean(target.node),
    }
    stop = spec.stop_after
    return {
        **texts,
        "search": "\n".join(texts.values()).casefold(),
        "selector": clean(target.selector),
        "params": dump(dict(spec.params)),
        "stop_after": dump({"seconds": stop.seconds, "events": stop.events}),
        "headless": spec.headless,
        "instance": clean(spec.instance),
        "command": dump(list(new.command)),
        "info": dump(dict(new.info)),
        "schema_id": schema_id,
        "state": SessionState.STARTING.value,
        "created": clamp(new.created),
    }


def session_from(row: RowMapping, now: int) -> Session:
    """Return the session of a `sessions` row as it stands at `now` (ns; only the rate depends)."""
    state = SessionState(row["state"])
    window = Window(row["rate_at"], row["rate_now"], row["rate_before"])
    return Session(
        id=SessionId(row["uid"]),
        spec=_spec(row),
        state=state,
        reason=row["reason"],
        created=row["created"],
        started=row["started"],
        stopped=row["stopped"],
        first_event=row["first_ts"],
        last_event=row["last_ts"],
        events=row["event_count"],
        ticks=row["ticks"],
        lost=row["lost"],
        malformed=row["malformed"],
        logs=row["logs"],
        received=row["received"],
        bytes=row["byte_count"],
        rate=0.0 if state.ended else rate(window, now),
        nodes=Nodes(expected=row["nodes_expected"], connected=row["nodes_connected"]),
        last_seq=row["last_seq"],
        command=tuple(json.loads(row["command"])),
        info=json.loads(row["info"]),
    )


def _spec(row: RowMapping) -> SessionSpec:
    stop: Mapping[str, Any] = json.loads(row["stop_after"])
    return SessionSpec(
        gadget=row["gadget"],
        environment=row["environment"],
        name=row["name"],
        target=Target(
            namespace=row["namespace"],
            pod=row["pod"],
            container=row["container"],
            node=row["node"],
            selector=row["selector"],
        ),
        params=json.loads(row["params"]),
        stop_after=StopAfter(seconds=stop["seconds"], events=stop["events"]),
        headless=bool(row["headless"]),
        instance=row["instance"],
    )
