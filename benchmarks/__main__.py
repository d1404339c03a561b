"""Every benchmark, one after the other: quick ones to see that all work, or those of the README.

`python -m benchmarks [NAME…] [--full]`

Quick is the default: small histories, few seconds, the figures mean little. `--full` runs each with
its own defaults, as benchmarks/README.md gives them: the better part of an hour. Each runs in a
process of its own; those that fail are named at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
QUICK: Final = {
    "cluster_scale": "--nodes 10 --sessions 2 --seconds 5",
    "daemon_rate": "--rate 1000 --seconds 5",
    "decode": "--events 5000",
    "decode_elements": "",
    "exports": "--events 50000",
    "imports": "--mb 20",
    "ingest": "--events 20000 --rounds 2",
    "native_transport": "--messages 10000",
    "queries": "--events 50000",
    "store_insert": "--events 10000 --repeats 3",
    "store_queries": "--events 50000 --repeats 20",
    "sustained": "--seconds 30 --sessions 5",
    "view_click": "--events 20000 --switches 6",
    "view_query": "--events 20000 --turns 2 --seconds 3",
}
"""Arguments that make each take some seconds."""


def benchmarks() -> list[str]:
    """Return the modules here that measure; the others are helpers."""
    found = [path for path in sorted(HERE.glob("*.py")) if not path.stem.startswith("_")]
    return [path.stem for path in found if '__name__ == "__main__"' in path.read_text()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks (see benchmarks/README.md).")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--full", action="store_true", help="as the README gives them")
    wanted = parser.parse_args()
    known = benchmarks()
    if unknown := set(wanted.names) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {known}")
    failed = []
    for name in wanted.names or known:
        more = [] if wanted.full else QUICK[name].split()
        command = ["-m", f"benchmarks.{name}", *more]
        print(f"\n== python {' '.join(command)}", flush=True)
        begun = time.monotonic()
        done = subprocess.run([sys.executable, *command], cwd=HERE.parent)
        took = f"{time.monotonic() - begun:.0f} s"
        print(f"-- {took}" if done.returncode == 0 else f"-- failed after {took}", flush=True)
        failed += [name] if done.returncode else []
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
