"""The words of the command line. Imports nothing heavy: this runs for `--help` too."""

from __future__ import annotations

import argparse
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from igdash import __version__
from igdash.domain.text import visible

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
FORMATS: Final = ("table", "wide", "json", "jsonl", "name")
STATES: Final = ("starting", "running", "stopping", "stopped", "interrupted", "failed")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f"{self.prog}: {visible(message)} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets `run` to `module:function`."""
    parser = Parser(
        prog="igdash",
        description="Inspektor Gadget sessions that outlive their viewers.",
        epilog="An ID may be shortened to any prefix that only one session has.",
    )
    _common(parser, None)
    version = f"igdash {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=version, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _serving(commands)
    _looking(commands)
    _changing(commands)
    _asking(commands)
    _scheduling(commands)
    _administering(commands)
    return parser


def tidied(argv: Sequence[str]) -> list[str]:
    """Return the words with `--sort -started` as one, since argparse takes `-started` for options."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--sort" and word.startswith("-"):
            words[-1] = f"--sort={word}"
        else:
            words.append(word)
    return words


def duration(text: str) -> float:
    """Return the seconds of `90`, `10m`, `1h30m`, `500ms`. Raises `ArgumentTypeError`."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    else:
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 10m or 1h30m")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than nothing")
    return seconds


def whole(text: str) -> int:
    """Return a whole number from 0. Raises `ArgumentTypeError`."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number from 1. Raises `ArgumentTypeError`."""
    number = whole(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def moment(text: str) -> int:
    """Return the ns since the epoch of an RFC 3339 time. Raises `ArgumentTypeError`."""
    from igdash.domain.times import parse_time

    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def pair(text: str) -> tuple[str, str]:
    """Return key and value of `KEY=VALUE`. Raises `ArgumentTypeError`."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _common(parser: argparse.ArgumentParser, default: Any = argparse.SUPPRESS) -> None:
    """Options that every command takes, before or after its name."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", default=default, help="configuration (TOML)")
    group.add_argument("--store", metavar="URL", default=default, help="the database (store.url)")
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="settings",
        action="append",
        type=pair,
        default=default,
        help="any setting, e.g. collect.window_ms=50; may be repeated",
    )


def _add(commands: Any, name: str, run: str, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(run=f"igdash.cli.{run}")
    _common(parser)
    return parser


def _output(parser: argparse.ArgumentParser, default: str = "table") -> None:
    parser.add_argument(
        "-o", "--output", choices=FORMATS, default=default, help=f"format (default: {default})"
    )


def _listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (web.host)")
    parser.add_argument("--port", help="port to listen on (web.port)")
    parser.add_argument(
        "--insecure-no-login",
        action="store_true",
        default=None,
        help="listen on an address that others can reach, although igdash has no login",
    )


def _logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", help="debug, info, warning or error (log.level)")
    parser.add_argument("--log-format", help="text or json (log.format)")


def _serving(commands: Any) -> None:
    serve = _add(commands, "serve", "run:serve", "run collector and dashboard, in the foreground")
    web = _add(commands, "web", "run:web", "run the dashboard alone")
    collect = _add(commands, "collect", "run:collect", "run the collector alone")
    exporter = _add(commands, "exporter", "run:exporter", "run scheduled exports alone")
    demo = _add(commands, "demo", "demo:demo", "show igdash on recordings of a real cluster")
    demo.add_argument(
        "folder", nargs="?", help="where the demo keeps its data (default: .igdash/demo)"
    )
    for parser in (serve, web, demo):
        _listening(parser)
    for parser in (serve, web, collect, exporter, demo):
        _logging(parser)
    for parser in (web, collect, exporter):
        parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def _looking(commands: Any) -> None:
    gadgets = _add(commands, "gadgets", "catalogue:gadgets", "list the gadgets, or describe one")
    gadgets.add_argument("name", nargs="?", metavar="NAME", help="or an image reference")
    gadgets.add_argument(
        "-e", "--environment", default="", metavar="ENV", help="as this environment has them"
    )
    _output(gadgets)
    _output(_add(commands, "environments", "catalogue:environments", "list where gadgets can run"))
    instances = _add(
        commands, "instances", "catalogue:instances", "list the gadgets that run headless in ENV"
    )
    instances.add_argument("environment", metavar="ENV")
    _output(instances)
    check = _add(commands, "check", "check:check", "try every gadget of an environment")
    check.add_argument("environment", metavar="ENV")
    check.add_argument(
        "--gadget", metavar="NAME", action="append", default=[], help="only this; may be repeated"
    )
    check.add_argument(
        "--seconds", type=duration, default=5.0, help="how long each runs (default: 5s)"
    )
    _output(check)
    sessions = _add(commands, "sessions", "read:sessions", "list sessions, running and ended")
    sessions.add_argument("--state", choices=STATES, action="append", help="may be repeated")
    sessions.add_argument("--gadget", default="")
    sessions.add_argument("-n", "--namespace", default="")
    sessions.add_argument("-e", "--environment", default="")
    sessions.add_argument("-q", "--query", default="", metavar="TEXT", help="text to look for")
    sessions.add_argument("--sort", default="-started", help="e.g. events, -started (default)")
    sessions.add_argument("--limit", type=positive, help="at most so many (default: all)")
    _output(sessions)
    session = _add(commands, "session", "read:session", "show one session")
    session.add_argument("id", metavar="ID")
    _output(session)
    events = _add(commands, "events", "events:events", "print a session's events")
    events.add_argument("id", metavar="ID")
    events.add_argument("--after", type=whole, metavar="SEQ", help="only events after this seq")
    events.add_argument("--limit", type=positive, help="at most so many (default: all)")
    _filter(events)
    events.add_argument("--from", dest="start", type=moment, metavar="TIME", help="RFC 3339")
    events.add_argument("--to", dest="end", type=moment, metavar="TIME", help="RFC 3339, excluded")
    events.add_argument("-f", "--follow", action="store_true", help="go on until the session ends")
    _output(events)
    losses = _add(commands, "losses", "read:losses", "list what a session lost, and where")
    losses.add_argument("id", metavar="ID")
    _output(losses)
    logs = _add(commands, "logs", "read:logs", "print the log lines of a session's gadget")
    logs.add_argument("id", metavar="ID")
    logs.add_argument("--after", type=whole, default=0, metavar="N", help="only lines after this")
    logs.add_argument("--limit", type=positive, default=500, help="at most so many (default: 500)")
    _output(logs)
    export = _add(commands, "export", "export:export", "write sessions' events to a file")
    export.add_argument("ids", nargs="+", metavar="ID")
    export.add_argument("--format", choices=("jsonl", "csv", "parquet", "html"), default="jsonl")
    export.add_argument(
        "--plain", action="store_true", help="only what the gadget printed, as `ig run -o json`"
    )
    _filter(export)
    export.add_argument("--from", dest="start", type=moment, metavar="TIME", help="RFC 3339")
    export.add_argument("--to", dest="end", type=moment, metavar="TIME", help="RFC 3339, excluded")
    export.add_argument(
        "--seq",
        type=positive,
        action="append",
        default=[],
        help="html: show this event instead of the newest; may be repeated",
    )
    export.add_argument("--output", default="-", metavar="FILE", help="- is stdout (default)")


def _filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filter",
        default="",
        metavar="EXPR",
        help="only events that match, e.g. 'comm ~ curl and dst.port = 443'",
    )


def _changing(commands: Any) -> None:
    start = _add(commands, "start", "change:start", "start a session and print its ID")
    start.add_argument("gadget", metavar="GADGET", nargs="?", help="not needed with --attach")
    start.add_argument("-e", "--environment", metavar="ENV", help="needed when there are several")
    start.add_argument("-n", "--namespace", default="", help="comma list; !name excludes")
    start.add_argument("-p", "--pod", default="")
    start.add_argument("-c", "--container", default="")
    start.add_argument("-l", "--selector", default="", help="label selector, e.g. app=web")
    start.add_argument("--node", default="")
    start.add_argument(
        "--param", metavar="K=V", action="append", type=pair, default=[], help="may be repeated"
    )
    start.add_argument("--duration", type=duration, help="stop after this time, e.g. 10m")
    start.add_argument("--max-events", type=positive, help="stop after so many events")
    start.add_argument("--name", default="", help="a name of your own")
    start.add_argument(
        "--headless", action="store_true", help="let the gadget go on there while igdash is away"
    )
    start.add_argument(
        "--attach", default="", metavar="INSTANCE", help="read a headless instance (id or name)"
    )
    _output(start, "name")
    imports = _add(
        commands, "import", "imports:import_files", "make sessions of files; print their IDs"
    )
    imports.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="what `ig run -o json` printed, a JSONL export, a"
        " session file of Inspektor Gadget Desktop; - is stdin",
    )
    imports.add_argument("--gadget", default="", help="when the events do not tell")
    imports.add_argument("--name", default="", help="a name for the sessions")
    _output(imports, "name")
    for name, what in (("stop", "stop sessions; their events stay"), ("delete", "delete sessions")):
        parser = _add(commands, name, f"change:{name}", what)
        parser.add_argument("ids", nargs="+", metavar="ID")
        if name == "stop":
            parser.add_argument(
                "--keep", action="store_true", help="leave a headless instance running"
            )


def _asking(commands: Any) -> None:
    sql = _add(commands, "sql", "sql:sql", "ask the stored events in SQL")
    sql.add_argument("statement", metavar="SELECT", help="one SELECT over the views; - reads stdin")
    sql.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "jsonl", "csv", "parquet"),
        default="table",
        help="format (default: table); parquet needs --file",
    )
    sql.add_argument("--file", type=Path, metavar="FILE", help="write to a file")
    sql.add_argument(
        "--limit", type=positive, default=100_000, help="at most so many rows (default: 100000)"
    )
    sql.add_argument("--explain", action="store_true", help="how the database would go about it")
    sql.add_argument(
        "--session",
        metavar="ID",
        action="append",
        default=[],
        help="see only this; may be repeated",
    )


def _scheduling(commands: Any) -> None:
    schedules = commands.add_parser("schedules", help="exports that are made again and again")
    below = schedules.add_subparsers(metavar="COMMAND", required=True)
    _output(_add(below, "list", "schedules:list_", "list scheduled exports"))
    show = _add(below, "show", "schedules:show_schedule", "show one and its newest runs")
    show.add_argument("id", metavar="ID", help="or its name")
    show.add_argument("--runs", type=positive, default=20, help="how many runs (default: 20)")
    _output(show)
    _schedule(_add(below, "add", "schedules:add", "make one and print its ID"))
    run = _add(below, "run", "schedules:run", "have one run now, paused or not")
    run.add_argument("id", metavar="ID", help="or its name")
    run.add_argument("--wait", type=duration, metavar="TIME", help="wait until it ended, e.g. 5m")
    _output(run)
    for name, what in (
        ("pause", "let some rest"),
        ("resume", "let some go on, from now"),
        ("delete", "delete some and their history; their files stay"),
    ):
        parser = _add(below, name, f"schedules:{name}", what)
        parser.add_argument("ids", nargs="+", metavar="ID", help="or a name")


def _schedule(add: argparse.ArgumentParser) -> None:
    add.add_argument("name", metavar="NAME")
    when = add.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", metavar="CRON", help="five fields, e.g. '0 * * * *'")
    when.add_argument("--every", type=duration, metavar="TIME", help="or an interval, e.g. 15m")
    add.add_argument("--zone", default="UTC", help="time zone of --cron (default: UTC)")
    add.add_argument("--session", metavar="ID", action="append", default=[], help="may be repeated")
    add.add_argument("--gadget", default="")
    add.add_argument("-n", "--namespace", default="")
    add.add_argument("-e", "--environment", default="", metavar="ENV")
    add.add_argument("--state", choices=STATES, action="append", help="may be repeated")
    _filter(add)
    add.add_argument("--sql", default="", metavar="SELECT", help="export an answer instead")
    formats = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
    add.add_argument("--format", choices=formats, default="jsonl")
    add.add_argument(
        "--to",
        default="",
        metavar="PLACE",
        help="folder below exports.folder, or an allowed s3:// URL",
    )
    add.add_argument("--keep", type=whole, default=0, help="runs whose files stay (default: all)")
    add.add_argument("--paused", action="store_true", help="do not run by itself yet")
    _output(add, "name")


def _administering(commands: Any) -> None:
    database = commands.add_parser("db", help="look after the database")
    below = database.add_subparsers(metavar="COMMAND", required=True)
    _add(below, "upgrade", "admin:upgrade", "create the tables, or bring them to this version")
    _add(below, "check", "admin:check", "look for damage; exit 1 when there is some")
    _output(_add(below, "stats", "admin:stats", "print sizes and counts"))
    _add(
        below, "sql-setup", "admin:sql_setup", "PostgreSQL: make the role and views of `igdash sql`"
    )
    config = commands.add_parser("config", help="look at the settings")
    below = config.add_subparsers(metavar="COMMAND", required=True)
    _output(
        _add(
            below, "show", "admin:show_config", "print effective settings and where they come from"
        )
    )
    _add(commands, "version", "admin:version", "print the version")
    worker = commands.add_parser("query-worker")  # without help it is not listed
    worker.set_defaults(run="igdash.cli.query_worker:query_worker")
