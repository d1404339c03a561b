"""Scheduled and streamed exports of a big session: events/s per core and memory, per format.

`python benchmarks/exports.py [--events 1000000] [--store URL] [--formats jsonl,csv]`

Each format is exported by a process of its own, as the exporter does it (written, synced, read back),
and as a stream without a file. RSS is the most that process held, the interpreter included; growth is
by how much that is more than it held, all modules loaded, before it read the first event.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def child(url: str, how: str, folder: str) -> None:
    from igdash.domain.queries import EventRange, SessionQuery
    from igdash.domain.schedules import ExportFormat
    from igdash.services import export_files, parquet_rows
    from igdash.services.export_runs import BLOCK
    from igdash.services.render import text_lines
    from igdash.store import open_reader

    reader = open_reader(url)
    [session] = reader.sessions.list(SessionQuery()).sessions
    if how in ("parquet", "jsonl.zst"):
        parquet_rows.require()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    blocks = reader.events.stream(session.id, EventRange(limit=BLOCK))
    if how == "stream":
        texts = reader.events.texts(session.id, EventRange(limit=BLOCK))
        size = sum(len(text_lines(block)) for block in texts)
        rows = session.events
    else:
        path = Path(folder) / f"x.{how}"
        sources = reader.sessions.schema(session.id)
        if ExportFormat(how) in export_files.LINES:
            texts = reader.events.texts(session.id, EventRange(limit=BLOCK))
            written = export_files.write_texts(path, ExportFormat(how), texts)
        else:
            written = export_files.write_events(path, ExportFormat(how), sources, blocks)
        export_files.verify(path, ExportFormat(how), written)
        rows, size = written.rows, written.bytes
    elapsed, used = time.perf_counter() - started, time.process_time() - cpu
    rss = resident("VmHWM")
    print(
        json.dumps(
            {
                "rows": rows,
                "bytes": size,
                "s": elapsed,
                "cpu": used,
                "rss": rss,
                "more": rss - before,
            }
        )
    )


def resident(what: str) -> float:
    """Return memory of this process in MiB: `VmRSS` now, `VmHWM` at most."""
    return int(Path("/proc/self/status").read_text().split(f"{what}:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--store", default="")
    parser.add_argument("--formats", default="stream,jsonl,jsonl.gz,jsonl.zst,csv,parquet")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = args.store
        if not url:
            from tests.support.seed import seed

            url = f"sqlite:///{folder}/x.db"
            seed(url, sessions=1, events=args.events, running=False)
        print(
            f"{'export':10} {'events':>12} {'MB':>8} {'events/s':>10} {'per core':>10}"
            f" {'RSS':>9} {'growth':>9}"
        )
        for how in args.formats.split(","):
            argv = [sys.executable, __file__, "--child", url, how, folder]
            done = subprocess.run(argv, check=True, capture_output=True, text=True, env=os.environ)
            one = json.loads(done.stdout)
            print(
                f"{how:10} {one['rows']:12,} {one['bytes'] / 1e6:8.1f} {one['rows'] / one['s']:10,.0f}"
                f" {one['rows'] / one['cpu']:10,.0f} {one['rss']:5.1f} MiB {one['more']:5.1f} MiB"
            )


if __name__ == "__main__":
    main()
