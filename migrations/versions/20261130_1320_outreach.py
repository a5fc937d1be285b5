"""outreach: sequences, enrollments, campaigns, what became of their letters, and tokens of staff's programs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = 'd7f20c6b91e4'
down_revision: str | None = 'c4a91e7d2b60'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What was published is what people get: nobody changes it, whatever runs.
STAYS = """
CREATE FUNCTION sequence_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published version of a sequence is never changed';
END $$;
CREATE TRIGGER sequence_version_stays BEFORE UPDATE ON sequence_version
    FOR EACH ROW EXECUTE FUNCTION sequence_version_stays();
"""
# Whatever is said of mail anew, on whatever way, puts what was summed up of it in doubt. A contact whose words nobody has
# summed up yet needs none: whoever sums up locks her row against new words. A suppression locks no row, for her contact may
# come while it is on its way: until it is there nobody sums up (the lock is that of engine/people/leave.py).
DOUBTS = """
CREATE FUNCTION mail_doubted_by_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_doubt (doubted_id) SELECT DISTINCT l.id FROM changed n JOIN mail_leave l ON l.id = n.contact_id;
    RETURN NULL;
END $$;
CREATE FUNCTION mail_doubted_by_suppressions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1735552108);
    INSERT INTO mail_doubt (doubted_id) SELECT DISTINCT c.id FROM changed n JOIN contact c ON c.email = n.email;
    RETURN NULL;
END $$;
CREATE FUNCTION mail_doubted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_doubt (doubted_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER mail_doubted AFTER UPDATE OF email, rested_at, merged_into_id, erased_at ON contact
    FOR EACH ROW WHEN ((OLD.email, OLD.rested_at, OLD.merged_into_id, OLD.erased_at)
        IS DISTINCT FROM (NEW.email, NEW.rested_at, NEW.merged_into_id, NEW.erased_at)) EXECUTE FUNCTION mail_doubted();
"""
DOUBT = """
CREATE TRIGGER mail_doubted_{which}_{change} AFTER {change} ON {table} REFERENCING {which} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()
"""
CHANGES = (('NEW', 'INSERT'), ('NEW', 'UPDATE'), ('OLD', 'UPDATE'), ('OLD', 'DELETE'))
DOUBTING = {'consent': 'mail_doubted_by_words', 'suppression': 'mail_doubted_by_suppressions'}
OLD_RESTS = "reason IN ('many', 'large', 'dispute', 'clicked')"
RESTS = "reason IN ('many', 'large', 'dispute', 'clicked', 'gave', 'refund', 'failing')"
IN_RULES = ['id', 'gave_highest_cents', 'gave_last_cents', 'gave_first_at', 'gave_count', 'merged_into_id', 'erased_at']
AT_CAP = "at_cap IN ('defer', 'drop', 'exempt')"


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.create_table('enrollment',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('version_id', sa.BigInteger(), nullable=False),
    sa.Column('sequence_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('rotation', sa.Integer(), server_default='0', nullable=False),
    sa.Column('state', sa.Text(), server_default='active', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('step', sa.Text(), server_default='', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('entered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('waits_for', sa.Text(), server_default='', nullable=False),
    sa.Column('heard', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('history', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    sa.Column('inbound_event_id', sa.BigInteger(), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('active', 'finished', 'left')", name=op.f('enrollment_state_check')),
    sa.PrimaryKeyConstraint('id', name=op.f('enrollment_pkey'))
    )
    op.create_index('enrollment_due_idx', 'enrollment', ['version_id', 'campaign_id', 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'active'"))
    op.create_index('enrollment_key', 'enrollment', ['contact_id', 'sequence_id', 'campaign_id', 'rotation'], unique=True)
    op.create_table('step_tally',
    sa.Column('version_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('variant', sa.Text(), server_default='', nullable=False),
    sa.Column('composed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('handed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('skipped', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('cancelled', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('expired', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('refused', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('delivered', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('bounced', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('complained', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('unsubscribed', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('clicked', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('version_id', 'campaign_id', 'mailing_id', 'chapter_id', name=op.f('step_tally_pkey'))
    )
    op.create_index('step_tally_campaign_id_idx', 'step_tally', ['campaign_id'], unique=False, postgresql_where=sa.text('campaign_id <> 0'))
    op.create_table('sequence',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('trigger', sa.Text(), server_default='', nullable=False),
    sa.Column('version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('shipped', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paused_because', sa.Text(), server_default='', nullable=False),
    sa.Column('excused', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('sequence_chapter_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('sequence_pkey')),
    sa.UniqueConstraint('slug', name=op.f('sequence_slug_key'))
    )
    op.create_index(op.f('sequence_chapter_id_idx'), 'sequence', ['chapter_id'], unique=False)
    op.create_table('api_token',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('token_hash', sa.Text(), nullable=False),
    sa.Column('scopes', sa.ARRAY(sa.Text()), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('staff_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('api_token_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('api_token_staff_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('api_token_pkey')),
    sa.UniqueConstraint('token_hash', name=op.f('api_token_token_hash_key'))
    )
    op.create_table('sequence_version',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('sequence_id', sa.BigInteger(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('mailings', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('fund_ids', sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('quiet_from', sa.SmallInteger(), nullable=True),
    sa.Column('quiet_until', sa.SmallInteger(), nullable=True),
    sa.Column('staff_id', sa.BigInteger(), nullable=True),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['sequence_id'], ['sequence.id'], name=op.f('sequence_version_sequence_id_fkey')),
    sa.ForeignKeyConstraint(['staff_id'], ['staff.id'], name=op.f('sequence_version_staff_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('sequence_version_pkey'))
    )
    op.create_index('sequence_version_key', 'sequence_version', ['sequence_id', 'version'], unique=True)
    op.create_table('api_request',
    sa.Column('api_token_id', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('request_hash', sa.Text(), nullable=False),
    sa.Column('status', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('headers', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('answer', sa.Text(), server_default='', nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['api_token_id'], ['api_token.id'], name=op.f('api_request_api_token_id_fkey')),
    sa.PrimaryKeyConstraint('api_token_id', 'key', name=op.f('api_request_pkey'))
    )
    op.create_index('api_request_at_idx', 'api_request', ['at'], unique=False)
    op.create_table('campaign',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('sequence_id', sa.BigInteger(), nullable=True),
    sa.Column('letter_id', sa.BigInteger(), nullable=True),
    sa.Column('version_id', sa.BigInteger(), nullable=True),
    sa.Column('segment_id', sa.BigInteger(), nullable=True),
    sa.Column('rule', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='draft', nullable=False),
    sa.Column('run', sa.Integer(), server_default='1', nullable=False),
    sa.Column('repeat', sa.Text(), server_default='', nullable=False),
    sa.Column('skipped', sa.Text(), server_default='', nullable=False),
    sa.Column('starts_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('held_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deadline', sa.DateTime(timezone=True), nullable=True),
    sa.Column('gathering_id', sa.BigInteger(), nullable=True),
    sa.Column('urgent', sa.Text(), server_default='', nullable=False),
    sa.Column('needs_approval', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('launch_key', sa.Text(), server_default='', nullable=False),
    sa.Column('undone_keys', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('created_by', sa.BigInteger(), nullable=True),
    sa.Column('launched_by', sa.BigInteger(), nullable=True),
    sa.Column('launched_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.BigInteger(), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paused_because', sa.Text(), server_default='', nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_because', sa.Text(), server_default='', nullable=False),
    sa.Column('cursor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('upto', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('expected', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('enrolled', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('finished', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('left_early', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('excused', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('asks', 'news', 'gatherings', 'actions')", name=op.f('campaign_kind_check')),
    sa.CheckConstraint("state IN ('draft', 'scheduled', 'expanding', 'running', 'finished', 'cancelled')", name=op.f('campaign_state_check')),
    sa.ForeignKeyConstraint(['approved_by'], ['staff.id'], name=op.f('campaign_approved_by_fkey')),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('campaign_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['created_by'], ['staff.id'], name=op.f('campaign_created_by_fkey')),
    sa.ForeignKeyConstraint(['gathering_id'], ['gathering.id'], name=op.f('campaign_gathering_id_fkey')),
    sa.ForeignKeyConstraint(['launched_by'], ['staff.id'], name=op.f('campaign_launched_by_fkey')),
    sa.ForeignKeyConstraint(['letter_id'], ['letter.id'], name=op.f('campaign_letter_id_fkey')),
    sa.ForeignKeyConstraint(['segment_id'], ['segment.id'], name=op.f('campaign_segment_id_fkey')),
    sa.ForeignKeyConstraint(['sequence_id'], ['sequence.id'], name=op.f('campaign_sequence_id_fkey')),
    sa.ForeignKeyConstraint(['version_id'], ['sequence_version.id'], name=op.f('campaign_version_id_fkey')),
    sa.PrimaryKeyConstraint('id', name=op.f('campaign_pkey')),
    sa.UniqueConstraint('slug', name=op.f('campaign_slug_key'))
    )
    op.create_index(op.f('campaign_chapter_id_idx'), 'campaign', ['chapter_id'], unique=False)
    op.create_index('campaign_working_idx', 'campaign', ['state'], unique=False, postgresql_where=sa.text("state IN ('scheduled', 'expanding', 'running')"))
    op.create_table('attribution',
    sa.Column('contribution_id', sa.BigInteger(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), nullable=False),
    sa.Column('version_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("by IN ('refcode', 'click')", name=op.f('attribution_by_check')),
    sa.ForeignKeyConstraint(['chapter_id'], ['chapter.id'], name=op.f('attribution_chapter_id_fkey')),
    sa.ForeignKeyConstraint(['contribution_id'], ['contribution.id'], name=op.f('attribution_contribution_id_fkey')),
    sa.ForeignKeyConstraint(['mailing_id'], ['mailing.id'], name=op.f('attribution_mailing_id_fkey')),
    sa.PrimaryKeyConstraint('contribution_id', name=op.f('attribution_pkey'))
    )
    op.create_index('attribution_letter_idx', 'attribution', ['version_id', 'campaign_id', 'mailing_id'], unique=False)
    op.add_column('chapter', sa.Column('time_zone', sa.Text(), server_default='', nullable=False))
    op.add_column('message', sa.Column('version_id', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('message', sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('message', sa.Column('step', sa.Text(), server_default='', nullable=False))
    op.add_column('message', sa.Column('at_cap', sa.Text(), server_default='defer', nullable=False))
    op.drop_index(op.f('message_delivery_due_idx'), table_name='message', postgresql_where="((state = 'ready'::text) AND (lane = 'delivery'::text))")
    op.create_index('message_delivery_due_idx', 'message', ['mailing_id', sa.literal_column('coalesce(chapter_id, 0)'), 'version_id', 'campaign_id', 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'ready' AND lane = 'delivery'"))
    op.create_index('message_waiting_idx', 'message', ['contact_id'], unique=False, postgresql_where=sa.text("state = 'ready' AND contact_id > 0"))
    op.add_column('refcode', sa.Column('version_id', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('refcode', sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False))
    op.drop_index(op.f('refcode_mailing_id_key'), table_name='refcode', postgresql_nulls_not_distinct=True)
    op.create_index('refcode_mailing_id_key', 'refcode', ['mailing_id', 'chapter_id', 'version_id', 'campaign_id'], unique=True, postgresql_nulls_not_distinct=True)
    op.create_check_constraint(op.f('message_at_cap_check'), 'message', AT_CAP)
    op.drop_constraint('ask_rest_reason_check', 'ask_rest')
    op.create_check_constraint(op.f('ask_rest_reason_check'), 'ask_rest', RESTS)
    op.execute(STAYS)
    # Who was silent for long is asked by a sequence now.
    op.execute("DELETE FROM chore WHERE name = 'sunset'")
    op.execute("DELETE FROM bookmark WHERE name = 'sunset'")
    op.create_table('mail_doubt',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('doubted_id', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('mail_doubt_pkey'))
    )
    op.create_table('mail_leave',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('leave', sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('mail_leave_pkey'))
    )
    op.drop_index('contact_chapter_id_gave_last_at_idx', table_name='contact')
    op.create_index('contact_chapter_id_gave_last_at_idx', 'contact', ['chapter_id', 'gave_last_at'], postgresql_include=IN_RULES)
    op.drop_index('contribution_contact_id_paid_at_idx', table_name='contribution')
    op.create_index('contribution_contact_id_paid_at_idx', 'contribution', ['contact_id', 'paid_at'],
        postgresql_include=['id', 'amount_cents', 'status', 'fund_id', 'currency'])
    op.execute(DOUBTS)
    for table, function in DOUBTING.items():
        for which, change in CHANGES:
            op.execute(DOUBT.format(which=which, change=change, table=table, function=function))


def downgrade() -> None:
    """Back."""
    for table, function in DOUBTING.items():
        op.execute(f'DROP FUNCTION {function} CASCADE')
    op.execute('DROP FUNCTION mail_doubted CASCADE')
    op.drop_index('contribution_contact_id_paid_at_idx', table_name='contribution')
    op.create_index('contribution_contact_id_paid_at_idx', 'contribution', ['contact_id', 'paid_at'])
    op.drop_index('contact_chapter_id_gave_last_at_idx', table_name='contact')
    op.create_index('contact_chapter_id_gave_last_at_idx', 'contact', ['chapter_id', 'gave_last_at'])
    op.drop_table('mail_leave')
    op.drop_table('mail_doubt')
    op.execute("DELETE FROM ask_rest WHERE reason IN ('gave', 'refund', 'failing')")
    op.drop_constraint('ask_rest_reason_check', 'ask_rest')
    op.create_check_constraint(op.f('ask_rest_reason_check'), 'ask_rest', OLD_RESTS)
    op.execute('DELETE FROM refcode WHERE (version_id, campaign_id) <> (0, 0)')
    op.drop_index('refcode_mailing_id_key', table_name='refcode', postgresql_nulls_not_distinct=True)
    op.create_index(op.f('refcode_mailing_id_key'), 'refcode', ['mailing_id', 'chapter_id'], unique=True, postgresql_nulls_not_distinct=True)
    op.drop_column('refcode', 'campaign_id')
    op.drop_column('refcode', 'version_id')
    op.drop_index('message_waiting_idx', table_name='message', postgresql_where=sa.text("state = 'ready' AND contact_id > 0"))
    op.drop_index('message_delivery_due_idx', table_name='message', postgresql_where=sa.text("state = 'ready' AND lane = 'delivery'"))
    op.create_index(op.f('message_delivery_due_idx'), 'message', ['mailing_id', sa.literal_column('COALESCE(chapter_id, 0::bigint)'), 'due_at', 'id'], unique=False, postgresql_where="((state = 'ready'::text) AND (lane = 'delivery'::text))")
    op.drop_constraint(op.f('message_at_cap_check'), 'message')
    op.drop_column('message', 'at_cap')
    op.drop_column('message', 'step')
    op.drop_column('message', 'campaign_id')
    op.drop_column('message', 'version_id')
    op.drop_column('chapter', 'time_zone')
    op.drop_index('attribution_letter_idx', table_name='attribution')
    op.drop_table('attribution')
    op.drop_index('campaign_working_idx', table_name='campaign', postgresql_where=sa.text("state IN ('scheduled', 'expanding', 'running')"))
    op.drop_index(op.f('campaign_chapter_id_idx'), table_name='campaign')
    op.drop_table('campaign')
    op.drop_table('api_request')
    op.drop_index('sequence_version_key', table_name='sequence_version')
    op.drop_table('sequence_version')
    op.drop_table('api_token')
    op.drop_index(op.f('sequence_chapter_id_idx'), table_name='sequence')
    op.drop_table('sequence')
    op.drop_index('step_tally_campaign_id_idx', table_name='step_tally', postgresql_where=sa.text('campaign_id <> 0'))
    op.drop_table('step_tally')
    op.drop_index('enrollment_key', table_name='enrollment')
    op.drop_index('enrollment_due_idx', table_name='enrollment', postgresql_where=sa.text("state = 'active'"))
    op.drop_table('enrollment')
    op.execute('DROP FUNCTION sequence_version_stays')
