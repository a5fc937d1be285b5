"""How a treasurer finds gifts: by their number, and those of people who were erased; and that nobody else does."""

import re
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.giving import keeping
from engine.people import contacts, erasing
from engine.staff import gifts
from tests.asgi import Client
from tests.flows.house import put, run_everything
from tests.make import actblue_body, raw
from tests.staff import Desk, hire
from tests.webhooks.joining import said

_numbers = count(1)


def signed_in(house: Deps, door: Client, role: str, chapter: str = "") -> Desk:
    house.limiter.counts.clear()
    desk = Desk(door)
    desk.sign_in(house, hire(house, f"money.{next(_numbers)}@staff.example.org", role, chapter))
    return desk


@pytest.fixture(scope="module")
def desks(house: Deps, door: Client) -> dict[str, Desk]:
    found = {role: signed_in(house, door, role) for role in ("admin", "treasurer", "organizer")}
    return found | {"treasurer of worcester": signed_in(house, door, "treasurer", "worcester")}


def gave(house: Deps, order: str, last_name: str = "Vanish", **line: object) -> int:
    """Somebody who gave in this order; returns her id."""
    email = f"gerda.{next(_numbers)}@example.org"
    donor = {"email": email, "firstname": "Gerda", "lastname": last_name, "zip": "01605"}
    put(house, raw(actblue_body(donor=donor, contribution={"orderNumber": order}, **line)))
    run_everything(house)
    with transaction(house.sessions) as session:
        return contacts.find(session, email)


def erased(house: Deps, order: str, last_name: str = "Vanish", **line: object) -> int:
    her = gave(house, order, last_name, **line)
    with house.work() as (session, now):
        house.react(session, erasing.erase(session, her, house.signer, now), now)
    return her


def test_a_treasurer_finds_an_erased_donors_gifts_by_their_order_number(house: Deps, desks):
    her = erased(house, "ABGONE1")
    found = desks["treasurer"].get("/staff/people?q=abgone1%20")
    assert f'href="/staff/people/{her}"' in found.body.decode()
    assert "An erased person" in said(found)
    assert "$27" in said(found)
    shown = desks["treasurer"].get(f"/staff/people/{her}")
    assert ("Gerda Vanish" in said(shown), "ABGONE1" in said(shown)) == (True, True)
    for role in ("admin", "organizer", "treasurer of worcester"):
        assert str(her) not in re.findall(
            r"/staff/people/(\d+)", desks[role].get("/staff/people?q=ABGONE1").body.decode()
        )


def test_whoever_sees_gifts_finds_those_of_the_living_by_their_number(house: Deps, desks):
    her = gave(house, "ABHERE1", "Present")
    for role in ("admin", "treasurer", "treasurer of worcester"):
        found = desks[role].get("/staff/people?q=ABHERE1")
        assert f'href="/staff/people/{her}"' in found.body.decode()
        assert "Gerda Present" in said(found)
    assert "Nobody found" in said(desks["organizer"].get("/staff/people?q=ABHERE1"))


def test_erased_donors_are_listed_for_the_treasurer_as_long_as_their_record_is_kept(house: Deps, desks):
    first, second = erased(house, "ABLIST1", "Onesdottir"), erased(house, "ABLIST2", "Twosdottir")
    living = gave(house, "ABLIST3", "Threesdottir")
    page = desks["treasurer"].get("/staff/erased-donors")
    assert ("Gerda Onesdottir" in said(page), "Gerda Twosdottir" in said(page)) == (True, True)
    assert "Threesdottir" not in said(page)
    assert page.body.decode().index(f"/staff/people/{second}") < page.body.decode().index(f"/staff/people/{first}")
    assert f"/staff/people/{living}" not in page.body.decode()
    assert "/staff/erased-donors" in desks["treasurer"].get("/staff/people").body.decode()
    assert "/staff/erased-donors" not in desks["admin"].get("/staff/people").body.decode()
    with transaction(house.sessions) as session:
        assert keeping.expire_snapshots(session, house.clock.now + timedelta(days=8 * 366)) >= 2
    assert "sdottir" not in said(desks["treasurer"].get("/staff/erased-donors"))


def test_the_list_of_erased_donors_is_of_nobody_for_who_works_for_a_chapter(house: Deps, desks):
    erased(house, "ABLIST4", "Foursdottir")
    assert "Foursdottir" not in said(desks["treasurer of worcester"].get("/staff/erased-donors"))


def test_a_long_list_of_erased_donors_has_pages(house: Deps, desks):
    with transaction(house.sessions) as session:
        session.execute(text("""
            WITH gone AS (INSERT INTO contact (email, details_at, erased_at)
                SELECT NULL, 'epoch', timestamptz '2001-01-01' + n * interval '1 day' FROM generate_series(1, 60) n
                RETURNING id)
            INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, order_number, donor)
            SELECT 'actblue', 'many-' || gone.id, gone.id, (SELECT min(id) FROM fund), 500, now(), 'many-' || gone.id,
                '{"first_name": "Nora", "last_name": "Many"}' FROM gone"""))  # fmt: skip
    shown = [desks["treasurer"].get(f"/staff/erased-donors?page={page}") for page in (1, 2, 3)]
    assert said(shown[0]).count("Nora Many") + said(shown[1]).count("Nora Many") == 60
    assert said(shown[0]).count("Nora Many") <= gifts.SHOWN
    assert 'href="/staff/erased-donors?page=2"' in shown[0].body.decode()
    assert "Nora" not in said(shown[2])
    for odd in ("0", "-1", "x", "9" * 40):
        assert desks["treasurer"].get(f"/staff/erased-donors?page={odd}").status == 200
