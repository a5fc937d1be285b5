"""Something happened to somebody, and with that her sequence is over: she gave to the fund that it asks for, its goal is
reached, or its rule to leave by holds. Her place ends and her letters of it that wait are cancelled, in the transaction of
what happened.

A gift besides takes back every ask of its fund that waits for her, whatever sends it, and every letter of a sequence whose
goal it is, also the last ones of a place that is over. Who steps holds her contact, as whoever
brings in a gift does: one comes after the other, and either the gift is seen or its letter is found. Letters and campaigns
that somebody else holds just now are passed over, for she is locked: a letter that is being claimed leaves or is looked at
once more (`claims`); of a campaign that is being cancelled all end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import events
from engine.events import ContributionRecorded, DonorLearned, Event, PlacesLeft
from engine.giving.ask_rests import NEW_GIFT
from engine.mail import tally
from engine.outreach import goals, guards
from engine.outreach.arbitration import WAITING
from engine.outreach.enrolled import ACTIVE
from engine.outreach.goals import Ends
from engine.settings import Settings

_ENGAGED = frozenset({"last_engaged", "silent"})
_MONEY = _ENGAGED | {"gave", "lapsed", "never_gave", "recurring", "employer_known"}
_PERSON = _ENGAGED | {"signed_up", "interest", "volunteer", "language", "custom", "territory", "chapter"}
# What each event may change of what rules ask: their operators.
TOUCHES: Mapping[type[Event], frozenset[str]] = {
    events.ContributionRecorded: _MONEY | {"language", "territory"},
    events.InstalmentRecorded: _MONEY,
    events.DonorLearned: _MONEY | {"language", "territory"},
    events.RefundRecorded: _MONEY,
    events.RefundFailed: _MONEY,
    events.DisputeRecorded: _MONEY,
    events.PlanStarted: frozenset({"recurring"}),
    events.PlanChanged: frozenset({"recurring"}),
    events.PlanFailed: frozenset({"recurring"}),
    events.PlanCancelled: frozenset({"recurring"}),
    events.SignedUp: _PERSON,
    events.Joined: _PERSON,
    events.HelpOffered: frozenset({"volunteer"}),
    events.ChapterChanged: frozenset({"chapter", "territory"}),
    events.ContactMerged: _MONEY | _PERSON | {"clicked", "received"},
    events.LetterOpened: _ENGAGED,
    events.LetterClicked: _ENGAGED | {"clicked"},
    events.LetterTended: _ENGAGED,
}
# Which no event touches: nobody is told that a letter left, or that somebody goes on in a sequence; chance stays as it is.
UNTOUCHED = frozenset({"received", "in_sequence", "random"})

# Whom these events are about, by version that they are in, if anything can end that; under no version those of whose letters
# that wait a gift can take one back, where that matters (:asked).
_IN_PLAY = text(
    """
WITH her AS MATERIALIZED (
    SELECT unnest(CAST(:contacts AS bigint[])) AS id
    UNION SELECT contact_id FROM contribution WHERE id = ANY(:contributions)
    UNION SELECT contact_id FROM recurring_plan WHERE id = ANY(:plans)
    UNION SELECT contact_id FROM message WHERE id = ANY(:letters)
), place AS MATERIALIZED (
    SELECT e.version_id, array_agg(DISTINCT her.id) AS ids FROM her CROSS JOIN LATERAL (
        SELECT version_id FROM enrollment e WHERE e.contact_id = her.id AND {active} OFFSET 0) e
    GROUP BY e.version_id
)
SELECT v.id, CAST(v.definition AS text) AS definition, v.fund_ids, p.ids
FROM place p JOIN sequence_version v ON v.id = p.version_id
WHERE jsonb_exists(v.definition, 'exit_when') OR jsonb_exists(v.definition, 'goal')
UNION ALL
SELECT 0, '', NULL, array_agg(her.id) FROM her WHERE :asked AND EXISTS (
    SELECT FROM message m WHERE {waiting} AND (m.kind = 'asks' OR (
        SELECT v.definition ->> 'goal' = 'gave' FROM sequence_version v WHERE v.id = m.version_id)) OFFSET 0)
HAVING count(*) > 0
""".format(waiting=WAITING.format("m", "her.id"), active=ACTIVE.format("e"))
)

_ACTIVE = ACTIVE.format("e")
# The campaigns that nobody is just pausing or cancelling: whoever does that holds the row, then looks for its people.
_FREE = f"""campaign_free AS MATERIALIZED (
    SELECT id FROM campaign WHERE id IN (SELECT DISTINCT e.campaign_id FROM enrollment e
        WHERE e.contact_id = ANY(:contacts) AND {_ACTIVE}) ORDER BY id FOR KEY SHARE SKIP LOCKED
)"""
_ENDED = """ended AS (
    UPDATE enrollment e SET state = 'left', reason = p.reason, ended_at = :now, waits_for = '' FROM place p WHERE e.id = p.id
    RETURNING e.contact_id, e.version_id, e.sequence_id, e.campaign_id, e.reason
)"""
# That gift `g` is one that the goal of place `e` means.
_MEANT = "(g.paid_at > e.entered_at OR g.fresh AND (e.inbound_event_id = g.inbound_event_id) IS NOT TRUE)"
# Letters `m` of a place `x`, also those that were written before she was moved to a newer version.
_OF_IT = """(x.contact_id, x.campaign_id) = (m.contact_id, m.campaign_id) AND (x.version_id = m.version_id
    OR x.sequence_id = (SELECT s.sequence_id FROM sequence_version s WHERE s.id = m.version_id))"""
# What became of it all: places that ended, and letters that are cancelled, each told once for what it counts for.
_SAY = """
SELECT 'left' AS what, 0 AS version_id, campaign_id, 0 AS mailing_id, 0 AS chapter, '' AS step, count(*) AS many
FROM ended WHERE campaign_id <> 0 GROUP BY campaign_id
UNION ALL
SELECT 'cancelled', version_id, campaign_id, mailing_id, chapter, step, count(*) FROM cancelled
GROUP BY version_id, campaign_id, mailing_id, chapter, step
"""
_CANCEL = """cancelled AS (
    UPDATE message m SET state = 'cancelled', reason = u.reason FROM unwanted u WHERE m.id = u.id
    RETURNING m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step
)"""
# `fresh`: it is news, not something of long ago that is told now. What let her in does not end that. Of a sequence whose goal
# it is her newest place says since when; it may be over, and its last letters wait.
_GAVE = text(f"""
WITH gift AS MATERIALIZED (
    SELECT g.contact_id, g.fund_id, g.paid_at, g.inbound_event_id,
        g.paid_at + make_interval(days => :rest_days) > :now AS fresh
    FROM contribution g WHERE g.id = ANY(:contributions) AND {NEW_GIFT.format("g")}
), {_FREE}, place AS MATERIALIZED (
    SELECT e.id, 'gave' AS reason FROM enrollment e JOIN sequence_version v ON v.id = e.version_id
    WHERE e.contact_id = ANY(:contacts) AND {_ACTIVE} AND v.definition ->> 'goal' = 'gave'
        AND (e.campaign_id = 0 OR e.campaign_id IN (SELECT id FROM campaign_free))
        AND EXISTS (SELECT FROM gift g WHERE g.contact_id = e.contact_id AND g.fund_id = ANY(v.fund_ids)
            AND {_MEANT})
    ORDER BY e.id FOR UPDATE OF e
), {_ENDED}, unwanted AS MATERIALIZED (
    SELECT m.id, 'gave' AS reason FROM message m JOIN mailing w ON w.id = m.mailing_id JOIN letter l ON l.id = w.letter_id
    WHERE {WAITING.format("m", "ANY(:contacts)")} AND (
        m.kind = 'asks' AND EXISTS (SELECT FROM gift g WHERE g.contact_id = m.contact_id
            AND g.fund_id = coalesce(m.fund_id, l.fund_id) AND (g.fresh OR g.paid_at > m.created_at))
        OR EXISTS (SELECT FROM ended x WHERE {_OF_IT})
        OR EXISTS (SELECT FROM sequence_version v CROSS JOIN LATERAL (
                SELECT e.entered_at, e.inbound_event_id FROM enrollment e
                WHERE (e.contact_id, e.sequence_id, e.campaign_id)
                    = (m.contact_id, coalesce(v.sequence_id, 0), m.campaign_id)
                ORDER BY e.rotation DESC LIMIT 1) e
            JOIN gift g ON g.contact_id = m.contact_id AND g.fund_id = ANY(v.fund_ids) AND {_MEANT}
            WHERE v.id = m.version_id AND v.definition ->> 'goal' = 'gave'))
    ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
), {_CANCEL}
{_SAY}
""")
_HAPPENED = f"""
WITH {_FREE}, place AS MATERIALIZED (
    SELECT e.id, why.reason FROM enrollment e JOIN contact c ON c.id = e.contact_id
    CROSS JOIN LATERAL (SELECT {{reason}} AS reason OFFSET 0) why
    WHERE e.contact_id = ANY(:contacts) AND {_ACTIVE} AND e.version_id = ANY(:versions) AND why.reason IS NOT NULL
        AND (e.campaign_id = 0 OR e.campaign_id IN (SELECT id FROM campaign_free))
    ORDER BY e.id FOR UPDATE OF e
), {_ENDED}, unwanted AS MATERIALIZED (
    SELECT m.id, x.reason FROM message m JOIN ended x ON {_OF_IT}
    WHERE {WAITING.format("m", "ANY(:contacts)")} ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
), {_CANCEL}
{_SAY}
"""


def gave(
    session: Session, recorded: Sequence[ContributionRecorded | DonorLearned], now: datetime, settings: Settings
) -> list[Event]:
    """These gifts take back asks of their funds, and end sequences whose goal they are. One statement when nobody is asked
    and none of them is in a sequence that a gift can end; else two to four."""
    about = _about([event for event in recorded if event.contact_id is not None])
    if not any(about.values()):
        return []
    play = _in_play(session, about, type(recorded[0]), asked=True)
    ended: list[Event] = []
    if play.asked:
        values = {
            "contributions": [event.contribution_id for event in recorded], "contacts": sorted(play.asked), "now": now,
            "rest_days": settings.ask_rest_days,
        }  # fmt: skip
        ended = _said(session.execute(_GAVE, values).all())
    return ended + _end(session, play, now)


def happened(session: Session, told: Sequence[Event], now: datetime, _: Settings) -> list[Event]:
    """These events, all of one kind, may reach the goals of those whom they are about, or let them leave. One statement when
    none of them is in a sequence that asks what is touched; else two or three."""
    about = _about(told)
    return _end(session, _in_play(session, about, type(told[0])), now) if any(about.values()) else []


@dataclass(slots=True)
class _Play:
    """What is in play: the versions whose rules are to be asked, and of whom; and who is asked for money, or is in a sequence
    that a gift ends, or has letters of one."""

    versions: list[Ends] = field(default_factory=list)
    contacts: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)


def _in_play(session: Session, about: Mapping[str, list[int]], kind: type[Event], *, asked: bool = False) -> _Play:
    play = _Play()
    for row in session.execute(_IN_PLAY, {**about, "asked": asked}):
        if not row.id:
            play.asked.update(row.ids)
            continue
        version = goals.read(row.id, row.definition, row.fund_ids)
        if version.operators & TOUCHES[kind]:
            play.versions.append(version)
            play.contacts.update(row.ids)
        if version.gave and asked:
            play.asked.update(row.ids)
    return play


def _end(session: Session, play: _Play, now: datetime) -> list[Event]:
    """Let those leave whose goal is reached, or whose rule to leave by holds."""
    if not play.versions:
        return []
    found = goals.compiled(session, play.versions, "e.version_id", guards.HERS)
    values = {"contacts": sorted(play.contacts), "versions": [each.version_id for each in play.versions], "now": now}
    return _said(session.execute(text(_HAPPENED.format(reason=found.sql)), values | dict(found.values)).all())


def _about(told: Sequence[Event]) -> dict[str, list[int]]:
    """Whom they are about, by whatever of hers they name. What a machine did is about nobody."""
    about: dict[str, list[int]] = {"contacts": [], "contributions": [], "plans": [], "letters": []}
    for event in told:
        if getattr(event, "machine", False):
            continue
        for kind, names in _NAMED.items():
            named = next((getattr(event, name) for name in names if getattr(event, name, None) is not None), None)
            if named is not None:
                about[kind].append(named)
                break
    return about


# In this order: the first that an event has.
_NAMED = {
    "contacts": ("into_id", "contact_id"), "contributions": ("contribution_id",), "plans": ("plan_id",),
    "letters": ("message_id",),
}  # fmt: skip


def _said(found: Sequence[Row[Any]]) -> list[Event]:
    left: list[Event] = [PlacesLeft(None, row.campaign_id, row.many) for row in found if row.what == "left"]
    return left + tally.of_steps((row, ("cancelled", row.many)) for row in found if row.what == "cancelled")
