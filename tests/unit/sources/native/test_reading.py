"""One node's messages: rows, gaps, logs, schemas; nothing a server sends can break reading."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import Decoded, LogLevel
from igdash.domain.losses import LossCause
from igdash.domain.times import NS
from igdash.sources.decode import decode_chunk
from igdash.sources.native.reading import NodeReader, loss_chunk
from igdash_wire import ig_pb2 as pb
from tests.support.daemon import messages_of, numbered

T0 = 1_795_389_204 * NS
INFO = numbered(0).info


def told(info: pb.GadgetInfo = INFO) -> bytes:
    return pb.GadgetEvent(type=4, payload=info.SerializeToString()).SerializeToString()


def data(seq: int, n: int | None = None, source: int = 7, payload: bytes | None = None) -> bytes:
    if payload is None:
        row = pb.DataElement(payload=[(seq if n is None else n).to_bytes(8, "little"), b"c"])
        payload = pb.GadgetData(data=row).SerializeToString()
    return pb.GadgetEvent(seq=seq, dataSourceID=source, payload=payload).SerializeToString()


def reader() -> NodeReader:
    return NodeReader("worker-1", T0, lambda _: None)


def read(messages: Iterable[bytes], one: NodeReader | None = None, now: int = T0) -> list[Chunk]:
    return list((one or reader()).read(messages, now))


def all_of(chunks: Iterable[Chunk]) -> list[Decoded]:
    return [decode_chunk(chunk) for chunk in chunks]


def test_rows_become_one_chunk() -> None:
    [chunk] = read([told(), data(1), data(2), data(3)])
    assert (chunk.kind, chunk.node, chunk.source) == (ChunkKind.JSON_LINES, "worker-1", "numbers")
    assert chunk.data == b"".join(b'{"comm":"c","n":%d}\n' % n for n in (1, 2, 3))
    [decoded] = all_of([chunk])
    assert [event.origin.source for event in decoded.events] == ["numbers"] * 3


def test_a_gap_is_a_loss_in_its_place() -> None:
    one = reader()
    assert len(read([told(), data(1)], one, T0)) == 1
    before, gap, doubt, after = all_of(read([data(2), data(7), data(8)], one, T0 + NS))
    assert [len(before.events), len(after.events)] == [1, 2]
    [loss] = gap.losses
    assert (loss.cause, loss.count, loss.exact, loss.node) == (
        LossCause.IG_QUEUE, 4, True, "worker-1",
    )  # fmt: skip
    assert (loss.start, loss.end) == (T0 + NS, T0 + NS)
    assert "expected seq 3, got 7" in loss.detail
    [loss] = doubt.losses
    assert (loss.cause, loss.count, loss.exact) == (LossCause.KERNEL, 0, False)
    assert (loss.start, loss.end) == (T0 - NS, T0 + 3 * NS)
    # Gap by gap in a flood: the doubt is told once.
    again = all_of(read([data(10), data(12)], one, T0 + 2 * NS))
    assert [loss.cause for part in again for loss in part.losses] == [LossCause.IG_QUEUE] * 2


def opened(seq: int, at: int) -> bytes:
    """A row with a time of its own, and a text that looks like one."""
    row = pb.DataElement(payload=[at.to_bytes(8, "little"), b'"timestamp_raw":17'])
    payload = pb.GadgetData(data=row).SerializeToString()
    return pb.GadgetEvent(seq=seq, dataSourceID=7, payload=payload).SerializeToString()


@pytest.mark.parametrize(("old", "behind"), [(3 * NS, 3 * NS), (-NS, 0), (10_000 * NS, 0)])
def test_what_comes_late_reaches_back_to_when_it_was_queued(old: int, behind: int) -> None:
    info = pb.GadgetInfo()
    info.CopyFrom(INFO)
    time, _ = info.dataSources[0].fields
    time.name = time.fullName = "timestamp_raw"
    one = reader()
    warning = pb.GadgetEvent(type=3 << 16, payload=b"reading event: lost 9 samples")
    chunks = read([told(info), opened(1, T0 - old), warning.SerializeToString()], one, T0)
    [kernel] = [loss for part in all_of(chunks) for loss in part.losses]
    assert (kernel.start, kernel.end) == (T0 - behind - 2 * NS, T0 + NS)
    chunks = read([opened(5, T0)], one, T0 + NS)
    gap = next(loss for part in all_of(chunks) for loss in part.losses)
    assert (gap.start, gap.end) == (T0 - behind, T0 + NS)


def test_the_first_messages_can_be_missing_too() -> None:
    gap, _, rows = all_of(read([told(), data(4)]))
    assert gap.losses[0].count == 3
    assert len(rows.events) == 1


def test_seq_wraps_and_may_go_back() -> None:
    one = reader()
    read([told(), data(1)], one)
    one._last_seq = 2**32 - 2
    chunks = read([data(2**32 - 1, n=1), data(0), data(1)], one)
    assert [chunk.kind for chunk in chunks] == [ChunkKind.JSON_LINES]
    assert [chunk.kind for chunk in read([data(1), data(1)], one)] == [ChunkKind.JSON_LINES]


def test_arrays_are_ticks_and_an_empty_one_too() -> None:
    info = pb.GadgetInfo()
    info.CopyFrom(INFO)
    info.dataSources[0].type = 2
    rows = [pb.DataElement(payload=[n.to_bytes(8, "little"), b"c"]) for n in (1, 2)]
    full = pb.GadgetDataArray(dataArray=rows).SerializeToString()
    [decoded] = all_of(read([told(info), data(1, payload=full), data(2, payload=b"")]))
    assert [tick.events for tick in decoded.ticks] == [2, 0]
    assert [tick.source for tick in decoded.ticks] == ["numbers", "numbers"]


def test_several_data_sources_keep_their_order_and_names() -> None:
    info = pb.GadgetInfo()
    info.CopyFrom(INFO)
    info.dataSources.add().CopyFrom(INFO.dataSources[0])
    info.dataSources[1].id, info.dataSources[1].name = 9, "other"
    chunks = read([told(info), data(1), data(2, source=9), data(3, source=9), data(4)])
    assert [(chunk.source, chunk.data.count(b"\n")) for chunk in chunks] == [
        ("numbers", 1), ("other", 2), ("numbers", 1),
    ]  # fmt: skip


def test_what_was_not_announced_is_kept_as_it_came() -> None:
    chunks = read([data(1, payload=b"\x01\x02"), told(), data(2, source=8), data(3)])
    assert [chunk.source for chunk in chunks] == ["", "", "numbers"]
    assert chunks[0].data == b"data source 7 was not announced: 0102\n"
    assert [(len(one.malformed), len(one.events)) for one in all_of(chunks)] == [
        (1, 0), (1, 0), (0, 1),
    ]  # fmt: skip


def test_a_row_that_does_not_fit_is_kept_as_it_came() -> None:
    short = pb.GadgetData(data=pb.DataElement(payload=[b"x"])).SerializeToString()
    [chunk] = read([told(), data(1, payload=short), data(2, payload=b"\xff\xff"), data(3)])
    [decoded] = all_of([chunk])
    assert [short.hex() in item.raw.decode() for item in decoded.malformed] == [True, False]
    assert b"ffff" in decoded.malformed[1].raw
    assert len(decoded.events) == 1


def test_a_message_that_is_none_is_kept_and_no_loss_beside_it() -> None:
    bad, good = all_of(read([told(), b"\xff\x00junk", data(2)]))
    assert bytes.fromhex(bad.malformed[0].raw.split(b": ")[-1].decode()) == b"\xff\x00junk"
    assert len(good.events) == 1
    assert not good.losses


def test_unknown_fields_and_types() -> None:
    message = data(1) + b"\xf2\x3f\x03abc"  # field 1022
    [rows, log] = all_of(read([told(), message, pb.GadgetEvent(type=77).SerializeToString()]))
    assert len(rows.events) == 1
    assert "type 77" in log.logs[0].text


def test_logs_carry_level_and_node_and_losses_are_found_in_them() -> None:
    def log(severity: int, text: str) -> bytes:
        return pb.GadgetEvent(type=severity << 16, payload=text.encode()).SerializeToString()

    texts = ['say "hi"\n\tthere', "reading event: lost 663 samples", "ünïcode \u2028 \\n"]
    decoded = all_of(read([log(2, texts[0]), log(3, texts[1]), log(5, texts[2])], now=T0))
    lines = [line for one in decoded for line in one.logs]
    assert [line.text for line in lines] == texts
    assert [line.level for line in lines] == [LogLevel.ERROR, LogLevel.WARNING, LogLevel.DEBUG]
    assert {line.node for line in lines} == {"worker-1"}
    [loss] = [loss for one in decoded for loss in one.losses]
    assert (loss.cause, loss.count) == (LossCause.KERNEL, 663)


def test_a_schema_that_makes_no_sense_does_not_end_reading() -> None:
    info = pb.GadgetInfo()
    info.CopyFrom(INFO)
    info.dataSources[0].fields.add(name="x", offs=0xFFFFFFF0, size=8)
    log, rows = read([told(info), data(1)])
    assert "makes no sense" in all_of([log])[0].logs[0].text
    assert b"was not announced" in rows.data
    broken = pb.GadgetEvent(type=4, payload=b"\xff\xff").SerializeToString()
    assert "unreadable" in all_of(read([broken]))[0].logs[0].text


def test_a_new_schema_counts_from_its_place_on() -> None:
    seen: list[str] = []

    def describe(info: pb.GadgetInfo) -> Chunk | None:
        seen.append(info.name)
        return Chunk(kind=ChunkKind.SCHEMA, received=T0, data=b"[]\n")

    info = pb.GadgetInfo(name="newer")
    info.dataSources.add(id=7, name="numbers", type=1).fields.add(name="m", kind=pb.Uint64)
    chunks = read([told(), data(1), told(info), data(2)], NodeReader("n", T0, describe))
    kinds = [chunk.kind for chunk in chunks]
    rows = ChunkKind.JSON_LINES
    assert kinds == [ChunkKind.SCHEMA, rows, ChunkKind.SCHEMA, rows]
    assert [chunks[1].data, chunks[3].data] == [b'{"comm":"c","n":1}\n', b'{"m":2}\n']
    assert seen == ["numbers", "newer"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_junk_never_raises(messages: list[bytes]) -> None:
    for chunk in read([told(), *messages, data(1)]):
        decode_chunk(chunk)
        assert chunk.data.endswith(b"\n")


def test_recorded_streams_lose_nothing() -> None:
    for name in ("kubernetes-trace_tcp", "host-top_process", "kubernetes-profile_cpu"):
        pairs = messages_of(name)
        found = all_of(read([event.SerializeToString() for event, _ in pairs]))
        wanted = [json.loads(shown) for event, shown in pairs if event.type == 0]
        rows = sum(len(one) if isinstance(one, list) else 1 for one in wanted)
        assert sum(len(one.events) for one in found) == rows
        assert not [bad for one in found for bad in one.malformed]


def test_a_loss_never_ends_before_it_begins() -> None:
    decoded = decode_chunk(loss_chunk("n", T0 + 5, T0, 1, LossCause.STREAM, "d", exact=False))
    assert (decoded.losses[0].start, decoded.losses[0].end) == (T0, T0)
