"""Alembic's entry: runs on the connection, and inside the transaction, that `gnomon.state.database` hands over."""

from alembic import context

from gnomon.state.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
