"""How many files a process may have open: the usual 1,024 are soon used up, and what then cannot be
opened is a gadget not started or an event not kept."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)


def allow_files(wanted: int, *, what: str, instead: str) -> None:
    """Let this process have so many files open, or as many as the system grants.

    When that is less, `what` could need them and `instead` is the other way out, for the log.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    except (OSError, ValueError):  # macOS has a limit below the one it tells
        granted = soft
    if granted < wanted:
        log.warning(
            "only %d files may be open, %s could need %d: raise the limit"
            " (ulimit -n, LimitNOFILE=) or %s",
            granted,
            what,
            wanted,
            instead,
        )
