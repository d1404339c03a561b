"""events: a session's history on the terminal, and what comes after it with --follow.

Following asks the store for `seq > last` a few times a second: the same question whether a
collector runs or not, and nothing that could slow it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

from igdash.bootstrap import Desk, open_desk
from igdash.cli.context import settings_of
from igdash.cli.main import OK
from igdash.cli.output import cut, pad
from igdash.domain.errors import InvalidQuery
from igdash.domain.events import Event
from igdash.domain.filters import FilterError
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.queries import MAX_LIMIT, EventRange, QueryPage
from igdash.domain.sessions import SessionId
from igdash.domain.text import visible
from igdash.domain.times import format_ns
from igdash.services.queries import looked_until
from igdash.services.query_asks import AskPage
from igdash.services.render import event_text

POLL: Final = 0.25
"""Seconds between two looks with --follow."""
TIME_WIDTH: Final = 30

Print = Callable[[Sequence[Event]], None]


def events(args: argparse.Namespace) -> int:
    """Print events in seq order."""
    if args.start is not None and args.end is not None and args.start >= args.end:
        raise InvalidQuery("--to", "must be later than --from")
    desk = open_desk(settings_of(args))
    session = desk.sessions.resolve(args.id)
    printer = _printer(args.output, desk, session)
    with readable_filter(args.filter):
        desk.queries.filter(args.filter, session)
    if args.output == "json":
        printer([event for block in _blocks(desk, session, args) for event in block])
        return OK
    for block in _blocks(desk, session, args):
        printer(block)
        sys.stdout.flush()
    return OK


def _blocks(desk: Desk, session: SessionId, args: argparse.Namespace) -> Iterator[Sequence[Event]]:
    """Yield the wanted events block by block; with --follow until the session has ended."""
    after, left = args.after or 0, args.limit
    pause = threading.Event()
    while left is None or left > 0:
        over = desk.reader.sessions.get(session).state.ended or not args.follow
        wanted = EventRange(
            after=after,
            limit=min(MAX_LIMIT, left or MAX_LIMIT),
            start=args.start,
            end=args.end,
        )
        found, looked, more = _page(desk, session, wanted, args.filter)
        if found:
            yield found
            left = None if left is None else left - len(found)
        if looked == after and not more:
            if over:
                return
            pause.wait(POLL)
        after = looked


def _page(
    desk: Desk, session: SessionId, wanted: EventRange, filter: str
) -> tuple[Sequence[Event], int, bool]:
    """Return a page, the seq up to which was looked, and whether more is stored behind it."""
    after = wanted.after or 0
    if not filter.strip():
        page = desk.history.page(session, wanted)
        looked = page.events[-1].seq if page.events else after
        return page.events, looked, page.next is not None
    ask = AskPage(
        session=session,
        filter=filter,
        after=after,
        start=wanted.start,
        end=wanted.end,
        limit=wanted.limit,
    )
    picked = cast("QueryPage", desk.queries.answer(ask))
    return picked.events, looked_until(ask, picked), bool(picked.next)


@contextmanager
def readable_filter(text: str) -> Iterator[None]:
    """Say where a filter is wrong, in one line."""
    try:
        yield
    except FilterError as error:
        wrong = text[error.position : error.end]
        at = f"at {wrong!r}, character {error.position + 1}" if wrong else "at its end"
        raise InvalidQuery("--filter", f"{error.message} ({at})") from error


def _printer(how: str, desk: Desk, session: SessionId) -> Print:
    if how == "json":
        return _print_document
    if how == "jsonl":
        return lambda block: print("\n".join(map(event_text, block)))
    if how == "name":
        return lambda block: print("\n".join(str(event.seq) for event in block))
    return Table(desk.history.fields(session), wide=how == "wide").print


def _print_document(found: Sequence[Event]) -> None:
    print('{"events":[' + ",\n".join(map(event_text, found)) + "]}")


class Table:
    """Prints events under the columns of their gadget, with IG's own widths.

    Wide tables also have the hidden columns and do not cut values.
    """

    def __init__(self, sources: Sequence[DataSource], *, wide: bool) -> None:
        self._wide = wide
        self._columns = {one.name: self._chosen(one) for one in sources}
        self._any = next(iter(self._columns.values()), ())
        self._shown: str | None = None

    def print(self, block: Sequence[Event]) -> None:
        """Print a line per event, and a header when the data source changes."""
        for event in block:
            columns = self._columns.get(event.source, self._any)
            if event.source != self._shown:
                self._shown = event.source
                print(self._line("SEQ", "TIME", [(f, f.name.upper()) for f in columns]))
            data = json.loads(event.data, parse_int=str, parse_float=str)
            cells = [(f, visible(_value(data, f.name))) for f in columns]
            print(self._line(str(event.seq), format_ns(event.ts), cells))

    def _chosen(self, source: DataSource) -> tuple[Field, ...]:
        return tuple(
            f
            for f in source.fields
            if f.kind and f.in_json and (self._wide or not f.hidden) and f.template != "timestamp"
        )

    def _line(self, seq: str, time: str, cells: Sequence[tuple[Field, str]]) -> str:
        parts = [pad(seq, 8, right=True), pad(time, TIME_WIDTH)]
        for field, text in cells:
            size = max(field.width, 3)
            short = text if self._wide else cut(text, size)
            parts.append(pad(short, size, right=field.align_right))
        return " ".join(parts).rstrip()


def _value(data: object, path: str) -> str:
    """Return the text of the value at the dotted path, "" when there is none.

    A gadget may deliver the key itself with dots in it.
    """
    if isinstance(data, dict) and path in data:
        return _text(data[path])
    for name in path.split("."):
        if not isinstance(data, dict):
            return ""
        data = data.get(name)
    return _text(data)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict) and "addr" in value:
        return _endpoint(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _endpoint(value: dict[str, object]) -> str:
    """Return an endpoint as IG's own tables have it: p/namespace/pod:port, else address:port."""
    port = f":{value['port']}" if "port" in value else ""
    k8s = value.get("k8s")
    if isinstance(k8s, dict) and k8s.get("name") and k8s.get("kind") in ("pod", "svc"):
        return f"{str(k8s['kind'])[0]}/{k8s.get('namespace', '')}/{k8s['name']}{port}"
    return f"{value['addr']}{port}"
