"""peaks: on the contact's own row, what rules ask of most people: the gifts that no later one reaches, what she allows"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = 'e1b84a7c30d5'
down_revision: str | None = 'd7f20c6b91e4'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Who has no sum yet needs no doubt: whoever sums up locks her row against new words.
DOUBT = """
CREATE OR REPLACE FUNCTION mail_doubted_by_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_doubt (doubted_id) SELECT DISTINCT {id} FROM changed n JOIN {summed};
    RETURN NULL;
END $$
"""
OLD, NEW = ('l.id', 'mail_leave l ON l.id = n.contact_id'), ('c.id', 'contact c ON c.id = n.contact_id AND c.mail_leave IS NOT NULL')
# The newest sixteen of each, oldest first (engine/giving/totals.py).
PEAKS = """
UPDATE contact c SET gave_peaks_at = t.at[greatest(cardinality(t.at) - 15, 1):],
    gave_peaks_cents = t.cents[greatest(cardinality(t.cents) - 15, 1):]
FROM (
    SELECT contact_id, array_agg(paid_at ORDER BY paid_at) AS at, array_agg(cents ORDER BY paid_at) AS cents FROM (
        SELECT contact_id, paid_at, cents, max(cents) OVER (PARTITION BY contact_id ORDER BY paid_at DESC, cents DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS later
        FROM (
            SELECT g.contact_id, g.paid_at, sum(l.amount_cents)::bigint AS cents
            FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
            WHERE g.contact_id IS NOT NULL AND g.fund_id IS NOT NULL AND g.currency = 'usd'
            GROUP BY g.id HAVING sum(l.amount_cents) > 0) n
    ) m WHERE cents > coalesce(later, 0) GROUP BY contact_id
) t WHERE t.contact_id = c.id
"""
BEFORE = ['id', 'gave_highest_cents', 'gave_last_cents', 'gave_first_at', 'gave_count', 'merged_into_id', 'erased_at']
IN_RULES = [*BEFORE[:5], 'gave_peaks_at', 'gave_peaks_cents', 'mail_leave']
ALIVE = sa.text('merged_into_id IS NULL AND erased_at IS NULL')


def upgrade() -> None:
    """Forward. Not beside older code that is not released: it would write totals without peaks."""
    op.add_column('contact', sa.Column('gave_peaks_at', sa.ARRAY(sa.DateTime(timezone=True)), server_default=sa.text("'{}'"), nullable=False))
    op.add_column('contact', sa.Column('gave_peaks_cents', sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column('contact', sa.Column('mail_leave', sa.SmallInteger(), nullable=True))
    op.execute(DOUBT.format(id=NEW[0], summed=NEW[1]))
    op.drop_table('mail_leave')
    op.execute("DELETE FROM bookmark WHERE name = 'leave'")  # everybody is summed up anew
    op.execute(PEAKS)
    op.drop_index('contact_chapter_id_gave_last_at_idx', table_name='contact')
    op.create_index('contact_chapter_id_gave_last_at_idx', 'contact', ['chapter_id', 'gave_last_at'], postgresql_include=IN_RULES, postgresql_where=ALIVE)
    op.create_index('contact_chapter_id_idx', 'contact', ['chapter_id'], postgresql_where=ALIVE)


def downgrade() -> None:
    """Back."""
    op.drop_index('contact_chapter_id_idx', table_name='contact', postgresql_where=ALIVE)
    op.drop_index('contact_chapter_id_gave_last_at_idx', table_name='contact', postgresql_where=ALIVE)
    op.create_index('contact_chapter_id_gave_last_at_idx', 'contact', ['chapter_id', 'gave_last_at'], postgresql_include=BEFORE)
    op.create_table('mail_leave',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('leave', sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('mail_leave_pkey'))
    )
    op.execute(DOUBT.format(id=OLD[0], summed=OLD[1]))
    op.execute("DELETE FROM bookmark WHERE name = 'leave'")
    op.drop_column('contact', 'mail_leave')
    op.drop_column('contact', 'gave_peaks_cents')
    op.drop_column('contact', 'gave_peaks_at')
