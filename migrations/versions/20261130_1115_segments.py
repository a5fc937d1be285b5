"""segments: rules that choose people"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = 'c4a91e7d2b60'
down_revision: str | None = 'b58d0c94f7e2'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.create_table('segment',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('rule', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('segment_chapter_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('segment_pkey')),
    sa.UniqueConstraint('slug', name=op.f('segment_slug_key'))
    )
    op.create_index(op.f('segment_chapter_id_idx'), 'segment', ['chapter_id'], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_index(op.f('segment_chapter_id_idx'), table_name='segment')
    op.drop_table('segment')
