"""Fill a store with sessions that look real, through the real writer.

`python -m tests.support.seed sqlite:////tmp/x.db --sessions 7 --events 20000`

Lines come from the recordings where there are some, else they are made up. Times are moved so that
the history ends now, with a few losses, log lines and ticks in it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, LogLevel, LogLine, NewEvent, NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import SessionBatch
from igdash.domain.sessions import (
    NewSession,
    Nodes,
    Session,
    SessionId,
    SessionSpec,
    SessionState,
    StateChange,
    Target,
)
from igdash.domain.times import NS, format_ns, now_ns
from igdash.sources.catalogue import load_catalogue
from igdash.sources.decode import decode_chunk
from igdash.store import Writer, open_writer, upgrade

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
BLOCK = 2_000
GADGETS = (
    ("trace_tcp", "production", False),
    ("trace_tcp", "staging", False),
    ("trace_tcp", "demo", False),
    ("trace_dns", "production", False),
    ("trace_exec", "", False),
    ("top_tcp", "production", True),
    ("snapshot_process", "", True),
)
PODS = ("api-7c5d", "cart-5f6b", "web-66dd", "db-0")


def seed(
    url: str,
    *,
    sessions: int = 7,
    events: int = 2_000,
    seconds: int = 600,
    running: bool = True,
    sample: int = 1,
) -> list[Session]:
    """Store `sessions` sessions of `events` events each, spread over the last `seconds`.

    Every third one is left running (unless `running` is False), the others are stopped.
    `sample` seeds the made-up values. Returns the sessions as stored.
    """
    upgrade(url)
    rng = random.Random(sample)
    writer = open_writer(url)
    try:
        return [
            _session(writer, rng, index, events, seconds, running and index % 3 != 2)
            for index in range(sessions)
        ]
    finally:
        writer.close()


def _session(
    writer: Writer, rng: random.Random, index: int, events: int, seconds: int, running: bool
) -> Session:
    gadget, namespace, array = GADGETS[index % len(GADGETS)]
    end = now_ns() - (0 if running else (index + 1) * 60 * NS)
    begin = end - seconds * NS
    session = SessionId(f"{rng.getrandbits(48):012x}")
    spec = SessionSpec(
        gadget=gadget,
        environment="demo",
        name="seeded" if index % 2 else "",
        target=Target(namespace=namespace, pod=PODS[0] if index == 1 else ""),
    )
    command = ("ig", "run", gadget, "-o", "json")
    info = {"image": f"ghcr.io/inspektor-gadget/gadget/{gadget}:latest"}
    sources = load_catalogue().get(gadget).sources
    writer.create(
        NewSession(
            id=session, spec=spec, created=begin, sources=sources, command=command, info=info
        )
    )
    nodes = Nodes(expected=3, connected=3)
    writer.change(session, StateChange(state=SessionState.RUNNING, at=begin, nodes=nodes))
    offset = 0
    for batch in _batches(_lines(gadget, namespace, rng), events, begin, end, array):
        offset += sum(event.size for event in batch.events)
        lost = sum(loss.count for loss in batch.losses if loss.cause is LossCause.WRITER)
        received = len(batch.events) + lost
        writer.append(
            [SessionBatch(session=session, decoded=batch, received=received, spool_offset=offset)]
        )
    if running:
        return writer.change(session, StateChange(state=SessionState.RUNNING, at=end))
    stopped = StateChange(state=SessionState.STOPPED, at=end, reason="stopped by the user")
    return writer.change(session, stopped)


def _batches(
    lines: Iterator[bytes], events: int, begin: int, end: int, array: bool
) -> Iterator[Decoded]:
    done = 0
    while done < events:
        some = [next(lines) for _ in range(min(BLOCK, events - done))]
        chunk = Chunk(kind=ChunkKind.JSON_LINES, received=begin, data=b"\n".join(some) + b"\n")
        decoded = decode_chunk(chunk)
        step = (end - begin) // max(1, events)
        found = tuple(
            NewEvent(begin + (done + i) * step, event.origin, event.data, event.size)
            for i, event in enumerate(decoded.events)
        )
        at = begin + done * step
        ticks = _ticks(len(found), at, step) if array else ()
        loss = Loss(
            node="node-1",
            start=at,
            end=at + NS,
            count=17 + done % 5,
            cause=LossCause.KERNEL,
            detail="reading event: lost samples",
        )
        log = LogLine(ts=at, level=LogLevel.WARNING, node="node-1", text=f"batch at {done}")
        yield replace(decoded, events=found, ticks=ticks, losses=(loss,), logs=(log,))
        done += len(some)


def _ticks(count: int, at: int, step: int) -> tuple[NewTick, ...]:
    rows = 20
    return tuple(
        NewTick(
            ts=at + first * step, node="", source="", first=first, events=min(rows, count - first)
        )
        for first in range(0, count, rows)
    )


def _lines(gadget: str, namespace: str, rng: random.Random) -> Iterator[bytes]:
    """Yield event lines for ever: recorded ones in turn, else made-up ones."""
    recorded = _recorded(gadget)
    while recorded:
        yield from recorded
    while True:
        yield json.dumps(_made_up(gadget, namespace, rng), separators=(",", ":")).encode()


def _recorded(gadget: str) -> Sequence[bytes]:
    for path in sorted(RECORDINGS.glob(f"{gadget}/events.jsonl")):
        rows: list[bytes] = []
        for line in path.read_bytes().splitlines():
            if line.startswith(b"{"):
                rows.append(line)
            elif line.startswith(b"["):
                rows += [
                    json.dumps(row, separators=(",", ":")).encode() for row in json.loads(line)
                ]
        if rows:
            return rows[:20_000]
    return ()


def lines_of(gadget: str) -> Sequence[NewEvent]:
    """Return a gadget's recorded events, decoded, for generators that only change their times."""
    data = b"\n".join(_recorded(gadget)) + b"\n"
    return decode_chunk(Chunk(kind=ChunkKind.JSON_LINES, received=now_ns(), data=data)).events


def _made_up(gadget: str, namespace: str, rng: random.Random) -> dict[str, object]:
    pod = rng.choice(PODS)
    when = now_ns()
    return {
        "dst": {"addr": f"10.0.0.{rng.randrange(250)}", "port": rng.choice((80, 443, 5432))},
        "k8s": {
            "containerName": pod.split("-")[0],
            "hostnetwork": False,
            "namespace": namespace or rng.choice(("production", "staging", "demo")),
            "node": f"node-{len(pod) % 3}",
            "owner": {"kind": "Deployment", "name": pod.split("-")[0]},
            "podLabels": f"app={pod.split('-')[0]}",
            "podName": pod,
        },
        "proc": {
            "comm": rng.choice(("curl", "nginx", "postgres", "python3")),
            "creds": {"gid": 0, "uid": 1000},
            "pid": rng.randrange(1, 400_000),
            "tid": rng.randrange(1, 400_000),
        },
        "runtime": {
            "containerId": f"{abs(hash(pod)) % 2**60:015x}",
            "containerImageName": f"shop/{pod.split('-')[0]}:1.4",
            "runtimeName": "containerd",
        },
        "src": {"addr": f"10.0.1.{rng.randrange(250)}", "port": rng.randrange(1024, 65535)},
        "timestamp": format_ns(when),
        "timestamp_raw": when,
        "type": rng.choice(("connect", "accept", "close")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill a store with sessions that look real.")
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, default=7)
    parser.add_argument("--events", type=int, default=2_000, help="per session")
    parser.add_argument("--seconds", type=int, default=600, help="how long the history is")
    wanted = parser.parse_args()
    for session in seed(
        wanted.url, sessions=wanted.sessions, events=wanted.events, seconds=wanted.seconds
    ):
        print(session.id, session.spec.gadget, session.state.value, session.events)


if __name__ == "__main__":
    main()
