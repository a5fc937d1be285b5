"""Which letter a gift is owed to: the one whose refcode it carries, else the one in which its donor followed a link last
before she gave.

A refcode that becomes known later takes the place of a click; a click that is told later, or found to be a machine's, is
weighed anew. Instalments after the first are owed by their refcode alone: nobody clicks for them. What is given back is not
told here: whoever adds up asks the ledger.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import (
    CheckoutReported,
    ContactMerged,
    ContributionReported,
    Event,
    LetterClicked,
    LetterTended,
    PaymentLinked,
)
from engine.settings import Settings

CLICK_DAYS = 7  # whoever gives later than that after a click was moved by something else

# The gifts that these words are about: as the source calls them, by their payment, by the plan that a checkout began.
_TOLD = """
SELECT g.id FROM k JOIN contribution g ON (g.source, g.source_key) = (k.source, k.source_key)
UNION
SELECT g.id FROM k JOIN contribution g ON g.source = k.source AND g.payment_key = k.payment_key
    AND g.payment_key <> '' AND k.payment_key <> ''
UNION
SELECT g.id FROM k JOIN contribution g ON g.source = k.source AND g.plan_key = k.plan_key
    AND g.plan_key <> '' AND k.plan_key <> ''
"""
# What the readers of these letters gave since they followed a link in one of them.
_FOLLOWED = f"""
SELECT g.id FROM unnest(CAST(:letters AS bigint[])) k(id) JOIN message m ON m.id = k.id
JOIN mail_event e ON e.message_id = m.id AND e.kind = 'click'
JOIN contribution g ON g.contact_id = m.contact_id AND g.paid_at BETWEEN e.at AND e.at + interval '{CLICK_DAYS} days'
"""
# What these people gave, and is owed to no letter.
_UNOWED = """
SELECT g.id FROM contribution g WHERE g.contact_id = ANY(CAST(:contacts AS bigint[]))
    AND NOT EXISTS (SELECT FROM attribution a WHERE a.contribution_id = g.id)
"""
# What is owed (`a`) by a click to a letter that is in the archive stays so: other clicks of that time are no longer known.
_SETTLED = """a.by = 'click' AND EXISTS (SELECT FROM contribution x JOIN past_letter p ON p.contact_id = x.contact_id
    WHERE x.id = a.contribution_id
        AND (p.mailing_id, p.version_id, p.campaign_id) = (a.mailing_id, a.version_id, a.campaign_id))"""
# Confirmations, receipts and links to sign in ask for nothing. Her letters, then what was told of each (OFFSET 0): the
# planner would read for each gift all that was ever told of anybody's letters, for few clicks are of these days.
_CREDIT = f"""
WITH {{keys}} gift AS MATERIALIZED (
    SELECT g.id, g.contact_id, g.paid_at, g.refcode, g.refcode2, g.sequence
    FROM ({{gifts}}) known JOIN contribution g USING (id)
), owed AS MATERIALIZED (
    SELECT g.id, CASE WHEN code.mailing_id IS NULL THEN 'click' ELSE 'refcode' END AS by,
        coalesce(code.mailing_id, click.mailing_id) AS mailing_id, coalesce(code.version_id, click.version_id) AS version_id,
        coalesce(code.campaign_id, click.campaign_id) AS campaign_id,
        CASE WHEN code.mailing_id IS NULL THEN click.chapter_id ELSE code.chapter_id END AS chapter_id,
        CASE WHEN code.mailing_id IS NULL THEN click.at ELSE g.paid_at END AS at
    FROM gift g
    LEFT JOIN LATERAL (
        SELECT r.* FROM refcode r WHERE r.code IN (g.refcode, g.refcode2) ORDER BY r.code = g.refcode DESC LIMIT 1
    ) code ON true
    LEFT JOIN LATERAL (
        SELECT m.mailing_id, m.version_id, m.campaign_id, m.chapter_id, e.at
        FROM (SELECT * FROM message x WHERE x.contact_id = g.contact_id AND (x.kind <> '' OR x.version_id <> 0) OFFSET 0) m
        CROSS JOIN LATERAL (SELECT * FROM mail_event x WHERE x.message_id = m.id AND x.kind = 'click' AND NOT x.machine
            AND x.at <= g.paid_at AND x.at >= g.paid_at - interval '{CLICK_DAYS} days' OFFSET 0) e
        WHERE code.mailing_id IS NULL AND g.sequence = 0
        ORDER BY e.at DESC, e.id DESC LIMIT 1
    ) click ON true
    WHERE coalesce(code.mailing_id, click.mailing_id) IS NOT NULL
), taken_back AS (
    DELETE FROM attribution a USING gift g
    WHERE a.contribution_id = g.id AND NOT EXISTS (SELECT FROM owed o WHERE o.id = g.id) AND NOT ({_SETTLED})
)
INSERT INTO attribution AS a (contribution_id, by, mailing_id, version_id, campaign_id, chapter_id, at)
SELECT id, by, mailing_id, version_id, campaign_id, chapter_id, at FROM owed ORDER BY id
ON CONFLICT (contribution_id) DO UPDATE SET by = excluded.by, mailing_id = excluded.mailing_id,
    version_id = excluded.version_id, campaign_id = excluded.campaign_id, chapter_id = excluded.chapter_id, at = excluded.at
WHERE (a.by, a.mailing_id, a.version_id, a.campaign_id, a.chapter_id, a.at) IS DISTINCT FROM
    (excluded.by, excluded.mailing_id, excluded.version_id, excluded.campaign_id, excluded.chapter_id, excluded.at)
    AND (excluded.by = 'refcode' OR NOT ({_SETTLED}))
"""
_KEYS = """k AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:told AS json)) AS v(source text, source_key text, payment_key text, plan_key text)
),"""
_LEARN = text(_CREDIT.format(keys=_KEYS, gifts=_TOLD))
_WEIGH = text(_CREDIT.format(keys="", gifts=f"SELECT DISTINCT id FROM ({_FOLLOWED}) f"))
_FIND = text(_CREDIT.format(keys="", gifts=_UNOWED))


def learn(
    session: Session,
    told: Sequence[ContributionReported | CheckoutReported | PaymentLinked],
    _: datetime,
    __: Settings,
) -> list[Event]:
    """Owe the gifts that these words are about, which are on the books, to their letters: a gift itself, that of a payment,
    all of the plan that a checkout began. One statement."""
    keys = (
        {
            "source": event.source,
            "source_key": event.source_key,
            "payment_key": event.payment_key,
            "plan_key": event.plan_key if isinstance(event, CheckoutReported) else "",
        }
        for event in told
    )
    session.execute(_LEARN, {"told": rows(keys)})
    return []


def clicked(
    session: Session, happened: Sequence[LetterClicked | LetterTended], _: datetime, __: Settings
) -> list[Event]:
    """Weigh anew what the readers of these letters gave since: the provider may tell of a click after the gift is booked, and
    of a second link that shows the first to be a machine's. Admission has locked them. One statement."""
    session.execute(_WEIGH, {"letters": sorted({event.message_id for event in happened})})
    return []


def take_over(session: Session, merged: Sequence[ContactMerged], _: datetime, __: Settings) -> list[Event]:
    """She followed a link under one address and gave under the other: what is owed to no letter yet may be. One statement."""
    session.execute(_FIND, {"contacts": sorted({event.into_id for event in merged})})
    return []
