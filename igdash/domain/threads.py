"""The one place that makes threads: named, daemonic, their last words logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


def spawn(name: str, work: Callable[[], None]) -> threading.Thread:
    """Start `work` in a daemon thread called `name` and return it for joining.

    An exception that escapes is logged with its traceback: a thread never dies silently.
    """

    def run() -> None:
        try:
            work()
        except Exception:
            log.exception("thread %s died", name)
            raise

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
