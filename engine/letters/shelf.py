"""What letters there are: what each is, what it says in which version, and how its mailings fared."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound

_EVERY = text("""
SELECT l.slug, l.kind, l.shipped, l.note_until, w.version, spoken.languages, w.subject, w.handed, w.paused
FROM letter l CROSS JOIN LATERAL (
    SELECT max(m.version) AS version, sum(m.handed) AS handed, bool_or(m.paused_at IS NOT NULL) AS paused,
        (array_agg(m.subject ORDER BY m.version DESC) FILTER (WHERE m.language = 'en'))[1] AS subject
    FROM mailing m WHERE m.letter_id = l.id) w
CROSS JOIN LATERAL (
    SELECT string_agg(m.language, ' ' ORDER BY m.language) AS languages
    FROM mailing m WHERE m.letter_id = l.id AND m.version = w.version) spoken
ORDER BY l.shipped, l.id DESC
""")
_ONE = text("""
SELECT l.id, l.slug, l.kind, l.layout, l.note_until, l.quiet_from, l.quiet_until, l.shipped, l.facts,
    coalesce(u.slug, '') AS fund, coalesce(f.slug, '') AS form
FROM letter l LEFT JOIN donation_form f ON f.id = l.donation_form_id LEFT JOIN fund u ON u.id = l.fund_id
WHERE l.slug = :slug
""")
_FARED = text("""
SELECT slug, version, language, created_at, handed, delivered, bounced, complained, refused, paused_at, paused_because
FROM mailing WHERE letter_id = :letter_id ORDER BY version DESC, language LIMIT :most
""")
_FORMS = text("SELECT slug, title FROM donation_form WHERE version > 0 ORDER BY slug")
_CLOSED = text("""
SELECT f.slug, f.closed_because FROM letter l JOIN donation_form f ON f.id = l.donation_form_id
WHERE l.slug = :slug AND f.closed_at IS NOT NULL
""")
_FUNDS = text("SELECT slug, name FROM fund ORDER BY id")


def every(session: Session) -> Sequence[Row[Any]]:
    """All letters, those of the organisation first, the newest of them first: rows of (slug, kind, shipped, note_until,
    version, languages, subject, handed, paused)."""
    return session.execute(_EVERY).all()


def one(session: Session, slug: str) -> Row[Any]:
    """What this letter is: (id, slug, kind, layout, note_until, quiet_from, quiet_until, shipped, facts, fund, form).
    Raises NotFound."""
    found = session.execute(_ONE, {"slug": slug}).one_or_none()
    if found is None:
        raise NotFound(f"there is no letter {slug[:60]}")
    return found


def fared(session: Session, letter_id: int, most: int = 40) -> Sequence[Row[Any]]:
    """How the mailings of a letter fared, the newest first: their counts, and why one is paused."""
    return session.execute(_FARED, {"letter_id": letter_id, "most": most}).all()


def forms(session: Session) -> Sequence[Row[Any]]:
    """The donation forms that a letter can lead to: rows of (slug, title)."""
    return session.execute(_FORMS).all()


def remarks(session: Session, slug: str) -> list[str]:
    """What one should look at besides the words of a letter, in sentences."""
    closed = session.execute(_CLOSED, {"slug": slug})
    return [f"Its donation form {form} is closed, so nobody can give by it now: {because}" for form, because in closed]


def funds(session: Session) -> Sequence[Row[Any]]:
    """The funds whose disclaimer a letter can carry: rows of (slug, name)."""
    return session.execute(_FUNDS).all()
