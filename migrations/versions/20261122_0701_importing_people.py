"""importing people"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = '7d41b0a95c3e'
down_revision: str | None = '5b1f0c7de914'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXTS = ('first_name', 'last_name', 'street', 'city', 'state')


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.create_table('import_row',
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('file', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('line', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('person', sa.Boolean(), nullable=False),
    sa.Column('standing', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('text_given', sa.Boolean(), nullable=True),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('engaged_at', sa.DateTime(timezone=True), nullable=True),
    *(sa.Column(name, sa.Text(), server_default='', nullable=False) for name in TEXTS),
    sa.Column('zip', sa.Text(), nullable=True),
    sa.Column('country', sa.Text(), server_default='', nullable=False),
    sa.Column('phone', sa.Text(), server_default='', nullable=False),
    sa.Column('language', sa.Text(), server_default='', nullable=False),
    sa.Column('tags', postgresql.ARRAY(sa.Text()), nullable=True),
    sa.Column('custom', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('wording', sa.Text(), server_default='', nullable=False),
    sa.Column('zip_repaired', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.PrimaryKeyConstraint('email', 'file', 'line', name=op.f('import_row_pkey')),
    prefixes=['UNLOGGED']
    )
    op.create_table('import_person',
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('refusal', sa.Text(), nullable=False),
    sa.Column('tools', sa.Integer(), nullable=False),
    sa.Column('rows', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('email', name=op.f('import_person_pkey')),
    prefixes=['UNLOGGED']
    )


def downgrade() -> None:
    """Back."""
    op.drop_table('import_person')
    op.drop_table('import_row')
