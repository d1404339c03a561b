from __future__ import annotations

from pathlib import Path

import pytest

from igdash.domain.sessions import Session, SessionId, SessionState
from igdash.domain.times import NS
from igdash.services.heartbeat import Beat, Heartbeat, gap_start
from tests.support.collecting import SPEC

ID = SessionId("a" * 12)


def session(started: int | None, last: int | None = None) -> Session:
    return Session(
        id=ID,
        spec=SPEC,
        state=SessionState.RUNNING,
        created=0,
        started=None if started is None else started * NS,
        last_event=None if last is None else last * NS,
    )


@pytest.mark.parametrize(
    ("started", "last", "beat", "expected"),
    [
        (None, None, 50, None),  # never ran: nothing was missed
        (None, None, 20, 0),  # just made: it may have run unheard
        (
            10,
            48,
            50,
            47,
        ),  # what came after the last event, or was on the way, may be lost in a pipe
        (48, 48, 50, 47),  # told to run with what it said first, which happened before
        (10, 51, 50, 50),  # killed within a second after the beat
        (10, 12, 50, 48),  # quiet for long: just before the last beat
        (10, None, 50, 48),
        (30, None, 50, 20),  # not an event yet: all of them may be on their way
        (9, None, 12, 0),  # not before it was made
        (10, 99, 50, 98),  # a beat that could not be written for long
        (10, 300, 50, 48),  # a node's clock in the future
        (10, 12, None, 11),  # no beat at all
        (10, None, None, 0),
    ],
)
def test_where_a_gap_begins(
    started: int | None, last: int | None, beat: int | None, expected: int | None
) -> None:
    told = None if beat is None else Beat(at=beat * NS)
    found = gap_start(session(started, last), told, 100 * NS)
    assert found == (None if expected is None else expected * NS)


def test_an_open_gap_keeps_its_beginning() -> None:
    assert gap_start(session(10, 90), Beat(at=95 * NS, gaps={ID: 33}), 100 * NS) == 33
    assert gap_start(session(None), Beat(at=95 * NS, gaps={ID: 33}), 100 * NS) == 33


def test_a_beat_is_read_back_and_a_broken_one_is_none(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path)
    assert heart.read() is None
    heart.write(7, {ID: 5})
    assert heart.read() == Beat(at=7, gaps={ID: 5})
    (tmp_path / "heartbeat").write_text("{")
    assert heart.read() is None
