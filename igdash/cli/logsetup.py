"""igdash's own log: one line per record on stderr, whatever a message contains.

Messages quote what gadgets and clients sent. A line break or an escape sequence in it must not
forge a second record, and a database password must not end up in a log collector.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from igdash.domain.text import masked, visible
from igdash.settings import LogSettings

log = logging.getLogger(__name__)

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_QUIET: Final = ("alembic", "sqlalchemy", "werkzeug", "urllib3")


def configure(settings: LogSettings, part: str) -> None:
    """Send the log of this process, which is the `part` collect, web or serve, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(part) if settings.format == "json" else TextLines(part))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda kind, error, trace: _died("igdash", (kind, error, trace))
    threading.excepthook = lambda args: _died(
        args.thread.name if args.thread else "a thread",
        (args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback),
    )


def _died(what: str, info: ExceptionInfo) -> None:
    """Log what nobody caught, as one record instead of a traceback over many lines."""
    if not issubclass(info[0], (SystemExit, KeyboardInterrupt)):
        log.critical("%s: nobody caught this", what, exc_info=info)


class TextLines(logging.Formatter):
    """`2026-11-22T10:00:00.123Z INFO collect[123] igdash.services.writer: message`."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._who = f"{part}[{os.getpid()}]"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line = f"{_time(record)} {record.levelname} {self._who} {record.name}: {_message(record)}"
        trace = _trace(record)
        return f"{line} | {' | '.join(trace)}" if trace else line


class JsonLines(logging.Formatter):
    """One JSON object per record: ts, level, part, pid, logger, message, trace."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry: dict[str, object] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "part": self._part,
            "pid": record.process,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        trace = _trace(record)
        if trace:
            entry["trace"] = trace
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"


def _message(record: logging.LogRecord) -> str:
    return visible(masked(record.getMessage()))


def _trace(record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    text = logging.Formatter().formatException(record.exc_info)
    return [visible(masked(line.rstrip())) for line in text.splitlines() if line.strip()]
