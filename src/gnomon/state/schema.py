"""The tables of the state database. `migrations/` brings an older one here; a test holds the two to the same."""

from typing import Final

import sqlalchemy as sa

HEAD: Final = "0003"
"""The newest migration. Kept here so that opening a current database does not import alembic."""

metadata = sa.MetaData()

_BIG: Final = sa.BigInteger()

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("canonical", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("plan_path", sa.Text, nullable=False),
    sa.Column("parent", sa.String(80), sa.ForeignKey("trials.id")),
    sa.Column("subject", sa.String(64), nullable=False, index=True),  # digest of production's version and routes
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("registered_us", _BIG, nullable=False),
    sa.Column("program", sa.String(64), nullable=False),
    sa.Column("first_epoch", sa.Integer, nullable=False),
    sa.UniqueConstraint("name", "number", name="one_trial_of_each_number"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), nullable=False, index=True),
    sa.Column("time_us", _BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
)

epochs = sa.Table(
    "epochs",
    metadata,
    sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("serving", sa.String(10), nullable=False),
    sa.Column("since_us", _BIG, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("verdict", sa.Integer, sa.ForeignKey("verdicts.id")),
)

pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("since_us", _BIG, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("arm", sa.String(10), nullable=False),
    sa.Column("time_us", _BIG, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("trial", sa.String(80), sa.ForeignKey("trials.id"), nullable=False, index=True),
    sa.Column("saved_us", _BIG, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time_us", _BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("trial", sa.String(80), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
