"""The shipped sequences about gifts: the first one, a monthly one, one that failed, one that ended, one of long ago; and the
question that the law has us ask."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.outreach import sequences
from tests import make_stripe as make
from tests.flows.house import change, rows
from tests.supporters import Supporters, supporters

ROSA, INES = "rosa@example.org", "ines@example.org"
ACTION, PAC = 12345, 123456
NO_EMPLOYER: dict[str, Any] = {"employerData": None}
DONATE = ("secure.actblue.com", "/give/")  # what leads to a donation form


@pytest.fixture
def they(deps: Deps) -> Iterator[Supporters]:
    with supporters(deps) as people:
        yield people


def switched_on(they: Supporters, slug: str) -> None:
    """Staff let people into a sequence that comes switched off."""
    with they.deps.work() as (session, now):
        assert sequences.one(session, slug).paused_because.startswith("it asks for money, so it comes switched off")
        they.deps.react(session, list(sequences.resume(session, slug, now).happened), now)


def asks_for_nothing(text: str) -> bool:
    return not any(link in text for link in DONATE)


# The first gift.


def test_the_day_after_her_first_gift_her_chapter_thanks_her_and_asks_for_nothing(they: Supporters):
    they.gives(ROSA, 27)
    assert they.mail(ROSA) == ["Nov 3 07:00  Thank you for your $27 gift, Rosa"]
    they.wait(days=40)
    assert they.mail(ROSA) == ["Nov 4 10:00  Thank you once more, and what comes next"]
    thanks = they.letter(ROSA)
    assert thanks.from_name == "Common Ground Massachusetts, Worcester"
    assert "On November 3, 2026 you gave $27 to Common Ground Massachusetts Action, Inc." in " ".join(
        thanks.text.split()
    )
    assert asks_for_nothing(thanks.text + thanks.html)


def test_a_second_gift_is_no_first_one(they: Supporters):
    they.gives(ROSA, 27)
    they.wait(days=3)
    they.mail(ROSA)
    they.gives(ROSA, 50)
    they.wait(days=10)
    assert they.mail(ROSA) == ["Nov 6 07:00  Thank you for your $50 gift, Rosa"]


def test_a_gift_that_is_heard_of_late_or_that_somebody_else_receives_opens_nothing(they: Supporters):
    they.gives(ROSA, 27, entity=999)
    they.deps.clock.skip(timedelta(days=3))
    change(they.deps, "UPDATE inbound_event SET received_at = received_at")
    they.wait(days=10)
    assert they.mail(ROSA) == ["Nov 3 07:00  Thank you for your $27 gift, Rosa"]
    assert rows(they.deps, "SELECT 1 FROM enrollment") == []


# From a first gift to a monthly one.


def test_two_weeks_after_a_first_gift_she_is_invited_to_give_a_little_each_month_where_that_is_switched_on(
    they: Supporters,
):
    they.joins(INES)
    they.gives(INES, 40)
    they.wait(days=20)
    assert "A little, each month?" not in " ".join(they.mail(INES)), "it comes switched off"
    switched_on(they, "monthly-invitation")
    they.joins(ROSA, first_name="Rosa")
    they.gives(ROSA, 40)
    they.wait(days=13)
    they.mail(ROSA)
    they.wait(days=30)
    assert they.mail(ROSA) == ["Dec 7 10:00  A little, each month?"]
    invitation = they.letter(ROSA)
    assert "On November 23, 2026 you gave $40." in invitation.text
    assert (
        "Give $10 a month:\nhttps://secure.actblue.com/donate/common-ground?amount=10&recurring=1&refcode="
        in invitation.text
    )
    assert invitation.html.count("recurring=1") == 6, "five amounts, and another one"


def test_who_gives_each_month_by_then_is_not_invited(they: Supporters):
    switched_on(they, "monthly-invitation")
    they.joins(INES)
    they.gives(INES, 40)
    they.wait(days=5)
    they.stripe(*begins(they, INES))
    assert they.place(INES, "monthly-invitation") == ("left", "goal reached")
    they.wait(days=30)
    assert "A little, each month?" not in " ".join(they.mail(INES))


# Gifts of long ago.


def test_who_gave_long_ago_is_asked_reminded_once_and_left_alone(they: Supporters):
    switched_on(they, "lapsed")
    they.joins(INES)
    they.gives(INES, 50)
    they.wait(days=300)
    they.a_new_day()
    they.wait(days=110)
    they.mail(INES)
    they.a_new_day()
    they.wait(days=30)
    assert they.mail(INES) == ["Dec 19 10:00  Would you give again?", "Jan 2 10:00  Once more, and then we leave it"]
    assert "You last gave on November 3, 2026: $50." in they.letter(INES, "Would you").text
    for _ in range(3):
        they.a_new_day()
        they.wait(days=60)
    assert they.mail(INES) == ["Jan 18 10:00  Shall we go on writing to you?"], "not asked for money within the year"


def test_who_gives_after_the_first_letter_gets_no_second(they: Supporters):
    switched_on(they, "lapsed")
    they.joins(INES)
    they.gives(INES, 50)
    they.wait(days=410)
    they.a_new_day()
    they.wait(days=3)
    they.mail(INES)
    they.gives(INES, 75)
    assert they.place(INES, "lapsed") == ("left", "gave")
    they.wait(days=40)
    assert they.mail(INES) == ["Dec 21 07:00  Thank you for your $75 gift, Ines"]


# Monthly gifts at our own processor.


def begins(they: Supporters, email: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """She begins to give $10 a month by card."""
    second = int(they.now.timestamp())
    plan = make.key("sub")
    paid = make.invoice(customer_email=email, created=second, customer_name="Ines Okafor",
                        status_transitions={"finalized_at": second, "paid_at": second},
                        parent=of(plan), lines={"object": "list", "data": [line(plan)]})  # fmt: skip
    they.plan, they.began = plan, second
    return (
        ("customer.subscription.created", make.subscription(id=plan, created=second, start_date=second)),
        ("invoice.paid", paid),
    )


def of(plan: str) -> dict[str, Any]:
    details = {"subscription": plan, "metadata": make.METADATA}
    return {"type": "subscription_details", "subscription_details": details, "quote_details": None}


def line(plan: str) -> dict[str, Any]:
    details = {"subscription": plan, "subscription_item": make.key("si"), "proration": False}
    return make.line(parent={"type": "subscription_item_details", "subscription_item_details": details})


def fails(they: Supporters, email: str) -> tuple[str, dict[str, Any]]:
    """Her next payment does not go through."""
    second = int(they.now.timestamp())
    unpaid = make.invoice(customer_email=email, created=second, status="open", amount_paid=0,
                          billing_reason="subscription_cycle", status_transitions={"finalized_at": second, "paid_at": None},
                          parent=of(they.plan), lines={"object": "list", "data": [line(they.plan)]})  # fmt: skip
    return "invoice.payment_failed", unpaid


def is_paid(they: Supporters, email: str) -> tuple[str, dict[str, Any]]:
    second = int(they.now.timestamp())
    paid = make.invoice(customer_email=email, created=second, billing_reason="subscription_cycle",
                        status_transitions={"finalized_at": second, "paid_at": second},
                        parent=of(they.plan), lines={"object": "list", "data": [line(they.plan)]})  # fmt: skip
    return "invoice.paid", paid


def test_who_pays_by_card_is_told_when_a_payment_fails_and_once_more_a_week_later(they: Supporters):
    they.stripe(*begins(they, INES))
    they.wait(days=31)
    they.mail(INES)
    they.stripe(fails(they, INES))
    they.wait(days=1)
    assert they.mail(INES) == ["Dec 4 08:00  Your gift of $10 did not go through"]
    told = " ".join(they.letter(INES).text.split())
    assert "Your gift of $10 a month to Common Ground Massachusetts Action, Inc. did not go through this time." in told
    assert they.deps.settings.base_url + "/give/me" in told
    they.wait(days=40)
    assert they.mail(INES) == ["Dec 11 08:00  Your gift still waits for a card"]


def test_as_soon_as_it_is_paid_nothing_more_comes(they: Supporters):
    they.stripe(*begins(they, INES))
    they.wait(days=31)
    they.stripe(fails(they, INES))
    they.wait(days=2)
    they.mail(INES)
    they.stripe(is_paid(they, INES))
    they.wait(days=30)
    assert they.mail(INES) == ["Dec 6 07:00  Your receipt: $10 on December 6, 2026"]


def test_a_payment_that_goes_through_before_she_wakes_makes_the_letter_needless(they: Supporters):
    they.stripe(*begins(they, INES))
    they.wait(days=31)
    they.mail(INES)
    they.stripe(fails(they, INES))
    they.stripe(is_paid(they, INES))
    they.wait(days=30)
    assert they.mail(INES) == ["Dec 4 07:00  Your receipt: $10 on December 4, 2026"]
    assert ("cancelled", "goal reached") in they.unsent(INES)


def ends(they: Supporters, reason: str = "cancellation_requested") -> tuple[str, dict[str, Any]]:
    second = int(they.now.timestamp())
    details = {"comment": None, "feedback": None, "reason": reason}
    return "customer.subscription.deleted", make.subscription(
        id=they.plan,
        start_date=they.began,
        status="canceled",
        canceled_at=second,
        ended_at=second,
        cancellation_details=details,
    )


def test_who_ends_her_monthly_gift_gets_that_confirmed_with_thanks_and_without_a_plea(they: Supporters):
    they.stripe(*begins(they, INES))
    they.wait(days=31, hours=16)
    they.mail(INES)
    they.stripe(ends(they))
    assert they.mail(INES) == ["Dec 4 23:00  Your gift of $10 a month has ended"], "at once, at night, too"
    ended = they.letter(INES)
    assert "Since       November 3, 2026" in ended.text
    assert "Ended on    December 4, 2026" in ended.text
    assert asks_for_nothing(ended.text.replace("/give/me", ""))
    for plea in ("instead", "sure", "reconsider", "miss you", "come back", "less"):
        assert plea not in ended.text.replace("unless", "").lower()
    they.wait(days=60)
    assert they.mail(INES) == []


def test_an_end_that_was_not_her_own_is_not_told_as_one(they: Supporters):
    they.stripe(*begins(they, INES))
    they.wait(days=31)
    they.mail(INES)
    they.stripe(ends(they, "payment_failed"))
    they.wait(days=5)
    assert they.mail(INES) == []


# Where she works.


def test_who_gave_as_much_is_asked_the_day_after_where_she_works_and_for_nothing_else(they: Supporters):
    they.gives(ROSA, 150, entity=PAC, donor=NO_EMPLOYER)
    they.wait(days=4)
    assert "A question that the law has us ask you" not in " ".join(they.mail(ROSA))
    they.gives(ROSA, 70, entity=PAC, donor=NO_EMPLOYER)
    they.wait(days=60)
    assert they.mail(ROSA) == [
        "Nov 7 07:00  Thank you for your $70 gift, Rosa", "Nov 8 10:00  A question that the law has us ask you",
    ]  # fmt: skip
    question = they.letter(ROSA)
    said = " ".join(question.text.split())
    assert "In 2026 you have given $220 to Common Ground Massachusetts PAC." in said
    assert "We need it by December 7, 2026." in said
    assert asks_for_nothing(question.text + question.html)
    they.gives(ROSA, 50, entity=PAC, donor=NO_EMPLOYER)
    they.wait(days=5)
    assert they.mail(ROSA) == ["Jan 6 07:00  Thank you for your $50 gift, Rosa"], "her next gift asks nothing anew"


def test_neither_unsubscribing_from_news_nor_caps_keep_the_question_back(they: Supporters):
    change(they.deps, "UPDATE fund SET employer_cents = 10000 WHERE slug = 'pac'")
    they.gives(ROSA, 250, entity=PAC, donor=NO_EMPLOYER)
    change(they.deps, "UPDATE consent SET given = false")
    they.wait(days=2)
    assert they.mail(ROSA)[-1] == "Nov 4 10:00  A question that the law has us ask you"


def test_who_said_it_is_not_asked_even_when_her_words_come_after_her_money(they: Supporters):
    they.gives(INES, 250, entity=PAC)
    they.gives(ROSA, 250, entity=PAC, donor=NO_EMPLOYER)
    change(they.deps, """UPDATE contribution SET donor = donor || '{"employer": "City Library", "occupation": "Librarian"}'
        WHERE contact_id = (SELECT id FROM contact WHERE email = :email)""", email=ROSA)  # fmt: skip
    they.wait(days=10)
    for email in (INES, ROSA):
        assert "A question that the law has us ask you" not in " ".join(they.mail(email))
    assert they.place(ROSA, "employer-question") == ("left", "goal reached")


def test_a_fund_that_need_not_know_it_does_not_ask(they: Supporters):
    they.gives(ROSA, 900, entity=ACTION, donor=NO_EMPLOYER)
    they.wait(days=10)
    assert "A question that the law has us ask you" not in " ".join(they.mail(ROSA))
