"""`igdash sql`: formats, the place of an error, what was cut."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from igdash.cli.main import run
from tests.support.seed import seed


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'x.db'}"
    seed(found, sessions=2, events=30)
    return found


SQL = "SELECT gadget, events FROM v_sessions ORDER BY id"


def call(url: str, *words: str) -> int:
    return run(["sql", "--store", url, *words])


def test_formats(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(url, SQL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["GADGET", "EVENTS"]
    assert [line.split() for line in lines[1:]] == [["trace_tcp", "30"]] * 2
    assert call(url, SQL, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"gadget": "trace_tcp", "events": 30}] * 2
    assert call(url, SQL, "-o", "csv", "--file", str(tmp_path / "x.csv")) == 0
    assert (tmp_path / "x.csv").read_bytes() == b"gadget,events\r\n" + b"trace_tcp,30\r\n" * 2


def test_a_cut_answer_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(url, SQL, "--limit", "1", "-o", "jsonl") == 0
    said = capsys.readouterr()
    assert (said.out.count("\n"), said.err) == (1, "igdash: the answer is cut after 1 rows\n")


def test_errors_name_the_place(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT id,\n  nope\nFROM v_sessions"))
    assert call(url, "-") == 1
    assert capsys.readouterr().err == "igdash: no such column: nope (line 2, column 3)\n"
    assert call(url, "DROP TABLE events") == 1
    assert "only one SELECT" in capsys.readouterr().err
    assert call(url, SQL, "-o", "parquet") == 1
    assert "--file" in capsys.readouterr().err


def test_sessions_limit_what_is_seen(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(url, "SELECT id FROM v_sessions", "-o", "jsonl") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])["id"]
    assert call(url, "SELECT count(*) AS n FROM v_events", "--session", first, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 30}]


def test_sqlite_needs_no_setup(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "sql-setup", "--store", url]) == 1
    assert "SQLite needs no setup" in capsys.readouterr().err
