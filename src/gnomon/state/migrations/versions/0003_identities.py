"""Identities: what each model said it is, at the first reading and at every change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("arm", sa.String(10), nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
    )
