"""A child's output arrives whole, and its end is always told, however it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igdash.domain.chunks import ChunkKind
from igdash.domain.errors import SourceError
from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionId
from igdash.sources import process
from igdash.sources.orphans import Orphans
from igdash.sources.process import ProcessStream, identity, reap, why_failed
from tests.support.sinks import RecordingSink
from tests.support.waiting import wait_until

FAKE = (
    sys.executable, "-I", "-S", str(Path(__file__).parents[2] / "support" / "fake_ig.py"),
)  # fmt: skip
SESSION = SessionId("0123456789ab")


def started(*options: str, args: tuple[str, ...] = (), **more: object):
    sink = RecordingSink()
    argv = (*FAKE, *options, "run", "image", *args)
    return sink, ProcessStream(SESSION, argv, sink, **more)  # type: ignore[arg-type]


def finish(sink: RecordingSink, stream: ProcessStream, timeout: float = 10) -> tuple[bool, str]:
    assert sink.over.wait(timeout)
    assert stream.join(5)
    assert not sink.faults
    assert sink.end is not None
    return sink.end


def test_everything_printed_arrives_in_order() -> None:
    sink, stream = started("--lines=20000", "--burst=1000", "--every=0", "--lost=7")
    assert finish(sink, stream) == (False, "the gadget ended by itself")
    numbers = [int(e.data.split('"n":')[1].split(",")[0]) for e in sink.events()[:-1]]
    assert numbers == list(range(1, 20_001))
    assert sink.events()[-1].data == '{"last":true}'
    assert [loss.count for loss in sink.losses()] == [7]
    assert len(sink.logs()) == 2
    assert sink.calls[0] in ("started", "chunk")
    assert sink.calls.count("started") == 1


def test_many_lines_make_few_chunks() -> None:
    sink, stream = started("--lines=300", "--every=0.001")
    finish(sink, stream)
    assert len(sink.events()) == 301
    assert len([c for c in sink.chunks if c.kind is ChunkKind.JSON_LINES]) < 100


def test_events_carry_the_node_of_the_connection() -> None:
    sink, stream = started("--lines=1", node="edge")
    finish(sink, stream)
    assert {e.origin.node for e in sink.events()} == {"edge"}


def test_an_interrupt_ends_it_with_its_last_line() -> None:
    sink, stream = started("--every=0.001")
    sink.wait_for(events=5, calls=("started",))
    stream.stop(timeout=10)
    assert finish(sink, stream) == (False, "")
    assert sink.events()[-1].data == '{"last":true}'
    assert not sink.malformed()


def test_one_that_does_not_listen_is_killed_and_the_loss_is_told() -> None:
    told: list[tuple[int, bool]] = []

    def tail(at: int, killed: bool) -> bytes:
        told.append((at, killed))
        return b'{"node":"","start":1,"end":2,"count":0,"cause":"stop_tail","exact":false}\n'

    sink, stream = started("--stubborn", "--every=0.01", tail=tail)
    sink.wait_for(events=1)
    began = time.monotonic()
    stream.stop(timeout=0.4)
    assert finish(sink, stream) == (False, "it did not end in time and was killed")
    assert 0.3 < time.monotonic() - began < 3
    assert [killed for _, killed in told] == [True]
    assert [loss.cause for loss in sink.losses()] == [LossCause.STOP_TAIL]


def test_a_second_stop_can_be_more_urgent() -> None:
    sink, stream = started("--stubborn", "--every=0.01")
    sink.wait_for(events=1)
    stream.stop(timeout=60)
    stream.stop(timeout=0.2)
    assert finish(sink, stream)[1] == "it did not end in time and was killed"


def test_a_quiet_gadget_is_started_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SETTLED", 0.05)
    sink, stream = started("--lines=0", "--stay")
    sink.wait_for(calls=("started", "chunk"))
    stream.stop(timeout=5)
    assert finish(sink, stream) == (False, "")
    assert [e.data for e in sink.events()] == ['{"last":true}']


def test_a_gadget_that_fails_says_why() -> None:
    sink, stream = started(args=("--nosuch=1",))
    assert finish(sink, stream) == (True, "unknown flag: --nosuch")
    assert "started" not in sink.calls
    assert [line.text for line in sink.logs()] == ["Error: unknown flag: --nosuch"]
    sink, stream = started("--lines=1", "--code=3")
    failed, reason = finish(sink, stream)
    assert failed
    assert reason.startswith("exit code 3: time=")


def test_a_gadget_killed_by_somebody_else() -> None:
    sink, stream = started("--every=0.01")
    sink.wait_for(events=1)
    assert stream.process is not None
    os.kill(stream.process[0], signal.SIGKILL)
    failed, reason = finish(sink, stream)
    assert failed
    assert reason.startswith("ended by signal 9")


def test_a_last_line_that_is_cut_off() -> None:
    sink, stream = started("--lines=2", "--cut")
    finish(sink, stream)
    assert sink.chunks[-1].partial
    assert sink.events()[-1].data == '{"last":true}'  # complete JSON, though the line is not


def test_a_line_too_long_to_keep_is_handed_over_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_LINE", 100_000)
    sink, stream = started("--lines=1", "--long=5000000")
    finish(sink, stream)
    pieces = sink.malformed()
    assert len(pieces) >= 2
    assert sum(piece.size for piece in pieces) == 5_000_000 + len('{"x":""}')
    assert [e.data for e in sink.events()][1:] == ['{"last":true}']


def test_a_child_of_the_child_does_not_keep_the_session_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "LINGER", 0.1)
    sink, stream = started("--lines=1", "--leave-child")
    assert finish(sink, stream, timeout=5) == (False, "the gadget ended by itself")


def test_a_line_begun_is_kept_though_somebody_holds_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "LINGER", 0.1)
    sink = RecordingSink()
    code = (
        "import os, subprocess;"
        "subprocess.Popen(['sleep', '2'], start_new_session=True);"
        """os.write(1, b'{"n":1}\\n{"n":2')"""
    )
    stream = ProcessStream(SESSION, (sys.executable, "-I", "-S", "-c", code), sink)
    finish(sink, stream)
    assert [event.data for event in sink.events()] == ['{"n":1}']
    assert [line.raw for line in sink.malformed()] == [b'{"n":2']


def test_a_gadget_that_nobody_can_read_does_not_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    popen = process._popen

    def noted(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
        begun.append(popen(argv))
        return begun[0]

    def scarce(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(process, "_popen", noted)
    monkeypatch.setattr(process, "spawn", scarce)
    with pytest.raises(SourceError, match="new thread"):
        ProcessStream(SESSION, ("sleep", "3"), RecordingSink())
    assert begun[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("/nonexistent/ig", "run"), "there is no command '/nonexistent/ig': install it"),
        (("/etc/passwd", "run"), "'/etc/passwd' may not be executed"),
        (("/bin/true", "a\x00b"), "cannot be run"),
    ],
)
def test_a_command_that_cannot_be_run(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        ProcessStream(SESSION, argv, RecordingSink())


# ------------------------------------------------------------------ reasons

CHAIN = (
    'Error: starting operators: starting operator "oci": starting operator "ebpf": '
    'attaching eBPF program "ig_tcp_v4_co": creating perf_kprobe PMU: token ig_x: opening '
    "tracefs: open /sys/kernel/tracing/kprobe_events: no such file or directory"
)


@pytest.mark.parametrize(
    ("log", "code", "reason"),
    [
        ([], 1, "exit code 1"),
        ([], -15, "ended by signal 15"),
        (["something", "odd"], 2, "exit code 2: odd"),
        (["Error: unknown flag: --nosuch"], 1, "unknown flag: --nosuch"),
        (["Error: a", "Usage:", "  --help"], 1, "a"),
        (
            [CHAIN],
            1,
            CHAIN[CHAIN.index("attaching") :]
            + ' (starting operators: starting operator "oci": starting operator "ebpf")',
        ),
        (
            ["Error: fetching gadget information: " + "a: " * 40 + "resolving x: not found, " * 3],
            1,
            f"{'resolving x: not found, ' * 3}".strip()
            + f" (fetching gadget information: {'a: ' * 39}a)",
        ),
    ],
)
def test_the_cause_comes_first(log: list[str], code: int, reason: str) -> None:
    assert why_failed(log, code) == reason


# ------------------------------------------------------------------ what outlives a killed igdash


@pytest.fixture
def orphan(tmp_path: Path):
    child = subprocess.Popen(
        (*FAKE, "--lines=0", "--stay", f"--args={tmp_path / 'up'}", "run", "image"),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    wait_until((tmp_path / "up").exists)
    yield child
    child.kill()
    child.wait()


def test_an_orphan_is_ended(orphan: subprocess.Popen[bytes], tmp_path: Path) -> None:
    known = identity(orphan.pid)
    assert known is not None
    orphans = Orphans(tmp_path / "gadgets")
    orphans.note(SESSION, known, FAKE)
    assert (
        orphans.reap(SESSION) == f"a gadget process of a former igdash was ended (pid {orphan.pid})"
    )
    assert orphan.wait(5) == 0  # interrupted, not killed
    assert orphans.reap(SESSION) == ""
    assert list((tmp_path / "gadgets").iterdir()) == []


def test_another_process_with_the_same_pid_is_let_alone(orphan: subprocess.Popen[bytes]) -> None:
    known = identity(orphan.pid)
    assert known is not None
    assert not reap(orphan.pid, known[1] + 1, 1.0)
    assert orphan.poll() is None


def test_notes_that_are_nonsense_are_no_notes(tmp_path: Path) -> None:
    orphans = Orphans(tmp_path)
    (tmp_path / f"{SESSION}.pid").write_text('{"pid": "x"}')
    assert orphans.reap(SESSION) == ""
    assert orphans.reap(SessionId("ffff")) == ""
    with pytest.raises(ValueError, match="no session id"):
        orphans.reap(SessionId("../x"))
