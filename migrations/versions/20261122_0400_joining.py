"""joining: agendas in several languages, what waits for a confirmation"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = '6b0f4a3d9e21'
down_revision: str | None = '5b1f0c7de914'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.add_column('agenda', sa.Column('names', postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column('sign_up', sa.Column('confirmation_id', sa.BigInteger(), nullable=True))
    # No row of this source is older than this release: the index is empty, and made at once.
    op.create_index('sign_up_place_at_idx', 'sign_up', ['place', 'at'], unique=False,
        postgresql_where=sa.text("source = 'join'"))


def downgrade() -> None:
    """Back."""
    op.drop_index('sign_up_place_at_idx', table_name='sign_up', postgresql_where=sa.text("source = 'join'"))
    op.drop_column('sign_up', 'confirmation_id')
    op.drop_column('agenda', 'names')
