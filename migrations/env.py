"""Alembic's environment: it works on the connection that it is handed. In that caller's transaction, if it is in one; else
each revision is one of its own, and may leave it for what cannot be in one (`op.get_context().autocommit_block()`)."""

from alembic import context

from engine import tables
from engine.tables.columns import metadata

assert tables.__all__  # the models must be imported for the metadata to be whole

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
