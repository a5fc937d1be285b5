"""people's words: what is told of a person, in groups; where she chose her chapter; ZIPs of a list that nobody can read"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = 'a1c6e2f04b17'
down_revision: str | None = '7d41b0a95c3e'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


MOMENTS = ('name_at', 'place_at', 'moved_at', 'address_at', 'phone_at')


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    for name in MOMENTS:
        op.add_column('contact', sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column('contact', sa.Column('chosen_by', sa.Text(), server_default='', nullable=False))
    op.add_column('import_row', sa.Column('zip_unread', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    """Back."""
    op.drop_column('import_row', 'zip_unread')
    op.drop_column('contact', 'chosen_by')
    for name in reversed(MOMENTS):
        op.drop_column('contact', name)
