"""The beginning of an attach, with times of its own: what is a gap, and from when to when."""

from __future__ import annotations

import json

import pytest

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.instances import RING, Recall, Tail, digest
from igdash.domain.losses import IN_FLIGHT
from igdash.domain.times import NS
from igdash.sources.native.replayed import Gate, Memory

LAST, ATTACHED, SEEN, NOW = (n * NS for n in (50, 60, 63, 70))


def lines(received: int, *numbers: int) -> Chunk:
    data = b"".join(b'{"n":%d}\n' % n for n in numbers)
    return Chunk(kind=ChunkKind.JSON_LINES, received=received, data=data, node="node")


def remembered(*numbers: int) -> Memory:
    digests = tuple(digest(b'{"n":%d}' % n) or b"" for n in numbers)
    return Memory("node", Recall(since=LAST, tails={"node": Tail(digests=digests, at=LAST)}))


class Opened:
    """A gate and what came through it."""

    def __init__(self, memory: Memory, *, fresh: bool = False) -> None:
        self.chunks: list[Chunk] = []
        self.gate = Gate("node", memory, self.chunks.append, began=ATTACHED, fresh=fresh)

    @property
    def events(self) -> list[int]:
        found = [c.data for c in self.chunks if c.kind is ChunkKind.JSON_LINES]
        return [json.loads(line)["n"] for data in found for line in data.splitlines()]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        found = [json.loads(c.data) for c in self.chunks if c.kind is ChunkKind.LOSS]
        return [(one["start"], one["end"]) for one in found]


@pytest.mark.parametrize("fresh", [True, False], ids=["made again", "started anew"])
def test_a_gap_reaches_to_the_first_event_seen_again(fresh: bool) -> None:
    """The gadget sees nothing for a moment although somebody is attached to it."""
    opened = Opened(remembered(1, 2, 3), fresh=fresh)
    opened.gate.take(lines(SEEN, 7))
    opened.gate.settle(NOW)
    opened.gate.take(lines(NOW, 8))
    assert opened.gaps == [(LAST - IN_FLIGHT, SEEN)]
    assert opened.events == [7, 8]


@pytest.mark.parametrize("fresh", [True, False], ids=["made again", "started anew"])
def test_without_an_event_a_gap_reaches_to_where_it_counts_as_attached(fresh: bool) -> None:
    opened = Opened(remembered(1, 2, 3), fresh=fresh)
    opened.gate.settle(NOW)
    assert opened.gaps == [(LAST - IN_FLIGHT, NOW)]


def test_one_made_again_is_not_held_back() -> None:
    opened = Opened(remembered(1, 2, 3), fresh=True)
    opened.gate.take(lines(SEEN, 7))
    assert opened.gate.open
    assert opened.events == [7]


def test_one_made_for_the_first_time_has_no_gap() -> None:
    opened = Opened(Memory("node", None), fresh=True)
    opened.gate.take(lines(SEEN, 1))
    opened.gate.settle(NOW)
    assert (opened.gaps, opened.events) == ([], [1])


def test_more_than_is_told_again_says_both_that_it_can_be() -> None:
    opened = Opened(remembered(1, 2, 3))
    opened.gate.take(lines(SEEN, *range(10, 10 + RING)))
    opened.gate.settle(NOW)
    [loss] = [json.loads(c.data) for c in opened.chunks if c.kind is ChunkKind.LOSS]
    assert str(RING) in loss["detail"]
    assert "started anew" in loss["detail"]


def test_what_is_known_is_no_gap() -> None:
    opened = Opened(remembered(1, 2, 3))
    opened.gate.take(lines(SEEN, 2, 3, 4))
    opened.gate.settle(NOW)
    assert (opened.gaps, opened.events) == ([], [4])


def test_at_the_end_for_good_what_is_held_is_handed_on() -> None:
    opened = Opened(remembered(1, 2, 3))
    opened.gate.take(lines(SEEN, 7, 8))
    opened.gate.finish(NOW)
    assert opened.gaps == [(LAST - IN_FLIGHT, SEEN)]
    assert opened.events == [7, 8]


def test_what_was_not_told_again_before_the_end_is_a_gap_and_nothing_comes_twice() -> None:
    opened = Opened(remembered(1, 2, 3))
    opened.gate.take(lines(SEEN, 1, 2))
    opened.gate.finish(NOW)
    assert opened.gaps == [(LAST - IN_FLIGHT, NOW)]
    assert opened.events == []
