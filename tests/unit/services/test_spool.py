from __future__ import annotations

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.sessions import SessionId
from igdash.services import spool as module
from igdash.services.spool import Piece, Spool, SpoolFull, pack, sessions_in, split

SESSION = SessionId("0123456789ab")

names = st.text(st.characters(exclude_characters="\0"), max_size=20)
chunks = st.builds(
    Chunk,
    kind=st.sampled_from(ChunkKind),
    received=st.integers(min_value=0, max_value=2**63 - 1),
    data=st.binary(max_size=300),
    node=names,
    source=names,
    partial=st.booleans(),
    assumed=st.booleans(),
)


def make(
    folder: Path, committed: int = 0, max_bytes: int = 1 << 30, segment: int = 1 << 20
) -> Spool:
    return Spool(folder, SESSION, committed=committed, max_bytes=max_bytes, segment_bytes=segment)


def read_all(spool: Spool, limit: int = 1 << 20) -> tuple[list[Chunk], int]:
    found: list[Chunk] = []
    holes = 0
    while spool.position < spool.end:
        piece = spool.read(limit)
        assert piece.chunks or piece.hole
        found.extend(piece.chunks)
        holes += piece.hole
    return found, holes


def chunk(data: bytes, received: int = 1) -> Chunk:
    return Chunk(kind=ChunkKind.JSON_LINES, received=received, data=data)


def test_what_was_appended_is_read_in_order_and_file_is_private(tmp_path: Path) -> None:
    spool = make(tmp_path)
    sent = [chunk(b"a" * n, received=n) for n in range(1, 50)]
    for item in sent:
        spool.append(item)
    assert spool.oldest() == 1
    assert read_all(spool, 100) == (sent, 0)
    assert spool.unread > 0
    assert not spool.drained
    spool.commit(spool.position)
    assert spool.drained
    assert spool.oldest() is None
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
    assert sessions_in(tmp_path) == {SESSION}
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_rewind_reads_again_from_what_is_committed(tmp_path: Path) -> None:
    spool = make(tmp_path)
    for n in range(3):
        spool.append(chunk(b"%d" % n))
    first = spool.read(1).chunks
    spool.commit(spool.position)
    rest = read_all(spool)[0]
    spool.rewind()
    assert first == (chunk(b"0"),)
    assert read_all(spool)[0] == rest == [chunk(b"1"), chunk(b"2")]
    spool.close()


def test_segments_go_only_when_all_of_them_is_committed(tmp_path: Path) -> None:
    spool = make(tmp_path, segment=200)
    for n in range(40):
        spool.append(chunk(b"x" * 50, received=n))
    before = len(list(tmp_path.iterdir()))
    assert before > 5
    spool.read(400)
    spool.commit(spool.position)
    assert 0 < len(list(tmp_path.iterdir())) < before
    spool.close()
    again = make(tmp_path, committed=spool.committed)
    found, holes = read_all(again)
    assert holes == 0
    assert found[-1].received == 39
    assert found[0].received + len(found) == 40
    again.close()


def test_offsets_only_grow_across_restarts(tmp_path: Path) -> None:
    offset = 0
    for n in range(5):
        spool = make(tmp_path, committed=offset)
        assert spool.end == offset
        spool.append(chunk(b"%d" % n))
        assert read_all(spool) == ([chunk(b"%d" % n)], 0)
        assert spool.position > offset
        offset = spool.position
        spool.commit(offset)
        spool.close()


def test_kill_before_commit_replays_exactly_the_rest(tmp_path: Path) -> None:
    spool = make(tmp_path, segment=300)
    sent = [chunk(b"%d" % n, received=n) for n in range(30)]
    for item in sent:
        spool.append(item)
    done = spool.read(200)
    # no close: the process is killed; the database has `done`
    again = make(tmp_path, committed=done.end, segment=300)
    assert read_all(again) == (sent[len(done.chunks) :], 0)
    again.append(chunk(b"new"))
    assert read_all(again) == ([chunk(b"new")], 0)
    third = make(tmp_path, committed=done.end)
    assert read_all(third) == ([*sent[len(done.chunks) :], chunk(b"new")], 0)
    third.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_end_is_told_as_a_hole_and_new_records_follow(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(chunk(b"whole"))
    whole = spool.end
    spool.append(chunk(b"torn"))
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 1)
    torn = path.stat().st_size - whole
    again = make(tmp_path)
    again.append(chunk(b"next"))
    assert read_all(again) == ([chunk(b"whole"), chunk(b"next")], torn)
    third = make(tmp_path)
    assert read_all(third) == ([chunk(b"whole"), chunk(b"next")], torn)
    third.remove()
    assert list(tmp_path.iterdir()) == []


def test_only_a_torn_record_is_a_hole_in_a_spool_that_works(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(chunk(b"torn"))
    (path,) = tmp_path.iterdir()
    os.truncate(path, 5)
    again = make(tmp_path)
    assert not again.drained
    again.append(chunk(b"next"))
    assert read_all(again) == ([chunk(b"next")], 5)
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_damage_before_whole_records_is_told_until_it_is_committed(tmp_path: Path) -> None:
    spool = make(tmp_path)
    for n in range(4):
        spool.append(chunk(b"%d" % n, received=n))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    record = len(content) // 4
    content[record + 1] ^= 1
    path.write_bytes(content)
    for _ in range(2):  # a kill before the commit
        again = make(tmp_path)
        assert again.oldest() == 0
        assert read_all(again) == ([chunk(b"0", received=0)], 3 * record)
        again.commit(record)
        assert again.oldest() is None
        assert not again.drained
    again.commit(again.end)
    again.close()
    assert list(tmp_path.iterdir()) == []
    assert make(tmp_path, committed=again.committed).drained


def test_a_broken_disk_at_the_start_is_a_hole_in_that_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make(tmp_path)
    spool.append(chunk(b"one"))
    (path,) = tmp_path.iterdir()
    stat = Path.stat

    def broken(file: Path, **how: bool) -> os.stat_result:
        if file == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return stat(file, **how)

    def unreadable(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", broken)
        patch.setattr(os, "pread", unreadable)
        again = make(tmp_path)
        found, holes = read_all(again)
        assert (found, holes > 0) == ([], True)
        again.append(chunk(b"two"))
    assert read_all(again) == ([chunk(b"two")], 0)
    again.remove()


def test_a_missing_segment_is_a_hole_that_is_told(tmp_path: Path) -> None:
    spool = make(tmp_path, segment=100)
    for n in range(9):
        spool.append(chunk(b"y" * 60, received=n))
    sorted(tmp_path.iterdir())[1].unlink()
    again = make(tmp_path)
    found, holes = read_all(again)
    assert holes > 0
    assert [item.received for item in found][-1] == 8
    assert again.position == spool.end
    again.remove()


def test_damage_while_running_skips_to_the_next_segment(tmp_path: Path) -> None:
    spool = make(tmp_path, segment=100)
    for n in range(4):
        spool.append(chunk(b"z" * 100, received=n))
    first = sorted(tmp_path.iterdir())[0]
    first.write_bytes(b"\0" * first.stat().st_size)
    found, holes = read_all(spool)
    assert [item.received for item in found] == [1, 2, 3]
    assert holes == first.stat().st_size
    spool.remove()


def test_the_bound_refuses_and_recovers(tmp_path: Path) -> None:
    spool = make(tmp_path, max_bytes=500)
    for _ in range(3):
        spool.append(chunk(b"x" * 100))
    with pytest.raises(SpoolFull) as caught:
        spool.append(chunk(b"x" * 200))
    assert not caught.value.disk
    assert spool.unread <= 500
    read_all(spool)
    spool.commit(spool.position)
    spool.append(chunk(b"x" * 100))
    spool.remove()
    with pytest.raises(SpoolFull):
        spool.append(chunk(b"late"))


def test_a_short_write_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make(tmp_path)
    spool.append(chunk(b"one"))
    real = os.writev
    monkeypatch.setattr(module.os, "writev", lambda fd, parts: real(fd, [parts[0][:7]]))
    with pytest.raises(SpoolFull) as caught:
        spool.append(chunk(b"two"))
    assert caught.value.disk
    monkeypatch.undo()
    spool.append(chunk(b"three"))
    assert read_all(spool) == ([chunk(b"one"), chunk(b"three")], 0)
    assert read_all(make(tmp_path)) == ([chunk(b"one"), chunk(b"three")], 0)
    spool.remove()


@pytest.mark.parametrize("before", [[], [b"one"]])
def test_a_half_record_that_cannot_be_cut_off_spoils_nothing_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[bytes]
) -> None:
    """Copy-on-write file systems need room to make a file shorter."""
    spool = make(tmp_path)
    for data in before:
        spool.append(chunk(data))
    real = os.writev

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "writev", lambda fd, parts: real(fd, [parts[0][:7]]))
    monkeypatch.setattr(module.os, "ftruncate", refuse)
    with pytest.raises(SpoolFull):
        spool.append(chunk(b"two"))
    monkeypatch.undo()
    spool.append(chunk(b"three"))
    expected = [chunk(data) for data in (*before, b"three")]
    assert read_all(spool) == (expected, 0)
    assert read_all(make(tmp_path)) == (expected, 0)
    spool.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_process_short_of_files_loses_nothing_and_has_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make(tmp_path)
    spool.append(chunk(b"one"))

    def scarce(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module.os, "open", scarce)
    assert spool.read(1 << 20) == Piece((), 0)
    with pytest.raises(SpoolFull, match="open files") as caught:
        make(tmp_path / "other").append(chunk(b"two"))
    assert not caught.value.disk
    monkeypatch.undo()
    assert read_all(spool) == ([chunk(b"one")], 0)
    spool.remove()


def test_removed_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a file that is closed is soon another file's."""
    spool = make(tmp_path)
    sent = [chunk(b"a" * n) for n in range(1, 5)]
    for item in sent:
        spool.append(item)
    reading, removing = threading.Event(), threading.Event()
    pread = os.pread

    def slow(fd: int, size: int, at: int) -> bytes:
        reading.set()
        removing.wait(5)
        time.sleep(0.05)  # the other thread has the time to close what is read here
        return pread(fd, size, at)

    def remove() -> None:
        reading.wait(5)
        removing.set()
        spool.remove()

    monkeypatch.setattr(os, "pread", slow)
    with ThreadPoolExecutor(1) as pool:
        removed = pool.submit(remove)
        piece = spool.read(1 << 20)
        removed.result(5)
    assert (list(piece.chunks), piece.hole) == (sent, 0)
    assert (spool.position >= spool.end, list(tmp_path.iterdir())) == (True, [])


def test_a_record_bigger_than_the_limit_is_read_whole(tmp_path: Path) -> None:
    spool = make(tmp_path)
    big = chunk(b"x" * 3_000_000)
    spool.append(big)
    spool.append(chunk(b"y"))
    assert spool.read(10).chunks == (big,)
    again = make(tmp_path)
    assert read_all(again, 10) == ([big, chunk(b"y")], 0)
    spool.remove()
    again.remove()


@settings(max_examples=150, deadline=None)
@given(sent=st.lists(chunks, max_size=12), limit=st.integers(1, 2_000), segment=st.integers(1, 900))
def test_round_trip(sent: list[Chunk], limit: int, segment: int) -> None:
    with TemporaryDirectory() as folder:
        spool = make(Path(folder), segment=segment)
        for item in sent:
            spool.append(item)
        assert read_all(spool, limit) == (sent, 0)
        assert read_all(make(Path(folder)), limit) == (sent, 0)
        spool.remove()


@settings(max_examples=300, deadline=None)
@given(data=st.data(), sent=st.lists(chunks, min_size=1, max_size=8))
def test_any_truncation_or_change_of_a_byte_leaves_a_clean_prefix(
    data: st.DataObject, sent: list[Chunk]
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        spool = make(folder)
        for item in sent:
            spool.append(item)
        spool._appending.close()
        (path,) = folder.iterdir()
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[at:]
        else:
            content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        again = make(folder)
        found, holes = read_all(again)
        assert found == sent[: len(found)]
        # Everything that ends before the change is there, all else is told.
        ends = [0]
        for item in sent:
            ends.append(ends[-1] + sum(map(len, pack(item))))
        assert len(found) == sum(end <= at for end in ends[1:])
        assert holes == len(content) - ends[len(found)]
        again.append(chunk(b"after"))
        assert read_all(again) == ([chunk(b"after")], 0)
        again.remove()


@given(noise=st.binary(max_size=400))
def test_noise_never_raises(noise: bytes) -> None:
    found, used, _ = split(noise)
    assert not found
    assert used == 0


def test_records_of_former_versions_have_no_source(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append(Chunk(kind=ChunkKind.JSON_LINES, received=1, data=b"{}\n", node="worker-1"))
    spool.append(
        Chunk(kind=ChunkKind.JSON_LINES, received=1, data=b"{}\n", node="a\0b", source="open")
    )
    found, _ = read_all(spool)
    assert [(one.node, one.source) for one in found] == [("worker-1", ""), ("ab", "open")]
