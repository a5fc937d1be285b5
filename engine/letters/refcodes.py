"""The codes in links to give: one a mailing, chapter, and campaign or version of a sequence that sends it; random, so that
only we can tell what a gift came from."""

import secrets

from sqlalchemy import text
from sqlalchemy.orm import Session

_LETTERS = (
    "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another; ActBlue takes letters, digits, underscores
)
LENGTH = 9

_FIND = text("""
SELECT code FROM refcode WHERE mailing_id = :mailing_id AND chapter_id IS NOT DISTINCT FROM CAST(:chapter_id AS bigint)
    AND version_id = :version_id AND campaign_id = :campaign_id
""")
_MAKE = text("""
INSERT INTO refcode (code, mailing_id, chapter_id, version_id, campaign_id)
VALUES (:code, :mailing_id, :chapter_id, :version_id, :campaign_id) ON CONFLICT DO NOTHING
""")


def code(
    session: Session, mailing_id: int, chapter_id: int | None, *, version_id: int = 0, campaign_id: int = 0
) -> str:
    """The code of this mailing from this chapter (none: the root), as this version and campaign (0: none) sends it; made when
    first asked for."""
    place = {"mailing_id": mailing_id, "chapter_id": chapter_id, "version_id": version_id, "campaign_id": campaign_id}
    while (found := session.scalar(_FIND, place)) is None:
        made = "".join(secrets.choice(_LETTERS) for _ in range(LENGTH))
        session.execute(_MAKE, place | {"code": made})
    return str(found)
