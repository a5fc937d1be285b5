"""From a form's body to letters: who is on the list at once, who is asked first, and that nothing a stranger typed reaches
a person before she has answered."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import catalogues, confirmations
from engine.people.catalogue_files import understood
from engine.ports import Letter
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, join_body, raw
from tests.of_a_person import erase, id_of
from workers import intake

INES = "ines@example.org"
CONTACT = """
SELECT email, first_name, last_name, zip, language, chosen_chapter_id IS NOT NULL AS chose, h.slug AS chapter, routed_by
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id WHERE email = 'ines@example.org'
"""
WORDS = """
SELECT kind, given, at, source, place, wording FROM consent w JOIN contact c ON c.id = w.contact_id
WHERE c.email = 'ines@example.org' ORDER BY at, kind
"""
WELCOME = (
    "version_id = (SELECT v.id FROM sequence q JOIN sequence_version v ON v.sequence_id = q.id WHERE slug = 'welcome')"
)
CATALOGUE = {
    "agendas": [{"code": "homes", "name": "Homes", "interests": [{"code": "rent", "name": "Rent"}]}],
    "ways_to_help": [{"code": "doors", "name": "Doors"}],
}


def come(deps: Deps, **changed: Any) -> None:
    """One sign-up now, and all that follows."""
    put(deps, raw(join_body(**{"at": deps.clock.now.isoformat()} | changed)), source="join")
    run_everything(deps)


def letters(deps: Deps, email: str = INES) -> list[Letter]:
    return [letter for _, letter in deps.mailer.accepted if letter.to_email == email]


def answer(deps: Deps, *, expressly: bool = False, which: str = "max(id)") -> Any:
    """She presses the button of her newest letter."""
    with deps.work() as (session, now):
        asked = session.execute(text(f"SELECT {which} FROM confirmation")).scalar_one()
        events = confirmations.confirm(session, asked, now, expressly=expressly)
        deps.react(session, events, now)
    run_everything(deps)
    return events


def offer(deps: Deps) -> None:
    with transaction(deps.sessions) as session:
        catalogues.bring_in(session, understood(CATALOGUE))


def run(deps: Deps, statement: str, **values: Any) -> None:
    with transaction(deps.sessions) as session:
        session.execute(text(statement), values)


def suppress(deps: Deps, reason: str) -> None:
    run(
        deps, "INSERT INTO suppression (email, reason, at) VALUES (:email, :reason, :at)", email=INES, reason=reason,
        at=deps.clock.now,
    )  # fmt: skip


def test_a_yes_on_a_single_form_counts_at_once_and_she_is_welcomed_by_the_chapter_near_her(deps: Deps):
    offer(deps)
    come(deps, interests=["rent", "no-such"], ways_to_help=["doors"], language="es")
    assert tuple(one(deps, CONTACT)) == (INES, "Ines", "Okafor", "01605", "es", False, "worcester", "zip")
    assert [tuple(word) for word in rows(deps, WORDS)] == [
        ("", True, deps.clock.now, "join", "join", "Yes, write to me.")
    ]
    assert one(deps, "SELECT count(*) AS n FROM contact_interest").n == 1
    assert one(deps, "SELECT state FROM volunteer_offer").state == "new"
    (welcome,) = letters(deps)
    assert "Worcester" in welcome.subject
    assert "Vives cerca de Worcester" in welcome.text
    message = one(deps, f"SELECT lane, kind, language, state FROM message WHERE {WELCOME}")
    assert tuple(message) == ("delivery", "news", "es", "handed")


def test_the_same_body_delivered_twice_is_one_sign_up_one_word_one_letter(deps: Deps):
    body = raw(join_body())
    put(deps, body, source="join")
    run_everything(deps)
    run(deps, "UPDATE inbound_event SET state = 'pending', attempts = 0, due_at = now()")
    run_everything(deps)
    assert one(deps, "SELECT count(*) AS n FROM sign_up").n == 1
    assert one(deps, "SELECT count(*) AS n FROM consent").n == 1
    assert len(letters(deps)) == 1
    assert one(deps, "SELECT state, reason FROM inbound_event")[:] == ("ignored", "told before")


def test_who_is_on_the_list_is_not_welcomed_again_and_what_she_says_anew_holds_once_she_answers(deps: Deps):
    come(deps)
    deps.clock.skip(timedelta(days=2))
    come(deps, first_name="Inés", zip="02139", form="join/lowell")
    assert [letter.subject for letter in letters(deps)][1:] == ["Was it you who signed up?"]
    assert one(deps, CONTACT).first_name == "Ines"
    answer(deps)
    assert len(letters(deps)) == 2
    found = one(deps, CONTACT)
    assert (found.first_name, found.zip, found.chapter, found.routed_by) == ("Inés", "02139", "lowell", "choice")


def test_a_donor_who_joins_is_welcomed(deps: Deps):
    put(deps, raw(actblue_body(donor={"email": INES, "firstname": "Ines", "lastname": "Okafor"})))
    run_everything(deps)
    come(deps)
    assert [letter.subject for letter in letters(deps)][1:] == ["Welcome: Worcester is your chapter"]


def test_the_form_of_a_chapter_chooses_it_a_sheet_does_not_and_a_gathering_chooses_its_host(deps: Deps):
    run(
        deps, """INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
        SELECT 'May1', 'May Day', id, :at, :at + interval '1 hour', 10 FROM chapter WHERE slug = 'brockton'""",
        at=deps.clock.now,
    )  # fmt: skip
    for number, (said, chosen) in enumerate((
        ({"form": "sheet/lowell"}, (False, "worcester", "zip")), ({"form": "join/lowell"}, (True, "lowell", "choice")),
        ({"gathering": "May1"}, (True, "brockton", "choice")),
        ({"form": "join/lowell", "gathering": "May1"}, (True, "brockton", "choice")),
        ({"form": "join/no-such-chapter"}, (False, "worcester", "zip")),
    )):  # fmt: skip
        email = f"p{number}@example.org"
        come(deps, email=email, **said)
        assert tuple(one(deps, CONTACT.replace(INES, email)))[-3:] == chosen


def test_who_agreed_to_be_introduced_stands_with_her_county(deps: Deps):
    come(deps, zip="01201", introduce=True)
    assert one(deps, "SELECT place FROM introduction").place == "MA:Berkshire County"
    come(deps, email="ana@example.org", zip="", introduce=True)
    come(deps, email="eva@example.org", zip="00000", introduce=True)
    assert one(deps, "SELECT count(*) AS n FROM introduction").n == 1


def test_where_no_chapter_is_near_the_welcome_offers_to_start_one(deps: Deps):
    come(deps, zip="10001")
    come(deps, email="ana@example.org", zip="")
    (far,), (unknown,) = letters(deps), letters(deps, "ana@example.org")
    assert "There is no chapter of ours near you yet." in far.text
    assert "kitchen table" in far.text
    assert "You did not tell us your ZIP" in unknown.text
    come(deps, email="eva@example.org", zip="00000")
    (strange,) = letters(deps, "eva@example.org")
    assert "We do not know the ZIP that you told us" in strange.text
    assert "There is no chapter of ours near you yet." not in strange.text
    assert far.from_name == "Common Ground Massachusetts"
    come(deps, email="may@example.org", zip="01420")  # a region's land, where no chapter meets
    (regional,) = letters(deps, "may@example.org")
    assert "There is no chapter of ours near you yet." in regional.text


def test_a_double_form_asks_first_and_keeps_to_itself_what_was_typed(deps: Deps):
    offer(deps)
    come(deps, confirm=True, form="join/lowell", interests=["rent"], ways_to_help=["doors"], introduce=True)
    assert tuple(one(deps, CONTACT))[1:4] == ("", "", None)
    for table in ("consent", "contact_interest", "volunteer_offer", "introduction"):
        assert rows(deps, f"SELECT 1 FROM {table}") == []
    (asked,) = letters(deps)
    assert (asked.subject, asked.to_name) == ("Was it you who signed up?", "")
    assert "/confirm/" in asked.text
    assert asked.from_name == "Common Ground Massachusetts, Greater Lowell"
    for typed in ("Ines", "Okafor", "01605"):
        assert typed not in asked.text.replace(INES, "")
        assert typed not in asked.html


def test_her_answer_carries_out_what_she_typed_with_the_wording_she_agreed_to_once(deps: Deps):
    offer(deps)
    come(
        deps, confirm=True, form="join/lowell", interests=["rent"], ways_to_help=["doors"], introduce=True, language="es",
        wording="Sí, escríbanme.",
    )  # fmt: skip
    assert letters(deps)[0].subject == "¿Fuiste tú quien se inscribió?"
    deps.clock.skip(timedelta(hours=3))
    answer(deps)
    assert answer(deps) == []
    assert tuple(one(deps, CONTACT)) == (INES, "Ines", "Okafor", "01605", "es", True, "lowell", "choice")
    assert [tuple(word) for word in rows(deps, WORDS)] == [
        ("", True, deps.clock.now, "confirm", "join/lowell", "Sí, escríbanme.")
    ]
    for table in ("contact_interest", "volunteer_offer", "introduction"):
        assert one(deps, f"SELECT count(*) AS n FROM {table}").n == 1
    _, *others = letters(deps)
    assert {letter.subject for letter in others} == {
        "Te damos la bienvenida: Greater Lowell es tu capítulo", "Gracias por ofrecer tu ayuda",
    }  # fmt: skip


def test_a_stranger_on_a_double_form_changes_nothing_of_a_person_we_know(deps: Deps):
    come(deps)
    before = one(deps, CONTACT)
    deps.clock.skip(timedelta(minutes=5))
    come(
        deps,
        confirm=True,
        first_name="Visit evil.example",
        last_name="X",
        zip="02139",
        form="join/lowell",
        language="es",
    )
    assert one(deps, CONTACT) == before
    assert "evil" not in letters(deps)[-1].text


def test_an_answer_covers_what_was_typed_since_its_letter_and_nothing_older(deps: Deps):
    come(deps, confirm=True, first_name="Stranger", last_name="Strange", zip="02139", form="join/lowell")
    deps.clock.skip(timedelta(days=8))
    come(deps, confirm=True, zip="")
    deps.clock.skip(timedelta(hours=1))
    come(deps, confirm=True, zip="01605")
    assert len(letters(deps)) == 2
    answer(deps)
    assert tuple(one(deps, CONTACT))[1:] == ("Ines", "Okafor", "01605", "en", False, "worcester", "zip")


def test_at_most_one_letter_a_day_and_three_in_thirty_days_over_all_forms(deps: Deps):
    for number in range(31 * 4):
        come(deps, confirm=True, form=("join", "join/lowell", "join/worcester")[number % 3], email="INES@Example.org ")
        deps.clock.skip(timedelta(hours=6))
    asked = [row.asked_at for row in rows(deps, "SELECT asked_at FROM confirmation ORDER BY id")]
    first = asked[0]
    assert [moment - first for moment in asked] == [
        timedelta(0), timedelta(days=1), timedelta(days=2), timedelta(days=30),
    ]  # fmt: skip
    assert len(letters(deps)) == 4


def together(deps: Deps, bodies: Sequence[dict[str, Any]]) -> None:
    for body in bodies:
        put(deps, raw(body), source="join")
    run(deps, "UPDATE inbound_event SET attempts = 1")  # each is claimed alone
    with ThreadPoolExecutor(4) as pool:
        for worker in [pool.submit(intake.drain, deps, bell.INTAKE) for _ in range(4)]:
            worker.result(60)
    run_everything(deps)


SPELLINGS = ["ines@example.org", "Ines@example.org", " INES@EXAMPLE.ORG", "ines@Example.org "]


@pytest.mark.parametrize("confirm", [True, False])
def test_one_person_racing_herself_in_every_spelling_is_one_contact_with_one_letter(deps: Deps, confirm: bool):
    bodies = [
        join_body(email=SPELLINGS[number % 4], wording=str(number), confirm=confirm, at=deps.clock.now.isoformat())
        for number in range(24)
    ]
    together(deps, bodies)
    assert one(deps, "SELECT count(*) AS n FROM contact").n == 1
    assert one(deps, "SELECT count(*) AS n FROM sign_up").n == 24
    assert len(letters(deps)) == 1
    assert one(deps, "SELECT count(*) AS n FROM confirmation").n == (1 if confirm else 0)
    assert {row.state for row in rows(deps, "SELECT state FROM inbound_event")} == {"applied"}


@pytest.mark.parametrize("reason", ["bounce", "complaint", "invalid", "manual"])
@pytest.mark.parametrize("confirm", [True, False])
def test_an_address_that_must_get_nothing_gets_not_even_a_question(deps: Deps, reason: str, confirm: bool):
    suppress(deps, reason)
    deps.clock.skip(timedelta(hours=1))
    come(deps, confirm=confirm)
    assert letters(deps) == []
    assert rows(deps, "SELECT 1 FROM message") == rows(deps, "SELECT 1 FROM confirmation") == []
    assert one(deps, "SELECT count(*) AS n FROM sign_up").n == 1
    if reason in ("complaint", "manual"):
        assert rows(deps, WORDS) == []


@pytest.mark.parametrize("reason", ["unsubscribe", "erased"])
def test_who_left_is_asked_even_on_a_single_form_and_comes_back_by_her_answer_alone(deps: Deps, reason: str):
    come(deps)
    deps.clock.skip(timedelta(days=1))
    suppress(deps, reason)
    deps.clock.skip(timedelta(days=1))
    come(deps, first_name="Stranger", last_name="Strange")
    assert one(deps, CONTACT).first_name == "Ines"
    assert len(rows(deps, WORDS)) == 1
    assert letters(deps)[-1].subject == "Was it you who signed up?"
    deps.clock.skip(timedelta(hours=1))
    answer(deps)
    assert one(deps, CONTACT).first_name == "Stranger"
    assert [word.source for word in rows(deps, WORDS)] == ["join", "confirm"]


def test_who_left_and_came_back_is_welcomed_once_more(deps: Deps):
    come(deps)
    deps.clock.skip(timedelta(days=1))
    leave(deps)
    deps.clock.skip(timedelta(days=1))
    come(deps)
    deps.clock.skip(timedelta(hours=1))
    answer(deps)
    answer(deps)
    subjects = [letter.subject for letter in letters(deps)]
    assert subjects == ["Welcome: Worcester is your chapter", "Was it you who signed up?", subjects[0]]


def leave(deps: Deps) -> None:
    """She unsubscribes."""
    suppress(deps, "unsubscribe")
    run(
        deps, """INSERT INTO consent (contact_id, channel, given, at, source) SELECT id, 'mail', false, :at, 'unsubscribe'
        FROM contact WHERE email = :email""", at=deps.clock.now, email=INES,
    )  # fmt: skip


def test_a_sign_up_that_is_older_than_her_no_changes_nothing(deps: Deps):
    come(deps, email="other@example.org")
    moment = deps.clock.now
    deps.clock.skip(timedelta(minutes=1))
    suppress(deps, "unsubscribe")
    come(deps, at=moment.isoformat())
    come(deps, at=moment.isoformat(), confirm=True)
    assert letters(deps) == []
    assert rows(deps, WORDS) == []


def test_a_yes_on_a_single_form_after_a_no_to_another_system_is_asked_too(deps: Deps):
    run(deps, "INSERT INTO contact (email, details_at) VALUES (:email, 'epoch')", email=INES)
    run(
        deps, """INSERT INTO consent (contact_id, channel, given, at, source) SELECT id, 'mail', false, :at, 'signup'
        FROM contact""", at=deps.clock.now,
    )  # fmt: skip
    deps.clock.skip(timedelta(minutes=1))
    come(deps)
    assert [letter.subject for letter in letters(deps)] == ["Was it you who signed up?"]


def test_two_hundred_and_thirty_at_a_gathering_take_as_many_statements_as_two(deps: Deps):
    for number in range(230):
        put(deps, raw(join_body(email=f"p{number}@example.org", form="join/worcester")), source="join")
    run_everything(deps)
    assert one(deps, f"SELECT count(*) AS n FROM message WHERE {WELCOME}").n == 230
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1


def test_who_was_erased_and_confirmed_since_is_asked_no_more_however_often_she_signs_up(deps: Deps):
    come(deps)
    erase(deps, id_of(deps, INES))
    for _ in range(3):
        deps.clock.skip(timedelta(days=2))
        come(deps)
        if rows(deps, "SELECT 1 FROM confirmation x JOIN contact c ON c.id = x.contact_id WHERE confirmed_at IS NULL"):
            answer(deps)
    assert len(rows(deps, "SELECT 1 FROM confirmation")) == 1
