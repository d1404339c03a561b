"""Scheduled exports: what is wanted, what each run did, how far each session has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(64), nullable=False),
        _text("name"),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("anchor", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.BigInteger()),
        _count("failures"),
        sa.Column("retry", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    op.create_table(
        "export_runs",
        sa.Column("schedule_id", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("state", sa.String(16), nullable=False),
        _text("reason"),
        _text("place"),
        _count("row_count"),
        _count("byte_count"),
        _count("lost"),
        _text("files"),
        _text("ranges"),
        sa.PrimaryKeyConstraint("schedule_id", "id", name="pk_export_runs"),
    )
    op.create_table(
        "export_cursors",
        sa.Column("schedule_id", sa.String(64), nullable=False),
        sa.Column("session_uid", sa.String(64), nullable=False),
        _count("seq"),
        _count("lost"),
        sa.PrimaryKeyConstraint("schedule_id", "session_uid", name="pk_export_cursors"),
    )
