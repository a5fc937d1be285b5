"""What was planned for people of one line is written down: their letters, each once for its occasion, their next places, what
they are called by and their rests, letters to the leads of their chapters; what is counted comes last, in the order of its
keys.

Most people of a batch are told the same: each statement is given what differs, and the people of whom it holds.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, LettersComposed
from engine.languages import ENGLISH
from engine.outreach.guards import People
from engine.outreach.plan import Letter, Planned

# A campaign of which a run is over writes nothing for it, whoever is in it: its letters may be in the archive.
_WRITE = text("""
WITH made AS (
    INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, language, chapter_id, fund_id,
        facts, version_id, campaign_id, step, at_cap, inbound_event_id, created_at)
    SELECT e.contact_id, w.mailing_id, w.occasion || CASE e.campaign_id WHEN 0 THEN CAST(e.rotation AS text) ELSE '' END,
        :lane, l.kind, w.due_at, w.expires_at, w.language, i.chapter_id, l.fund_id, e.facts, e.version_id, e.campaign_id,
        w.step, w.at_cap, e.inbound_event_id, :now
    FROM json_to_recordset(CAST(:letters AS json)) AS w(mailing_id bigint, language text, step text, occasion text,
        at_cap text, due_at timestamptz, expires_at timestamptz, ids bigint[], chapters bigint[])
    JOIN mailing m ON m.id = w.mailing_id JOIN letter l ON l.id = m.letter_id
    CROSS JOIN LATERAL unnest(w.ids, w.chapters) i(id, chapter_id) JOIN enrollment e ON e.id = i.id
    WHERE NOT EXISTS (SELECT FROM past_occasion o WHERE o.contact_id = 0 AND o.key = hashtextextended(w.occasion, 0))
    ORDER BY e.contact_id
    ON CONFLICT (contact_id, occasion) DO NOTHING
    RETURNING mailing_id, coalesce(chapter_id, 0) AS chapter_id
)
SELECT mailing_id, chapter_id, count(*) AS letters FROM made GROUP BY mailing_id, chapter_id
""")
_MOVE = text("""
UPDATE enrollment e SET state = v.state, reason = v.reason, step = v.step, due_at = v.due_at, waits_for = v.waits_for,
    heard = false, history = e.history || v.history,
    ended_at = CASE WHEN v.state <> 'active' THEN CAST(:now AS timestamptz) END
FROM (
    SELECT v.*, i.id FROM json_to_recordset(CAST(:places AS json)) AS v(state text, reason text, step text,
        due_at timestamptz, waits_for text, history jsonb, ids bigint[]) CROSS JOIN LATERAL unnest(v.ids) i(id)
) v WHERE e.id = v.id
""")
# What she is called by already she is not called by twice. What other systems told under that name and is no list is none.
_MARK = text("""
UPDATE contact c SET rested_at = CASE WHEN v.rests THEN CAST(:now AS timestamptz) ELSE c.rested_at END,
    custom = CASE WHEN v.tags IS NULL THEN c.custom ELSE c.custom || (
        SELECT jsonb_build_object('tags', has.tags || (SELECT coalesce(jsonb_agg(t.tag), '[]') FROM unnest(v.tags) t(tag)
            WHERE NOT has.tags @> to_jsonb(t.tag)))
        FROM (SELECT CASE jsonb_typeof(c.custom -> 'tags') WHEN 'array' THEN c.custom -> 'tags' ELSE '[]' END AS tags) has
    ) END
FROM json_to_recordset(CAST(:marks AS json)) AS v(contact_id bigint, tags text[], rests boolean) WHERE c.id = v.contact_id
""")
# The leads of these chapters (0: of none, the root's), of the nearest one upwards that has any. Who is locked whole, for she
# is just being merged or erased, is not waited for.
_LEADS = text("""
WITH RECURSIVE up AS (
    SELECT i.id AS chapter_id, h.id, h.parent_id, EXISTS (SELECT FROM chapter_lead l WHERE l.chapter_id = h.id) AS led
    FROM unnest(CAST(:chapters AS bigint[])) i(id)
    JOIN chapter h ON CASE i.id WHEN 0 THEN h.parent_id IS NULL ELSE h.id = i.id END
    UNION ALL
    SELECT u.chapter_id, h.id, h.parent_id, EXISTS (SELECT FROM chapter_lead l WHERE l.chapter_id = h.id)
    FROM up u JOIN chapter h ON h.id = u.parent_id WHERE NOT u.led
), lead AS MATERIALIZED (
    SELECT up.chapter_id, l.contact_id FROM up JOIN chapter_lead l ON l.chapter_id = up.id WHERE up.led
), held AS MATERIALIZED (
    SELECT c.id, c.language FROM contact c WHERE c.id IN (SELECT contact_id FROM lead) FOR KEY SHARE SKIP LOCKED
)
SELECT lead.chapter_id, lead.contact_id, held.language FROM lead LEFT JOIN held ON held.id = lead.contact_id
ORDER BY lead.contact_id, lead.chapter_id
""")
_TELL = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, language, chapter_id, fund_id, facts, at_cap,
    created_at)
SELECT w.contact_id, w.mailing_id, w.occasion, :lane, l.kind, :now, w.language, nullif(w.chapter_id, 0), l.fund_id,
    jsonb_build_object('home', CAST(:home AS text), 'staff_url', :home || '/staff'), 'exempt', :now
FROM json_to_recordset(CAST(:letters AS json)) AS w(contact_id bigint, chapter_id bigint, mailing_id bigint, language text,
    occasion text)
JOIN mailing m ON m.id = w.mailing_id JOIN letter l ON l.id = m.letter_id
ORDER BY w.contact_id, w.occasion, w.chapter_id
ON CONFLICT (contact_id, occasion) DO NOTHING
""")
_COUNT = text("""
UPDATE campaign SET finished = finished + :finished, left_early = left_early + :left_early WHERE id = :campaign_id
""")
_TALLY = text("""
INSERT INTO step_tally AS t (version_id, campaign_id, mailing_id, chapter_id, step, variant, composed)
SELECT :version_id, :campaign_id, v.mailing_id, v.chapter_id, v.step, v.variant, v.letters
FROM json_to_recordset(CAST(:rows AS json)) AS v(mailing_id bigint, chapter_id bigint, step text, variant text,
    letters bigint)
ORDER BY v.mailing_id, v.chapter_id
ON CONFLICT (version_id, campaign_id, mailing_id, chapter_id) DO UPDATE SET composed = t.composed + excluded.composed
""")


@dataclass(frozen=True, slots=True)
class Line:
    """A version, and the campaign (0: none) by which people are in it. `mailings`: step -> variant -> language -> mailing.
    `day`: what day it is where the organisation is; `home`: where its pages are."""

    version_id: int
    campaign_id: int
    sequence_id: int
    run: int
    mailings: Mapping[str, Mapping[str, Mapping[str, int]]]
    day: date
    home: str

    def occasion(self, step: str) -> str:
        """The key of this step's letter; of who came by an event her rotation follows it."""
        if self.campaign_id:
            return f"campaign:{self.campaign_id}:{self.run}:{step}"
        return f"step:{self.sequence_id}:{step}:"

    def words(self, step: str, variant: str, language: str) -> tuple[int, str]:
        """Mailing and language: hers, or English."""
        spoken = self.mailings[step][variant]
        return (spoken[language], language) if language in spoken else (spoken[ENGLISH], ENGLISH)


@dataclass(frozen=True, slots=True)
class Taken:
    """What was planned, the same for all these people, who read this language."""

    planned: Planned
    language: str
    people: People


def write(session: Session, line: Line, taken: Sequence[Taken], now: datetime) -> list[Event]:
    """Write it all down; whose chapter's leads cannot be told just now stays where she is, and is due again."""
    leads = _leads(session, taken)
    if leads is not None:
        taken = [_told(each, leads) for each in taken]
    written = _letters(session, line, taken, now)
    _move(session, taken, now)
    _mark(session, taken, now)
    told = _tell(session, line, taken, leads or {}, now)
    _count(session, line, taken, written)
    return [LettersComposed(None, bell.DELIVERY)] if written or told else []


def _letters(
    session: Session, line: Line, taken: Sequence[Taken], now: datetime
) -> dict[tuple[int, int], tuple[Letter, int]]:
    """Write their letters. Of each mailing and chapter: the letter that it is, and how many are new."""
    groups: dict[tuple[Letter, str], tuple[list[int], list[int | None]]] = {}
    for each in taken:
        for letter in each.planned.letters:
            ids, chapters = groups.setdefault((letter, each.language), ([], []))
            ids += each.people.ids
            chapters += each.people.chapters
    if not groups:
        return {}
    letters, of_mailing = [], {}
    for (letter, language), (ids, chapters) in groups.items():
        mailing_id, spoken = line.words(letter.step, letter.variant, language)
        of_mailing[mailing_id] = letter
        letters.append({
            "mailing_id": mailing_id, "language": spoken, "step": letter.step, "occasion": line.occasion(letter.step),
            "at_cap": letter.at_cap, "due_at": letter.due_at, "expires_at": letter.expires_at, "ids": ids,
            "chapters": chapters,
        })  # fmt: skip
    made = session.execute(_WRITE, {"letters": rows(letters), "lane": bell.DELIVERY, "now": now})
    return {(row.mailing_id, row.chapter_id): (of_mailing[row.mailing_id], row.letters) for row in made}


def _move(session: Session, taken: Sequence[Taken], now: datetime) -> None:
    at = int(now.timestamp())
    places = [
        {
            "state": each.planned.state, "reason": each.planned.reason, "step": each.planned.step,
            "due_at": each.planned.due_at, "waits_for": each.planned.waits_for,
            "history": [[done.step, done.outcome, done.reason, at] for done in each.planned.done],
            "ids": each.people.ids,
        }
        for each in taken
    ]  # fmt: skip
    session.execute(_MOVE, {"places": rows(places), "now": now})


def _mark(session: Session, taken: Sequence[Taken], now: datetime) -> None:
    """Tags, and rests. She may be there twice, in two entries of hers."""
    tags: dict[int, dict[str, None]] = {}
    rests: set[int] = set()
    for each in taken:
        if each.planned.tags or each.planned.rests:
            for contact_id in each.people.contacts:
                tags.setdefault(contact_id, {}).update(dict.fromkeys(each.planned.tags))
            rests |= set(each.people.contacts) if each.planned.rests else set()
    if tags:
        marks = [{"contact_id": who, "tags": list(said) or None, "rests": who in rests} for who, said in tags.items()]
        session.execute(_MARK, {"marks": rows(marks), "now": now})


_Leads = Mapping[int, Sequence[Row[Any]]]


def _leads(session: Session, taken: Sequence[Taken]) -> _Leads | None:
    """Of each chapter (0: none) of people in a step that tells leads: who they are; None: there is no such step."""
    told = [each for each in taken if each.planned.notifies]
    if not told:
        return None
    chapters = sorted({chapter or 0 for each in told for chapter in each.people.chapters})
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(_LEADS, {"chapters": chapters}):
        found[row.chapter_id].append(row)
    return found


def _told(each: Taken, leads: _Leads) -> Taken:
    """The same for those of them whose leads are all there, if any are to be told."""
    if not each.planned.notifies:
        return each
    there = {
        chapter for chapter in set(each.people.chapters) if all(lead.language for lead in leads.get(chapter or 0, ()))
    }
    chosen = [at for at, chapter in enumerate(each.people.chapters) if chapter in there]
    return Taken(each.planned, each.language, each.people.only(chosen))


def _tell(session: Session, line: Line, taken: Sequence[Taken], leads: _Leads, now: datetime) -> bool:
    """The letters to leads, one a step and day for each; they name nobody. Whether there are any."""
    whose = f"campaign:{line.campaign_id}" if line.campaign_id else f"{line.sequence_id}"
    letters = {}
    for each in taken:
        for step in each.planned.notifies:
            for chapter in sorted({chapter or 0 for chapter in each.people.chapters}):
                for lead in leads.get(chapter, ()):
                    mailing_id, spoken = line.words(step, "", lead.language)
                    letters[lead.contact_id, step] = {
                        "contact_id": lead.contact_id, "chapter_id": chapter, "mailing_id": mailing_id,
                        "language": spoken, "occasion": f"notify:{whose}:{step}:{line.day}",
                    }  # fmt: skip
    if letters:
        values = {"letters": rows(letters.values()), "lane": bell.DELIVERY, "now": now, "home": line.home}
        session.execute(_TELL, values)
    return bool(letters)


def _count(
    session: Session, line: Line, taken: Sequence[Taken], written: Mapping[tuple[int, int], tuple[Letter, int]]
) -> None:
    ended = Counter[str]()
    for each in taken:
        ended[each.planned.state] += len(each.people)
    if line.campaign_id and (ended["finished"] or ended["left"]):
        values = {"campaign_id": line.campaign_id, "finished": ended["finished"], "left_early": ended["left"]}
        session.execute(_COUNT, values)
    tally = [
        {"mailing_id": mailing_id, "chapter_id": chapter_id, "step": letter.step, "variant": letter.variant, "letters": some}
        for (mailing_id, chapter_id), (letter, some) in written.items()
    ]  # fmt: skip
    if tally:
        session.execute(_TALLY, {"rows": rows(tally), "version_id": line.version_id, "campaign_id": line.campaign_id})
