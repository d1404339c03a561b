"""Files somebody brings, packed with zstd: as the same file unpacked, and never more than it may be."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pyarrow
import pytest

from igdash.domain.chunks import Chunk
from igdash.domain.errors import InvalidSpec
from igdash.sources import captures
from igdash.sources.captures import open_lines

LINES = b"".join(b'{"comm":"sh","n":%d}\n' % n for n in range(40_000))


def packed(path: Path, data: bytes) -> bytes:
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(data)
    return path.read_bytes()


def lines_of(path: Path) -> bytes:
    file = open_lines(path)
    try:
        (capture,) = file.captures()
        pieces = [chunk.data.partition(b"\n")[2] for chunk in capture.pieces]
        assert file.read == file.size == path.stat().st_size
        return b"".join(pieces)
    finally:
        file.close()


def test_zstd_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.zst"
    frame = packed(path, LINES)
    assert lines_of(path) == LINES
    path.write_bytes(frame + frame)
    assert lines_of(path) == LINES * 2


@pytest.mark.parametrize("left", [7, 0.5])
def test_a_stream_cut_short_says_so(tmp_path: Path, left: float) -> None:
    path = tmp_path / "x.jsonl.zst"
    frame = packed(path, LINES)
    path.write_bytes(frame[: left if left > 1 else int(len(frame) * left)])  # type: ignore[misc]
    with pytest.raises(InvalidSpec, match="zstd stream is damaged or cut short"):
        lines_of(path)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_a_stream_gave_before_it_was_cut_is_kept(tmp_path: Path, kind: str) -> None:
    """All of it, the line that is not whole included; zstd gives blocks of 128 KiB."""
    path = tmp_path / "x"
    frame = gzip.compress(LINES) if kind == "gzip" else packed(path, LINES)
    frame = frame[: len(frame) // 3]
    path.write_bytes(frame)
    file = open_lines(path)
    (capture,) = file.captures()
    pieces: list[Chunk] = []
    with pytest.raises(InvalidSpec, match=f"{kind} stream is damaged or cut short"):
        pieces.extend(capture.pieces)
    file.close()
    heads, texts = zip(*(chunk.data.split(b"\n", 1) for chunk in pieces), strict=True)
    found = b"".join(texts)
    assert LINES.startswith(found)
    assert not found.endswith(b"\n")
    assert b"cannot be read on from here" in heads[-1]
    assert file.lines == found.count(b"\n") + 1
    if kind == "gzip":
        assert found == zlib.decompressobj(31).decompress(frame)
    else:
        assert len(found) == 128 * 1024


def test_what_unpacks_to_far_too_much_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "MAX_BOMB", 1024 * 1024)
    path = tmp_path / "x.jsonl.zst"
    packed(path, b'{"a":1}\n' * 4_000_000)
    with pytest.raises(InvalidSpec, match="300 times its size"):
        lines_of(path)
