"""A real `igdash serve` on a free port, with a replay environment on the bundled recordings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.waiting import patience, wait_until

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "examples" / "recordings"

CONFIG = """\
[store]
url = "{store}"
state_dir = "{folder}/igdash.state"
[web]
port = {port}
[[environments]]
name = "demo"
kind = "replay"
folder = "{recordings}"
[[environments]]
name = "broken"
kind = "replay"
folder = "nowhere"
"""


def free_port() -> int:
    """Return a port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Serving:
    """One `igdash` installation in a folder: `start` and `stop` run the server, `igdash` any command."""

    def __init__(self, folder: Path, store: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "igdash.toml"
        self.config.write_text(
            CONFIG.format(
                folder=folder,
                store=store or f"sqlite:///{folder}/igdash.db",
                port=self.port,
                recordings=RECORDINGS,
            ),
            encoding="utf-8",
        )
        self.stderr = folder / "stderr"
        self.process: subprocess.Popen[bytes] | None = None

    def argv(self, *words: str) -> list[str]:
        """Return a command line on this installation."""
        return [sys.executable, "-m", "igdash", *words, *self._config(words)]

    def _config(self, words: tuple[str, ...]) -> list[str]:
        """Return the option naming the configuration; the demo writes its own, in the same place."""
        return [] if words[0] == "demo" else ["--config", str(self.config)]

    def start(self, *words: str) -> None:
        """Run `serve` (or what `words` say) and wait until it says where it is."""
        self.spawn(*words)
        seen = self.said().count("igdash is on")
        wait_until(lambda: self.said().count("igdash is on") > seen or self._dead(), timeout=15)
        assert not self._dead(), self.said()

    def spawn(self, *words: str) -> None:
        """Run `serve` (or what `words` say) and do not wait."""
        self.run(self.argv(*(words or ("serve",))))

    def run(self, argv: list[str], cwd: Path = ROOT) -> None:
        """Run a command that stays, as the one that `stop` and `close` end."""
        with self.stderr.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=out,
                start_new_session=True,
            )

    def _dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Signal the parent and return its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        return process.wait(patience(timeout))

    def close(self) -> None:
        """End whatever runs, hard if need be."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                pids = self.children()
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                raise

    def said(self) -> str:
        """Return all of stderr so far."""
        return self.stderr.read_text(encoding="utf-8") if self.stderr.exists() else ""

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command and return how it ended."""
        return subprocess.run(
            self.argv(*words), capture_output=True, text=True, check=False, cwd=ROOT, timeout=100
        )

    def igdash(self, *words: str) -> str:
        """Run a command; return its stdout. Raises `AssertionError` with its stderr."""
        done = self.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return all sessions by id, read from the store."""
        document = json.loads(self.igdash("sessions", "-o", "json"))
        return {session["id"]: session for session in document["sessions"]}

    def get(self, path: str, **headers: str) -> Any:
        """Return the JSON of a GET."""
        wanted = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(wanted, timeout=10) as answer:
            return json.load(answer)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of the answer to another request."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        wanted = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(wanted, timeout=30) as answer:
            return json.load(answer)

    def answers(self) -> bool:
        """Whether the web process answers."""
        try:
            return bool(self.get("/api/stats"))
        except OSError:
            return False

    def is_ready(self) -> bool:
        """Whether web, store and collector all work."""
        try:
            return self.get("/readyz")["status"] == "ready"
        except OSError:
            return False

    def collector(self) -> int:
        """Return the collector's process id, as the startup lines said it last."""
        return int(re.findall(r"collector pid (\d+)", self.said())[-1])

    def children(self) -> list[int]:
        """Return the process ids of collect and web."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def child(self, name: str) -> int:
        """Return the process id of `collect` or `web`."""
        for pid in self.children():
            with contextlib.suppress(OSError):  # it may end meanwhile
                if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
        raise AssertionError(f"no {name} among {self.children()}")
