"""`igdash import` against a real collecting process; and that process killed in between."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.imports import ImportRequest
from igdash.domain.sessions import SessionId, SessionState
from tests.support.collecting import wait_until
from tests.support.collector_process import CollectorProcess

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "examples" / "recordings" / "trace_tcp" / "events.jsonl"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    collector = CollectorProcess(tmp_path, {})
    yield collector
    collector.close()


def igdash(
    collector: CollectorProcess, *words: str, data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    config = collector.folder / "igdash.toml"
    argv = [sys.executable, "-P", "-m", "igdash", *words, "--config", str(config)]
    return subprocess.run(argv, input=data, capture_output=True, timeout=90, cwd=ROOT, check=False)


def test_files_and_pipes_become_sessions(collector: CollectorProcess, tmp_path: Path) -> None:
    broken = tmp_path / "x.csv"
    broken.write_bytes(b"a,b\n1,2\n")
    alone = igdash(collector, "import", str(RECORDING))
    assert (alone.returncode, alone.stdout) == (1, b"")
    assert b"no collector is running" in alone.stderr
    collector.start()
    both = igdash(collector, "import", str(broken), str(RECORDING), "--name", "shop")
    assert both.returncode == 1
    assert b"x.csv: is CSV" in both.stderr
    assert b"100 % of 1.1 MiB, 774 lines (capture), done" in both.stderr
    (first,) = both.stdout.decode().split()
    original = RECORDING.read_bytes()
    piped = igdash(collector, "import", "-", data=gzip.compress(original))
    assert piped.returncode == 0, piped.stderr
    (second,) = piped.stdout.decode().split()
    for session in (first, second):
        plain = igdash(collector, "export", session, "--plain")
        assert plain.stdout == original
    listed = igdash(collector, "sessions", "-e", "import", "--gadget", "trace_tcp", "-o", "name")
    assert set(listed.stdout.decode().split()) == {first, second}
    assert list((collector.state_dir / "imports").glob("*")) == []
    missing = igdash(collector, "import", str(tmp_path / "none"))
    assert (missing.returncode, b"cannot be read" in missing.stderr) == (1, True)
    again = igdash(collector, "import", str(RECORDING), "--gadget", "nonsense")
    assert (again.returncode, b"no gadget" in again.stderr) == (1, True)


def test_a_kill_leaves_an_interrupted_session_with_what_was_read(
    collector: CollectorProcess, tmp_path: Path
) -> None:
    path = tmp_path / "big.jsonl"
    line = b'{"comm":"sh","n":%d,"timestamp_raw":1700000000000000000}\n'
    with path.open("wb") as file:
        for start in range(0, 1_000_000, 20_000):
            file.write(b"".join([line % n for n in range(start, start + 20_000)]))
    collector.start()
    status = collector.control.import_file(ImportRequest(path=str(path), file="big.jsonl"))
    session = SessionId(status.sessions[0])
    reader = store.open_reader(collector.url)
    wait_until(lambda: reader.sessions.get(session).events > 0, 20, "events")
    wait_until(lambda: reader.sessions.get(session).state is SessionState.RUNNING, 20, "running")
    collector.kill()
    collector.start()
    wait_until(lambda: reader.sessions.get(session).state.ended, 20, "interrupted")
    stored = reader.sessions.get(session)
    assert stored.state is SessionState.INTERRUPTED
    assert "went down during the import" in stored.reason
    assert 0 < stored.events < 1_000_000
    assert (stored.lost, stored.malformed, stored.received) == (0, 0, stored.events)
    last = reader.events.get(session, stored.last_seq)
    assert f'"n":{stored.last_seq - 1},' in last.data
    collector.control.delete(session)
    reader.close()
