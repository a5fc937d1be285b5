"""How a form takes a yes: at once, or only once a letter was answered. For now: as the chapter or its nearest parent says."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.settings import Settings

_SAID = text("""
WITH RECURSIVE up AS (
    SELECT id, parent_id, opt_in, 0 AS height FROM chapter
    WHERE id = :chapter_id OR (CAST(:chapter_id AS bigint) IS NULL AND parent_id IS NULL)
    UNION ALL SELECT c.id, c.parent_id, c.opt_in, up.height + 1 FROM chapter c JOIN up ON c.id = up.parent_id
)
SELECT opt_in FROM up WHERE opt_in <> '' ORDER BY height LIMIT 1
""")


def needs_confirmation(session: Session, chapter_id: int | None, now: datetime, settings: Settings) -> bool:  # noqa: ARG001
    """Whether a yes on this chapter's form (None: the root's) counts only once it was confirmed by letter."""
    return session.execute(_SAID, {"chapter_id": chapter_id}).scalar() == "double"
