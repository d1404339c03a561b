"""import: files become sessions, read by the running collector, whose progress shows on stderr."""

from __future__ import annotations

import argparse
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from igdash.bootstrap import control_client, open_history
from igdash.cli.context import settings_of
from igdash.cli.main import FAILED, OK, complain
from igdash.cli.output import show, size
from igdash.cli.shapes import SESSION
from igdash.domain.errors import CollectorUnavailable, IgdashError, InvalidSpec, WrongState
from igdash.domain.imports import ImportRequest, ImportState, ImportStatus
from igdash.domain.ports import Control
from igdash.domain.sessions import Session
from igdash.domain.text import visible
from igdash.services.uploads import Uploads
from igdash.settings import Settings

BLOCK: Final = 1024 * 1024
LOOK: Final = 0.25
"""Seconds between two looks at how far an import is."""


def import_files(args: argparse.Namespace) -> int:
    """Import the files one after the other; go on after one that is refused."""
    settings = settings_of(args)
    control = control_client(settings)
    code = OK
    found: list[Session] = []
    for file in args.files:
        try:
            status = _wait(control, _begin(control, settings, file, args))
            found += _stored(control, settings, status)
        except InvalidSpec as error:
            code = complain(f"{file}: {_reason(error)}", FAILED)
            continue
        if status.state is not ImportState.DONE:
            code = complain(f"{file}: {status.reason}", FAILED)
    if found or args.output == "json":
        show(found, SESSION, args.output)
    return code


def _begin(
    control: Control, settings: Settings, file: str, args: argparse.Namespace
) -> ImportStatus:
    if file == "-":
        return _send(control, settings, sys.stdin.buffer, "stdin", args)
    path = Path(file)
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        with path.open("rb") as opened:
            if not regular:
                return _send(control, settings, opened, path.name, args)
    except OSError as error:
        why = error.strerror or str(error)
        raise InvalidSpec({"file": f"cannot be read: {why}"}) from error
    return control.import_file(
        ImportRequest(path=str(path.absolute()), file=path.name, name=args.name, gadget=args.gadget)
    )


def _send(
    control: Control, settings: Settings, opened: BinaryIO, name: str, args: argparse.Namespace
) -> ImportStatus:
    """Keep what comes out of a pipe as a file first: the collector reads no pipes of others."""
    uploads = Uploads(control=control, folder=settings.import_dir)
    wanted = ImportRequest(path="", file=name, name=args.name, gadget=args.gadget)
    return uploads.take(_blocks(opened), wanted)


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    while block := opened.read(BLOCK):
        yield block


def _wait(control: Control, status: ImportStatus) -> ImportStatus:
    """Return the import once it is over, telling of it on stderr in between."""
    pause = threading.Event()
    shown = False
    try:
        while status.finished is None:
            if sys.stderr.isatty():
                shown = True
                print(f"\r{_progress(status)}\033[K", end="", file=sys.stderr, flush=True)
            pause.wait(LOOK)
            status = _again(control, status)
    except KeyboardInterrupt:
        _stop(control, status)
        raise
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr)
    print(f"{visible(status.file)}: {_progress(status)}", file=sys.stderr, flush=True)
    return status


def _again(control: Control, status: ImportStatus) -> ImportStatus:
    for one in control.imports():
        if one.id == status.id:
            return one
    raise CollectorUnavailable(
        f"the collector was started again during the import; what was read of {status.file} is in"
        f" session {', '.join(status.sessions)}"
    )


def _progress(status: ImportStatus) -> str:
    share = 100 * status.read // max(status.size, 1)
    return (
        f"{share} % of {size(status.size)}, {status.lines:,} lines"
        f" ({status.format.value}), {status.state.value}"
    )


def _stop(control: Control, status: ImportStatus) -> None:
    for session in status.sessions[-1:]:
        try:
            control.stop(session)
        except WrongState:
            continue
        except IgdashError as error:
            complain(error, FAILED)


def _stored(control: Control, settings: Settings, status: ImportStatus) -> list[Session]:
    """Return the sessions once their ends are stored, behind the last of their events.

    Raises `CollectorUnavailable`: nobody is left who would store them.
    """
    reader = open_history(settings)
    pause = threading.Event()
    try:
        found = [reader.sessions.get(session) for session in status.sessions]
        while not all(session.state.ended for session in found):
            control.imports()
            pause.wait(LOOK / 5)
            found = [reader.sessions.get(session) for session in status.sessions]
        return found
    finally:
        reader.close()


def _reason(error: InvalidSpec) -> str:
    return error.problems.get("file", str(error))
