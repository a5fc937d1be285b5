"""ActBlue's refunds, cancellations and recurring gifts, field by field, and what happens when URL and body disagree."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from engine.errors import Invalid
from engine.events import ContributionReported, PlanEndReported, PlanReported, RefundReported
from engine.sources import parse
from engine.sources.words import Ignored
from tests.make import actblue_body, arrived, line_item, payload, raw

SUMMER, WINTER = timezone(timedelta(hours=-4)), timezone(timedelta(hours=-5))
AT = "2026-11-09T10:00:00-05:00"
THEN = datetime(2026, 11, 9, 15, tzinfo=UTC)
URLS = ("", "contribution", "refund", "cancellation")


def told(body: Any, kind: str = "") -> list[Any]:
    found = parse(arrived(body, kind=kind))
    assert not isinstance(found, Ignored)
    return list(found)


def refused(body: Any, kind: str = "") -> str:
    with pytest.raises(Invalid) as raised:
        parse(arrived(body, kind=kind))
    return str(raised.value)


@pytest.mark.parametrize("kind", ["", "refund", "contribution"])
def test_a_refund_is_read_field_by_field_and_books_no_gift(kind: str):
    assert told(payload("actblue/refund.json"), kind) == [
        RefundReported(
            cause=17, source="actblue", source_key="AB690000101/690000201", amount_cents=5000,
            refunded_at=datetime(2019, 6, 12, 10, tzinfo=SUMMER), state="succeeded", currency="usd",
            payment_key="AB690000101/690000201", charge_key="",
        )
    ]  # fmt: skip


def test_a_refund_told_below_zero_and_on_the_order_is_the_same_refund():
    (refund,) = told(payload("actblue/refund_negative.json"))
    assert (refund.source_key, refund.payment_key) == ("AB690000110/690000210", "AB690000110/690000210")
    assert (refund.amount_cents, refund.refunded_at) == (2750, datetime(2026, 10, 22, 9, 15, 30, tzinfo=SUMMER))


def test_of_an_order_refunded_in_part_only_the_line_items_that_say_so_are_refunded():
    (refund,) = told(payload("actblue/refund_of_a_part.json"))
    assert (refund.payment_key, refund.amount_cents) == ("AB690000102/690000203", 1000)


def test_of_an_order_that_is_refunded_as_a_whole_every_line_item_is_refunded():
    body = payload("actblue/two_line_items.json").replace(
        b'"status"', b'"refundedAt": "2018-02-01T08:00:00-05:00", "status"'
    )
    assert [(e.payment_key, e.amount_cents) for e in told(body)] == [
        ("AB690000102/690000202", 100_000), ("AB690000102/690000203", 1000)
    ]  # fmt: skip


def test_a_refund_points_at_the_payment_that_its_gift_was_booked_with():
    (gift,) = told(payload("actblue/older_shape.json"))
    (refund,) = told(payload("actblue/refund.json"))
    assert refund.payment_key == gift.payment_key


@pytest.mark.parametrize(
    ("literal", "cents"),
    [('"5.0"', 500), ('"-5.00"', 500), ("-5", 500), ("-5.25", 525), ('" -5.00 "', 500), ("5", 500)],
)
def test_the_amount_of_a_refund_may_stand_below_zero(literal: str, cents: int):
    body = raw(actblue_body(lineitems=[line_item(amount="@", refundedAt=AT)])).replace(b'"@"', literal.encode())
    assert [event.amount_cents for event in told(body)] == [cents]


@pytest.mark.parametrize(
    "literal", ['"--5.00"', '"-0"', '"- 5"', '"+5"', '"-1e3"', '"-5.001"', '"-"', "null", "true", "[]"]
)
def test_any_other_amount_of_a_refund_is_put_aside(literal: str):
    body = raw(actblue_body(lineitems=[line_item(amount="@", refundedAt=AT)])).replace(b'"@"', literal.encode())
    assert refused(body) == "not understood: lineitems.0.amount"


def test_the_amount_of_a_gift_may_not_stand_below_zero():
    assert refused(actblue_body(lineitems=[line_item(amount="-5.00")])) == "not understood: lineitems.0.amount"


@pytest.mark.parametrize("moment", ["2026-11-09", "2026-11-09T10:00:00", "yesterday", "9999-01-01T00:00:00Z", 5])
def test_a_refund_or_an_end_whose_date_cannot_be_read_is_put_aside(moment: object):
    assert refused(actblue_body(lineitems=[line_item(refundedAt=moment)])) == "not understood: lineitems.0.refundedAt"
    whole = actblue_body(contribution={"refundedAt": moment})
    assert refused(whole) == "not understood: contribution.refundedAt"
    ended = actblue_body(contribution={"cancelledAt": moment})
    assert refused(ended) == "not understood: contribution.cancelledAt"


ENDS = {
    "cancellation": ("AB690000103", datetime(2026, 11, 20, 12, tzinfo=WINTER), "donor", "I changed jobs"),
    "cancellation_lapsed": ("AB690000111", datetime(2026, 11, 9, 3, tzinfo=WINTER), "lapsed", ""),
    "cancellation_other": ("AB690000112", datetime(2026, 6, 30, 23, 59, 59, tzinfo=SUMMER), "other", ""),
}


@pytest.mark.parametrize("kind", ["", "cancellation", "contribution"])
@pytest.mark.parametrize("name", ENDS)
def test_a_cancellation_is_read_field_by_field_and_books_no_gift(name: str, kind: str):
    order, ended_at, by, reason = ENDS[name]
    assert told(payload(f"actblue/{name}.json"), kind) == [PlanEndReported(17, "actblue", order, ended_at, by, reason)]


@pytest.mark.parametrize(
    ("said", "by"),
    [("Active", "donor"), ("ACTIVE", "donor"), ("Lapsed", "lapsed"), ("lapsed", "lapsed"), ("Other", "other"),
     (None, "other"), ("", "other"), ("a new word", "other"), ({}, "other"), (1, "other")],
)  # fmt: skip
def test_who_ended_a_plan_is_the_donor_or_her_card_or_another(said: object, by: str):
    (end,) = told(actblue_body(contribution={"cancelledAt": AT, "cancellationType": said}))
    assert end.ended_by == by


@pytest.mark.parametrize("items", [[], None, [{"cancelledAt": None}], [line_item(amount="nothing", paidAt="never")]])
def test_a_cancellation_needs_no_line_items(items: object):
    (end,) = told(actblue_body(contribution={"cancelledAt": AT}) | {"lineitems": items})
    assert end.ended_at == THEN


def test_a_cancellation_told_on_a_line_item_is_one():
    (end,) = told(actblue_body(lineitems=[line_item(), line_item(cancelledAt=AT)]))
    assert (type(end), end.ended_at) == (PlanEndReported, THEN)


@pytest.mark.parametrize("order", [None, "", [], True, "A" * 65])
def test_a_cancellation_without_the_order_that_it_ends_is_put_aside(order: object):
    body = actblue_body(contribution={"cancelledAt": AT, "orderNumber": order})
    assert refused(body) == "not understood: contribution.orderNumber"


def test_a_gift_of_an_order_number_longer_than_an_index_entry_is_put_aside():
    assert refused(actblue_body(contribution={"orderNumber": "A" * 65})) == "not understood: contribution.orderNumber"


DISAGREEMENTS = {
    "a refund that is cancelled, too": (
        {"refundedAt": AT, "cancelledAt": AT},
        {"": PlanEndReported, "contribution": PlanEndReported, "refund": RefundReported, "cancellation": PlanEndReported},
    ),
    "a refund": ({"refundedAt": AT}, dict.fromkeys(URLS, RefundReported)),
    "a cancellation": ({"cancelledAt": AT}, dict.fromkeys(URLS, PlanEndReported)),
    "a declined gift that was cancelled": ({"cancelledAt": AT, "status": "declined"}, dict.fromkeys(URLS, PlanEndReported)),
    "a gift": (
        {},
        {"": ContributionReported, "contribution": ContributionReported,
         "refund": "a refund that does not say when: refundedAt",
         "cancellation": "a cancellation that does not say when: cancelledAt"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_the_url_wins_where_the_body_can_be_of_its_kind_and_a_refund_is_never_a_gift(name: str, kind: str):
    contribution, expected = DISAGREEMENTS[name]
    body = actblue_body(contribution=contribution)
    found = expected[kind]
    if isinstance(found, str):
        assert refused(body, kind) == found
    else:
        assert [type(event) for event in told(body, kind)] == [found]


def test_a_declined_gift_is_no_money_with_whatever_it_brings():
    assert parse(arrived(payload("actblue/declined.json"))) == Ignored("status is not approved: no money moved")


def test_a_gift_by_paypal_has_no_card_and_is_a_gift():
    (gift,) = told(payload("actblue/paypal.json"))
    assert (gift.source_key, gift.amount_cents, gift.plan_key) == ("690000217", 1800, "")


def test_a_weekly_gift_is_a_gift_and_a_plan():
    gift, plan = told(payload("actblue/weekly_with_sunset.json"))
    assert (gift.source_key, gift.amount_cents, gift.recurring_period) == ("690000211", 500, "weekly")
    assert (gift.sequence, gift.plan_key, gift.payment_key) == (0, "AB690000111", "AB690000111/690000211")
    assert plan == PlanReported(
        cause=17, source="actblue", source_key="AB690000111", amount_cents=500, period="weekly",
        started_at=datetime(2026, 5, 3, 18, 20, tzinfo=SUMMER), told_at=datetime(2026, 5, 3, 18, 20, 4, tzinfo=SUMMER),
        entity_id=12345, currency="usd", paused=False,
    )  # fmt: skip


def test_a_third_instalment_tells_the_amount_that_recurs_and_when_the_series_began():
    gift, plan = told(payload("actblue/third_instalment.json"))
    assert (gift.amount_cents, gift.sequence, gift.plan_key) == (3000, 2, "AB690000113")
    assert (plan.amount_cents, plan.period, plan.entity_id) == (2500, "monthly", 123456)
    assert plan.started_at == datetime(2026, 9, 14, 7, 30, tzinfo=SUMMER)
    assert plan.told_at == gift.paid_at == datetime(2026, 11, 14, 7, 30, 9, tzinfo=WINTER)


@pytest.mark.parametrize(
    ("said", "recurs"),
    [({"recurringPeriod": "monthly", "recurringDuration": "infinite"}, True),
     ({"recurringPeriod": "monthly", "recurringDuration": 12}, True),
     ({"recurringPeriod": "monthly", "recurringDuration": "-1"}, True),
     ({"recurringPeriod": "MONTHLY", "recurringDuration": None, "isRecurring": "true"}, True),
     ({"recurringPeriod": "weekly", "recurringDuration": "", "isRecurring": None}, True),
     ({"recurringPeriod": "weekly", "recurringDuration": None, "isRecurring": "false"}, False),
     ({"recurringPeriod": "weekly", "recurringDuration": None, "isRecurring": False}, False),
     ({"recurringPeriod": "monthly", "recurringDuration": 1}, False),
     ({"recurringPeriod": "monthly", "recurringDuration": "1", "isRecurring": True}, False),
     ({"recurringPeriod": "once", "recurringDuration": 1, "isRecurring": True}, False),
     ({"recurringPeriod": "once", "recurringDuration": "infinite"}, False),
     ({"recurringPeriod": "", "recurringDuration": 5}, False)],
)  # fmt: skip
@pytest.mark.parametrize("sequence", [0, 1])
def test_a_gift_recurs_by_its_period_and_duration_whatever_its_sequence(
    said: dict[str, Any], recurs: bool, sequence: int
):
    body = actblue_body(contribution=said, lineitems=[line_item(sequence=sequence)])
    gift, *plans = told(body)
    assert gift.plan_key == (body["contribution"]["orderNumber"] if recurs else "")
    assert [plan.source_key for plan in plans] == ([gift.order_number] if recurs else [])


@pytest.mark.parametrize("amount", [None, "", "0", "0.00", "x", "-5", {}, [1]])
def test_a_plan_without_a_readable_amount_of_its_own_has_the_gifts(amount: object):
    monthly = {"recurringPeriod": "monthly", "recurringDuration": "infinite"}
    _, plan = told(actblue_body(contribution=monthly, lineitems=[line_item(recurringAmount=amount)]))
    assert plan.amount_cents == 2700


@pytest.mark.parametrize("moment", [None, "", "2026-11-02", "never", 7, [], "0001-01-01T00:00:00Z"])
def test_a_plan_without_a_readable_start_began_with_the_payment(moment: object):
    gift, plan = told(
        actblue_body(contribution={"recurringPeriod": "weekly", "recurringDuration": 8, "createdAt": moment})
    )
    assert plan.started_at == gift.paid_at


def test_one_order_for_two_entities_is_two_gifts_and_a_plan_for_each():
    items = [line_item(entityId=12345, amount="10.0"), line_item(entityId="123456", amount="5.0")]
    found = told(
        actblue_body(contribution={"recurringPeriod": "monthly", "recurringDuration": "infinite"}, lineitems=items)
    )
    assert [type(event) for event in found] == [ContributionReported] * 2 + [PlanReported] * 2
    assert [(plan.entity_id, plan.amount_cents) for plan in found[2:]] == [(12345, 1000), (123456, 500)]
    assert len({event.plan_key for event in found[:2]} | {plan.source_key for plan in found[2:]}) == 1


SECRETS = ("secret-token", "02/2029", "rosa", "delgado", "5085550123")


@pytest.mark.parametrize("kind", URLS)
def test_no_error_repeats_what_was_sent(kind: str):
    for change in ({"refundedAt": "secret-token"}, {"cancelledAt": "rosa"}, {"orderNumber": "delgado" * 20}):
        for items in ([line_item(lineitemId="secret-token" * 9)], [line_item(amount="rosa", refundedAt="delgado")]):
            said = refused(actblue_body(contribution=change, lineitems=items), kind)
            assert [word for word in SECRETS if word in said.lower()] == []
