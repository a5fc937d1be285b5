"""Chapters from a file: all of it or nothing, every fault with its line, and nobody moved without the root's word."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.events import Person
from engine.people import chapter_files, chapter_import, contacts, erasing, lands, territories
from engine.people.chapter_import import Outcome
from engine.people.lands import Land
from engine.reactions import react
from engine.settings import Settings
from engine.tokens import Signer
from tests.make import gift

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
SIGNER = Signer(["a key of thirty-two letters at least"])
HEAD = "slug,name,parent,kind,zips,counties\n"


def written(folder: Path, body: str | bytes, name: str = "chapters.csv") -> Path:
    path = folder / name
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def faults(folder: Path, body: str | bytes, name: str = "chapters.csv") -> list[str]:
    """What is wrong with the file itself."""
    return [str(fault) for fault in chapter_files.read(written(folder, body, name)).faults]


def bring(session: Session, folder: Path, body: str | bytes, name: str = "chapters.csv") -> Outcome:
    told = chapter_files.read(written(folder, body, name))
    assert told.faults == []
    return chapter_import.bring_in(session, told.chapters, None, NOON, SIGNER)


def refused(session: Session, folder: Path, body: str, name: str = "chapters.csv") -> list[str]:
    """What is wrong with it beside what is there; nothing was written."""
    before = everything(session)
    outcome = bring(session, folder, body, name)
    assert everything(session) == before
    assert (outcome.made, outcome.changed, outcome.change) == ((), {}, None)
    return [str(fault) for fault in outcome.faults]


def everything(session: Session) -> list[Sequence[Any]]:
    tables = ("chapter", "territory", "chapter_lead", "actblue_entity", "territory_change", "contact")
    return [session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in tables]


def chapter(session: Session, slug: str) -> Any:
    found = text(
        "SELECT c.*, p.slug AS parent FROM chapter c LEFT JOIN chapter p ON p.id = c.parent_id WHERE c.slug = :s"
    )
    return session.execute(found, {"s": slug}).one()


def owner(session: Session, code: str) -> str:
    found = text("SELECT c.slug FROM zip_route r JOIN chapter c ON c.id = r.chapter_id WHERE zip = :z")
    return str(session.scalar(found, {"z": code}))


def settle(session: Session) -> None:
    while territories.step(session, NOON).more:
        pass


WHOLE = """\ufeffSlug,Name,Parent,Kind,Zips,Counties,States,Radius miles,Latitude,Longitude,Sender name,Sender email,\
Reply to,Postal address,Opt in,Leads,Actblue entities,Fund\r
islands,The Islands,southeast,forming,02554 2539,MA:dukes county; MA:Nantucket,,,41.4,-70.6,Islands,islands@example.org,\
Reply@Example.org,"1 Main Street, Nantucket",double,"ann@example.org, bea@example.org",777 778,action\r
"""


def test_a_first_import_makes_chapters_with_all_that_is_said_and_their_land_at_once(session: Session, tmp_path: Path):
    outcome = bring(session, tmp_path, WHOLE)
    assert (outcome.faults, outcome.made, outcome.at_once) == ((), ("islands",), True)
    settle(session)
    made = chapter(session, "islands")
    assert (made.name, made.parent, made.kind, made.opt_in) == ("The Islands", "southeast", "forming", "double")
    assert (made.sender_email, made.reply_to) == ("islands@example.org", "reply@example.org")
    assert (made.postal_address, made.latitude, made.longitude) == ("1 Main Street, Nantucket", 41.4, -70.6)
    counties = ("MA:Dukes County", "MA:Nantucket County")
    assert lands.held(session, ["islands"])["islands"] == Land(
        zips=("02539", "02554"), counties=counties, latitude=41.4, longitude=-70.6
    )
    assert owner(session, "02568") == "islands"
    leads = text("SELECT c.email FROM chapter_lead l JOIN contact c ON c.id = l.contact_id ORDER BY 1")
    assert session.scalars(leads).all() == ["ann@example.org", "bea@example.org"]
    entities = text("SELECT entity_id FROM actblue_entity WHERE chapter_id = :i ORDER BY 1")
    assert session.scalars(entities, {"i": made.id}).all() == [777, 778]


def test_a_lost_leading_zero_is_put_back_and_said(tmp_path: Path):
    told = chapter_files.read(written(tmp_path, HEAD + "x,X,,,1604 01605-1234,\n"))
    assert [str(note) for note in told.notes] == [
        "line 2: 1604 was read as 01604",
        "line 2: 01605-1234 was read as 01605",
    ]
    assert told.chapters[0].said["zips"] == ("01604", "01605")


def test_the_same_file_in_yaml_says_the_same(tmp_path: Path):
    body = """
# zips are no numbers in base eight here
chapters:
  - slug: islands
    name: The Islands
    parent:
    zips: [02554, 2539]
    counties: "MA:Dukes County"
    radius_miles: 12
    latitude: 41.4
    longitude: -70.6
  - {slug: cape, name: Cape, zips: 02601}
"""
    told = chapter_files.read(written(tmp_path, body, "chapters.yaml"))
    assert told.faults == []
    first, second = told.chapters
    assert (first.line, first.slug, first.said["zips"], first.said["parent"]) == (4, "islands", ("02539", "02554"), "")
    assert (first.said["radius_miles"], first.said["latitude"]) == (12, 41.4)
    assert (second.line, second.said) == (12, {"name": "Cape", "zips": ("02601",)})


def test_what_a_file_does_not_speak_of_stays_and_what_it_leaves_empty_is_emptied(session: Session, tmp_path: Path):
    before = lands.held(session, ["worcester"])["worcester"]
    outcome = bring(session, tmp_path, "slug,name,sender_name\nworcester,Greater Worcester,\n")
    assert outcome.changed == {"worcester": ["name", "sender_name"]}
    assert outcome.change is None
    assert (chapter(session, "worcester").name, chapter(session, "worcester").sender_name) == ("Greater Worcester", "")
    assert (chapter(session, "worcester").parent, lands.held(session, ["worcester"])["worcester"]) == (
        "central",
        before,
    )
    bring(session, tmp_path, "slug,zips\nworcester,\n")
    settle(session)
    assert lands.held(session, ["worcester"])["worcester"].zips == ()


def test_the_same_file_twice_changes_nothing_the_second_time(session: Session, tmp_path: Path):
    bring(session, tmp_path, WHOLE)
    settle(session)
    before = everything(session)
    assert bring(session, tmp_path, WHOLE) == Outcome()
    assert everything(session) == before


def test_where_people_live_the_land_waits_for_the_root(session: Session, tmp_path: Path):
    contacts.admit(session, [(Person(email="rosa@example.org", zip="02554"), NOON)], NOON)
    outcome = bring(session, tmp_path, WHOLE)
    assert (outcome.made, outcome.at_once) == (("islands",), False)
    assert outcome.change is not None
    assert outcome.change.asks.detail == "chapters were imported: moves 1 person"
    settle(session)
    assert lands.held(session, ["islands"])["islands"] == Land()
    territories.approve(session, outcome.change.id, None, NOON)
    settle(session)
    assert owner(session, "02554") == "islands"
    home = text("SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE email = 'rosa@example.org'")
    assert session.scalar(home) == "islands"


def test_a_tree_may_be_told_in_any_order(session: Session, tmp_path: Path):
    bring(session, tmp_path, HEAD + "b,B,a,,02554,\na,A,western,region,,\nworcester,Worcester,a,,,\n")
    assert [chapter(session, slug).parent for slug in ("b", "a", "worcester")] == ["a", "western", "a"]


REFUSED = {
    "an unknown parent": (HEAD + "x,X,wester,,,\n", ["line 2: there is no chapter wester to be its parent; western?"]),
    "a cycle in the file": (
        HEAD + "x,X,y,,,\ny,Y,x,,,\n",
        ["line 2: x would be above itself: its parent is y", "line 3: y would be above itself: its parent is x"],
    ),
    "a cycle with what is there": (
        "slug,parent\ncentral,worcester\n", ["line 2: central would be above itself: its parent is worcester"],
    ),
    "its own parent": ("slug,parent\ncentral,central\n", ["line 2: central would be above itself: its parent is central"]),
    "the root": ("slug,name\nmassachusetts,Mine\n", [
        "line 2: massachusetts is the root; its territory is what no chapter has, and a file does not change it"
    ]),
    "a new chapter without a name": ("slug,zips\nx,02554\n", ["line 2: x has no name"]),
    "a chapter twice": (HEAD + "x,X,,,,\nx,X,,,,\n", ["line 3: x stands in line 2 already"]),
    "an unknown ZIP": (HEAD + "x,X,,,00000,\n", ["line 2: there is no ZIP 00000"]),
    "an unknown county": (
        HEAD + "x,X,,,,MA:Worchester County\n", ["line 2: there is no county MA:Worchester County; MA:Worcester County?"]
    ),
    "an unknown state": ("slug,name,states\nx,X,ZZ\n", ["line 2: there is no state ZZ"]),
    "a radius round nothing": ("slug,name,radius_miles\nx,X,5\n", [
        "line 2: a radius needs somewhere to be measured from: a latitude and a longitude, or other land"
    ]),
    "an unknown fund": ("slug,name,fund\nx,X,gold\n", ["line 2: there is no fund gold; there are action, pac"]),
    "a new entity without a fund": (
        "slug,name,actblue_entities\nx,X,777\n",
        ["line 2: ActBlue's entity 777 is new: say in `fund` which fund its gifts go to"],
    ),
    "one entity of two chapters": (
        "slug,name,actblue_entities\nx,X,12345\ny,Y,12345\n",
        ["line 3: ActBlue's entity 12345 cannot be of x and of y"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_what_is_there_is_refused_whole(session: Session, tmp_path: Path, case: str):
    body, said = REFUSED[case]
    assert refused(session, tmp_path, body) == said


def test_one_bad_row_spoils_the_file_and_all_bad_rows_are_told(session: Session, tmp_path: Path):
    assert refused(session, tmp_path, HEAD + "good,Good,,,02554,\nx,X,nowhere,,00000,\n") == [
        "line 3: there is no chapter nowhere to be its parent", "line 3: there is no ZIP 00000",
    ]  # fmt: skip


UNREADABLE = {
    "a NUL": (HEAD + "x,X\0,,,,\n", ["line 2: name: holds characters that cannot be printed"]),
    "a formula": (HEAD + '"x","=HYPERLINK(""http://x"")",,,,\n', [
        "line 2: name: begins with =: a spreadsheet would take it for a formula"
    ]),
    "a formula for a slug": (HEAD + "@sum,X,,,,\n", [
        "line 2: slug: @sum is no short name: small letters, digits, hyphens between them"
    ]),
    "unknown columns": ("slug,nmae,colour\nx,X,red\n", [
        f"line 1: these columns are not known: nmae, colour; known are {', '.join(chapter_files.COLUMNS)}"
    ]),
    "a column twice": ("slug,name,name\nx,X,Y\n", ["line 1: these columns stand twice: name"]),
    "no slug": ("name\nX\n", ["line 1: there is no column slug: it names each chapter"]),
    "an empty slug": (HEAD + ",X,,,,\n", ["line 2: slug: a chapter needs one"]),
    "nothing": ("", ["line 1: there is no column slug: it names each chapter"]),
    "a heading alone": (HEAD, ["there is no chapter in it"]),
    "a row too long": (HEAD + "x" + "," * 10_000 + "\n", ["line 2: has 10,001 cells where the heading has 6"]),
    "an open quotation mark": (HEAD + 'x,"X\n\n\n', [
        "line 4: cannot be read as CSV: a quotation mark does not close, or a cell is endless"
    ]),
    "an endless cell": (HEAD + "x," + "X" * 200_000 + ",,,,\n", [
        "line 2: cannot be read as CSV: a quotation mark does not close, or a cell is endless"
    ]),
    "a long name": (HEAD + "x," + "X" * 301 + ",,,,\n", ["line 2: name: is longer than 300 characters"]),
    "no ZIPs": (HEAD + 'x,X,,,"1, 2, 01604",\n', ["line 2: zips: 1 is no ZIP (and 1 more)"]),
    "no county": (HEAD + "x,X,,,,Worcester\n", [
        "line 2: counties: Worcester is no county: write its state too, MA:Worcester County"
    ]),
    "no kind": (HEAD + "x,X,,planet,,\n", ["line 2: kind: planet is none of region, chapter, forming"]),
    "a second root": (HEAD + "x,X,,root,,\n", ["line 2: kind: root is none of region, chapter, forming"]),
    "no numbers": ("slug,latitude,longitude,radius_miles\nx,nan,1e999,1.5\n", [
        "line 2: latitude: nan is no number of degrees from -90 to 90",
        "line 2: longitude: 1e999 is no number of degrees from -180 to 180",
        "line 2: radius_miles: 1.5 is no whole number from 0 to 500",
    ]),
    "half a place": ("slug,latitude\nx,42\n", ["line 2: a place has a latitude and a longitude, or neither"]),
    "no address": ("slug,sender_email,leads\nx,@,a@example.org b\n", [
        "line 2: sender_email: is no email address", "line 2: leads: is no email address"
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_told_with_its_line_in_plain_words(tmp_path: Path, case: str):
    body, said = UNREADABLE[case]
    assert faults(tmp_path, body) == said


def test_ten_thousand_columns_are_one_fault_of_one_line(tmp_path: Path):
    (fault,) = faults(tmp_path, ",".join(f"c{n}" for n in range(10_000)) + "\n" + "," * 9_999 + "\n")
    assert fault.startswith("line 1: these columns are not known: c0, c1, c2, c3, c4 and 9,995 more; known are slug")


def test_faults_without_end_end(tmp_path: Path):
    found = faults(tmp_path, HEAD + ",X,,,,\n" * 5_000)
    assert len(found) == chapter_files.MOST_FAULTS


YAML = {
    "no list": ("slug: x\n", ["line 1: begins with `chapters:` and a list of them"]),
    "an empty file": ("", ["line 1: begins with `chapters:` and a list of them"]),
    "no YAML": ("chapters: [\n", ["line 2: cannot be read as YAML"]),
    "two documents": ("chapters: []\n---\nchapters: []\n", ["line 2: cannot be read as YAML"]),
    "aliases": ("chapters:\n  - {slug: x, zips: &a [01604]}\n  - {slug: y, zips: *a}\n", ["cannot be read as YAML"]),
    "depth": ("chapters: " + "[" * 5_000, ["is nested too deeply"]),
    "an unknown key": ("chapters:\n  - slug: x\n    colour: red\n", [
        f"line 3: these keys are not known: colour; known are {', '.join(chapter_files.COLUMNS)}"
    ]),
    "a key twice": ("chapters:\n  - slug: x\n    slug: y\n", ["line 3: slug stands twice"]),
    "a mapping for a word": ("chapters:\n  - slug: {a: b}\n", ["line 2: slug: a word or a list of words was expected"]),
    "a list for a word": ("chapters:\n  - slug: [a, b]\n", ["line 2: slug: one word was expected, not a list"]),
    "a word for a chapter": ("chapters: [worcester]\n", [
        "line 1: a chapter is written as `slug: …`, `name: …` and so on"
    ]),
    "an object": ("chapters:\n  - slug: !!python/object/apply:os.system [ls]\n", [
        "line 2: slug: one word was expected, not a list"
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", YAML)
def test_hostile_yaml_is_refused_with_its_line(tmp_path: Path, case: str):
    body, said = YAML[case]
    assert faults(tmp_path, body, "chapters.yml") == said


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(Invalid, match="not UTF-8"):
        faults(tmp_path, b"slug,name\nx,M\xfcnster\n")
    with pytest.raises(Invalid, match="ends in"):
        faults(tmp_path, "", "chapters.xlsx")
    with pytest.raises(Invalid, match="larger"):
        faults(tmp_path, b"x" * (chapter_files.LARGEST + 1))
    with pytest.raises(FileNotFoundError):
        chapter_files.read(tmp_path / "nowhere.csv")


def test_without_an_organisation_there_is_nothing_to_put_chapters_into(session: Session, tmp_path: Path):
    session.execute(text("UPDATE letter SET donation_form_id = NULL"))
    for table in (
        "zip_route",
        "territory",
        "gathering",
        "donation_form_version",
        "donation_form",
        "actblue_entity",
        "chapter",
    ):
        session.execute(text(f"DELETE FROM {table}"))
    assert refused(session, tmp_path, HEAD + "x,X,,,,\n") == [
        "there is no organisation to put chapters into: groundswell init"
    ]


def test_a_lead_named_by_an_address_that_was_merged_is_who_she_is_now(session: Session, tmp_path: Path):
    for email in ("old@example.org", "new@example.org"):
        contacts.admit(session, [(Person(email=email), NOON)], NOON)
    session.execute(
        text("""
        UPDATE contact SET merged_into_id = (SELECT id FROM contact WHERE email = 'new@example.org')
        WHERE email = 'old@example.org'""")
    )
    for _ in range(2):
        bring(session, tmp_path, "slug,name,leads\nislands,Islands,old@example.org\n")
        leads = text("SELECT c.email FROM chapter_lead l JOIN contact c ON c.id = l.contact_id")
        assert session.scalars(leads).all() == ["new@example.org"]


def test_a_lead_who_was_erased_is_not_to_be_written_to_because_a_file_names_her(session: Session, tmp_path: Path):
    contacts.admit(session, [(Person(email="old@example.org"), NOON)], NOON)
    erasing.erase(session, contacts.find(session, "old@example.org"), SIGNER, NOON)
    bring(session, tmp_path, "slug,name,leads\nislands,Islands,old@example.org\n")
    assert session.scalars(text("SELECT email || ' ' || reason FROM suppression")).all() == ["old@example.org erased"]


def test_donors_of_the_past_follow_the_entity_that_a_chapter_is_given_and_loses_again(session: Session, tmp_path: Path):
    react(session, [gift(entity_id=777)], NOON, Settings())
    home = text(
        "SELECT h.slug, c.routed_by FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.email LIKE 'rosa.%'"
    )
    assert session.execute(home).one() == ("worcester", "zip")
    for slug, entity, expected in (
        ("lowell", "777", ("lowell", "entity")), ("lowell", "777", ("lowell", "entity")),
        ("brockton", "777", ("brockton", "entity")), ("brockton", "", ("worcester", "zip")),
    ):  # fmt: skip
        bring(session, tmp_path, f"slug,actblue_entities,fund\n{slug},{entity},action\n")
        assert session.execute(home).one() == expected
    moves = text(
        "SELECT count(*) FROM chapter_move m JOIN contact c ON c.id = m.contact_id WHERE c.email LIKE 'rosa.%'"
    )
    assert session.execute(moves).scalar_one() == 4
