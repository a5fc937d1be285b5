"""How many campaign letters may leave in a day (UTC): from a domain that is new, and in the name of one chapter.

A domain that nobody knows earns its name slowly: as SendGrid warms up an address of its own (20 letters an hour on the first
day, 1.4 times as many each further day: "IP Warmup Schedule" in its documentation), counted for a day. Whom it then writes to
are those who did something most recently.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import NotFound

FIRST_DAY, GROWTH, DAYS = 480, 1.4, 35
WARM_UP = tuple(int(FIRST_DAY * GROWTH**day) for day in range(DAYS))  # after that there is no limit
# SQL: the chapter in whose name a letter leaves that names none.
ROOT = "SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1"


def writes_from(chapter: str) -> str:
    """SQL of one row, `domain`: what this chapter (0: the root) writes from, as the nearest one upwards says it; or ''."""
    return f"""
    WITH RECURSIVE up AS (
        SELECT id, parent_id, sender_email, 0 AS level FROM chapter
        WHERE CASE {chapter} WHEN 0 THEN parent_id IS NULL ELSE id = {chapter} END
        UNION ALL
        SELECT p.id, p.parent_id, p.sender_email, up.level + 1 FROM chapter p JOIN up ON p.id = up.parent_id
    )
    SELECT coalesce((
        SELECT lower(split_part(sender_email, '@', 2)) FROM up WHERE sender_email <> '' ORDER BY level LIMIT 1), '') AS domain
    """


_SEEN = text("""
INSERT INTO sending_domain (domain, warming_since) VALUES (:domain, CAST(:since AS date)) ON CONFLICT (domain) DO NOTHING
""")
_WARM = text("""
INSERT INTO sending_domain AS d (domain, warming_since) VALUES (:domain, CAST(:since AS date))
ON CONFLICT (domain) DO UPDATE SET warming_since = excluded.warming_since
""")
_COUNT = text("""
INSERT INTO sent_count AS s (scope, day, letters)
SELECT scope, CAST(:day AS date), :letters FROM unnest(CAST(:scopes AS text[])) scope
ON CONFLICT (scope, day) DO UPDATE SET letters = s.letters + excluded.letters
""")
# Locked in the order in which a claim counts.
_GIVE_BACK = text(f"""
WITH back AS MATERIALIZED (
    SELECT v.chapter, v.day, v.letters, sender.domain
    FROM json_to_recordset(CAST(:rows AS json)) AS v(chapter bigint, day date, letters bigint)
    CROSS JOIN LATERAL ({writes_from("v.chapter")}) sender
), each AS (
    SELECT 'chapter ' || coalesce(nullif(chapter, 0), ({ROOT}), 0) AS scope, day, letters FROM back
    UNION ALL SELECT 'domain ' || domain, day, letters FROM back
), counted AS MATERIALIZED (
    SELECT s.scope, s.day, e.letters FROM sent_count s
    JOIN (SELECT scope, day, CAST(sum(letters) AS bigint) AS letters FROM each GROUP BY scope, day) e USING (scope, day)
    ORDER BY s.scope, s.day FOR UPDATE OF s
)
UPDATE sent_count s SET letters = greatest(s.letters - c.letters, 0) FROM counted c WHERE s.scope = c.scope AND s.day = c.day
""")
_LIMIT = text("UPDATE chapter SET daily_letters = :letters WHERE slug = :slug RETURNING id")
_STANDING = text("""
SELECT d.domain, d.warming_since, coalesce(s.letters, 0) AS letters FROM sending_domain d
LEFT JOIN sent_count s ON s.scope = 'domain ' || d.domain AND s.day = CAST(:day AS date) ORDER BY d.domain
""")


def allowed(day: int) -> int | None:
    """How many letters a domain may send on its n-th day, from 0; None: as many as there are."""
    return WARM_UP[day] if day < DAYS else None


def scopes(domain: str, chapter_id: int) -> list[str]:
    """What a letter counts for."""
    return [f"domain {domain}", f"chapter {chapter_id}"]


def count(session: Session, domain: str, chapter_id: int, letters: int, now: datetime) -> None:
    """So many more letters were handed over today."""
    values = {"scopes": sorted(scopes(domain, chapter_id)), "day": now.date(), "letters": letters}
    session.execute(_COUNT, values)


def give_back(session: Session, letters: Mapping[tuple[int, date], int]) -> None:
    """So many letters that were counted, by chapter (0: none) and day, are with nobody: they return, or fail."""
    if letters:
        counted = ({"chapter": of, "day": day, "letters": letters[of, day]} for of, day in sorted(letters))
        session.execute(_GIVE_BACK, {"rows": rows(counted)})


def standing(session: Session, now: datetime) -> Sequence[Row[Any]]:
    """The domains that sent, with what they sent today: rows of (domain, warming_since, letters)."""
    return session.execute(_STANDING, {"day": now.date()}).all()


def warm(session: Session, domain: str, since: date | None) -> None:
    """Warm this domain up from this day on; None: it is known already."""
    session.execute(_WARM, {"domain": domain.lower(), "since": since})


def seen(session: Session, domain: str, since: date | None) -> None:
    """The domain sends now; the first time this is told says whether it is to be warmed up."""
    session.execute(_SEEN, {"domain": domain, "since": since})


def limit(session: Session, chapter: str, letters: int | None) -> int:
    """At most so many campaign letters a day leave in this chapter's name; None: as many as there are.

    Returns its id. Raises NotFound.
    """
    found = session.scalar(_LIMIT, {"slug": chapter, "letters": letters})
    if found is None:
        raise NotFound(f"there is no chapter {chapter[:60]}")
    return int(found)
