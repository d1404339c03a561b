"""A large file through the real path: `igdash import` hands it to `igdash collect`, which stores it.

    python -m benchmarks.imports [--mb 1000] [--store URL] [--check]

The file is recorded trace_tcp events over and over. Printed are the rate, and the resident memory of
both processes as it goes on: it must not grow with the file. `--check` compares the checksum of the
plain export with that of the file.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from igdash import store
from igdash.domain.imports import ImportStatus
from igdash.domain.sessions import Session
from tests.support.collector_process import CollectorProcess

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "examples" / "recordings" / "trace_tcp" / "events.jsonl"
MIB = 1024 * 1024
LOOK = 0.1


def write_file(path: Path, megabytes: int) -> tuple[int, str]:
    """Write a capture of that size; return its lines and its checksum."""
    block = RECORDING.read_bytes()
    digest, lines, size = hashlib.sha256(), 0, 0
    with path.open("wb") as file:
        while size < megabytes * 1_000_000:
            file.write(block)
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n")
    return lines, digest.hexdigest()


def memory(pid: int, what: str) -> float:
    """Return `VmRSS` or `VmHWM` of a process in MiB, 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0.0
    found = status.partition(f"{what}:")[2].split()
    return int(found[0]) / 1024 if found else 0.0


class Run:
    """One import in a folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.collector = CollectorProcess(folder, {}, url=url)
        self.highest = {"collect": 0.0, "import": 0.0}

    def status(self) -> ImportStatus | None:
        """Return how far the import is."""
        return next(iter(self.collector.control.imports()), None)

    def go(self, path: Path) -> float:
        """Import the file; return the seconds from the call of the command to its end."""
        assert self.collector.process is not None
        pids = {"collect": self.collector.process.pid}
        config = str(self.folder / "igdash.toml")
        argv = [sys.executable, "-m", "igdash", "import", str(path), "--config", config]
        began, told = time.perf_counter(), 0
        command = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
        pids["import"] = command.pid
        while command.poll() is None:
            for name, pid in pids.items():
                self.highest[name] = max(self.highest[name], memory(pid, "VmHWM"))
            status = self.status()
            if status is not None and status.read * 10 // max(status.size, 1) > told:
                told = status.read * 10 // status.size
                now = "  ".join(f"{n} {memory(p, 'VmRSS'):6.1f} MiB" for n, p in pids.items())
                print(f"{told * 10:4} %  {time.perf_counter() - began:7.1f} s  {now}", flush=True)
            time.sleep(LOOK)
        assert command.returncode == 0, self.collector.tail()
        return time.perf_counter() - began


def checked(folder: Path, session: Session) -> str:
    """Return the checksum of the plain export."""
    config = str(folder / "igdash.toml")
    argv = [sys.executable, "-m", "igdash", "export", session.id, "--plain", "--config", config]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        digest = hashlib.sha256()
        while block := command.stdout.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--mb", type=int, default=1_000, help="size of the file, in millions of bytes"
    )
    parser.add_argument("--store", default="", help="default: SQLite in a temporary folder")
    parser.add_argument(
        "--check", action="store_true", help="compare the plain export with the file"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "capture.jsonl"
        lines, sha256 = write_file(path, args.mb)
        run = Run(folder, args.store)
        run.collector.start()
        try:
            idle = memory(run.collector.process.pid, "VmRSS") if run.collector.process else 0.0
            seconds = run.go(path)
            status = run.status()
            assert status is not None
            reader = store.open_reader(run.collector.url)
            session = reader.sessions.get(status.sessions[0])
            reader.close()
            size = path.stat().st_size
            print(f"{size / 1e6:,.0f} MB, {lines:,} lines in {seconds:.1f} s")
            print(f"{size / 1e6 / seconds:.1f} MB/s, {session.events / seconds:,.0f} events/s")
            print(f"stored {session.events:,}, lost {session.lost}, malformed {session.malformed}")
            print(f"peak RSS: collect {run.highest['collect']:.1f} MiB (idle {idle:.1f}),"
                  f" import {run.highest['import']:.1f} MiB")  # fmt: skip
            assert (session.events, session.lost, session.malformed) == (lines, 0, 0)
            if args.check:
                assert checked(folder, session) == sha256, "the plain export is not the file"
                print("plain export = file, byte for byte")
        finally:
            run.collector.close()


if __name__ == "__main__":
    main()
