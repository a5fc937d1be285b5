"""letters"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = 'e73c26679106'
down_revision: str | None = 'a1c6e2f04b17'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.create_table('sending_domain',
    sa.Column('domain', sa.Text(), nullable=False),
    sa.Column('warming_since', sa.Date(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('domain', name=op.f('sending_domain_pkey'))
    )
    op.create_table('sent_count',
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('letters', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('scope', 'day', name=op.f('sent_count_pkey'))
    )
    op.create_table('letter',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), server_default='', nullable=False),
    sa.Column('layout', sa.Text(), server_default='letter', nullable=False),
    sa.Column('fund_id', sa.BigInteger(), nullable=True),
    sa.Column('donation_form_id', sa.BigInteger(), nullable=True),
    sa.Column('note_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('quiet_from', sa.SmallInteger(), nullable=True),
    sa.Column('quiet_until', sa.SmallInteger(), nullable=True),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('shipped', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('', 'asks', 'news', 'gatherings', 'actions')", name=op.f('letter_kind_check')),
    sa.CheckConstraint('quiet_from BETWEEN 0 AND 23 AND quiet_until BETWEEN 0 AND 23', name=op.f('letter_quiet_check')),
    sa.ForeignKeyConstraint(['donation_form_id'], ['donation_form.id'], name=op.f('letter_donation_form_id_fkey')),
    sa.ForeignKeyConstraint(['fund_id'], ['fund.id'], name=op.f('letter_fund_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('letter_pkey')),
    sa.UniqueConstraint('slug', name=op.f('letter_slug_key'))
    )
    op.create_table('chapter_note',
    sa.Column('letter_id', sa.BigInteger(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=False),
    sa.Column('language', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('html', sa.Text(), nullable=False),
    sa.Column('plain', sa.Text(), nullable=False),
    sa.Column('staff_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('chapter_note_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['letter_id'], ['letter.id'], name=op.f('chapter_note_letter_id_fkey')),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('chapter_note_staff_id_fkey')),
    sa.PrimaryKeyConstraint('letter_id', 'chapter_id', 'language', name=op.f('chapter_note_pkey'))
    )
    op.create_index(op.f('chapter_note_chapter_id_idx'), 'chapter_note', ['chapter_id'], unique=False)
    op.create_table('refcode',
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('refcode_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['mailing_id'], ['mailing.id'], name=op.f('refcode_mailing_id_fkey')),
    sa.PrimaryKeyConstraint('code', name=op.f('refcode_pkey'))
    )
    op.create_index('refcode_mailing_id_key', 'refcode', ['mailing_id', 'chapter_id'], unique=True, postgresql_nulls_not_distinct=True)
    op.add_column('chapter', sa.Column('daily_letters', sa.BigInteger(), nullable=True))
    op.add_column('contact', sa.Column('rested_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('donation_form', sa.Column('thanks_letter', sa.Text(), server_default='', nullable=False))
    op.add_column('donation_form', sa.Column('processor', sa.Text(), server_default='actblue', nullable=False))
    op.create_check_constraint(op.f('donation_form_processor_check'), 'donation_form', "processor IN ('actblue', 'stripe')")
    op.execute("UPDATE donation_form f SET thanks_letter = split_part(m.slug, '.', 1) FROM mailing m WHERE m.id = f.thanks_mailing_id")
    op.drop_constraint(op.f('donation_form_thanks_mailing_id_fkey'), 'donation_form', type_='foreignkey')
    op.drop_column('donation_form', 'thanks_mailing_id')
    op.add_column('contribution', sa.Column('express', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('fund', sa.Column('express_lane', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('handover', sa.Column('letters', sa.Integer(), server_default='1', nullable=False))
    op.add_column('handover', sa.Column('heard_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('handover_created_at_idx', 'handover', ['created_at'], unique=False)
    op.add_column('mail_hold', sa.Column('until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('mail_hold', sa.Column('receipts_too', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('mailing', sa.Column('letter_id', sa.BigInteger(), nullable=True))
    op.add_column('mailing', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('mailing', sa.Column('language', sa.Text(), server_default='en', nullable=False))
    op.add_column('mailing', sa.Column('preview', sa.Text(), server_default='', nullable=False))
    op.add_column('mailing', sa.Column('source', sa.Text(), server_default='', nullable=False))
    op.add_column('mailing', sa.Column('source_text', sa.Text(), server_default='', nullable=False))
    op.add_column('mailing', sa.Column('priority', sa.SmallInteger(), server_default='5', nullable=False))
    op.add_column('mailing', sa.Column('served_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('mailing', sa.Column('served_chapter', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('mailing', sa.Column('paused_because', sa.Text(), server_default='', nullable=False))
    op.add_column('mailing', sa.Column('handed', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('delivered', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('bounced', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('complained', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('refused', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('mailing', sa.Column('excused', postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.alter_column('mailing', 'updated_at', new_column_name='created_at')
    op.execute('ALTER TABLE mailing RENAME CONSTRAINT mailing_updated_at_not_null TO mailing_created_at_not_null')
    op.execute("INSERT INTO letter (slug, shipped) SELECT DISTINCT split_part(slug, '.', 1), true FROM mailing ORDER BY 1")
    op.execute("""UPDATE mailing m SET letter_id = l.id, language = coalesce(nullif(split_part(m.slug, '.', 2), ''), 'en')
        FROM letter l WHERE l.slug = split_part(m.slug, '.', 1)""")
    op.alter_column('mailing', 'letter_id', nullable=False)
    op.create_index('mailing_letter_id_key', 'mailing', ['letter_id', 'version', 'language'], unique=True)
    op.create_foreign_key(op.f('mailing_letter_id_fkey'), 'mailing', 'letter', ['letter_id'], ['id'])
    op.add_column('message', sa.Column('together', sa.Integer(), nullable=True))
    op.add_column('message', sa.Column('handed_at', sa.DateTime(timezone=True), nullable=True))
    op.drop_index('message_contact_id_occasion_key', table_name='message')
    op.create_index('message_contact_id_occasion_key', 'message', ['contact_id', 'occasion'], unique=True, postgresql_include=['handed_at', 'lane', 'kind'])
    op.drop_index(op.f('message_due_idx'), table_name='message', postgresql_where="(state = 'ready'::text)")
    op.create_index('message_delivery_due_idx', 'message', ['mailing_id', sa.text('coalesce(chapter_id, 0)'), 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'ready' AND lane = 'delivery'"))
    op.create_index('message_receipts_due_idx', 'message', ['due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'ready' AND lane = 'receipts'"))


def downgrade() -> None:
    """Back."""
    op.drop_index('message_receipts_due_idx', table_name='message', postgresql_where=sa.text("state = 'ready' AND lane = 'receipts'"))
    op.drop_index('message_delivery_due_idx', table_name='message', postgresql_where=sa.text("state = 'ready' AND lane = 'delivery'"))
    op.create_index(op.f('message_due_idx'), 'message', ['lane', 'due_at', 'id'], unique=False, postgresql_where="(state = 'ready'::text)")
    op.drop_index('message_contact_id_occasion_key', table_name='message')
    op.create_index('message_contact_id_occasion_key', 'message', ['contact_id', 'occasion'], unique=True)
    op.drop_column('message', 'handed_at')
    op.drop_column('message', 'together')
    op.drop_constraint(op.f('mailing_letter_id_fkey'), 'mailing', type_='foreignkey')
    op.drop_index('mailing_letter_id_key', table_name='mailing')
    op.execute('ALTER TABLE mailing RENAME CONSTRAINT mailing_created_at_not_null TO mailing_updated_at_not_null')
    op.alter_column('mailing', 'created_at', new_column_name='updated_at')
    op.drop_column('mailing', 'excused')
    op.drop_column('mailing', 'refused')
    op.drop_column('mailing', 'complained')
    op.drop_column('mailing', 'bounced')
    op.drop_column('mailing', 'delivered')
    op.drop_column('mailing', 'handed')
    op.drop_column('mailing', 'paused_because')
    op.drop_column('mailing', 'paused_at')
    op.drop_column('mailing', 'served_chapter')
    op.drop_column('mailing', 'served_at')
    op.drop_column('mailing', 'priority')
    op.drop_column('mailing', 'source_text')
    op.drop_column('mailing', 'source')
    op.drop_column('mailing', 'preview')
    op.drop_column('mailing', 'language')
    op.drop_column('mailing', 'version')
    op.drop_column('mailing', 'letter_id')
    op.drop_column('mail_hold', 'receipts_too')
    op.drop_column('mail_hold', 'until')
    op.drop_index('handover_created_at_idx', table_name='handover')
    op.drop_column('handover', 'heard_at')
    op.drop_column('handover', 'letters')
    op.drop_column('fund', 'express_lane')
    op.add_column('donation_form', sa.Column('thanks_mailing_id', sa.BIGINT(), autoincrement=False, nullable=True))
    op.create_foreign_key(op.f('donation_form_thanks_mailing_id_fkey'), 'donation_form', 'mailing', ['thanks_mailing_id'], ['id'])
    op.execute("UPDATE donation_form f SET thanks_mailing_id = m.id FROM mailing m WHERE m.slug = f.thanks_letter")
    op.drop_constraint(op.f('donation_form_processor_check'), 'donation_form', type_='check')
    op.drop_column('donation_form', 'processor')
    op.drop_column('donation_form', 'thanks_letter')
    op.drop_column('contribution', 'express')
    op.drop_column('contact', 'rested_at')
    op.drop_column('chapter', 'daily_letters')
    op.drop_index('refcode_mailing_id_key', table_name='refcode', postgresql_nulls_not_distinct=True)
    op.drop_table('refcode')
    op.drop_index(op.f('chapter_note_chapter_id_idx'), table_name='chapter_note')
    op.drop_table('chapter_note')
    op.drop_table('letter')
    op.drop_table('sent_count')
    op.drop_table('sending_domain')
