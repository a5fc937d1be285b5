"""Where people belong: hints before places, a history of every move, and reasons that read as sentences."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.events import ChapterChanged, Person, SignUpReported
from engine.people import contacts, explaining, preferences, routing
from engine.people.explaining import Facts, Move, sentences
from engine.people.preferences import Choices
from engine.people.routing import Route
from engine.reactions import react
from engine.settings import Settings
from tests.letters import AT, hand_over, word
from tests.make import NOON, gift

ROSA = "rosa@example.org"
WORCESTER_CHAPTERS_ENTITY = 777


def one(session: Session, statement: str, **values: Any) -> Any:
    return session.execute(text(statement), values).one()


def chapter(session: Session, slug: str) -> int:
    found: int = one(session, "SELECT id FROM chapter WHERE slug = :slug", slug=slug).id
    return found


def admit(session: Session, email: str = ROSA, **said: Any) -> int:
    contacts.admit(session, [(Person(email=email, first_name="Rosa", **said), NOON)], NOON)
    found: int = one(session, "SELECT id FROM contact WHERE email = :email", email=email).id
    return found


def hint(session: Session, contact_id: int, **columns: int | str | None) -> None:
    changed = ", ".join(f"{name} = :{name}" for name in columns)
    session.execute(text(f"UPDATE contact SET {changed} WHERE id = :id"), {"id": contact_id} | columns)


def home(session: Session, contact_id: int) -> tuple[str, str, str]:
    found = one(session, "SELECT h.slug, c.routed_by, c.routed_on FROM contact c JOIN chapter h ON h.id = c.chapter_id"
                         " WHERE c.id = :id", id=contact_id)  # fmt: skip
    return (found.slug, found.routed_by, found.routed_on)


def history(session: Session, contact_id: int) -> list[tuple[Any, ...]]:
    moves = text('SELECT from_chapter_id, to_chapter_id, by, "on" FROM chapter_move WHERE contact_id = :id ORDER BY id')
    return [tuple(row) for row in session.execute(moves, {"id": contact_id})]


def test_who_is_new_has_come_from_nowhere(session: Session):
    rosa = admit(session, zip="01605")
    assert home(session, rosa) == ("worcester", "zip", "01605")
    assert history(session, rosa) == [(None, chapter(session, "worcester"), "zip", "01605")]


def test_the_same_words_again_move_nobody(session: Session):
    rosa = admit(session, zip="01605")
    admit(session, zip="01605")
    assert len(history(session, rosa)) == 1


def test_who_moves_house_moves_chapter_and_keeps_her_history(session: Session):
    rosa = admit(session, zip="01605")
    (cause,) = session.scalars(
        text("INSERT INTO inbound_event (source, key, lane, body) VALUES ('signup', '1', 'intake', '') RETURNING id")
    )
    moved = SignUpReported(cause, "signup", "1", "signup", Person(email=ROSA, zip="01108"), NOON + timedelta(days=1))
    worcester, springfield = chapter(session, "worcester"), chapter(session, "springfield")
    assert ChapterChanged(cause, rosa, worcester, springfield, "zip") in react(session, [moved], NOON, Settings())
    assert history(session, rosa)[1:] == [(worcester, springfield, "zip", "01108")]


def test_rehoming_twice_is_one_row_of_history(session: Session):
    rosa = admit(session, zip="01605")
    lowell = chapter(session, "lowell")
    hint(session, rosa, chosen_chapter_id=lowell)
    worcester = chapter(session, "worcester")
    assert routing.rehome(session, [rosa], NOON, 7) == [ChapterChanged(7, rosa, worcester, lowell, "choice")]
    assert routing.rehome(session, [rosa], NOON, 8) == []
    assert home(session, rosa) == ("lowell", "choice", "")
    assert history(session, rosa)[1:] == [(worcester, lowell, "choice", "")]


def test_staff_outweigh_her_choice_her_choice_a_gift_and_a_gift_the_place(session: Session):
    rosa = admit(session, zip="01605")
    hint(session, rosa, placed_chapter_id=chapter(session, "lowell"), chosen_chapter_id=chapter(session, "brockton"),
         entity_chapter_id=chapter(session, "north-shore"))  # fmt: skip
    found = []
    for column in ("placed_chapter_id", "chosen_chapter_id", "entity_chapter_id", "id"):
        routing.rehome(session, [rosa], NOON, None)
        found.append(home(session, rosa)[:2])
        if column != "id":
            hint(session, rosa, **{column: None})
    assert found == [("lowell", "staff"), ("brockton", "choice"), ("north-shore", "entity"), ("worcester", "zip")]
    assert len(history(session, rosa)) == 5


def test_a_reason_that_changes_without_the_chapter_is_written_and_is_no_move(session: Session):
    rosa = admit(session, zip="01605")
    hint(session, rosa, chosen_chapter_id=chapter(session, "worcester"))
    assert routing.rehome(session, [rosa], NOON, None) == []
    assert home(session, rosa) == ("worcester", "choice", "")
    assert len(history(session, rosa)) == 1


def test_new_words_leave_her_where_she_chose_to_be(session: Session):
    rosa = admit(session, zip="01605")
    hint(session, rosa, chosen_chapter_id=chapter(session, "lowell"))
    routing.rehome(session, [rosa], NOON, None)
    react(session, [gift(donor=Person(email=ROSA, zip="01108"), paid_at=NOON + timedelta(days=1))], NOON, Settings())
    assert home(session, rosa) == ("lowell", "choice", "")
    assert one(session, "SELECT zip FROM contact").zip == "01108"


def test_the_merged_and_the_erased_stay_where_they_are(session: Session):
    rosa, sam = admit(session, zip="01605"), admit(session, "sam@example.org", zip="01605")
    for change in ("merged_into_id = :sam", "erased_at = now(), merged_into_id = NULL"):
        session.execute(
            text(f"UPDATE contact SET {change}, zip = '01108' WHERE id = :rosa"), {"rosa": rosa, "sam": sam}
        )
        assert routing.rehome(session, [rosa], NOON, None) == []


def test_nobody_needs_no_statement(session: Session):
    assert routing.rehome(session, [], NOON, None) == []


def claim(session: Session, slug: str, kind: str, place: str = "", wide: int = 0) -> None:
    session.execute(
        text("INSERT INTO territory (chapter_id, kind, place, miles) VALUES (:chapter, :kind, :place, :miles)"),
        {"chapter": chapter(session, slug), "kind": kind, "place": place, "miles": wide},
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [({"zip": "02601"}, ("south-coast", "county", "MA:Barnstable County")), ({"zip": "02108"}, ("metrowest", "radius", None)),
     ({"zip": "02540"}, ("south-coast", "county", "MA:Barnstable County")),
     ({"zip": "03060"}, ("lowell", "state", "NH")), ({"state": "nh "}, ("lowell", "state", "NH")),
     ({"zip": "00000", "state": "NH"}, ("lowell", "state", "NH")), ({"zip": "04101"}, ("massachusetts", "root", None)),
     ({"zip": "04101", "state": "NH"}, ("massachusetts", "root", "no chapter for 04101"))],
)  # fmt: skip
def test_county_radius_and_state_in_that_order(session: Session, said: dict[str, str], expected: Any):
    claim(session, "south-coast", "county", "MA:Barnstable County")
    claim(session, "metrowest", "radius", "", 25)
    claim(session, "lowell", "state", "NH")
    routing.remake(session)
    slug, by, on = home(session, admit(session, **said))
    assert (slug, by) == expected[:2]
    assert expected[2] in (None, on)
    if by == "radius":
        assert on.endswith(" miles")


def test_a_gift_to_a_chapters_own_entity_makes_it_home_and_the_newest_such_gift_counts(session: Session):
    for number, slug in ((WORCESTER_CHAPTERS_ENTITY, "worcester"), (778, "lowell")):
        session.execute(
            text("INSERT INTO actblue_entity VALUES (:number, (SELECT min(id) FROM fund), :chapter)"),
            {"number": number, "chapter": chapter(session, slug)},
        )
    donor = Person(email=ROSA, first_name="Rosa", last_name="Delgado", zip="01108")
    told = [
        gift(entity_id=WORCESTER_CHAPTERS_ENTITY, donor=donor, paid_at=NOON),
        gift(entity_id=778, donor=donor, paid_at=NOON - timedelta(days=3)),
        gift(entity_id=12345, donor=donor, paid_at=NOON + timedelta(days=1)),
    ]
    for order in (told, told[::-1], [told[1], told[2], told[0]]):
        with session.begin_nested() as savepoint:
            for each in order:
                react(session, [each], NOON, Settings())
            (rosa,) = session.scalars(text("SELECT id FROM contact"))
            assert home(session, rosa) == ("worcester", "entity", "")
            savepoint.rollback()
    react(session, told[::-1], NOON, Settings())
    given = session.scalars(text("SELECT DISTINCT h.slug FROM contribution g JOIN chapter h ON h.id = g.chapter_id"))
    assert list(given) == ["worcester"]


def test_her_time_zone_is_that_of_her_zip(session: Session):
    admit(session, zip="01605")
    assert one(session, "SELECT time_zone FROM contact").time_zone == "America/New_York"
    contacts.admit(session, [(Person(email=ROSA, zip="94801"), NOON + timedelta(days=1))], NOON)
    assert one(session, "SELECT time_zone FROM contact").time_zone == "America/Los_Angeles"


def test_a_gift_and_a_sign_up_are_signs_of_life_in_any_order_and_an_upload_is_none(session: Session):
    person = Person(email=ROSA, first_name="Rosa", zip="01605")

    def signed_up(key: str, days: int, kind: str = "signup") -> SignUpReported:
        return SignUpReported(None, "actionnetwork", key, kind, person, NOON + timedelta(days=days))

    told = [signed_up("1", 2), gift(donor=person, paid_at=NOON + timedelta(days=3)), signed_up("2", 9, "upload"),
            signed_up("3", -9)]  # fmt: skip
    for order in (told, told[::-1]):
        with session.begin_nested() as savepoint:
            for each in order:
                react(session, [each], NOON, Settings())
            assert one(session, "SELECT engaged_last_at AS at FROM contact").at == NOON + timedelta(days=3)
            savepoint.rollback()


def test_a_click_is_a_sign_of_life_unless_a_machine_made_it(session: Session):
    reader, scanner, tender = hand_over(session, 3)
    told = [word("delivered", reader, 10), word("delivered", scanner, 10), word("click", scanner, 12, url="https://a"),
            word("click", reader, 900, url="https://a"), word("click", reader, 100, url="https://a"),
            word("click", tender, 100, url=f"{Settings().base_url}/me/token")]  # fmt: skip
    react(session, told, NOON, Settings())
    alive = {row.id: row.engaged_last_at for row in session.execute(text("SELECT id, engaged_last_at FROM contact"))}
    late, early = AT + timedelta(seconds=900), AT + timedelta(seconds=100)
    assert alive == {reader.contact_id: late, scanner.contact_id: None, tender.contact_id: early}


# Reasons, as sentences.


def explained(session: Session, email: str = ROSA) -> str:
    return " ".join(explaining.explain(session, email))


def test_why_she_belongs_to_the_chapter_of_her_zip(session: Session):
    admit(session, last_name="Delgado", zip="01604")
    assert explained(session, " Rosa@Example.org ") == (
        "Rosa Delgado belongs to Worcester, because their ZIP 01604 lies in its territory."
        " Nobody placed them elsewhere, they chose no chapter themselves and they gave to no chapter's own ActBlue entity."
        " History: on November 3, 2026 they came to Worcester (by ZIP 01604)."
    )


def test_why_she_belongs_where_she_chose_to_be(session: Session):
    rosa = admit(session, zip="01604")
    hint(session, rosa, chosen_chapter_id=chapter(session, "lowell"))
    routing.rehome(session, [rosa], NOON + timedelta(days=2), None)
    assert explained(session) == (
        "Rosa belongs to Greater Lowell, because they chose it themselves. Nobody placed them elsewhere."
        " By where they live it would be Worcester (by ZIP 01604)."
        " History: on November 3, 2026 they came to Worcester (by ZIP 01604);"
        " on November 5, 2026 they moved from Worcester to Greater Lowell (their own choice)."
    )


def test_she_who_chose_for_herself_after_a_gathering_chose_for_herself(session: Session):
    rosa = admit(session, zip="01604")
    hint(session, rosa, chosen_chapter_id=chapter(session, "lowell"), chosen_by="gathering")
    routing.rehome(session, [rosa], NOON, None)
    assert home(session, rosa) == ("lowell", "choice", "gathering")
    preferences.save(session, rosa, Choices(zip="01604", chapter="lowell"), NOON)
    assert home(session, rosa) == ("lowell", "choice", "")
    assert len(history(session, rosa)) == 2


def test_why_she_belongs_to_nobody_but_the_root(session: Session):
    admit(session, zip="02110")
    assert explained(session).startswith(
        "Rosa belongs to Common Ground Massachusetts itself, because no chapter claims their ZIP 02110. Nobody placed them"
    )
    admit(session, "sam@example.org")
    assert "itself, because we know no ZIP of theirs." in explained(session, "sam@example.org")


def test_who_has_not_been_moved_yet_and_whom_she_follows_is_said(session: Session):
    rosa = admit(session, zip="02110")
    claim(session, "south-shore", "zip", "02110")
    claim(session, "brockton", "zip", "02110")
    routing.remake(session)
    session.execute(
        text(
            "INSERT INTO followed_chapter (contact_id, chapter_id) SELECT :rosa, id FROM chapter WHERE slug = ANY(:slugs)"
        ),
        {"rosa": rosa, "slugs": ["lowell", "worcester"]},
    )
    said = explained(session)
    assert (
        "By the territories as they stand now they would belong to South Shore: they have not been moved yet." in said
    )
    assert "They also follow Worcester and Greater Lowell." in said
    routing.rehome(session, [rosa], NOON, None)
    assert "Brockton claims the same, and the nearer of the two counts." in explained(session)


def test_an_address_that_nobody_has_is_not_found(session: Session):
    with pytest.raises(NotFound):
        explaining.explain(session, "nobody@example.org")


def test_the_merged_are_explained_by_whom_they_were_merged_into(session: Session):
    rosa, sam = admit(session, zip="01605"), admit(session, "sam@example.org", zip="01108")
    session.execute(text("UPDATE contact SET merged_into_id = :sam WHERE id = :rosa"), {"rosa": rosa, "sam": sam})
    assert "Springfield" in explained(session)


SALEM, LOWELL = ("Salem", Route(1, "radius", "3 miles")), ("Lowell", Route(5, "zip", "01850"))
REASONS = {
    "Rosa belongs to Lowell, because staff placed them there. By where they live it would be Salem (3 miles away).": Facts(
        "Rosa", "Lowell", "staff", zip="01850", land=SALEM
    ),
    "Rosa belongs to Lowell, because they gave to its own ActBlue entity. Nobody placed them elsewhere and they chose no"
    " chapter themselves. By where they live it would be Lowell, too (by ZIP 01850).": Facts(
        "Rosa", "Lowell", "entity", zip="01850", land=LOWELL
    ),
    "Rosa belongs to Lowell, because their ZIP 01850 lies in Essex County (MA), which is its territory.": Facts(
        "Rosa", "Lowell", "county", "MA:Essex County", "01850"
    ),
    "Rosa belongs to Lowell, because their ZIP 01850 lies 12 miles from it, and no chapter within reach is nearer.": Facts(
        "Rosa", "Lowell", "radius", "12 miles", "01850"
    ),
    "Rosa belongs to Lowell, because their ZIP 03060 lies in NH, which is its territory. Salem and Brockton claim the same,"
    " and the nearest of them counts.": Facts("Rosa", "Lowell", "state", "NH", "03060", rivals=["Salem", "Brockton"]),
    "Rosa belongs to Lowell, because they live in NH, which is its territory, and we know no ZIP of theirs.": Facts(
        "Rosa", "Lowell", "state", "NH"
    ),
    "This person belongs to Everywhere itself, because they run this installation.": Facts(
        "", "Everywhere", "operator", is_root=True
    ),
    "Rosa belongs to Lowell, because they signed up at a gathering of that chapter. Nobody placed them elsewhere.": Facts(
        "Rosa", "Lowell", "choice", "gathering"
    ),
    "Rosa belongs to no chapter yet: no ZIP is known.": Facts("Rosa", None, "root", "no ZIP"),
    "Rosa belongs to no chapter yet: nobody has asked where they belong.": Facts("Rosa", None, ""),
}


@pytest.mark.parametrize("sentence", REASONS)
def test_every_reason_reads_as_a_sentence(sentence: str):
    said = sentences(REASONS[sentence])
    assert " ".join(said).startswith(sentence)
    assert said[-1] == "No move is on record."


def test_a_history_reads_as_a_sentence():
    moves = [Move(NOON, None, "Salem", "radius", "3 miles"), Move(NOON, "Salem", "Lowell", "county", "MA:Essex County"),
             Move(NOON, "Lowell", "Salem", "staff"), Move(NOON, "Salem", None, "root", "no chapter for 01850")]  # fmt: skip
    assert sentences(Facts("Rosa", "Lowell", "zip", "01850", "01850", moves=moves))[-1] == (
        "History: on November 3, 2026 they came to Salem (3 miles away); on November 3, 2026 they moved from Salem to Lowell"
        " (by Essex County (MA)); on November 3, 2026 they moved from Lowell to Salem (placed by staff); on November 3, 2026"
        " they moved from Salem to no chapter (no chapter for 01850)."
    )
