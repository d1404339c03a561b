"""Look at the pages without a collector: `python -m tests.support.devserver --port 8051 --db /tmp/x.db`

Seeds a store, serves REST, sockets and pages, and keeps the seeded running sessions busy. Starting
a session from a page starts one that makes events up.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from werkzeug.serving import make_server

from igdash.api.options import WebOptions
from igdash.services.gadgets import live_sessions
from tests.support.seed import seed
from tests.support.web import FillingControl, Web, web


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8051)
    parser.add_argument("--db", type=Path, default=Path("/tmp/igdash-dev.db"))
    parser.add_argument("--sessions", type=int, default=7)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--quiet", action="store_true", help="no new events")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    url = f"sqlite:///{args.db.absolute()}"
    if not args.db.exists():
        seed(url, sessions=args.sessions, events=args.events)
    with web(url, WebOptions(), FillingControl) as side:
        if not args.quiet:
            _keep_busy(side)
        _add_pages(side)
        server = make_server("127.0.0.1", args.port, side.app, threaded=True)
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


def _keep_busy(side: Web) -> None:
    for session in live_sessions(side.services.sessions.reader):
        if not session.ticks:
            side.control.fill(session.id, every=0.3, batch=7)


def _add_pages(side: Web) -> None:
    try:
        from igdash.ui.app import create_app
    except ImportError as error:
        print(f"no pages yet: {error}", flush=True)
        return
    create_app(side.services, side.app)


if __name__ == "__main__":
    main()
