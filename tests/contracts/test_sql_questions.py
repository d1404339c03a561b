"""docs/sql.md: its ten questions over the recordings, and the views it lists, on both databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from igdash.cli.main import run
from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.errors import StoreBusy
from igdash.domain.events import Schema
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sql import SqlAnswer, SqlQuery
from igdash.sources.catalogue import load_catalogue
from igdash.sources.decode import decode_chunk
from igdash.store import open_sql, set_up_sql, set_up_sql_once, sql_postgres
from scripts.make_sql_reference import DOCUMENT, inserted
from tests.support.postgres import Server
from tests.support.stores import Store, batch, event, postgres_copy, sqlite_copy

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
TEXT = DOCUMENT.read_text(encoding="utf-8")
QUESTIONS = re.findall(r"### (\d+)\. (.+?)\n\n```sql\n(.*?)```", TEXT, re.DOTALL)
LINES = 400


class Asked:
    """A store with all recordings, and SQL over it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.role = folder / "role.json"
        if store.kind == "postgres":
            set_up_sql(store.url, self.role)

    def rows(self, sql: str, **more: Any) -> list[list[Any]]:
        return rows_of(self.answer(sql, **more))

    def answer(self, sql: str, **more: Any) -> SqlAnswer:
        sql_ = open_sql(self.store.url, self.store.reader, role_file=self.role, seconds=30.0)
        return sql_.run(SqlQuery(sql=sql, **more), lambda: False)

    def dicts(self, sql: str) -> list[dict[str, Any]]:
        answer = self.answer(sql)
        names = [column.name for column in answer.columns]
        return [dict(zip(names, row, strict=True)) for row in rows_of(answer)]


def rows_of(answer: SqlAnswer) -> list[list[Any]]:
    found = json.loads(b"[" + b",".join(answer.blocks) + b"]")
    assert len(found) == answer.rows
    return found


def play(store: Store) -> None:
    for folder in sorted(RECORDINGS.iterdir()):
        if not (folder / "events.jsonl").exists():
            continue
        gadget = folder.name.partition(".")[0]
        lines = (folder / "events.jsonl").read_bytes().splitlines()[:LINES]
        data = b"\n".join(lines) + b"\n"
        decoded = decode_chunk(Chunk(kind=ChunkKind.JSON_LINES, received=1, data=data))
        first = decoded.events[0]
        loss = Loss(
            node=first.origin.node, start=first.ts, end=first.ts, count=7, cause=LossCause.KERNEL
        )
        session = store.create(gadget=gadget, sources=load_catalogue().get(gadget).sources)
        made = replace(decoded, losses=(loss,))
        whole = batch(session.id)
        store.writer.append([replace(whole, decoded=made, received=len(made.events))])


@pytest.fixture(scope="module")
def sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("asked")
    with sqlite_copy(sqlite_template, folder) as store:
        play(store)
        yield Asked(store, folder)


@pytest.fixture(scope="module")
def postgres(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with postgres_copy(postgres_server) as store:
        play(store)
        yield Asked(store, tmp_path_factory.mktemp("asked"))


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def asked(request: pytest.FixtureRequest) -> Asked:
    found: Asked = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=BOTH)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    return Asked(request.getfixturevalue(f"{request.param}_store"), tmp_path)


def test_there_are_ten_questions() -> None:
    assert [int(number) for number, _, _ in QUESTIONS] == list(range(1, 11))


@pytest.mark.parametrize(
    ("title", "sql"), [q[1:] for q in QUESTIONS], ids=[q[0] for q in QUESTIONS]
)
def test_a_question_is_answered(asked: Asked, title: str, sql: str) -> None:
    assert asked.rows(sql), title


def test_the_command_line_answers_them_too(
    sqlite: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IGDASH_STORE__URL", sqlite.store.url)
    monkeypatch.delenv("IGDASH_CONFIG", raising=False)
    for _, title, sql in QUESTIONS:
        assert run(("sql", sql, "-o", "jsonl")) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sorted(map(list, map(dict.values, map(json.loads, lines))), key=repr) == sorted(
            sqlite.rows(sql), key=repr
        ), title


@pytest.mark.postgres
@pytest.mark.parametrize("sql", [sql for _, _, sql in QUESTIONS], ids=[q[0] for q in QUESTIONS])
def test_both_databases_answer_alike(sqlite: Asked, postgres: Asked, sql: str) -> None:
    """Up to the order of equals; ids and times of sessions are each database's own."""
    if "v_sessions" in sql:
        sql = sql.replace("id, ", "").replace(", started", "")
    if "LIMIT" in sql and "t.seq" in sql:
        sql = sql.replace("LIMIT 50", "")
    plain = re.sub(r"ORDER BY [^)]*?(\nLIMIT \d+)?\s*$", "", sql)
    one, other = sqlite.rows(plain), postgres.rows(plain)
    assert sorted(map(repr, map(_rounded, one))) == sorted(map(repr, map(_rounded, other)))


def _rounded(row: list[Any]) -> list[Any]:
    return [round(value, 2) if isinstance(value, float) else value for value in row]


def test_the_list_of_views_is_current() -> None:
    assert inserted(TEXT) == TEXT, "run python scripts/make_sql_reference.py"


def test_values_are_those_of_the_events(asked: Asked) -> None:
    """Every typed column holds what the event's own JSON has at its path."""
    for gadget in ("trace_tcp", "trace_dns", "top_process"):
        columns = {
            field.name.replace(".", "_").lower(): field.name.split(".")
            for source in load_catalogue().get(gadget).sources
            for field in source.fields
            if field.kind in ("Uint32", "Uint16", "Bool", "CString", "Int32", "Uint64")
        }
        rows = asked.dicts(f"SELECT * FROM {gadget} ORDER BY session_id, seq LIMIT 50")
        texts = asked.rows(
            "SELECT e.data FROM v_events e JOIN v_sessions s ON s.id = e.session_id"
            f" WHERE s.gadget = '{gadget}' ORDER BY e.session_id, e.seq LIMIT 50"
        )
        seen = 0
        for row, [text] in zip(rows, texts, strict=True):
            for name, path in columns.items():
                value = json.loads(text)
                for step in path:
                    value = value.get(step) if isinstance(value, dict) else None
                if name in row and not isinstance(value, dict | list):
                    assert row[name] == value, (gadget, name)
                    seen += value is not None
        assert seen > 100


# ---------------------------------------------------------------- views of odd gadgets


def source(*fields: Field) -> tuple[DataSource, ...]:
    return (DataSource(name="x", fields=fields),)


def test_versions_are_one_view_with_nulls(fresh: Asked) -> None:
    old = fresh.store.create(gadget="trace_x", sources=source(Field(name="a", kind="Uint32"))).id
    new = fresh.store.create(gadget="ghcr.io/inspektor-gadget/gadget/trace_x:v0.50").id
    told = Schema(ts=1, node="n", sources=source(Field(name="b.c", kind="String")))
    fresh.store.add(old, event('{"a":1}'))
    fresh.store.add(new, event('{"b":{"c":"two"}}'), schemas=(told,))
    rows = fresh.rows("SELECT a, b_c FROM trace_x ORDER BY a")
    assert sorted(rows, key=repr) == sorted([[1, None], [None, "two"]], key=repr)


def test_odd_names_and_values(fresh: Asked) -> None:
    names = ("time", "seq", "select", "it's x", 'no"', "a.b", "a_b", "A.B", "9")
    fields = tuple(Field(name=name, kind="Int64") for name in names)
    session = fresh.store.create(gadget="Weird-Gadget/9 x'\"", sources=source(*fields)).id
    data = {"time": 1, "seq": 2, "select": 3, "it's x": 4, "a": {"b": 5}, "a_b": 6, "A": {"B": 7}}
    fresh.store.add(session, event(json.dumps(data | {"9": "text"})))
    [row] = fresh.dicts("SELECT * FROM gadget_9_x")
    assert (row["seq"], row["field_time"], row["field_seq"]) == (1, 1, 2)
    assert (row["select"], row["it_s_x"], row["a_b"], row["field_a_b"]) == (3, 4, 5, 6)
    assert row["field_a_b_2"] == 7
    assert row["field_9"] in ("text", None)  # PostgreSQL's columns hold one type alone


def test_events_that_json_of_postgres_cannot_hold(fresh: Asked) -> None:
    sources = source(Field(name="a", kind="String"), Field(name="n", kind="Uint32"))
    session = fresh.store.create(gadget="odd", sources=sources).id
    texts = ('{"a":"x\\u0000y","n":1}', '{"a":"\\ud800","n":2}', '{"a":"ok","n":3}', '{"n":1e400}')
    fresh.store.add(session, *[event(text) for text in texts])
    assert fresh.rows("SELECT count(*) FROM odd WHERE a IS NOT NULL OR n IS NOT NULL")[0][0] >= 3
    assert [3] in fresh.rows("SELECT n FROM odd WHERE a = 'ok'")


@pytest.mark.postgres
def test_postgres_says_what_to_run_before_the_setup(postgres_store: Store, tmp_path: Path) -> None:
    from igdash.domain.errors import SqlUnavailable

    sql = open_sql(postgres_store.url, postgres_store.reader, role_file=tmp_path / "none.json")
    with pytest.raises(SqlUnavailable, match="igdash db sql-setup"):
        sql.run(SqlQuery(sql="SELECT 1"), lambda: False)


@pytest.mark.postgres
def test_the_collector_sets_it_up_where_nobody_has(postgres_store: Store, tmp_path: Path) -> None:
    role = tmp_path / "state" / "role.json"
    name = set_up_sql_once(postgres_store.url, role)
    assert name.startswith("igdash_sql_")
    before = role.read_text()
    sql = open_sql(postgres_store.url, postgres_store.reader, role_file=role)
    assert sql.run(SqlQuery(sql="SELECT 1"), lambda: False)
    assert set_up_sql_once(postgres_store.url, role) == ""
    assert (
        set_up_sql_once(postgres_store.url, tmp_path / "other.json") == ""
    )  # it would lock us out
    assert role.read_text() == before
    assert not (tmp_path / "other.json").exists()
    assert set_up_sql_once("sqlite:////x.db", tmp_path / "other.json") == ""


@pytest.mark.postgres
def test_a_second_setup_changes_the_password(postgres_store: Store, tmp_path: Path) -> None:
    asked = Asked(postgres_store, tmp_path)
    before = asked.role.read_text()
    set_up_sql(postgres_store.url, asked.role)
    assert asked.role.read_text() != before
    assert asked.rows("SELECT 1") == [[1]]
    postgres_store.create(gadget="trace_late", sources=source(Field(name="a", kind="Bool")))
    assert asked.rows("SELECT a FROM trace_late") == []


@pytest.mark.postgres
def test_a_view_that_has_to_change_while_it_is_read_is_no_fault_of_a_statement(
    postgres_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(postgres_store, tmp_path)
    postgres_store.create(gadget="trace_late", sources=source(Field(name="a", kind="Bool")))
    assert asked.rows("SELECT a FROM trace_late") == []
    options = sql_postgres._options
    monkeypatch.setattr(sql_postgres, "_options", lambda s: options(s) + " -c lock_timeout=50")
    monkeypatch.setattr(sql_postgres, "_PATIENCE", "50ms")
    with postgres_store.reader.engine.connect() as conn:
        conn.exec_driver_sql("SELECT a FROM igdash_views.trace_late")
        postgres_store.create(gadget="trace_late", sources=source(Field(name="b", kind="Bool")))
        with pytest.raises(StoreBusy, match="a view has to change"):
            asked.rows("SELECT 1")
    with postgres_store.reader.engine.connect() as conn:
        assert asked.rows("SELECT b FROM trace_late") == []
        conn.exec_driver_sql("SET TRANSACTION READ WRITE")
        conn.exec_driver_sql("ALTER VIEW igdash_views.trace_late RESET (security_barrier)")
        with pytest.raises(StoreBusy, match="cannot answer now"):
            asked.rows("SELECT b FROM trace_late")


@pytest.mark.postgres
def test_views_of_an_older_igdash_are_made_anew(postgres_store: Store, tmp_path: Path) -> None:
    asked = Asked(postgres_store, tmp_path)
    with postgres_store.reader.engine.connect() as conn:  # reading by default, not by right
        conn.exec_driver_sql("SET TRANSACTION READ WRITE")
        conn.exec_driver_sql("DROP VIEW igdash_views.v_sessions")
        conn.exec_driver_sql("CREATE VIEW igdash_views.v_sessions AS SELECT id FROM v_sessions")
        conn.exec_driver_sql("COMMENT ON VIEW igdash_views.v_sessions IS 'igdash 0123'")
        conn.commit()
    assert asked.rows("SELECT target, nodes FROM v_sessions") == []
