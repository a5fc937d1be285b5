"""Staff accounts: who works for the organisation, in which role, for which chapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.sources.words import clean, email_address
from engine.staff import audit, rights

_CHAPTER = text("SELECT id FROM chapter WHERE slug = :slug")
# Who ended and comes back is the same person with a new role; who is there already is not changed by the way.
_ADD = text("""
INSERT INTO staff AS s (email, name, role, chapter_id, may_export, created_at)
VALUES (:email, :name, :role, :chapter_id, :may_export, :now)
ON CONFLICT (email) DO UPDATE SET name = excluded.name, role = excluded.role, chapter_id = excluded.chapter_id,
    may_export = excluded.may_export, ended_at = NULL
    WHERE s.ended_at IS NOT NULL
RETURNING id
""")
_END = text("UPDATE staff SET ended_at = :now WHERE email = :email AND ended_at IS NULL RETURNING id")
_END_SESSIONS = text("UPDATE staff_session SET ended_at = :now WHERE staff_id = :id AND ended_at IS NULL")
_END_LINKS = text("UPDATE sign_in SET used_at = :now WHERE staff_id = :id AND used_at IS NULL")
_OPEN = text(
    "SELECT id, email, name, role, chapter_id, may_export FROM staff WHERE email = :email AND ended_at IS NULL"
)
_END_TOKENS = text("UPDATE api_token SET revoked_at = :now WHERE staff_id = :id AND revoked_at IS NULL")
_FIRST_ADMIN = text("SELECT email FROM staff WHERE role = 'admin' AND ended_at IS NULL ORDER BY id LIMIT 1")
_ALL = text("""
SELECT s.id, s.email, s.name, s.role, s.may_export, s.created_at, s.ended_at, coalesce(c.name, 'all chapters') AS chapter,
    (SELECT max(created_at) FROM staff_session t WHERE t.staff_id = s.id) AS signed_in_at
FROM staff s LEFT JOIN chapter c ON c.id = s.chapter_id ORDER BY s.ended_at IS NOT NULL, s.email
""")


@dataclass(frozen=True, slots=True)
class Account:
    """Someone of the staff, as a request sees her: her role and her reach."""

    id: int
    email: str
    name: str
    role: str
    may_export: bool
    reach: rights.Reach

    def may(self, right: str) -> bool:
        """Whether she may do this at all, somewhere."""
        everywhere = self.reach.everywhere
        return rights.may(self.role, right, may_export=self.may_export, everywhere=everywhere)

    @property
    def called(self) -> str:
        """Her name, or her address until she has one."""
        return self.name or self.email


def add(
    session: Session,
    email: str,
    role: str,
    now: datetime,
    *,
    chapter: str = "",
    name: str = "",
    may_export: bool = False,
    by: int | None = None,
) -> int:
    """Take someone on; `chapter` is a slug, empty for all chapters. Returns her id.

    Raises Invalid for an unusable address or an unknown role, NotFound for an unknown chapter, Conflict when she is there.
    """
    known = email_address(email.strip())
    if known is None:
        raise Invalid("this is no address that we can write to")
    if role not in rights.RIGHTS:
        raise Invalid(f"no such role; there are {', '.join(rights.RIGHTS)}")
    values = {"email": known, "name": clean(name), "role": role, "may_export": may_export, "now": now}
    chapter_id = _chapter(session, chapter) if chapter else None
    staff_id = session.scalar(_ADD, values | {"chapter_id": chapter_id})
    if staff_id is None:
        raise Conflict("this address is on the staff already; end it first, and add it again with what it shall have")
    detail = {"role": role, "chapter_id": chapter_id, "may_export": may_export}
    audit.write(session, by, "staff added", "staff", staff_id, detail, now)
    return int(staff_id)


def end(session: Session, email: str, now: datetime, by: int | None = None) -> None:
    """Let someone go: her sessions, links and programs' tokens end at once. Raises NotFound when no such account is open."""
    staff_id = session.scalar(_END, {"email": email_address(email.strip()) or "", "now": now})
    if staff_id is None:
        raise NotFound("nobody of this address is on the staff")
    for statement in (_END_SESSIONS, _END_LINKS, _END_TOKENS):
        session.execute(statement, {"id": staff_id, "now": now})
    audit.write(session, by, "staff ended", "staff", staff_id, {}, now)


def of_address(session: Session, email: str) -> Account:
    """Who of the staff has this address. Raises NotFound when no such account is open."""
    found = session.execute(_OPEN, {"email": email_address(email.strip()) or ""}).one_or_none()
    if found is None:
        raise NotFound("nobody of this address is on the staff")
    reach = rights.reach(session, found.chapter_id)
    return Account(found.id, found.email, found.name, found.role, found.may_export, reach)


def everyone(session: Session) -> Sequence[Row[tuple[object, ...]]]:
    """The staff, those who ended last: rows of (id, email, name, role, may_export, created_at, ended_at, chapter,
    signed_in_at)."""
    return session.execute(_ALL).all()


def _chapter(session: Session, slug: str) -> int:
    found = session.scalar(_CHAPTER, {"slug": slug})
    if found is None:
        raise NotFound(f"no chapter {slug}")
    return int(found)


def first_admin(session: Session) -> str | None:
    """The address of the admin who has been there longest; None when there is none."""
    email: str | None = session.scalar(_FIRST_ADMIN)
    return email
