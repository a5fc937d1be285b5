"""foundation"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = '2791c4cecfcc'
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""

    op.create_table('chapter',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('parent_id', sa.BigInteger(), nullable=True),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('sender_name', sa.Text(), server_default='', nullable=False),
    sa.Column('sender_email', sa.Text(), server_default='', nullable=False),
    sa.Column('reply_to', sa.Text(), server_default='', nullable=False),
    sa.Column('postal_address', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['parent_id'], ['chapter.id'], name=op.f('chapter_parent_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('chapter_pkey')),
    sa.UniqueConstraint('slug', name=op.f('chapter_slug_key'))
    )
    op.create_index(op.f('chapter_parent_id_idx'), 'chapter', ['parent_id'], unique=False)
    op.create_table('chore',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('chore_pkey'))
    )
    op.create_table('dev_clock',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('skipped', sa.Interval(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('dev_clock_pkey'))
    )
    op.create_table('fund',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('disclaimer', sa.Text(), server_default='', nullable=False),
    sa.Column('deductibility', sa.Text(), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('fund_pkey')),
    sa.UniqueConstraint('slug', name=op.f('fund_slug_key'))
    )
    op.create_table('inbound_event',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), server_default='', nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('state', sa.Text(), server_default='pending', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('attempts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('lease', sa.Uuid(), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("lane IN ('intake', 'feedback')", name=op.f('inbound_event_lane_check')),
    sa.CheckConstraint("state IN ('pending', 'applied', 'ignored', 'split', 'quarantined')", name=op.f('inbound_event_state_check')),
    sa.PrimaryKeyConstraint('id', name=op.f('inbound_event_pkey'))
    )
    op.create_index('inbound_event_due_idx', 'inbound_event', ['lane', 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'pending'"))
    op.create_index('inbound_event_quarantined_idx', 'inbound_event', ['id'], unique=False, postgresql_where=sa.text("state = 'quarantined'"))
    op.create_index('inbound_event_source_key_key', 'inbound_event', ['source', 'key'], unique=True)
    op.create_table('mailing',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('body_html', sa.Text(), nullable=False),
    sa.Column('body_text', sa.Text(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('mailing_pkey')),
    sa.UniqueConstraint('slug', name=op.f('mailing_slug_key'))
    )
    op.create_table('notice',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('detail', sa.Text(), server_default='', nullable=False),
    sa.Column('seen', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('first_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('notice_pkey'))
    )
    op.create_index('notice_open_key', 'notice', ['kind', 'subject'], unique=True, postgresql_where=sa.text('resolved_at IS NULL'))
    op.create_table('zip',
    sa.Column('zip', sa.Text(), nullable=False),
    sa.Column('city', sa.Text(), server_default='', nullable=False),
    sa.Column('county', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), server_default='', nullable=False),
    sa.Column('time_zone', sa.Text(), server_default='', nullable=False),
    sa.Column('latitude', sa.Float(), nullable=False),
    sa.Column('longitude', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('zip', name=op.f('zip_pkey'))
    )
    op.create_table('actblue_entity',
    sa.Column('entity_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('fund_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['fund_id'], ['fund.id'], name=op.f('actblue_entity_fund_id_fkey')),
    sa.PrimaryKeyConstraint('entity_id', name=op.f('actblue_entity_pkey'))
    )
    op.create_index(op.f('actblue_entity_fund_id_idx'), 'actblue_entity', ['fund_id'], unique=False)
    op.create_table('contact',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('first_name', sa.Text(), server_default='', nullable=False),
    sa.Column('last_name', sa.Text(), server_default='', nullable=False),
    sa.Column('street', sa.Text(), server_default='', nullable=False),
    sa.Column('city', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), server_default='', nullable=False),
    sa.Column('zip', sa.Text(), nullable=True),
    sa.Column('country', sa.Text(), server_default='', nullable=False),
    sa.Column('phone', sa.Text(), server_default='', nullable=False),
    sa.Column('language', sa.Text(), server_default='en', nullable=False),
    sa.Column('details_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('routed_by', sa.Text(), server_default='', nullable=False),
    sa.Column('routed_on', sa.Text(), server_default='', nullable=False),
    sa.Column('gave_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('gave_cents', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('gave_highest_cents', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('gave_last_cents', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('gave_first_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('gave_last_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('contact_chapter_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('contact_pkey')),
    sa.UniqueConstraint('email', name=op.f('contact_email_key'))
    )
    op.create_index('contact_chapter_id_gave_last_at_idx', 'contact', ['chapter_id', 'gave_last_at'], unique=False)
    op.create_table('donation_form',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('preset_cents', postgresql.ARRAY(sa.Integer()), nullable=False),
    sa.Column('other_amount', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('fund_id', sa.BigInteger(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=False),
    sa.Column('thanks_mailing_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('donation_form_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['fund_id'], ['fund.id'], name=op.f('donation_form_fund_id_fkey')),
    sa.ForeignKeyConstraint(['thanks_mailing_id'], ['mailing.id'], name=op.f('donation_form_thanks_mailing_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('donation_form_pkey')),
    sa.UniqueConstraint('slug', name=op.f('donation_form_slug_key'))
    )
    op.create_index(op.f('donation_form_chapter_id_idx'), 'donation_form', ['chapter_id'], unique=False)
    op.create_index(op.f('donation_form_fund_id_idx'), 'donation_form', ['fund_id'], unique=False)
    op.create_table('handover',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='submitting', nullable=False),
    sa.Column('provider_id', sa.Text(), server_default='', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('submitting', 'uncertain', 'accepted', 'refused', 'abandoned', 'split', 'resent', 'presumed')", name=op.f('handover_state_check')),
    sa.ForeignKeyConstraint(['mailing_id'], ['mailing.id'], name=op.f('handover_mailing_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('handover_pkey'))
    )
    op.create_index('handover_open_idx', 'handover', ['due_at'], unique=False, postgresql_where=sa.text("state IN ('submitting', 'uncertain')"))
    op.create_table('territory',
    sa.Column('zip', sa.Text(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('territory_chapter_id_fkey')),
    sa.PrimaryKeyConstraint('zip', name=op.f('territory_pkey'))
    )
    op.create_index(op.f('territory_chapter_id_idx'), 'territory', ['chapter_id'], unique=False)
    op.create_table('contribution',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('source_key', sa.Text(), nullable=False),
    sa.Column('inbound_event_id', sa.BigInteger(), nullable=True),
    sa.Column('contact_id', sa.BigInteger(), nullable=True),
    sa.Column('fund_id', sa.BigInteger(), nullable=True),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('donation_form_id', sa.BigInteger(), nullable=True),
    sa.Column('amount_cents', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), server_default='usd', nullable=False),
    sa.Column('status', sa.Text(), server_default='received', nullable=False),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('paid_at_offset', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('order_number', sa.Text(), server_default='', nullable=False),
    sa.Column('sequence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('recurring_period', sa.Text(), server_default='once', nullable=False),
    sa.Column('form_slug', sa.Text(), server_default='', nullable=False),
    sa.Column('refcode', sa.Text(), server_default='', nullable=False),
    sa.Column('refcode2', sa.Text(), server_default='', nullable=False),
    sa.Column('entity_id', sa.BigInteger(), nullable=True),
    sa.Column('entity_name', sa.Text(), server_default='', nullable=False),
    sa.Column('donor', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('amount_cents > 0', name=op.f('contribution_amount_cents_check')),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('contribution_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.id'], name=op.f('contribution_contact_id_fkey')),
    sa.ForeignKeyConstraint(['donation_form_id'], ['donation_form.id'], name=op.f('contribution_donation_form_id_fkey')),
    sa.ForeignKeyConstraint(['fund_id'], ['fund.id'], name=op.f('contribution_fund_id_fkey')),
    sa.ForeignKeyConstraint(['inbound_event_id'], ['inbound_event.id'], name=op.f('contribution_inbound_event_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('contribution_pkey'))
    )
    op.create_index('contribution_contact_id_paid_at_idx', 'contribution', ['contact_id', 'paid_at'], unique=False)
    op.create_index(op.f('contribution_inbound_event_id_idx'), 'contribution', ['inbound_event_id'], unique=False)
    op.create_index('contribution_source_key_key', 'contribution', ['source', 'source_key', 'order_number'], unique=True)
    op.create_table('message',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), nullable=False),
    sa.Column('occasion', sa.Text(), nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='ready', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('language', sa.Text(), server_default='en', nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('fund_id', sa.BigInteger(), nullable=True),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('attempts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('doubts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('handover_id', sa.BigInteger(), nullable=True),
    sa.Column('inbound_event_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("lane IN ('receipts', 'delivery')", name=op.f('message_lane_check')),
    sa.CheckConstraint("state IN ('ready', 'handed', 'delivered', 'bounced', 'dropped', 'complained', 'skipped', 'cancelled', 'expired', 'failed')", name=op.f('message_state_check')),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('message_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.id'], name=op.f('message_contact_id_fkey')),
    sa.ForeignKeyConstraint(['fund_id'], ['fund.id'], name=op.f('message_fund_id_fkey')),
    sa.ForeignKeyConstraint(['handover_id'], ['handover.id'], name=op.f('message_handover_id_fkey')),
    sa.ForeignKeyConstraint(['inbound_event_id'], ['inbound_event.id'], name=op.f('message_inbound_event_id_fkey')),
    sa.ForeignKeyConstraint(['mailing_id'], ['mailing.id'], name=op.f('message_mailing_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('message_pkey'))
    )
    op.create_index('message_contact_id_occasion_key', 'message', ['contact_id', 'occasion'], unique=True)
    op.create_index('message_due_idx', 'message', ['lane', 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'ready'"))
    op.create_index(op.f('message_handover_id_idx'), 'message', ['handover_id'], unique=False)
    op.create_table('ledger_entry',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('contribution_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('source_key', sa.Text(), nullable=False),
    sa.Column('amount_cents', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), server_default='usd', nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('gift')", name=op.f('ledger_entry_kind_check')),
    sa.ForeignKeyConstraint(['contribution_id'], ['contribution.id'], name=op.f('ledger_entry_contribution_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('ledger_entry_pkey'))
    )
    op.create_index(op.f('ledger_entry_contribution_id_idx'), 'ledger_entry', ['contribution_id'], unique=False)
    op.create_index('ledger_entry_source_key_key', 'ledger_entry', ['source', 'source_key', 'kind', 'contribution_id'], unique=True)



def downgrade() -> None:
    """Back."""

    op.drop_index('ledger_entry_source_key_key', table_name='ledger_entry')
    op.drop_index(op.f('ledger_entry_contribution_id_idx'), table_name='ledger_entry')
    op.drop_table('ledger_entry')
    op.drop_index(op.f('message_handover_id_idx'), table_name='message')
    op.drop_index('message_due_idx', table_name='message', postgresql_where=sa.text("state = 'ready'"))
    op.drop_index('message_contact_id_occasion_key', table_name='message')
    op.drop_table('message')
    op.drop_index('contribution_source_key_key', table_name='contribution')
    op.drop_index(op.f('contribution_inbound_event_id_idx'), table_name='contribution')
    op.drop_index('contribution_contact_id_paid_at_idx', table_name='contribution')
    op.drop_table('contribution')
    op.drop_index(op.f('territory_chapter_id_idx'), table_name='territory')
    op.drop_table('territory')
    op.drop_index('handover_open_idx', table_name='handover', postgresql_where=sa.text("state IN ('submitting', 'uncertain')"))
    op.drop_table('handover')
    op.drop_index(op.f('donation_form_fund_id_idx'), table_name='donation_form')
    op.drop_index(op.f('donation_form_chapter_id_idx'), table_name='donation_form')
    op.drop_table('donation_form')
    op.drop_index('contact_chapter_id_gave_last_at_idx', table_name='contact')
    op.drop_table('contact')
    op.drop_index(op.f('actblue_entity_fund_id_idx'), table_name='actblue_entity')
    op.drop_table('actblue_entity')
    op.drop_table('zip')
    op.drop_index('notice_open_key', table_name='notice', postgresql_where=sa.text('resolved_at IS NULL'))
    op.drop_table('notice')
    op.drop_table('mailing')
    op.drop_index('inbound_event_source_key_key', table_name='inbound_event')
    op.drop_index('inbound_event_quarantined_idx', table_name='inbound_event', postgresql_where=sa.text("state = 'quarantined'"))
    op.drop_index('inbound_event_due_idx', table_name='inbound_event', postgresql_where=sa.text("state = 'pending'"))
    op.drop_table('inbound_event')
    op.drop_table('fund')
    op.drop_table('dev_clock')
    op.drop_table('chore')
    op.drop_index(op.f('chapter_parent_id_idx'), table_name='chapter')
    op.drop_table('chapter')

