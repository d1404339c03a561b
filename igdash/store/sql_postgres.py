"""What SQL for users needs on PostgreSQL: a role with rights on the views alone, and the views.

`set_up` is run once by somebody who may create roles (`igdash db sql-setup`, or the collector where
its own user may). The role can log in, because only then it is all a statement ever is: a role that was merely switched to could be
switched back. The views live in a schema of their own; a gadget seen for the first time gets its
view before the next statement, by the user that owns the tables.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg import conninfo as psycopg_conninfo
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from igdash.domain.errors import SqlUnavailable, StoreBusy, StoreRefused
from igdash.domain.sql import SqlView
from igdash.store.engine import is_sqlite, parse_url, writer_engine
from igdash.store.errors import first_line, translated
from igdash.store.lock import ADVISORY_KEY
from igdash.store.migrate import require_head
from igdash.store.sql_views import GENERAL, GadgetView, gadget_views, postgres_body

SCHEMA: Final = "igdash_views"
TEMP_FILES: Final = "256MB"
_LOCKED: Final = "55P03"
"""What PostgreSQL says of a lock that did not become free in time."""
_PATIENCE: Final = "5s"
"""How long for the views' locks: whoever reads such a view waits behind us meanwhile."""
_MARK: Final = "igdash "
_HOW: Final = (
    "SQL on PostgreSQL needs a role of its own: run `igdash db sql-setup` once, as a database user"
    " who may create roles"
)

_REST: Final = "mod(mod($1, 1000000000) + 1000000000, 1000000000)"
_FUNCTIONS: Final = {
    "as_json(text) RETURNS jsonb": (
        "plpgsql STRICT",
        (
            r"BEGIN RETURN $1::jsonb; EXCEPTION WHEN others THEN BEGIN RETURN regexp_replace($1,"
            r" '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g')::jsonb;"
            r" EXCEPTION WHEN others THEN RETURN NULL; END; END"
        ),
    ),
    "as_time(bigint) RETURNS text": (
        "sql",
        "SELECT to_char(timestamp '1970-01-01' + (($1 - " + _REST + ") / 1000000000)"
        " * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '.' || lpad((" + _REST + ")::text,"
        " 9, '0') || 'Z'",
    ),
    "as_text(jsonb) RETURNS text": ("sql", "SELECT $1 #>> '{}'"),
    "as_number(jsonb) RETURNS double precision": (
        "sql",
        (
            "SELECT CASE WHEN jsonb_typeof($1) = 'number' AND abs($1::numeric) < 1e308"
            " THEN $1::double precision END"
        ),
    ),
    "as_integer(jsonb) RETURNS bigint": (
        "sql",
        (
            "SELECT CASE WHEN jsonb_typeof($1) = 'number' AND $1::numeric"
            " BETWEEN -9223372036854775808 AND 9223372036854775807 THEN $1::numeric::bigint END"
        ),
    ),
    "as_unsigned(jsonb) RETURNS numeric": (
        "sql",
        "SELECT CASE WHEN jsonb_typeof($1) = 'number' THEN $1::numeric END",
    ),
    "as_boolean(jsonb) RETURNS boolean": (
        "sql",
        "SELECT CASE WHEN jsonb_typeof($1) = 'boolean' THEN $1::boolean END",
    ),
}
"""Conversions that answer NULL where a value is not of the type, so that one odd event does not
stop a query. PostgreSQL's JSON cannot hold NUL and half characters: they become U+FFFD."""


def set_up(url: str, role_file: Path) -> str:
    """Make role, schema and views, and write how the role connects to `role_file`; return its name.

    A second call gives the role a new password. Raises `StoreRefused` on SQLite, which needs none
    of this, `StoreError` when the user may not do it.
    """
    if is_sqlite(url):
        raise StoreRefused("SQL on SQLite needs no setup")
    require_head(url)
    role, password = role_name(url), secrets.token_urlsafe(24)
    engine = writer_engine(url)
    try:
        with translated("cannot set SQL up"), engine.begin() as conn:
            _lock(conn)
            _make_role(conn, role, password)
            _make_schema(conn)
            _grant(conn, role)
            _make_views(conn, gadget_views(conn))
    finally:
        engine.dispose()
    role_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    role_file.touch(mode=0o600)
    role_file.chmod(0o600)
    role_file.write_text(json.dumps({"user": role, "password": password}), encoding="utf-8")
    return role


def set_up_once(url: str, role_file: Path) -> str:
    """Set SQL up where nobody has yet and our user may; return the role's name, "" when left alone.

    What is there stays as it is: a new password would lock out the igdash that made it, which may
    be on another machine. Raises `StoreError`.
    """
    if is_sqlite(url) or role_file.exists():
        return ""
    engine = writer_engine(url)
    try:
        with translated("cannot look at the roles"), engine.connect() as conn:
            may = conn.execute(text(_MAY_MAKE_ROLES), {"schema": SCHEMA}).scalar()
    finally:
        engine.dispose()
    return set_up(url, role_file) if may else ""


_MAY_MAKE_ROLES: Final = """
    SELECT (rolsuper OR rolcreaterole)
        AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)
        AND has_database_privilege(current_database(), 'CREATE')
    FROM pg_roles WHERE rolname = current_user
    """


def role_name(url: str) -> str:
    """Return the name of the role for a database: roles belong to the whole server."""
    database = parse_url(url).database or ""
    plain = re.sub(r"\W+", "_", database.lower())[:30]
    return f"igdash_sql_{plain}_{hashlib.sha256(database.encode()).hexdigest()[:6]}"


def conninfo(url: str, role_file: Path | None, seconds: float) -> str:
    """Return how a statement connects. Raises `SqlUnavailable` before `set_up`."""
    try:
        role = json.loads(role_file.read_text(encoding="utf-8")) if role_file else None
    except (OSError, ValueError):
        role = None
    if not isinstance(role, dict) or "user" not in role:
        raise SqlUnavailable(_HOW)
    parsed = parse_url(url)
    given: dict[str, Any] = dict(parsed.translate_connect_args(username="user", database="dbname"))
    given |= {name: value for name, value in parsed.query.items() if isinstance(value, str)}
    given |= {"user": role["user"], "password": role["password"], "application_name": "igdash sql"}
    given |= {"options": _options(seconds), "connect_timeout": 5, "client_encoding": "UTF8"}
    return psycopg_conninfo.make_conninfo("", **given)


def _options(seconds: float) -> str:
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": round(seconds * 1000),
        "lock_timeout": 2_000,
        "idle_in_transaction_session_timeout": round(seconds * 1000),
        "client_connection_check_interval": 500,
        "search_path": SCHEMA,
        "standard_conforming_strings": "on",
        "work_mem": "16MB",
        "max_parallel_workers_per_gather": 0,
        "jit": "off",
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        "bytea_output": "hex",
        "enable_bitmapscan": "off",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def refresh_if_stale(url: str, readers: Engine, views: Sequence[GadgetView]) -> None:
    """Give gadgets seen since the last time their views.

    Raises `SqlUnavailable`, `StoreBusy` while a view that has to change is being read, `StoreError`.
    """
    with translated("cannot read the views"), readers.connect() as conn:
        if _marks(conn) == _wanted_marks(views):
            return
    engine = writer_engine(url)
    try:
        with engine.begin() as conn:
            _lock(conn)
            _make_schema(conn)
            _grant(conn, role_name(url))
            _make_views(conn, gadget_views(conn))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _LOCKED:
            raise StoreBusy(
                "a view has to change, and a statement that runs reads it; try again when it has ended"
            ) from error
        raise SqlUnavailable(f"the views could not be made: {first_line(error.orig)}") from error
    finally:
        engine.dispose()


def _lock(conn: Connection) -> None:
    conn.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_KEY + 2})


def _make_role(conn: Connection, role: str, password: str) -> None:
    exists = conn.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role}).first()
    rights = (
        "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION CONNECTION LIMIT 8"
        f" PASSWORD '{password}'"
    )
    conn.exec_driver_sql(f'{"ALTER" if exists else "CREATE"} ROLE "{role}" {rights}')
    for name, value in (
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "'15s'"),
        ("search_path", SCHEMA),
    ):
        conn.exec_driver_sql(f'ALTER ROLE "{role}" SET {name} = {value}')
    try:
        with conn.begin_nested():  # for superusers alone
            conn.exec_driver_sql(f"ALTER ROLE \"{role}\" SET temp_file_limit = '{TEMP_FILES}'")
    except DBAPIError:
        pass


def _make_schema(conn: Connection) -> None:
    conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for signature, (language, body) in _FUNCTIONS.items():
        conn.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {SCHEMA}.{signature} LANGUAGE {language} IMMUTABLE"
            f" PARALLEL SAFE AS $igdash${body}$igdash$".replace("%", "%%")
        )


def _grant(conn: Connection, role: str) -> None:
    found = conn.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role}).first()
    if found is None:
        raise SqlUnavailable(_HOW)
    for right in (
        f'GRANT USAGE ON SCHEMA {SCHEMA} TO "{role}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO "{role}"',
        f'ALTER DEFAULT PRIVILEGES IN SCHEMA {SCHEMA} GRANT SELECT ON TABLES TO "{role}"',
    ):
        conn.exec_driver_sql(right)


def _make_views(conn: Connection, views: Iterable[GadgetView]) -> None:
    """Make what is new or different; drop what no session has any more."""
    bodies = _bodies(views)
    there = _marks(conn)
    for name in there:
        if there[name] != _mark(bodies.get(name, "")):
            conn.exec_driver_sql(f'DROP VIEW {SCHEMA}."{name}"')
    for name, body in bodies.items():
        if there.get(name) != _mark(body):
            conn.exec_driver_sql(f'CREATE VIEW {SCHEMA}."{name}" AS {body}'.replace("%", "%%"))
            conn.exec_driver_sql(f"COMMENT ON VIEW {SCHEMA}.\"{name}\" IS '{_mark(body)}'")


def _bodies(views: Iterable[GadgetView]) -> dict[str, str]:
    general = {view.name: f"SELECT {_names(view)} FROM {view.name}" for view in GENERAL}  # noqa: S608
    return general | {view.name: postgres_body(view, SCHEMA) for view in views}


def _names(view: SqlView) -> str:
    """Return the columns by name: a view keeps for ever what `*` meant when it was made."""
    return ", ".join(f'"{column.name}"' for column in view.columns)


def _wanted_marks(views: Iterable[GadgetView]) -> dict[str, str]:
    return {name: _mark(body) for name, body in _bodies(views).items()}


def _mark(body: str) -> str:
    return _MARK + hashlib.sha256(body.encode()).hexdigest()[:32]


def _marks(conn: Connection) -> Mapping[str, str]:
    """Return the views there are, each with the mark of what it was made of."""
    query = text(
        "SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :s AND c.relkind = 'v'"
    )
    return {str(name): str(mark) for name, mark in conn.execute(query, {"s": SCHEMA})}
