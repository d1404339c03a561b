"""The double of a cluster's API server in a process of its own: its threads and sockets are not ours.

`python -m tests.support.cluster_process FOLDER tcp://127.0.0.1:PORT` makes a cluster of two nodes whose
gadget pods are both that daemon double, prints the path of a kubeconfig, and serves until its stdin
is closed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def cluster_process(folder: Path, daemon: str) -> Iterator[str]:
    """Run the double; yields the kubeconfig's path."""
    command = (sys.executable, "-m", __name__, str(folder), daemon)
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
    from tests.support.apiserver import api_server

    folder, daemon = sys.argv[1:]
    with api_server(Path(folder)) as server:
        for node in ("worker-1", "worker-2"):
            server.gadget_pod(f"gadget-{node}", node, int(daemon.rpartition(":")[2]))
        print(server.token_config(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
