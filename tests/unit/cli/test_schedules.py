"""`igdash schedules`: made, listed, run, rested, deleted; and what it says to wrong words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from igdash.cli.main import run
from igdash.domain.schedules import Deed, Order, Run, RunFile, RunState
from igdash.domain.times import now_ns
from tests.support.seed import seed
from tests.support.web import FakeControl

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = f"sqlite:///{tmp_path_factory.mktemp('cli')}/igdash.db"
    seed(found, sessions=1, events=20)
    return found


@pytest.fixture
def control(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeControl]:
    made = FakeControl(url)
    monkeypatch.setattr("igdash.bootstrap.control_client", lambda _: made)
    yield made
    made.close()


@pytest.fixture
def igdash(
    url: str,
    control: FakeControl,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Call:
    assert not control.down
    monkeypatch.setenv("IGDASH_STORE__URL", url)
    monkeypatch.delenv("IGDASH_CONFIG", raising=False)

    def call(*argv: str) -> tuple[int, str, str]:
        code = run(("schedules", *argv))
        out, err = capsys.readouterr()
        return code, out, err

    return call


HOURLY = ("--cron", "0 * * * *", "--zone", "Europe/Berlin")


def test_from_add_to_delete(igdash: Call, control: FakeControl) -> None:
    what = ("--gadget", "trace_tcp", "-n", "shop", "--state", "running", "--filter", "pid > 1")
    files = ("--format", "parquet", "--to", "a/b", "--keep", "3", "--paused")
    code, out, err = igdash("add", "hourly", *HOURLY, *what, *files)
    assert (code, err) == (0, "")
    id_ = out.strip()
    one = json.loads(igdash("show", "hourly", "-o", "json")[1])
    assert one["runs"] == []
    made = one["schedule"]
    assert (made["id"], made["format"], made["destination"], made["keep"]) == (
        id_, "parquet", "a/b", 3,
    )  # fmt: skip
    assert (made["paused"], made["next"], made["when"]["zone"]) == (True, None, "Europe/Berlin")
    assert made["what"]["states"] == ["running"]
    assert igdash("resume", id_[:5]) == (0, f"{id_} resumed\n", "")
    assert json.loads(igdash("show", id_, "-o", "json")[1])["schedule"]["next"][14:19] == "00:00"
    ended(control, id_)
    header, row = igdash("list")[1].splitlines()
    assert header.split() == ["ID", "NAME", "WHEN", "FORMAT", "NEXT", "LAST", "ROWS"]
    assert "0 * * * * (Europe/Berlin)" in row
    assert row.split()[-1] == "1,234"
    shown = igdash("show", id_, "-o", "wide")[1]
    assert "a/b/r1" in shown
    assert "trace_tcp namespace=shop state=running pid > 1" in shown
    assert igdash("run", id_) == (0, f"{id_} asked for a run\n", "")
    assert igdash("list")[1].splitlines()[1].split()[9] == "now"
    assert igdash("pause", "hourly")[1] == f"{id_} paused\n"
    assert igdash("delete", "hourly")[1] == f"{id_} deleted\n"
    assert igdash("list", "-o", "name")[1] == ""


def ended(control: FakeControl, schedule: str) -> None:
    """Store a run as an exporter does."""
    made = Run(id="r1", schedule=schedule, started=now_ns(), place="a/b/r1")
    control.schedule(Order(deed=Deed.BEGIN, schedule=schedule, at=now_ns(), run=made))
    file = RunFile(name="x", session="", rows=1234, bytes=9, sha256="")
    whole = Run(
        id="r1", schedule=schedule, started=made.started, place="a/b/r1", state=RunState.DONE,
        ended=now_ns(), rows=1234, files=(file,),
    )  # fmt: skip
    control.schedule(Order(deed=Deed.FINISH, schedule=schedule, at=now_ns(), run=whole))


@pytest.mark.parametrize(
    ("argv", "code", "wanted"),
    [
        ((), 2, "--cron"),
        ((*HOURLY, "--every", "1h"), 2, "not allowed with"),
        (("--every", "soon"), 2, "no duration such as"),
        (("--every", "1s"), 1, "when.every: must be 10 s to 366 d"),
        (("--cron", "* * *"), 1, "when.cron: Wrong number of fields; five fields, e.g."),
        (("--cron", "0 * * * *", "--zone", "Mars/Phobos"), 1, "no time zone such as"),
        ((*HOURLY, "--format", "xml"), 2, "'jsonl.zst'"),
        ((*HOURLY, "--keep", "-3"), 2, "no whole number"),
        ((*HOURLY, "--keep", "20000"), 1, "keep: must be 0 (all) to 10,000"),
        ((*HOURLY, "--to", "../x"), 1, "destination: must be a folder below"),
        ((*HOURLY, "--to", "s3://bucket/x"), 1, "exports.buckets (allowed: none)"),
        ((*HOURLY, "--session", "zzz"), 1, "no session 'zzz'"),
        ((*HOURLY, "--state", "dead"), 2, "invalid choice: 'dead'"),
        ((*HOURLY, "--gadget", "trace_tpc"), 1, "did you mean trace_tcp"),
        ((*HOURLY, "--filter", "pid >"), 1, "what.filter: "),
        ((*HOURLY, "--filter", "proc.com = x"), 1, "did you mean proc.comm"),
        ((*HOURLY, "--sql", "DELETE FROM v_events"), 1, "what.sql: "),
        ((*HOURLY, "--sql", "SELECT 1", "--gadget", "trace_tcp"), 1, "what.sql: stands alone"),
    ],
)
def test_wrong_words_are_one_line(
    igdash: Call, argv: tuple[str, ...], code: int, wanted: str
) -> None:
    found, out, err = igdash("add", "x", *argv)
    assert (found, out) == (code, "")
    assert wanted in err
    assert err.count("\n") == 1
    assert igdash("list", "-o", "name")[1] == ""


def test_one_that_is_not_there_and_two_of_a_name(igdash: Call) -> None:
    code, _, err = igdash("run", "nope")
    assert (code, err) == (1, "igdash: no schedule has the ID or the name 'nope'\n")
    ids = [igdash("add", "twin", "--every", "1h")[1].strip() for _ in "ab"]
    code, _, err = igdash("pause", "twin")
    assert (code, err) == (1, "igdash: 2 schedules are 'twin'; give a longer ID\n")
    assert igdash("delete", *ids)[0] == 0


def test_waiting_without_an_exporter_ends(igdash: Call) -> None:
    id_ = igdash("add", "alone", "--every", "1h")[1].strip()
    code, out, err = igdash("run", "alone", "--wait", "0.5s")
    assert (code, out) == (1, "")
    assert err == "igdash: no run ended within 0.5 s; is an exporter running?\n"
    igdash("delete", id_)


def test_without_a_collector_nothing_is_made(igdash: Call, control: FakeControl) -> None:
    control.down = True
    code, _, err = igdash("add", "x", "--every", "1h")
    assert (code, err.count("\n")) == (1, 1)
    assert igdash("list", "-o", "name")[1] == ""
