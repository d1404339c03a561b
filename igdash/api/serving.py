"""Serving the WSGI application: by gunicorn where it can run, else by Werkzeug."""

from __future__ import annotations

import importlib.util
import logging
import signal
import socket
import sys

from igdash.api.server import Served, ServerOptions, listen, url_of, when_owner_dies
from igdash.domain.threads import spawn


def serve(served: Served, options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; ends by `SystemExit` or returns. Raises `PortBusy`."""
    listener = listen(options.host, options.port, patience=options.patience)
    if importlib.util.find_spec("fcntl") and importlib.util.find_spec("gunicorn"):
        from igdash.api import embedded

        embedded.serve(served, options, listener)
    else:
        _werkzeug(served, options, listener)


def _werkzeug(served: Served, options: ServerOptions, listener: socket.socket) -> None:
    """Serve where gunicorn cannot run (Windows)."""
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host, port = listener.getsockname()[:2]
    app = served.build()
    server = make_server(host, port, app, threaded=True, fd=listener.fileno())

    def end(_number: int, _frame: object) -> None:
        spawn("stop", served.stop)
        spawn("shutdown", server.shutdown)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if options.owned:
        when_owner_dies(server.shutdown)
    spawn("started", lambda: served.started(url_of(listener)))
    server.serve_forever()
    sys.exit(0)
