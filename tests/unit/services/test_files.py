"""How many files the processes let themselves have open."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from igdash import bootstrap
from igdash.domain.errors import StoreRefused
from igdash.services.files import allow_files
from igdash.settings import load


@pytest.mark.parametrize(
    ("soft", "hard", "granted"), [(1_024, 1_048_576, 3_000), (1_024, 2_048, 2_048), (4_096, -1, 0)]
)
def test_as_many_files_are_allowed_as_are_needed(
    soft: int,
    hard: int,
    granted: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: asked.append(limits))
    allow_files(3_000, what="all sockets", instead="have fewer")
    assert asked == ([(granted, hard)] if granted else [])
    short = "only 2048 files may be open, all sockets could need 3000"
    assert (short in caplog.text) == (granted == 2_048)


def test_the_collector_has_files_for_many_sessions_before_it_takes_any_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """At some 140 gadget processes the usual limit is reached."""
    asked: list[tuple[int, int]] = []

    def refuse(_settings: object) -> str:
        assert asked
        raise StoreRefused("not today")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1_024, 1_048_576))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: asked.append(limits))
    monkeypatch.setattr(bootstrap, "upgrade_store", refuse)
    runtime = bootstrap.CollectRuntime(load(environ={"HOME": str(tmp_path), "PATH": ""}))
    with pytest.raises(StoreRefused):
        runtime.start()
    assert asked == [(8_192, 1_048_576)]
