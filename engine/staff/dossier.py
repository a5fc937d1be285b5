"""One person, as staff sees her: everything we hold of her, within the reach and the rights of who looks.

Who is out of reach is not found. Amounts are for who may see gifts; who gave as it was told, for the treasurer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.giving import ask_rests, refund_orders
from engine.people.consent import STANDING_SUPPRESSIONS
from engine.staff import audit, rights
from engine.staff.accounts import Account
from engine.staff.rights import IN_REACH

SHOWN = 25
APART = ("tags", "note")  # of the fields of her own, those with a place of their own

Rows = Sequence[Row[tuple[object, ...]]]

_PERSON = text(f"""
SELECT c.*, h.name AS chapter, p.name AS placed, o.name AS chosen, c.custom ->> 'note' AS note
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id
LEFT JOIN chapter p ON p.id = c.placed_chapter_id LEFT JOIN chapter o ON o.id = c.chosen_chapter_id
WHERE c.id = :id AND {IN_REACH}
""")
_MOVES = text("""
SELECT m.at, m.by, m.on, coalesce(f.name, 'none') AS before, coalesce(t.name, 'none') AS after
FROM chapter_move m LEFT JOIN chapter f ON f.id = m.from_chapter_id LEFT JOIN chapter t ON t.id = m.to_chapter_id
WHERE m.contact_id = :id ORDER BY m.id DESC LIMIT :most
""")
_CONSENTS = text("""
SELECT at, channel, kind, given, until, source, place, wording FROM consent WHERE contact_id = :id
ORDER BY at DESC, id DESC LIMIT :most
""")
_SUPPRESSIONS = text(f"""
SELECT s.reason, s.at, EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) x WHERE x.email = s.email AND x.reason = s.reason)
    AS stands
FROM suppression s WHERE s.email = :email ORDER BY s.at DESC
""")
_INTERESTS = text("""
SELECT i.name, a.name AS agenda, k.at FROM contact_interest k JOIN interest i ON i.id = k.interest_id
JOIN agenda a ON a.id = i.agenda_id WHERE k.contact_id = :id ORDER BY a.position, i.position
""")
_FOLLOWED = text("""
SELECT h.name, f.at FROM followed_chapter f JOIN chapter h ON h.id = f.chapter_id WHERE f.contact_id = :id ORDER BY h.name
""")
_OFFERS = text("""
SELECT o.id, w.name AS way, o.state, o.note, o.at, o.changed_at FROM volunteer_offer o
JOIN way_to_help w ON w.id = o.way_to_help_id WHERE o.contact_id = :id ORDER BY w.position, o.id
""")
_GIFTS = text(f"""
SELECT g.id, g.paid_at, g.amount_cents, g.currency, g.status, g.recurring_period, coalesce(f.name, g.entity_name) AS receiver,
    g.order_number, CASE WHEN :snapshots THEN g.donor END AS donor, ({refund_orders.OPEN}) AS ordered_back_cents
FROM contribution g LEFT JOIN fund f ON f.id = g.fund_id WHERE g.contact_id = :id ORDER BY g.paid_at DESC LIMIT :most
""")
_RESTS = text(f"""
SELECT r.reason, r.until, f.name AS fund FROM ask_rest r LEFT JOIN fund f ON f.id = r.fund_id
WHERE r.contact_id = :id AND {ask_rests.STANDS} ORDER BY r.until DESC, r.reason
""")
_LETTERS = text("""
SELECT m.id, w.subject, w.slug, m.state, m.reason, m.due_at, m.kind FROM (
    SELECT id, mailing_id, state, reason, due_at, kind FROM message WHERE contact_id = :id
    UNION ALL SELECT id, mailing_id, state, reason, due_at, kind FROM past_letter WHERE contact_id = :id
) m JOIN mailing w ON w.id = m.mailing_id ORDER BY m.id DESC LIMIT :most
""")
_CHAPTERS = text("""
WITH RECURSIVE tree AS (
    SELECT id, name, 0 AS depth, ARRAY[name] AS path FROM chapter WHERE parent_id IS NULL
    UNION ALL SELECT h.id, h.name, tree.depth + 1, tree.path || h.name FROM chapter h JOIN tree ON h.parent_id = tree.id
)
SELECT id, name, depth FROM tree WHERE :everywhere OR id = ANY(CAST(:reach AS bigint[])) ORDER BY path
""")


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything about one person that this account may see; the rows of each part are named as the page shows them."""

    person: Row[Any]
    moves: Rows
    consents: Rows
    suppressions: Rows
    interests: Rows
    offers: Rows
    followed: Rows
    gifts: Rows
    rests: Rows
    letters: Rows
    history: Rows

    @property
    def name(self) -> str:
        """What to call her."""
        return called(self.person)

    @property
    def tags(self) -> list[str]:
        """The tags that other systems gave her."""
        return tags(self.person.custom)

    @property
    def unasked(self) -> list[tuple[str, datetime, str | None]]:
        """Why she is not asked for money, until when, and for which fund alone."""
        return [(ask_rests.WORDS[rest.reason], rest.until, rest.fund) for rest in self.rests]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What else is kept of her, field by field."""
        return fields(self.person.custom)


def called(person: Row[Any]) -> str:
    """Her name, else her address, else that she has neither."""
    return f"{person.first_name} {person.last_name}".strip() or person.email or "Somebody without a name"


def tags(custom: Mapping[str, Any]) -> list[str]:
    """The tags among what is kept of somebody beside the usual fields."""
    told = custom.get("tags")
    return [str(tag) for tag in told] if isinstance(told, list) else []


def fields(custom: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rest of it, but for the note: each field that says anything, with its value in words."""
    told = ((name.replace("_", " "), _words(value)) for name, value in custom.items() if name not in APART)
    return [(name, said) for name, said in told if said]


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(each)}" for name, each in value.items())
    return "" if value is None else str(value)


def find(session: Session, who: Account, contact_id: int) -> Row[Any]:
    """Her row, with the names of her chapters. Raises NotFound when she is out of reach; erased ones are for treasurers."""
    found = session.execute(_PERSON, who.reach.values() | {"id": contact_id}).one_or_none()
    if found is None or (found.erased_at is not None and not who.may(rights.SEE_SNAPSHOTS)):
        raise NotFound("no such person")
    return found


def read(session: Session, who: Account, contact_id: int, now: datetime) -> Dossier:
    """Everything about her. Raises NotFound as `find`."""
    person = find(session, who, contact_id)
    values = {"id": contact_id, "most": SHOWN}
    snapshots = {"snapshots": who.may(rights.SEE_SNAPSHOTS)}
    return Dossier(
        person=person,
        moves=session.execute(_MOVES, values).all(),
        consents=session.execute(_CONSENTS, values).all(),
        suppressions=session.execute(_SUPPRESSIONS, {"email": person.email}).all(),
        interests=session.execute(_INTERESTS, values).all(),
        offers=session.execute(_OFFERS, values).all(),
        followed=session.execute(_FOLLOWED, values).all(),
        gifts=session.execute(_GIFTS, values | snapshots).all() if who.may(rights.SEE_GIFTS) else [],
        rests=session.execute(_RESTS, {"id": contact_id, "now": now}).all(),
        letters=session.execute(_LETTERS, values).all(),
        history=audit.of(session, "contact", contact_id, SHOWN),
    )


def chapters(session: Session, who: Account) -> Rows:
    """The chapters within her reach, as a tree told in order: rows of (id, name, depth)."""
    return session.execute(_CHAPTERS, who.reach.values()).all()
