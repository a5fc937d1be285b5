"""What staff does on its pages: sheets, people, approvals. Each change once, on the audit, and followed by what follows."""

import io
import json
import zipfile
from datetime import timedelta
from itertools import count

import orjson
import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import territories
from engine.people.lands import Land, Proposal
from tests.asgi import Client
from tests.flows.house import put, run_everything
from tests.make import actblue_body, raw
from tests.staff import Desk, hire, known
from webhooks.staff import words

WORCESTER, SPRINGFIELD = "01605", "01103"
_numbers = count(1)


@pytest.fixture
def desk(house: Deps, door: Client) -> Desk:
    """An admin of all chapters who may export."""
    house.limiter.counts.clear()
    desk = Desk(door)
    desk.sign_in(house, hire(house, f"work.{next(_numbers)}@staff.example.org", "admin", may_export=True))
    return desk


@pytest.fixture
def rosa(house: Deps) -> int:
    return known(house, f"rosa.{next(_numbers)}@example.org", WORCESTER)


def rows(house: Deps, statement: str, **values):
    with transaction(house.sessions) as session:
        return session.execute(text(statement), values).all()


def one(house: Deps, statement: str, **values):
    (found,) = rows(house, statement, **values)
    return found


def done_to(house: Deps, person: int) -> list[str]:
    return [row.action for row in rows(
        house, "SELECT action FROM audit WHERE subject = 'contact' AND subject_id = :id ORDER BY id", id=person)]  # fmt: skip


def colleague(house: Deps, desk: Desk, role: str, *, may_export: bool = False) -> Desk:
    """Somebody else of the staff, for all chapters."""
    house.limiter.counts.clear()
    theirs = Desk(desk.door)
    theirs.sign_in(house, hire(house, f"work.{next(_numbers)}@staff.example.org", role, may_export=may_export))
    return theirs


def sheet(desk: Desk, *lines: tuple[str, str, str, str], where: str = "c:worcester", **more: str):
    fields = {}
    for number, line in enumerate(lines):
        for name, said in zip(("first_name", "last_name", "email", "zip"), line, strict=True):
            fields[f"{name}-{number}"] = said
    return desk.post("/staff/sheet", where=where, signed_on="2026-11-02", **fields, **more)


def test_good_rows_of_a_sheet_are_taken_and_the_others_kept_as_they_were_typed(house: Deps, desk: Desk):
    number = next(_numbers)
    desk.get("/staff/sheet")
    answer = sheet(
        desk, ("Joan", "Pratt", f" Joan.{number}@Example.org", "1604"), ("Sam", "<b>Okafor", "sam@example", "0160x"),
        ("", "Lee", "", ""),
    )  # fmt: skip
    assert answer.status == 200
    assert "1 person was taken; 2 rows need another look." in desk.page
    assert "Joan Pratt (we read 1604 as 01604)" in desk.page
    for kept in ('value="&lt;b&gt;Okafor"', 'value="sam@example"', 'value="0160x"', 'value="Lee"'):
        assert kept in desk.page
    assert "Joan" not in desk.page.partition('<form method="post" action="/staff/sheet"')[2]
    body = orjson.loads(one(house, "SELECT body FROM inbound_event ORDER BY id DESC LIMIT 1").body)
    assert body["email"] == f"joan.{number}@example.org"
    assert (body["zip"], body["form"], body["gathering"], body["confirm"]) == ("01604", "sheet/worcester", "", False)
    assert body["at"].startswith("2026-11-02T00:00:00")


def test_a_sheet_becomes_people_who_may_be_written_to(house: Deps, desk: Desk):
    email = f"joan.{next(_numbers)}@example.org"
    desk.get("/staff/sheet")
    sheet(desk, ("Joan", "Pratt", email, WORCESTER))
    run_everything(house)
    word = one(house, "SELECT given, place, wording, h.slug FROM consent w JOIN contact c ON c.id = w.contact_id"
                      " JOIN chapter h ON h.id = c.chapter_id WHERE c.email = :email", email=email)  # fmt: skip
    assert (word.given, word.place, word.slug) == (True, "sheet/worcester", "worcester")
    assert "I can stop them at any time" in word.wording


def test_the_same_page_sent_twice_or_thrice_at_once_stores_each_row_once(house: Deps, desk: Desk):
    desk.get("/staff/sheet")
    page, before = desk.page, one(house, "SELECT count(*) AS n FROM inbound_event").n
    lines = [("A", "B", f"ab.{number}@example.org", "") for number in range(3)]
    for _ in range(3):
        desk.page = page
        sheet(desk, *lines)
        assert "3 people were taken." in desk.page
    assert one(house, "SELECT count(*) AS n FROM inbound_event").n == before + 3


def test_another_sheet_with_the_same_row_is_another_sign_up(house: Deps, desk: Desk):
    before = one(house, "SELECT count(*) AS n FROM inbound_event").n
    for _ in range(2):
        desk.get("/staff/sheet")
        sheet(desk, ("A", "B", "same.row@example.org", ""))
    assert one(house, "SELECT count(*) AS n FROM inbound_event").n == before + 2


def test_who_stopped_letters_after_signing_the_sheet_stays_stopped(house: Deps, desk: Desk, rosa: int):
    email = one(house, "SELECT email FROM contact WHERE id = :id", id=rosa).email
    rows(house, "INSERT INTO suppression (email, reason, at) VALUES (:email, 'unsubscribe', '2026-11-03 09:00Z') RETURNING 1",
         email=email)  # fmt: skip
    desk.get("/staff/sheet")
    sheet(desk, ("Rosa", "Alvarez", email, WORCESTER))
    run_everything(house)
    desk.get(f"/staff/people/{rosa}")
    assert "Nothing is sent: unsubscribed" in desk.page


def test_a_sheet_of_a_gathering_carries_its_code(house: Deps, desk: Desk):
    code = f"rally{next(_numbers)}"
    rows(house, "INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most) SELECT :code, 'Elm Park', id,"
                " :at, :until, 5 FROM chapter WHERE slug = 'lowell' RETURNING 1",
         code=code, at=house.clock.now - timedelta(days=2), until=house.clock.now - timedelta(days=1))  # fmt: skip
    desk.get("/staff/sheet")
    assert "Elm Park" in desk.page
    sheet(desk, ("Joan", "Pratt", f"joan.{next(_numbers)}@example.org", WORCESTER), where=f"g:{code}")
    body = orjson.loads(one(house, "SELECT body FROM inbound_event ORDER BY id DESC LIMIT 1").body)
    assert (body["form"], body["gathering"], body["confirm"]) == ("sheet/lowell", code, False)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"where": ""}, 422, "Say where it was signed"), ({"where": "c:atlantis"}, 404, ""), ({"where": "x:y"}, 404, ""),
        ({"signed_on": "2026-11-30"}, 422, "not one to come"), ({"signed_on": "soon"}, 422, "is a date"),
        ({"page": "../x"}, 422, "open it again"),
    ],
)  # fmt: skip
def test_a_sheet_from_nowhere_or_the_future_takes_nobody_and_loses_nothing(
    house: Deps, desk: Desk, change, status, said
):
    before = one(house, "SELECT count(*) AS n FROM inbound_event").n
    desk.get("/staff/sheet")
    typed = {"where": "c:worcester", "signed_on": "2026-11-02", "email-0": "kept@example.org"} | change
    assert desk.post("/staff/sheet", **typed).status == status
    assert said in desk.page
    if "page" not in change and status == 422:
        assert 'value="kept@example.org"' in desk.page
    assert one(house, "SELECT count(*) AS n FROM inbound_event").n == before


def test_staff_places_someone_and_takes_it_back_with_a_history(house: Deps, desk: Desk, rosa: int):
    springfield = one(house, "SELECT id FROM chapter WHERE slug = 'springfield'").id
    for chosen, slug, by in ((springfield, "springfield", "staff"), (0, "worcester", "zip")):
        desk.get(f"/staff/people/{rosa}")
        assert desk.post(f"/staff/people/{rosa}/place", chapter=str(chosen)).status == 303
        found = one(house, "SELECT h.slug, c.routed_by FROM contact c JOIN chapter h ON h.id = c.chapter_id"
                           " WHERE c.id = :id", id=rosa)  # fmt: skip
        assert found == (slug, by)
    moves = rows(
        house, "SELECT staff_id IS NOT NULL FROM chapter_move WHERE contact_id = :id ORDER BY id DESC LIMIT 2", id=rosa
    )
    assert moves == [(True,), (True,)]
    desk.get(f"/staff/people/{rosa}")
    assert [desk.post(f"/staff/people/{rosa}/place", **said).status for said in ({}, {"chapter": "7x"})] == [422, 422]
    assert done_to(house, rosa) == ["placed", "placed"]
    desk.get(f"/staff/people/{rosa}")
    assert "Springfield → Worcester" in desk.page


def test_letters_stopped_by_staff_are_stopped_and_the_page_says_so(house: Deps, desk: Desk, rosa: int):
    desk.get(f"/staff/people/{rosa}")
    desk.post(f"/staff/people/{rosa}/stop")
    desk.get(f"/staff/people/{rosa}?said=stopped")
    assert "Nothing is sent: stopped by staff" in desk.page
    assert done_to(house, rosa) == ["letters stopped"]


def test_a_note_is_kept_escaped_replaced_and_emptied(house: Deps, desk: Desk, rosa: int):
    for written in ("<script>alert(1)</script> calls back", ""):
        desk.get(f"/staff/people/{rosa}")
        desk.post(f"/staff/people/{rosa}/note", note=written)
        desk.get(f"/staff/people/{rosa}")
        assert "<script>" not in desk.page
        assert ("&lt;script&gt;alert(1)&lt;/script&gt; calls back" in desk.page) == bool(written)
    assert one(house, "SELECT custom FROM contact WHERE id = :id", id=rosa).custom == {}
    details = json.dumps(
        [row.detail for row in rows(house, "SELECT detail FROM audit WHERE subject_id = :id", id=rosa)]
    )
    assert "calls back" not in details


def test_an_offer_goes_from_new_to_contacted_to_placed_and_is_on_the_start_page_until_then(
    house: Deps, desk: Desk, rosa: int
):
    offer = one(house, "INSERT INTO volunteer_offer (contact_id, way_to_help_id, at) SELECT :id, min(id), now()"
                       " FROM way_to_help RETURNING id", id=rosa).id  # fmt: skip
    assert f"/staff/people/{rosa}#help" in desk.get("/staff").body.decode()
    for state in ("contacted", "placed"):
        desk.get(f"/staff/people/{rosa}")
        assert desk.post(f"/staff/people/{rosa}/offers/{offer}", state=state).status == 303
        assert one(house, "SELECT state FROM volunteer_offer WHERE id = :id", id=offer).state == state
    assert f"/staff/people/{rosa}#help" not in desk.get("/staff").body.decode()
    desk.get(f"/staff/people/{rosa}")
    assert desk.post(f"/staff/people/{rosa}/offers/{offer}", state="new").status == 409
    assert desk.post(f"/staff/people/{rosa}/offers/{offer}", state="famous").status == 422
    assert done_to(house, rosa) == ["offer moved", "offer moved"]


def test_an_offer_of_somebody_else_is_not_moved_from_her_page(house: Deps, desk: Desk, rosa: int):
    other = known(house, f"other.{next(_numbers)}@example.org", SPRINGFIELD)
    offer = one(house, "INSERT INTO volunteer_offer (contact_id, way_to_help_id, at) SELECT :id, min(id), now()"
                       " FROM way_to_help RETURNING id", id=other).id  # fmt: skip
    desk.get(f"/staff/people/{rosa}")
    assert desk.post(f"/staff/people/{rosa}/offers/{offer}", state="contacted").status == 404


def test_two_records_are_compared_and_become_one(house: Deps, desk: Desk, rosa: int):
    other = known(house, f"twin.{next(_numbers)}@example.org", SPRINGFIELD, "Rosa", "Delgado")
    desk.get(f"/staff/people/{rosa}/merge?with={other}")
    assert "Rosa Delgado" in desk.page
    answer = desk.post(f"/staff/people/{rosa}/merge")
    assert answer.headers["location"] == f"/staff/people/{other}?said=merged"
    assert desk.get(f"/staff/people/{rosa}").headers["location"] == f"/staff/people/{other}?said=merged"
    assert one(house, "SELECT merged_into_id FROM contact WHERE id = :id", id=rosa).merged_into_id == other
    assert done_to(house, rosa) == ["merged"]
    assert "merged" in done_to(house, other)


def test_someone_is_compared_by_address_and_never_merged_with_herself(house: Deps, desk: Desk, rosa: int):
    email = one(house, "SELECT email FROM contact WHERE id = :id", id=rosa).email
    desk.get(f"/staff/people/{rosa}/merge?with={email.upper()}")
    assert "That is the same record" in desk.page
    desk.get("/staff")
    assert desk.post(f"/staff/people/{rosa}/merge", into=str(rosa)).status == 422


def test_erasing_says_what_goes_and_stays_then_does_it_and_her_page_is_gone(house: Deps, desk: Desk):
    email = f"gone.{next(_numbers)}@example.org"
    put(house, raw(actblue_body(donor={"email": email, "firstname": "Gerda", "lastname": "Vanish"})))
    run_everything(house)
    gerda = one(house, "SELECT id FROM contact WHERE email = :email", email=email).id
    desk.get(f"/staff/people/{gerda}/erase")
    assert "Erase Gerda Vanish for good" in desk.page
    assert "the sums of 1 gift" in desk.page
    assert desk.post(f"/staff/people/{gerda}/erase").headers["location"] == "/staff/people?said=erased"
    assert one(house, "SELECT email, first_name FROM contact WHERE id = :id", id=gerda) == (None, "")
    assert "Nobody found" in desk.get(f"/staff/people?q={email}").body.decode()
    # The treasurer's record is left, for the treasurer alone.
    assert "Vanish" in colleague(house, desk, "treasurer").get(f"/staff/people/{gerda}").body.decode()
    assert desk.get(f"/staff/people/{gerda}").status == 404
    assert colleague(house, desk, "organizer").get(f"/staff/people/{gerda}").status == 404


def test_amounts_and_the_treasurers_record_are_for_whom_they_are_for(house: Deps, desk: Desk):
    email = f"giver.{next(_numbers)}@example.org"
    put(house, raw(actblue_body(donor={"email": email})))
    run_everything(house)
    giver = one(house, "SELECT id FROM contact WHERE email = :email", email=email).id
    seen = {}
    for role in ("admin", "treasurer", "organizer", "viewer"):
        page = colleague(house, desk, role).get(f"/staff/people/{giver}").body.decode()
        seen[role] = ("$27" in page, "Worcester Public Library" in page, "1 gift" in page)
    kept_from = (False, False, True)
    assert seen.pop("treasurer") == (True, True, True)
    assert seen == {"admin": (True, False, True), "organizer": kept_from, "viewer": kept_from}


def test_a_bundle_is_a_file_with_everything_and_taking_it_is_on_the_audit(house: Deps, desk: Desk, rosa: int):
    assert f"/staff/people/{rosa}/bundle" not in desk.get(f"/staff/people/{rosa}").body.decode()
    treasurer = colleague(house, desk, "treasurer", may_export=True)
    treasurer.get(f"/staff/people/{rosa}")
    answer = treasurer.post(f"/staff/people/{rosa}/bundle")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert json.loads(archive.read("person.json"))["contact"][0]["id"] == rosa
    assert done_to(house, rosa) == ["bundle taken"]


def proposed(house: Deps) -> int:
    with house.work() as (session, now):
        land = Land(zips=(WORCESTER, "01604"), counties=(), states=(), miles=0)
        return territories.propose(session, Proposal(chapters={"lowell": land}), "Lowell takes Worcester", None, now).id


@pytest.mark.usefixtures("rosa")
def test_a_change_of_territories_says_whom_it_moves_and_is_approved_once(house: Deps, desk: Desk):
    change = proposed(house)
    desk.get("/staff/approvals")
    assert "Lowell takes Worcester" in desk.page
    assert "Approve: move" in desk.page
    path = f"/staff/approvals/territories/{change}"
    assert desk.post(path, decision="perhaps").status == 422
    desk.get("/staff/approvals")
    assert desk.post(path, decision="approved").headers["location"] == "/staff/approvals?said=approved"
    desk.get("/staff/approvals")
    assert desk.post(path, decision="declined").status == 409
    assert one(house, "SELECT state, decided_by IS NOT NULL FROM territory_change WHERE id = :id", id=change) == (
        "approved", True,
    )  # fmt: skip
    audit = rows(house, "SELECT action FROM audit WHERE subject = 'territory_change' AND subject_id = :id", id=change)
    assert audit == [("territory change approved",)]


def test_a_spark_becomes_a_forming_chapter_under_the_name_that_was_typed(house: Deps, desk: Desk):
    spark = one(house, "INSERT INTO spark (place, people) VALUES ('MA:Dukes County', 16) RETURNING id").id
    desk.get("/staff/approvals")
    assert "A chapter for Dukes County, MA?" in desk.page
    answer = desk.post(f"/staff/approvals/sparks/{spark}", decision="approved", name="Martha's Vineyard")
    assert answer.status == 303
    chapter = one(house, "SELECT kind, slug FROM chapter WHERE name = 'Martha''s Vineyard'")
    assert chapter == ("forming", "martha-s-vineyard")
    declined = one(house, "INSERT INTO spark (place, people) VALUES ('MA:Nantucket County', 15) RETURNING id").id
    desk.get("/staff/approvals")
    desk.post(f"/staff/approvals/sparks/{declined}", decision="declined")
    assert one(house, "SELECT state FROM spark WHERE id = :id", id=declined).state == "declined"


def test_ids_that_no_row_can_have_are_not_found(desk: Desk):
    for path in (f"/staff/people/{2**63}", f"/staff/people/{10**30}", "/staff/people/0", "/staff/people/-1"):
        assert desk.get(path).status == 404


@pytest.mark.parametrize(
    ("source", "place", "said"),
    [("join", "join/worcester", "on our own form (join/worcester)"), ("join", "sheet/lowell", "on a paper sheet (lowell)"),
     ("import:mailchimp", "subscribed.csv", "in a list from Mailchimp (subscribed.csv)"),
     ("one-click", "", "by the button of a mail program"),
     ("preferences", "preferences", "on their own page"), ("elsewhere", "", "elsewhere")],
)  # fmt: skip
def test_through_what_someone_spoke_is_said_in_words(source: str, place: str, said: str):
    assert words.through(source, place) == said
