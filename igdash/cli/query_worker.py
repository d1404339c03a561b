"""query-worker: what the web process runs to have questions answered; not for people.

Its stdin is a socket of its owner. The first message says where the store is and how to log, so
that nothing of it shows in the process list.
"""

from __future__ import annotations

import argparse
import logging
import socket
from functools import partial

import msgspec

from igdash.cli import logsetup
from igdash.cli.main import FAILED, OK, complain
from igdash.domain.errors import StoreError
from igdash.services import query_worker as worker
from igdash.services.query_wire import respond
from igdash.settings import LogSettings

log = logging.getLogger(__name__)


class Hello(msgspec.Struct):
    """The first message."""

    store: str
    log: LogSettings


def query_worker(_args: argparse.Namespace) -> int:
    """Answer questions until the owner is gone."""
    try:
        ours = socket.socket(fileno=0)
    except OSError:
        return complain("query-worker is started by igdash itself", FAILED)
    worker.work(ours, _open)
    return OK


def _open(hello: bytes) -> worker.Answer:
    from igdash.bootstrap import answerer

    told = msgspec.msgpack.decode(hello, type=Hello)
    logsetup.configure(told.log, "query")
    try:
        return partial(respond, answerer(told.store))
    except StoreError as error:
        log.error("cannot answer questions: %s", error)  # noqa: TRY400
        raise SystemExit(FAILED) from error
