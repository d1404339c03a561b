"""Runs of scheduled exports over both databases: every event once, whatever fails in between."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.errors import CollectorUnavailable, WrongState
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.losses import Loss, LossCause
from igdash.domain.schedules import (
    Deed,
    ExportFormat,
    Order,
    Run,
    RunState,
    Schedule,
    ScheduleSpec,
    What,
    When,
)
from igdash.domain.sessions import SessionId, SessionState, StateChange
from igdash.domain.times import NS, now_ns
from igdash.services import export_files, export_places, export_runs
from igdash.services.export_places import Places
from igdash.services.export_runs import RETRIES, Runner, Stopped
from igdash.services.exporter import Exporter, giver, is_due
from igdash.sources.catalogue import load_catalogue
from igdash.store import lock_run, open_sql, set_up_sql
from tests.support.stores import T0, Store, event


class Rig:
    """A schedule `s1` over a store, and what runs it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder / "out"
        self.role = folder / "role.json"
        self.stop = threading.Event()
        self.held = True
        self.reader = store.reader.schedules
        self.give: Callable[[Order], Schedule] = store.writer.schedule
        self.places = Places(folder=self.folder, scratch=folder / "scratch")
        self.runner = Runner(
            sessions=store.reader.sessions,
            events=store.reader.events,
            queries=store.reader.queries,
            schedules=store.reader.schedules,
            sql=open_sql(store.url, store.reader, role_file=self.role),
            places=self.places,
            give=lambda order: self.give(order),
            gone=self.stop.is_set,
            held=lambda: self.held,
        )

    def make(self, what: What = What(), **more: Any) -> Schedule:  # noqa: B008
        spec = ScheduleSpec(
            **{"name": "all", "what": what, "when": When(every=3600.0), "destination": "d"} | more
        )
        return self.store.writer.schedule(
            Order(deed=Deed.CREATE, schedule="s1", at=now_ns(), spec=spec)
        )

    def change(self, **more: Any) -> None:
        spec = replace(self.reader.get("s1").spec, **more)
        self.store.writer.schedule(Order(deed=Deed.CHANGE, schedule="s1", at=now_ns(), spec=spec))

    def run(self) -> Run:
        self.runner.recover(self.reader.get("s1"))
        run = self.runner.run(self.reader.get("s1"))
        assert self.reader.run("s1", run.id) == run
        return run

    def session(self, **more: Any) -> SessionId:
        return self.store.create(sources=load_catalogue().get("trace_tcp").sources, **more).id

    def add(self, session: SessionId, count: int) -> None:
        events = [event(f'{{"proc":{{"pid":{n},"comm":"c{n % 3}"}}}}') for n in range(count)]
        self.store.add(session, *events)

    def seqs(self, session: SessionId) -> list[int]:
        """Return the seqs of a session in all files that are in their places, sorted."""
        found = []
        for path in sorted(self.folder.glob("d/*/*.jsonl")):
            if session in path.name:
                found += [json.loads(line)["seq"] for line in path.read_text().splitlines()]
        return sorted(found)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("d/*"))


@pytest.fixture
def rig(store: Store, tmp_path: Path) -> Rig:
    return Rig(store, tmp_path)


def test_each_event_once_over_runs_with_sessions_that_come_and_end(rig: Rig) -> None:
    rig.make(What(states=(SessionState.STARTING,)))
    first = rig.session()
    rig.add(first, 2_500)
    run = rig.run()
    assert (run.state, run.rows, len(run.files)) == (RunState.DONE, 2_500, 1)
    rig.add(first, 10)
    second = rig.session(gadget="trace_exec")
    rig.add(second, 3)
    rig.store.writer.change(first, StateChange(state=SessionState.STOPPED, at=now_ns()))
    late = rig.session()
    rig.store.writer.change(late, StateChange(state=SessionState.STOPPED, at=now_ns()))
    rig.add(late, 4)
    assert rig.run().rows == 13
    assert rig.run().rows == 0
    assert rig.seqs(first) == list(range(1, 2_511))
    assert rig.seqs(second) == [1, 2, 3]
    assert rig.seqs(late) == []
    assert len(rig.names()) == 2  # a run without news leaves no folder


def test_the_manifest_tells_files_ranges_losses_and_checksums(rig: Rig) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 5)
    loss = Loss(node="n", start=T0, end=T0 + 1, count=7, cause=LossCause.KERNEL)
    rig.store.add(one, losses=(loss,))
    run = rig.run()
    folder = rig.folder / run.place
    told = json.loads((folder / "manifest.json").read_bytes())
    [file] = told["files"]
    assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    assert (told["rows"], told["lost"], file["rows"], file["session"]) == (5, 7, 5, one)
    [covered] = told["sessions"]
    assert (covered["first"], covered["last"], covered["lost"]) == (1, 5, 7)
    assert run.lost == 7
    rig.store.add(one, losses=(replace(loss, start=T0 + 9 * NS, count=2),))
    again = rig.run()
    assert (again.rows, again.lost) == (0, 2)
    assert [oct(p.stat().st_mode)[-3:] for p in folder.iterdir()] == ["600", "600"]


@pytest.mark.parametrize("format", list(ExportFormat))
def test_every_format_has_all_rows_and_is_read_back(rig: Rig, format: ExportFormat) -> None:
    rig.make(format=format)
    one = rig.session()
    rig.add(one, 1_234)
    run = rig.run()
    assert (run.state, run.reason) == (RunState.DONE, "")
    path = rig.folder / run.place / run.files[0].name
    assert path.name == f"trace_tcp-{one}-1-1234.{format.value}"
    if format is ExportFormat.PARQUET:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        assert table["proc_pid"].to_pylist() == list(range(1_234))
        assert str(table.schema.field("proc_pid").type) == "uint32"
    elif format is ExportFormat.CSV:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [int(row["proc.pid"]) for row in rows] == list(range(1_234))
    else:
        data = path.read_bytes()
        if format is ExportFormat.JSONL_GZ:
            data = gzip.decompress(data)
        elif format is ExportFormat.JSONL_ZST:
            import pyarrow

            with pyarrow.CompressedInputStream(str(path), "zstd") as file:
                data = file.read()
        assert (len(path.read_bytes()) < len(data)) == (format is not ExportFormat.JSONL)
        assert [json.loads(line)["seq"] for line in data.splitlines()] == list(range(1, 1_235))


def test_a_very_long_value_is_read_back_too(rig: Rig) -> None:
    rig.make(format=ExportFormat.CSV)
    rig.store.add(rig.session(), event(f'{{"proc":{{"comm":"{"x" * 140_000}"}}}}'))
    run = rig.run()
    assert (run.state, run.reason, run.rows) == (RunState.DONE, "", 1)


def test_a_filter_picks_rows_and_a_gadget_without_the_field_has_none(rig: Rig) -> None:
    rig.make(What(filter='proc.comm = "c1"'))
    one = rig.session()
    rig.add(one, 30)
    other = rig.store.create(sources=load_catalogue().get("top_tcp").sources, gadget="top_tcp").id
    rig.store.add(other, event())
    run = rig.run()
    assert (run.state, run.rows, len(run.files), len(run.ranges)) == (RunState.DONE, 10, 1, 2)
    assert rig.seqs(one) == list(range(2, 31, 3))
    rig.add(one, 3)
    assert rig.run().rows == 1


def test_a_name_that_several_fields_end_in_passes_nothing_over(rig: Rig) -> None:
    """The run fails and says why; a cursor that moved would not come back."""
    rig.make(What(filter="port = 443"))
    sources = load_catalogue().get("trace_tcp").sources
    session = rig.store.create(sources=sources, gadget="trace_tcp").id
    rig.store.add(session, event('{"src":{"port":1},"dst":{"port":443}}'))
    run = rig.run()
    assert run.state is RunState.FAILED
    assert "'port' may be" in run.reason
    rig.change(what=What(filter="dst.port = 443"))
    assert rig.run().rows == 1


def test_a_filter_finds_a_field_that_an_import_has_only_further_on(rig: Rig) -> None:
    """Its fields were told by its first events, and a cursor that moved does not come back."""
    rig.make(What(filter="proc.error = 5"))
    sources = (DataSource(name="x", fields=(Field(name="proc.pid", kind="Int64"),)),)
    for environment in ("import", "demo"):
        session = rig.store.create(sources=sources, environment=environment).id
        rig.add(session, 3)
        rig.store.add(session, event('{"proc":{"pid":4,"error":5}}'))
    run = rig.run()
    assert [(one.last, one.rows) for one in run.ranges] == [(4, 1), (4, 0)]


def test_only_what_was_asked_for(rig: Rig) -> None:
    one, two = rig.session(namespace="a"), rig.session(namespace="b")
    rig.add(one, 1)
    rig.add(two, 2)
    rig.make(What(namespace="b"))
    assert rig.run().rows == 2
    rig.change(what=What(sessions=(one, SessionId("gone")), gadget="trace_tcp"))
    assert rig.run().rows == 1
    rig.change(what=What(sessions=(one, two), gadget="trace_exec"))
    rig.add(two, 5)
    assert rig.run().rows == 0


def test_a_statement_is_exported_whole_each_time(rig: Rig) -> None:
    if rig.store.kind == "postgres":
        set_up_sql(rig.store.url, rig.role)
    rig.add(rig.session(), 3)
    rig.make(What(sql="SELECT seq FROM v_events ORDER BY seq"), format=ExportFormat.CSV)
    for _ in range(2):
        run = rig.run()
        assert (run.state, run.rows, run.reason) == (RunState.DONE, 3, "")
        text = (rig.folder / run.place / "result.csv").read_text()
        assert text.split() == ["seq", "1", "2", "3"]
    for format in (set(ExportFormat) - {ExportFormat.CSV}) if rig.store.kind == "sqlite" else ():
        rig.change(format=format)
        run = rig.run()
        assert (run.state, run.rows, run.reason) == (RunState.DONE, 3, "")
        assert run.files[0].name == f"result.{format.value}"
    rig.change(what=What(sql="SELECT nope"))
    assert "nope" in rig.run().reason


def test_a_full_disk_fails_the_run_and_the_next_begins_at_the_same_seq(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 10)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(export_files.os, "fsync", full)
        run = rig.run()
    assert (run.state, run.reason) == (RunState.FAILED, "No space left on device")
    assert rig.names() == []
    schedule = rig.reader.get("s1")
    assert schedule.failures == 1
    assert schedule.retry is not None
    assert abs(schedule.retry - now_ns() - RETRIES[0] * NS) < 5 * NS
    assert not is_due(schedule)
    rig.add(one, 1)
    assert rig.run().rows == 11
    assert rig.seqs(one) == list(range(1, 12))
    assert rig.reader.get("s1").failures == 0


def test_failed_runs_are_tried_again_later_and_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    rig.add(rig.session(), 1)
    monkeypatch.setattr(export_runs.export_files, "verify", broken)
    waits = []
    for _ in range(len(RETRIES) + 1):
        began = now_ns()
        assert rig.run().reason == "Input/output error"
        retry = rig.reader.get("s1").retry
        waits.append(retry and (retry - began) / NS)
    assert waits.pop() is None  # from now on at the regular moments alone
    for wait, wanted in zip(waits, RETRIES, strict=True):
        assert wait is not None
        assert wanted <= wait < wanted + 30


def test_what_the_disk_changed_is_noticed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.make()
    rig.add(rig.session(), 10)
    real = export_files.verify

    def spoiled(path: Path, *rest: Any) -> None:
        path.write_bytes(path.read_bytes()[:-2] + b"!\n")
        real(path, *rest)

    monkeypatch.setattr(export_runs.export_files, "verify", spoiled)
    run = rig.run()
    assert run.state is RunState.FAILED
    assert "what was read back is not what was written" in run.reason
    assert rig.names() == []


class Killed(BaseException):
    """The end of the process, as far as a run is concerned."""


def killed(*_: object) -> None:
    raise Killed


def test_an_error_of_ours_fails_the_run_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.make()
    rig.add(rig.session(), 10)
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "write_whole", lambda *_: 1 / 0)
        run = rig.run()
    assert (run.state, run.reason, run.place) == (RunState.FAILED, "division by zero", "")
    assert rig.names() == []
    assert rig.run().rows == 10


def test_a_run_that_another_process_gave_up_leaves_nothing(rig: Rig) -> None:
    """The lock was lost after the last look at it."""
    rig.make()
    one = rig.session()
    rig.add(one, 10)

    def judged(order: Order) -> Schedule:
        if order.deed is Deed.FINISH:
            given_up = replace(order.run, state=RunState.FAILED, reason="another", place="")  # type: ignore[type-var]
            rig.store.writer.schedule(replace(order, run=given_up))
        return rig.store.writer.schedule(order)

    rig.give = judged
    with pytest.raises(WrongState):
        rig.run()
    assert rig.names() == []
    rig.give = rig.store.writer.schedule
    assert rig.run().rows == 10
    assert rig.seqs(one) == list(range(1, 11))


def test_a_run_cut_short_before_its_place_comes_again_whole(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after kill -9: nothing is tidied by the run itself."""
    rig.make()
    one = rig.session()
    rig.add(one, 10)
    orders: list[Order] = []

    def dying(order: Order) -> Schedule:
        orders.append(order)
        if order.deed is Deed.FINISH:
            raise Stopped("killed")
        return rig.store.writer.schedule(order)

    rig.give = dying
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "write_whole", killed)
        with pytest.raises(Killed):
            rig.run()
    assert [name.startswith(".") for name in rig.names()] == [True]
    rig.give = rig.store.writer.schedule
    rig.add(one, 5)
    rig.runner.recover(rig.reader.get("s1"))
    assert rig.names() == []
    cut = rig.reader.runs("s1").runs[0]
    assert (cut.state, "ended in the middle" in cut.reason) == (RunState.FAILED, True)
    assert is_due(rig.reader.get("s1"))
    rig.run()
    assert rig.seqs(one) == list(range(1, 16))


def test_a_run_cut_short_after_its_place_is_done_and_nothing_comes_twice(rig: Rig) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 10)

    def dying(order: Order) -> Schedule:
        if order.deed is Deed.FINISH:
            raise Stopped("killed")
        return rig.store.writer.schedule(order)

    rig.give = dying
    with pytest.raises(Stopped):
        rig.run()
    assert rig.reader.runs("s1").runs[0].state is RunState.RUNNING
    rig.give = rig.store.writer.schedule
    rig.add(one, 5)
    assert rig.run().rows == 5
    assert rig.seqs(one) == list(range(1, 16))
    assert [run.rows for run in rig.reader.runs("s1").runs] == [5, 10]


def test_a_run_cut_short_at_a_place_that_is_away_holds_up_no_other_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 10)
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "write_whole", killed)
        with pytest.raises(Killed):
            rig.run()
    real = export_places._Folder.manifest

    def away(place: Any, run: str) -> bytes | None:
        if place._name == "d":
            raise OSError(5, "Input/output error")
        return real(place, run)

    monkeypatch.setattr(export_places._Folder, "manifest", away)
    with pytest.raises(OSError, match="Input/output"):
        rig.run()  # whether it was done is known once the place is there again
    assert rig.reader.runs("s1").runs[0].state is RunState.RUNNING
    rig.change(destination="e")
    assert rig.run().rows == 10
    cut = rig.reader.runs("s1").runs[1]
    assert (cut.state, "Input/output error" in cut.reason) == (RunState.FAILED, True)


def test_a_stop_breaks_a_run_off_and_leaves_nothing(rig: Rig) -> None:
    rig.make()
    rig.add(rig.session(), 10)
    rig.stop.set()
    run = rig.run()
    assert (run.state, rig.names()) == (RunState.FAILED, [])
    assert is_due(rig.reader.get("s1"))


def test_a_lost_lock_publishes_nothing(rig: Rig) -> None:
    rig.make()
    rig.add(rig.session(), 10)
    rig.held = False
    assert "another process" in rig.run().reason
    assert rig.names() == []


def test_the_newest_runs_are_kept(rig: Rig) -> None:
    rig.make(keep=2)
    one = rig.session()
    places = []
    for _ in range(4):
        rig.add(one, 1)
        places.append(rig.run().place.removeprefix("d/"))
    assert rig.names() == sorted(places[2:])
    assert rig.reader.runs("s1").total == 4


def test_fewer_may_be_kept_from_now_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_runs, "_PAGE", 3)
    rig.make()
    one = rig.session()
    places = []
    for _ in range(9):
        rig.add(one, 1)
        places.append(rig.run().place.removeprefix("d/"))
        rig.run()  # nothing new: no files, and none to count
    rig.change(keep=1)
    rig.add(one, 1)
    assert rig.names() == sorted(places)
    newest = rig.run()
    assert rig.names() == [newest.place.removeprefix("d/")]


def test_the_newest_runs_are_kept_though_the_clock_was_set_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make(keep=2)
    one = rig.session()
    places = []
    for hours in (0, 0, 3, 2, 5):
        monkeypatch.setattr(export_runs, "now_ns", lambda back=hours: now_ns() - back * 3600 * NS)
        rig.add(one, 1)
        places.append(rig.run().place.removeprefix("d/"))
    assert rig.names() == sorted(places[3:])
    runs = rig.reader.runs("s1").runs
    assert [run.place.removeprefix("d/") for run in runs] == places[::-1]
    assert all(run.ended is not None and run.ended >= run.started for run in runs)


def test_what_a_failed_run_could_not_take_along_is_removed_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 10)
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "verify", lambda *_: 1 / 0)
        patched.setattr(export_places.shutil, "rmtree", broken)
        for _ in "ab":
            assert rig.run().state is RunState.FAILED
    assert [name.startswith(".") for name in rig.names()] == [True, True]
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "write_whole", killed)
        with pytest.raises(Killed):
            rig.run()
        patched.setattr(export_places.shutil, "rmtree", broken)
        rig.runner.recover(rig.reader.get("s1"))
    assert [name.startswith(".") for name in rig.names()] == [True, True, True]
    assert {one.state for one in rig.reader.runs("s1").runs} == {RunState.FAILED}
    run = rig.run()
    assert rig.names() == [run.place.removeprefix("d/")]


def test_what_a_failed_run_left_is_removed_though_the_first_run_after_it_could_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    one = rig.session()
    rig.add(one, 10)
    with monkeypatch.context() as patched:
        patched.setattr(export_places.shutil, "rmtree", broken)
        with monkeypatch.context() as worse:
            worse.setattr(export_runs.export_files, "verify", lambda *_: 1 / 0)
            for _ in "ab":
                assert rig.run().state is RunState.FAILED
        assert rig.run().state is RunState.DONE
    assert [name.startswith(".") for name in rig.names()] == [True, True, False]
    rig.add(one, 1)
    runs = [rig.reader.runs("s1").runs[0], rig.run()]
    assert rig.names() == sorted(run.place.removeprefix("d/") for run in runs)
    assert [run.place for run in rig.reader.runs("s1").runs][2:] == ["", ""]  # not tried for ever


def test_a_destination_of_before_that_is_away_is_asked_less_and_less(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.make()
    rig.add(rig.session(), 1)
    with monkeypatch.context() as patched:
        patched.setattr(export_runs.export_files, "verify", lambda *_: 1 / 0)
        patched.setattr(export_places.shutil, "rmtree", broken)
        assert rig.run().state is RunState.FAILED
    rig.change(destination="other")
    tried: list[Run] = []
    with monkeypatch.context() as patched:
        patched.setattr(Runner, "_discarded", lambda _, one: tried.append(one) or False)
        counts = [(rig.run(), len(tried))[1] for _ in range(6)]
    assert counts == [1, 2, 2, 3, 3, 3]
    for _ in "ab":
        rig.run()
    assert rig.names() == []


def broken(*_: object) -> None:
    raise OSError(5, "Input/output error")


def test_a_destination_outside_is_refused(rig: Rig, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    rig.folder.mkdir()
    (rig.folder / "link").symlink_to(outside)
    rig.make(destination="link")
    rig.add(rig.session(), 1)
    run = rig.run()
    assert run.state is RunState.FAILED
    assert "leads out of" in run.reason
    assert list(outside.iterdir()) == []


class Asks:
    """A collector that is away for the first `down` calls."""

    def __init__(self, store: Store, down: int) -> None:
        self.store = store
        self.down = down

    def schedule(self, order: Order) -> Schedule:
        if self.down:
            self.down -= 1
            raise CollectorUnavailable("away")
        return self.store.writer.schedule(order)


def test_the_exporter_runs_what_is_due_once_and_waits_for_the_collector(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("igdash.services.exporter.LOOK", 0.01)
    one = rig.session()
    rig.add(one, 10)
    rig.store.writer.schedule(
        Order(
            deed=Deed.CREATE,
            schedule="s1",
            at=now_ns() - 10 * 3600 * NS,  # ten hours down: one run
            spec=ScheduleSpec(
                name="hourly", what=What(), when=When(cron="0 * * * *"), destination="d"
            ),
        )
    )
    rig.give = giver(Asks(rig.store, 3), rig.stop)  # type: ignore[arg-type]
    looks = 0

    def lock(schedule: str) -> Any:
        nonlocal looks
        looks += 1
        return lock_run(rig.store.url, tmp_path / "locks", schedule)

    exporter = Exporter(schedules=rig.reader, lock=lock, runner=lambda _: rig.runner, stop=rig.stop)
    holder = lock_run(rig.store.url, tmp_path / "locks", "s1")
    assert holder is not None
    exporter._each(is_due)
    assert rig.reader.runs("s1").total == 0
    holder.release()
    for _ in range(3):
        exporter._each(is_due)
    assert [run.rows for run in rig.reader.runs("s1").runs] == [10]
    assert looks == 2
    rig.store.writer.schedule(Order(deed=Deed.ASK, schedule="s1", at=now_ns()))
    rig.add(one, 1)
    exporter._each(is_due)
    assert [run.rows for run in rig.reader.runs("s1").runs] == [1, 10]
