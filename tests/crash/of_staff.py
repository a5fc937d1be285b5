"""The pages of staff that write something. Who gets no answer looks first whether it was done, and then presses once more."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from engine import demo_organisation
from engine.db import transaction
from engine.people import territories
from engine.people.lands import Land, Proposal
from tests.crash.driving import Act, Story
from tests.crash.faults import Fault
from tests.crash.processes import House
from tests.flows.house import one
from tests.sequences import alone
from tests.staff import Desk, hire, known, newest_link

LETTER = {
    "kind": "news", "layout": "letter", "form_of": "", "note_until": "", "quiet_from": "", "quiet_until": "",
    "subject-en": "The vote, {{ first_name }}", "preview-en": "", "body-en": "Dear {{ first_name | default(\"you\") }}.",
    "text-en": "", "do": "save",
}  # fmt: skip
Tell = Callable[[House, str], Act]


def begins(house: House) -> None:
    """An admin is signed in."""
    alone(house.deps)
    with transaction(house.deps.sessions) as session:
        demo_organisation.load_letters(session)
    house.desk = Desk(house.second.door)
    house.desk.sign_in(house.deps, hire(house.deps, "admin@staff.example.org", "admin", may_export=True))


def presses(house: House, page: str, path: str, fields: Mapping[str, str]) -> Act:
    """Her form of this page, at whichever process is asked."""
    assert house.desk.get(page).status == 200, page
    cookies, shown = dict(house.desk.cookies), house.desk.page
    return lambda process: Desk(process.door, cookies, shown).post(path, **fields)


def about(path: str, page: str = "", **fields: str) -> Tell:
    """Something that is done to somebody new."""

    def tell(house: House, tag: str) -> Act:
        who = known(house.deps, f"{tag}@example.org", "01605")
        where = path.replace("{id:int}", str(who))
        return presses(house, page.replace("{id:int}", str(who)) or where.rpartition("/")[0], where, fields)

    return tell


def _offer(house: House, tag: str) -> tuple[int, int]:
    who = known(house.deps, f"{tag}@example.org", "01605")
    found = house.watch.execute(
        """INSERT INTO volunteer_offer (contact_id, way_to_help_id, at) SELECT %s, min(id), now() FROM way_to_help
        RETURNING id""", [who],
    ).fetchone()  # fmt: skip
    assert found is not None
    return who, int(found[0])


def _offer_of(house: House, tag: str) -> Act:
    who, offer = _offer(house, tag)
    return presses(house, f"/staff/people/{who}", f"/staff/people/{who}/offers/{offer}", {"state": "contacted"})


def _offer_listed(house: House, tag: str) -> Act:
    _, offer = _offer(house, tag)
    return presses(house, "/staff/offers", f"/staff/offers/{offer}", {"state": "contacted"})


def _bundle(house: House, tag: str) -> Act:
    treasurer = Desk(house.second.door)
    treasurer.sign_in(house.deps, hire(house.deps, f"{tag}@staff.example.org", "treasurer", may_export=True))
    who = known(house.deps, f"{tag}@example.org", "01605")
    treasurer.get(f"/staff/people/{who}")
    cookies, shown = dict(treasurer.cookies), treasurer.page
    return lambda process: Desk(process.door, cookies, shown).post(f"/staff/people/{who}/bundle")


def _merge(house: House, tag: str) -> Act:
    one_, other = (known(house.deps, f"{tag}{part}@example.org", "01605", "Rosa", "Delgado") for part in "ab")
    return presses(house, f"/staff/people/{one_}/merge?with={other}", f"/staff/people/{one_}/merge", {})


def _sheet(house: House, tag: str) -> Act:
    rows: dict[str, str] = {}
    for place in range(2):
        rows |= {f"first_name-{place}": "Joan", f"last_name-{place}": "Pratt", f"email-{place}": f"{tag}{place}@example.org",
                 f"zip-{place}": "01605"}  # fmt: skip
    signed_on = (house.world.clock.now - timedelta(days=1)).date().isoformat()
    return presses(house, "/staff/sheet", "/staff/sheet", {"where": "c:worcester", "signed_on": signed_on, **rows})


def _asks_in(house: House, tag: str) -> Act:
    email = hire(house.deps, f"{tag}@staff.example.org", "viewer")
    guest = Desk(house.second.door)
    guest.get("/staff/sign-in")
    cookies, shown = dict(guest.cookies), guest.page
    return lambda process: Desk(process.door, cookies, shown).post("/staff/sign-in", email=email)


def _comes_in(house: House, tag: str) -> Act:
    email = hire(house.deps, f"{tag}@staff.example.org", "viewer")
    guest = Desk(house.second.door)
    guest.get("/staff/sign-in")
    guest.post("/staff/sign-in", email=email)
    path = newest_link(house.deps)
    guest.get(path)
    cookies, shown = dict(guest.cookies), guest.page
    return lambda process: Desk(process.door, cookies, shown).post(path)


def _goes_out(house: House, tag: str) -> Act:
    guest = Desk(house.second.door)
    guest.sign_in(house.deps, hire(house.deps, f"{tag}@staff.example.org", "viewer"))
    cookies, shown = dict(guest.cookies), guest.page
    return lambda process: Desk(process.door, cookies, shown).post("/staff/sign-out")


def _territories(house: House, tag: str) -> Act:
    with house.deps.work() as (session, now):
        land = Land(zips=("01605", "01604"), counties=(), states=(), miles=0)
        change = territories.propose(session, Proposal(chapters={"lowell": land}), tag, None, now).id
    return presses(house, "/staff/approvals", f"/staff/approvals/territories/{change}", {"decision": "declined"})


def _spark(house: House, tag: str) -> Act:
    row = house.watch.execute(
        """INSERT INTO spark (place, people) SELECT 'TX:' || county, 16
        FROM (SELECT DISTINCT county FROM zip WHERE state = 'TX' ORDER BY 1 OFFSET %s LIMIT 1) c
        RETURNING id""", [int(tag[3:7]) % 200],
    ).fetchone()  # fmt: skip
    assert row is not None
    return presses(
        house, "/staff/approvals", f"/staff/approvals/sparks/{row[0]}", {"decision": "approved", "name": tag}
    )


def _writes(house: House, tag: str) -> Act:
    return presses(house, "/staff/letters/new", "/staff/letters/new", LETTER | {"slug": tag})


def _rewrites(house: House, tag: str) -> Act:
    presses(house, "/staff/letters/new", "/staff/letters/new", LETTER | {"slug": tag})(house.second)
    path = f"/staff/letters/{tag}/edit"
    return presses(house, path, path, LETTER | {"subject-en": "Tomorrow, {{ first_name }}"})


def _of_letter(end: str, **fields: str) -> Tell:
    def tell(house: House, tag: str) -> Act:
        chapter = one(house.deps, "SELECT id FROM chapter WHERE slug = 'worcester'").id
        note = f"See you there, {tag}"
        house.watch.execute("UPDATE mailing SET paused_at = now(), paused_because = 'x' WHERE slug = 'rent-vote'")
        said = {name: value.format(chapter=chapter, note=note) for name, value in fields.items()}
        return presses(house, "/staff/letters/rent-vote", f"/staff/letters/rent-vote/{end}", said)

    return tell


def staff(path: str, tell: Tell, **terms: Any) -> Story:
    """The story of a page of staff."""
    return Story(f"POST {path}", (f"POST {path}",), tell, begins, sender=True, looks=True, **terms)


RARELY = (Fault.CRASH, Fault.BESIDE)  # each run of it draws the map anew
PERSON, LETTERS = "/staff/people/{id:int}", "/staff/letters"
STORIES = (
    staff("/staff/sign-in", _asks_in, alone=True),
    staff("/staff/sign-in/{token}", _comes_in),
    staff("/staff/sign-out", _goes_out),
    staff("/staff/approvals/territories/{id:int}", _territories, faults=RARELY),
    staff(
        "/staff/approvals/sparks/{id:int}",
        _spark,
        loose=("chapter.name", "territory_change.proposal", "territory_change.why"),
        faults=RARELY,
    ),
    staff("/staff/sheet", _sheet),
    staff("/staff/offers/{offer:int}", _offer_listed),
    staff(f"{PERSON}/place", about(f"{PERSON}/place", chapter="0"), alone=True),
    staff(f"{PERSON}/stop", about(f"{PERSON}/stop"), alone=True),
    staff(f"{PERSON}/note", about(f"{PERSON}/note", note="calls back"), alone=True),
    staff(PERSON + "/offers/{offer:int}", _offer_of),
    staff(f"{PERSON}/bundle", _bundle, alone=True),
    staff(f"{PERSON}/merge", _merge),
    staff(f"{PERSON}/erase", about(f"{PERSON}/erase", f"{PERSON}/erase")),
    staff(f"{LETTERS}/new", _writes, loose=("audit",)),
    staff(LETTERS + "/{slug}/edit", _rewrites, loose=("audit",)),
    staff(LETTERS + "/{slug}/test", _of_letter("test"), alone=True),
    staff(LETTERS + "/{slug}/note", _of_letter("note", chapter="{chapter}", language="en", note="{note}"), alone=True),
    staff(LETTERS + "/{slug}/resume", _of_letter("resume", mailing="rent-vote"), alone=True),
)
