"""keeping: an archive of letters and of places in campaigns, by years; raw events that can go

Runs beside the code before it, which writes none of this. Nothing is copied and nothing is looked through: the chores of the
new code fill the archive, a stretch at a time.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = 'c3a95e7d10f8'
down_revision: str | None = 'a4d19e60c7f2'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What told us of these rows may go before them.
CAUSED = (
    'cancellation', 'checkout_session', 'confirmation', 'consent', 'contribution', 'decline', 'dispute', 'fraud_warning',
    'mail_event', 'message', 'plan_failure', 'recurring_plan', 'refund', 'sign_up', 'suppression',
)  # fmt: skip
# Rows go from these day by day: what they leave empty is to be found by new ones soon, not when a fifth of the table is empty.
EBBING = ('inbound_event', 'message', 'mail_event', 'handover', 'enrollment')
# Ours and the older code's letters alike. Those of campaigns are many at a time and have one row for everybody: whoever writes
# them asks once a step, and a campaign that is over writes none.
NOT_AGAIN = """
CREATE FUNCTION message_of_a_past_occasion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM past_occasion o WHERE o.contact_id IN (0, NEW.contact_id)
        AND o.key = hashtextextended(NEW.occasion, 0)) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER message_of_a_past_occasion BEFORE INSERT ON message
FOR EACH ROW WHEN (NEW.campaign_id = 0) EXECUTE FUNCTION message_of_a_past_occasion()
"""
# A vacuum that nobody asked for gives way after a second (`deadlock_timeout`), and then stays away.
PATIENCE = "SET LOCAL lock_timeout = '1500ms'"
AWAY = 'LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE'
# All of them at once or none: whoever is at work holds some and waits for others. Nobody is waited for longer than a moment, so
# that nobody waits in a circle; it is tried for half a minute.
LOCK = """
DO $$
DECLARE said text;
BEGIN
    FOR tried IN 1..150 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '100ms', true);
            LOCK TABLE inbound_event, {tables} IN ACCESS EXCLUSIVE MODE;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    SELECT string_agg(DISTINCT concat_ws(' ', l.pid, a.application_name), ', ') INTO said
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.relation IN (SELECT oid FROM pg_class WHERE relname IN ('inbound_event', {named})) AND l.granted
        AND l.pid <> pg_backend_pid() AND l.database = a.datid AND a.datname = current_database();
    RAISE lock_not_available
        USING MESSAGE = concat('others work too long at a time (processes ', said, '): run the migration again');
END $$
"""


def upgrade() -> None:
    """Forward."""
    op.create_table('past_letter',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('mailing_id', sa.BigInteger(), nullable=False),
    sa.Column('chapter_id', sa.BigInteger(), nullable=True),
    sa.Column('version_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('handed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('clicked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('step', sa.Text(), server_default='', nullable=False),
    sa.Column('occasion', sa.Text(), server_default='', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', 'created_at', name=op.f('past_letter_pkey')),
    postgresql_partition_by='RANGE (created_at)',
    )
    op.create_index('past_letter_contact_id_idx', 'past_letter', ['contact_id'])
    op.create_table('past_occasion',
    sa.Column('contact_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('key', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint('contact_id', 'key', name=op.f('past_occasion_pkey')),
    )
    op.create_table('past_place',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('entered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('version_id', sa.BigInteger(), nullable=False),
    sa.Column('sequence_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('rotation', sa.Integer(), server_default='0', nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('step', sa.Text(), server_default='', nullable=False),
    sa.Column('history', postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    sa.PrimaryKeyConstraint('id', 'entered_at', name=op.f('past_place_pkey')),
    postgresql_partition_by='RANGE (entered_at)',
    )
    op.create_index('past_place_contact_id_idx', 'past_place', ['contact_id'])
    op.create_index('past_place_campaign_id_idx', 'past_place', ['campaign_id'], postgresql_using='brin')
    op.execute(NOT_AGAIN)
    op.execute(PATIENCE)
    for table in ('inbound_event', *CAUSED, 'chore'):
        op.execute(AWAY.format(table=table))
    for table in EBBING:
        op.execute(f'ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02)')
    locked = (*CAUSED, 'chore')
    op.execute(LOCK.format(tables=', '.join(locked), named=', '.join(f"'{table}'" for table in locked)))
    op.add_column('chore', sa.Column('tries', sa.BigInteger(), server_default='0', nullable=False))
    for table in CAUSED:
        op.drop_constraint(f'{table}_inbound_event_id_fkey', table, type_='foreignkey')
    op.execute(TRIGGER)


def downgrade() -> None:
    """Back. What is in the archive is lost, and so is, of rows whose raw event is gone, which it was."""
    op.drop_column('chore', 'tries')
    for table in EBBING:
        op.execute(f'ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor)')
    op.execute('DROP TRIGGER message_of_a_past_occasion ON message')
    op.execute('DROP FUNCTION message_of_a_past_occasion')
    for table in CAUSED:
        op.execute(f'UPDATE {table} t SET inbound_event_id = NULL WHERE inbound_event_id IS NOT NULL'
                   ' AND NOT EXISTS (SELECT FROM inbound_event e WHERE e.id = t.inbound_event_id)')
        op.create_foreign_key(f'{table}_inbound_event_id_fkey', table, 'inbound_event', ['inbound_event_id'], ['id'])
    op.drop_table('past_place')
    op.drop_table('past_occasion')
    op.drop_table('past_letter')
