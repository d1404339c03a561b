"""How many events a second one core decodes, beside `json.loads` of the same lines.

`python -m benchmarks.decode [--events 20000]`

CPU time, best of five, over the bundled recordings, in chunks of 500 lines. Before anything is
measured the events are put back together and compared with the recording, byte by byte.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, restore
from igdash.domain.times import now_ns
from igdash.sources.decode import decode_chunk

RECORDINGS = Path(__file__).parent.parent / "examples" / "recordings"
LINES = 500
REPEATS = 5


def chunks_of(data: bytes, events: int) -> list[Chunk]:
    """Return the lines in chunks, repeated until there are enough rows."""
    lines = data.splitlines(keepends=True)
    rows = max(1, sum(line.count(b'"runtime":{') for line in lines))
    lines *= max(1, events // rows)
    now = now_ns()
    return [
        Chunk(kind=ChunkKind.JSON_LINES, received=now, data=b"".join(lines[at : at + LINES]))
        for at in range(0, len(lines), LINES)
    ]


def best(work: Callable[[], object]) -> float:
    """Return the least CPU time (s) of a few runs."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def printed(decoded: Decoded) -> str:
    """Return what the gadget printed."""
    rows = [restore(e.data, e.origin.k8s, e.origin.runtime) for e in decoded.events]
    if not decoded.ticks:
        return "".join(f"{row}\n" for row in rows)
    ticks = (rows[tick.first : tick.first + tick.events] for tick in decoded.ticks)
    return "".join(f"[{','.join(tick)}]\n" for tick in ticks)


def main() -> None:
    """Print a line per recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    wanted = parser.parse_args().events
    print(f"{'recording':<20}{'bytes/event':>12}{'events/s':>12}{'MB/s':>8}{'x json.loads':>14}")
    for path in sorted(RECORDINGS.glob("*/events.jsonl")):
        chunks = chunks_of(path.read_bytes(), wanted)
        decoded = [decode_chunk(chunk) for chunk in chunks]
        assert all(printed(d).encode() == c.data for d, c in zip(decoded, chunks, strict=True))
        events = sum(len(d.events) for d in decoded)
        size = sum(len(c.data) for c in chunks)
        took = best(lambda chunks=chunks: [decode_chunk(chunk) for chunk in chunks])
        plain = best(
            lambda chunks=chunks: [json.loads(x) for c in chunks for x in c.data.splitlines()]
        )
        print(
            f"{path.parent.name:<20}{size / events:>12.0f}{events / took:>12,.0f}"
            f"{size / took / 1e6:>8.0f}{plain / took:>14.1f}"
        )


if __name__ == "__main__":
    main()
