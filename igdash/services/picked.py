"""A live reader that wants some events only.

New events are tested in this process, a few hundred at a time. Whoever is far behind (a socket
opened with `after=0` on a session of millions) is served by the query workers until it has caught
up: testing all of them here would take the GIL from everybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from igdash.domain.errors import QueryBusy
from igdash.domain.events import Event
from igdash.domain.queries import QueryPage
from igdash.domain.sessions import SessionId
from igdash.services.feed import EventsFrame, Feed
from igdash.services.queries import Queries, looked_until
from igdash.services.query_asks import AskPage
from igdash.services.render import events_frame

BEHIND: Final = 5_000
"""A reader this many events behind is served by the workers."""
LIMIT: Final = 500
SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """Picks the events of one session that match. For one reader."""

    session: SessionId
    filter: str
    matches: Callable[[Event], bool]
    queries: Queries

    def frame_after(self, feed: Feed, cursor: int) -> EventsFrame | None:
        """Return the events after `cursor` that match, perhaps none, and how far was looked."""
        last = feed.facts.last_seq
        if last - cursor > BEHIND:
            try:
                return self._search(cursor, last)
            except QueryBusy:
                pass  # some hundred events are tested here meanwhile
        frame = feed.frame_after(cursor)
        if frame is None:
            return None
        found = [event for event in frame.events if self.matches(event)]
        return _frame(found, frame.first, frame.last)

    def _search(self, cursor: int, last: int) -> EventsFrame:
        ask = AskPage(
            session=self.session,
            filter=self.filter,
            after=cursor,
            before=last + 1,
            limit=LIMIT,
            seconds=SECONDS,
        )
        page = cast("QueryPage", self.queries.answer(ask))
        return _frame(page.events, cursor + 1, max(looked_until(ask, page), cursor))


def picked(queries: Queries, session: SessionId, filter: str) -> Picked | None:
    """Return what picks the events of a filter, None for an empty one. Raises `FilterError`."""
    matches = queries.matcher(filter, session)
    if matches is None:
        return None
    return Picked(session=session, filter=filter, matches=matches, queries=queries)


def _frame(events: Sequence[Event], first: int, last: int) -> EventsFrame:
    found = tuple(events)
    return EventsFrame(first=first, last=last, events=found, payload=events_frame(found, last))
