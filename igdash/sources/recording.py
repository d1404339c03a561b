"""Recorded lines, read once and shared by all replays of them.

A recording is a folder `GADGET` or `GADGET.PART` with `events.jsonl` (what `-o json` printed),
perhaps `stderr.txt` (the log of the same run), `NOTE.md` (where it comes from) and `replay.json`
(`{"every": 20}`: play this part in the first and then in every 20th round).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from igdash.domain.errors import SourceError
from igdash.domain.times import NS, format_ns, parse_time
from igdash.sources.decode import NotAnEvent, split_rows

EVENTS: Final = "events.jsonl"
MAX_BYTES: Final = 256 * 1024 * 1024
"""Largest file that is replayed: it is held in memory."""

_NO_RAW: Final = msgspec.Raw(b"")
_TIME: Final = re.compile(
    r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|([+-])(\d\d):(\d\d))"'
)
_LOG_TIME: Final = re.compile(r'time=("[^"]+")')


class _K8s(msgspec.Struct):
    namespace: str = ""
    podName: str = ""  # noqa: N815 (as IG writes it)
    containerName: str = ""  # noqa: N815
    node: str = ""
    podLabels: str = ""  # noqa: N815


class _Head(msgspec.Struct):
    k8s: _K8s = msgspec.field(default_factory=_K8s)
    timestamp: msgspec.Raw = _NO_RAW
    timestamp_raw: msgspec.Raw = _NO_RAW


_head: Final = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A time inside of a text: where, which (ns), and how it is written ("" = as a plain number)."""

    start: int
    end: int
    at: int
    zone: str = ""
    offset: int = 0
    decimals: int = 0

    def moved(self, by: int) -> str:
        """Return the time `by` ns later, written as the original is."""
        if not self.zone:
            return str(self.at + by)
        text = format_ns(self.at + by + self.offset)
        fraction = f".{text[20 : 20 + self.decimals]}" if self.decimals else ""
        return f'"{text[:19]}{fraction}{self.zone}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event, or one element of an array, and whose it is."""

    text: str
    at: int = 0
    namespace: str = ""
    pod: str = ""
    container: str = ""
    node: str = ""
    labels: str = ""
    stamps: tuple[Stamp, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One recorded line; `at` (ns) is its place on the part's own time line, which never goes back.

    A line of the log has one row and `log` set. `startup` marks what was logged before any event.
    """

    at: int
    rows: tuple[Row, ...]
    array: bool = False
    log: bool = False
    startup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One run of the gadget. `every`: it is played in the first and then in each such round.

    `interval` (ns) lies between its arrays, 0 = it has none.
    """

    name: str
    lines: tuple[Line, ...]
    note: str = ""
    every: int = 1
    interval: int = 0


def parts_of(folder: Path) -> Mapping[str, tuple[Path, ...]]:
    """Return the recorded gadgets with the folders of their parts, main part first.

    Raises `SourceError` when `folder` cannot be read.
    """
    found: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir(), key=lambda p: p.name):
            if (path / EVENTS).is_file():
                found.setdefault(path.name.partition(".")[0], []).append(path)
    except OSError as error:
        raise SourceError(f"recordings folder {folder}: {error.strerror or error}") from error
    return {gadget: tuple(paths) for gadget, paths in found.items()}


def load_part(folder: Path, interval: int) -> Part:
    """Return one part, its arrays `interval` ns apart. Raises `SourceError` naming the file.

    Read again only when a file changed.
    """
    try:
        stamps = tuple(
            (name, info.st_mtime_ns, info.st_size)
            for name in (EVENTS, "stderr.txt", "NOTE.md", "replay.json")
            if (folder / name).is_file()
            for info in [(folder / name).stat()]
        )
        if any(size > MAX_BYTES for _, _, size in stamps):
            raise SourceError(f"recording {folder}: larger than {MAX_BYTES} bytes")
        return _load(folder, interval, stamps)
    except OSError as error:
        raise SourceError(f"recording {folder}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"recording {folder}: not UTF-8 ({error.reason})") from error


@lru_cache(maxsize=64)
def _load(folder: Path, interval: int, stamps: tuple[tuple[str, int, int], ...]) -> Part:
    present = {name for name, _, _ in stamps}
    events = list(_events(_lines(folder / EVENTS), interval))
    logs = _lines(folder / "stderr.txt") if "stderr.txt" in present else []
    note = (folder / "NOTE.md").read_text("utf-8") if "NOTE.md" in present else ""
    every = 1
    if "replay.json" in present:
        every = _every(folder / "replay.json")
    return Part(
        name=folder.name,
        lines=tuple(_merged(events, logs)),
        note=_summary(note),
        every=every,
        interval=interval if any(line.array for line in events) else 0,
    )


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_bytes().decode().split("\n") if line.strip()]


def _every(path: Path) -> int:
    try:
        every = msgspec.json.decode(path.read_bytes(), type=dict[str, int]).get("every", 1)
    except msgspec.DecodeError as error:
        raise SourceError(f"recording {path}: {error}") from error
    return max(1, every)


def _summary(note: str) -> str:
    """Return the note's first paragraph without its title."""
    lines = [line for line in note.splitlines() if not line.startswith("#")]
    text = "\n".join(lines).strip().partition("\n\n")[0]
    return " ".join(text.split())


def _events(lines: list[str], interval: int) -> Iterator[Line]:
    """Yield the lines with their places: an event's own time, never earlier than the line before."""
    newest = 0
    for number, text in enumerate(lines):
        if text.lstrip().startswith("["):
            newest = number * interval
            yield Line(at=newest, rows=tuple(_rows(text)), array=True)
        else:
            row = _row(text)
            newest = max(newest, row.at)
            yield Line(at=newest, rows=(row,))


def _rows(text: str) -> Iterator[Row]:
    try:
        for row in split_rows(text):
            yield replace(_row(row), stamps=())  # a tick's place is its number, not a time
    except NotAnEvent as error:
        raise SourceError(f"a recorded array cannot be read: {error}") from error


def _row(text: str) -> Row:
    """Return what is known of an event. What cannot be read is replayed as it is."""
    try:
        head = _head.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return Row(text=text)
    stamps = _stamps(text, head)
    return Row(
        text=text,
        at=stamps[0].at if stamps else 0,
        namespace=head.k8s.namespace,
        pod=head.k8s.podName,
        container=head.k8s.containerName,
        node=head.k8s.node,
        labels=head.k8s.podLabels,
        stamps=tuple(sorted(stamps, key=lambda stamp: stamp.start)),
    )


def _stamps(text: str, head: _Head) -> list[Stamp]:
    """Return the event's own times, `timestamp_raw` first; none when there is any doubt.

    Doubt: the member is written with white space or more than once (a nested one might be meant).
    """
    raw = bytes(head.timestamp_raw).decode()
    needle = f'"timestamp_raw":{raw}'
    if not (raw.isdigit() and len(raw) <= 19 and text.count(needle) == 1):
        return []
    end = text.index(needle) + len(needle)
    stamps = [Stamp(start=end - len(raw), end=end, at=int(raw))]
    written = bytes(head.timestamp).decode()
    if written:
        needle = f'"timestamp":{written}'
        stamp = text.count(needle) == 1 and _written(written, text.index(needle) + 12)
        if not stamp:
            return []
        stamps.append(stamp)
    return stamps


def _written(text: str, start: int) -> Stamp | None:
    """Return the stamp for a quoted RFC 3339 text that begins at `start`."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    _, fraction, zone, sign, hours, minutes = match.groups()
    offset = (int(hours) * 3600 + int(minutes) * 60) * NS if sign else 0
    return Stamp(
        start=start,
        end=start + len(text),
        at=parse_time(text[1:-1]),
        zone=zone,
        offset=-offset if sign == "-" else offset,
        decimals=len(fraction or ""),
    )


def _merged(events: list[Line], logs: list[str]) -> Iterator[Line]:
    """Yield events and log lines in order: by time where both have one, else in proportion."""
    if not events:
        return
    timed = events[0].rows[0].at > 0 if events[0].rows else False
    first, last = events[0].at, events[-1].at
    waiting = [_log_line(text, timed, first, last, n, len(logs)) for n, text in enumerate(logs)]
    waiting.reverse()
    for event in events:
        while waiting and waiting[-1].at <= event.at:
            yield waiting.pop()
        yield event
    yield from reversed(waiting)


def _log_line(text: str, timed: bool, first: int, last: int, number: int, total: int) -> Line:
    match = _LOG_TIME.search(text)
    stamp = _written(match[1], match.start(1)) if match else None
    if timed and stamp is not None:
        at = max(first, stamp.at)
        startup = stamp.at < first
    else:
        at = first + (last - first) * number // max(1, total)
        startup = False
    row = Row(text=text, stamps=(stamp,) if stamp else ())
    return Line(at=at, rows=(row,), log=True, startup=startup)
