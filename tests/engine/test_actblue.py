"""ActBlue's bodies, field by field, without a database: bytes in, events out."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.events import ContributionReported, Person, PlanReported
from engine.sources import actblue, parse
from engine.sources.words import Ignored
from tests.make import actblue_body, arrived, line_item, payload, raw

EASTERN_SUMMER, EASTERN_WINTER = timezone(timedelta(hours=-4)), timezone(timedelta(hours=-5))


def parsed(body: Any) -> ContributionReported:
    """The one gift of a body; what it says of a plan is another matter."""
    gift, *plans = parse(arrived(body))
    assert isinstance(gift, ContributionReported)
    assert all(isinstance(plan, PlanReported) for plan in plans)
    return gift


def refused(body: Any) -> str:
    with pytest.raises(Invalid) as raised:
        parse(arrived(body))
    return str(raised.value)


def test_a_body_of_the_older_shape_is_read_field_by_field():
    assert parsed(payload("actblue/older_shape.json")) == ContributionReported(
        cause=17, source="actblue", source_key="690000201", amount_cents=5000,
        paid_at=datetime(2019, 6, 7, 15, 49, 32, tzinfo=EASTERN_SUMMER),
        donor=Person(
            email="rosa.delgado@example.org", first_name="ROSA", last_name="DELGADO", street="14 Lincoln Street",
            city="Worcester", state="MA", zip="01605", country="United States", phone="545-370-1537 x9178",
            employer="Worcester Public Library", occupation="Librarian",
        ),
        currency="usd", order_number="AB690000101", form_slug="common-ground", refcode="20190626 em3-b", refcode2="",
        entity_id=12345, entity_name="Common Ground Massachusetts Action, Inc.", recurring_period="once", sequence=0,
        payment_key="AB690000101/690000201", plan_key="", express=True,
    )  # fmt: skip


def test_a_body_of_the_newer_shape_is_read_field_by_field():
    assert parsed(payload("actblue/newer_shape.json")) == ContributionReported(
        cause=17, source="actblue", source_key="690000204", amount_cents=2577,
        paid_at=datetime(2026, 11, 14, 7, 30, 9, tzinfo=EASTERN_WINTER),
        donor=Person(
            email="hannah+gifts@example.org", first_name="Hannah", last_name="Lindqvist", street="3 Pomeroy Terrace",
            city="Northampton", state="MA", zip="01060", country="United States", phone="", employer="",
            occupation="Carpenter",
        ),
        currency="usd", order_number="AB690000103", form_slug="common-ground", refcode="nov_letter",
        refcode2="fb_Click-1", entity_id=123456, entity_name="Common Ground Massachusetts PAC",
        recurring_period="monthly", sequence=3, payment_key="AB690000103/690000204", plan_key="AB690000103",
    )  # fmt: skip


def test_two_line_items_are_two_gifts_with_their_own_entity_amount_and_moment_and_one_donor():
    first, second = parse(arrived(payload("actblue/two_line_items.json")))
    assert [(g.source_key, g.entity_id, g.amount_cents) for g in (first, second)] == [
        ("690000202", 12345, 100_000), ("690000203", 123456, 1000)
    ]  # fmt: skip
    assert second.paid_at - first.paid_at == timedelta(days=1)
    assert first.donor == second.donor
    assert (
        (first.refcode, first.refcode2) == (second.refcode, second.refcode2) == ("sample ref code", "sample ref code 2")
    )


def test_a_hidden_donor_has_no_address_and_keeps_the_rest():
    donor = parsed(payload("actblue/hidden_donor.json")).donor
    assert (donor.email, donor.phone, donor.employer) == (None, "", "")
    assert (donor.first_name, donor.zip) == ("Grace", "02740")


@pytest.mark.parametrize(
    ("told", "codes"),
    [({"refcodes": {"refcode": "new", "refcode2": "b"}, "refcode": "old", "refcode2": "c"}, ("new", "b")),
     ({"refcodes": {"refcode": "new"}, "refcode": "old", "refcode2": "c"}, ("new", "c")),
     ({"refcodes": {}, "refcode": "old", "refcode2": None}, ("old", "")),
     ({"refcodes": None, "refcode": "old"}, ("old", "")),
     ({"refcodes": "", "refcode": "old"}, ("old", "")),
     ({"refcodes": [], "refcode": "old"}, ("old", "")),
     ({"refcodes": {"refcode": None, "refcode2": ""}, "refcode": "old", "refcode2": "c"}, ("old", "c")),
     ({"refcodes": {"refcode": 17, "other": {"deep": 1}}}, ("17", "")),
     ({}, ("", ""))],
)  # fmt: skip
def test_refcodes_come_from_the_object_first_and_from_the_older_fields_else(
    told: dict[str, Any], codes: tuple[str, str]
):
    body = actblue_body()
    for name in ("refcodes", "refcode", "refcode2"):
        del body["contribution"][name]
    gift = parsed(body | {"contribution": body["contribution"] | told})
    assert (gift.refcode, gift.refcode2) == codes


@pytest.mark.parametrize(
    ("told", "found"),
    [(None, ("", "")), ({}, ("", "")), ("", ("", "")), ([], ("", "")), ({"employer": None, "occupation": None}, ("", "")),
     ({"employer": " Acme "}, ("Acme", "")), ({"occupation": "Nurse", "employerZip": 17}, ("", "Nurse")),
     ({"employer": {"name": "Acme"}}, ("", ""))],
)  # fmt: skip
def test_an_employer_that_says_nothing_is_empty(told: object, found: tuple[str, str]):
    donor = parsed(actblue_body(donor={"employerData": None}) | {"donor": {"employerData": told}}).donor
    assert (donor.employer, donor.occupation) == found


@pytest.mark.parametrize(("told", "key"), [(700, "700"), ("700", "700"), (" 700 ", "700"), ("abc-1", "abc-1")])
def test_an_id_is_the_same_as_number_and_as_text(told: object, key: str):
    assert parsed(actblue_body(lineitems=[line_item(lineitemId=told)])).source_key == key


@pytest.mark.parametrize("told", [None, "", "  ", True, [], {}, False])
def test_money_without_an_id_is_refused(told: object):
    assert refused(actblue_body(lineitems=[line_item(lineitemId=told)])) == "not understood: lineitems.0.lineitemId"


@pytest.mark.parametrize(
    ("told", "entity"), [(12345, 12345), ("12345", 12345), (None, None), ("", None), (0, None), ("x", None), (-1, None)]
)
def test_an_entity_is_a_number_or_nobody(told: object, entity: int | None):
    assert parsed(actblue_body(lineitems=[line_item(entityId=told)])).entity_id == entity


@pytest.mark.parametrize(
    ("told", "offset"),
    [("2026-10-02T12:00:00-05:00", -300), ("2026-11-02T23:30:00-04:00", -240), ("2026-11-02T12:00:00Z", 0),
     ("2026-11-02T12:00:00+05:30", 330), ("2026-11-02T12:00:00.123-05:00", -300), ("2026-11-02 12:00:00-05:00", -300)],
)  # fmt: skip
def test_a_moment_keeps_the_offset_it_came_with(told: str, offset: int):
    paid_at = parsed(actblue_body(lineitems=[line_item(paidAt=told)])).paid_at
    assert paid_at.utcoffset() == timedelta(minutes=offset)
    assert paid_at == datetime.fromisoformat(told)


@pytest.mark.parametrize("status", ["declined", "pending", "DECLINED", "refunded", "unheard-of"])
def test_a_status_other_than_approved_is_ignored_with_its_reason(status: str):
    body = raw(actblue_body(contribution={"status": status}))
    assert parse(arrived(body)) == Ignored("status is not approved: no money moved")


@pytest.mark.parametrize("status", ["approved", "Approved", " approved ", "", None])
def test_an_approved_gift_is_money(status: str | None):
    assert parsed(actblue_body(contribution={"status": status})).amount_cents == 2700


@pytest.mark.parametrize(
    "period", [("monthly", "monthly"), ("weekly", "weekly"), ("once", "once"), (None, "once"), ("", "once")]
)
def test_a_gift_of_no_period_is_given_once(period: tuple[object, str]):
    assert parsed(actblue_body(contribution={"recurringPeriod": period[0]})).recurring_period == period[1]


def test_a_gift_whose_refund_fields_are_null_is_a_gift():
    item = line_item(refundedAt=None, disbursedAt=None, recoveredAt="")
    assert parsed(actblue_body(lineitems=[item], contribution={"cancelledAt": None})).amount_cents == 2700


def test_names_stay_as_they_came_for_the_treasurer_and_lose_only_their_controls():
    donor = parsed(actblue_body(donor={"firstname": " MARY\x00-JO ", "lastname": "O'Neill\u200d"})).donor
    assert (donor.first_name, donor.last_name) == ("MARY-JO", "O'Neill\u200d")


def test_a_source_without_a_parser_is_refused():
    with pytest.raises(Invalid, match="no parser for source carrier pigeon"):
        parse(arrived(b"{}", source="carrier pigeon"))


def survived(body: bytes, kind: str = "") -> None:
    """Events that could be booked, a reason to ignore it, or Invalid; nothing else."""
    try:
        found = parse(arrived(body, kind=kind))
    except Invalid:
        return
    assert isinstance(found, Ignored) or all(
        event.source_key and getattr(event, "amount_cents", 1) > 0 and moment(event).astimezone(UTC).year >= 2003
        for event in found
    )


def moment(event: Any) -> datetime:
    names = ("paid_at", "refunded_at", "ended_at", "told_at")
    return next(getattr(event, name) for name in names if hasattr(event, name))


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise_anything_but_invalid(body: bytes):
    survived(body)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["5.0", "2026-11-02T12:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    (part, name) for part in ("donor", "contribution", "lineitems")
    for name in (line_item() if part == "lineitems" else actblue_body()[part])
] + [(part, None) for part in ("donor", "contribution", "lineitems")] + [
    (part, name) for part in ("contribution", "lineitems") for name in ("refundedAt", "cancelledAt")
]  # fmt: skip
KINDS = st.sampled_from(["", "contribution", "refund", "cancellation", "part"])


@given(VALUES, KINDS)
def test_no_json_value_makes_the_parser_raise_anything_but_invalid(document: object, kind: str):
    survived(json.dumps(document).encode(), kind)


@given(st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), min_size=1, max_size=4), KINDS)
def test_no_value_in_any_field_makes_the_parser_raise_anything_but_invalid(changes: list[Any], kind: str):
    body = actblue_body()
    for (part, name), value in changes:
        if name is None:
            body[part] = value
        elif part == "lineitems" and isinstance(body[part], list) and body[part] and isinstance(body[part][0], dict):
            body[part][0][name] = value
        elif isinstance(body[part], dict):
            body[part][name] = value
    survived(raw(body), kind)


@given(st.integers(1, 99_999_999_999))
def test_every_amount_is_reported_to_the_cent(amount: int):
    told = f"{amount // 100}.{amount % 100:02}"
    assert parsed(actblue_body(lineitems=[line_item(amount=told)])).amount_cents == amount


def test_the_parser_is_the_one_that_intake_uses():
    assert parse(arrived(payload("actblue/older_shape.json"))) == actblue.parse(
        arrived(payload("actblue/older_shape.json"))
    )
