"""A web side under the real server, in a process of its own: prints `URL SESSION`, then serves.

With a second argument at most so many files may be open."""

from __future__ import annotations

import resource
import sys
from contextlib import ExitStack

from flask import Flask

from igdash.api.options import WebOptions
from igdash.api.server import Served, ServerOptions
from igdash.api.serving import serve
from tests.support.web import Web, web

SOCKETS = 12


def main(path: str) -> None:
    """Serve a store at `path` with one session that keeps getting events."""
    stack = ExitStack()
    made: list[Web] = []

    def build() -> Flask:
        side = stack.enter_context(web(f"sqlite:///{path}", WebOptions(max_sockets=SOCKETS)))
        made.append(side)
        return side.app

    def started(url: str) -> None:
        session = made[0].session()
        made[0].control.fill(session, every=0.02, batch=10)
        print(url.removeprefix("http://"), session, flush=True)

    def stop() -> None:
        made[0].services.close()

    options = ServerOptions(host="127.0.0.1", port=0, max_sockets=SOCKETS, owned=True)
    serve(Served(build=build, started=started, stop=stop), options)


if __name__ == "__main__":
    for files in map(int, sys.argv[2:]):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    main(sys.argv[1])
