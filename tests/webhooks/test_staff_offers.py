"""The list of offers to help: one's own chapter's and those below it, new ones first, moved by button, page by page."""

import re
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import volunteers
from tests.asgi import Client
from tests.staff import Desk, hire, known
from tests.webhooks.joining import said

WORCESTER, SPRINGFIELD, NOWHERE = "01605", "01103", "01301"
_numbers = count(1)


def signed_in(house: Deps, door: Client, role: str, chapter: str = "") -> Desk:
    house.limiter.counts.clear()
    desk = Desk(door)
    desk.sign_in(house, hire(house, f"offers.{next(_numbers)}@staff.example.org", role, chapter))
    return desk


@pytest.fixture(autouse=True)
def nobody_yet(house: Deps) -> None:
    """Nobody has offered anything before a test begins."""
    with transaction(house.sessions) as session:
        session.execute(text("DELETE FROM volunteer_offer"))


def offered(house: Deps, name: str, code: str = WORCESTER, *, state: str = "new", days: int = 0, ways: int = 1) -> int:
    """Somebody of this name who lives there and offers to help since so many days; returns the id of her (first) offer."""
    her = known(house, f"helper.{next(_numbers)}@example.org", code, name, "Helps")
    at = house.clock.now - timedelta(days=days)
    with transaction(house.sessions) as session:
        codes = session.scalars(text("SELECT code FROM way_to_help ORDER BY position LIMIT :ways"), {"ways": ways})
        volunteers.offer(session, [{"contact_id": her, "code": each, "at": at} for each in codes], at)
        ids = session.scalars(
            text("UPDATE volunteer_offer SET state = :state WHERE contact_id = :her RETURNING id"),
            {"state": state, "her": her},
        ).all()
    return min(ids)


def names(desk: Desk, query: str = "") -> list[str]:
    return re.findall(r">(\w+) Helps<", desk.get(f"/staff/offers{query}").body.decode())


def test_open_offers_come_first_new_before_contacted_and_the_longest_waiting_first(house: Deps, door: Client):
    for name, state, days in (("Late", "new", 1), ("Early", "new", 9), ("Talked", "contacted", 30), ("Done", "placed", 3),
                              ("Gone", "withdrawn", 2)):  # fmt: skip
        offered(house, name, state=state, days=days)
    desk = signed_in(house, door, "viewer")
    assert names(desk) == ["Early", "Late", "Talked"]
    assert names(desk, "?show=placed") == ["Done"]
    assert names(desk, "?show=withdrawn") == ["Gone"]
    assert names(desk, "?show=famous") == ["Early", "Late", "Talked"]
    assert "Open 3 Placed 1 Withdrawn 1" in said(desk.get("/staff/offers"))
    assert 'action="/staff/offers/' not in desk.page  # who only looks gets no buttons


def test_an_offer_is_moved_from_the_list_which_stays_as_it_was(house: Deps, door: Client):
    first, _ = offered(house, "Rosa", days=2), offered(house, "Ines", days=1)
    desk = signed_in(house, door, "organizer", "worcester")
    desk.get("/staff/offers")
    moved = desk.post(f"/staff/offers/{first}", state="contacted")
    assert (moved.status, moved.headers["location"]) == (303, "/staff/offers?show=open&said=moved")
    assert "The offer has moved on." in said(desk.get(moved.headers["location"]))
    assert names(desk) == ["Ines", "Rosa"]
    desk.post(f"/staff/offers/{first}", state="placed")
    assert (names(desk), names(desk, "?show=placed")) == (["Ines"], ["Rosa"])
    back = desk.post(f"/staff/offers/{first}", state="contacted", show="placed", page="1")
    assert back.headers["location"] == "/staff/offers?show=placed&said=moved"
    with transaction(house.sessions) as session:
        told = session.execute(
            text("SELECT action, detail FROM audit WHERE action = 'offer moved' ORDER BY id DESC")
        ).all()
    assert [row.detail["state"] for row in told[:3]] == ["contacted", "placed", "contacted"]
    desk.get("/staff/offers")
    assert desk.post(f"/staff/offers/{first}", state="married").status == 422
    desk.get("/staff/offers")
    assert desk.post(f"/staff/offers/{first}", state="new").status == 303
    assert desk.post(f"/staff/offers/{first}", state="new").status in (303, 403)


def test_a_chapter_sees_and_moves_its_own_offers_and_those_below_it_and_the_root_everybodys(house: Deps, door: Client):
    offered(house, "Rosa")
    theirs = offered(house, "Sol", SPRINGFIELD)
    offered(house, "Nan", NOWHERE)
    worcester, western = (signed_in(house, door, "organizer", slug) for slug in ("worcester", "western"))
    assert (names(worcester), names(western)) == (["Rosa"], ["Sol"])
    assert sorted(names(signed_in(house, door, "organizer"))) == ["Nan", "Rosa", "Sol"]
    worcester.get("/staff/offers")
    assert worcester.post(f"/staff/offers/{theirs}", state="contacted").status == 404
    assert worcester.post("/staff/offers/999999999", state="contacted").status == 404
    assert worcester.post(f"/staff/offers/{10**30}", state="contacted").status == 404
    with transaction(house.sessions) as session:
        assert session.scalars(text("SELECT DISTINCT state FROM volunteer_offer")).all() == ["new"]


def test_one_chapter_alone_can_be_asked_for_within_ones_reach(house: Deps, door: Client):
    for name, code in (("Rosa", WORCESTER), ("Sol", SPRINGFIELD)):
        offered(house, name, code)
    with transaction(house.sessions) as session:
        ids = {row.slug: row.id for row in session.execute(text("SELECT slug, id FROM chapter"))}
    admin, western = signed_in(house, door, "admin"), signed_in(house, door, "organizer", "western")
    assert names(admin, f"?chapter={ids['worcester']}") == ["Rosa"]
    assert names(admin, f"?chapter={ids['western']}") == ["Sol"]  # a region's are those of its chapters
    assert names(western, f"?chapter={ids['worcester']}") == ["Sol"]
    assert names(admin, "?chapter=x") == ["Rosa", "Sol"]
    (number,) = re.findall(r"/staff/offers/(\d+)", admin.get(f"/staff/offers?chapter={ids['worcester']}").body.decode())
    assert f"chapter={ids['worcester']}" in admin.post(f"/staff/offers/{number}", state="contacted").headers["location"]


def test_a_long_list_has_pages(house: Deps, door: Client):
    for number in range(13):
        offered(house, f"N{number:02}", days=100 - number, ways=7)
    desk = signed_in(house, door, "organizer", "worcester")
    pages = [names(desk, f"?page={page}") for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [40, 40, 11, 0]
    assert pages[0][:7] == ["N00"] * 7
    assert 'href="/staff/offers?show=open&amp;page=2"' in desk.get("/staff/offers").body.decode()


def test_the_start_page_leads_to_the_list(house: Deps, door: Client):
    offered(house, "Rosa")
    desk = signed_in(house, door, "organizer", "worcester")
    assert 'href="/staff/offers"' in desk.get("/staff").body.decode()


def test_who_was_erased_or_merged_offers_nothing(house: Deps, door: Client):
    offered(house, "Rosa")
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE contact SET erased_at = now() WHERE first_name = 'Rosa'"))
    assert names(signed_in(house, door, "viewer")) == []
