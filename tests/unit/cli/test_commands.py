"""Every command on a seeded store: what it prints, and what it says when it cannot."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from igdash.cli.main import run
from igdash.store import open_writer
from tests.support.seed import seed


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = f"sqlite:///{tmp_path_factory.mktemp('cli')}/igdash.db"
    seed(found, sessions=7, events=300)
    return found


@pytest.fixture
def igdash(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a command line on the store; return exit code, stdout, stderr."""
    monkeypatch.setenv("IGDASH_STORE__URL", url)
    monkeypatch.delenv("IGDASH_CONFIG", raising=False)

    def call(*argv: str) -> tuple[int, str, str]:
        code = run(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ids(igdash) -> list[str]:
    return igdash("sessions", "-o", "name", "--gadget", "trace_tcp")[1].split()


def test_sessions_as_a_table_and_in_every_format(igdash):
    code, out, err = igdash("sessions")
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert " ".join(header.split()) == "ID GADGET NAMESPACE POD STATE EVENTS RATE LOST AGE"
    assert len(rows) == 7
    wide = igdash("sessions", "-o", "wide")[1].splitlines()[0]
    assert "ENVIRONMENT" in wide
    document = json.loads(igdash("sessions", "-o", "json")[1])
    assert document["total"] == 7
    lines = igdash("sessions", "-o", "jsonl")[1].splitlines()
    assert [json.loads(line) for line in lines] == document["sessions"]
    names = igdash("sessions", "-o", "name")[1].split()
    assert names == [session["id"] for session in document["sessions"]]


def test_a_terminal_without_the_letters_shows_all_the_same(igdash, ids, monkeypatch):
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding="iso-8859-1") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert run(["events", ids[0], "--limit", "20"]) == 0
        assert run(["sql", "SELECT '日本' AS x"]) == 0
        text = out.getvalue()
    assert text.count(b"\n") == 23
    assert b"\\u2026" in text  # what marks a cut value
    assert text.endswith(b"\\u65e5\\u672c\n")


def test_sessions_are_filtered_sorted_and_limited(igdash):
    def found(*argv: str) -> list[dict]:
        return json.loads(igdash("sessions", "-o", "json", *argv)[1])["sessions"]

    assert {s["state"] for s in found("--state", "running")} == {"running"}
    both = found("--state", "running", "--state", "stopped")
    assert {s["state"] for s in both} == {"running", "stopped"}
    assert {s["gadget"] for s in found("--gadget", "trace_tcp")} == {"trace_tcp"}
    assert {s["target"]["namespace"] for s in found("-n", "staging")} == {"staging"}
    assert {s["gadget"] for s in found("-q", "snapshot")} == {"snapshot_process"}
    assert found("-e", "nowhere") == []
    started = [s["started"] for s in found("--sort", "started")]
    assert started == sorted(started)
    assert len(found("--limit", "2")) == 2


def test_a_wrong_sort_names_the_possible_ones(igdash):
    code, _, err = igdash("sessions", "--sort", "-event")
    assert code == 2
    assert "did you mean events" in err
    assert one_line(err)


def test_one_session_by_prefix(igdash, ids):
    code, out, _ = igdash("session", ids[0][:5], "-o", "json")
    assert code == 0
    assert json.loads(out)["id"] == ids[0]
    code, out, _ = igdash("session", ids[0])
    assert ids[0] in out


def test_an_unknown_session_and_an_ambiguous_one(igdash):
    for wrong in ("ffffffffffff", "../x", "zzz", "é"):
        code, out, err = igdash("session", wrong)
        assert (code, out) == (1, "")
        assert one_line(err)
    code, _, err = igdash("events", "")
    assert code == 1
    assert one_line(err)


def test_events_are_exact_and_in_order(igdash, ids):
    code, out, err = igdash("events", ids[0], "-o", "jsonl")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= 300
    document = json.loads(igdash("events", ids[0], "-o", "json")[1])
    assert document["events"] == events
    part = igdash("events", ids[0], "-o", "name", "--after", "10", "--limit", "3")[1]
    assert part.split() == ["11", "12", "13"]


def test_events_and_exports_are_filtered(igdash, ids):
    events = [json.loads(line) for line in igdash("events", ids[0], "-o", "jsonl")[1].splitlines()]
    comm = events[0]["data"]["proc"]["comm"]
    wanted = [str(e["seq"]) for e in events if e["data"]["proc"]["comm"] == comm]
    text = f'comm = "{comm}"'
    assert igdash("events", ids[0], "-o", "name", "--filter", text)[1].split() == wanted
    some = igdash("events", ids[0], "-o", "name", "--filter", text, "--limit", "3", "--after", "1")
    assert some[1].split() == [seq for seq in wanted if seq != "1"][:3]
    code, out, _ = igdash("export", ids[0], "--filter", text)
    assert code == 0
    assert [str(json.loads(line)["seq"]) for line in out.splitlines()] == wanted
    begin = events[9]["ts"]
    part = igdash("export", ids[0], "--filter", text, "--from", begin)[1].splitlines()
    assert [json.loads(line)["seq"] for line in part] == [
        e["seq"] for e in events if e["data"]["proc"]["comm"] == comm and e["ts"] >= begin
    ]


@pytest.mark.parametrize("command", ["events", "export"])
def test_a_wrong_filter_shows_its_place(igdash, ids, command):
    code, out, err = igdash(command, ids[0], "--filter", "pid = 1 and commm = x")
    assert (code, out) == (1, "")
    assert "did you mean" in err
    assert "at 'commm', character 13" in err
    assert one_line(err)
    assert "at its end" in igdash(command, ids[0], "--filter", "pid =")[2]


def test_events_of_a_time_window(igdash, ids):
    lines = igdash("events", ids[0], "-o", "jsonl")[1].splitlines()
    events = [json.loads(line) for line in lines]
    begin, end = events[5]["ts"], events[9]["ts"]
    part = igdash("events", ids[0], "-o", "name", "--from", begin, "--to", end)[1].split()
    assert part == [str(e["seq"]) for e in events if begin <= e["ts"] < end]
    code, _, err = igdash("events", ids[0], "--from", end, "--to", begin)
    assert code == 1
    assert "--to" in err


def test_events_as_a_table(igdash, ids):
    out = igdash("events", ids[0], "--limit", "5")[1].splitlines()
    assert out[0].split()[:2] == ["SEQ", "TIME"]
    assert len(out) == 6


def test_follow_ends_with_an_ended_session(igdash):
    ended = igdash("sessions", "--state", "stopped", "-o", "name")[1].split()[0]
    code, out, _ = igdash("events", ended, "--follow", "-o", "name")
    assert code == 0
    assert out.split() == igdash("events", ended, "-o", "name")[1].split()


def test_losses_and_logs(igdash, ids):
    document = json.loads(igdash("losses", ids[0], "-o", "json")[1])
    assert document["total"] == sum(loss["count"] for loss in document["losses"]) > 0
    assert "kernel" in igdash("losses", ids[0])[1]
    document = json.loads(igdash("logs", ids[0], "-o", "json")[1])
    assert document["total"] == len(document["logs"]) > 0
    assert "batch at 0" in igdash("logs", ids[0])[1]
    assert igdash("logs", ids[0], "--after", "1000000", "-o", "name")[1] == ""


def test_export_to_stdout_and_to_a_file(igdash, ids, tmp_path: Path):
    target = tmp_path / "out.jsonl"
    code, out, err = igdash("export", ids[0], ids[1], "--output", str(target))
    assert (code, out, err) == (0, "", "")
    lines = target.read_text().splitlines()
    wanted = [igdash("events", one, "-o", "jsonl")[1].splitlines() for one in ids[:2]]
    assert lines == wanted[0] + wanted[1]
    assert list(tmp_path.iterdir()) == [target]
    plain = tmp_path / "plain"
    assert igdash("export", ids[0], "--plain", "--output", str(plain))[0] == 0
    assert [json.loads(line) for line in plain.read_text().splitlines()] == [
        json.loads(line)["data"] for line in wanted[0]
    ]
    csv = tmp_path / "out.csv"
    assert igdash("export", ids[0], "--format", "csv", "--output", str(csv))[0] == 0
    assert len(csv.read_text().splitlines()) > 300


def test_an_export_that_cannot_be_leaves_no_file(igdash, ids, tmp_path: Path):
    target = tmp_path / "out"
    for argv in (
        ("export", "ffffffffffff", "--output", str(target)),
        ("export", ids[0], ids[1], "--format", "csv", "--output", str(target)),
        ("export", ids[0], "--format", "csv", "--plain", "--output", str(target)),
        ("export", ids[0], "--output", str(tmp_path / "no" / "where")),
    ):
        code, out, err = igdash(*argv)
        assert (code, out) == (1, "")
        assert one_line(err)
    assert list(tmp_path.iterdir()) == []


def test_what_changes_something_needs_a_collector(igdash, ids, tmp_path, monkeypatch):
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__NAME", "demo")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__KIND", "replay")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__FOLDER", str(tmp_path))
    for argv in (("start", "trace_tcp"), ("stop", ids[0]), ("delete", ids[0])):
        code, out, err = igdash(*argv)
        assert (code, out) == (1, "")
        assert one_line(err)
        assert "no collector is running" in err
    code, out, err = igdash("environments")
    assert code == 0
    assert "demo" in out
    assert "no collector is running" in err


def test_start_without_an_environment_says_how_to_get_one(igdash, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, _, err = igdash("start", "trace_tcp")
    assert code == 1
    assert "neither ig nor kubectl-gadget is in PATH" in err
    assert one_line(err)
    code, _, err = igdash("environments")
    assert code == 0
    assert "[[environments]]" in err


def test_start_asks_which_environment_when_there_are_several(igdash, monkeypatch):
    for number, name in enumerate(("one", "two")):
        monkeypatch.setenv(f"IGDASH_ENVIRONMENTS__{number}__NAME", name)
        monkeypatch.setenv(f"IGDASH_ENVIRONMENTS__{number}__KIND", "ig")
    code, _, err = igdash("start", "trace_tcp")
    assert code == 1
    assert "name one with -e: one, two" in err


def test_gadgets_of_an_environment(igdash, tmp_path, monkeypatch):
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__NAME", "demo")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__KIND", "replay")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__FOLDER", str(tmp_path))
    code, out, err = igdash("gadgets", "-e", "demo", "-o", "name")
    assert (code, len(out.split())) == (0, 45)
    assert "not known, so all are listed: no collector is running" in err
    assert one_line(err)
    code, out, err = igdash("gadgets", "-e", "demo", "trace_tcp")
    assert code == 0
    assert "described by  the catalogue" in out
    assert "no collector is running" in err
    code, out, err = igdash("gadgets", "-e", "nowhere")
    assert (code, out) == (1, "")
    assert "configured: demo" in err
    code, _, err = igdash("gadgets", "evil.io/x/y:1")
    assert code == 1
    assert "gadgets.allowed_images" in err
    code, out, _ = igdash("gadgets", "ghcr.io/inspektor-gadget/gadget/trace_tcp:v1", "-o", "json")
    assert json.loads(out)["params"]


def test_environments_wide_say_where_each_is(igdash, tmp_path, monkeypatch):
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__NAME", "demo")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__KIND", "replay")
    monkeypatch.setenv("IGDASH_ENVIRONMENTS__0__FOLDER", str(tmp_path))
    out = igdash("environments", "-o", "wide")[1]
    assert "EACH NODE" in out.splitlines()[0]
    assert str(tmp_path) in out
    [one] = json.loads(igdash("environments", "-o", "json")[1])["environments"]
    assert (one["place"], one["coverage"], one["rights"]) == (str(tmp_path), [], [])


def test_gadgets(igdash):
    code, out, _ = igdash("gadgets")
    assert code == 0
    assert len(out.splitlines()) == 46
    assert json.loads(igdash("gadgets", "-o", "json")[1])["gadgets"][0]["name"]
    out = igdash("gadgets", "trace_tcp")[1]
    assert "PARAMETERS" in out
    assert "dst" in out
    assert json.loads(igdash("gadgets", "trace_tcp", "-o", "json")[1])["sources"]
    code, out, err = igdash("gadgets", "trace_tcpp")
    assert (code, out) == (1, "")
    assert "did you mean" in err
    assert one_line(err)


def test_db_commands(igdash, tmp_path: Path):
    assert igdash("db", "check") == (0, "ok\n", "")
    assert "sessions" in igdash("db", "stats")[1]
    assert json.loads(igdash("db", "stats", "-o", "json")[1])["sessions"] == 7
    fresh = f"sqlite:///{tmp_path}/a/new.db"
    code, _, err = igdash("--store", fresh, "sessions")
    assert code == 1
    assert "igdash db upgrade" in err
    assert not (tmp_path / "a").exists()
    code, out, _ = igdash("db", "upgrade", "--store", fresh)
    assert code == 0
    assert out.startswith(f"sqlite:///{tmp_path}/a/new.db is at ")
    assert igdash("--store", fresh, "sessions")[0] == 0


@pytest.mark.parametrize("command", ["sessions", "db upgrade", "db check", "db stats"])
def test_a_foreign_file_is_refused_and_left_as_it_is(igdash, tmp_path: Path, command: str):
    path = tmp_path / "foreign.db"
    path.write_bytes(b"not a database at all\n" * 100)
    before = path.read_bytes()
    code, out, err = igdash(*command.split(), "--store", f"sqlite:///{path}")
    assert code == 1
    assert one_line(out + err)
    assert "foreign.db" in out + err
    assert path.read_bytes() == before


def test_config_show_names_origins_and_masks_secrets(igdash):
    out = igdash("config", "show", "--store", "postgresql://me:s3cret@h/d", "--set", "web.port=9")[
        1
    ]
    assert "s3cret" not in out
    assert re.search(r"^web.port +9 +command line$", out, re.MULTILINE)
    assert json.loads(igdash("config", "show", "-o", "json")[1])["settings"]


def test_version(igdash):
    code, out, _ = igdash("version")
    assert igdash("--version") == (code, out, "")
    assert code == 0
    assert out.startswith("igdash 0.")


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        ((), "COMMAND"),
        (("nonsense",), "nonsense"),
        (("sessions", "--nonsense"), "--nonsense"),
        (("session",), "ID"),
        (("sessions", "--state", "runing"), "runing"),
        (("events", "x", "--after", "-1"), "--after"),
        (("events", "x", "--limit", "0"), "at least 1"),
        (("events", "x", "--from", "yesterday"), "RFC 3339"),
        (("start", "x", "--duration", "10x"), "10x"),
        (("start", "x", "--duration", "0s"), "--duration"),
        (("start", "x", "--param", "novalue"), "KEY=VALUE"),
        (("db",), "COMMAND"),
        (("--set", "nonsense", "version"), "KEY=VALUE"),
        (("config", "show", "--set", "web.prt=1"), "did you mean web.port"),
        (("sessions", "--config", "/no/such/file.toml"), "/no/such/file.toml"),
        (("serve", "--port", "x"), "web.port"),
        (("sessions", "--store", "mysql://u:secretpw@h/d"), "store.url"),
        (("session", "\udcff"), "UTF-8"),
        (("session", "x\x1b[2J\nforged", "--bad\x1b[2J\nforged"), "unrecognized"),
    ],
)
def test_wrong_usage_is_one_line_and_2(igdash, argv, wanted):
    code, out, err = igdash(*argv)
    assert (code, out) == (2, "")
    assert wanted in err
    assert one_line(err)
    assert "secretpw" not in err


def one_line(text: str) -> bool:
    """Whether it is exactly one line with nothing that moves a cursor in it."""
    return text.count("\n") == 1 and text.endswith("\n") and text[:-1].isprintable()


def test_values_cannot_write_to_the_terminal(tmp_path: Path, igdash):
    from igdash.domain.chunks import Chunk, ChunkKind
    from igdash.domain.ports import SessionBatch
    from igdash.domain.sessions import NewSession, SessionId, SessionSpec, Target
    from igdash.sources.catalogue import load_catalogue
    from igdash.sources.decode import decode_chunk

    url = f"sqlite:///{tmp_path}/x.db"
    igdash("db", "upgrade", "--store", url)
    evil = "\x1b[2J\x07\u202eevil\n2026 forged"
    spec = SessionSpec(
        gadget="trace_exec", environment="demo", name=evil, target=Target(namespace=evil)
    )
    writer = open_writer(url)
    session = SessionId("0123456789ab")
    sources = load_catalogue().get("trace_exec").sources
    writer.create(NewSession(id=session, spec=spec, created=1, sources=sources))
    lines = json.dumps({"proc": {"comm": evil}, "args": evil}).encode() + b"\n"
    logs = b'time="2026-11-22T22:00:18Z" level=warning msg="\x1b[2J\x07evil"\n'
    for kind, data in ((ChunkKind.JSON_LINES, lines), (ChunkKind.LOG_LINES, logs)):
        decoded = decode_chunk(Chunk(kind=kind, received=1, data=data, node=evil))
        count = len(decoded.events)
        writer.append(
            [SessionBatch(session=session, decoded=decoded, received=count, spool_offset=1)]
        )
    writer.close()
    for command in ("sessions -o wide", "events 01 -o wide", "events 01", "logs 01 -o wide"):
        code, out, _ = igdash(*command.split(), "--store", url)
        assert code == 0
        assert out.replace("\n", "").isprintable(), command
        assert "forged" not in [line.split()[0] for line in out.splitlines()]
        assert len(out.splitlines()) == 2
