"""What each reader of a letter is offered: her own amounts, the same on our page. An ask with nothing to ask for stays."""

import re
from datetime import timedelta

from sqlalchemy import event

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from engine.giving import ask_links
from engine.letters.links import Links
from engine.outreach import trying
from engine.reactions import react
from tests.books import assert_books_balance
from tests.campaigns import ASK, NOW, enqueue, go, letter, people, states
from tests.flows.house import change, one, rows
from tests.make import gift
from workers import delivery

TOKEN = re.compile(r"[?&]k=([^\s\"&]+)")


def give(deps: Deps, contact_id: int, *cents: int) -> None:
    """Gifts of hers, one a month, the last one a month ago."""
    email = one(deps, f"SELECT email FROM contact WHERE id = {contact_id}").email
    donor = Person(email=email, first_name="Rosa", zip="01604")
    told = [
        gift(donor=donor, amount_cents=each, paid_at=NOW - timedelta(days=31 * (len(cents) - place)))
        for place, each in enumerate(cents)
    ]
    with deps.work() as (session, now):
        react(session, told, now, deps.settings)
    change(deps, "DELETE FROM message")  # the thanks are not what this is about


def limit(deps: Deps, cents: int) -> None:
    change(deps, "UPDATE fund SET limit_cents = :cents WHERE slug = 'action'", cents=cents)


def own_form(deps: Deps) -> None:
    change(deps, "UPDATE donation_form SET processor = 'stripe' WHERE slug = 'common-ground'")


def test_each_reader_is_asked_for_what_fits_her(deps: Deps):
    donor, stranger, other = people(deps, 3)
    give(deps, donor, 3500, 2500, 5000)
    give(deps, other, 1000)
    enqueue(deps, letter(deps, markdown=ASK, kind="asks"), [donor, stranger, other])
    go(deps)
    hers, usual, small = ([*re.findall(r"amount=([\d.]+)", each.text)] for _, each in deps.mailer.accepted)
    assert hers == ["50", "75", "100", "125", "150"]
    assert usual == ["27", "50", "100", "250", "1000"]
    assert small == ["10", "15", "20", "25", "35"]
    with deps.work() as (session, _):
        assert_books_balance(session)


def test_a_letter_to_a_page_of_ours_carries_her_amounts_in_each_link_and_no_word_of_whom(deps: Deps):
    own_form(deps)
    limit(deps, 500_00)
    donor, likewise, stranger = people(deps, 3)
    give(deps, donor, 2000)
    give(deps, likewise, 2000)
    enqueue(deps, letter(deps, markdown=ASK, kind="asks"), [donor, likewise, stranger])
    go(deps)
    hers, same, other = (each for _, each in deps.mailer.accepted)
    links = [line for line in hers.text.splitlines() if "/give/" in line]
    assert [re.findall(r"amount=(\d+)", each) for each in links] == [["20"], ["25"], ["35"], ["50"], ["75"], []]
    (token,) = set(TOKEN.findall(hers.text))
    assert [TOKEN.findall(each) for each in links] == [[token]] * 6, "another amount, too"
    assert set(TOKEN.findall(hers.html.replace("&amp;", "&"))) == {token}
    read = ask_links.read(deps.signer, "common-ground", token)
    assert read == ask_links.Offered((2000, 2500, 3500, 5000, 7500), 400_00)
    assert set(TOKEN.findall(same.text)) == {token}
    (others,) = set(TOKEN.findall(other.text))
    assert ask_links.read(deps.signer, "common-ground", others) == ask_links.Offered((2700, 5000, 10000, 25000), 500_00)


def test_whoever_gave_480_of_500_dollars_is_offered_no_more_than_20(deps: Deps):
    limit(deps, 500_00)
    (donor,) = people(deps, 1)
    give(deps, donor, 24000, 24000)
    mailing = letter(deps, markdown=ASK, kind="asks")
    enqueue(deps, mailing, [donor])
    enqueue(deps, mailing, [donor], facts='{"ladder": [5000, 10000]}')
    go(deps)
    go(deps)
    chosen = [re.findall(r"amount=([\d.]+)", each.text) for _, each in deps.mailer.accepted]
    assert chosen == [["5", "10", "15", "20"]] * 2


def test_chosen_amounts_that_are_none_hold_up_nobody(deps: Deps):
    donor, other = people(deps, 2)
    give(deps, donor, 5000)
    mailing = letter(deps, markdown=ASK, kind="asks")
    enqueue(deps, mailing, [donor], facts='{"ladder": ["all", null, true, 7.5]}')
    enqueue(deps, mailing, [other], facts='{"ladder": "all"}')
    go(deps)
    chosen = [re.findall(r"amount=([\d.]+)", each.text) for _, each in deps.mailer.accepted]
    assert chosen == [["50", "75", "100", "125", "150"], ["27", "50", "100", "250", "1000"]]


def test_an_ask_with_nothing_to_ask_for_is_skipped_and_says_why_and_is_held_against_no_mailing(deps: Deps):
    limit(deps, 500_00)
    full, stranger = people(deps, 2)
    give(deps, full, 50000)
    mailing = letter(deps, markdown=ASK, kind="asks")
    enqueue(deps, mailing, [full, stranger])
    go(deps)
    assert states(deps) == {"skipped": 1, "handed": 1}
    skipped = one(deps, "SELECT contact_id, reason, handed_at, handover_id FROM message WHERE state = 'skipped'")
    assert tuple(skipped) == (
        full, "Nothing is left of the fund's limit for her: there is nothing to ask her for.", None, None
    )  # fmt: skip
    assert tuple(one(deps, "SELECT handed, refused FROM mailing WHERE handed > 0")) == (1, 0)
    assert rows(deps, "SELECT 1 FROM notice") == []
    enqueue(deps, mailing, [full])
    go(deps)
    assert states(deps) == {"skipped": 2, "handed": 1}, "alone likewise"
    assert len(deps.mailer.accepted) == 1


def test_news_to_somebody_with_nothing_left_goes_with_the_plain_link(deps: Deps):
    own_form(deps)
    limit(deps, 500_00)
    (full,) = people(deps, 1)
    give(deps, full, 50000)
    enqueue(deps, letter(deps, markdown=ASK), [full])
    go(deps)
    (sent,) = (each for _, each in deps.mailer.accepted)
    assert "amount=" not in sent.text
    assert re.findall(r"/give/common-ground\S*", sent.text) == ["/give/common-ground?refcode=" + one(
        deps, "SELECT code FROM refcode").code]  # fmt: skip


def test_a_test_shows_staff_a_sample_whatever_they_gave(deps: Deps):
    own_form(deps)
    limit(deps, 500_00)
    (staff,) = people(deps, 1)
    give(deps, staff, 50000)
    email = one(deps, f"SELECT email FROM contact WHERE id = {staff}").email
    letter(deps, "ask", markdown=ASK, kind="asks")
    with deps.work() as (session, now):
        assert trying.send(session, "ask", email, now)
    delivery.hand_over(deps, bell.RECEIPTS)
    (sent,) = (each for _, each in deps.mailer.accepted)
    assert re.findall(r"amount=(\d+)", sent.text) == ["27", "50", "100", "250", "1000"]


def test_a_preview_shows_her_amounts_to_whoever_may_see_what_she_gave(deps: Deps):
    (donor,) = people(deps, 1)
    give(deps, donor, 5000)
    letter(deps, "ask", markdown=ASK, kind="asks")
    with deps.work() as (session, now):
        links = Links(deps.signer, deps.settings.base_url, now)
        shown, withheld = (
            trying.preview(session, "ask", links, contact_id=donor, amounts=may).letter.text for may in (True, False)
        )
    assert re.findall(r"amount=(\d+)", shown) == ["50", "75", "100", "125", "150"]
    assert re.findall(r"amount=(\d+)", withheld) == ["27", "50", "100", "250", "1000"]


def test_a_claim_asks_as_little_for_many_readers_as_for_few(deps: Deps):
    limit(deps, 500_00)
    first, few, many = people(deps, 1), people(deps, 2), people(deps, 60)
    for each in (few[0], many[0], many[30]):
        give(deps, each, 5000)
    mailing = letter(deps, markdown=ASK, kind="asks")
    asked = [len(statements_of_a_claim(deps, mailing, readers)) for readers in (first, few, many)]
    assert asked[1] == asked[2]  # the first one makes the code of its links


def statements_of_a_claim(deps: Deps, mailing: int, readers: list[int]) -> list[str]:
    enqueue(deps, mailing, readers)
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    with transaction(deps.sessions) as session:
        pool = session.get_bind().engine
    event.listen(pool, "before_cursor_execute", note)
    assert delivery.claim(deps, bell.DELIVERY).parcels
    event.remove(pool, "before_cursor_execute", note)
    return sent
