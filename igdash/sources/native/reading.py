"""From the messages of one node's stream to chunks: events as JSON lines, logs, losses.

Sans-IO, one per run: the schema comes with the stream itself (message type 4), sequence numbers
count from 1, and what is missing between two of them was lost in IG's queue to us (IG:
pkg/gadget-service/service-oci.go; the queue holds 16,384 messages).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import LossCause
from igdash.domain.times import NS, format_ns
from igdash.sources.elements import RowFormat
from igdash_wire import ig_pb2 as pb

DATA: Final = 0
INFO: Final = 4
NOTABLE: Final = NS // 4
"""Being behind for less than this (ns) is not worth a word."""
MOST_BEHIND: Final = 3_600 * NS
"""Events that seem older than this (ns) tell nothing about how far behind we are."""
KERNEL_TELLS: Final = 2 * NS
"""Within this (ns) Inspektor Gadget warns of what the kernel lost, see `logs`."""
_UNTOLD: Final = (
    "Inspektor Gadget's warnings of losses in the kernel go through the same queue: they may be"
    " missing, too; how many events is not known"
)
"""Seen: a daemon whose own log named 230,000 of them, none of which reached us (confirmed.md 6)."""
_TIME: Final = '"timestamp_raw":'
_SEQ_RANGE: Final = 1 << 32
_SEVERITIES: Final = ("panic", "fatal", "error", "warning", "info", "debug", "trace")


def loss_chunk(
    node: str,
    start: int,
    end: int,
    count: int,
    cause: LossCause,
    detail: str,
    *,
    exact: bool = True,
) -> Chunk:
    """Return a loss record as a chunk (see `ChunkKind.LOSS`); times in ns."""
    record = {
        "node": node, "start": min(start, end), "end": end, "count": count, "cause": cause.value,
        "detail": detail, "exact": exact,
    }  # fmt: skip
    return Chunk(
        kind=ChunkKind.LOSS, received=end, data=json.dumps(record).encode() + b"\n", node=node
    )


def log_chunk(node: str, now: int, level: str, text: str, behind: int = 0) -> Chunk:
    """Return a line for the session's log as IG itself would write it.

    `behind` (ns) is how old it may be already.
    """
    line = f"time={json.dumps(format_ns(now))} level={level} msg={json.dumps(text, ensure_ascii=False)}"
    line += f" behind={behind / NS:.3f}s\n" if behind >= NOTABLE else "\n"
    return Chunk(kind=ChunkKind.LOG_LINES, received=now, data=line.encode(), node=node)


def schema_chunk(node: str, now: int, sources: Sequence[DataSource]) -> Chunk:
    """Return the data sources that a node told, as a chunk."""
    data = msgspec.json.encode(sources) + b"\n"
    return Chunk(kind=ChunkKind.SCHEMA, received=now, data=data, node=node)


class NodeReader:
    """One run on one node. `info` comes with the stream; `seen` is when data came last (ns).

    `describe` makes the chunk for a schema, None when the session has it already. With `again` it
    is also told of what happened before it `began` (ns).
    """

    def __init__(
        self,
        node: str,
        began: int,
        describe: Callable[[pb.GadgetInfo], Chunk | None],
        *,
        again: bool = False,
    ) -> None:
        self.node = node
        self.seen = began
        self.any_data = False
        self.info: pb.GadgetInfo | None = None
        self._describe = describe
        self._began = began if again else began - MOST_BEHIND
        self._formats: dict[int, RowFormat] = {}
        self._last_seq = 0
        self._source = ""
        self._lines: list[str] = []
        self._last = ""
        self._doubted = 0

    def read(self, messages: Iterable[bytes], now: int) -> Iterator[Chunk]:
        """Yield the chunks that these messages make, in order; `now` (ns) is the time of receipt.

        A message that cannot be read becomes a line that the decoder will keep as malformed. Never
        raises: what a server sends must not end its connection, or it would come again and again.
        """
        parse = pb.GadgetEvent.FromString
        for message in messages:
            try:
                event = parse(message)
            except DecodeError as error:
                yield from self._line("", f"no message ({error}): {message.hex()}", now)
                self._last_seq += 1
                continue
            if event.type != DATA:
                yield from self._flush(now)
                yield from self._other(event, now)
                continue
            if event.seq != self._last_seq + 1:
                yield from self._gap(event.seq, now)
            self._last_seq = event.seq
            source, line = self._row(event)
            if source == self._source:
                self._lines.append(line)
            else:
                yield from self._line(source, line, now)
            self.seen, self.any_data, self._last = now, True, line
        yield from self._flush(now)

    def _line(self, source: str, line: str, now: int) -> Iterator[Chunk]:
        if source != self._source:
            yield from self._flush(now)
            self._source = source
        self._lines.append(line)

    def _flush(self, now: int) -> Iterator[Chunk]:
        if self._lines:
            data = "\n".join(self._lines).encode() + b"\n"
            self._lines = []
            kind = ChunkKind.JSON_LINES
            yield Chunk(kind=kind, received=now, data=data, node=self.node, source=self._source)

    def _gap(self, seq: int, now: int) -> Iterator[Chunk]:
        missing = (seq - self._last_seq - 1) % _SEQ_RANGE
        if 0 < missing < _SEQ_RANGE // 2:  # beyond: it went back, and nothing is missing
            yield from self._flush(now)
            detail = (
                f"expected seq {self._last_seq + 1}, got {seq}: Inspektor Gadget's queue to igdash"
                " was full"
            )
            # What was in the queue when it overflowed comes to us late, and the gap with it.
            start = self.seen - self.behind()
            yield loss_chunk(self.node, start, now, missing, LossCause.IG_QUEUE, detail)
            if now >= self._doubted:
                # One record stands for the gaps of the next moments as well.
                first, self._doubted = start - KERNEL_TELLS, now + KERNEL_TELLS
                cause, end = LossCause.KERNEL, self._doubted
                doubt = loss_chunk(self.node, first, end, 0, cause, _UNTOLD, exact=False)
                yield replace(doubt, received=now)

    def behind(self) -> int:
        """Return how old (ns) the last event was when it came, 0 where that cannot be told."""
        at = self._last.rfind(_TIME)
        text = self._last[at + len(_TIME) : at + len(_TIME) + 19] if at >= 0 else ""
        behind = self.seen - int(text) if text.isdecimal() else 0
        return behind if 0 < behind < min(MOST_BEHIND, self.seen - self._began) else 0

    def _row(self, event: pb.GadgetEvent) -> tuple[str, str]:
        """Return the data source's name and the line of one data message."""
        form = self._formats.get(event.dataSourceID)
        if form is None:
            # Never guessed: the bytes are kept as they came, under a line that says so.
            return "", f"data source {event.dataSourceID} was not announced: {event.payload.hex()}"
        try:
            if form.is_array:
                rows = pb.GadgetDataArray.FromString(event.payload).dataArray
                return form.name, "[" + ",".join([form.row(row.payload) for row in rows]) + "]"
            return form.name, form.row(pb.GadgetData.FromString(event.payload).data.payload)
        except (ValueError, DecodeError) as error:
            return form.name, f"does not fit its schema ({error}): {event.payload.hex()}"

    def _other(self, event: pb.GadgetEvent, now: int) -> Iterator[Chunk]:
        severity = event.type >> 16
        if event.type == INFO:
            yield from self._schema(event.payload, now)
        elif severity:
            level = _SEVERITIES[min(severity, len(_SEVERITIES) - 1)]
            text = event.payload.decode("utf-8", "replace")
            yield log_chunk(self.node, now, level, text, self.behind())
        else:
            text = (
                f"a message of type {event.type} that igdash does not know: {event.payload.hex()}"
            )
            yield log_chunk(self.node, now, "warning", text)

    def _schema(self, payload: bytes, now: int) -> Iterator[Chunk]:
        try:
            info = pb.GadgetInfo.FromString(payload)
        except DecodeError as error:
            yield log_chunk(self.node, now, "error", f"the gadget's schema is unreadable: {error}")
            return
        self._formats = {}
        for source in info.dataSources:
            try:
                self._formats[source.id] = RowFormat(source)
            except (ValueError, RecursionError) as error:
                text = f"data source {source.name}: its schema makes no sense ({error})"
                yield log_chunk(self.node, now, "error", text)
        self.info = info
        described = self._describe(info)
        if described is not None:
            yield described
