"""Everything that is on record about one person, for her or for whoever must answer her: JSON and CSV in a zip.

Of those who were merged into her as well. What a table says that nobody could read (ids of other rows) stays with it where it
tells two rows of one kind apart.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.people import contacts

Bundle = Mapping[str, Sequence[Mapping[str, Any]]]

_FAMILY = text(
    "SELECT id, email, erased_at FROM contact WHERE id = :id OR merged_into_id = :id ORDER BY id = :id DESC, id"
)

# A part of the bundle: what it is called, the tables that it tells, and its query over :ids and :emails.
PARTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "contact": (("contact",), """
        SELECT c.*, h.name AS chapter FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id
        WHERE c.id = ANY(:ids) ORDER BY c.merged_into_id IS NOT NULL, c.id"""),
    "consents": (("consent",), """
        SELECT at, channel, kind, given, until, source, place, wording FROM consent
        WHERE contact_id = ANY(:ids) ORDER BY at, id"""),
    "confirmations": (("confirmation",), """
        SELECT asked_at, expires_at, confirmed_at, place, wording FROM confirmation
        WHERE contact_id = ANY(:ids) ORDER BY id"""),
    "suppressions": (("suppression",), """
        SELECT email, reason, at FROM suppression WHERE email = ANY(:emails) ORDER BY at, id"""),
    "sign_ups": (("sign_up",), """
        SELECT source, source_key, kind, at, place, tags, person, detail FROM sign_up
        WHERE contact_id = ANY(:ids) ORDER BY at, id"""),
    "interests": (("contact_interest",), """
        SELECT a.name AS agenda, i.name AS interest, x.at, x.source FROM contact_interest x
        JOIN interest i ON i.id = x.interest_id JOIN agenda a ON a.id = i.agenda_id
        WHERE x.contact_id = ANY(:ids) ORDER BY x.at, i.id"""),
    "offers_to_help": (("volunteer_offer",), """
        SELECT w.name AS way, o.state, o.note, o.at, o.changed_at FROM volunteer_offer o
        JOIN way_to_help w ON w.id = o.way_to_help_id WHERE o.contact_id = ANY(:ids) ORDER BY o.at, o.id"""),
    "chapters": (("followed_chapter", "chapter_lead", "introduction"), """
        SELECT 'follows' AS relation, h.name AS chapter, f.at FROM followed_chapter f JOIN chapter h ON h.id = f.chapter_id
        WHERE f.contact_id = ANY(:ids)
        UNION ALL SELECT 'leads', h.name, l.since FROM chapter_lead l JOIN chapter h ON h.id = l.chapter_id
        WHERE l.contact_id = ANY(:ids)
        UNION ALL SELECT 'wants to be introduced', place, at FROM introduction WHERE contact_id = ANY(:ids)
        ORDER BY 3, 1, 2"""),
    "chapter_history": (("chapter_move",), """
        SELECT m.at, f.name AS "from", t.name AS "to", m.by, m."on" FROM chapter_move m
        LEFT JOIN chapter f ON f.id = m.from_chapter_id LEFT JOIN chapter t ON t.id = m.to_chapter_id
        WHERE m.contact_id = ANY(:ids) ORDER BY m.at, m.id"""),
    "contributions": (("contribution",), """
        SELECT g.id, g.source, g.source_key, g.paid_at, g.amount_cents, g.currency, g.status,
            coalesce(f.name, g.entity_name) AS receiver, g.order_number, g.recurring_period, g.form_slug, g.refcode,
            g.refcode2, g.donor FROM contribution g LEFT JOIN fund f ON f.id = g.fund_id
        WHERE g.contact_id = ANY(:ids) ORDER BY g.paid_at, g.id"""),
    "checkouts": (("checkout",), """
        SELECT created_at, amount_cents, period, state, donor FROM checkout
        WHERE donor ->> 'email' = ANY(:emails) ORDER BY id"""),
    "ledger": (("ledger_entry",), """
        SELECT l.contribution_id, l.kind, l.source, l.source_key, l.amount_cents, l.currency, l.occurred_at
        FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id
        WHERE g.contact_id = ANY(:ids) ORDER BY l.occurred_at, l.id"""),
    "refunds_ordered": (("refund_order",), """
        SELECT o.contribution_id, o.ordered_at, o.amount_cents, g.currency, o.reason, o.state, o.detail
        FROM refund_order o JOIN contribution g ON g.id = o.contribution_id
        WHERE g.contact_id = ANY(:ids) ORDER BY o.ordered_at, o.id"""),
    "plans": (("recurring_plan",), """
        SELECT p.source, p.source_key, p.amount_cents, p.currency, p.period, p.state, p.started_at, p.paid_at, p.failed_at,
            p.ended_at, f.name AS fund FROM recurring_plan p LEFT JOIN fund f ON f.id = p.fund_id
        WHERE p.contact_id = ANY(:ids) ORDER BY p.started_at, p.id"""),
    "rests_from_asks": (("ask_rest",), """
        SELECT r.reason, r.since, r.until, f.name AS fund FROM ask_rest r LEFT JOIN fund f ON f.id = r.fund_id
        WHERE r.contact_id = ANY(:ids) ORDER BY r.since, r.id"""),
    "sequences": (("enrollment", "past_place"), """
        SELECT coalesce(s.slug, k.slug) AS sequence, e.entered_at, e.state, e.reason, e.step, e.due_at, e.history, e.facts
        FROM (
            SELECT id, sequence_id, campaign_id, entered_at, state, reason, step, due_at, history, facts
            FROM enrollment WHERE contact_id = ANY(:ids)
            UNION ALL SELECT id, sequence_id, campaign_id, entered_at, state, reason, step, due_at, history, '{}'
            FROM past_place WHERE contact_id = ANY(:ids)
        ) e LEFT JOIN sequence s ON s.id = e.sequence_id LEFT JOIN campaign k ON k.id = e.campaign_id
        ORDER BY e.entered_at, e.id"""),
    "letters": (("message", "past_letter", "past_occasion"), """
        SELECT m.id, w.subject, m.kind, m.occasion, m.created_at, m.due_at, m.delivered_at, m.clicked_at, m.state, m.reason,
            m.facts
        FROM (
            SELECT id, mailing_id, kind, occasion, created_at, due_at, delivered_at, CAST(NULL AS timestamptz) AS clicked_at,
                state, reason, facts FROM message WHERE contact_id = ANY(:ids)
            UNION ALL SELECT id, mailing_id, kind, occasion, created_at, due_at, delivered_at, clicked_at, state, reason, '{}'
            FROM past_letter WHERE contact_id = ANY(:ids)
        ) m JOIN mailing w ON w.id = m.mailing_id ORDER BY m.id"""),
    "letter_events": (("mail_event",), """
        SELECT e.message_id AS letter_id, e.kind, e.at, e.url, e.reason, e.machine FROM mail_event e
        JOIN message m ON m.id = e.message_id WHERE m.contact_id = ANY(:ids) ORDER BY e.at, e.id"""),
    "staff_actions": (("audit",), """
        SELECT at, action, detail FROM audit WHERE subject = 'contact' AND subject_id = ANY(:ids) ORDER BY id"""),
}  # fmt: skip
_QUERIES = {name: text(query) for name, (_, query) in PARTS.items()}
# Of her own row, what we reckon for our own questions: her gifts and words themselves are told.
_RECKONED = frozenset({"gave_peaks_at", "gave_peaks_cents", "mail_leave"})
_LIVE = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would reckon out


def collect(session: Session, contact_id: int) -> Bundle:
    """Every part by its name, each a list of rows. Raises NotFound, also for one who was erased."""
    family = session.execute(_FAMILY, {"id": contacts.standing(session, contact_id)}).all()
    if any(row.erased_at is not None for row in family):
        raise NotFound(f"contact {contact_id} was erased")
    values = {"ids": [row.id for row in family], "emails": [row.email for row in family if row.email]}
    found = {name: session.execute(query, values).mappings() for name, query in _QUERIES.items()}
    return {
        name: [{key: row[key] for key in row if key not in _RECKONED} for row in rows] for name, rows in found.items()
    }


def write(bundle: Bundle, file: BinaryIO) -> None:
    """The zip: `person.json` with everything, and each part that is not empty as CSV."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.json", orjson.dumps(bundle, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
        for name, records in bundle.items():
            if records:
                archive.writestr(f"{name}.csv", _csv(records))


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(records[0])
    writer.writerows([_cell(value) for value in record.values()] for record in records)
    return sheet.getvalue()


def _cell(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    said = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_UTC_Z).decode().strip('"')
    return f"'{said}" if said.startswith(_LIVE) and not isinstance(value, int) else said
