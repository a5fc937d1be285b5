"""Declined cards, and the breaker: a form on which most cards are declined is being used to try stolen ones, and is closed.

Each attempt counts once, however often it is told, and of one payment page only a few: nobody closes a form by a card that
she tries again and again. Whoever opens a form again has looked: what was before counts no more.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import CardDeclined, DeclineReported, Event, HumanNeeded
from engine.giving import checkout_ends
from engine.settings import Settings

SPAN = timedelta(hours=1)
FEWEST = 20  # attempts within it: fewer tell nothing
OF_ONE = 3  # that count of one payment page
CLOSED = "form closed over declined cards"  # the kind of notice
BECAUSE = "most cards were declined: somebody may be trying stolen ones"  # as staff read it

_KEEP = text("""
INSERT INTO decline (source, source_key, donation_form_id, checkout_id, declined_at, inbound_event_id)
SELECT v.source, v.source_key, f.id, c.id, v.declined_at, v.cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, form_slug text, checkout text,
    declined_at timestamptz, cause bigint)
JOIN donation_form f ON f.slug = v.form_slug
LEFT JOIN checkout c ON c.nonce = v.checkout AND c.donation_form_id = f.id
ORDER BY v.source, v.source_key, v.cause
ON CONFLICT (source, source_key) DO NOTHING
RETURNING donation_form_id, inbound_event_id
""")

_CLOSE = text("""
UPDATE donation_form f SET closed_at = :now, closed_because = :because, attempts_from = :now
FROM (
    SELECT o.id, (SELECT coalesce(sum(least(page.tried, :of_one)), 0)::bigint FROM (
            SELECT count(*) AS tried FROM decline d WHERE d.donation_form_id = o.id AND d.declined_at > since.at
            GROUP BY coalesce(d.checkout_id, -d.id)) page) AS declined,
        (SELECT count(*) FROM contribution g WHERE g.donation_form_id = o.id AND g.paid_at > since.at AND g.sequence = 0)
            AS given
    FROM donation_form o
    CROSS JOIN LATERAL (SELECT greatest(CAST(:since AS timestamptz), o.attempts_from) AS at) since
    WHERE o.id = ANY(:ids)
) seen
WHERE f.id = seen.id AND f.closed_at IS NULL AND seen.declined + seen.given >= :fewest
    AND 2 * seen.declined > seen.declined + seen.given
RETURNING f.slug, seen.declined, seen.declined + seen.given AS attempts
""")


def record(session: Session, told: Sequence[DeclineReported], now: datetime, _: Settings) -> list[Event]:
    """Keep these, and close the forms on which they are too many."""
    each = {(event.source, event.source_key): event for event in reversed(told)}  # the first counts
    kept = session.execute(_KEEP, {"rows": rows(map(asdict, each.values()))}).all()
    declined = [CardDeclined(row.inbound_event_id, row.donation_form_id) for row in kept]
    return [*declined, *_close(session, {event.donation_form_id for event in declined}, now)]


def _close(session: Session, form_ids: Collection[int], now: datetime) -> list[Event]:
    if not form_ids:
        return []
    values = {
        "ids": sorted(form_ids), "since": now - SPAN, "fewest": FEWEST, "of_one": OF_ONE, "now": now, "because": BECAUSE,
    }  # fmt: skip
    closed = session.execute(_CLOSE, values).all()
    if closed:
        checkout_ends.wake(session)  # pages that are open are good for an hour
    return [
        HumanNeeded(
            None, CLOSED, row.slug,
            f"{row.declined} of {row.attempts} cards were declined within an hour: somebody may be trying stolen ones. "
            f"Nothing can be given by it now, and its payment pages are being ended. Look at the payments in Stripe's "
            f"dashboard; open it again with `groundswell forms open {row.slug}`",
        )
        for row in closed
    ]  # fmt: skip
