"""Numbered trace_open events from a daemon, every one stored or counted; CPU and memory per event.

The double of `ig daemon` (a process of its own, on the same cores) plays trace_open as a real gadget
pod sent it, each file with a number, over gRPC. `igdash collect` and `igdash web` run as they do in
life, and the list of sessions is asked for every second as an open page would.

    python -m benchmarks.daemon_rate [--rate 5000] [--seconds 15]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from igdash import store
from igdash.domain.losses import LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionSpec
from tests.support.collector_process import CollectorProcess
from tests.support.daemon_process import Served, daemon_process

ROOT = Path(__file__).resolve().parents[1]
MIB = 1024 * 1024
BUDGET = 60.0
"""What the issue allows over all our processes, µs of CPU per stored event."""


def tree(pid: int) -> list[int]:
    """Return a process and all it started (gunicorn's worker is a child of `igdash web`)."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [pid, *(one for child in below for one in tree(int(child)))]


def cpu(pid: int) -> float:
    """Return the CPU seconds a process and all it started have used."""
    total = 0
    for one in tree(pid):
        stat = Path(f"/proc/{one}/stat").read_text("ascii").rpartition(")")[2].split()
        total += int(stat[11]) + int(stat[12])
    return total / 100


def rss(pid: int) -> float:
    """Return the resident memory of a process and all it started in MiB."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text("ascii").split()[1]) for one in tree(pid))
    return pages * 4096 / MIB


class Run:
    """One measurement in a folder."""

    def __init__(self, folder: Path, address: str, rate: int, seconds: int) -> None:
        self.rate, self.seconds = rate, seconds
        extra = (
            '[web]\nport = 18052\n[log]\nlevel = "warning"\n'
            f'[[environments]]\nname = "host"\nkind = "ig-daemon"\naddress = "{address}"\n'
        )
        self.collector = CollectorProcess(folder, {}, extra=extra)
        self.collector.start()
        argv = [sys.executable, "-m", "igdash", "web", "--config", str(folder / "igdash.toml")]
        with (folder / "web.log").open("ab") as log:
            self.web = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
        while not self.web_answers():
            time.sleep(0.2)
        assert self.collector.process is not None
        self.pids = {"collect": self.collector.process.pid, "web": self.web.pid}
        self.memory: list[dict[str, float]] = []

    def web_answers(self) -> bool:
        """Whether the web process is up."""
        try:
            self.ask_web()
        except OSError:
            assert self.web.poll() is None, "igdash web ended"
            return False
        return True

    def ask_web(self) -> None:
        """Do what an open page does."""
        url = "http://127.0.0.1:18052/api/sessions?state=running&limit=50&spark=40"
        with urllib.request.urlopen(url, timeout=5) as answer:
            json.load(answer)

    def measure(self, served: Served) -> None:
        """Collect until everything offered has come, then account for it."""
        before = {name: cpu(pid) for name, pid in self.pids.items()}
        began = time.monotonic()
        session = self.collector.control.start(
            SessionSpec(gadget="trace_open", environment="host")
        ).id
        wanted = self.rate * self.seconds
        while (counts := served.counts())["offered"] < wanted:
            time.sleep(1)
            self.ask_web()
            self.memory.append({name: rss(pid) for name, pid in self.pids.items()})
            assert time.monotonic() - began < self.seconds * 4, counts
        took = time.monotonic() - began
        reader = store.open_reader(self.collector.url)
        until = time.monotonic() + 20
        while served.counts()["sent"] + counts["dropped"] < wanted and time.monotonic() < until:
            time.sleep(0.1)
        while reader.sessions.get(session).events < wanted - counts["dropped"]:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        used = {name: cpu(pid) - before[name] for name, pid in self.pids.items()}
        self.collector.control.stop(session)
        self.collector.stop_all(30)
        found: set[int] = set()
        twice = 0
        for block in reader.events.stream(session, EventRange(limit=2_000)):
            for event in block:
                n = int(json.loads(event.data)["fname"].rpartition("/")[2])
                twice += n in found
                found.add(n)
        losses, _ = reader.records.losses(session)
        lost = sum(loss.count for loss in losses if loss.cause is LossCause.IG_QUEUE)
        reader.close()
        stored = len(found)
        print(f"{self.rate:,} events/s asked, {wanted / took:,.0f}/s offered for {took:.1f} s")
        print(
            f"offered {wanted:,}, dropped by the daemon's queue {counts['dropped']:,}, stored"
            f" {stored:,}, counted as lost with node and window {lost:,}, stored twice {twice},"
            f" unaccounted {wanted - stored - lost:,}"
        )
        for name, seconds in used.items():
            print(
                f"CPU of {name}: {seconds:.2f} s, {seconds / stored * 1e6:.1f} µs per stored event"
            )
        total = sum(used.values()) / stored * 1e6
        print(f"CPU over all our processes: {total:.1f} µs per stored event (budget {BUDGET:.0f})")
        warm = self.memory[len(self.memory) // 3 :]
        for name in self.pids:
            first, last = warm[0][name], warm[-1][name]
            print(f"memory of {name}: {first:.1f} -> {last:.1f} MiB")

    def close(self) -> None:
        """End both processes."""
        self.web.terminate()
        self.web.wait(20)
        self.collector.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    files = {"files": options.rate * options.seconds, "rate": float(options.rate)}
    with (
        tempfile.TemporaryDirectory() as name,
        daemon_process({"trace_open": files}) as served,
    ):
        run = Run(Path(name), served, options.rate, options.seconds)
        try:
            run.measure(served)
        finally:
            run.close()


if __name__ == "__main__":
    main()
