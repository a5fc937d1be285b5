"""donors without address"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '5b1f0c7de914'
down_revision: str | None = '24c6154a3beb'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.add_column('contact', sa.Column('donor_key', sa.Text(), nullable=True))
    op.create_unique_constraint(op.f('contact_donor_key_key'), 'contact', ['donor_key'])


def downgrade() -> None:
    """Back: they stay on the books, as gifts that nobody is known to have given."""
    op.execute("""UPDATE contribution SET contact_id = NULL
        WHERE contact_id IN (SELECT id FROM contact WHERE donor_key IS NOT NULL)""")
    op.execute("""UPDATE recurring_plan SET contact_id = NULL
        WHERE contact_id IN (SELECT id FROM contact WHERE donor_key IS NOT NULL)""")
    op.execute("""UPDATE contact SET gave_count = 0, gave_cents = 0, gave_highest_cents = 0, gave_last_cents = 0,
        gave_first_at = NULL, gave_last_at = NULL, gives_monthly_cents = 0 WHERE donor_key IS NOT NULL""")
    op.drop_constraint(op.f('contact_donor_key_key'), 'contact')
    op.drop_column('contact', 'donor_key')
