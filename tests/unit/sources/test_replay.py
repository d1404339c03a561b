"""A replay gives what was recorded, for whom it was asked, when it would have come."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from igdash.domain.chunks import ChunkKind
from igdash.domain.environments import Environment, EnvironmentKind, Health
from igdash.domain.errors import SourceError
from igdash.domain.events import restore
from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionId, SessionSpec, Target
from igdash.domain.times import NS, now_ns, parse_time
from igdash.sources import make_source, replay
from tests.support.sinks import RecordingSink

RECORDINGS = Path(__file__).parents[3] / "examples" / "recordings"
DEMO = Environment(
    name="demo",
    kind=EnvironmentKind.REPLAY,
    folder=str(RECORDINGS),
    speed=0,
    loop=False,
    retime=False,
)
FAST_AND_NOW = replace(DEMO, retime=True)
AT_SPEED = replace(DEMO, speed=1.0, retime=True)


def play(
    environment: Environment, gadget: str, *, stop_after: int = 0, **target: str
) -> RecordingSink:
    """Play until its end, or until there are so many events."""
    sink = RecordingSink()
    spec = SessionSpec(gadget=gadget, environment="demo", target=Target(**target))
    stream = make_source(environment).open(SessionId("ab"), spec, sink)
    if stop_after:
        sink.wait_for(events=stop_after)
        stream.stop(timeout=1)
    assert sink.over.wait(10)
    assert stream.join(5)
    assert not sink.faults
    return sink


def texts(sink: RecordingSink) -> str:
    return "".join(c.data.decode() for c in sink.chunks if c.kind is ChunkKind.JSON_LINES)


def recorded(gadget: str) -> str:
    return (RECORDINGS / gadget / "events.jsonl").read_bytes().decode()


def recording(tmp_path: Path, gadget: str, lines: list[str], log: str = "") -> Environment:
    folder = tmp_path / gadget
    folder.mkdir()
    (folder / "events.jsonl").write_text("".join(line + "\n" for line in lines))
    if log:
        (folder / "stderr.txt").write_text(log)
    return replace(DEMO, folder=str(tmp_path))


def event(at: int, **k8s: str) -> str:
    members = {"k8s": k8s, "timestamp": "x", "timestamp_raw": 0}
    text = json.dumps(members, separators=(",", ":"))
    written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // NS)) + f".{at % NS:09d}Z"
    return text.replace('"x"', f'"{written}"').replace('_raw":0', f'_raw":{at}')


START = parse_time("2026-11-22T22:00:00.000000007Z")


# ------------------------------------------------------------------ exactly what was recorded


@pytest.mark.parametrize(
    "gadget", ["trace_tcp", "trace_dns", "trace_exec", "top_tcp", "profile_cpu"]
)
def test_without_retime_it_is_what_was_recorded(gadget: str) -> None:
    sink = play(DEMO, gadget)
    assert texts(sink) == recorded(gadget)
    assert sink.end == (False, "the recording is over")


@pytest.mark.parametrize("gadget", ["trace_tcp", "trace_dns", "trace_exec", "trace_signal"])
def test_retime_moves_both_times_of_a_round_by_one_amount_and_nothing_else(gadget: str) -> None:
    before = now_ns()
    sink = play(FAST_AND_NOW, gadget)
    moves = set()
    for old_text, new_text in zip(
        recorded(gadget).split("\n"), texts(sink).split("\n"), strict=True
    ):
        if not old_text:
            continue
        old, new = json.loads(old_text), json.loads(new_text)
        moves.add(new["timestamp_raw"] - old["timestamp_raw"])
        assert parse_time(new["timestamp"]) == new["timestamp_raw"]
        changed = new_text.replace(new["timestamp"], old["timestamp"])
        assert changed.replace(str(new["timestamp_raw"]), str(old["timestamp_raw"])) == old_text
    gaps = 1 + sum(b - a > replay.IDLE for a, b in _neighbours(recorded(gadget)))
    assert len(moves) == gaps
    newest = max(e.ts for e in sink.events())
    assert before <= newest <= now_ns()


def _neighbours(text: str) -> list[tuple[int, int]]:
    newest, pairs = 0, []
    for line in text.splitlines():
        at = max(newest, json.loads(line)["timestamp_raw"])
        pairs.append((newest or at, at))
        newest = at
    return pairs


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("2026-11-22T22:00:00.5Z", "2026-11-22T22:00:01.7Z"),
        ("2026-11-22T22:00:00Z", "2026-11-22T22:00:01Z"),
        ("2026-11-22T23:59:59.900000000+02:00", "2026-11-23T00:00:01.100000000+02:00"),
        ("2026-11-22T00:00:00.000-05:30", "2026-11-22T00:00:01.200-05:30"),
    ],
)
def test_a_time_is_written_as_it_was(tmp_path: Path, written: str, moved: str) -> None:
    line = '{"a":{"timestamp":"x"},"timestamp":"%s","timestamp_raw":%d}'
    recording(tmp_path, "trace_tcp", [line % (written, START)])
    from igdash.sources.recording import load_part

    (stamp, raw) = load_part(tmp_path / "trace_tcp", NS).lines[0].rows[0].stamps
    assert stamp.moved(1_200_000_000) == f'"{moved}"'
    assert raw.moved(5) == str(START + 5)


@pytest.mark.parametrize(
    "line",
    [
        '{"timestamp_raw": 1795384800000000007}',
        '{"a":{"timestamp_raw":1795384800000000007},"timestamp_raw":1795384800000000007}',
        '{"timestamp":"yesterday","timestamp_raw":1795384800000000007}',
        '{"timestamp_raw":"1795384800000000007"}',
        '{"timestamp_raw":1.5e18}',
        "no json at all",
        '{"k8s":5}',
    ],
)
def test_a_line_whose_times_are_in_doubt_is_left_alone(tmp_path: Path, line: str) -> None:
    environment = recording(tmp_path, "trace_tcp", [line, event(START)])
    sink = play(replace(environment, retime=True), "trace_tcp")
    assert texts(sink).split("\n")[0] == line


# ------------------------------------------------------------------ whom it is for


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ({"namespace": "demo"}, {"demo"}),
        ({"namespace": "demo,staging"}, {"demo", "staging"}),
        ({"namespace": "!production"}, {"demo", "staging"}),
        ({"namespace": "!production,!demo"}, {"staging"}),
        ({"node": "worker-1", "namespace": "!demo"}, {"production", "staging"}),
        ({"pod": "cart-db-0"}, {"production"}),
        ({"selector": "app=cart-db"}, {"production"}),
    ],
)
def test_only_rows_of_the_target(target: dict[str, str], wanted: set[str]) -> None:
    sink = play(DEMO, "trace_tcp", **target)
    assert {e.origin.namespace for e in sink.events()} == wanted
    kept = set(texts(sink).splitlines())
    assert kept <= set(recorded("trace_tcp").splitlines())


def test_every_namespace_of_the_shop_has_content() -> None:
    for gadget in ("trace_tcp", "trace_dns", "trace_exec", "top_tcp", "snapshot_process"):
        source = make_source(DEMO)
        rows = [
            json.loads(restore(e.data, e.origin.k8s, e.origin.runtime))["k8s"]["namespace"]
            for e in play(
                DEMO, gadget, stop_after=1 if gadget == "snapshot_process" else 0
            ).events()
        ]
        assert {"production", "staging", "demo"} <= set(rows), gadget
        assert source.status().health is Health.UP


def test_rows_of_an_array_are_chosen_without_touching_them() -> None:
    sink = play(DEMO, "top_tcp", namespace="staging")
    whole, kept = recorded("top_tcp").splitlines(), texts(sink).splitlines()
    assert len(whole) == len(kept)
    assert "[]" in kept
    for before, after in zip(whole, kept, strict=True):
        wanted = [row for row in json.loads(before) if row["k8s"]["namespace"] == "staging"]
        assert json.loads(after) == wanted
        for row in after[1:-1].split("},{") if wanted else []:
            assert row.strip("{}") in before


def test_a_target_without_rows_says_so_and_goes_on() -> None:
    sink = play_until_told(replace(DEMO, loop=True), "trace_tcp", namespace="nowhere")
    assert sink.events() == []
    assert [line.text for line in sink.logs()] == [
        "nothing in this recording belongs to the session's target"
    ]
    assert sink.end == (False, "")


def play_until_told(environment: Environment, gadget: str, **target: str) -> RecordingSink:
    sink = RecordingSink()
    spec = SessionSpec(gadget=gadget, environment="demo", target=Target(**target))
    stream = make_source(environment).open(SessionId("ab"), spec, sink)
    sink.wait_for(calls=("chunk",))
    assert not sink.over.wait(0.05)
    stream.stop(timeout=1)
    assert stream.join(5)
    return sink


# ------------------------------------------------------------------ when it comes


def test_spacing_is_kept_idle_stretches_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "IDLE", NS // 5)
    monkeypatch.setattr(replay, "MIN_ROUND", 0)
    monkeypatch.setattr(replay, "PAUSE", 0)
    times = [START, START + NS // 10, START + 600 * NS, START + 600 * NS - 5]
    environment = recording(tmp_path, "trace_tcp", [event(at) for at in times])
    sink = play(replace(environment, speed=1.0, retime=True), "trace_tcp")
    arrived = [c.received for c in sink.chunks]
    assert len(arrived) == 3
    assert 0.09 < (arrived[1] - arrived[0]) / NS < 2
    assert 0.19 < (arrived[2] - arrived[1]) / NS < 2
    stamps = [e.ts for e in sink.events()]
    assert stamps[1] - stamps[0] == NS // 10
    assert stamps[2] - stamps[3] == 5
    assert all(at <= arrived[-1] for at in stamps)  # nothing is from the future
    assert 0 <= arrived[0] - stamps[0] < NS


def test_faster_than_recorded_nothing_is_from_the_future(tmp_path: Path) -> None:
    times = [START + n * NS // 10 for n in range(10)]
    environment = recording(tmp_path, "trace_tcp", [event(at) for at in times])
    for speed in (0.0, 20.0):
        sink = play(replace(environment, speed=speed, retime=True), "trace_tcp")
        stamps = [e.ts for e in sink.events()]
        assert stamps == sorted(stamps)
        assert stamps[-1] - stamps[0] == 9 * NS // 10
        assert stamps[-1] <= sink.chunks[-1].received


def test_it_begins_anew_when_it_is_over() -> None:
    total = len(recorded("trace_tcp").splitlines())
    sink = play(replace(DEMO, loop=True), "trace_tcp", stop_after=2 * total + 1)
    lines = texts(sink).splitlines()
    assert lines[:total] == lines[total : 2 * total] == recorded("trace_tcp").splitlines()


def test_a_snapshot_comes_once_and_the_session_stays_open() -> None:
    sink = play_until_told(replace(DEMO, loop=True), "snapshot_process", namespace="demo")
    assert len(sink.events()) == 4
    assert sink.end == (False, "")


# ------------------------------------------------------------------ its log


def test_real_losses_are_told() -> None:
    sink = play(DEMO, "trace_open")
    assert [(loss.cause, loss.count) for loss in sink.losses()] == [
        (LossCause.KERNEL, 131_322),
        (LossCause.KERNEL, 90_940),
    ]
    assert sink.losses()[0].end == parse_time("2026-11-22T22:13:45Z")
    recent = play(FAST_AND_NOW, "trace_open").losses()
    assert all(abs(loss.end - now_ns()) < 20 * NS for loss in recent)


def test_losses_of_others_are_not_told() -> None:
    assert play(DEMO, "trace_open", namespace="production").losses() == []


def test_a_part_that_comes_now_and_then(tmp_path: Path) -> None:
    environment = recording(tmp_path, "trace_tcp", [event(START, podName="often")])
    folder = tmp_path / "trace_tcp.flood"
    shutil.copytree(tmp_path / "trace_tcp", folder)
    (folder / "events.jsonl").write_text(event(START, podName="seldom") + "\n")
    (folder / "stderr.txt").write_text(
        'time="2026-11-22T21:59:59Z" level=info msg="at the start"\n'
        'time="2026-11-22T22:00:09Z" level=info msg="later"\n'
    )
    (folder / "replay.json").write_text('{"every": 3}')
    sink = play(replace(environment, loop=True), "trace_tcp", stop_after=9)
    pods = [e.origin.pod for e in sink.events()][:9]
    assert pods == [
        "often",
        "seldom",
        "often",
        "often",
        "often",
        "seldom",
        "often",
        "often",
        "often",
    ]
    assert [line.text for line in sink.logs()][:3] == ["at the start", "later", "later"]


def test_a_log_without_times_comes_in_proportion(tmp_path: Path) -> None:
    arrays = ['[{"n":1}]', '[{"n":2}]', '[{"n":3}]', '[{"n":4}]']
    environment = recording(tmp_path, "top_tcp", arrays, log="one\ntwo\n")
    sink = play(environment, "top_tcp")
    said = [(c.kind.name[0], c.data.decode()) for c in sink.chunks]
    order = "".join(kind for kind, data in said for _ in data.splitlines())
    assert order == "LJJLJJ"


# ------------------------------------------------------------------ what it says of itself


def test_status_and_info() -> None:
    source = make_source(AT_SPEED)
    status = source.status()
    assert status.health is Health.UP
    assert "trace_tcp" in status.gadgets
    assert "trace_open.flood" not in status.gadgets
    assert status.nodes == ("worker-1", "worker-2")
    assert {"production", "staging", "demo"} <= set(status.suggestions["namespace"])
    assert "cart-db-0" in status.suggestions["pod"]
    info = source.info(SessionSpec(gadget="trace_open", environment="demo", params={"pid": "1"}))
    assert info["retimed"] == "yes"
    assert info["recording"].startswith("trace_open: Inspektor Gadget v0.55.0")
    assert "trace_open.flood: " in info["recording"]
    assert "change nothing" in info["parameters"]


def test_a_gadget_that_was_not_recorded() -> None:
    with pytest.raises(
        SourceError, match=r"no recording of trace_bind in .*; there is profile_cpu"
    ):
        play(DEMO, "trace_bind")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.jsonl", b"\xff\xfe\n", "not UTF-8"),
        ("events.jsonl", b"[1,2]\n", "a recorded array cannot be read"),
        ("replay.json", b"{", "replay.json"),
    ],
)
def test_a_recording_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    environment = recording(tmp_path, "trace_tcp", [event(START)])
    (tmp_path / "trace_tcp" / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        play(environment, "trace_tcp")
    status = make_source(environment).status()
    assert status.health is Health.DOWN
    assert message in status.reason


def test_a_folder_without_recordings(tmp_path: Path) -> None:
    status = make_source(replace(DEMO, folder=str(tmp_path))).status()
    assert status.health is Health.DOWN
    assert "holds no recordings" in status.reason


def test_a_time_that_cannot_be_moved_ends_the_replay_with_a_reason(tmp_path: Path) -> None:
    late = event(1_600_000_000 * NS).replace('"timestamp":"2020', '"timestamp":"9999')
    environment = recording(tmp_path, "trace_tcp", [event(1_600_000_000 * NS), late])
    sink = play(replace(environment, retime=True), "trace_tcp")
    assert sink.end is not None
    failed, reason = sink.end
    assert failed
    assert "cannot be played on" in reason
