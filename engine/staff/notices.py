"""Telling a person that something needs one: on the home page and in the metrics, and by letter.

Once a trouble, not once an event: the letter of a kind is written when nothing of that kind was open, or a day has passed
since the last; never twice within an hour, however often it comes and goes. Of one kind so many matters have a row each;
what comes beyond them is counted in one.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell, metrics
from engine.db import rows
from engine.events import Event, HumanNeeded, LettersComposed, MatterSettled
from engine.letters import writing
from engine.settings import Settings

SHIPPED = "operator_notice"
SHOWN = 50
MOST_OF_A_KIND, OTHERS = 20, "and others"
AGAIN, AT_ONCE = (
    timedelta(days=1),
    timedelta(hours=1),
)  # between two letters of a kind: that goes on; that had been well

_KEEP = text("""
WITH told AS MATERIALIZED (
    SELECT v.*, EXISTS (
        SELECT FROM notice n WHERE n.kind = v.kind AND n.subject = v.subject AND n.resolved_at IS NULL) AS known
    FROM json_to_recordset(CAST(:rows AS json)) AS v(kind text, subject text, detail text, seen bigint)
), placed AS (
    SELECT t.*, NOT known AND row_number() OVER (PARTITION BY kind, known ORDER BY subject)
        + (SELECT count(*) FROM notice n WHERE n.kind = t.kind AND n.resolved_at IS NULL) > :most AS beyond
    FROM told t
)
INSERT INTO notice (kind, subject, detail, seen)
SELECT kind, CASE WHEN beyond THEN :others ELSE subject END AS about,
    max(CASE WHEN beyond THEN 'the last: ' || subject || ': ' || detail ELSE detail END), sum(seen)
FROM placed GROUP BY kind, about ORDER BY kind, about
ON CONFLICT (kind, subject) WHERE resolved_at IS NULL
DO UPDATE SET seen = notice.seen + excluded.seen, last_at = now(), detail = excluded.detail
""")

_OPERATOR = text("""
INSERT INTO contact (email, details_at, chapter_id, routed_by, routed_on)
SELECT :email, 'epoch', (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1), 'operator', 'OPERATOR_EMAIL'
ON CONFLICT (email) DO NOTHING
""")

_STILL_OPEN = text("SELECT DISTINCT kind FROM notice WHERE kind = ANY(:kinds) AND resolved_at IS NULL")

# After which letter of its kind each comes is its occasion: of two that are written at once one is. Where that one is in the
# archive, which lets no occasion come twice, it is the day.
_WRITE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, chapter_id, facts)
SELECT c.id, m.id,
    'notice:' || v.kind || ':' || coalesce(CAST(last.id AS text), 'on ' || CAST(CAST(:now AS timestamptz) AS date)),
    :lane, :now, c.chapter_id,
    jsonb_build_object('kind', v.kind, 'subject', v.subject, 'detail', v.detail, 'home', CAST(:home AS text))
FROM (SELECT DISTINCT ON (kind) kind, subject, detail
      FROM json_to_recordset(CAST(:rows AS json)) AS r(kind text, subject text, detail text) ORDER BY kind, subject) v
JOIN contact c ON c.email = :email JOIN mailing m ON m.id = :mailing_id
LEFT JOIN LATERAL (
    SELECT id, due_at FROM message WHERE contact_id = c.id AND starts_with(occasion, 'notice:' || v.kind || ':')
    ORDER BY id DESC LIMIT 1) last ON true
WHERE last.id IS NULL OR last.due_at <= CAST(:now AS timestamptz)
    - CASE WHEN v.kind = ANY(:open) THEN CAST(:again AS interval) ELSE CAST(:at_once AS interval) END
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id
""")

_FORGET = text("DELETE FROM notice WHERE resolved_at < :before")
_OPEN = text("""
SELECT id, kind, subject, detail, seen, first_at, last_at FROM notice WHERE resolved_at IS NULL
ORDER BY last_at DESC LIMIT :most
""")

_RESOLVE_IDS = text("""
UPDATE notice SET resolved_at = now() WHERE id = ANY(:ids) AND resolved_at IS NULL RETURNING id
""")

_RESOLVE = text("""
UPDATE notice SET resolved_at = now()
WHERE kind = :kind AND resolved_at IS NULL AND (CAST(:subjects AS text[]) IS NULL OR subject = ANY(:subjects))
""")

# What is counted in one row cannot be told apart: it is settled with the last that has a row of its own.
_RESOLVE_OTHERS = text("""
UPDATE notice o SET resolved_at = now() WHERE o.kind = :kind AND o.subject = :others AND o.resolved_at IS NULL
    AND NOT EXISTS (SELECT FROM notice n WHERE n.kind = o.kind AND n.subject <> o.subject AND n.resolved_at IS NULL)
""")


def tell(session: Session, needs: Sequence[HumanNeeded], now: datetime, settings: Settings) -> list[Event]:
    """The one function that tells. One open notice a matter; one letter a kind of trouble, to OPERATOR_EMAIL if it is set."""
    seen = Counter((need.kind, need.subject) for need in needs)
    details = {(need.kind, need.subject): need.detail for need in needs}
    records = rows(
        {"kind": kind, "subject": subject, "detail": detail, "seen": seen[kind, subject]}
        for (kind, subject), detail in details.items()
    )
    still_open = session.scalars(_STILL_OPEN, {"kinds": sorted({need.kind for need in needs})}).all()
    session.execute(_KEEP, {"rows": records, "most": MOST_OF_A_KIND, "others": OTHERS})
    for need in needs:
        metrics.NOTICES.labels(need.kind).inc()
    if not settings.operator_email:
        return []
    email = settings.operator_email.lower()
    session.execute(_OPERATOR, {"email": email})
    values = {"rows": records, "email": email, "now": now, "lane": bell.RECEIPTS}
    values |= {"open": list(still_open), "again": AGAIN, "at_once": AT_ONCE}
    made = session.scalars(
        _WRITE, values | {"home": settings.base_url, "mailing_id": writing.english(session, SHIPPED)}
    ).all()
    return [LettersComposed(None, bell.RECEIPTS)] if made else []


def forget(session: Session, before: datetime) -> int:
    """Take out what was seen to before this moment. Returns how many."""
    return session.connection().execute(_FORGET, {"before": before}).rowcount


def close(session: Session, settled: Sequence[MatterSettled], _: datetime, __: Settings) -> list[Event]:
    """These matters need nobody any more."""
    for kind in {matter.kind for matter in settled}:
        resolve(session, kind, [matter.subject for matter in settled if matter.kind == kind])
    return []


def resolve_ids(session: Session, ids: Sequence[int]) -> Sequence[int]:
    """A person has seen to these. Returns those that were open."""
    return session.scalars(_RESOLVE_IDS, {"ids": list(ids)}).all()


def resolve(session: Session, kind: str, subjects: Sequence[str] | None = None) -> None:
    """These matters (all of the kind when None) are settled; with the last of a kind also those beyond the list."""
    session.execute(_RESOLVE, {"kind": kind, "subjects": None if subjects is None else list(subjects)})
    session.execute(_RESOLVE_OTHERS, {"kind": kind, "others": OTHERS})


def open_notices(session: Session) -> Sequence[Row[tuple[object, ...]]]:
    """What still needs a person, the newest first: rows of (id, kind, subject, detail, seen, first_at, last_at)."""
    return session.execute(_OPEN, {"most": SHOWN}).all()
