"""The audit: what staff did, and the command line. It only grows; a trigger of the database holds that."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

NAMED = 100  # of many that one command changed

_WRITE = text("""
INSERT INTO audit (at, staff_id, action, subject, subject_id, detail)
VALUES (:now, :staff_id, :action, :subject, :subject_id, CAST(:detail AS jsonb))
""")
_OF = text("""
SELECT a.at, a.action, a.detail, coalesce(nullif(s.name, ''), s.email, 'the command line') AS who
FROM audit a LEFT JOIN staff s ON s.id = a.staff_id
WHERE a.subject = :subject AND a.subject_id = :subject_id ORDER BY a.id DESC LIMIT :most
""")


def write(  # noqa: PLR0917 what every row needs
    session: Session,
    staff_id: int | None,
    action: str,
    subject: str,
    subject_id: int | None,
    detail: Mapping[str, object],
    now: datetime,
) -> None:
    """Put on record what was done, in the transaction that does it. `staff_id` None: by the command line.

    `detail` names what changed (fields, numbers, states, codes), never a person's data: it outlives her record.
    """
    values = {"staff_id": staff_id, "action": action, "subject": subject, "subject_id": subject_id, "now": now}
    session.execute(_WRITE, values | {"detail": orjson.dumps(dict(detail)).decode()})


def write_all(session: Session, action: str, subject: str, ids: Collection[int], now: datetime) -> None:
    """The same for what the command line did to several at once: how many, and the first of them; nothing when to none."""
    if ids:
        one, *others = named = sorted(ids)[:NAMED]
        detail = {"count": len(ids), "ids": named}
        write(session, None, action, subject, None if others else one, detail, now)


def of(session: Session, subject: str, subject_id: int, most: int = 50) -> Sequence[Row[tuple[object, ...]]]:
    """What was done to it, the newest first: rows of (at, action, detail, who)."""
    values = {"subject": subject, "subject_id": subject_id, "most": most}
    return session.execute(_OF, values).all()
