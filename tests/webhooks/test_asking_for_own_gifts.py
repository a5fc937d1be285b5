"""`/give/me`: the way to one's own monthly gifts is sent by letter, and tells nobody who gives."""

from urllib.parse import urlencode

import pytest
from sqlalchemy import event, text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.flows.house import one
from tests.givers import FORM, SAME_SITE, giver, page_of, post, stamp
from tests.readers import reader
from tests.webhooks.joining import said
from webhooks.forms import Stamp
from workers import delivery


@pytest.fixture(autouse=True)
def fresh(house: Deps) -> None:
    house.limiter.counts.clear()
    house.limiter.away = False


def asked_for(house: Deps, email: str) -> int:
    return int(one(house, f"""SELECT count(*) FROM message m JOIN contact c ON c.id = m.contact_id
        WHERE c.email = '{email}' AND m.occasion LIKE 'giving:%'""")[0])  # fmt: skip


def test_the_answer_and_the_work_are_the_same_for_known_unknown_and_suppressed_addresses(door: Client, house: Deps):
    known, suppressed, stranger = giver(house), giver(house), reader(house)
    with transaction(house.sessions) as session:
        session.execute(text("INSERT INTO suppression (email, reason, at) VALUES (:e, 'complaint', now())"),
                        {"e": suppressed.email})  # fmt: skip
    statements: list[str] = []
    with transaction(house.sessions) as session:
        engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    answers = []
    for email in (known.email, suppressed.email, stranger.email, "nobody@example.org"):
        mark = stamp(door, "/give/me")
        statements.clear()
        answer = post(door, "/give/me", stamp=mark, email=email)
        answers.append((answer.status, answer.body, sorted(answer.headers), tuple(statements)))
    assert answers[0][0] == 200
    assert len(answers[0][3]) == 3
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert b"example.org" not in answers[0][1]
    letters = [asked_for(house, email) for email in (known.email, suppressed.email, stranger.email)]
    assert letters == [1, 1, 0]
    house.mailer.accepted.clear()
    delivery.hand_over(house, "receipts")
    to = [letter.to_email for _, letter in house.mailer.accepted if letter.subject == "Your monthly gifts"]
    assert to == [known.email]


def test_the_page_that_asks_for_an_address_says_whose_it_is(door: Client):
    assert said(door.send("GET", "/give/me")).startswith("Common Ground Massachusetts Your monthly gifts")
    answer = post(door, "/give/me", stamp=stamp(door, "/give/me"), email="nobody@example.org")
    assert said(answer).startswith("Common Ground Massachusetts Look into your mail")


def test_the_letter_leads_to_her_page_in_her_language_and_its_row_holds_no_token(door: Client, house: Deps):
    her = giver(house)
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE contact SET language = 'es' WHERE id = :id"), {"id": her.contact_id})
    post(door, "/give/me", stamp=stamp(door, "/give/me"), email=her.email.upper())
    delivery.hand_over(house, "receipts")
    letters = [letter for _, letter in house.mailer.accepted if letter.to_email == her.email]
    letter = next(letter for letter in letters if letter.subject == "Tus donativos mensuales")
    path = page_of(house, her)
    for part in (letter.text, letter.html):
        assert f"{house.settings.base_url}{path}" in part
    assert "24 horas" in letter.text
    assert "List-Unsubscribe" not in letter.headers
    facts = one(house, f"SELECT facts FROM message WHERE occasion LIKE 'giving:%' AND contact_id = {her.contact_id}")
    assert set(facts[0]) == {"giving_asked"}
    assert "Tus donativos mensuales" in said(door.send("GET", path))


def test_an_address_gets_three_letters_an_hour_and_pressing_twice_is_one(door: Client, house: Deps):
    her = giver(house)
    mark = stamp(door, "/give/me")
    for _ in range(2):
        assert post(door, "/give/me", stamp=mark, email=her.email).status == 200
    assert asked_for(house, her.email) == 1
    for _ in range(4):
        assert post(door, "/give/me", stamp=stamp(door, "/give/me"), email=her.email).status == 200
    assert asked_for(house, her.email) == 2


def test_a_network_that_asks_too_often_waits_and_without_counting_nothing_is_sent(door: Client, house: Deps):
    her = giver(house)
    mark = stamp(door, "/give/me")
    forms = [urlencode({"stamp": mark, "email": f"nobody.{number}@example.org"}).encode() for number in range(21)]
    answers = door.together(*(("POST", "/give/me", [FORM, SAME_SITE], form) for form in forms))
    assert sorted(answer.status for answer in answers) == [200] * 20 + [429]
    assert [answer.headers.get("retry-after") for answer in answers if answer.status == 429] == ["900"]
    house.limiter.away = True
    answer = post(door, "/give/me", stamp=mark, email=her.email)
    assert (answer.status, asked_for(house, her.email)) == (503, 0)
    assert her.email in answer.body.decode()


@pytest.mark.parametrize(
    "email", ["rosa", "a@b", "a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org"]
)
def test_what_is_no_address_is_said_so_and_kept(door: Client, email: str):
    answer = post(door, "/give/me", stamp=stamp(door, "/give/me"), email=email)
    assert answer.status == 422
    assert "is a letter missing?" in said(answer)


def test_a_form_that_is_none_of_ours_sends_nothing(door: Client, house: Deps):
    her = giver(house)
    mark = stamp(door, "/give/me")
    assert post(door, "/give/me", email=her.email).status == 403
    assert (
        post(door, "/give/me", stamp=Stamp.fresh("join", house.clock.now).token(house.signer), email=her.email).status
        == 403
    )
    assert post(door, "/give/me", ("sec-fetch-site", "cross-site"), stamp=mark, email=her.email).status == 403
    assert door.send("POST", "/give/me", [SAME_SITE, ("content-type", "application/json")], b"{}").status == 415
    assert asked_for(house, her.email) == 0
