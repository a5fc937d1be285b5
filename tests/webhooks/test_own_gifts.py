"""`/give/me/{token}`: a monthly donor's own page. What is pressed there is done once, to one's own."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.events import PlanEndReported
from engine.people import erasing, merging
from tests.asgi import Client
from tests.fakes import FakeLimiter
from tests.flows.house import one, rows
from tests.givers import FORM, LAST, SAME_SITE, STAMP, Giver, giver, page_of, plan, post, press, stamp, told
from tests.payments import PORTAL, FakePayments
from tests.webhooks.joining import said
from webhooks.app import build


@pytest.fixture(scope="module")
def stripe() -> FakePayments:
    return FakePayments()


@pytest.fixture(scope="module")
def open_house(house: Deps, stripe: FakePayments) -> Deps:
    return replace(house, payments=stripe)


@pytest.fixture(scope="module")
def door(open_house: Deps) -> Iterator[Client]:
    with Client(build(open_house)) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh(house: Deps, stripe: FakePayments) -> None:
    house.limiter.counts.clear()
    house.limiter.away = False
    stripe.done.clear()
    stripe.asked.clear()
    stripe.fault = None


# Her page.


def test_her_page_tells_her_plans_and_names_nobody(door: Client, open_house: Deps):
    her = giver(open_house)
    giver(open_house, "actblue", her.email, 500)
    giver(open_house, email=her.email, cents=2700, paused=True, paused_until=datetime(2027, 1, 2, 17, tzinfo=UTC))
    answer = door.send("GET", page_of(open_house, her))
    shown = said(answer)
    for words in ("$10 a month", "For Stand with your neighbors", "To Common Ground Massachusetts Action, Inc.",
                  "Since August 2, 2026", "Last paid November 2, 2026", "Next December 2, 2026", "$5 a month",
                  "ActBlue keeps this one", "$27 a month paused", "Paused until January 2, 2027"):  # fmt: skip
        assert words in shown
    assert her.email not in answer.body.decode()
    assert "Rosa" not in shown
    assert "https://billing.stripe.com" in answer.headers["content-security-policy"]


def test_the_language_of_the_address_is_kept_by_all_that_she_presses(door: Client, open_house: Deps):
    her = giver(open_house)
    path = f"{page_of(open_house, her)}?lang=es"
    shown = door.send("GET", path).body.decode()
    places = re.findall(r'(?:action|class="button plain" href)="([^"]+)"', shown)
    assert len(places) == 4
    assert all(place.endswith("?lang=es") for place in places)
    answer = post(door, path, stamp=stamp(door, path), plan=her.plan_id, act="pause", months=1)
    assert answer.headers["location"] == path.replace("?lang=es", "?asked=pause&lang=es")
    ending = said(door.send("GET", places[-1]))
    assert "Volver a tus donativos mensuales" in ending
    assert f'href="{path}"' in door.last.body.decode()
    assert "Para Common Ground Massachusetts Action, Inc." in said(door.send("GET", path))
    assert "Motivo Al lado de tu vecindario" in said(door.last)
    asking = door.send("GET", "/give/me?lang=es").body.decode()
    assert 'action="/give/me?lang=es"' in asking
    sent = post(door, "/give/me?lang=es", stamp=stamp(door, "/give/me?lang=es"), email=her.email)
    assert "Mira tu correo" in said(sent)
    assert 'href="/give/me?lang=es"' in sent.body.decode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(door: Client, open_house: Deps, stripe: FakePayments, method: str):
    her = giver(open_house)
    path = page_of(open_house, her)
    before = rows(open_house, "SELECT xmin, id FROM recurring_plan UNION ALL SELECT xmin, id FROM message ORDER BY 2")
    for place in ("/give/me", path, f"{path}/end/{her.plan_id}", f"{path}?act=cancel&plan={her.plan_id}"):
        assert door.send(method, place).status == 200
    after = rows(open_house, "SELECT xmin, id FROM recurring_plan UNION ALL SELECT xmin, id FROM message ORDER BY 2")
    assert (before, stripe.asked) == (after, [])


def test_a_link_ends_after_a_day_and_asks_for_a_fresh_one(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    path = page_of(open_house, her)
    mark = stamp(door, path)
    open_house.clock.skip(timedelta(days=1))
    assert door.send("GET", path).status == 200
    open_house.clock.skip(timedelta(seconds=1))
    for answer in (door.send("GET", path), door.send("GET", f"{path}/end/{her.plan_id}"),
                   post(door, path, stamp=mark, plan=her.plan_id, act="cancel")):  # fmt: skip
        assert answer.status == 410
        assert "Ask for a fresh one here" in said(answer)
    assert stripe.asked == []


def test_a_link_that_is_none_altered_or_made_for_something_else_is_no_page(open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    token = page_of(open_house, her).rpartition("/")[2]
    moment = int(open_house.clock.now.timestamp())
    sign = open_house.signer.sign
    with Client(build(replace(open_house, limiter=FakeLimiter()))) as door:
        for strange in (token[:-1] + "_", token[:-4], "A" * 600, "x", sign("preferences", her.contact_id, moment),
                        sign("sign-in", her.contact_id), sign("giving", str(her.contact_id), moment),
                        sign("giving", 10**9, moment), sign("giving", her.contact_id)):  # fmt: skip
            answer = post(door, f"/give/me/{strange}", plan=her.plan_id, act="cancel")
            assert (strange, door.send("GET", f"/give/me/{strange}").status, answer.status) == (strange, 404, 404)
    assert stripe.asked == []


def test_of_one_who_was_merged_it_is_the_page_of_whom_she_is_now_and_of_one_who_was_erased_none(
    door: Client, open_house: Deps
):
    her, other = giver(open_house), giver(open_house, cents=2700)
    path = page_of(open_house, her)
    with open_house.work() as (session, now):
        open_house.react(session, merging.merge(session, her.contact_id, other.contact_id, now), now)
    shown = said(door.send("GET", path))
    assert "$10 a month" in shown
    assert "$27 a month" in shown
    post(door, "/give/me", stamp=stamp(door, "/give/me"), email=her.email)
    letters = rows(
        open_house, f"SELECT FROM message WHERE occasion LIKE 'giving:%' AND contact_id = {other.contact_id}"
    )
    assert len(letters) == 1
    with open_house.work() as (session, now):
        open_house.react(session, erasing.erase(session, her.contact_id, open_house.signer, now), now)
    assert door.send("GET", path).status == 404


# What she can do.


def test_each_button_asks_the_processor_and_nothing_changes_here_until_it_says_so(
    door: Client, open_house: Deps, stripe: FakePayments
):
    her = giver(open_house)
    path = page_of(open_house, her)
    for act, fields in (("amount", {"amount": 1500}), ("amount", {"amount": "other", "other": " $1,035.50 "}),
                        ("pause", {"months": 2}), ("resume", {}), ("cancel", {})):  # fmt: skip
        answer = press(door, path, her, act, **fields)
        assert (answer.status, answer.headers["location"]) == (303, f"{path}?asked={act}")
    until = open_house.clock.now.replace(year=2027, month=1)
    assert [asked[:3] for asked in stripe.asked] == [
        ("change", her.plan_key, 1500), ("change", her.plan_key, 103_550), ("pause", her.plan_key, until),
        ("pause", her.plan_key, None), ("cancel", her.plan_key, ""),
    ]  # fmt: skip
    assert "$10 a month" in said(door.send("GET", path))
    told(open_house, plan(her.plan_key, 3550, LAST + timedelta(days=1)))
    assert "$35.50 a month" in said(door.send("GET", path))
    told(open_house, PlanEndReported(None, "stripe", her.plan_key, LAST + timedelta(hours=16), "donor"))
    shown = said(door.send("GET", path))
    assert "$35.50 a month ended" in shown
    assert "Nothing more is taken for it." in shown
    assert press_late(door, path, her) == 303
    assert len(stripe.asked) == 5


def press_late(door: Client, path: str, who: Giver) -> int:
    """A press on a plan that is over."""
    return post(door, path, stamp="x", plan=who.plan_id, act="cancel").status


def test_the_card_is_changed_on_the_processors_own_page(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    path = page_of(open_house, her)
    answer = press(door, path, her, "card")
    assert (answer.status, answer.headers["location"]) == (303, PORTAL)
    assert stripe.asked == [("portal", her.plan_key, f"{open_house.settings.base_url}{path}", "")]


def test_ending_takes_two_clicks_and_no_plea(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    path = page_of(open_house, her)
    first = door.send("GET", path).body.decode()
    assert 'value="cancel"' not in first
    (link,) = re.findall(r'href="([^"]+/end/\d+)"', first)
    second = door.send("GET", link)
    assert second.body.decode().count("<button") == 1
    shown = said(second).lower()
    for plea in ("sure", "sorry", "instead", "stay with", "pause", "smaller", "$5 "):
        assert plea not in shown
    assert "End $10 a month" in said(second)
    mark = STAMP.search(second.body.decode())
    assert mark
    assert post(door, path, stamp=unescape(mark[1]), plan=her.plan_id, act="cancel").status == 303
    assert stripe.asked == [("cancel", her.plan_key, "")]


def test_pressed_twice_it_is_one_act(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    path = page_of(open_house, her)
    for act, fields in (("amount", {"amount": 500}), ("pause", {"months": 1}), ("cancel", {})):
        fields |= {"stamp": stamp(door, path), "plan": her.plan_id, "act": act}
        first = post(door, path, **fields)
        open_house.clock.skip(timedelta(seconds=2))
        assert (first.status, post(door, path, **fields).status) == (303, 303)
    assert len(stripe.asked) == 6
    assert len(stripe.done) == 3


def test_from_one_page_she_can_go_back_to_an_amount_she_chose_before(
    door: Client, open_house: Deps, stripe: FakePayments
):
    her = giver(open_house)
    path = page_of(open_house, her)
    mark = stamp(door, path)
    for cents in (500, 1500, 500):
        answer = post(door, path, stamp=mark, plan=her.plan_id, act="amount", amount=cents)
        assert answer.status == 303
    assert [told[2] for told in stripe.done.values()] == [500, 1500, 500]


def test_another_persons_plan_in_the_form_is_no_plan(door: Client, open_house: Deps, stripe: FakePayments):
    her, other = giver(open_house), giver(open_house)
    path = page_of(open_house, her)
    mark = stamp(door, path)
    for number in (other.plan_id, 0, "x", "9" * 30, ""):
        for act in ("cancel", "amount", "card"):
            assert post(door, path, stamp=mark, plan=number, act=act, amount=500).status == 404
    assert door.send("GET", f"{path}/end/{other.plan_id}").status == 404
    assert stripe.asked == []


@pytest.mark.parametrize(
    ("chosen", "typed", "why"),
    [("", "", "Please choose an amount."), ("1501", "", "Please choose an amount."), ("other", "", "amount in dollars"),
     ("other", "0", "The least that can be given here is $5."), ("other", "4.99", "The least"), ("other", "-5", "in dollars"),
     ("other", "4.999", "in dollars"), ("other", "1,00", "in dollars"), ("other", "1e3", "in dollars"),
     ("other", "NaN", "in dollars"), ("other", "\uff11\uff10", "in dollars"), ("other", "10,00", "in dollars"),
     ("other", "9" * 12, "in dollars"), ("other", "9999999.00", "The most")],
)  # fmt: skip
def test_an_amount_is_read_strictly_and_what_was_typed_is_kept(
    door: Client, open_house: Deps, stripe: FakePayments, chosen: str, typed: str, why: str
):
    her = giver(open_house)
    answer = press(door, page_of(open_house, her), her, "amount", amount=chosen, other=typed)
    assert answer.status == 422
    assert why in said(answer)
    assert f'name="other" value="{typed}"' in unescape(answer.body.decode())
    assert stripe.asked == []


def test_what_no_button_says_is_refused(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house)
    path = page_of(open_house, her)
    assert press(door, path, her, "refund").status == 422
    assert press(door, path, her, "").status == 422
    assert press(door, path, her, "pause", months=4).status == 422
    twice = f"stamp=x&plan={her.plan_id}&act=cancel&act=cancel".encode()
    assert door.send("POST", path, [FORM, SAME_SITE], twice).status == 422
    assert stripe.asked == []


def test_a_form_of_another_link_or_of_long_ago_is_pressed_once_more_with_all_that_was_chosen(
    door: Client, open_house: Deps, stripe: FakePayments
):
    her, other = giver(open_house), giver(open_house)
    path, theirs = page_of(open_house, her), page_of(open_house, other)
    old = stamp(door, path)
    open_house.clock.skip(timedelta(hours=2, seconds=1))
    for mark in (old, stamp(door, theirs), "", stamp(door, "/give/me")):
        answer = post(door, path, stamp=mark, plan=her.plan_id, act="amount", amount="other", other="42")
        assert answer.status == 403
        assert "Please press once more" in said(answer)
        assert 'value="42"' in answer.body.decode()
    assert post(door, path, ("sec-fetch-site", "cross-site"), plan=her.plan_id, act="cancel").status == 403
    assert stripe.asked == []


def test_while_the_processor_is_away_nothing_is_lost_and_the_same_press_is_the_same_act(
    door: Client, open_house: Deps, stripe: FakePayments
):
    her = giver(open_house)
    path = page_of(open_house, her)
    stripe.fault = Unavailable("no answer")
    answer = press(door, path, her, "amount", amount="other", other="42")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert 'value="42"' in answer.body.decode()
    mark = STAMP.search(answer.body.decode())
    assert mark
    stripe.fault = None
    again = post(door, path, stamp=unescape(mark[1]), plan=her.plan_id, act="amount", amount="other", other="42")
    assert again.status == 303
    assert len(stripe.done) == 1


@pytest.mark.parametrize("fault", [Invalid("no such price"), NotFound("no such plan"), Forbidden("this key may not")])
def test_what_the_processor_refuses_is_said_to_her_and_to_staff(
    door: Client, open_house: Deps, stripe: FakePayments, fault: Any
):
    her = giver(open_house)
    stripe.fault = fault
    answer = press(door, page_of(open_house, her), her, "cancel")
    assert answer.status == 503
    assert "Nothing has changed, and we have been told." in said(answer)
    assert str(fault) not in said(answer)
    notice = one(open_house, f"SELECT kind, detail FROM notice WHERE subject = 'plan {her.plan_id}'")
    assert tuple(notice) == ("a change of a plan refused", f"cancel: {fault}")


def test_too_many_changes_wait_and_without_counting_there_are_none(
    door: Client, open_house: Deps, stripe: FakePayments
):
    her = giver(open_house)
    path = page_of(open_house, her)
    mark = stamp(door, path)
    terms = {"stamp": mark, "plan": her.plan_id, "act": "resume"}
    assert [post(door, path, **terms).status for _ in range(21)] == [303] * 20 + [429]
    open_house.limiter.counts.clear()
    open_house.limiter.away = True
    assert post(door, path, **terms).status == 503
    assert len(stripe.asked) == 20


def test_without_a_key_of_stripes_the_page_says_who_does_it_instead(house: Deps):
    her = giver(house)
    path = page_of(house, her)
    with Client(build(house)) as door:
        shown = door.send("GET", path)
        assert "Answer any letter of ours, and a person does it for you." in said(shown)
        assert "<button" not in shown.body.decode()
        ending = door.send("GET", f"{path}/end/{her.plan_id}")
        assert "<button" not in ending.body.decode()
        mark = STAMP.search(ending.body.decode())
        assert mark is None


def test_a_plan_at_actblue_is_never_asked_of_stripe(door: Client, open_house: Deps, stripe: FakePayments):
    her = giver(open_house, "actblue")
    path = page_of(open_house, her)
    shown = door.send("GET", path).body.decode()
    assert "https://secure.actblue.com/signin" in shown
    assert "<button" not in shown
    for act in ("cancel", "amount", "card", "pause"):
        assert post(door, path, stamp="x", plan=her.plan_id, act=act, amount=500, months=1).status == 303
    assert door.send("GET", f"{path}/end/{her.plan_id}").status == 303
    assert stripe.asked == []


def test_a_plan_is_asked_about_in_the_account_it_lives_in_whatever_became_of_its_fund(
    door: Client, open_house: Deps, stripe: FakePayments
):
    ours, theirs = giver(open_house), giver(open_house, account="acct_1")
    with transaction(open_house.sessions) as session:
        session.execute(text("UPDATE fund SET stripe_account = 'acct_new'"))
    try:
        for her in (ours, theirs):
            press(door, page_of(open_house, her), her, "cancel")
    finally:
        with transaction(open_house.sessions) as session:
            session.execute(text("UPDATE fund SET stripe_account = ''"))
    assert stripe.asked == [("cancel", ours.plan_key, ""), ("cancel", theirs.plan_key, "acct_1")]
