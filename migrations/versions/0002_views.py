"""The views that users read: same names and columns on both databases (docs/schema.md)."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SECOND = 1_000_000_000
WINDOW = 10 * SECOND


def sqlite_time(ns: str) -> str:
    """RFC 3339 text with nine decimals; the remainder is kept positive before 1970 too."""
    rest = f"((({ns}) % {SECOND} + {SECOND}) % {SECOND})"
    return (
        f"(strftime('%Y-%m-%dT%H:%M:%S', (({ns}) - {rest}) / {SECOND}, 'unixepoch')"
        f" || printf('.%09dZ', {rest}))"
    )


def postgres_time(ns: str) -> str:
    rest = f"mod(mod({ns}, {SECOND}) + {SECOND}, {SECOND})"
    moment = f"(timestamp '1970-01-01' + (({ns} - {rest}) / {SECOND}) * interval '1 second')"
    return (
        f"(to_char({moment}, 'YYYY-MM-DD\"T\"HH24:MI:SS') || '.'"
        f" || lpad(({rest})::text, 9, '0') || 'Z')"
    )


def put_back(text: str, member: str, value: str, find: str) -> str:
    """The first place marker in `text` replaced by the interned value, where there is one."""
    token = f'"{member}":"@{member}"'
    at = f"{find}({text}, '{token}')"
    return (
        f"CASE WHEN {value} = '' OR {at} = 0 THEN {text} ELSE"
        f" substr({text}, 1, {at} - 1) || '\"{member}\":' || {value}"
        f" || substr({text}, {at} + {len(token)}) END"
    )


def views(time, find: str, now: str, number: str) -> dict[str, str]:
    ended = "('stopped', 'interrupted', 'failed')"
    age = f"(({now} - rate_at) / CAST({WINDOW} AS {number}))"
    return {
        "v_sessions": f"""
            SELECT uid AS id, name, gadget, environment, namespace, pod, container, node, selector,
                params, stop_after, state, nullif(reason, '') AS reason,
                {time("created")} AS created, {time("started")} AS started,
                {time("stopped")} AS stopped, {time("first_ts")} AS first_event,
                {time("last_ts")} AS last_event, event_count AS events, lost, malformed, ticks,
                logs, received, byte_count AS bytes,
                CASE WHEN state IN {ended} OR {age} >= 2 THEN 0.0
                    WHEN {age} >= 1 THEN rate_now * (2 - {age}) / 10.0
                    ELSE (rate_before * (1 - {age}) + rate_now) / 10.0 END AS rate,
                nodes_expected, nodes_connected, last_seq, command, info
            FROM sessions WHERE deleted_at IS NULL""",
        "v_events": f"""
            SELECT session_id, seq, ts, {time("ts")} AS time, node, namespace, pod, container,
                source, {put_back("half", "runtime", "runtime", find)} AS data
            FROM (SELECT s.uid AS session_id, e.seq AS seq, e.ts AS ts, o.node AS node,
                    o.namespace AS namespace, o.pod AS pod, o.container AS container,
                    o.source AS source, o.runtime AS runtime,
                    {put_back("e.payload", "k8s", "o.k8s", find)} AS half
                FROM events e JOIN sessions s ON s.id = e.session_id
                    JOIN origins o ON o.id = e.origin_id
                WHERE s.deleted_at IS NULL) AS halves""",
        "v_losses": f"""
            SELECT s.uid AS session_id, l.node AS node, l.cause AS cause, l.start_ts AS start_ts,
                l.end_ts AS end_ts, {time("l.start_ts")} AS start_time,
                {time("l.end_ts")} AS end_time, l.n AS count, l.exact AS exact,
                l.detail AS detail
            FROM losses l JOIN sessions s ON s.id = l.session_id WHERE s.deleted_at IS NULL""",
    }


def upgrade() -> None:
    bind = op.get_bind()
    sqlite = bind.dialect.name == "sqlite"
    if sqlite:
        now = "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000000)"
        made = views(sqlite_time, "instr", now, "REAL")
    else:
        now = "CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS bigint)"
        made = views(postgres_time, "strpos", now, "double precision")
    for name, query in made.items():
        bind.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
