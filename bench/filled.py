"""`python bench/filled.py URL PEOPLE LETTERS`, with any tree of our code on PYTHONPATH.

An empty database of that code's schema gets the invented organisation, so many people with three gifts each, on the ledger
and in their totals, and letters that are ready.
"""

import sys

from sqlalchemy import text

from bench import audience
from engine import demo_organisation
from engine.db import make_pool, make_sessions, transaction
from engine.giving import totals

STRETCH = 10_000
_LEDGER = text("""
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, currency, occurred_at)
SELECT g.id, 'gift', g.source, g.source_key, g.amount_cents, g.currency, g.paid_at FROM contribution g
WHERE NOT EXISTS (SELECT FROM ledger_entry l WHERE l.contribution_id = g.id)
""")
_PEOPLE = text("SELECT id FROM contact WHERE id > :after ORDER BY id LIMIT :most")


def main(url: str, people: int, letters: int) -> None:
    """Fill it."""
    pool = make_pool(url)
    sessions = make_sessions(pool)
    with transaction(sessions) as session:
        demo_organisation.load(session)
    audience.make(url, people, older=False)
    with transaction(sessions) as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(_LEDGER)
    after = 0
    while True:
        with transaction(sessions) as session:
            ids = session.scalars(_PEOPLE, {"after": after, "most": STRETCH}).all()
            if not ids:
                break
            totals.refresh(session, ids)
        after = ids[-1]
    if letters:
        audience.ready(url, letters)
    pool.dispose()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
