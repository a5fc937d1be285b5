"""restorations: where this database is, so that one that was restored is known; what is heard of letters it does not know"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b3c5e9a14f72"
down_revision: str | None = "e1b84a7c30d5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What Postgres says of itself: its cluster, its line of time (a restore to a point in time and a failover begin a new one),
# its database. A part that a role may not ask for is "-". A standby says nothing: nobody writes there.
MARK = """
CREATE FUNCTION database_mark() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    cluster text := '-';
    line text := '-';
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN
        SELECT system_identifier INTO cluster FROM pg_control_system();
    END IF;
    IF has_function_privilege('pg_current_wal_lsn()', 'EXECUTE') AND has_function_privilege('pg_walfile_name(pg_lsn)', 'EXECUTE') THEN
        line := left(pg_walfile_name(pg_current_wal_lsn()), 8);
    END IF;
    RETURN concat_ws('/', cluster, line, (SELECT oid FROM pg_database WHERE datname = current_database()));
END $$
"""


def upgrade() -> None:
    """Forward; must run beside the previous release's code."""
    op.create_table(
        "database_home",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("database_home_one_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("database_home_pkey")),
    )
    op.create_table(
        "restoration",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("was", sa.Text(), nullable=False),
        sa.Column("is_now", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_message_id", sa.BigInteger(), nullable=False),
        sa.Column("next_message_id", sa.BigInteger(), nullable=False),
        sa.Column("last_handover_id", sa.BigInteger(), nullable=False),
        sa.Column("next_handover_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("restoration_pkey")),
    )
    op.create_table(
        "lost_letter",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("handover_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("causes", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("became_id", sa.BigInteger(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("message_id", name=op.f("lost_letter_pkey")),
    )
    op.create_index("lost_letter_code_idx", "lost_letter", ["code"], postgresql_where=sa.text("became_id IS NULL"))
    op.execute(MARK)


def downgrade() -> None:
    """Back."""
    op.execute("DROP FUNCTION database_mark()")
    op.drop_index("lost_letter_code_idx", table_name="lost_letter", postgresql_where=sa.text("became_id IS NULL"))
    op.drop_table("lost_letter")
    op.drop_table("restoration")
    op.drop_table("database_home")
