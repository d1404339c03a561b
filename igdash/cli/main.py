"""One command line from words to exit code; every error ends here as one line on stderr."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from igdash.cli.parser import make_parser, tidied
from igdash.domain.errors import IgdashError, SettingsError
from igdash.domain.text import masked, visible

OK, FAILED, USAGE = 0, 1, 2


def run(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that has no letter for a pod's name shows its number, and all that follows.
        sys.stdout.reconfigure(errors="backslashreplace")
    if any("\ud800" <= char <= "\udfff" for word in argv for char in word):
        return complain("the command line holds bytes that are not UTF-8", USAGE)
    try:
        args = make_parser().parse_args(tidied(argv))
    except SystemExit as leave:  # argparse: 0 after --help, 2 after an error it has printed
        return leave.code if isinstance(leave.code, int) else USAGE
    try:
        code = _command(args.run)(args)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        return OK
    except KeyboardInterrupt:
        return 130
    except SettingsError as error:
        return complain(error, USAGE)
    except IgdashError as error:
        return complain(error, FAILED)
    except OSError as error:
        what = error.strerror or str(error)
        return complain(f"{error.filename}: {what}" if error.filename else what, FAILED)
    return code


def complain(problem: object, code: int) -> int:
    """Print the problem as one line on stderr and return `code`."""
    print(f"igdash: {visible(masked(str(problem)))}", file=sys.stderr, flush=True)
    return code


def _command(path: str) -> Callable[[argparse.Namespace], int]:
    module, _, function = path.partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(
        importlib.import_module(module), function
    )
    return command


def _close_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of complaining."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
