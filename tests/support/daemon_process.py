"""The double of `ig daemon` in a process of its own: its threads and sockets are not ours.

`python -m tests.support.daemon_process ADDRESS '{"trace_tcp": {"play": "kubernetes-trace_tcp"}}'`
prints the address it listens on, its counts for each line it reads, and serves until its stdin is
closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Served(str):
    """The address of a double, as igdash takes it."""

    process: subprocess.Popen[str]

    def counts(self) -> dict[str, int]:
        """Return how many events it offered, dropped at its full queue, and sent."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, int] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def daemon_process(scripts: Mapping[str, Any], address: str = "127.0.0.1:0") -> Iterator[Served]:
    """Run the double."""
    command = (sys.executable, "-m", __name__, address, json.dumps(scripts))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline().strip()
        assert line, "the double did not start"
        served = Served(line)
        served.process = process
        try:
            yield served
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    from tests.support.daemon import Daemon, Script, numbered, opened_files, played

    def script(wanted: dict[str, Any]) -> Script:
        name, count = wanted.pop("play", ""), wanted.pop("numbered", 0)
        made = played(name) if name else numbered(count)
        if "files" in wanted:
            made = opened_files(wanted.pop("files"), wanted["rate"])
        for key, value in wanted.items():
            setattr(made, key, value)
        return made

    address = sys.argv[1]
    scripts = {name: script(wanted) for name, wanted in json.loads(sys.argv[2]).items()}
    daemon = Daemon(scripts, address)
    shown = daemon.address if not address.startswith("unix:") else "unix://" + address[5:]
    print(shown, flush=True)
    for _ in sys.stdin:
        counts = {"offered": daemon.offered, "dropped": daemon.dropped, "sent": daemon.sent}
        print(json.dumps(counts), flush=True)
    daemon.kill()


if __name__ == "__main__":
    main()
