"""Recordings of a real Inspektor Gadget as an environment: for the demo, for tests, for looking back.

A replay behaves like a gadget: it keeps the spacing of the recording, begins anew when it is over,
gives only what belongs to the session's target, and has the log, losses included. With `retime`
the `timestamp` and `timestamp_raw` of an event are moved, both by the same amount for all events of
a round, so that the round is now; nothing else is ever changed. A stretch of more than `IDLE` in
which nothing happened to the target is shortened to that, and what follows it moves along.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.commands import run_argv
from igdash.domain.environments import Environment, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError
from igdash.domain.gadgets import Delivery, Gadget
from igdash.domain.ports import Catalogue, Sink, Stream
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.threads import spawn
from igdash.domain.times import NS, format_ns, now_ns
from igdash.sources.durations import go_duration
from igdash.sources.recording import Line, Part, Row, load_part, parts_of
from igdash.sources.target import Match, matcher

log = logging.getLogger(__name__)

IDLE: Final = 3 * NS
"""Longest silence (ns) between two lines of a round."""
PAUSE: Final = NS
"""Silence (ns) between two rounds."""
MIN_ROUND: Final = 10 * NS
"""A round takes at least this long (ns), so that a flood of two seconds is not shown as endless."""
_SLICE: Final = NS // 50
"""Lines due within this time (ns) are handed over as one chunk."""
_BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line to hand over, `after` ns from the round's start; its time is then `at + moved`."""

    after: int
    line: Line
    segment: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One part as it is played: `segments` are (recorded start, recorded end, start after)."""

    steps: tuple[Step, ...]
    segments: tuple[tuple[int, int, int], ...]
    every: int
    length: int


class ReplaySource:
    """The `Source` of a folder of recordings."""

    def __init__(self, environment: Environment, catalogue: Catalogue) -> None:
        self.environment = environment
        self._folder = Path(environment.folder)
        self._catalogue = catalogue

    def status(self) -> EnvironmentStatus:
        """Return what is recorded there. Never raises."""
        status = EnvironmentStatus(name=self.environment.name, kind=self.environment.kind)
        try:
            gadgets = sorted(parts_of(self._folder))
            if not gadgets:
                return replace(
                    status,
                    health=Health.DOWN,
                    reason=f"{self._folder} holds no recordings (GADGET/events.jsonl)",
                )
            seen = self._seen(gadgets)
        except SourceError as error:
            return replace(status, health=Health.DOWN, reason=str(error))
        return replace(
            status,
            health=Health.UP,
            version="recordings",
            nodes=seen["node"],
            gadgets=tuple(gadgets),
            suggestions=seen,
        )

    def _seen(self, gadgets: list[str]) -> Mapping[str, tuple[str, ...]]:
        rows = [
            row
            for gadget in gadgets
            for part in self._parts(gadget)
            for line in part.lines
            for row in line.rows
        ]
        names = {
            "namespace": {row.namespace for row in rows},
            "pod": {row.pod for row in rows},
            "container": {row.container for row in rows},
            "node": {row.node for row in rows},
        }
        return {key: tuple(sorted(values - {""})) for key, values in names.items()}

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:  # noqa: ARG002
        """Return the command that would give such events on a cluster."""
        return run_argv(self._gadget(spec.gadget), spec, self.environment)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return what is replayed and what was changed about it."""
        try:
            parts = self._parts(spec.gadget)
        except SourceError:
            parts = ()
        facts = {
            "recording": " · ".join(f"{part.name}: {part.note or 'no note'}" for part in parts),
            "retimed": "yes" if self.environment.retime else "no",
            "speed": f"{self.environment.speed:g}" if self.environment.speed else "unlimited",
            "idle": f"silence over {IDLE // NS} s is shortened",
        }
        if spec.params:
            facts["parameters"] = "a recording is as it is: parameters change nothing"
        return facts

    def restartable(self, spec: SessionSpec) -> bool:  # noqa: ARG002
        """A replay can always begin anew."""
        return True

    def describe(self, gadget: str) -> Gadget | None:  # noqa: ARG002
        """A recording holds events only: the catalogue has to do."""
        return None

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the replay. Raises `SourceError` when there is no such recording."""
        match = matcher(spec.target)
        parts = self._parts(spec.gadget)
        rounds = [played for part in parts if (played := _round(part, match)).steps]
        once = self._gadget(spec.gadget).delivery is Delivery.ONCE
        return ReplayStream(session, rounds, self.environment, sink, once=once)

    def _gadget(self, name: str) -> Gadget:
        try:
            return self._catalogue.get(name)
        except GadgetNotFound as error:
            raise SourceError(str(error)) from error

    def _parts(self, gadget: str) -> tuple[Part, ...]:
        recorded = parts_of(self._folder)
        if gadget not in recorded:
            there = ", ".join(sorted(recorded)) or "nothing"
            raise SourceError(f"no recording of {gadget} in {self._folder}; there is {there}")
        interval = self._interval(gadget)
        return tuple(load_part(path, interval) for path in recorded[gadget])

    def _interval(self, gadget: str) -> int:
        try:
            known = self._catalogue.get(gadget)
        except GadgetNotFound:
            return NS
        texts = (source.annotations.get("fetch-interval", "") for source in known.sources)
        return next((ns for text in texts if (ns := go_duration(text))), NS)


class ReplayStream:
    """A recording that plays for one session."""

    process: None = None

    def __init__(
        self,
        session: SessionId,
        rounds: list[Round],
        environment: Environment,
        sink: Sink,
        *,
        once: bool,
    ) -> None:
        self._rounds = rounds
        self._speed = environment.speed
        self._retime = environment.retime
        self._loop = environment.loop
        self._once = once
        self._sink = sink
        self._stop = threading.Event()
        self._thread = spawn(f"replay-{session}", self._run)

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:  # noqa: ARG002
        """End at once: a recording has no tail."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait until the thread is gone."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            failed, reason = False, self._rounds_played()
        except Exception as error:  # the sink must hear of the end whatever a recording holds
            log.exception("a recording cannot be played on")
            failed, reason = True, f"the recording cannot be played on: {error}"
        self._sink.ended(failed=failed, reason=reason)

    def _rounds_played(self) -> str:
        """Play until the end, or until stopped; return why it is over."""
        nodes = {row.node for played in self._rounds for row in _rows(played)} - {""}
        self._sink.nodes(expected=max(1, len(nodes)), connected=max(1, len(nodes)))
        self._sink.started()
        if not self._rounds:
            self._tell("nothing in this recording belongs to the session's target")
        number = 0
        while self._rounds and not self._stop.is_set():
            for played in self._rounds:
                if number % played.every == 0 and not self._stop.is_set():
                    self._play(played, first=number == 0)
            number += 1
            if self._once or not self._loop:
                break
        if self._once or not self._rounds:
            self._stop.wait()  # as the real one: it goes on running until stopped
        return "" if self._stop.is_set() else "the recording is over"

    def _play(self, played: Round, *, first: bool) -> None:
        """Hand over the lines of one round when they are due."""
        began, wall = time.monotonic_ns(), now_ns()
        moves = [self._move(segment, wall) for segment in played.segments]
        batch: list[Step] = []
        for step in played.steps:
            if step.line.startup and not first:
                continue
            due = self._after(step.after)
            if batch and (len(batch) >= _BATCH or due > self._after(batch[0].after) + _SLICE):
                if not self._wait(began + self._after(batch[-1].after)):
                    return
                self._give(batch, moves)
                batch = []
            batch.append(step)
        if batch and self._wait(began + self._after(batch[-1].after)):
            self._give(batch, moves)
            if not self._once:
                self._wait(began + self._after(played.length))

    def _after(self, ns: int) -> int:
        return int(ns / self._speed) if self._speed > 0 else 0

    def _wait(self, until: int) -> bool:
        """Wait for a moment of the monotonic clock (ns); return False when it is time to stop."""
        rest = until - time.monotonic_ns()
        if rest <= 0:
            return not self._stop.is_set()
        return not self._stop.wait(rest / NS)

    def _move(self, segment: tuple[int, int, int], wall: int) -> int:
        """Return by how much (ns) the times of a stretch move, 0 = not at all.

        Faster than recorded, its end is at the time of its end here, so that no event is from the
        future; else its start is at the time of its start.
        """
        start, end, after = segment
        if not self._retime:
            return 0
        if self._speed == 0 or self._speed > 1:
            return wall + self._after(after + end - start) - end
        return wall + self._after(after) - start

    def _give(self, batch: list[Step], moves: list[int]) -> None:
        """Hand over lines in their order; a chunk holds lines of one kind. The log's times are
        seconds: a line of it gets that in which it is handed over."""
        texts: list[str] = []
        log = batch[0].line.log
        for step in batch:
            if step.line.log is not log:
                self._chunk(texts, log)
                texts, log = [], step.line.log
            texts.append(self._text(step.line, moves[step.segment]))
        self._chunk(texts, log)

    def _text(self, line: Line, move: int) -> str:
        if line.log and self._retime:
            move = now_ns() - line.rows[0].stamps[0].at if line.rows[0].stamps else 0
        rows = [_moved(row, move) if move else row.text for row in line.rows]
        return "[" + ",".join(rows) + "]" if line.array else rows[0]

    def _chunk(self, texts: list[str], log: bool) -> None:
        kind = ChunkKind.LOG_LINES if log else ChunkKind.JSON_LINES
        data = ("\n".join(texts) + "\n").encode()
        self._sink.chunk(Chunk(kind=kind, received=now_ns(), data=data))

    def _tell(self, message: str) -> None:
        text = f'time="{format_ns(now_ns())}" level=info msg="{message}"'
        self._chunk([text], True)


def _rows(played: Round) -> Iterator[Row]:
    for step in played.steps:
        yield from step.line.rows


def _round(part: Part, match: Match | None) -> Round:
    """Return the part as it is played for a target; without steps when no row belongs to it."""
    lines = [kept for line in part.lines if (kept := _kept(line, match)) is not None]
    if not any(line.rows and not line.log for line in lines):
        lines = []
    steps: list[Step] = []
    segments: list[tuple[int, int, int]] = []
    after = 0
    for line in lines:
        gap = line.at - segments[-1][1] if segments else 0
        if not segments or (gap > IDLE and not part.interval):
            after += min(gap, IDLE)
            segments.append((line.at, line.at, after))
        else:
            after += gap
            segments[-1] = (segments[-1][0], line.at, segments[-1][2])
        steps.append(Step(after=after, line=line, segment=len(segments) - 1))
    return Round(
        steps=tuple(steps),
        segments=tuple(segments),
        every=part.every,
        length=after + part.interval if part.interval else max(MIN_ROUND, after + PAUSE),
    )


def _kept(line: Line, match: Match | None) -> Line | None:
    """Return the line with the rows of the target; an array stays, as its tick is a fact too."""
    if match is None or line.log:
        return line
    rows = tuple(row for row in line.rows if match(row))
    if not rows and not line.array:
        return None
    return line if len(rows) == len(line.rows) else replace(line, rows=rows)


def _moved(row: Row, move: int) -> str:
    pieces, done = [], 0
    for stamp in row.stamps:
        pieces += [row.text[done : stamp.start], stamp.moved(move)]
        done = stamp.end
    pieces.append(row.text[done:])
    return "".join(pieces)
