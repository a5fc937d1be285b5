"""Who gets which page: by right, by reach, with a form of her own session."""

from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.staff import FORM, SAME_ORIGIN, Desk, hire, known
from webhooks import app

WORCESTER, SPRINGFIELD, LOWELL = "01605", "01103", "01851"
CHAPTERS = {"worcester": WORCESTER, "springfield": SPRINGFIELD, "lowell": LOWELL}
_numbers = count(1)


@pytest.fixture(scope="module")
def people(house: Deps) -> dict[str, int]:
    """One person of each of three chapters, with a name that no page says otherwise."""
    return {
        slug: known(house, f"zz{slug}@example.org", code, f"Zz{slug}", f"Qq{slug}") for slug, code in CHAPTERS.items()
    }


@pytest.fixture(scope="module")
def desks(house: Deps, door: Client) -> dict[str, Desk]:
    """One browser a role, all chapters; and one a chapter for its organizer and its admin."""
    house.limiter.counts.clear()
    found: dict[str, Desk] = {}
    for role in ("admin", "organizer", "treasurer", "viewer"):
        found[role] = signed_in(house, door, role, may_export=role != "organizer")
    for slug in CHAPTERS:
        found[slug] = signed_in(house, door, "organizer", slug)
        found[f"admin of {slug}"] = signed_in(house, door, "admin", slug, may_export=True)
    return found


def signed_in(house: Deps, door: Client, role: str, chapter: str = "", *, may_export: bool = False) -> Desk:
    house.limiter.counts.clear()
    desk = Desk(door)
    email = hire(house, f"{role}.{next(_numbers)}@staff.example.org", role, chapter, may_export=may_export)
    assert desk.sign_in(house, email).status == 303
    return desk


def rows(house: Deps, statement: str, **values):
    with transaction(house.sessions) as session:
        return session.execute(text(statement), values).all()


ALL = {"admin", "organizer", "treasurer", "viewer"}
PAGES = {
    "/staff": ALL,
    "/staff/offers": ALL,
    "/staff/people": ALL,
    "/staff/people/{id}": ALL,
    "/staff/sheet": {"admin", "organizer"},
    "/staff/approvals": {"admin"},
    "/staff/people/{id}/erase": {"admin"},
    "/staff/people/{id}/merge?with=zzlowell@example.org": {"admin"},
    "/staff/erased-donors": {"treasurer"},
    "/staff/letters": ALL,
    "/staff/letters/thank_you": ALL,
    "/staff/letters/thank_you/html": ALL,
    "/staff/letters/thank_you/edit": {"admin"},
    "/staff/letters/new": {"admin"},
}
FORMS = {
    "/staff/people/{id}/place": {"admin", "organizer"},
    "/staff/people/{id}/note": {"admin", "organizer"},
    "/staff/people/{id}/stop": {"admin", "organizer"},
    "/staff/people/{id}/offers/1": {"admin", "organizer"},
    "/staff/offers/1": {"admin", "organizer"},
    "/staff/people/{id}/merge": {"admin"},
    "/staff/people/{id}/erase": {"admin"},
    "/staff/people/{id}/bundle": {"treasurer"},  # others may export, but not what the treasurer keeps
    "/staff/sheet": {"admin", "organizer"},
    "/staff/approvals/territories/1": {"admin"},
    "/staff/approvals/sparks/1": {"admin"},
    "/staff/letters/new": {"admin"},
    "/staff/letters/thank_you/edit": {"admin"},
    "/staff/letters/thank_you/test": ALL,
    "/staff/letters/thank_you/note": {"admin", "organizer"},
    "/staff/letters/thank_you/resume": {"admin"},
}


@pytest.fixture
def somebody(house: Deps) -> int:
    """A person of her own for each test that may change her."""
    return known(house, f"some.{next(_numbers)}@example.org", WORCESTER)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("role", sorted(ALL))
def test_each_page_is_for_whom_it_is_for(desks, somebody, role: str, path: str):
    answer = desks[role].get(path.format(id=somebody))
    assert answer.status == (200 if role in PAGES[path] else 403)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("role", sorted(ALL))
def test_each_form_is_for_whom_it_is_for(desks, somebody, role: str, path: str):
    desk = desks[role]
    desk.get("/staff")
    answer = desk.post(path.format(id=somebody))
    assert (answer.status != 403) == (role in FORMS[path]), answer.status
    assert answer.status < 500


def test_every_page_and_form_of_staff_is_in_one_of_the_tables_here():
    told = {entry.path for entry in app.ROUTES if entry.part == app.STAFF}
    beside = {"/staff/sign-in", "/staff/sign-in/{token}", "/staff/sign-out"}
    tested = {path.partition("?")[0].replace("{id}", "{id:int}") for path in (*PAGES, *FORMS)}
    for said, meant in {"offers/1": "offers/{offer:int}", "territories/1": "territories/{id:int}",
                        "sparks/1": "sparks/{id:int}", "letters/thank_you": "letters/{slug}"}.items():  # fmt: skip
        tested = {path.replace(said, meant) for path in tested}
    assert told - beside == tested


def test_without_a_session_every_page_leads_to_the_door_and_no_form_does_anything(door: Client, somebody):
    before = Desk(door)
    for path in PAGES:
        assert before.get(path.format(id=somebody)).headers["location"] == "/staff/sign-in"
    before.page = ""
    for path in FORMS:
        assert before.post(path.format(id=somebody), form="x").status == 403, path


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")], [("sec-fetch-site", "none")],
        [("origin", "https://evil.example.org")], [("origin", "null"), ("sec-fetch-site", "cross-site")],
    ],
)  # fmt: skip
def test_a_form_that_another_site_sends_changes_nothing(house: Deps, desks, somebody, headers):
    desk = desks["admin"]
    desk.get(f"/staff/people/{somebody}")
    assert desk.post(f"/staff/people/{somebody}/note", *headers, note="from elsewhere").status == 403
    assert rows(house, "SELECT custom FROM contact WHERE id = :id", id=somebody) == [({},)]


def test_a_browser_that_names_no_origin_can_work_with_the_token_of_its_session_and_not_without(house, desks, somebody):
    desk, unnamed = desks["admin"], ("origin", "null")
    desk.get(f"/staff/people/{somebody}")
    assert desk.post(f"/staff/people/{somebody}/note", unnamed, form="x", note="from elsewhere").status == 403
    assert rows(house, "SELECT custom FROM contact WHERE id = :id", id=somebody) == [({},)]
    desk.get(f"/staff/people/{somebody}")
    assert desk.post(f"/staff/people/{somebody}/note", unnamed, note="").status == 303


@pytest.mark.parametrize("kind", ["missing", "altered", "of another session", "of a public form", "of the door"])
def test_a_form_without_the_token_of_its_session_changes_nothing(house: Deps, desks, somebody, kind: str):
    desk = desks["admin"]
    desks["organizer"].get(f"/staff/people/{somebody}")
    foreign = desks["organizer"].page.split('name="form" value="')[1].partition('"')[0]
    desk.get(f"/staff/people/{somebody}")
    own = desk.page.split('name="form" value="')[1].partition('"')[0]
    form = {
        "missing": "", "altered": own[:-1] + ("A" if own[-1] != "A" else "B"), "of another session": foreign,
        "of a public form": house.signer.sign("form", "join", 1), "of the door": house.signer.sign("sign-in", 1),
    }[kind]  # fmt: skip
    answer = desk.post(f"/staff/people/{somebody}/note", form=form, note="from elsewhere")
    assert answer.status == 403
    assert "Nothing was changed" in desk.page
    assert rows(house, "SELECT custom FROM contact WHERE id = :id", id=somebody) == [({},)]


def test_a_body_that_is_no_form_is_refused(door: Client, desks, somebody):
    desk, path = desks["admin"], f"/staff/people/{somebody}/note"
    send = [*desk._headers(), SAME_ORIGIN]
    assert door.send("POST", path, [*send, ("content-type", "application/json")], b"{}").status == 415
    assert door.send("POST", path, [*send, ("content-type", "multipart/form-data")], b"x").status == 415
    assert door.send("POST", path, [*send, FORM], b"a=" + b"x" * 70_000).status == 413
    assert door.send("POST", path, [*send, FORM], b"&".join(b"a=1" for _ in range(500))).status == 400
    assert door.send("POST", path, [*send, FORM], b"\xff\xfe").status == 400


@pytest.mark.parametrize("suffix", ["", "/erase", "/merge?with=zzworcester@example.org"])
def test_a_person_of_another_chapter_does_not_exist(desks, people, suffix: str):
    theirs, nobodys = people["springfield"], 999_999_999
    desk = desks["admin of worcester"]
    answers = [desk.get(f"/staff/people/{number}{suffix}") for number in (theirs, nobodys)]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize("what", ["place", "note", "stop", "merge", "erase", "bundle", "offers/1"])
def test_nothing_can_be_done_to_a_person_of_another_chapter(house: Deps, desks, people, what: str):
    theirs = people["springfield"]
    desk = desks["admin of worcester"]
    desk.get("/staff")
    before = rows(house, "SELECT * FROM contact WHERE id = :id", id=theirs)
    answer = desk.post(f"/staff/people/{theirs}/{what}", note="x", chapter="1", into=str(people["worcester"]))
    assert answer.status == 404
    assert rows(house, "SELECT * FROM contact WHERE id = :id", id=theirs) == before
    assert rows(house, "SELECT 1 FROM suppression WHERE email = 'zzspringfield@example.org'") == []
    assert rows(house, "SELECT 1 FROM audit WHERE subject = 'contact' AND subject_id = :id", id=theirs) == []


def test_nobody_of_ones_own_is_merged_with_or_into_another_chapters(desks, people):
    desk = desks["admin of worcester"]
    own, theirs = people["worcester"], people["springfield"]
    assert desk.get(f"/staff/people/{own}/merge?with=zzspringfield@example.org").status == 404
    assert desk.get(f"/staff/people/{own}/merge?with={theirs}").status == 404
    desk.get("/staff")
    assert desk.post(f"/staff/people/{own}/merge", into=str(theirs)).status == 404


def test_nobody_is_placed_in_a_chapter_out_of_reach(house: Deps, desks, people):
    desk = desks["worcester"]
    desk.get(f"/staff/people/{people['worcester']}")
    (other,) = rows(house, "SELECT id FROM chapter WHERE slug = 'springfield'")
    assert desk.post(f"/staff/people/{people['worcester']}/place", chapter=str(other.id)).status == 404


@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    slug=st.sampled_from(sorted(CHAPTERS)),
    asked=st.one_of(
        st.sampled_from(["zz", "qq", "zzw", "zzsp", "zzlowell@example.org", "%", "__", "z_", "zz%", "' OR 1=1", "@"]),
        st.text(alphabet="zqwslo%_'\\@.", max_size=6),
    ),
    page=st.sampled_from(["search", "start", "person", "sheet", "erase", "merge"]),
)
def test_no_page_holds_anything_of_another_chapters_people(desks, people, slug: str, asked: str, page: str):
    desk = desks[f"admin of {slug}"]
    others = [other for other in CHAPTERS if other != slug]
    quoted = "".join(f"%{byte:02x}" for byte in asked.encode())
    for who in people.values():
        path = {
            "search": f"/staff/people?q={quoted}", "start": "/staff", "person": f"/staff/people/{who}",
            "sheet": "/staff/sheet", "erase": f"/staff/people/{who}/erase",
            "merge": f"/staff/people/{who}/merge?with={quoted}",
        }[page]  # fmt: skip
        shown = desk.get(path).body.decode().lower().replace(f'value="{asked.lower()}"', "")
        for other in others:
            assert f"qq{other}" not in shown
            assert f"zz{other}@" not in shown.replace(asked.lower(), "") or asked.startswith("zz")


def test_search_finds_ones_own_people_and_only_them(desks):
    assert "Zzworcester" in desks["worcester"].get("/staff/people?q=zz").body.decode()
    for slug in ("springfield", "lowell"):
        assert f"Zz{slug}" not in desks["worcester"].get("/staff/people?q=zz").body.decode()
    for slug in CHAPTERS:
        assert f"Zz{slug}" in desks["viewer"].get("/staff/people?q=zz").body.decode()
