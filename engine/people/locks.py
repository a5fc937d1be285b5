"""Locks that concern everybody's rows: who books money alone, and the order in which people are locked.

The order of the whole house: money, then letters (by id), then contacts (by address, those without one last), then the rest.
"""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

MONEY = 0x67726D79

_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")

# Letters first: what a provider tells of a letter locks it, then writes what its reader said.
_LETTERS = text("""
SELECT m.id FROM message m JOIN contact c ON c.id = m.contact_id WHERE c.id = ANY(:ids) OR c.merged_into_id = ANY(:ids)
ORDER BY m.id FOR NO KEY UPDATE OF m
""")
_PEOPLE = text("""
SELECT id FROM contact WHERE id = ANY(:ids) OR merged_into_id = ANY(:ids) ORDER BY email NULLS LAST, id FOR UPDATE
""")


def alone_with_money(session: Session) -> None:
    """Until this transaction ends nobody else brings money onto the books: all that was there before is seen."""
    session.execute(_ALONE, {"lock": MONEY})


def hold(session: Session, contact_ids: Collection[int]) -> None:
    """Lock these people whole, with those who were merged into them: their money, their letters, their rows.

    Nobody writes a row that names one of them meanwhile, for whoever does so asks for the contact.
    """
    alone_with_money(session)
    for statement in (_LETTERS, _PEOPLE):
        session.execute(statement, {"ids": sorted(contact_ids)}).all()
