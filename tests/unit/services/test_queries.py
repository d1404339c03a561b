"""What is checked before a question is asked, how partial answers go on, what completion adds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from igdash.domain.errors import InvalidQuery, QueryBusy, StoreBusy
from igdash.domain.filters import FilterError
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.queries import QueryPage, Scope
from igdash.domain.sessions import SessionId
from igdash.services import queries as module
from igdash.services.queries import Queries, looked_until
from igdash.services.query_asks import AskCount, AskMerged, AskPage
from tests.support.fake_readers import FakeReaders
from tests.support.plain_queries import queries_over

ID = "aaaaaaaaaaaa"
SOURCES = (
    DataSource(
        name="tcp",
        fields=(
            Field(name="proc.comm", kind="String"),
            Field(name="proc.pid", kind="Uint32"),
            Field(name="latency", kind="String", template="duration"),
            Field(name="latency_raw", kind="Uint64"),
        ),
    ),
)


def made(rows: int = 20, most: int | None = None) -> tuple[Queries, SessionId, FakeReaders]:
    store: Any = FakeReaders()
    store.sources = SOURCES
    id_ = store.new(ID)
    for n in range(1, rows + 1):
        store.add(id_, [n], data=f'{{"proc":{{"comm":"c{n % 3}","pid":{n}}}}}')
    return queries_over(store, most), id_, store


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"filter": "commm = x"}, FilterError),
        ({"filter": "comm = "}, FilterError),
        ({"seconds": 0}, InvalidQuery),
        ({"seconds": 121}, InvalidQuery),
        ({"start": 5, "end": 5}, InvalidQuery),
    ],
)
def test_what_is_wrong_is_said_before_anybody_works(wrong: dict[str, Any], kind: type) -> None:
    queries, id_, _ = made()

    class Nobody:
        def ask(self, *_: Any) -> Any:
            raise AssertionError("asked")

    object.__setattr__(queries, "backend", Nobody())
    with pytest.raises(kind):
        queries.ask(AskPage(**{"session": id_, "filter": "comm = c1", **wrong}))


def test_paths_are_named_as_the_parameter_that_is_wrong() -> None:
    queries, id_, _ = made()
    assert queries.value_path("split", "comm", id_) == "proc.comm"
    assert queries.number_path("sort", "latency", id_) == "latency_raw"
    assert queries.value_path("split", "latency", id_) == "latency"
    for name in ("nothing", "proc"):
        with pytest.raises(InvalidQuery) as error:
            queries.number_path("sort", name, id_)
        assert error.value.field == "sort"


@pytest.mark.parametrize("most", [None, 1, 3, 7])
def test_a_stream_is_whole_however_little_is_covered_at_a_time(most: int | None) -> None:
    queries, id_, store = made(20, most)
    ask = AskPage(session=id_, filter="comm = c1")
    blocks = queries.stream(ask)
    store.add(id_, [99], data='{"proc":{"comm":"c1","pid":99}}')  # comes after it began
    assert [e.seq for block in blocks for e in block] == [n for n in range(1, 21) if n % 3 == 1]


def test_a_stream_says_what_is_wrong_before_its_first_block() -> None:
    queries, id_, _ = made()
    with pytest.raises(FilterError):
        queries.stream(AskPage(session=id_, filter="commm = x"))


def test_a_stream_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, id_, _ = made()
    backend, times = queries.backend, []

    class Busy:
        def ask(self, ask: Any, gone: Any) -> Any:
            times.append(1)
            if len(times) < 3:
                raise QueryBusy("busy")
            return backend.ask(ask, gone)

    class Pause:
        def wait(self, _seconds: float) -> None:
            pass

    monkeypatch.setattr(module.threading, "Event", Pause)
    object.__setattr__(queries, "backend", Busy())
    found = [e.seq for block in queries.stream(AskPage(session=id_)) for e in block]
    assert found == list(range(1, 21))
    times[:] = [0] * -1000
    object.__setattr__(queries, "backend", _Never())
    with pytest.raises(QueryBusy):
        list(queries.stream(AskPage(session=id_)))


class _Never:
    def ask(self, *_: Any) -> Any:
        raise QueryBusy("busy")


def test_a_stream_goes_on_when_a_worker_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, id_, _ = made(20, 7)
    backend, asked = queries.backend, []

    class Dying:
        def ask(self, ask: Any, gone: Any) -> Any:
            asked.append(ask.cursor)
            if len(asked) % 2 == 0 or whole.is_set():
                raise StoreBusy("the process that answers this ended; try again")
            return backend.ask(ask, gone)

    whole = threading.Event()
    monkeypatch.setattr(module.threading.Event, "wait", lambda *_: True)
    object.__setattr__(queries, "backend", Dying())
    blocks = queries.stream(AskPage(session=id_))
    assert [e.seq for block in blocks for e in block] == list(range(1, 21))
    whole.set()
    asked.clear()
    with pytest.raises(StoreBusy):
        list(queries.stream(AskPage(session=id_)))
    assert len(asked) == module.FAILURES


@pytest.mark.parametrize(
    ("limit", "following", "seqs", "before", "wanted"),
    [
        (2, "x", (3, 5), None, 5),  # full: goes on behind its last
        (3, "x", (3, 5), None, 8),  # stopped by its budget
        (3, "x", (), None, 8),
        (3, "", (3, 5), None, 20),  # all
        (3, "", (), 11, 10),
        (3, "", (), 99, 20),
    ],
)
def test_where_a_page_stopped_looking(
    limit: int, following: str, seqs: tuple[int, ...], before: int | None, wanted: int
) -> None:
    from igdash.domain.events import Event

    page = QueryPage(
        events=tuple(Event(seq=seq, ts=0, node="", source="", data="{}") for seq in seqs),
        next=following,
        scope=Scope(from_seq=1, to_seq=8, complete=False, examined=8, total=20),
        first_seq=1,
        last_seq=20,
    )
    ask = AskPage(session=SessionId(ID), limit=limit, before=before)
    assert looked_until(ask, page) == wanted


def test_a_merged_question_reads_its_filter_with_all_fields() -> None:
    queries, id_, store = made()
    other = store.new("bbbbbbbbbbbb")
    ask = AskMerged(sessions=(id_, other), filter="comm = c1")
    page: Any = queries.answer(ask)
    assert [(owner, event.seq) for owner, event in page.events] == [
        (id_, n) for n in range(1, 21) if n % 3 == 1
    ]
    with pytest.raises(FilterError):
        queries.ask(AskMerged(sessions=(id_, other), filter="commm = c1"))


def test_completion_adds_what_the_history_has() -> None:
    queries, id_, _ = made()
    found = queries.complete(id_, "comm = c", 8)
    assert [one.insert for one in found.items[:3]] == ['"c1"', '"c2"', '"c0"']
    assert found.items[0].detail == "7"
    assert queries.complete(id_, "comm = zz", 9).items == ()
    object.__setattr__(queries, "backend", _Never())
    assert queries.complete(id_, "comm = c", 8).items == ()
    assert queries.complete(id_, "co", 2).items


def test_a_matcher_is_the_filter_on_live_events() -> None:
    queries, id_, store = made()
    matches = queries.matcher("comm = c1 and pid > 5", id_)
    assert matches is not None
    assert [event.seq for event in store.rows[id_] if matches(event)] == [7, 10, 13, 16, 19]
    assert queries.matcher(" ", id_) is None
    assert queries.canonical("comm == c1", id_) == 'comm = "c1"'
    assert queries.canonical("", id_) == ""


def test_closing_ends_the_backend() -> None:
    queries, id_, _ = made()
    queries.warm()
    queries.close()
    count: Any = queries.answer(AskCount(session=id_))
    assert count.count == 20
