"""From the messages of one node's stream to chunks: events as JSON lines, logs, losses.

Sans-IO, one per run: the schema comes with the stream itself (message type 4), sequence numbers
count from 1, and what is missing between two of them was lost in IG's queue to us (IG:
pkg/gadget-service/service-oci.go; the queue holds 16,384 messages).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.losses import LossCause
from igdash.domain.times import format_ns
from igdash.sources.elements import RowFormat
from igdash_wire import ig_pb2 as pb

DATA: Final = 0
INFO: Final = 4
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


def log_chunk(node: str, now: int, level: str, text: str) -> Chunk:
    """Return a line for the session's log as IG itself would write it."""
    line = f"time={json.dumps(format_ns(now))} level={level} msg={json.dumps(text, ensure_ascii=False)}\n"
    return Chunk(kind=ChunkKind.LOG_LINES, received=now, data=line.encode(), node=node)


@dataclass(slots=True)
class _Lines:
    """Lines of one data source that wait to become a chunk."""

    source: str
    parts: list[str] = field(default_factory=list)


class NodeReader:
    """One run on one node. `started` turns true with the schema; `seen` is the last data's time."""

    def __init__(self, node: str, began: int) -> None:
        self.node = node
        self.started = False
        self.seen = began
        self.info: pb.GadgetInfo | None = None
        self._formats: dict[int, RowFormat] = {}
        self._last_seq = 0

    def read(self, messages: Iterable[bytes], now: int) -> Iterator[Chunk]:
        """Yield the chunks that these messages make, in order; `now` (ns) is the time of receipt.

        A message that cannot be read becomes a line that the decoder will keep as malformed.
        """
        lines: _Lines | None = None
        for message in messages:
            event = pb.GadgetEvent.FromString(message)
            if event.type == DATA:
                gap = event.seq - self._last_seq - 1 if event.seq > self._last_seq else 0
                source, text = self._row(event)
                if lines is not None and (gap or lines.source != source):
                    yield self._chunk(lines, now)
                    lines = None
                if gap:
                    yield self._gap(gap, event.seq, now)
                lines = lines or _Lines(source)
                lines.parts.append(text)
                self._last_seq = max(self._last_seq, event.seq)
                self.seen = now
            else:
                if lines is not None:
                    yield self._chunk(lines, now)
                    lines = None
                yield from self._other(event, now)
        if lines is not None:
            yield self._chunk(lines, now)

    def _chunk(self, lines: _Lines, now: int) -> Chunk:
        data = "\n".join(lines.parts).encode() + b"\n"
        return Chunk(
            kind=ChunkKind.JSON_LINES, received=now, data=data, node=self.node, source=lines.source
        )

    def _gap(self, missing: int, seq: int, now: int) -> Chunk:
        detail = f"expected seq {self._last_seq + 1}, got {seq}: Inspektor Gadget's queue to igdash was full"
        return loss_chunk(self.node, self.seen, now, missing, LossCause.IG_QUEUE, detail)

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
        if event.type == INFO:
            info = pb.GadgetInfo.FromString(event.payload)
            self._formats = {source.id: RowFormat(source) for source in info.dataSources}
            self.info = info
            self.started = True
            return
        severity = event.type >> 16
        if severity:
            level = _SEVERITIES[min(severity, len(_SEVERITIES) - 1)]
            yield log_chunk(self.node, now, level, event.payload.decode("utf-8", "replace"))
