"""Forms that anybody can fill in with anybody's address, and what they may do to somebody whom we know: add what is missing,
and replace nothing. What would replace something waits until she has said that it was she.

`load` looks at what is known; `weigh` is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Person, Wishes
from engine.people.contacts import spoken
from engine.people.wishes import SaidByForm

STAFFS_OWN = "sheet/"  # the beginning of forms that staff type in: paper that was signed before them

# `wanted`: the chapter that this sign-up chooses; `near`: whose land its ZIP is. `decided`: her home is not where she lives.
_LOAD = text("""
SELECT v.sign_up_id, c.first_name, c.last_name, c.street, c.city, c.state, c.zip, c.phone, c.language,
    c.chapter_id AS home, c.chosen_chapter_id AS chosen, coalesce(g.chapter_id, h.id) AS wanted, near.chapter_id AS near,
    coalesce(c.placed_chapter_id, c.chosen_chapter_id, c.entity_chapter_id) IS NOT NULL AS decided,
    ARRAY(SELECT w.code FROM volunteer_offer o JOIN way_to_help w ON w.id = o.way_to_help_id
        WHERE o.contact_id = c.id AND o.state = 'withdrawn') AS taken_back,
    (c.first_name, c.last_name, c.phone, c.street, c.city, c.state) <> ('', '', '', '', '', '') OR c.zip IS NOT NULL
        OR coalesce(c.placed_chapter_id, c.chosen_chapter_id) IS NOT NULL
        OR EXISTS (SELECT FROM consent x WHERE x.contact_id = c.id)
        OR EXISTS (SELECT FROM contribution x WHERE x.contact_id = c.id) AS known
FROM json_to_recordset(CAST(:rows AS json)) AS v(sign_up_id bigint, contact_id bigint, chapter text, gathering text, zip text)
JOIN contact c ON c.id = v.contact_id
LEFT JOIN chapter h ON h.slug = nullif(v.chapter, '') LEFT JOIN gathering g ON g.code = nullif(v.gathering, '')
LEFT JOIN zip_route near ON near.zip = v.zip
""")


class Place(NamedTuple):
    """Where somebody lives, as far as a form tells it."""

    zip: str = ""
    street: str = ""
    city: str = ""
    state: str = ""


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a contact (`known`: anything at all), and which chapters one sign-up of hers is about."""

    known: bool = False
    name: tuple[str, str] = ("", "")
    place: Place = NOWHERE
    phone: str = ""
    language: str = ""
    home: int | None = None
    chosen: int | None = None
    decided: bool = False
    taken_back: frozenset[str] = frozenset()
    wanted: int | None = None
    near: int | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What may be done at once, and whether anything else has to wait."""

    now: SaidByForm
    waits: bool = False


def load(session: Session, said: Sequence[SaidByForm]) -> Mapping[int, Known]:
    """What is known of whom each of these sign-ups (by its id) is about: one statement."""
    found = session.execute(_LOAD, {"rows": rows(map(_about, said))})
    return {
        row.sign_up_id: Known(
            known=row.known, name=(row.first_name, row.last_name),
            place=Place(row.zip or "", row.street, row.city, row.state), phone=row.phone, language=row.language,
            home=row.home, chosen=row.chosen, decided=row.decided, taken_back=frozenset(row.taken_back),
            wanted=row.wanted, near=row.near,
        )
        for row in found
    }  # fmt: skip


def weigh_all(said: Sequence[SaidByForm], known: Mapping[int, Known]) -> list[Weighed]:
    """Weigh these sign-ups as if each came after the one before: the second of one person is about somebody we know. Pure."""
    after: dict[int, Known] = {}
    weighed: dict[int, Weighed] = {}
    for one in sorted(said, key=lambda one: (one.at, one.sign_up_id)):
        her = known[one.sign_up_id]
        if (before := after.get(one.contact_id)) is not None:
            her = replace(before, wanted=her.wanted, near=her.near)
        weighed[one.sign_up_id] = weigh(one, her)
        after[one.contact_id] = _after(weighed[one.sign_up_id].now, her)
    return [weighed[one.sign_up_id] for one in said]


def weigh(one: SaidByForm, her: Known) -> Weighed:
    """What this sign-up may do at once to somebody of whom this is known. Pure.

    Of whom nothing is known, everything; so may what staff typed in. Else each group of words that is empty is filled in;
    one that says what is known already does nothing; one that says anything else waits.
    """
    if not her.known or one.wishes.form.startswith(STAFFS_OWN):
        return Weighed(one)
    person, wishes = one.person, one.wishes
    name = _added((spoken(person.first_name), spoken(person.last_name)), her.name)
    place = _added(_place(person), her.place)
    phone = _added((person.phone,), (her.phone,))
    kept = tuple(code for code in wishes.ways_to_help if code not in her.taken_back)
    waits = (
        None in (name, place, phone) or wishes.language != her.language or kept != wishes.ways_to_help
        or _elsewhere(her, filled=bool(place))
    )  # fmt: skip
    # Whoever would be introduced to others where she does not live has to say so herself, too.
    introduce = wishes.introduce and place is not None
    at_once = Wishes(form=wishes.form, language="", interests=wishes.interests, ways_to_help=kept, introduce=introduce)
    return Weighed(replace(one, person=_only(person, name=name, place=place, phone=phone), wishes=at_once), waits)


def _added(told: Sequence[str], known: Sequence[str]) -> bool | None:
    """Whether a group of words fills in what is missing; None when it says something else than what is known."""
    if not any(known):
        return any(told)
    same = all(not word or word.casefold() == other.casefold() for word, other in zip(told, known, strict=True))
    return False if same else None


def _only(person: Person, *, name: bool | None, place: bool | None, phone: bool | None) -> Person:
    """Her with the words of these groups alone."""
    if not name:
        person = replace(person, first_name="", last_name="")
    if not place:
        person = replace(person, street="", city="", state="", zip=None, country="")
    return person if phone else replace(person, phone="")


def _elsewhere(her: Known, *, filled: bool) -> bool:
    """Whether a sign-up would move her to another chapter than that to which she belongs after it."""
    home = her.near if filled and her.near is not None and not her.decided else her.home
    return her.wanted not in (None, home, her.chosen)


def _after(done: SaidByForm, her: Known) -> Known:
    """What is known of her once this was done."""
    person, wishes = done.person, done.wishes
    name, place = (spoken(person.first_name), spoken(person.last_name)), _place(person)
    chooses = bool(wishes.chapter or wishes.gathering) and her.wanted is not None
    lives = her.near if any(place) and her.near is not None and not her.decided else her.home
    return replace(
        her, known=True, name=name if any(name) else her.name, place=place if any(place) else her.place,
        phone=person.phone or her.phone, language=wishes.language or her.language,
        chosen=her.wanted if chooses else her.chosen, decided=her.decided or chooses,
        home=her.wanted if chooses else lives, taken_back=her.taken_back - set(wishes.ways_to_help),
    )  # fmt: skip


def _place(person: Person) -> Place:
    return Place(person.zip or "", person.street, person.city, person.state)


def _about(one: SaidByForm) -> dict[str, object]:
    return {
        "sign_up_id": one.sign_up_id,
        "contact_id": one.contact_id,
        "chapter": one.wishes.chapter,
        "gathering": one.wishes.gathering,
        "zip": one.person.zip,
    }
