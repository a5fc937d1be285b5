"""What somebody who joined is told of where she belongs: which chapter is hers, and why it is that one; or that none is near
her, and that one can begin.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.languages import catalogue, in_each
from engine.letters.vocabulary import greeted

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
    "Chapters begin with a few neighbors and a kitchen table. If you would like to start one where you live, just answer "
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
_SOMEBODY = "friend"

_PEOPLE = text("""
SELECT c.id, c.first_name, c.routed_by, c.zip, z.zip IS NOT NULL AS zip_known, h.name AS chapter,
    h.kind IN ('chapter', 'forming') AS near
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id LEFT JOIN zip z ON z.zip = c.zip
WHERE c.id = ANY(:ids) AND c.email IS NOT NULL ORDER BY c.id
""")

People = dict[int, dict[str, Any]]


def told(session: Session, contact_ids: Collection[int]) -> tuple[People, People]:
    """Facts for the letters of those who have a chapter near them, and of those who have none; each by contact. Words are in
    every language."""
    near: People = {}
    far: People = {}
    for person in session.execute(_PEOPLE, {"ids": list(contact_ids)}):
        (near if person.near else far)[person.id] = _facts(person)
    return near, far


def _facts(person: Row[Any]) -> dict[str, Any]:
    name = {"first_name": greeted(person.first_name) or _said(_SOMEBODY)}
    if person.near:
        return name | {"why": _said(_WHY.get(person.routed_by, _NEAR_HER), chapter=person.chapter)}
    if person.zip_known:
        why, offer = _FAR_OFF, _START_ONE
    else:
        why, offer = _UNKNOWN if person.zip else _UNPLACED, _OR_START_ONE
    return name | {"why": _said(why), "offer": _said(offer)}


def _said(words: str, **names: str) -> dict[str, str]:
    """These words in every language."""
    return in_each(lambda language: catalogue(language).gettext(words) % names)
