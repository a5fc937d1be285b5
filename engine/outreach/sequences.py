"""Sequences in the database: what they say is published in versions that nobody changes."""

from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.letters import writing

_LETTER = text("SELECT kind, fund_id, quiet_from, quiet_until FROM letter WHERE slug = :slug")
_ADD = text("""
INSERT INTO sequence_version (definition, mailings, fund_ids, quiet_from, quiet_until, published_at)
VALUES (CAST(:definition AS jsonb), CAST(:mailings AS jsonb), :fund_ids, :quiet_from, :quiet_until, :now) RETURNING id
""")


def of_letter(session: Session, slug: str, now: datetime, *, expires: str | None = None) -> int:
    """A version of one step, which sends this letter in its newest words; returns its id. `expires`: how long after somebody
    entered it may still leave ("7 days"). Raises NotFound."""
    spoken = writing.spoken(session, slug)
    if not spoken:
        raise NotFound(f"there is no letter {slug[:60]}")
    letter = session.execute(_LETTER, {"slug": slug}).one()
    action = "ask" if letter.kind == "asks" else "email"
    definition = {"slug": slug, "name": slug, "on": "launch", "steps": [{"key": "letter", action: slug}]}
    values = {
        "definition": orjson.dumps(definition | ({"expires": expires} if expires else {})).decode(),
        "mailings": orjson.dumps({"letter": {"": spoken}}).decode(),
        "fund_ids": [letter.fund_id] if action == "ask" and letter.fund_id else [],
        "quiet_from": letter.quiet_from, "quiet_until": letter.quiet_until, "now": now,
    }  # fmt: skip
    return int(session.execute(_ADD, values).scalar_one())
