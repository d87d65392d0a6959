"""Failed sign-ins, so that a restart does not forget who has to wait."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "sign_in_failure",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("sign_in_failure_last", "sign_in_failure", ["last_ms"])


def downgrade() -> None:
    """Takes it away."""
    op.drop_table("sign_in_failure")
