"""Offers to help: on the list of the home chapter, moved as STATES allows, offered again after they were taken back."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.people import catalogues, volunteers
from engine.people.catalogue_files import understood
from engine.states import STATES
from tests.make import NOON

LATER = NOON + timedelta(days=3)


def somebody(session: Session, email: str = "rosa@example.org", slug: str = "worcester") -> int:
    return int(
        session.execute(
            text("""INSERT INTO contact (email, first_name, details_at, chapter_id)
            SELECT :email, 'Rosa', 'epoch', id FROM chapter WHERE slug = :slug RETURNING id"""),
            {"email": email, "slug": slug},
        ).scalar_one()
    )


def offers(session: Session, *codes: str, email: str = "rosa@example.org", slug: str = "worcester") -> int:
    """Somebody who offers to help in these ways."""
    ways = [{"code": code, "name": code.title()} for code in ("doors", "calls")]
    catalogues.bring_in(session, understood({"ways_to_help": ways}))
    rosa = somebody(session, email, slug)
    offer(session, rosa, *codes)
    return rosa


def offer(session: Session, contact_id: int, *codes: str, days: int = 0) -> None:
    at = NOON + timedelta(days=days)
    volunteers.offer(session, [{"contact_id": contact_id, "code": code, "at": at} for code in codes], at)


def chapter(session: Session, slug: str) -> int:
    return int(session.execute(text("SELECT id FROM chapter WHERE slug = :slug"), {"slug": slug}).scalar_one())


def listed(session: Session, slug: str = "worcester") -> list[tuple[str, str, str]]:
    return [(row.email, row.code, row.state) for row in volunteers.list_of(session, [chapter(session, slug)])]


def test_an_offer_stands_once_on_the_list_of_her_chapter_alone(session: Session):
    rosa = offers(session, "doors", "calls", "no-such-way")
    offer(session, rosa, "doors", days=1)
    assert listed(session) == [("rosa@example.org", "doors", "new"), ("rosa@example.org", "calls", "new")]
    assert listed(session, "lowell") == []
    assert volunteers.list_of(session, None) == volunteers.list_of(session, [chapter(session, "worcester")])
    (first, _) = volunteers.list_of(session, [chapter(session, "worcester")])
    assert (first.at, first.first_name, first.name) == (NOON, "Rosa", "Doors")


@pytest.mark.parametrize("before", STATES["volunteer_offer"])
@pytest.mark.parametrize("after", STATES["volunteer_offer"])
def test_an_offer_moves_as_states_allows_and_no_other_way(session: Session, before: str, after: str):
    offers(session, "doors")
    session.execute(text("UPDATE volunteer_offer SET state = :state"), {"state": before})
    number = session.execute(text("SELECT id FROM volunteer_offer")).scalar_one()
    if after in STATES["volunteer_offer"][before]:
        assert volunteers.move(session, number, after, None, LATER)
        found = session.execute(text("SELECT state, changed_at FROM volunteer_offer")).one()
        assert tuple(found) == (after, LATER)
    elif after == before:
        assert not volunteers.move(session, number, after, None, LATER)
    else:
        with pytest.raises(Conflict, match=f"{before} cannot become {after}"):
            volunteers.move(session, number, after, None, LATER)


def test_no_such_offer_and_no_such_state_are_told_apart(session: Session):
    with pytest.raises(NotFound):
        volunteers.move(session, 0, "placed", None, NOON)
    with pytest.raises(Invalid):
        volunteers.move(session, 0, "married", None, NOON)


def test_a_list_is_in_the_order_of_the_states_that_are_asked_for_and_can_be_read_in_parts(session: Session):
    offers(session, "doors", "calls")
    session.execute(text("UPDATE volunteer_offer SET state = 'contacted' WHERE way_to_help_id IN (SELECT id FROM"
                         " way_to_help WHERE code = 'doors')"))  # fmt: skip
    both = [row.code for row in volunteers.list_of(session, None, ("new", "contacted"))]
    assert (both, [row.code for row in volunteers.list_of(session, None, ("contacted", "new"))]) == (
        ["calls", "doors"], ["doors", "calls"],
    )  # fmt: skip
    parts = [volunteers.list_of(session, None, ("new", "contacted"), most=1, skip=skip) for skip in (0, 1, 2)]
    assert [[row.code for row in part] for part in parts] == [["calls"], ["doors"], []]
    assert volunteers.census(session, None) == {"new": 1, "contacted": 1}
    assert volunteers.census(session, [chapter(session, "lowell")]) == {}


def test_one_that_was_taken_back_is_offered_anew_by_a_later_word_only(session: Session):
    rosa = offers(session, "doors")
    number = session.execute(text("SELECT id FROM volunteer_offer")).scalar_one()
    volunteers.move(session, number, "withdrawn", None, LATER)
    assert listed(session) == []
    offer(session, rosa, "doors", days=1)  # said before she took it back
    assert listed(session) == []
    offer(session, rosa, "doors", days=5)
    assert listed(session) == [("rosa@example.org", "doors", "new")]


def test_one_that_is_under_way_goes_on_when_it_is_offered_again(session: Session):
    rosa = offers(session, "doors")
    number = session.execute(text("SELECT id FROM volunteer_offer")).scalar_one()
    volunteers.move(session, number, "placed", None, LATER)
    offer(session, rosa, "doors", days=9)
    assert listed(session) == [("rosa@example.org", "doors", "placed")]
