"""The demo's sessions exist in the catalogue and in the recordings; its folder is its own."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from igdash import settings
from igdash.cli import demo
from igdash.cli.main import run
from igdash.domain.commands import check_spec
from igdash.domain.control import CollectorStats
from igdash.domain.environments import EnvironmentKind
from igdash.domain.errors import CollectorUnavailable, SourceError
from igdash.domain.sessions import SessionSpec
from igdash.sources.catalogue import load_catalogue


def test_the_sessions_are_ones_that_can_be_started():
    recorded = {path.name.partition(".")[0] for path in demo.recordings().iterdir()}
    for spec in demo.seeds():
        assert check_spec(load_catalogue().get(spec.gadget), spec) == {}
        assert spec.gadget in recorded


def test_there_are_many_gadgets_and_one_in_three_namespaces():
    specs = demo.seeds()
    assert len({spec.gadget for spec in specs}) >= 5
    tcp = Counter(spec.target.namespace for spec in specs if spec.gadget == "trace_tcp")
    assert tcp == {"production": 1, "staging": 1, "demo": 1}
    assert any(spec.stop_after.seconds for spec in specs)
    assert any(spec.target.namespace == "" for spec in specs)


@pytest.mark.parametrize("name", ["plain", 'with "quotes" and \\ and ümlaut'])
def test_the_configuration_it_writes_is_read_back(tmp_path: Path, name: str):
    folder = tmp_path / name
    path = demo.write_config(folder, demo.recordings())
    found = settings.load(path, environ={})
    assert found.store.url == f"sqlite:///{folder}/igdash.db"
    (environment,) = found.environments
    assert (environment.name, environment.kind) == ("demo", EnvironmentKind.REPLAY)
    assert Path(environment.folder) == demo.recordings()
    assert folder.stat().st_mode & 0o077 == 0


def test_it_lives_here_or_where_something_can_be_written(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert demo.default_folder() == tmp_path / ".igdash" / "demo"
    monkeypatch.setattr(demo.os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert demo.default_folder() == tmp_path / "data" / "igdash" / "demo"


def test_it_takes_no_other_configuration(capsys: pytest.CaptureFixture[str]):
    assert run(["demo", "--config", "x.toml"]) == 2
    assert "configuration" in capsys.readouterr().err


def test_missing_recordings_are_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(demo.igdash, "__file__", str(tmp_path / "igdash" / "__init__.py"))
    with pytest.raises(demo.SettingsError, match="no recordings"):
        demo.recordings()


class FakeControl:
    """Answers after some tries; refuses one gadget."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.started: list[SessionSpec] = []
        self.lock = threading.Lock()

    def stats(self) -> CollectorStats | None:
        self.away -= 1
        if self.away >= 0:
            raise CollectorUnavailable("not yet")
        return None

    def start(self, spec: SessionSpec) -> None:
        if spec.gadget == "top_tcp":
            raise SourceError("no")
        self.started.append(spec)


def test_seeding_waits_for_the_collector_and_goes_on_after_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "POLL", 0.001)
    control = FakeControl(away=3)
    demo._seed(control, tmp_path / "seeded")  # type: ignore[arg-type]
    assert len(control.started) == len(demo.seeds()) - 1
    assert (tmp_path / "seeded").exists()
    assert capsys.readouterr().err == "igdash: demo: top_tcp: no\n"


def test_without_a_collector_the_next_call_tries_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "PATIENCE", 0.01)
    monkeypatch.setattr(demo, "POLL", 0.001)
    demo._seed(FakeControl(away=1000), tmp_path / "seeded")  # type: ignore[arg-type]
    assert not (tmp_path / "seeded").exists()
    assert "does not answer" in capsys.readouterr().err
