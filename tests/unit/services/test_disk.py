from __future__ import annotations

from pathlib import Path

import pytest

from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS
from igdash.services.disk import LEDGER_BYTES, DiskGuard, Ledger

SESSION = SessionId("a" * 12)


def loss(second: int) -> Loss:
    return Loss(node="", start=second * NS, end=second * NS, count=2, cause=LossCause.WRITER)


def test_reserve_is_given_back_when_full_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = DiskGuard(tmp_path, 100_000)
    guard.start()
    assert guard.full == ""
    assert (tmp_path / "reserve").stat().st_size == 100_000
    guard.fill("No space left on device")
    assert not (tmp_path / "reserve").exists()
    assert guard.full == "No space left on device"
    free = 0
    monkeypatch.setattr(guard, "_free", lambda: free)
    guard.check()
    assert guard.full
    free = 200_000
    guard.check()
    assert guard.full == ""
    assert (tmp_path / "reserve").exists()


def test_a_disk_that_is_full_at_the_start_is_known_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = DiskGuard(tmp_path, 100_000)
    monkeypatch.setattr(guard, "_free", lambda: 0)
    guard.start()
    assert guard.full


def test_ledger_keeps_its_size_and_gives_back_what_was_written(tmp_path: Path) -> None:
    assert Ledger(tmp_path).start() == {}
    ledger = Ledger(tmp_path)
    assert ledger.start() == {}
    assert ledger.write({SESSION: (loss(1), loss(2))})
    assert (tmp_path / "ledger").stat().st_size == LEDGER_BYTES
    assert Ledger(tmp_path).start() == {SESSION: (loss(1), loss(2))}
    assert ledger.write({})
    assert Ledger(tmp_path).start() == {}


def test_too_many_records_are_summed_rather_than_lost(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.start()
    assert ledger.write({SESSION: tuple(loss(n) for n in range(10_000))})
    (kept,) = Ledger(tmp_path).start()[SESSION]
    assert (kept.count, kept.start, kept.end) == (20_000, 0, 9_999 * NS)


def test_a_damaged_ledger_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"{broken")
    assert Ledger(tmp_path).start() == {}
