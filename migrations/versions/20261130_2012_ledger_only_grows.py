"""ledger only grows: no entry of it, and nothing of a gift that says how much, when and to whom, can be changed or taken out

Whoever books a gift holds the one table and asks for the other: both are locked before anything else, or none.
"""

from collections.abc import Sequence

from alembic import op

revision: str = 'a4d19e60c7f2'
down_revision: str | None = 'b3c5e9a14f72'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STAYS = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{said}'; END $$
"""
# The first stands in nobody's way but a vacuum's, which gives way after a second (`deadlock_timeout`). The second waits for so
# short a time that nobody waits in a circle; whoever migrates tries it again.
LOCKS = (
    "SET LOCAL lock_timeout = '1500ms'",
    'LOCK TABLE contribution, ledger_entry IN SHARE UPDATE EXCLUSIVE MODE',
    "SET LOCAL lock_timeout = '100ms'",
    'LOCK TABLE contribution, ledger_entry IN SHARE ROW EXCLUSIVE MODE',
)
LEDGER, GIFT = 'ledger_only_grows', 'contribution_stays'


def upgrade() -> None:
    """There."""
    for statement in LOCKS:
        op.execute(statement)
    op.execute(STAYS.format(name=LEDGER, said='the ledger only grows: what takes money back is an entry of its own'))
    op.execute(STAYS.format(name=GIFT, said='a gift stays on the books as it was told'))
    op.execute(f"""CREATE TRIGGER {LEDGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
        FOR EACH STATEMENT EXECUTE FUNCTION {LEDGER}()""")
    op.execute(f"""CREATE TRIGGER {GIFT} BEFORE UPDATE OF source, order_number, amount_cents, currency, paid_at
        OR DELETE OR TRUNCATE ON contribution FOR EACH STATEMENT EXECUTE FUNCTION {GIFT}()""")


def downgrade() -> None:
    """Back."""
    op.execute(f'DROP TRIGGER {GIFT} ON contribution')
    op.execute(f'DROP TRIGGER {LEDGER} ON ledger_entry')
    op.execute(f'DROP FUNCTION {GIFT}')
    op.execute(f'DROP FUNCTION {LEDGER}')
