"""since: what came, and what people said, from some moment on is found without reading all

Where rows lie in the order of time a few kilobytes say so (BRIN). Made concurrently: nobody waits.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = 'd81c6f2ab937'
down_revision: str | None = 'c3a95e7d10f8'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TIMES = {'inbound_event': 'received_at', 'consent': 'at'}


def upgrade() -> None:
    """Forward. One that was cut short begins again."""
    patience = op.get_bind().scalar(sa.text('SHOW lock_timeout'))
    with op.get_context().autocommit_block():
        op.execute('SET lock_timeout = 0')  # it waits for who began before it, and nobody for it
        for table, column in TIMES.items():
            index = f'{table}_{column}_idx'
            op.drop_index(index, table, postgresql_concurrently=True, if_exists=True)
            op.create_index(index, table, [column], postgresql_using='brin', postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{patience}'")


def downgrade() -> None:
    """Back."""
    for table, column in TIMES.items():
        op.drop_index(f'{table}_{column}_idx', table)
