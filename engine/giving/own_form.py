"""The donation form that letters which come with Groundswell ask by. They are there before any form is: the first one that is
shown becomes theirs (the organisation's own before a chapter's), with its fund. Whoever wants another one for a letter keeps
it in words of its own, which name it.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

_LEND = text("""
UPDATE letter l SET donation_form_id = own.id, fund_id = own.fund_id FROM (
    SELECT f.id, f.fund_id FROM donation_form f JOIN chapter h ON h.id = f.chapter_id
    WHERE f.version > 0 AND f.closed_at IS NULL ORDER BY h.parent_id IS NOT NULL, f.id LIMIT 1
) own
WHERE l.shipped AND l.kind = 'asks' AND l.donation_form_id IS NULL
""")


def lend(session: Session) -> None:
    """Let letters that ask and have no form yet lead to this organisation's, if it shows one."""
    session.execute(_LEND)
