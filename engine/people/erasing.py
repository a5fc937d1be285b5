"""A person is forgotten: her row says nothing any more, and each area takes out what it knows of her (see REACTIONS).

What stays, and why: amounts and the ledger, under a number; the treasurer's snapshot of gifts to our funds, for the years
that the law asks (engine/giving/keeping.py); that she consented or withdrew, without words; and that her address must not be
written to, as a keyed hash: whoever brings the address finds it, nobody can read it out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import NotFound
from engine.events import ContactErased, Event
from engine.people import contacts, locks, traces
from engine.people.consent import OF_ONE_ADDRESS
from engine.settings import Settings
from engine.tokens import Signer

_FAMILY = text("SELECT id, email, erased_at FROM contact WHERE id = :id OR merged_into_id = :id ORDER BY id")

# Each reason under the present key, hers for all her addresses; and that she was erased.
_HASH = text(f"""
WITH hers AS (SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, hash text))
INSERT INTO erased_address AS e (hash, reason, at)
SELECT h.hash, s.reason, max(s.at) FROM hers h JOIN (
    SELECT email, reason, at FROM suppression WHERE email IN (SELECT email FROM hers)
    UNION ALL SELECT NULL, 'erased', CAST(:now AS timestamptz)
) s ON s.email = h.email OR s.reason NOT IN {OF_ONE_ADDRESS}
GROUP BY h.hash, s.reason
ON CONFLICT (hash, reason) DO UPDATE SET at = greatest(e.at, excluded.at)
""")
_UNLIST = text("DELETE FROM suppression WHERE email = ANY(:emails)")
# Of an import that was cut short: it leaves her out when it goes on, and need not name her until then.
_UNSTAGE = [text(f"DELETE FROM {table} WHERE email = ANY(:emails)") for table in ("import_row", "import_person")]
_BLANK = text("""
UPDATE contact SET email = NULL, donor_key = NULL, first_name = '', last_name = '', street = '', city = '', state = '',
    zip = NULL, country = '', phone = '', time_zone = '', language = 'en', custom = '{}', chapter_id = NULL,
    name_at = NULL, place_at = NULL, moved_at = NULL, address_at = NULL, phone_at = NULL,
    placed_chapter_id = NULL, chosen_chapter_id = NULL, entity_chapter_id = NULL, chosen_by = '', routed_by = '',
    routed_on = '',
    engaged_last_at = NULL, erased_at = :now
WHERE id = ANY(:ids)
""")

_RECALL = text("""
INSERT INTO suppression AS s (email, reason, at)
SELECT v.email, e.reason, max(e.at) FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, hash text)
JOIN erased_address e ON e.hash = v.hash
GROUP BY v.email, e.reason ORDER BY v.email, e.reason
ON CONFLICT (email, reason) DO UPDATE SET at = excluded.at WHERE excluded.at > s.at
""")
_FORGOTTEN = text("""
SELECT DISTINCT v.email FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, hash text)
JOIN erased_address e ON e.hash = v.hash WHERE NOT EXISTS (SELECT FROM contact c WHERE c.email = v.email)
""")

_GONE = ("followed_chapter", "contact_interest", "introduction", "chapter_lead", "volunteer_offer", "chapter_move")
_DELETES = [text(f"DELETE FROM {table} WHERE contact_id = ANY(:ids)") for table in _GONE]
_SCRUBS = [
    text("UPDATE consent SET place = '', wording = '' WHERE contact_id = ANY(:ids)"),
    text("""
UPDATE confirmation SET place = '', wording = '', expires_at = least(expires_at, :now) WHERE contact_id = ANY(:ids)
"""),
    text("UPDATE sign_up SET person = '{}', place = '', tags = '{}', detail = '{}' WHERE contact_id = ANY(:ids)"),
]

# Tables of people's that name a contact: her rows are deleted, or kept without what they said.
DELETED = frozenset(_GONE)
SCRUBBED = frozenset({"consent", "confirmation", "sign_up"})

_OUTLOOK = text("""
SELECT (SELECT count(*) FROM contribution WHERE contact_id = ANY(:ids)) AS gifts,
    (SELECT max(g.paid_at + make_interval(years => f.retention_years)) FROM contribution g JOIN fund f ON f.id = g.fund_id
     WHERE g.contact_id = ANY(:ids) AND g.donor <> '{}') AS until,
    (SELECT count(*) FROM recurring_plan WHERE contact_id = ANY(:ids) AND state NOT IN ('cancelled', 'lapsed')) AS plans,
    (SELECT count(*) FROM message WHERE contact_id = ANY(:ids))
        + (SELECT count(*) FROM past_letter WHERE contact_id = ANY(:ids)) AS letters,
    (SELECT count(*) FROM sign_up WHERE contact_id = ANY(:ids)) AS sign_ups,
    (SELECT count(*) FROM staff WHERE email = ANY(:emails)) AS staff
""")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What erasing somebody means, in numbers. `until`: when the last snapshot of a gift of hers is emptied, if there is one.

    `waiting`, `quarantined`: ids of raw events that name her and are still to be applied, or cannot be.
    """

    contact_ids: tuple[int, ...]
    emails: tuple[str, ...]
    gifts: int
    until: datetime | None
    plans: int
    letters: int
    sign_ups: int
    staff: int
    bodies: int
    waiting: tuple[int, ...]
    quarantined: tuple[int, ...]


def outlook(session: Session, contact_id: int) -> Outlook:
    """What erasing this person would take out and leave. Raises NotFound, also for one who is erased."""
    ids, emails = _family(session, contact_id)
    if not ids:
        raise NotFound(f"contact {contact_id} was erased")
    found = traces.mentioning(session, ids, emails)
    by_state = {state: tuple(i for i in found if found[i] == state) for state in ("pending", "quarantined")}
    numbers = session.execute(_OUTLOOK, {"ids": ids, "emails": emails}).one()
    return Outlook(
        tuple(ids), tuple(emails), **numbers._mapping, bodies=len(found) - len(by_state["pending"]),
        waiting=by_state["pending"], quarantined=by_state["quarantined"],
    )  # fmt: skip


def erase(session: Session, contact_id: int, signer: Signer, now: datetime) -> list[Event]:
    """Forget this person and all who were merged into her; of one who was merged, whom she is now. Twice is once.

    Her row and the hash of her address are written here, the rest follows from the events. Raises NotFound.
    """
    ids, emails = _family(session, contact_id)
    found = traces.mentioning(session, ids, emails)  # takes its time: nobody waits for us yet
    traces.empty(session, [event for event, state in found.items() if state != "pending"])
    locks.hold(session, ids)
    ids, emails = _family(session, contact_id)
    if not ids:
        return []
    family = session.execute(_FAMILY, {"id": contacts.standing(session, contact_id)}).all()
    hashed = [{"email": email, "hash": signer.hashes(email)[-1]} for email in emails]
    session.execute(_HASH, {"rows": rows(hashed), "now": now})
    for statement in (_UNLIST, *_UNSTAGE):
        session.execute(statement, {"emails": emails})
    session.execute(_BLANK, {"ids": ids, "now": now})
    return [ContactErased(None, row.id, row.email) for row in family]


def forget(session: Session, erased: Sequence[ContactErased], now: datetime, _: Settings) -> list[Event]:
    """People's part: what she cared about, offered, led and where she was at home goes; what she said loses its words."""
    values = {"ids": [event.contact_id for event in erased], "now": now}
    for statement in (*_DELETES, *_SCRUBS):
        session.execute(statement, values)
    return []


def recall(session: Session, emails: Collection[str], signer: Signer) -> None:
    """Of the addresses of these contacts, who are locked: what forbade to write to a person who was erased and had one of
    them forbids it again, whoever made the contact. One statement, however many."""
    if emails:
        session.execute(_RECALL, {"rows": _hashed(emails, signer)})


def forgotten(session: Session, emails: Collection[str], signer: Signer) -> set[str]:
    """Those of these addresses whose people were erased and have not come again by themselves."""
    return set(session.scalars(_FORGOTTEN, {"rows": _hashed(emails, signer)})) if emails else set()


def _family(session: Session, contact_id: int) -> tuple[list[int], list[str]]:
    """Who is to be forgotten with her: ids and addresses. Nobody when she is erased already."""
    family = session.execute(_FAMILY, {"id": contacts.standing(session, contact_id)}).all()
    if any(row.erased_at is not None for row in family):
        return [], []
    return [row.id for row in family], [row.email for row in family if row.email]


def _hashed(emails: Collection[str], signer: Signer) -> str:
    return rows({"email": email, "hash": each} for email in emails for each in signer.hashes(email))
