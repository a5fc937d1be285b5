"""The welcome: to somebody whose yes holds from now on, from the chapter near her, with why it is that one.

Where no chapter is within reach the organisation itself writes, and offers to help start one. Once per contact; once more
when she had left and came back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, HumanNeeded, Joined, LettersComposed
from engine.languages import ENGLISH, catalogue
from engine.letters import writing
from engine.letters.vocabulary import greeted
from engine.settings import Settings

NEAR, FAR = "welcome", "welcome_far"  # the letters that are shipped
KIND = "news"
STALE = timedelta(days=7)  # nobody is welcomed later than that
# Why that chapter, by `contact.routed_by`; anything else lies near her. Marked here, translated where they are used.
_NEAR_HER = "You are near %(chapter)s, so that is your chapter."
_WHY: Mapping[str, str] = {
    "choice": "You signed up with %(chapter)s, so that is your chapter.",
    "entity": "You gave to %(chapter)s, so that is your chapter.",
    "staff": "%(chapter)s is your chapter.",
    "state": "%(chapter)s is the chapter for the whole state, so it is yours.",
}
_FAR_OFF = "There is no chapter of ours near you yet."
_START_ONE = (
    "Chapters begin with a few neighbours and a kitchen table. If you would like to start one where you live, just answer "
    "this letter: a person reads it, and we will help."
)
_UNPLACED = (
    "You did not tell us your ZIP, so we cannot say yet which chapter is near you. You can add it on your page, below."
)
_UNKNOWN = (
    "We do not know the ZIP that you told us, so we cannot say yet which chapter is near you. You can put it right on your "
    "page, below."
)
_OR_START_ONE = (
    "And if there is none near you yet, you could start one: just answer this letter, a person reads it, and "
    "we will help."
)
_SOMEBODY = "neighbour"

_PEOPLE = text("""
SELECT c.id, c.first_name, c.language, c.routed_by, c.zip, z.zip IS NOT NULL AS zip_known, h.id AS chapter_id,
    h.name AS chapter, h.kind NOT IN ('chapter', 'forming') AS far, (
        SELECT count(*) FROM consent no
        WHERE no.contact_id = c.id AND no.channel = 'mail' AND no.kind = '' AND NOT no.given) AS times_left
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id LEFT JOIN zip z ON z.zip = c.zip
WHERE c.id = ANY(:ids) AND c.email IS NOT NULL ORDER BY c.id
""")

_COMPOSE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, language, chapter_id, facts,
    inbound_event_id)
SELECT contact_id, mailing_id, occasion, :lane, :kind, :now, :expires, language, chapter_id, facts, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, mailing_id bigint, occasion text, language text,
    chapter_id bigint, facts jsonb, cause bigint)
ORDER BY contact_id
ON CONFLICT (contact_id, occasion) DO NOTHING
RETURNING id
""")


def compose(session: Session, joined: Sequence[Joined], now: datetime, _: Settings) -> list[Event]:
    """Make the welcomes of these people."""
    mailings = {slug: writing.spoken(session, slug) for slug in (NEAR, FAR)}
    lacking = [slug for slug, found in mailings.items() if not found]
    if lacking:
        return [
            HumanNeeded(None, "no letter to send", slug, "there are no words to welcome people") for slug in lacking
        ]
    causes = {event.contact_id: event.cause for event in joined}
    people = session.execute(_PEOPLE, {"ids": list(causes)}).all()
    written = [_letter(person, mailings, causes[person.id]) for person in people]
    values = {"rows": rows(written), "lane": bell.DELIVERY, "kind": KIND, "now": now, "expires": now + STALE}
    made = session.execute(_COMPOSE, values).all()
    return [LettersComposed(None, bell.DELIVERY)] if made else []


def _letter(person: Row[Any], mailings: Mapping[str, Mapping[str, int]], cause: int | None) -> dict[str, object]:
    found = mailings[FAR if person.far is not False else NEAR]
    language = person.language if person.language in found else ENGLISH
    return {
        "contact_id": person.id,
        "mailing_id": found[language],
        "occasion": f"welcome:{person.times_left}" if person.times_left else "welcome",
        "language": language,
        "chapter_id": person.chapter_id,
        "facts": _facts(person, language),
        "cause": cause,
    }


def _facts(person: Row[Any], language: str) -> dict[str, str]:
    spoken = catalogue(language).gettext
    name = {"first_name": greeted(person.first_name) or spoken(_SOMEBODY)}
    if person.far is False:
        return name | {"why": spoken(_WHY.get(person.routed_by, _NEAR_HER)) % {"chapter": person.chapter}}
    if person.zip_known:
        why, offer = _FAR_OFF, _START_ONE
    else:
        why, offer = _UNKNOWN if person.zip else _UNPLACED, _OR_START_ONE
    return name | {"why": spoken(why), "offer": spoken(offer)}
