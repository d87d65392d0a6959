"""Tracking plans and counters of data quality."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "tracking_plan",
        sa.Column("project", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text(16 << 20), nullable=False),
    )
    op.create_table(
        "quality_count",
        sa.Column("project", sa.String(64), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("reason", sa.String(40), primary_key=True),
        sa.Column("severity", sa.String(10), primary_key=True),
        sa.Column("sdk", sa.String(90), primary_key=True),
        sa.Column("app", sa.String(40), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Takes them away."""
    op.drop_table("quality_count")
    op.drop_table("tracking_plan")
