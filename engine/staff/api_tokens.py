"""Tokens of staff's programs: made, found, revoked. Nobody can read one again: only its SHA-256 is kept.

A token may do what its scopes say and no more, within one chapter and those below it, in the name of the member of the staff
who answers for it: it ends when she does.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Forbidden, Invalid, NotFound
from engine.sources.words import clean, email_address
from engine.staff import audit, rights
from engine.staff.rights import Reach
from engine.staff.sign_ins import digest

PREFIX = "gsw_"  # so that whoever finds one in a repository knows whose it is
DAYS, MOST_DAYS = 90, 365

# What a token may do, and the right that its holder must have.
SCOPES: Mapping[str, str] = {
    "segments:read": rights.SEE_PEOPLE,
    "segments:write": rights.LAUNCH,
    "sequences:read": rights.SEE_PEOPLE,
    "sequences:write": rights.LAUNCH,
    "campaigns:read": rights.SEE_PEOPLE,
    "campaigns:write": rights.LAUNCH,
    "campaigns:launch": rights.LAUNCH,
    "people:read": rights.SEE_PEOPLE,
}

_HOLDER = text("SELECT id, role, chapter_id FROM staff WHERE email = :email AND ended_at IS NULL")
_CHAPTER = text("SELECT id FROM chapter WHERE slug = :slug")
_CREATE = text("""
INSERT INTO api_token (name, token_hash, scopes, chapter_id, staff_id, created_at, expires_at)
VALUES (:name, :hash, :scopes, :chapter_id, :staff_id, :now, :until) RETURNING id
""")
_FIND = text("""
SELECT t.id, t.name, t.scopes, t.chapter_id, t.staff_id, t.expires_at, coalesce(h.slug, '') AS chapter,
    t.used_at IS NULL OR t.used_at < CAST(:now AS timestamptz) - interval '1 hour' AS unseen
FROM api_token t JOIN staff s ON s.id = t.staff_id LEFT JOIN chapter h ON h.id = t.chapter_id
WHERE t.token_hash = :hash AND t.revoked_at IS NULL AND t.expires_at > :now AND s.ended_at IS NULL
""")
_USED = text("UPDATE api_token SET used_at = :now WHERE id = :id")
_REVOKE = text("UPDATE api_token SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id")
_IS = text("SELECT 1 FROM api_token WHERE id = :id")
_ALL = text("""
SELECT t.id, t.name, t.scopes, coalesce(h.slug, 'all chapters') AS chapter, s.email, t.created_at, t.expires_at,
    t.revoked_at, t.used_at
FROM api_token t JOIN staff s ON s.id = t.staff_id LEFT JOIN chapter h ON h.id = t.chapter_id ORDER BY t.id
""")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks by a token. `chapter`: the slug of the one that it is bound to, '' none; `staff_id`: who answers for it."""

    token_id: int
    name: str
    staff_id: int
    scopes: frozenset[str]
    chapter: str
    reach: Reach
    expires_at: datetime


def create(
    session: Session,
    name: str,
    holder: str,
    scopes: Collection[str],
    now: datetime,
    *,
    chapter: str = "",
    days: int = DAYS,
) -> tuple[int, str]:
    """Make a token for a program of this member of the staff (by her address); returns its number and, this once, itself.

    `chapter`: slug; none: as far as her own reach goes. Raises Invalid (no name, no such scope, days), NotFound (her, the
    chapter, one out of her reach), Forbidden (her role may not do what a scope allows).
    """
    known = clean(name)
    if not known:
        raise Invalid("a token has a name: which program it is for")
    if not scopes or (strange := sorted(set(scopes) - set(SCOPES))):
        raise Invalid(f"there is no scope {strange[0]}" if scopes else f"name its scopes: {', '.join(SCOPES)}")
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(f"a token lasts from 1 to {MOST_DAYS} days")
    who = session.execute(_HOLDER, {"email": email_address(holder.strip()) or ""}).one_or_none()
    if who is None:
        raise NotFound("nobody of this address is on the staff")
    if beyond := sorted(scope for scope in set(scopes) if not rights.may(who.role, SCOPES[scope])):
        raise Forbidden(f"{who.role} is a role that may not do this: {', '.join(beyond)}")
    token = PREFIX + secrets.token_urlsafe(32)
    chapter_id = _within(session, chapter, who.chapter_id) if chapter else who.chapter_id
    values = {"name": known, "hash": digest(token), "scopes": sorted(set(scopes)), "chapter_id": chapter_id}
    values |= {"staff_id": who.id, "now": now, "until": now + timedelta(days=days)}
    number: int = session.execute(_CREATE, values).scalar_one()
    detail = {"scopes": sorted(set(scopes)), "chapter_id": chapter_id, "staff_id": who.id, "days": days}
    audit.write(session, None, "token created", "api_token", number, detail, now)
    return number, token


def find(session: Session, token: str, now: datetime) -> Caller | None:
    """Who shows this token; None when it is nobody's, or not any more. When it was last shown is noted, to the hour."""
    if not token.startswith(PREFIX):
        return None
    found = session.execute(_FIND, {"hash": digest(token), "now": now}).one_or_none()
    if found is None:
        return None
    if found.unseen:
        session.execute(_USED, {"id": found.id, "now": now})
    reach = rights.reach(session, found.chapter_id)
    chapter = "" if reach.everywhere else found.chapter
    return Caller(found.id, found.name, found.staff_id, frozenset(found.scopes), chapter, reach, found.expires_at)


def revoke(session: Session, number: int, now: datetime) -> None:
    """End a token at once. Raises NotFound, Conflict when it was revoked before."""
    if session.scalar(_REVOKE, {"id": number, "now": now}) is None:
        if session.scalar(_IS, {"id": number}) is None:
            raise NotFound(f"there is no token {number}")
        raise Conflict(f"token {number} was revoked before")
    audit.write(session, None, "token revoked", "api_token", number, {}, now)


def every(session: Session) -> Sequence[Row[tuple[object, ...]]]:
    """All tokens ever made: rows of (id, name, scopes, chapter, email, created_at, expires_at, revoked_at, used_at)."""
    return session.execute(_ALL).all()


def _within(session: Session, slug: str, bound: int | None) -> int:
    """The id of this chapter, if it is within the reach of whoever works for `bound`."""
    found: int | None = session.scalar(_CHAPTER, {"slug": slug})
    if found is None or not rights.reach(session, bound).holds(found):
        raise NotFound(f"there is no chapter {slug}" if found is None else f"{slug} is out of her reach")
    return found
