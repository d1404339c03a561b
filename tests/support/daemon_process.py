"""The double of `ig daemon` in a process of its own: its threads and sockets are not ours.

`python -m tests.support.daemon_process ADDRESS '{"trace_tcp": {"play": "kubernetes-trace_tcp"}}'`
prints the address it listens on and serves until its stdin is closed.
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


@contextmanager
def daemon_process(scripts: Mapping[str, Any], address: str = "127.0.0.1:0") -> Iterator[str]:
    """Run the double; yields its address as igdash takes it."""
    command = (sys.executable, "-m", __name__, address, json.dumps(scripts))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline().strip()
        assert line, "the double did not start"
        try:
            yield line
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    from tests.support.daemon import Daemon, Script, numbered, played

    def script(wanted: dict[str, Any]) -> Script:
        name, count = wanted.pop("play", ""), wanted.pop("numbered", 0)
        made = played(name) if name else numbered(count)
        for key, value in wanted.items():
            setattr(made, key, value)
        return made

    address = sys.argv[1]
    scripts = {name: script(wanted) for name, wanted in json.loads(sys.argv[2]).items()}
    daemon = Daemon(scripts, address)
    shown = daemon.address if not address.startswith("unix:") else "unix://" + address[5:]
    print(shown, flush=True)
    sys.stdin.read()
    daemon.kill()


if __name__ == "__main__":
    main()
