"""Origins in the events' index and per second: what origins decide is answered without payloads.

SQLite cannot drop the old index alone, so the events are copied once: as much free disk as the
history takes, twice while it lasts, and some 10 s per million.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SECOND = 1_000_000_000


def upgrade() -> None:
    op.create_table(
        "activity_origin_sec",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("sec", sa.BigInteger(), nullable=False),
        sa.Column("origin_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "sec", "origin_id", name="pk_activity_origin_sec"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgres()
    # SQL divides towards zero; seconds before 1970 are counted downwards
    second = f"ts / {SECOND} - CASE WHEN ts % {SECOND} < 0 THEN 1 ELSE 0 END"
    op.execute(
        "INSERT INTO activity_origin_sec (session_id, sec, origin_id, n, first_seq, last_seq)"
        f" SELECT session_id, {second}, origin_id, count(*), min(seq), max(seq)"
        " FROM events GROUP BY 1, 2, 3"
    )


def _sqlite() -> None:
    conn = op.get_bind()
    views = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'view'").all()
    for name, _ in views:
        op.execute(f'DROP VIEW "{name}"')
    op.create_table(
        "events_new",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("origin_id", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
    )
    columns = "session_id, seq, ts, origin_id, payload"
    op.execute(f"INSERT INTO events_new ({columns}) SELECT {columns} FROM events")
    op.drop_table("events")
    op.rename_table("events_new", "events")
    op.create_index(
        "ix_events_walk", "events", ["session_id", "seq", "origin_id", "ts"], unique=True
    )
    for _, sql in views:
        conn.exec_driver_sql(sql)


def _postgres() -> None:
    op.drop_constraint("uq_events_session_seq", "events", type_="unique")
    op.create_index(
        "uq_events_session_seq",
        "events",
        ["session_id", "seq"],
        unique=True,
        postgresql_include=["origin_id", "ts"],
    )
    # an index-only scan is one only where VACUUM has been: let it come after 2 % of new rows
    op.execute("ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
