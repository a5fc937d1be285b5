"""Which letter a gift is owed to: by refcode, else by the last link that a person followed in the week before."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.events import CheckoutReported, ContributionReported, Event
from engine.people import merging
from engine.reactions import react
from engine.settings import Settings
from tests import letters
from tests.gifts import MEI, ROSA, SETTINGS, take_back, who
from tests.letters import Sent
from tests.make import NOON, gift

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
_numbers = count(1)


def letter(session: Session, slug: str = "thank_you", kind: str = "asks", campaign: int = 5, **terms: Any) -> Sent:
    """A letter of a campaign that Rosa has."""
    (sent,) = letters.hand_over(session, email=ROSA.email, lane="delivery", at=NOON - 30 * DAY)
    session.execute(
        text("""UPDATE message SET kind = :kind, version_id = 3, campaign_id = :campaign,
            mailing_id = (SELECT id FROM mailing WHERE slug = :slug) WHERE id = :id"""),
        {"kind": kind, "campaign": campaign, "slug": slug, "id": sent.message_id} | terms,
    )  # fmt: skip
    return sent


def click(session: Session, sent: Sent, at: datetime, url: str = "https://example.org/give") -> None:
    """She followed a link in it."""
    react(session, [letters.word("click", sent, at=at, url=url, email=ROSA.email)], NOON, SETTINGS)


def code(session: Session, said: str, slug: str = "thank_you", campaign: int = 9) -> None:
    """The refcode of a mailing, as a campaign sends it from Worcester."""
    session.execute(
        text("""INSERT INTO refcode (code, mailing_id, chapter_id, version_id, campaign_id)
            SELECT :code, m.id, h.id, 3, :campaign FROM mailing m, chapter h
            WHERE m.slug = :slug AND h.slug = 'worcester'"""),
        {"code": said, "slug": slug, "campaign": campaign},
    )  # fmt: skip


def told(session: Session, *events: Event) -> None:
    react(session, events, NOON, SETTINGS)


def hers(**more: Any) -> ContributionReported:
    """A gift of hers, at noon."""
    key = f"gift/{next(_numbers)}"
    return gift(**{"source_key": key, "payment_key": key, "donor": ROSA, "paid_at": NOON} | more)


def owed(session: Session) -> list[tuple[str, int]]:
    """How each gift is attributed, and to which campaign."""
    found = session.execute(text("SELECT by, campaign_id FROM attribution ORDER BY contribution_id"))
    return [(row.by, row.campaign_id) for row in found]


def test_a_gift_is_owed_to_the_letter_whose_refcode_it_carries(session: Session):
    code(session, "abc234xyz")
    told(session, hers(refcode="abc234xyz"), hers(refcode="somebody-else"), hers())
    found = session.execute(
        text("""SELECT a.by, a.version_id, a.campaign_id, m.slug, h.slug AS chapter, a.at
        FROM attribution a JOIN mailing m ON m.id = a.mailing_id JOIN chapter h ON h.id = a.chapter_id""")
    ).one()  # fmt: skip
    assert tuple(found) == ("refcode", 3, 9, "thank_you", "worcester", NOON)


def test_of_two_refcodes_the_first_counts_and_the_second_where_the_first_is_none_of_ours(session: Session):
    code(session, "first2345", campaign=1)
    code(session, "second234", "confirm", campaign=2)
    told(session, hers(refcode="first2345", refcode2="second234"), hers(refcode="web", refcode2="second234"))
    assert owed(session) == [("refcode", 1), ("refcode", 2)]


def test_without_a_refcode_the_last_link_that_she_followed_before_the_gift_counts(session: Session):
    for days, campaign in ((6, 1), (1, 2), (-1, 3)):
        click(session, letter(session, campaign=campaign), NOON - days * DAY)
    told(session, hers())
    assert owed(session) == [("click", 2)]


@pytest.mark.parametrize(
    ("ago", "found"),
    [(timedelta(), True), (7 * DAY, True), (7 * DAY + SECOND, False), (-SECOND, False)],
    ids=["at once", "a week", "more than a week", "after the gift"],
)
def test_a_click_counts_for_a_week(session: Session, ago: timedelta, found: bool):
    click(session, letter(session), NOON - ago)
    told(session, hers())
    assert owed(session) == ([("click", 5)] if found else [])


def test_a_click_of_which_the_provider_tells_later_counts_all_the_same(session: Session):
    told(session, hers())
    early, late = letter(session, campaign=1), letter(session, campaign=2)
    click(session, early, NOON - DAY)
    assert owed(session) == [("click", 1)]
    click(session, late, NOON - HOUR)
    assert owed(session) == [("click", 2)]
    click(session, early, NOON - 2 * HOUR)
    assert owed(session) == [("click", 2)]


def test_a_machine_that_follows_every_link_is_owed_nothing(session: Session):
    sent = letter(session)
    click(session, sent, NOON - HOUR)
    told(session, hers())
    assert owed(session) == [("click", 5)]
    click(session, sent, NOON - HOUR + SECOND, url="https://example.org/other")
    assert owed(session) == []


def test_links_that_ask_for_nothing_lead_to_no_gift(session: Session):
    click(session, letter(session), NOON - HOUR, url=f"{SETTINGS.base_url}/u/token")
    click(session, letter(session), NOON - HOUR, url=f"{SETTINGS.base_url}/me/token")
    receipt = letter(session, kind="")
    session.execute(text("UPDATE message SET version_id = 0 WHERE id = :id"), {"id": receipt.message_id})
    click(session, receipt, NOON - HOUR)
    told(session, hers())
    assert owed(session) == []


def test_a_refcode_that_comes_later_takes_the_place_of_a_click_and_never_the_other_way_round(session: Session):
    code(session, "abc234xyz")
    sent = letter(session)
    click(session, sent, NOON - DAY)
    bare = hers(source="stripe", source_key="pi_1", payment_key="pi_1")
    told(session, bare)
    assert owed(session) == [("click", 5)]
    told(session, CheckoutReported(None, "stripe", "cs_1", NOON, ROSA, payment_key="pi_1", refcode="abc234xyz"))
    assert owed(session) == [("refcode", 9)]
    click(session, sent, NOON - HOUR)
    told(session, bare)
    assert owed(session) == [("refcode", 9)]


def test_a_payment_that_is_told_after_its_invoice_brings_its_refcode(session: Session):
    code(session, "abc234xyz")
    told(session, hers(source="stripe", source_key="in_1", payment_key="pi_1"))
    assert owed(session) == []
    store = "INSERT INTO inbound_event (source, key, lane, body) VALUES ('stripe', 'evt_1', 'intake', '') RETURNING id"
    cause = session.scalar(text(store))
    told(session, hers(cause=cause, source="stripe", source_key="pi_1", payment_key="pi_1", refcode="abc234xyz"))
    assert owed(session) == [("refcode", 9)]


def test_an_instalment_is_owed_by_its_refcode_alone(session: Session):
    code(session, "abc234xyz")
    click(session, letter(session), NOON - DAY)
    told(session, hers(recurring_period="monthly", sequence=2))
    told(session, hers(recurring_period="monthly", sequence=3, refcode="abc234xyz"))
    assert owed(session) == [("refcode", 9)]


def test_told_again_and_taken_back_it_stays_as_it_is(session: Session):
    click(session, letter(session), NOON - DAY)
    given = hers()
    told(session, given)
    before = session.execute(text("SELECT xmin, * FROM attribution")).one()
    told(session, given)
    take_back(session, before.contribution_id, 1_000)
    assert session.execute(text("SELECT xmin, * FROM attribution")).one() == before


def test_a_link_that_she_followed_under_another_address_counts_when_they_are_one(session: Session):
    click(session, letter(session), NOON - DAY)
    told(session, hers(donor=MEI))
    assert owed(session) == []
    rosa, mei = (who(session, each) for each in (ROSA, MEI))
    told(session, *merging.merge(session, mei, rosa, NOON))
    assert owed(session) == [("click", 5)]


def test_the_number_of_statements_does_not_grow_with_the_gifts(session: Session):
    def statements(many: int) -> int:
        seen: list[str] = []

        def note(_: object, __: object, statement: str, *___: object) -> None:
            seen.append(statement)

        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        told(session, *(hers() for _ in range(many)))
        event.remove(connection, "before_cursor_execute", note)
        return sum("attribution" in statement for statement in seen)

    assert statements(1) == statements(9) == 1


def test_where_we_are_decides_which_links_are_for_looking_after_letters(session: Session):
    elsewhere = Settings(base_url="https://give.example.org")
    told = letters.word(
        "click", letter(session), at=NOON - HOUR, url="https://give.example.org/u/token", email=ROSA.email
    )
    react(session, [told], NOON, elsewhere)
    react(session, [hers()], NOON, elsewhere)
    assert owed(session) == []
