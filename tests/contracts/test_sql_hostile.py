"""Statements that want more than to read: refused or stopped in time, on both databases.

None of them writes, opens a file, sees a table, takes much memory or holds us longer than twice the
limit; afterwards everything is as before.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.errors import SqlError, SqlForbidden, SqlInvalid, SqlTimeout, SqlTooLarge
from igdash.domain.sql import SQL_BYTES, SqlQuery
from igdash.store import StoredSql, open_sql, set_up_sql
from tests.support.postgres import Server
from tests.support.stores import Store, event, postgres_copy, sqlite_copy

SECONDS = 1.0
STARTING = 4.0
"""Seconds a process and a connection may take to begin when the machine is busy."""
MEMORY_KB = 256 * 1024
NUMBERS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
GROWING = "WITH RECURSIVE r(t) AS (SELECT 'xxxxxxxxxxxxxxxx' UNION ALL SELECT t || t FROM r)"
BLOWN = "replace(replace(replace(a.data, 'x', b.data), 'x', b.data), 'x', b.data)"

FORBIDDEN_BOTH = (
    "DELETE FROM v_events",
    "UPDATE v_events SET seq = 0",
    "INSERT INTO v_sessions (id) VALUES ('x')",
    "DROP VIEW v_events",
    "DROP TABLE events",
    "CREATE TABLE x (a int)",
    "CREATE TEMP TABLE x (a int)",
    "CREATE INDEX i ON events (seq)",
    "ALTER TABLE events ADD COLUMN x int",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "/* SELECT */ DROP TABLE events",
    "-- SELECT\nDROP TABLE events",
)
WRONG_BOTH = (
    "",
    "   ",
    ";",
    "-- nothing",
    "SELECT 1; DROP TABLE events",
    "SELECT 1; SELECT 2",
    "SELECT 1;;DELETE FROM v_events",
    "WITH x AS (DELETE FROM v_events RETURNING 1) SELECT * FROM x",
    "WITH x AS (SELECT 1) DELETE FROM v_events",
    "SELECT " + "1+" * 20_000 + "1",
    "SELECT '" + "x" * 120_000 + "'",
    "SELECT \0",
    "SELECT ?1",
    "SELECT * FROM events",
    "SELECT * FROM sessions",
    "SELECT * FROM alembic_version",
    "SELECT payload FROM origins, events",
    "WITH v_events AS (SELECT * FROM events) SELECT * FROM v_events",
    "SELECT (SELECT max(payload) FROM events)",
    "SELECT count(*) FROM events",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM fields)",
    "SELECT * FROM v_sessions UNION ALL SELECT * FROM sessions",
)
ENDLESS_BOTH = (
    f"{NUMBERS} SELECT count(*) FROM r",
    f"{NUMBERS} SELECT max(a.n) FROM r a, r b",
    "SELECT count(*) FROM v_events a, v_events b, v_events c, v_events d, v_events e, v_events f",
    "SELECT sum(length(a.data) + length(b.data)) FROM v_events a, v_events b, v_events c, v_events d",
    f"{GROWING} SELECT max(length(t)) FROM r",
    "SELECT a.data FROM v_events a, v_events b, v_events c, v_events d ORDER BY a.data || b.data || c.seq",
    "SELECT count(DISTINCT a.data || b.data || c.data) FROM v_events a, v_events b, v_events c",
    f"{NUMBERS} SELECT n FROM r WHERE n < 0",
    f"{NUMBERS} SELECT count(DISTINCT n) FROM r",
    f"{NUMBERS} SELECT n, row_number() OVER (ORDER BY n DESC) FROM r",
    f"SELECT max(length({BLOWN})) FROM v_events a, v_events b",
)
SQLITE = (
    "ATTACH DATABASE '{folder}/stolen.db' AS x",
    "DETACH DATABASE main",
    "VACUUM INTO '{folder}/stolen.db'",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA hard_heap_limit = 0",
    "PRAGMA temp_store_directory = '{folder}'",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_table_info('events')",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_journal_mode('delete')",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_master",
    "SELECT * FROM sqlite_temp_master",
    "SELECT sql FROM temp.sqlite_temp_schema",
    "SELECT * FROM main.v_events",
    "SELECT * FROM main.events",
    "SELECT rowid FROM events",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT load_extension('{folder}/x.so')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('{folder}/x', 'x')",
    "SELECT edit('x')",
    "SELECT printf('%.*c', 1000000000, 'x')",
    "SELECT length(printf('%1000000000d', 1))",
    "SELECT format('%.*c', 1000000000, 'x')",
    "SELECT zeroblob(1000000000)",
    "SELECT length(randomblob(1000000000))",
    "SELECT hex(randomblob(500000000))",
    "SELECT fts3_tokenizer('simple')",
    "SELECT * FROM fts3tokenize('x')",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT group_concat(a.data) FROM v_events a, v_events b",
    "SELECT json_group_array(a.data) FROM v_events a, v_events b",
    "SELECT sqlite_compileoption_get(1), sqlite_source_id()",
    "WITH _x AS (SELECT * FROM events) SELECT * FROM _x",
    "WITH sqlite_master(a) AS (SELECT 1) SELECT * FROM main.sqlite_master",
    "SELECT data LIKE '" + "%a" * 3_000 + "' FROM v_events",
    "SELECT changes(), last_insert_rowid(), total_changes()",
    "EXPLAIN DELETE FROM v_events",
    "EXPLAIN QUERY PLAN SELECT * FROM events",
    "SELECT 1 FROM v_events INDEXED BY nothing",
    "REPLACE INTO v_events VALUES (1)",
    "SAVEPOINT x",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT 1 " + "UNION SELECT 1 " * 3_000,
)
POSTGRES = (
    "SELECT pg_sleep(30)",
    "SELECT pg_catalog.pg_sleep(30)",
    'SELECT "pg_sleep"(30)',
    "SELECT pg_sleep /* x */ (30)",
    'SELECT U&"pg\\005fsleep"(30)',
    "SELECT DISTINCT ON (seq) pg_sleep(30) FROM v_events",
    "SELECT * FROM v_events, pg_sleep(30) AS (x int)",
    "SELECT (SELECT set_config('statement_timeout', '0', false)), count(*) FROM v_events",
    "SELECT set_config('role', 'igdash', false)",
    "SELECT current_setting('data_directory')",
    "SET ROLE igdash",
    "RESET ROLE",
    "SET statement_timeout = 0",
    "SET default_transaction_read_only = off",
    "SHOW data_directory",
    "COPY v_events TO PROGRAM 'touch {folder}/stolen'",
    "COPY (SELECT 1) TO '{folder}/stolen'",
    "COPY v_events FROM '/etc/passwd'",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '{folder}/stolen')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT * FROM pg_stat_file('PG_VERSION')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_reload_conf()",
    "SELECT * FROM pg_class",
    "SELECT * FROM pg_roles",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM v_sessions WHERE EXISTS (SELECT 1 FROM pg_proc)",
    "TABLE pg_authid",
    "TABLE v_events",
    "SELECT * FROM public.events",
    "SELECT * FROM public.v_events",
    "SELECT * FROM igdash_views.nothing",
    "SELECT * INTO stolen FROM v_events",
    "CREATE TABLE stolen AS SELECT 1",
    "SELECT * FROM v_sessions FOR UPDATE",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000)",
    "SELECT query_to_xml('SELECT 1', true, false, '')",
    "SELECT nextval('sessions_id_seq')",
    "SELECT txid_current()",
    "SELECT pg_notify('x', 'y')",
    "SELECT pg_logical_emit_message(false, 'x', 'y')",
    "SELECT dblink('x', 'y')",
    "SELECT inet_server_addr()",
    "DO $$ BEGIN PERFORM pg_sleep(30); END $$",
    "CALL nothing()",
    "LISTEN x",
    "LOCK TABLE events",
    "PREPARE x AS SELECT 1",
    "EXECUTE answer",
    "DECLARE x CURSOR FOR SELECT 1",
    "FETCH ALL FROM answer",
    "CLOSE answer",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE) SELECT pg_sleep(30)",
    "EXPLAIN DELETE FROM v_events",
    "GRANT ALL ON v_events TO PUBLIC",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "LOAD 'x'",
    "SELECT $x$a$x$, pg_sleep(30)",
    "SELECT E'\\'', pg_sleep(30) --'",
    "SELECT 'a''', pg_sleep(30) --'",
    "SELECT 1 /* /* */ , pg_sleep(30) */ , pg_sleep(30)",
)


class Target:
    """A store with a little in it, and SQL over it with a short limit."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        session = store.create().id
        store.add(session, *[event(json.dumps({"n": n, "t": "x" * 200})) for n in range(400)])
        self.role = folder / "role.json"
        if store.kind == "postgres":
            set_up_sql(store.url, self.role)
        self.sql: StoredSql = open_sql(
            store.url, store.reader, role_file=self.role, seconds=SECONDS
        )

    def count(self) -> bytes:
        return b"".join(self.sql.run(SqlQuery(sql="SELECT count(*) FROM v_events"), never).blocks)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("hostile")
    with sqlite_copy(sqlite_template, folder) as store:
        yield Target(store, folder)


@pytest.fixture(scope="module")
def postgres(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with postgres_copy(postgres_server) as store:
        yield Target(store, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue(request.param)
    return found


def refused(target: Target, sql: str) -> SqlError:
    """Return why a statement is refused; it must be, in time, leaving no file and taking little."""
    before = _files(target)
    before_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    began = time.monotonic()
    with pytest.raises(SqlError) as caught:
        target.sql.run(SqlQuery(sql=sql.replace("{folder}", str(target.folder))), never)
    assert time.monotonic() - began < 2 * SECONDS + STARTING
    assert _files(target) == before
    # A child's peak begins with that of the process that started it: this one, which may have grown.
    own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak_kb <= max(before_kb, own_kb, MEMORY_KB)
    return caught.value


def _files(target: Target) -> set[str]:
    return {path.name for path in target.folder.iterdir()}


@pytest.mark.parametrize("sql", FORBIDDEN_BOTH)
def test_what_is_no_select_is_forbidden(target: Target, sql: str) -> None:
    assert isinstance(refused(target, sql), SqlForbidden)


@pytest.mark.parametrize("sql", WRONG_BOTH, ids=lambda sql: sql[:40])
def test_what_is_wrong_or_no_view_is_refused(target: Target, sql: str) -> None:
    assert isinstance(refused(target, sql), SqlForbidden | SqlInvalid | SqlTooLarge)


@pytest.mark.parametrize("sql", ENDLESS_BOTH, ids=lambda sql: sql[:60])
def test_what_takes_too_much_is_stopped(target: Target, sql: str) -> None:
    assert isinstance(refused(target, sql), SqlTimeout | SqlTooLarge)


@pytest.mark.parametrize("sql", SQLITE, ids=lambda sql: sql[:60])
def test_sqlite_refuses(sqlite: Target, sql: str) -> None:
    refused(sqlite, sql)


@pytest.mark.postgres
@pytest.mark.parametrize("sql", POSTGRES, ids=lambda sql: sql[:60])
def test_postgres_refuses(postgres: Target, sql: str) -> None:
    refused(postgres, sql)


def test_an_answer_of_large_rows_is_cut_like_any_other(target: Target) -> None:
    """PostgreSQL sends all there is at once: no more of it than a row is held."""
    sql = f"SELECT '{'x' * 90_000}' || a.data AS t FROM v_events a, v_events b WHERE b.seq <= 2"
    answer = target.sql.run(SqlQuery(sql=sql), never)
    assert answer.truncated
    assert SQL_BYTES - 200_000 < sum(map(len, answer.blocks)) <= SQL_BYTES


def test_everything_is_as_before(target: Target) -> None:
    assert target.count() == b"[400]"
    assert not (target.folder / "stolen.db").exists()


@pytest.mark.postgres
def test_the_role_itself_may_do_nothing_else(postgres: Target) -> None:
    """Were the reading of statements wrong, the role's rights would still hold."""
    import psycopg

    from igdash.store.sql_postgres import conninfo

    link = conninfo(postgres.store.url, postgres.role, SECONDS)
    for sql in (
        "SELECT * FROM public.events",
        "SET TRANSACTION READ WRITE; DELETE FROM public.events",
        "SET ROLE igdash",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE TABLE igdash_views.x (a int)",
        "DROP VIEW igdash_views.v_events",
        "SELECT lo_import('/etc/passwd')",
    ):
        with psycopg.connect(link) as conn, pytest.raises(psycopg.Error) as caught:
            conn.execute(sql)
        assert caught.value.sqlstate in ("42501", "25006"), sql
    with psycopg.connect(link) as conn:
        [(role, is_super)] = conn.execute(
            "SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
        )
    assert (role.startswith("igdash_sql_"), is_super) == (True, False)
    assert (postgres.role.stat().st_mode & 0o777) == 0o600
