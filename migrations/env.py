"""Alembic's environment: it works on the connection that `engine.migrate` hands it, in that caller's transaction."""

from alembic import context

from engine import tables
from engine.tables.columns import metadata

assert tables.__all__  # the models must be imported for the metadata to be whole

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
