"""The schemas that a session's own streams told, beside the one it was started with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_fields",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("fields_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "n", name="pk_session_fields"),
    )
