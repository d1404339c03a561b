"""serve, web, collect, exporter: the commands that stay.

A child of `serve` exits with `EXIT_REFUSED` after one line on stderr when starting it again would
change nothing: a busy port, a database it may not touch, another collector.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Final

from igdash import settings as all_settings
from igdash.api import server
from igdash.bootstrap import same_python
from igdash.cli import context, logsetup
from igdash.cli.main import FAILED, OK, complain
from igdash.domain.errors import AlreadyRunning, SettingsError, StoreRefused
from igdash.domain.text import masked
from igdash.services.supervisor import EXIT_REFUSED, READY, Child, Supervisor
from igdash.settings import Settings

DRAIN: Final = 5.0
"""Seconds the collector may take to drain after a SIGTERM; with the web's and some slack below 10."""
EXPORT_GRACE: Final = 2.0
"""Seconds for a run to be broken off; what it has not told by then is judged at the next start."""
NICENESS: Final = 10
"""Exports wait for whatever else wants the processor."""
WEB_GRACE: Final = 3.0
"""Seconds for requests in flight; gunicorn keeps idle connections for two of them."""
PORT_PATIENCE: Final = 8.0
"""How long (s) a restarted web process waits for the port of its killed predecessor."""
FIRST_WORD: Final = 5.0
"""How long (s) the startup line waits for the collector to answer."""


def serve(args: argparse.Namespace) -> int:
    """Run collector, web and exporter as children, until SIGINT or SIGTERM."""
    settings = context.settings_of(args)
    return supervise(settings, all_settings.child_environ(context.overrides(args), args.config))


def supervise(settings: Settings, environ: Mapping[str, str]) -> int:
    """Check what can be checked at once, then run the children with `environ`."""
    logsetup.configure(settings.log, "serve")
    web = settings.web
    server.check_bind(web.host, insecure_no_login=web.insecure_no_login)
    server.check_port(web.host, web.port)
    python, environ = same_python(environ)
    return Supervisor(
        [
            Child(  # first, so that it can still tell the collector what becomes of its run
                name="exporter",
                argv=[*python, "exporter", "--supervised"],
                environ=environ,
                after="collect",
                grace=EXPORT_GRACE,
            ),
            Child(
                name="collect",
                argv=[*python, "collect", "--supervised"],
                environ=environ,
                grace=DRAIN + 0.5,
            ),
            Child(
                name="web",
                argv=[*python, "web", "--supervised"],
                environ=environ,
                after="collect",
                grace=WEB_GRACE + 1.0,
            ),
        ]
    ).run()


def collect(args: argparse.Namespace) -> int:
    """Run the collector until SIGINT, SIGTERM or, supervised, the end of stdin."""
    settings = context.settings_of(args)
    logsetup.configure(settings.log, "collect")
    os.umask(0o077)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    if args.supervised:
        server.when_owner_dies(done.set)
    from igdash.bootstrap import CollectRuntime

    try:
        runtime = CollectRuntime(settings)
        runtime.start()
    except (AlreadyRunning, StoreRefused, SettingsError) as error:
        return _refuse(error, args)
    _say_ready(args)
    done.wait()
    runtime.stop(DRAIN)
    return OK


def exporter(args: argparse.Namespace) -> int:
    """Run scheduled exports until SIGINT, SIGTERM or, supervised, the end of stdin."""
    settings = context.settings_of(args)
    logsetup.configure(settings.log, "exporter")
    os.umask(0o077)
    os.nice(NICENESS)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    if args.supervised:
        server.when_owner_dies(done.set)
    from igdash.bootstrap import ExportRuntime

    try:
        runtime = ExportRuntime(settings, done)
    except (StoreRefused, SettingsError) as error:
        return _refuse(error, args)
    _say_ready(args)
    runtime.run()
    return OK


def web(args: argparse.Namespace) -> int:
    """Run the dashboard until SIGINT, SIGTERM or, supervised, the end of stdin."""
    settings = context.settings_of(args)
    logsetup.configure(settings.log, "web")
    os.umask(0o077)
    from igdash.api import serving
    from igdash.bootstrap import WebRuntime, open_history

    try:
        server.check_bind(settings.web.host, insecure_no_login=settings.web.insecure_no_login)
        open_history(settings).close()
        runtime = WebRuntime(settings)
        served = server.Served(
            build=runtime.start,
            started=lambda url: _announce(url, settings, args),
            stop=runtime.stop,
        )
        serving.serve(
            served,
            server.ServerOptions(
                host=settings.web.host,
                port=settings.web.port,
                max_sockets=settings.web.max_sockets,
                graceful=WEB_GRACE,
                patience=PORT_PATIENCE if args.supervised else 0.0,
                owned=args.supervised,
            ),
        )
    except (server.PortBusy, StoreRefused, SettingsError) as error:
        return _refuse(error, args)
    return OK


def _refuse(error: Exception, args: argparse.Namespace) -> int:
    return complain(error, EXIT_REFUSED if args.supervised else FAILED)


def _say_ready(args: argparse.Namespace) -> None:
    if args.supervised:
        with contextlib.suppress(OSError):
            os.write(1, READY)


def _announce(url: str, settings: Settings, args: argparse.Namespace) -> None:
    """Print the one line that says where igdash is, once the collector answers or after a while."""
    from igdash.bootstrap import collector_pid

    _say_ready(args)
    pid = collector_pid(settings)
    tries = int(FIRST_WORD / 0.2) if args.supervised else 0
    pause = threading.Event()
    while pid is None and tries > 0:
        pause.wait(0.2)
        pid = collector_pid(settings)
        tries -= 1
    collector = f"collector pid {pid}" if pid else "no collector answers"
    line = f"igdash is on {url} (store {masked(settings.store.url)}, {collector})"
    print(line, file=sys.stderr, flush=True)
