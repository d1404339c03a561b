"""Numbered trace_open events from a daemon, every one stored or counted; CPU and memory per event.

The double of `ig daemon` (a process of its own, on the same cores) plays trace_open as a real gadget
pod sent it, each file with a number, over gRPC. `igdash collect` and `igdash web` run as they do in
life, and the list of sessions is asked for every second as an open page would.

    python -m benchmarks.daemon_rate [--rate 5000] [--seconds 15]

With the address of a real daemon on this machine, a process of its own opens numbered files instead.

    python -m benchmarks.daemon_rate --address unix:///var/run/ig/ig.socket
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

from igdash import store
from igdash.domain.losses import LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId, SessionSpec
from tests.support.collector_process import CollectorProcess
from tests.support.daemon_process import Served, daemon_process
from tests.support.serving import free_port

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


COMM = "igdash-numbers"
OPENER = f"""
import os, sys, time
count, rate = int(sys.argv[1]), float(sys.argv[2])
with open("/proc/self/comm", "w") as comm:
    comm.write("{COMM}")
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
for n in range(1, count + 1):
    try:
        os.open(f"/{COMM}/{{n}}", os.O_RDONLY)
    except OSError:
        pass
    if n % 10 == 0 and (wait := began + n / rate - time.monotonic()) > 0:
        time.sleep(wait)
"""


class Double:
    """The double as the load; it begins by itself when it is asked to run the gadget."""

    params: Mapping[str, str] = {}

    def __init__(self, served: Served) -> None:
        self.counts = served.counts

    def begin(self) -> None:
        """Nothing to do."""


class Opener:
    """A process that opens numbered files, for a real daemon to see."""

    params: Mapping[str, str] = {"comm": COMM}

    def __init__(self, count: int, rate: int) -> None:
        self._count = count
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", OPENER, str(count), str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def begin(self) -> None:
        """Open them from now on. The gadget gets a moment to be attached."""
        time.sleep(3)
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.close()

    def counts(self) -> dict[str, int]:
        """Return what `Served.counts` does; what a real daemon drops, only its losses tell."""
        done = self._count if self._process.poll() is not None else 0
        return {"offered": done, "sent": done, "dropped": 0}


class Run:
    """One measurement in a folder."""

    def __init__(self, folder: Path, address: str, rate: int, seconds: int) -> None:
        self.rate, self.seconds = rate, seconds
        self.port = free_port()
        extra = (
            f'[web]\nport = {self.port}\n[log]\nlevel = "warning"\n'
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
        url = f"http://127.0.0.1:{self.port}/api/sessions?state=running&limit=50&spark=40"
        with urllib.request.urlopen(url, timeout=5) as answer:
            json.load(answer)

    def measure(self, load: Double | Opener) -> None:
        """Collect until everything offered has come, then account for it."""
        before = {name: cpu(pid) for name, pid in self.pids.items()}
        spec = SessionSpec(gadget="trace_open", environment="host", params=load.params)
        session = self.collector.control.start(spec).id
        load.begin()
        began = time.monotonic()
        wanted = self.rate * self.seconds
        while (counts := load.counts())["offered"] < wanted:
            time.sleep(1)
            self.ask_web()
            self.memory.append({name: rss(pid) for name, pid in self.pids.items()})
            assert time.monotonic() - began < self.seconds * 4, counts
        took = time.monotonic() - began
        reader = store.open_reader(self.collector.url)
        self.wait_for_the_rest(reader, session, load)
        used = {name: cpu(pid) - before[name] for name, pid in self.pids.items()}
        self.collector.control.stop(session)
        self.collector.stop_all(30)
        dropped = load.counts()["dropped"]
        print(f"{self.rate:,} events/s asked, {wanted / took:,.0f}/s offered for {took:.1f} s")
        print(f"dropped by the daemon's queue, as it says itself: {dropped:,}")
        stored = self.account(reader, session, wanted)
        reader.close()
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

    def wait_for_the_rest(
        self, reader: store.Reader, session: SessionId, load: Double | Opener
    ) -> None:
        """Return when all has come, or nothing more comes."""
        wanted = self.rate * self.seconds
        had, since = -1, time.monotonic()
        while had < wanted - load.counts()["dropped"] and time.monotonic() - since < 3:
            time.sleep(0.1)
            if (events := reader.sessions.get(session).events) != had:
                had, since = events, time.monotonic()

    def account(self, reader: store.Reader, session: SessionId, wanted: int) -> int:
        """Print what became of every number; return how many are stored."""
        times: dict[int, int] = {}
        twice = 0
        for block in reader.events.stream(session, EventRange(limit=2_000)):
            for event in block:
                row = json.loads(event.data)
                n = int(row["fname"].rpartition("/")[2])
                twice += n in times
                times[n] = row["timestamp_raw"]
        losses = [
            loss
            for loss in reader.records.losses(session)[0]
            if loss.cause in (LossCause.IG_QUEUE, LossCause.KERNEL) and loss.node
        ]
        told = {cause: sum(loss.count for loss in losses if loss.cause is cause) for cause in
                (LossCause.IG_QUEUE, LossCause.KERNEL)}  # fmt: skip
        print(
            f"offered {wanted:,}, stored {len(times):,}, stored twice {twice}, counted as lost with"
            f" node and window: in the queue {told[LossCause.IG_QUEUE]:,}, in the kernel at least"
            f" {told[LossCause.KERNEL]:,}; unaccounted"
            f" {wanted - len(times) - sum(told.values()):,}"
        )
        outside = 0
        for first, last in missing_runs(times, wanted):
            after = times.get(last + 1, times.get(first - 1, 0))
            before = times.get(first - 1, after)
            inside = any(loss.start <= before and after <= loss.end for loss in losses)
            outside += 0 if inside else last - first + 1
        print(f"missing without a loss record around their time: {outside:,}")
        return len(times)

    def close(self) -> None:
        """End both processes."""
        self.web.terminate()
        self.web.wait(20)
        self.collector.close()


def missing_runs(found: Collection[int], wanted: int) -> list[tuple[int, int]]:
    """Return the first and the last of each run of numbers that are not there."""
    runs: list[tuple[int, int]] = []
    for n in range(1, wanted + 1):
        if n not in found:
            first = runs.pop()[0] if runs and runs[-1][1] == n - 1 else n
            runs.append((first, n))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--address", default="", help="of a real daemon on this machine")
    options = parser.parse_args()
    rate, seconds = options.rate, options.seconds
    count = rate * seconds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.address:
            address: str = options.address
            load: Double | Opener = Opener(count, rate)
        else:
            scripts = {"trace_open": {"files": count, "rate": float(rate)}}
            served = stack.enter_context(daemon_process(scripts))
            address, load = served, Double(served)
        run = Run(folder, address, rate, seconds)
        stack.callback(run.close)
        run.measure(load)


if __name__ == "__main__":
    main()
