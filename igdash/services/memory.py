"""How much memory this process has, wherever it runs."""

from __future__ import annotations

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
