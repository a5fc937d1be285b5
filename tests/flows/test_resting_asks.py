"""Asks that rest, at the last look: what waits, what is skipped and what leaves all the same."""

from datetime import datetime, timedelta

import pytest

from engine import bell
from engine.bootstrap import Deps
from tests.campaigns import ASK, NOW, enqueue, go, letter, people
from tests.flows.house import change, one, put, run_everything
from tests.make import actblue_body, line_item, raw
from tests.readers import Reader, reader
from workers import delivery

DAY = timedelta(days=1)


def rest(deps: Deps, contact_id: int, reason: str, until: datetime, since: datetime = NOW, fund: str = "NULL") -> None:
    change(deps, f"""INSERT INTO ask_rest (contact_id, fund_id, reason, since, until)
        VALUES (:id, {fund}, :reason, :since, :until)""", id=contact_id, reason=reason, since=since, until=until)  # fmt: skip


def ask(deps: Deps, expires: datetime | None = None) -> Reader:
    """Somebody whom a letter of the first fund's form asks."""
    (who,) = people(deps, 1)
    (message,) = enqueue(deps, letter(deps, markdown=ASK, kind="asks"), [who], expires=expires)
    return Reader(who, message, "")


def look(deps: Deps, who: Reader) -> tuple[str, str, datetime]:
    go(deps)
    return tuple(one(deps, f"SELECT state, reason, due_at FROM message WHERE id = {who.message_id}"))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("many", "several gifts in few days"),
        ("large", "a gift far above habit"),
        ("dispute", "a bank asks about a gift"),
    ],
)
def test_an_ask_to_somebody_whose_asks_rest_is_skipped_and_says_why(deps: Deps, reason: str, words: str):
    who = ask(deps)
    rest(deps, who.contact_id, reason, datetime(2027, 1, 4, 3, 0, tzinfo=NOW.tzinfo))  # there, the evening before
    assert look(deps, who)[:2] == ("skipped", f"asks rest until 3 January: {words}")
    assert deps.mailer.accepted == []


def test_the_longest_rest_is_told_before_any_grace(deps: Deps):
    who = ask(deps)
    rest(deps, who.contact_id, "many", NOW + DAY)
    rest(deps, who.contact_id, "dispute", NOW + 60 * DAY)
    rest(deps, who.contact_id, "clicked", NOW + DAY)
    assert look(deps, who)[:2] == ("skipped", "asks rest until 2 January: a bank asks about a gift")


def test_a_rest_for_another_fund_or_one_that_is_over_holds_nothing_back(deps: Deps):
    who = ask(deps)
    rest(deps, who.contact_id, "many", NOW)
    rest(deps, who.contact_id, "large", NOW + DAY, fund="(SELECT max(id) FROM fund)")
    assert look(deps, who)[0] == "handed"


def test_a_rest_for_the_letters_own_fund_holds_it_back(deps: Deps):
    who = ask(deps)
    rest(deps, who.contact_id, "many", NOW + DAY, fund="(SELECT min(id) FROM fund)")
    assert look(deps, who)[0] == "skipped"


@pytest.mark.parametrize("kind", ["news", "actions", "gatherings"])
def test_everything_but_asks_goes_on(deps: Deps, kind: str):
    who = reader(deps, kind=kind)
    for reason in ("many", "clicked"):
        rest(deps, who.contact_id, reason, NOW + DAY)
    assert look(deps, who)[0] == "handed"


def test_after_a_click_an_ask_waits_until_the_grace_is_over(deps: Deps):
    who = ask(deps)
    rest(deps, who.contact_id, "clicked", NOW + timedelta(minutes=50))
    reason = "rests after a click to ActBlue"
    assert look(deps, who) == ("ready", reason, NOW + timedelta(minutes=30))
    deps.clock.skip(timedelta(minutes=30))
    assert look(deps, who) == ("ready", reason, NOW + timedelta(minutes=50))
    deps.clock.skip(timedelta(minutes=20))
    assert look(deps, who)[0] == "handed"


def test_an_ask_whose_time_is_over_before_that_does_not_wait(deps: Deps):
    who = ask(deps, expires=NOW + timedelta(minutes=20))
    rest(deps, who.contact_id, "clicked", NOW + DAY)
    state, reason, _ = look(deps, who)
    assert (state, reason) == ("skipped", "rests after a click to ActBlue until after its time")


def test_whoever_gave_by_that_click_is_thanked_and_not_asked_and_who_did_not_is_asked_as_soon_as_that_is_known(
    deps: Deps,
):
    gave, did_not = ask(deps), ask(deps)
    for who in (gave, did_not):
        rest(deps, who.contact_id, "clicked", NOW + DAY)
    for who in (gave, did_not):
        assert look(deps, who)[0] == "ready"
    address = one(deps, f"SELECT email FROM contact WHERE id = {gave.contact_id}").email
    for email, paid in ((address, "2026-11-03T12:05:00+00:00"), ("mei@example.org", "2026-11-03T12:31:00+00:00")):
        put(deps, raw(actblue_body(donor={"email": email}, lineitems=[line_item(paidAt=paid)])))
    deps.clock.skip(timedelta(minutes=40))
    run_everything(deps)
    delivery.hand_over(deps, bell.DELIVERY)
    assert look(deps, gave)[0] == "cancelled"
    assert look(deps, did_not)[0] == "handed"
