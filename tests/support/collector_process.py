"""A real collector process on fake `ig` binaries, to be killed, stopped and started again."""

from __future__ import annotations

import bisect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from igdash import store
from igdash.domain.control import CollectorStats
from igdash.domain.errors import CollectorUnavailable, StoreError, WrongState
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import Session, SessionId, SessionSpec, StopAfter, Target
from igdash.services.control_client import ControlClient
from tests.support import generator
from tests.support.collecting import wait_until

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = Path(generator.__file__)


class CollectorProcess:
    """`igdash collect` in a folder; `rates` maps environment names to generator rates."""

    def __init__(
        self,
        folder: Path,
        rates: Mapping[str, str],
        *,
        url: str = "",
        state_dir: Path | None = None,
        extra: str = "",
    ) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/igdash.db"
        self.state_dir = state_dir or folder / "state"
        self.control = ControlClient(self.state_dir / "control.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "collector.log"
        self._config = folder / "igdash.toml"
        text = f'[store]\nurl = "{self.url}"\nstate_dir = "{self.state_dir}"\n{extra}\n'
        for name, rate in rates.items():
            command = json.dumps([sys.executable, str(GENERATOR), str(folder), rate])
            text += f'[[environments]]\nname = "{name}"\nkind = "ig"\ncommand = {command}\n'
        self._config.write_text(text)

    def start(self, timeout: float = 20.0) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        wait_until(self._answers, timeout, f"collector up; {self.tail()}")

    def spawn(self) -> None:
        """Start it."""
        argv = [sys.executable, "-m", "igdash", "collect", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.tail()
        return self.stats() is not None

    def stats(self) -> CollectorStats | None:
        """Return the collector's stats, None when it does not answer."""
        try:
            return self.control.stats()
        except CollectorUnavailable:
            return None

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3_000:] if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout: float = 30.0) -> int:
        """SIGTERM; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def close(self) -> None:
        """End it, however it is; its gadgets end with their pipes."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def session(self, environment: str, key: str, stop_after: StopAfter | None = None) -> SessionId:
        """Start a session whose numbers are kept under `key`."""
        spec = SessionSpec(
            gadget="trace_tcp",
            environment=environment,
            target=Target(namespace=key),
            stop_after=stop_after or StopAfter(),
        )
        return self.control.start(spec).id

    def stop_all(self, timeout: float = 30.0) -> None:
        """Stop every session and wait until all is stored."""
        reader = store.open_reader(self.url)
        try:
            for session in _all(reader):
                if not session.state.ended:
                    with suppress(WrongState):  # its end is on its way already
                        self.control.stop(session.id)
            wait_until(
                lambda: all(session.state.ended for session in _all(reader)), timeout, "all ended"
            )
        finally:
            reader.close()


def _all(reader: store.Reader) -> tuple[Session, ...]:
    from igdash.domain.queries import SessionQuery

    return reader.sessions.list(SessionQuery(limit=500)).sessions


class Account:
    """What is stored of one session, held against what its generator sent."""

    def __init__(self, url: str, session: SessionId, sent: Mapping[int, int]) -> None:
        reader = store.open_reader(url)
        try:
            self.session = reader.sessions.get(session)
            self.numbers: list[int] = []
            seqs: list[int] = []
            for block in reader.events.stream(session, EventRange(limit=5_000)):
                seqs.extend(event.seq for event in block)
                self.numbers.extend(json.loads(event.data)["n"] for event in block)
            self.losses: tuple[Loss, ...] = reader.records.losses(session, limit=100_000)[0]
        finally:
            reader.close()
        self.sent = sent
        assert seqs == list(range(1, len(seqs) + 1)), "seq is not dense"

    @property
    def missing(self) -> set[int]:
        return set(self.sent) - set(self.numbers)

    @property
    def lost_writer(self) -> int:
        return sum(loss.count for loss in self.losses if loss.cause is LossCause.WRITER)

    def check(self) -> None:
        """What must hold after whatever happened."""
        session, stored = self.session, len(self.numbers)
        assert len(set(self.numbers)) == stored, "duplicates"
        assert set(self.numbers) <= set(self.sent), "stored what was never sent"
        assert (session.events, session.last_seq) == (stored, stored)
        assert session.received == stored + self.lost_writer
        assert session.lost == sum(loss.count for loss in self.losses)
        windows = [(loss.start, loss.end) for loss in self.losses]
        for number in sorted(self.missing):
            at = self.sent[number]
            inside = any(start <= at <= end for start, end in windows)
            assert inside, f"{number} at {at} is in none of {windows}: {self._around(number)}"

    def _around(self, number: int) -> str:
        stored = sorted(self.numbers)
        place = bisect.bisect(stored, number)
        near = [(n, self.sent[n]) for n in stored[max(place - 2, 0) : place + 2]]
        begun = (self.session.created, self.session.started)
        return f"created and started {begun}; the stored ones beside it {near}"


def database_says(url: str) -> list[str]:
    """Return what the store's own check finds wrong."""
    try:
        return store.check(url)
    except StoreError as error:
        return [str(error)]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def generators(folder: Path) -> list[int]:
    """Return the pids of the generators of this folder, but for those asked for their version."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"version" in argv:
                continue
            if os.fsencode(GENERATOR) in argv and os.fsencode(folder) in argv:
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


def nap(seconds: float) -> None:
    """Let time pass: the one thing a test of a random moment needs."""
    time.sleep(seconds)
