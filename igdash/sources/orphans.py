"""Which gadget processes run for which session, on disk: so that they do not outlive a killed igdash.

Most end by themselves at their next line, as nobody reads their pipe any more. A quiet one would
stay, and the resumed session would have two.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from igdash.domain.sessions import SessionId
from igdash.sources.process import reap

TIMEOUT: Final = 5.0
"""Seconds an orphan has to end."""
_ID: Final = re.compile(r"[0-9a-f]{1,64}")


class Orphans:
    """Notes of running gadget processes in a folder, one small file per session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(
        self, session: SessionId, process: tuple[int, int] | None, argv: Sequence[str]
    ) -> None:
        """Remember the process of a session. A full disk does not stop the session."""
        if process is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = json.dumps({"pid": process[0], "start": process[1], "argv": list(argv)})
            self._path(session).write_text(text, "utf-8")

    def forget(self, session: SessionId) -> None:
        """The process of this session is gone."""
        with contextlib.suppress(OSError):
            self._path(session).unlink(missing_ok=True)

    def reap(self, session: SessionId) -> str:
        """End what a former igdash left running for this session; say what was found, "" = nothing."""
        path = self._path(session)
        try:
            noted = json.loads(path.read_text("utf-8"))
            pid, start, argv = int(noted["pid"]), int(noted["start"]), list(noted["argv"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        ended = reap(pid, start, TIMEOUT, argv)
        self.forget(session)
        return f"a gadget process of a former igdash was ended (pid {pid})" if ended else ""

    def _path(self, session: SessionId) -> Path:
        if not _ID.fullmatch(session):
            raise ValueError(f"{session!r} is no session id")
        return self._folder / f"{session}.pid"
