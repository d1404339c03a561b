from __future__ import annotations

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, LogLevel, LogLine, Malformed, Schema
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss, LossCause
from igdash.domain.times import NS
from igdash.services import tally as module
from igdash.services.tally import Tally
from tests.support.collecting import decode_lines, lines


def loss(second: int, count: int = 1, node: str = "", cause: LossCause = LossCause.KERNEL) -> Loss:
    return Loss(node=node, start=second * NS, end=second * NS + 5, count=count, cause=cause)


def test_dropped_events_are_counted_per_second_and_node() -> None:
    tally = Tally()
    for at in (10 * NS, 10 * NS + 7, 11 * NS):
        chunk = lines(1, 2, received=at, node="n1")
        tally.dropped(chunk, decode_lines(chunk), "disk full")
    held = tally.take()
    losses, logs = held.losses, held.logs
    assert not logs
    assert [(item.second, item.count, item.node) for item in losses] == [
        (10, 4, "n1"),
        (11, 2, "n1"),
    ]
    assert {item.cause for item in losses} == {LossCause.WRITER}
    assert losses[0].detail == "disk full"
    assert not tally


def test_a_lost_line_that_is_no_event_counts_and_told_losses_stay() -> None:
    tally = Tally()
    chunk = Chunk(kind=ChunkKind.JSON_LINES, received=5 * NS, data=b"?")
    decoded = Decoded(
        malformed=(Malformed(ts=0, node="", raw=b"?", size=1, reason=""),),
        losses=(loss(5, 663),),
        logs=(LogLine(ts=1, level=LogLevel.WARNING, node="", text="x"),),
    )
    tally.dropped(chunk, decoded, "full")
    held = tally.take()
    losses, logs = held.losses, held.logs
    assert {(item.cause, item.count) for item in losses} == {
        (LossCause.KERNEL, 663),
        (LossCause.WRITER, 1),
    }
    assert [line.text for line in logs] == ["x"]


def test_give_back_merges_with_what_came_since() -> None:
    tally = Tally()
    tally.add([loss(1, 3)])
    taken = tally.take()
    tally.add([loss(1, 4)])
    tally.give_back(taken)
    assert [item.count for item in tally.take().losses] == [7]


def test_memory_is_bounded_and_the_sum_stays(monkeypatch: object) -> None:
    tally = Tally()
    for second in range(module.MAX_RECORDS + 100):
        tally.add([loss(second)])
    losses = tally.take().losses
    assert len(losses) == module.MAX_RECORDS
    assert sum(item.count for item in losses) == module.MAX_RECORDS + 100
    assert max(item.end for item in losses) == (module.MAX_RECORDS + 99) * NS + 5


def test_log_lines_are_bounded_and_those_that_go_are_counted() -> None:
    tally = Tally()

    def told(*numbers: int) -> Decoded:
        logs = (LogLine(ts=n, level=LogLevel.INFO, node="", text=str(n)) for n in numbers)
        return Decoded(logs=tuple(logs))

    chunk = Chunk(kind=ChunkKind.LOG_LINES, received=1, data=b"")
    tally.dropped(chunk, told(*range(1_000)), "full")
    held = tally.take()
    tally.dropped(chunk, told(1_000, 1_001), "full")
    tally.give_back(held)
    missing, first, *_, last = tally.take().decoded().logs
    assert (missing.ts, missing.text) == (801, "igdash: 802 log lines could not be kept")
    assert (first.text, last.text) == ("802", "1001")
    assert not tally.take().decoded().logs


def test_a_schema_told_while_nothing_can_be_spooled_is_kept() -> None:
    """Its source tells it once: the session would never have these columns."""
    tally = Tally()
    schema = Schema(ts=1, node="n1", sources=(DataSource(name="tcp"),))
    chunk = Chunk(kind=ChunkKind.SCHEMA, received=1, data=b"")
    for _ in range(2):
        tally.dropped(chunk, Decoded(schemas=(schema,)), "full")
    assert tally
    held = tally.take()
    assert held
    assert not tally
    tally.give_back(held)
    assert tally.take().decoded() == Decoded(schemas=(schema,))
