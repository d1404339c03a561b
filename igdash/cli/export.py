"""export: whole sessions to a file or to stdout, in constant memory.

A file is written beside its place and moved there at the end: what has the wanted name is whole.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from igdash.bootstrap import open_desk
from igdash.cli.context import settings_of
from igdash.cli.events import readable_filter
from igdash.cli.main import OK
from igdash.domain.errors import InvalidQuery
from igdash.services.exports import Export, Format
from igdash.services.report_facts import Wanted


def export(args: argparse.Namespace) -> int:
    """Write the sessions' events one after the other."""
    if args.start is not None and args.end is not None and args.start >= args.end:
        raise InvalidQuery("--to", "must be later than --from")
    if args.format == "html":
        return _report(args)
    if args.seq:
        raise InvalidQuery("--seq", "is for --format html")
    wanted = Export(
        format=Format(args.format),
        plain=args.plain,
        filter=args.filter,
        start=args.start,
        end=args.end,
    )
    if wanted.format is not Format.JSONL and len(args.ids) > 1:
        why = "takes one session: each gadget has columns of its own"
        raise InvalidQuery(f"--format {wanted.format}", why)
    desk = open_desk(settings_of(args))
    with readable_filter(args.filter):
        streams = [desk.exports.open(desk.sessions.resolve(prefix), wanted) for prefix in args.ids]
    if args.output == "-":
        _copy(streams, sys.stdout.buffer)
    else:
        _write(streams, Path(args.output))
    return OK


def _report(args: argparse.Namespace) -> int:
    if args.plain or len(args.ids) > 1:
        raise InvalidQuery("--format html", "is a report of one session, and never plain")
    desk = open_desk(settings_of(args))
    wanted = Wanted(filter=args.filter, start=args.start, end=args.end, seqs=tuple(args.seq))
    with readable_filter(args.filter):
        stream = desk.reports.open(desk.sessions.resolve(args.ids[0]), wanted)
    if args.output == "-":
        _copy([stream], sys.stdout.buffer)
    else:
        _write([stream], Path(args.output))
    return OK


def _copy(streams: list[Iterator[bytes]], out: BinaryIO) -> None:
    for stream in streams:
        for block in stream:
            out.write(block)
    out.flush()


def _write(streams: list[Iterator[bytes]], path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe or a device
        with path.open("wb") as out:
            _copy(streams, out)
        return
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as out:
            _copy(streams, out)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
