"""Every decision about one person with its reason: why she is (not) chosen, her way through sequences and campaigns, what
became of each letter, and what lies ahead.

Whoever asks sees people within reach alone: nobody else is found. What is shown are days and words, no amounts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.giving import ask_rests
from engine.outreach import campaigns, contents, definitions, zones
from engine.outreach.definitions import Definition
from engine.people.consent import KINDS, refusal
from engine.reports.sayings import Account, Said
from engine.segments import audience
from engine.segments.audience import Met
from engine.staff import search
from engine.staff.rights import Reach

SHOWN = 200  # of letters, and of entries; the newest
EVERYWHERE = Reach(everywhere=True, chapter_ids=frozenset())

_ABOUT = text("""
SELECT 'campaign' AS what, id, slug, name FROM campaign WHERE slug = :slug
UNION ALL SELECT 'sequence', id, slug, name FROM sequence WHERE slug = :slug
UNION ALL SELECT 'letter', id, slug, slug FROM letter WHERE slug = :slug
""")
_PERSON = text(f"""
SELECT c.id, c.email, concat_ws(' ', nullif(c.first_name, ''), nullif(c.last_name, '')) AS name, h.name AS chapter, {
    zones.ZONE
} AS zone, {", ".join(f"{refusal(repr(kind), 'c.chapter_id')} AS {kind}" for kind in KINDS)}
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id WHERE c.id = :contact_id
""")
# Why a sequence, a campaign or a letter's words stand still; '': they do not.
_STILL = """CASE WHEN k.paused_at IS NOT NULL THEN concat_ws(', ', 'the campaign is paused', nullif(k.paused_because, ''))
    WHEN q.paused_at IS NOT NULL THEN concat_ws(', ', 'the sequence is paused', nullif(q.paused_because, '')) {more}
    ELSE '' END AS stands_still"""
# When she gave what ended that: we may hear of a gift some time after it was paid.
_GAVE_TO = """(SELECT max(g.paid_at) FROM contribution g WHERE g.contact_id = :contact_id AND {when}
    AND {funds} AND g.sequence = 0 AND g.status NOT IN ('refunded', 'duplicate'))"""
_PLACE = """id, contact_id, version_id, sequence_id, campaign_id, rotation, state, reason, step, due_at, entered_at, ended_at,
    history"""
_PLACES = text(f"""
SELECT coalesce(q.slug, k.slug, '') AS sequence, coalesce(k.slug, '') AS campaign, v.version, e.rotation AS run, e.rotation,
    e.state, e.reason, e.step, e.due_at, e.entered_at, e.ended_at, e.waits_for, e.heard, e.history,
    v.definition::text AS definition, {_STILL.format(more="")},
    CASE e.reason WHEN 'gave' THEN {
    _GAVE_TO.format(when="g.paid_at <= e.ended_at", funds="g.fund_id = ANY(v.fund_ids)")
} END AS gave_at
FROM (
    SELECT {_PLACE}, waits_for, heard FROM enrollment WHERE contact_id = :contact_id
    UNION ALL SELECT {_PLACE}, '', false FROM past_place WHERE contact_id = :contact_id
) e JOIN sequence_version v ON v.id = e.version_id LEFT JOIN sequence q ON q.id = e.sequence_id
LEFT JOIN campaign k ON k.id = e.campaign_id
WHERE CASE :what WHEN 'campaign' THEN e.campaign_id = :id
    WHEN 'sequence' THEN e.sequence_id = :id WHEN 'letter' THEN false ELSE true END
ORDER BY e.entered_at DESC, e.id DESC LIMIT :most
""")
_RESTS_NOW = ask_rests.RESTING.format(contact="m.contact_id", fund="coalesce(m.fund_id, l.fund_id)")
_SINCE = "g.paid_at > m.created_at - interval '7 days'"
_MORE = "WHEN w.paused_at IS NOT NULL THEN concat_ws(', ', 'the letter is paused', nullif(w.paused_because, ''))"
_LETTER = """id, contact_id, mailing_id, chapter_id, version_id, campaign_id, kind, step, state, reason, due_at, created_at,
    handed_at, delivered_at"""
_LETTERS = text(f"""
SELECT l.slug AS letter, w.slug AS mailing, m.step, m.state, m.reason, m.at_cap, m.due_at, m.expires_at,
    m.created_at, m.handed_at, m.delivered_at, {_STILL.format(more=_MORE)},
    coalesce(m.clicked_at, (SELECT max(e.at) FROM mail_event e
        WHERE e.message_id = m.id AND e.kind = 'click' AND NOT e.machine)) AS clicked_at,
    CASE m.reason WHEN 'gave' THEN {_GAVE_TO.format(when=_SINCE, funds="g.fund_id IS NOT NULL")} END AS gave_at,
    CASE WHEN m.state = 'ready' AND m.kind <> '' THEN {refusal("m.kind", "m.chapter_id")} ELSE '' END AS refusal,
    CASE WHEN m.state = 'ready' AND m.kind = 'asks' THEN (SELECT r.words FROM ({_RESTS_NOW}) r) END AS rests
FROM (
    SELECT {_LETTER}, CAST(NULL AS timestamptz) AS clicked_at, at_cap, expires_at, fund_id FROM message
    WHERE contact_id = :contact_id
    UNION ALL SELECT {_LETTER}, clicked_at, '', NULL, NULL FROM past_letter WHERE contact_id = :contact_id
    ORDER BY id DESC
) m JOIN contact c ON c.id = m.contact_id
JOIN mailing w ON w.id = m.mailing_id JOIN letter l ON l.id = w.letter_id
LEFT JOIN campaign k ON k.id = m.campaign_id LEFT JOIN sequence_version v ON v.id = m.version_id
LEFT JOIN sequence q ON q.id = v.sequence_id
WHERE CASE :what WHEN 'campaign' THEN m.campaign_id = :id WHEN 'sequence' THEN q.id = :id
    WHEN 'letter' THEN l.id = :id ELSE true END
ORDER BY m.id DESC LIMIT :most
""")
_RESTS = text("""
SELECT r.since, r.until, r.reason, f.name AS fund FROM ask_rest r LEFT JOIN fund f ON f.id = r.fund_id
WHERE r.contact_id = :contact_id ORDER BY r.since
""")
_SEQUENCE = text("""
SELECT v.definition::text AS definition, coalesce(h.slug, '') AS chapter FROM sequence q
JOIN sequence_version v ON v.sequence_id = q.id AND v.version = q.version LEFT JOIN chapter h ON h.id = q.chapter_id
WHERE q.id = :id
""")

What = Literal["", "campaign", "sequence", "letter"]


@dataclass(frozen=True, slots=True)
class About:
    """What is asked about: one campaign, sequence or letter by its slug; '': everything."""

    what: What = ""
    id: int = 0
    slug: str = ""
    name: str = ""


EVERYTHING = About()


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of why. `zone`: hers, in which moments are told. `refusals`: of each kind of letter, why she may not
    get it; '': she may. `conditions`: of the campaign's or sequence's audience, how each stands with her now; `chosen`: a
    sentence about that. `decided` in the order of time, `ahead` likewise."""

    contact_id: int
    name: str
    email: str
    chapter: str
    zone: str
    refusals: dict[str, str]
    about: About
    chosen: str = ""
    conditions: Sequence[Met] = ()
    decided: Sequence[Said] = ()
    ahead: Sequence[Said] = field(default_factory=list)


def who(session: Session, reach: Reach, asked: str) -> int:
    """The contact of this address or number, within reach. Raises NotFound."""
    found = search.one(session, reach, asked)
    if found is None:
        raise NotFound("there is no such person within your reach")
    return found


def about(session: Session, slug: str) -> About:
    """The campaign, sequence or letter of this name, in this order. Raises NotFound."""
    row = session.execute(_ABOUT, {"slug": slug}).first()
    if row is None:
        raise NotFound(f"there is no campaign, sequence or letter {slug[:80]}")
    return About(*row)


def explain(
    session: Session, contact_id: int, now: datetime, zone: str, *, asked: About = EVERYTHING, reach: Reach = EVERYWHERE
) -> Explained:
    """Every decision about this person, or those of one campaign, sequence or letter. `zone`: the organisation's, of who
    lives nobody knows where. Raises NotFound when she is not within reach, or merged or erased."""
    who(session, reach, str(contact_id))
    person = session.execute(_PERSON, {"contact_id": contact_id, "now": now, "zone": zone}).one()
    account = Account(person.zone)
    values = {"contact_id": contact_id, "what": asked.what, "id": asked.id, "most": SHOWN, "now": now, "zone": zone}
    places = session.execute(_PLACES, values).all()
    for place in places:
        account.place(place, _definition(place.definition))
    for letter in session.execute(_LETTERS, values):
        account.letter(letter)
    for rest in session.execute(_RESTS, {"contact_id": contact_id}):
        account.rest(rest.since, rest.until, ask_rests.WORDS.get(rest.reason, rest.reason), rest.fund, now)
    chosen, conditions = _chosen(session, asked, contact_id, now, places)
    return Explained(
        contact_id, person.name, person.email or "", person.chapter or "", person.zone,
        {kind: getattr(person, kind) for kind in KINDS}, asked, chosen, conditions,
        sorted(account.decided, key=lambda said: said.at), sorted(account.ahead, key=lambda said: said.at),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _definition(said: str) -> Definition:
    return definitions.read(orjson.loads(said))


def _chosen(
    session: Session, asked: About, contact_id: int, now: datetime, places: Sequence[Row[Any]]
) -> tuple[str, Sequence[Met]]:
    """How it stands with the audience of what is asked about."""
    if asked.what == "campaign":
        return _by_campaign(session, asked, contact_id, now, places)
    if asked.what == "sequence":
        return _by_sequence(session, asked, contact_id, now, places)
    return "", ()


def _by_campaign(
    session: Session, asked: About, contact_id: int, now: datetime, places: Sequence[Row[Any]]
) -> tuple[str, Sequence[Met]]:
    campaign = campaigns.of_id(session, asked.id)
    content = contents.of(session, campaign)
    rule, scopes = contents.audience(session, campaign, content.definition)
    kind = content.kind or campaign.kind
    found = audience.judged(session, rule, contact_id, now, kind=kind, scopes=scopes, sender=audience.HOME)
    if places:
        return "it chose her", found
    met = all(each.met for each in found)
    if campaign.state in (campaigns.DRAFT, campaigns.SCHEDULED):
        return f"it has not begun; as things stand it would{'' if met else ' not'} choose her", found
    if campaign.state == campaigns.EXPANDING:
        return "it is choosing its people just now, and has not come to her", found
    if met:
        return "it did not choose her: she met a condition of it only after it had chosen its people", found
    return "it did not choose her", found


def _by_sequence(
    session: Session, asked: About, contact_id: int, now: datetime, places: Sequence[Row[Any]]
) -> tuple[str, Sequence[Met]]:
    row = session.execute(_SEQUENCE, {"id": asked.id}).one_or_none()
    if row is None:
        return "it is not published: nobody enters it", ()
    definition = _definition(row.definition)
    lets_in = "a launch" if definition.on == definitions.LAUNCH else definitions.TRIGGERS[definition.on]
    if definition.when is None:
        found: Sequence[Met] = ()
    else:
        found = audience.judged(session, definition.when, contact_id, now, kind=KINDS[0], scopes=(row.chapter,))[:-1]
    return ("she entered it" if places else f"she has not entered it; what lets people in: {lets_in}"), found
