"""How much memory this process has, wherever it runs, and how often its garbage is looked for."""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path


def rss_bytes() -> int:
    """Return the resident memory of this process in bytes (its peak where /proc is missing)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


def collect_seldom() -> None:
    """Look for cyclic garbage every 50,000 new objects instead of 700, and not among those of now.

    For the collecting process, where every transaction makes thousands of tuples that are in no
    cycle and gone after the commit: looking at them three times was a tenth of the write path.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
