"""Magic links: asked for by address, sent by letter, used once, within 15 minutes, in the browser that asked.

The letter's facts hold the link's id alone; its address is signed when the letter is rendered.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.events import Event, LettersComposed
from engine.letters import writing
from engine.sources.words import email_address
from engine.staff import audit

SHIPPED = "sign_in"
LIFE = timedelta(minutes=15)

_ASK = text("""
INSERT INTO sign_in (staff_id, browser, asked_at, expires_at)
SELECT id, :browser, :now, :until FROM staff WHERE email = :email AND ended_at IS NULL
RETURNING id
""")
# A letter goes to a contact: someone of the staff who is nobody's supporter gets a row that allows nothing.
_CONTACT = text("""
INSERT INTO contact (email, details_at, chapter_id, routed_by, routed_on)
SELECT :email, 'epoch', (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1), 'operator', 'staff'
ON CONFLICT (email) DO NOTHING
""")
_WRITE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, expires_at, chapter_id, facts)
SELECT c.id, m.id, 'sign-in:' || CAST(:id AS bigint), :lane, :now, :until,
    (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1), jsonb_build_object('sign_in_id', CAST(:id AS bigint))
FROM contact c, mailing m WHERE c.email = :email AND m.id = :mailing_id
RETURNING id
""")
_LOOK = text("""
SELECT i.id, i.staff_id, i.browser, i.used_at IS NULL AND i.expires_at > :now AND s.ended_at IS NULL AS open
FROM sign_in i JOIN staff s ON s.id = i.staff_id WHERE i.id = :id
""")
# Whoever comes second waits for the first, and finds nothing. The links that were asked for beside it end with it.
_USE = text("""
UPDATE sign_in SET used_at = :now WHERE id = :id AND used_at IS NULL AND expires_at > :now RETURNING staff_id
""")
_END_OTHERS = text("UPDATE sign_in SET used_at = :now WHERE staff_id = :staff_id AND used_at IS NULL")

OPEN, OVER, ELSEWHERE = "open", "over", "elsewhere"


def digest(secret: str) -> str:
    """What is kept of a cookie: its SHA-256. It is 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def ask(session: Session, email: str, browser: str, now: datetime) -> list[Event]:
    """Send a link to this address if somebody of the staff has it. `browser`: the cookie of who asks.

    Says nothing of whether it did: the events are for the bells alone.
    """
    known = email_address(email)
    values = {"email": known or "", "browser": digest(browser), "now": now, "until": now + LIFE}
    link = session.scalar(_ASK, values)
    if link is None:
        return []
    session.execute(_CONTACT, {"email": known})
    letter = {"id": link, "email": known, "lane": bell.RECEIPTS, "mailing_id": writing.english(session, SHIPPED)}
    made = session.scalar(_WRITE, letter | {"now": now, "until": now + LIFE})
    return [LettersComposed(None, bell.RECEIPTS)] if made is not None else []


def look(session: Session, link: int, browser: str, now: datetime) -> str:
    """What can be done with this link in this browser, without doing it: OPEN, OVER (used, too old, no such), ELSEWHERE."""
    found = session.execute(_LOOK, {"id": link, "now": now}).one_or_none()
    if found is None or not found.open:
        return OVER
    return OPEN if hmac.compare_digest(found.browser, digest(browser)) else ELSEWHERE


def use(session: Session, link: int, browser: str, now: datetime) -> tuple[str, int | None]:
    """Use it up. Returns what `look` says, and of an OPEN one whose it was. In another browser it stays as it is."""
    said = look(session, link, browser, now)
    if said != OPEN:
        return said, None
    staff_id = session.scalar(_USE, {"id": link, "now": now})
    if staff_id is None:
        return OVER, None
    session.execute(_END_OTHERS, {"staff_id": staff_id, "now": now})
    audit.write(session, staff_id, "signed in", "staff", staff_id, {"sign_in_id": link}, now)
    return OPEN, int(staff_id)
