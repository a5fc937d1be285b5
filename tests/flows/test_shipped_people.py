"""The shipped sequences about people: who joins, who offers to help, who falls silent."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from engine.bootstrap import Deps
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.outreach import shipped_sequences
from tests.campaigns import enqueue, letter
from tests.flows.house import change, one, put, rows
from tests.make import raw
from tests.supporters import Supporters, supporters

INES, LEAD = "ines@example.org", "lead@example.org"
WORCESTER, NOWHERE = "01605", "01301"
HELP = """
INSERT INTO way_to_help (code, name, names, position) VALUES ('w1', 'Knock on doors', '{"es": "Tocar puertas"}', 90),
    ('w2', 'Drive people to the polls', '{"es": "Llevar gente a votar"}', 91) ON CONFLICT DO NOTHING
"""


@pytest.fixture
def they(deps: Deps) -> Iterator[Supporters]:
    with supporters(deps) as people:
        yield people


# Welcome.


def test_who_joins_is_welcomed_at_once_by_the_chapter_near_her_with_one_thing_to_do(they: Supporters):
    they.joins(INES, zip=WORCESTER)
    assert they.mail(INES) == ["Nov 3 07:00  Welcome: Worcester is your chapter"]
    welcome = they.letter(INES)
    assert welcome.from_name == "Common Ground Massachusetts, Worcester"
    assert "You are near Worcester, so that is your chapter." in welcome.text
    assert welcome.html.count('class="button"') <= 1
    assert "tell us what matters to you" in welcome.text.lower()
    they.wait(days=30)
    assert they.mail(INES) == [], "one welcome, and nothing after it"


def test_who_signs_up_on_a_website_that_posts_it_to_us_is_welcomed_likewise(they: Supporters):
    said = {"email": INES, "first_name": "Ines", "zip": WORCESTER, "status": "subscribed", "at": they.now.isoformat()}
    put(they.deps, raw(said), source="signup")
    they.happens()
    assert they.mail(INES) == ["Nov 3 07:00  Welcome: Worcester is your chapter"]


def test_who_reads_spanish_is_welcomed_in_it_and_told_in_it_why_that_chapter_is_hers(they: Supporters):
    they.joins(INES, zip=WORCESTER, language="es", form="join/lowell", first_name="")
    assert they.mail(INES) == ["Nov 3 07:00  Te damos la bienvenida: Greater Lowell es tu capítulo"]
    text = they.letter(INES).text
    assert "Te inscribiste con Greater Lowell, así que ese es tu capítulo." in text
    assert "Hola, amiga o amigo:" in text


def test_a_letter_that_staff_put_in_their_own_words_welcomes_from_then_on(they: Supporters):
    words = {"en": Body("Good to have you", "Hello {{ first_name }}. {{ why }}\n")}
    with they.deps.work() as (session, now):
        writing.save(session, Draft(slug="welcome", kind="news", bodies=words))
        shipped_sequences.ship(session, now, letters=["welcome"])
    they.joins(INES, zip=WORCESTER)
    they.joins("sol@example.org", zip=WORCESTER, language="es", first_name="Sol")
    assert they.mail(INES) == ["Nov 3 07:00  Good to have you"]
    assert "Hello Ines. You are near Worcester" in they.letter(INES).text
    assert "Hello Sol. You are near Worcester" in they.letter("sol@example.org").text, "in one language"


# A chapter can begin.


def test_where_no_chapter_is_near_she_is_welcomed_by_all_and_told_in_a_week_how_one_begins(they: Supporters):
    they.joins(INES, zip=NOWHERE)
    assert they.mail(INES) == ["Nov 3 07:00  Welcome, Ines"]
    assert "There is no chapter of ours near you yet." in they.letter(INES).text
    assert they.letter(INES).from_name == "Common Ground Massachusetts"
    they.wait(days=6)
    assert they.mail(INES) == []
    they.wait(days=2)
    assert they.mail(INES) == ["Nov 10 10:00  How a chapter begins"]
    they.wait(days=30)
    assert they.mail(INES) == []
    assert they.place(INES, "start-chapter") == ("finished", "")


def test_who_stops_letters_meanwhile_is_not_told(they: Supporters):
    they.joins(INES, zip=NOWHERE)
    they.mail(INES)
    change(they.deps, """INSERT INTO consent (contact_id, channel, given, at, source)
        SELECT id, 'mail', false, :at, 'unsubscribe' FROM contact WHERE email = :email""",
           at=they.now, email=INES)  # fmt: skip
    they.wait(days=10)
    assert they.mail(INES) == []
    assert they.unsent(INES)[0][0] == "skipped"


# Offers of help.


def led(they: Supporters) -> None:
    """Worcester has somebody who leads it."""
    change(they.deps, HELP)
    change(they.deps, """WITH lead AS (INSERT INTO contact (email, first_name, details_at) VALUES (:email, 'Abel', 'epoch')
        RETURNING id) INSERT INTO chapter_lead (chapter_id, contact_id)
        SELECT h.id, lead.id FROM lead, chapter h WHERE h.slug = 'worcester'""", email=LEAD)  # fmt: skip


def test_who_offers_to_help_is_thanked_and_the_leads_are_told_but_not_who_it_is(they: Supporters):
    led(they)
    they.joins(INES, zip=WORCESTER, ways_to_help=["w1", "w2"], last_name="Okafor")
    they.wait(hours=2)
    assert they.mail(INES) == [
        "Nov 3 07:00  Welcome: Worcester is your chapter", "Nov 3 08:00  Thank you for offering to help",
    ]  # fmt: skip
    assert "(Knock on doors, Drive people to the polls)" in they.letter(INES).text
    assert they.mail(LEAD) == ["Nov 3 07:00  Somebody near you offered to help"]
    told = they.letter(LEAD)
    assert "Hello Abel," in told.text
    assert "/staff/offers" in told.text
    for hers in (INES, "Ines", "Okafor", WORCESTER):
        assert hers not in told.text + told.html + told.subject


def test_the_leads_are_reminded_when_nobody_has_talked_to_her_in_five_days(they: Supporters):
    led(they)
    they.joins(INES, zip=WORCESTER, ways_to_help=["w1"])
    they.joins("sol@example.org", zip=WORCESTER, ways_to_help=["w2"], language="es", first_name="Sol")
    they.wait(hours=2)
    assert they.mail(LEAD) == ["Nov 3 07:00  Somebody near you offered to help"], "one a day, whoever offers"
    assert they.letter("sol@example.org", "Gracias").text.count("(Llevar gente a votar)") == 1
    change(they.deps, "UPDATE volunteer_offer SET state = 'contacted' WHERE contact_id = "
           "(SELECT id FROM contact WHERE email = :email)", email=INES)  # fmt: skip
    they.wait(days=20)
    assert they.mail(LEAD) == ["Nov 8 10:00  Somebody who offered to help is still waiting"]
    change(they.deps, "UPDATE volunteer_offer SET state = 'contacted'")


def test_nobody_is_reminded_of_who_was_asked(they: Supporters):
    led(they)
    they.joins(INES, zip=WORCESTER, ways_to_help=["w1"])
    change(they.deps, "UPDATE volunteer_offer SET state = 'contacted'")
    they.wait(days=20)
    assert they.mail(LEAD) == ["Nov 3 07:00  Somebody near you offered to help"]


def test_who_offers_help_on_her_own_page_is_thanked_once_for_what_she_did_not_offer_before(they: Supporters):
    led(they)
    they.joins(INES, zip=WORCESTER)
    they.wait(hours=3)
    they.mail(INES)
    they.offers_help(INES, "w1")
    they.offers_help(INES, "w1")
    assert they.mail(INES) == ["Nov 3 10:00  Thank you for offering to help"]
    they.wait(days=10)
    they.offers_help(INES, "w1", "w2")
    assert they.mail(INES) == ["Nov 13 10:00  Thank you for offering to help"]
    assert they.mail(LEAD)[-1] == "Nov 13 10:00  Somebody near you offered to help"


# Long silence.


def silent(they: Supporters, *emails: str, letters: int = 3) -> None:
    """They joined more than a year ago, got letters, and did nothing."""
    for email in emails:
        they.joins(email, zip=WORCESTER)
    ids = [row.id for row in rows(they.deps, "SELECT id FROM contact WHERE zip = '01605' ORDER BY id")]
    change(they.deps, "UPDATE message SET handed_at = handed_at - interval '2 years'")
    change(they.deps, "UPDATE contact SET created_at = created_at - interval '2 years', "
           "engaged_last_at = CAST(:now AS timestamptz) - interval '370 days'", now=they.now)  # fmt: skip
    for number in range(letters):
        enqueue(they.deps, letter(they.deps), ids)
        change(they.deps, """UPDATE message SET state = 'handed', handed_at = CAST(:now AS timestamptz) - :ago
            WHERE state = 'ready'""", now=they.now, ago=timedelta(days=20 + number))  # fmt: skip
    for email in emails:
        they.mail(email)


def test_who_was_silent_for_a_year_is_asked_and_rests_when_she_does_not_answer(they: Supporters):
    silent(they, INES)
    they.a_new_day()
    they.wait(days=2)
    assert they.mail(INES) == ["Nov 4 10:00  Shall we go on writing to you?"]
    they.a_new_day()
    they.wait(days=36)
    assert one(they.deps, f"SELECT rested_at FROM contact WHERE email = '{INES}'").rested_at is None
    they.wait(days=5)
    assert one(they.deps, f"SELECT rested_at FROM contact WHERE email = '{INES}'").rested_at is not None
    assert they.place(INES, "re-engage") == ("finished", "stopped")
    they.a_new_day()
    they.wait(days=400)
    they.a_new_day()
    assert they.mail(INES) == [], "who rests is not asked again"
    her = [row.id for row in rows(they.deps, f"SELECT id FROM contact WHERE email = '{INES}'")]
    enqueue(they.deps, letter(they.deps), her, due=they.now)
    they.happens()
    assert they.unsent(INES)[-1] == ("skipped", "resting after long silence")
    they.gives(INES)
    enqueue(they.deps, letter(they.deps), her, due=they.now)
    they.happens()
    assert "The vote, Ines" in " ".join(they.mail(INES)), "whatever she does wakes her"


def test_who_answers_goes_on_getting_letters_and_is_asked_no_more(they: Supporters):
    silent(they, INES)
    they.a_new_day()
    they.wait(days=3)
    they.mail(INES)
    they.follows_a_link(INES, "Shall we go on")
    assert they.place(INES, "re-engage") == ("left", "goal reached")
    they.wait(days=60)
    they.a_new_day()
    assert they.mail(INES) == []
    assert one(they.deps, f"SELECT rested_at FROM contact WHERE email = '{INES}'").rested_at is None


def test_who_got_few_letters_was_not_silent(they: Supporters):
    silent(they, INES, letters=2)
    they.a_new_day()
    they.wait(days=3)
    assert they.mail(INES) == []


def test_a_question_that_never_left_is_none(they: Supporters):
    silent(they, INES)
    they.a_new_day()
    change(they.deps, "UPDATE mailing SET paused_at = now(), paused_because = 'test' WHERE slug = 'still_there'")
    they.wait(days=60)
    assert they.mail(INES) == []
    assert they.place(INES, "re-engage") == ("finished", "")
    assert one(they.deps, f"SELECT rested_at FROM contact WHERE email = '{INES}'").rested_at is None
