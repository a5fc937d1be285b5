"""Donors are left in peace when they have just given, or given a lot, when their bank asks about a gift, when one went back
or an instalment failed, and when what they did at ActBlue may not have reached us yet: their asks rest (`ask_rest`), which
the last look of each letter goes by.

A gift, a refund and a failed instalment rest the asks of their own fund alone; all else rests every ask. Whoever gives many
times within days may be ill, pressed or robbed of her card; so may whoever gives far above her habit: staff are told to look.
Later instalments are no new decision, and what happened long ago (a report that is imported, a catch-up) rests nothing. A
rest of one reason is one row for each fund: it grows longer, and is told once until it is over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import (
    ContributionRecorded,
    DisputeRecorded,
    DonorLearned,
    Event,
    HumanNeeded,
    LetterClicked,
    PlanFailed,
    RefundFailed,
    RefundRecorded,
)
from engine.giving.form_links import ACTBLUE
from engine.money import dollars
from engine.settings import Settings

MANY, LARGE = "a donor gave many times", "a gift far above habit"  # kinds of notice

# Two gifts in a week are a donor who was moved twice, or corrected an amount; a third is seldom chance.
MANY_GIFTS, MANY_DAYS = 3, 7
# Five times the most she ever gave is another kind of decision; below $250 it does no harm ($5, then $27).
LARGE_TIMES, LARGE_CENTS = 5, 25_000
REST_DAYS = 30  # a month without an ask, for many or for one large
REFUND_DAYS = 30  # after a gift went back whole
FAILING_DAYS = 14  # after an instalment failed; less, when it is paid after all
DISPUTE_DAYS = 90  # banks take two to three months to settle a dispute
GRACE_HOURS = 24  # a day without word of ActBlue's is an outage of which people know
# Whoever follows a link gives within minutes or not at all. A gift that was paid this long after a click and has been
# delivered shows that what followed the click has been as well.
MARGIN_MINUTES = 30

_COUNTS = """{0}.fund_id IS NOT NULL AND {0}.currency = 'usd'
    AND {0}.status NOT IN ('refunded', 'duplicate', 'dispute_lost')"""
_RECENT = f"{{0}}.paid_at > CAST(:now AS timestamptz) - interval '{MANY_DAYS} days'"
_FRESH = f"g.id = ANY(:ids) AND c.email IS NOT NULL AND {_RECENT.format('g')} AND {_COUNTS.format('g')}"

# An order with several line items is one gift.
_MANY = f"""
    SELECT her.contact_id, CAST(NULL AS bigint) AS fund_id, 'many' AS reason, week.at, week.id AS contribution_id,
        week.gifts AS said, {REST_DAYS} AS days
    FROM (SELECT DISTINCT g.contact_id FROM contribution g JOIN contact c ON c.id = g.contact_id WHERE {_FRESH}) her
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT coalesce(nullif(g.order_number, ''), g.source_key)) AS gifts, max(g.paid_at) AS at,
            max(g.id) AS id
        FROM contribution g
        WHERE g.contact_id = her.contact_id AND g.sequence = 0 AND {_RECENT.format("g")} AND {_COUNTS.format("g")} OFFSET 0
    ) week WHERE week.gifts >= {MANY_GIFTS}
"""
_LARGE = f"""
    SELECT DISTINCT ON (g.contact_id) g.contact_id, NULL, 'large', g.paid_at, g.id, g.amount_cents, {REST_DAYS}
    FROM contribution g JOIN contact c ON c.id = g.contact_id CROSS JOIN LATERAL (
        SELECT max(b.amount_cents) AS cents FROM contribution b
        WHERE b.contact_id = g.contact_id AND (b.paid_at, b.id) < (g.paid_at, g.id) AND {_COUNTS.format("b")} OFFSET 0
    ) habit
    WHERE {_FRESH} AND g.amount_cents >= {LARGE_CENTS} AND g.amount_cents >= {LARGE_TIMES} * habit.cents
    ORDER BY g.contact_id, g.amount_cents DESC, g.id
"""
# That a dispute needs a person is told by who keeps it (`reversals`).
_DISPUTED = f"""
    SELECT DISTINCT ON (g.contact_id) g.contact_id, CAST(NULL AS bigint) AS fund_id, 'dispute' AS reason,
        greatest(d.opened_at, d.settled_at) AS at, g.id AS contribution_id, d.amount_cents AS said, {DISPUTE_DAYS} AS days
    FROM dispute d JOIN contribution g ON g.id = d.contribution_id JOIN contact c ON c.id = g.contact_id
    WHERE g.id = ANY(:ids) AND c.email IS NOT NULL AND d.state IN ('inquiry', 'open', 'lost')
    ORDER BY g.contact_id, 4 DESC, g.id
"""
# A gift of once, or the first of a plan, to a fund of ours.
NEW_GIFT = "{0}.fund_id IS NOT NULL AND {0}.sequence = 0 AND {0}.status NOT IN ('refunded', 'duplicate')"
_GIVEN = f"""
    SELECT DISTINCT ON (g.contact_id, g.fund_id) g.contact_id, g.fund_id, 'gave', g.paid_at, g.id, g.amount_cents,
        CAST(:rest_days AS int)
    FROM contribution g JOIN contact c ON c.id = g.contact_id
    WHERE g.id = ANY(:ids) AND c.email IS NOT NULL AND {NEW_GIFT.format("g")}
    ORDER BY g.contact_id, g.fund_id, g.paid_at DESC, g.id
"""
_WHOLE = "{0}.fund_id IS NOT NULL AND {0}.status = 'refunded'"
_REFUNDED = f"""
    SELECT DISTINCT ON (g.contact_id, g.fund_id) g.contact_id, g.fund_id, 'refund' AS reason, r.refunded_at AS at,
        g.id AS contribution_id, g.amount_cents AS said, {REFUND_DAYS} AS days
    FROM refund r JOIN contribution g ON g.id = r.contribution_id JOIN contact c ON c.id = g.contact_id
    WHERE g.id = ANY(:ids) AND c.email IS NOT NULL AND r.state = 'succeeded' AND {_WHOLE.format("g")}
    ORDER BY g.contact_id, g.fund_id, r.refunded_at DESC, g.id
"""
_FAILING = f"""
    SELECT DISTINCT ON (p.contact_id, p.fund_id) p.contact_id, p.fund_id, 'failing' AS reason, p.failed_at AS at,
        p.id AS contribution_id, 0 AS said, {FAILING_DAYS} AS days
    FROM recurring_plan p JOIN contact c ON c.id = p.contact_id
    WHERE p.id = ANY(:ids) AND c.email IS NOT NULL AND p.fund_id IS NOT NULL AND p.failed_at IS NOT NULL
    ORDER BY p.contact_id, p.fund_id, p.failed_at DESC, p.id
"""
# Those of `why` that rest something now; and of these the ones that staff are told of, and that were not resting for that
# reason already.
_REST = """
WITH why AS MATERIALIZED ({why}), rested AS (
    INSERT INTO ask_rest AS r (contact_id, fund_id, reason, since, until)
    SELECT contact_id, fund_id, reason, least(at, :now), least(at, :now) + make_interval(days => days) FROM why
    WHERE at + make_interval(days => days) > :now ORDER BY contact_id, reason, fund_id
    ON CONFLICT (contact_id, reason, fund_id) DO UPDATE SET since = excluded.since, until = excluded.until
        WHERE excluded.until > r.until
    RETURNING contact_id, reason, until, old.until AS before
)
SELECT w.reason, w.contribution_id, w.said, r.until FROM why w JOIN rested r USING (contact_id, reason)
WHERE r.reason IN ('many', 'large') AND (r.before IS NULL OR r.before <= :now) ORDER BY w.contribution_id
"""
_GAVE = text(_REST.format(why=" UNION ALL ".join(f"({why})" for why in (_MANY, _LARGE, _DISPUTED, _GIVEN, _REFUNDED))))
_ASKED, _WENT_BACK, _FAILED = (text(_REST.format(why=why)) for why in (_DISPUTED, _REFUNDED, _FAILING))
# The money is ours again; unless another gift of hers went back.
_CAME_BACK = text(f"""
UPDATE ask_rest r SET until = :now FROM contribution g
WHERE g.id = ANY(:ids) AND r.contact_id = g.contact_id AND r.fund_id = g.fund_id AND r.reason = 'refund' AND r.until > :now
    AND NOT EXISTS (
        SELECT FROM contribution o JOIN refund f ON f.contribution_id = o.id AND f.state = 'succeeded'
        WHERE o.contact_id = r.contact_id AND o.fund_id = r.fund_id AND {_WHOLE.format("o")}
            AND f.refunded_at + interval '{REFUND_DAYS} days' > :now)
""")

_CLICKED = text(f"""
INSERT INTO ask_rest AS r (contact_id, reason, since, until)
SELECT m.contact_id, 'clicked', least(max(e.at), :now), least(max(e.at), :now) + interval '{GRACE_HOURS} hours'
FROM message m JOIN mail_event e ON e.message_id = m.id JOIN contact c ON c.id = m.contact_id
WHERE m.id = ANY(:ids) AND e.kind = 'click' AND NOT e.machine AND starts_with(lower(e.url), :site)
    AND e.at > CAST(:now AS timestamptz) - interval '{GRACE_HOURS} hours' AND c.email IS NOT NULL
GROUP BY m.contact_id ORDER BY m.contact_id
ON CONFLICT (contact_id, reason, fund_id) DO UPDATE SET since = excluded.since, until = excluded.until
    WHERE excluded.until > r.until
""")

# How far ActBlue's own deliveries have come; one look into an index.
_CURRENT = """(SELECT max(p.paid_at) FROM contribution p
    WHERE p.source = 'actblue' AND p.inbound_event_id IS NOT NULL AND p.paid_at <= :now)"""
WORDS = {
    "many": "several gifts in few days",
    "large": "a gift far above habit",
    "dispute": "a bank asks about a gift",
    "gave": "she has just given",
    "refund": "a gift went back",
    "failing": "an instalment failed",
    "clicked": "went to ActBlue, and what was given there may not be known yet",
}
_SAID = " ".join(f"WHEN '{reason}' THEN '{words}'" for reason, words in WORDS.items())
# A rest `r` that still stands; with :now.
STANDS = f"""r.until > :now AND CASE r.reason
    WHEN 'clicked' THEN coalesce({_CURRENT} < r.since + interval '{MARGIN_MINUTES} minutes', true)
    WHEN 'failing' THEN EXISTS (SELECT FROM recurring_plan p WHERE p.contact_id = r.contact_id AND p.fund_id = r.fund_id
        AND p.failed_at > coalesce(p.paid_at, '-infinity'))
    ELSE true END"""
# Over contact `{contact}` and fund `{fund}`, with :now and :zone: why she is not asked (NULL: she may be); when a grace
# after a click ends, if nothing else forbids it (NULL: there is none).
RESTING = f"""
SELECT (array_agg(concat('asks rest until ', to_char(r.until AT TIME ZONE :zone, 'FMDD FMMonth'), ': ',
        CASE r.reason {_SAID} END) ORDER BY r.until DESC, r.reason) FILTER (WHERE r.reason <> 'clicked'))[1] AS words,
    max(r.until) FILTER (WHERE r.reason = 'clicked') AS grace_until
FROM ask_rest r WHERE r.contact_id = {{contact}} AND {STANDS} AND (r.fund_id IS NULL OR r.fund_id = {{fund}})
"""


def gave(
    session: Session, recorded: Sequence[ContributionRecorded | DonorLearned], now: datetime, settings: Settings
) -> list[Event]:
    """Rest the asks of the funds that these gifts are to; and all asks to whom they are many, far above her habit, or
    disputed already, and tell staff. One statement."""
    causes = {event.contribution_id: event.cause for event in recorded if event.contact_id is not None}
    if not causes:
        return []
    rested = session.execute(_GAVE, {"ids": list(causes), "now": now, "rest_days": settings.ask_rest_days})
    return [_look(row, causes.get(row.contribution_id)) for row in rested]


def asked_about(session: Session, disputed: Sequence[DisputeRecorded], now: datetime, _: Settings) -> list[Event]:
    """Rest asks to the donors of gifts that a bank asks about, or took back."""
    if ids := [event.contribution_id for event in disputed if event.contribution_id is not None]:
        session.execute(_ASKED, {"ids": ids, "now": now})
    return []


def went_back(session: Session, refunded: Sequence[RefundRecorded], now: datetime, _: Settings) -> list[Event]:
    """Rest the asks of the funds to which these gifts were, of those that went back whole."""
    if ids := [event.contribution_id for event in refunded if event.contribution_id is not None]:
        session.execute(_WENT_BACK, {"ids": ids, "now": now})
    return []


def came_back(session: Session, failed: Sequence[RefundFailed], now: datetime, _: Settings) -> list[Event]:
    """These refunds failed: what they rested does so no more."""
    if ids := [event.contribution_id for event in failed if event.contribution_id is not None]:
        session.execute(_CAME_BACK, {"ids": ids, "now": now})
    return []


def failing(session: Session, failed: Sequence[PlanFailed], now: datetime, _: Settings) -> list[Event]:
    """Rest the asks of the funds of these plans, until one is paid again."""
    session.execute(_FAILED, {"ids": [event.plan_id for event in failed], "now": now})
    return []


def clicked(session: Session, happened: Sequence[LetterClicked], now: datetime, _: Settings) -> list[Event]:
    """Whoever went to ActBlue from one of these letters, as far as can be known a person, is not asked again before what she
    did there can have reached us."""
    if ids := [event.message_id for event in happened if not event.machine]:
        session.execute(_CLICKED, {"ids": ids, "now": now, "site": ACTBLUE.removesuffix("donate/")})
    return []


def _look(row: Row[Any], cause: int | None) -> Event:
    subject = f"contribution {row.contribution_id}"
    rests = f"Asks to its donor rest until {row.until.day} {row.until:%B}; look whether all is well"
    if row.reason == "many":
        return HumanNeeded(cause, MANY, subject, f"the last of {row.said} gifts within {MANY_DAYS} days. {rests}")
    return HumanNeeded(cause, LARGE, subject, f"{dollars(row.said)}, {LARGE_TIMES} times any before. {rests}")
