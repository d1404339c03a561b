"""Cut `examples/recordings/` out of recordings of a real Inspektor Gadget.

    python scripts/make_recordings.py RECORDINGS_FOLDER [OUTPUT_FOLDER]

Each recording is one unbroken piece of what the program printed: whole lines, in their order,
nothing in them changed. The same input gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent.parent / "examples" / "recordings"
NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What to take: `seconds` since the first event (by the newest event so far) or `lines`."""

    source: str
    target: str
    seconds: tuple[float, float] | None = None
    lines: tuple[int, int] | None = None
    every: int = 1


PIECES = (
    Piece(source="kubernetes/trace_tcp", target="trace_tcp", seconds=(24, 62)),
    Piece(source="kubernetes/trace_dns", target="trace_dns", seconds=(45, 67)),
    Piece(source="kubernetes/trace_exec", target="trace_exec", seconds=(0, 32)),
    Piece(source="kubernetes/trace_sni", target="trace_sni", seconds=(22, 100)),
    Piece(source="kubernetes/trace_open", target="trace_open", seconds=(0, 9)),
    Piece(source="kubernetes/trace_signal", target="trace_signal", seconds=(0, 60)),
    Piece(source="kubernetes/top_tcp", target="top_tcp", lines=(52, 70)),
    Piece(source="kubernetes/top_process", target="top_process", lines=(10, 12)),
    Piece(source="kubernetes/profile_cpu", target="profile_cpu", lines=(2, 11)),
    Piece(source="kubernetes/snapshot_process", target="snapshot_process", lines=(0, 1)),
    Piece(source="host/trace_open_lost", target="trace_open.flood", every=20),
)

README = """# Recordings of a real Inspektor Gadget

What `igdash demo` replays and the tests read. Each folder is one unbroken piece of what
`kubectl-gadget run GADGET -o json` printed on a two-node Kubernetes 1.36.2 with a small shop in the
namespaces `production`, `staging` and `demo`; `events.jsonl` holds stdout, `stderr.txt` the log
where there was one, `NOTE.md` says how it was taken and what was cut. Nothing in a line was changed.

A folder's name is the gadget's, with a part's name after a dot where there are several: all parts of
a gadget are replayed, one after the other. `trace_open.flood` is a machine of its own on which four
processes opened files in a tight loop until the kernel's buffer lost events; `replay.json` says that
it is played in the first round and then in every 20th only.

| folder | lines | bytes | rows by namespace |
|---|---|---|---|
"""


def lines_of(path: Path) -> list[str]:
    """Return whole lines, cut at line feeds alone: other separators may stand inside of values."""
    return [line + "\n" for line in path.read_bytes().decode().split("\n")[:-1]]


def rows_of(line: str) -> list[dict[str, Any]]:
    """Return the rows of one line: one event, or the elements of an array."""
    value = json.loads(line)
    return value if isinstance(value, list) else [value]


def window(lines: list[str], start: float, end: float) -> tuple[int, int]:
    """Return the line numbers between which the newest event so far lies in the window."""
    times = [rows_of(line)[0]["timestamp_raw"] for line in lines]
    first, newest, inside = min(times), 0, []
    for number, time in enumerate(times):
        newest = max(newest, time)
        if start <= (newest - first) / NS < end:
            inside.append(number)
    return inside[0], inside[-1] + 1


def cut(piece: Piece, folder: Path, output: Path) -> str:
    """Write one recording; return its row of the table."""
    source, target = folder / piece.source, output / piece.target
    lines = lines_of(source / "ig.jsonl")
    first, last = piece.lines or (0, len(lines))
    if piece.seconds:
        first, last = window(lines, *piece.seconds)
    taken = lines[first:last]
    target.mkdir(parents=True, exist_ok=True)
    text = "".join(taken)
    (target / "events.jsonl").write_bytes(text.encode())
    logs = lines_of(source / "stderr.txt")
    kept = logs[len(logs) * first // len(lines) : len(logs) * last // len(lines)]
    if kept:
        (target / "stderr.txt").write_bytes("".join(kept).encode())
    if piece.every > 1:
        (target / "replay.json").write_text(json.dumps({"every": piece.every}) + "\n", "utf-8")
    counts = Counter(row["k8s"]["namespace"] or "-" for line in taken for row in rows_of(line))
    spread = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    (target / "NOTE.md").write_text(note(source, first, last, len(lines), kept, spread), "utf-8")
    return f"| {piece.target} | {len(taken)} | {len(text.encode())} | {spread} |\n"


def note(source: Path, first: int, last: int, total: int, logs: list[str], spread: str) -> str:
    """Return the note of a cut: what was taken, then the note of the whole recording."""
    original = (source / "NOTE.md").read_text("utf-8").splitlines()
    told = [
        line.replace("; see ../kubernetes-api/pods-production.json", "")
        for line in original
        if not line.startswith(("stream", "- stream", "info.bin", "- Field", "- Cut", "# "))
        and not line.startswith("Oddity: ig.")
    ]
    taken, *rest = [line for line in told if line]
    return "\n".join(
        [
            f"# {source.name}",
            f"{taken}",
            f"events.jsonl: lines {first + 1} to {last} of {total} recorded ones, unchanged "
            f"(rows by namespace: {spread}; - = none)."
            + (f" stderr.txt: {len(logs)} lines." if logs else " Nothing was logged meanwhile."),
            "",
            "Of the whole recording:",
            "",
            *rest,
            "",
        ]
    )


def main(arguments: list[str]) -> int:
    """Write the recordings; return the exit code."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: make_recordings.py RECORDINGS_FOLDER [OUTPUT_FOLDER]\n")
        return 2
    output = Path(arguments[1]) if len(arguments) == 2 else OUTPUT
    table = [cut(piece, Path(arguments[0]), output) for piece in PIECES]
    (output / "README.md").write_text(README + "".join(table), "utf-8")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    sys.stderr.write(f"{len(table)} recordings, {size} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
