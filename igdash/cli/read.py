"""sessions, session, losses, logs: what the store knows, no collector needed."""

from __future__ import annotations

import argparse
from dataclasses import replace

from igdash.bootstrap import open_desk
from igdash.cli.context import settings_of
from igdash.cli.main import OK, USAGE, complain
from igdash.cli.output import show, show_one
from igdash.cli.shapes import LOG, LOSS, SESSION
from igdash.domain.ports import SessionReader
from igdash.domain.queries import MAX_LIMIT, SessionQuery, SessionSort
from igdash.domain.sessions import Session, SessionState
from igdash.domain.values import near


def sessions(args: argparse.Namespace) -> int:
    """List sessions."""
    name = args.sort.removeprefix("-")
    if name not in tuple(SessionSort):
        allowed = ", ".join(SessionSort)
        why = f"unknown {name!r}{near(name, SessionSort)}; known: {allowed}"
        return complain(f"--sort: {why}", USAGE)
    query = SessionQuery(
        states=tuple(SessionState(state) for state in args.state or ()),
        gadget=args.gadget,
        namespace=args.namespace,
        environment=args.environment,
        text=args.query,
        sort=SessionSort(name),
        descending=args.sort.startswith("-"),
    )
    desk = open_desk(settings_of(args))
    found, total = _all(desk.reader.sessions, query, args.limit)
    show(found, SESSION, args.output, total=total)
    return OK


def session(args: argparse.Namespace) -> int:
    """Show one session."""
    show_one(open_desk(settings_of(args)).sessions.get(args.id), SESSION, args.output)
    return OK


def losses(args: argparse.Namespace) -> int:
    """List the loss records of a session."""
    desk = open_desk(settings_of(args))
    found, total = desk.history.losses(desk.sessions.resolve(args.id), limit=MAX_LIMIT)
    show(found, LOSS, args.output, total=total)
    return OK


def logs(args: argparse.Namespace) -> int:
    """Print the log lines of a session."""
    desk = open_desk(settings_of(args))
    limit = min(args.limit, MAX_LIMIT)
    found, total = desk.history.logs(desk.sessions.resolve(args.id), after=args.after, limit=limit)
    show(found, LOG, args.output, total=total)
    return OK


def _all(
    reader: SessionReader, query: SessionQuery, limit: int | None
) -> tuple[list[Session], int]:
    """Return all matching sessions (at most `limit`) and how many match."""
    found: list[Session] = []
    while True:
        page = reader.list(_next(query, len(found), limit))
        found += page.sessions
        if not page.sessions or len(found) >= min(page.total, limit or page.total):
            return found, page.total


def _next(query: SessionQuery, offset: int, limit: int | None) -> SessionQuery:
    left = MAX_LIMIT if limit is None else limit - offset
    return replace(query, offset=offset, limit=min(MAX_LIMIT, left))
