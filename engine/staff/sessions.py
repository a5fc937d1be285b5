"""Sessions: browsers that are signed in. A row each, so they outlive restarts and end at once when the account ends.

Only the SHA-256 of the cookie is kept. A session lasts a working day from signing in, however busy: no cookie that was
copied stays good by being used.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.orm import Session

from engine.staff import audit, rights
from engine.staff.accounts import Account
from engine.staff.sign_ins import digest

LIFE = timedelta(hours=12)

_BEGIN = text("""
INSERT INTO staff_session (staff_id, token_hash, created_at, expires_at)
VALUES (:staff_id, :hash, :now, :until)
""")
_FIND = text("""
SELECT t.id AS session_id, s.id, s.email, s.name, s.role, s.chapter_id, s.may_export
FROM staff_session t JOIN staff s ON s.id = t.staff_id
WHERE t.token_hash = :hash AND t.ended_at IS NULL AND t.expires_at > :now AND s.ended_at IS NULL
""")
_END = text("UPDATE staff_session SET ended_at = :now WHERE token_hash = :hash AND ended_at IS NULL RETURNING staff_id")

_ALL_OR_ONE = "(CAST(:staff_id AS bigint) IS NULL OR staff_id = :staff_id)"
_END_ALL = text(
    f"UPDATE staff_session SET ended_at = :now WHERE ended_at IS NULL AND expires_at > :now AND {_ALL_OR_ONE}"
)
_END_LINKS = text(f"UPDATE sign_in SET used_at = :now WHERE used_at IS NULL AND {_ALL_OR_ONE}")


@dataclass(frozen=True, slots=True)
class Signed:
    """Who is signed in, and in which session (the id of its row: forms are bound to it)."""

    session_id: int
    who: Account


def begin(session: Session, staff_id: int, now: datetime) -> str:
    """Begin a session; returns what its cookie holds, which nobody has seen before."""
    token = secrets.token_urlsafe(32)
    session.execute(_BEGIN, {"staff_id": staff_id, "hash": digest(token), "now": now, "until": now + LIFE})
    return token


def find(session: Session, token: str, now: datetime) -> Signed | None:
    """Who holds this cookie; None when it is nobody's, or not any more."""
    found = session.execute(_FIND, {"hash": digest(token), "now": now}).one_or_none() if token else None
    if found is None:
        return None
    where = rights.reach(session, found.chapter_id)
    return Signed(found.session_id, Account(found.id, found.email, found.name, found.role, found.may_export, where))


def end(session: Session, token: str, now: datetime) -> None:
    """Sign out: the cookie opens nothing any more."""
    staff_id = session.scalar(_END, {"hash": digest(token), "now": now})
    if staff_id is not None:
        audit.write(session, staff_id, "signed out", "staff", staff_id, {}, now)


def end_all(session: Session, now: datetime, staff_id: int | None = None) -> int:
    """Sign everybody out, or one of the staff in every browser, and take back the links that are on their way; how many
    sessions ended. Accounts and tokens of programs stay."""
    ended = _count(session, _END_ALL, staff_id, now)
    detail = {"sessions": ended, "links": _count(session, _END_LINKS, staff_id, now)}
    audit.write(session, None, "signed out by command", "staff", staff_id, detail, now)
    return ended


def _count(session: Session, statement: TextClause, staff_id: int | None, now: datetime) -> int:
    done = session.execute(statement, {"staff_id": staff_id, "now": now})
    assert isinstance(done, CursorResult)
    return done.rowcount
