"""Twenty sessions at once for minutes: nothing unaccounted, how far behind, memory of both processes.

Real processes: twenty gadgets that number their events, `igdash collect` and `igdash web`, whose
list of sessions is asked for every second as an open page would. Prints a line every ten seconds
and at the end what was sent, stored, lost by our own bound, and the memory of both processes at the
start, in the middle and at the end, with its growth after warm-up (a quarter of the time).

    python -m benchmarks.sustained [--seconds 600] [--sessions 20] [--rate 1100]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from igdash import store
from igdash.domain.queries import SessionQuery
from tests.support.collector_process import CollectorProcess
from tests.support.generator import RECORD

ROOT = Path(__file__).resolve().parents[1]
MIB = 1024 * 1024


def rss(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * 4096 / MIB


def cpu(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def sent_count(folder: Path) -> int:
    """Return how many events all generators sent."""
    return sum(path.stat().st_size // RECORD.size for path in folder.glob("*.sent"))


class Run:
    """One measurement."""

    def __init__(self, folder: Path, sessions: int, rate: int) -> None:
        self.folder = folder
        extra = '[web]\nport = 18051\n[log]\nlevel = "warning"\n'
        self.collector = CollectorProcess(folder, {"load": str(rate)}, extra=extra)
        self.collector.start()
        argv = [sys.executable, "-m", "igdash", "web", "--config", str(folder / "igdash.toml")]
        with (folder / "web.log").open("ab") as log:
            self.web = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
        self.ids = {
            f"load-{n}": self.collector.session("load", f"load-{n}") for n in range(sessions)
        }
        self.memory: list[tuple[float, float, float]] = []
        """Seconds since the start, MiB of collect, MiB of web."""
        self.lag = 0.0

    def ask_web(self) -> None:
        """Do what an open page does."""
        url = "http://127.0.0.1:18051/api/sessions?state=running&limit=50&spark=40"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                json.load(answer)
        except OSError as error:
            print(f"  web does not answer: {error}")

    def watch(self, seconds: float) -> None:
        """Look every second, print every ten."""
        assert self.collector.process is not None
        pids = self.collector.process.pid, self.web.pid
        began, next_line = time.monotonic(), 10.0
        self.memory.append((0.0, rss(pids[0]), rss(pids[1])))
        last = (time.monotonic(), sent_count(self.folder), [cpu(pid) for pid in pids])
        while (elapsed := time.monotonic() - began) < seconds:
            time.sleep(1.0)
            self.ask_web()
            stats = self.collector.stats()
            if stats is None or elapsed < next_line:
                continue
            next_line += 10.0
            now = (time.monotonic(), sent_count(self.folder), [cpu(pid) for pid in pids])
            span = now[0] - last[0]
            shares = [
                (after - before) / span for before, after in zip(last[2], now[2], strict=True)
            ]
            self.memory.append((elapsed, rss(pids[0]), rss(pids[1])))
            self.lag = max(self.lag, stats.lag_ms)
            print(
                f"  {elapsed:5.0f} s  sent {(now[1] - last[1]) / span:8,.0f}/s"
                f"  stored {stats.rate:8,.0f}/s  lag {stats.lag_ms:6.0f} ms"
                f"  backlog {stats.backlog_bytes / MIB:6.1f} MiB"
                f"  collect {self.memory[-1][1]:6.1f} MiB {shares[0]:.2f} cores"
                f"  web {self.memory[-1][2]:6.1f} MiB {shares[1]:.2f} cores  {stats.trouble}",
                flush=True,
            )
            last = now

    def finish(self) -> None:
        """Stop, then account for every event."""
        self.collector.stop_all(120)
        self.collector.close()
        self.web.terminate()
        self.web.wait(20)
        reader = store.open_reader(self.collector.url)
        found = {s.id: s for s in reader.sessions.list(SessionQuery(limit=200)).sessions}
        reader.close()
        total = stored = lost = 0
        for key, session in self.ids.items():
            sent = (self.folder / f"{key}.sent").stat().st_size // RECORD.size
            item = found[session]
            total, stored, lost = total + sent, stored + item.events, lost + item.lost
            if sent != item.events + item.lost or item.received != sent:
                print(f"  UNACCOUNTED {key}: sent {sent}, stored {item.events}, lost {item.lost}")
        print(
            f"sent {total:,}, stored {stored:,}, lost {lost:,}, unaccounted {total - stored - lost}"
        )
        print(f"worst lag seen {self.lag:.0f} ms")
        self.tell_memory()

    def tell_memory(self) -> None:
        """Print both processes' memory at start, middle and end, and its growth after warm-up."""
        seen = self.memory
        warm = seen[len(seen) // 4 :]
        for name, index in (("collect", 1), ("web", 2)):
            told = ", ".join(
                f"{when} ({point[0]:.0f} s) {point[index]:.1f}"
                for when, point in zip(
                    ("start", "middle", "end"),
                    (seen[0], seen[len(seen) // 2], seen[-1]),
                    strict=True,
                )
            )
            growth = (warm[-1][index] - warm[0][index]) / warm[0][index]
            print(f"memory of {name} in MiB: {told}; {growth:+.1%} after {warm[0][0]:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rate", type=int, default=1_100, help="events per second and session")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = Run(Path(name), options.sessions, options.rate)
        began = time.monotonic()
        try:
            run.watch(options.seconds)
        finally:
            seconds = time.monotonic() - began
            sent = sent_count(Path(name))
            load = os.getloadavg()[0]
            print(
                f"{options.sessions} sessions, {sent / seconds:,.0f} events/s sent, load {load:.1f}"
            )
            run.finish()


if __name__ == "__main__":
    main()
