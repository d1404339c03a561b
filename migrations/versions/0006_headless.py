"""Sessions whose gadget runs by itself, or is somebody else's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column("headless", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "sessions", sa.Column("instance", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
