"""`v_sessions` has target and nodes as one JSON text each, as sessions have them everywhere else."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TARGET = ("namespace", "pod", "container", "node", "selector")
NODES = (
    """'{"expected":' || nodes_expected || ',"connected":' || nodes_connected || '}' AS nodes"""
)


def upgrade() -> None:
    bind = op.get_bind()
    sqlite = bind.dialect.name == "sqlite"
    quoted = "json_quote({0})" if sqlite else "to_json({0})::text"
    members = " || ',' || ".join(f"""'"{name}":' || {quoted.format(name)}""" for name in TARGET)
    added = f"'{{' || {members} || '}}' AS target, {NODES}"
    known = (
        "SELECT sql FROM sqlite_master WHERE name = 'v_sessions'"
        if sqlite
        else "SELECT pg_get_viewdef('v_sessions'::regclass)"
    )
    columns, _, rest = str(bind.exec_driver_sql(known).scalar_one()).rpartition("FROM sessions")
    query = f"{columns}, {added} FROM sessions{rest}"
    if sqlite:
        bind.exec_driver_sql("DROP VIEW v_sessions")
        bind.exec_driver_sql(query)
    else:
        bind.exec_driver_sql(f"CREATE OR REPLACE VIEW v_sessions AS {query}")
