"""ActBlue's bodies through the whole door: posted, answered 200, drained; what became of each (cases B4 to B13)."""

import hashlib
import json
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.books import assert_books_balance
from tests.make import actblue_body, basic, line_item, payload, raw
from webhooks.app import build
from workers import intake

HEADERS = (basic(), ("content-type", "application/json"))
TELLING = ("rosa", "delgado", "lincoln", "example.org", "5085550123", "librarian", "worcester public", "secret-token")


@dataclass(frozen=True)
class Outcome:
    """What became of one body: its row in the inbox, and the rows that name it as their cause."""

    event: Any
    gifts: list[Any]
    ledger: list[Any]
    letters: list[Any]
    notices: list[Any]


def query(house: Deps, statement: str, **values: Any) -> list[Any]:
    with transaction(house.sessions) as session:
        return list(session.execute(text(statement), values).all())


def outcome(house: Deps, body: bytes) -> Outcome:
    key = hashlib.sha256(body).hexdigest()
    (event,) = query(house, "SELECT * FROM inbound_event WHERE source = 'actblue' AND key = :key", key=key)
    caused = {"id": event.id}
    return Outcome(
        event=event,
        gifts=query(
            house,
            "SELECT g.*, c.email, f.slug AS fund FROM contribution g LEFT JOIN contact c ON c.id = g.contact_id"
            " LEFT JOIN fund f ON f.id = g.fund_id WHERE inbound_event_id = :id ORDER BY g.id",
            **caused,
        ),
        ledger=query(
            house,
            "SELECT l.* FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id"
            " WHERE g.inbound_event_id = :id ORDER BY l.id",
            **caused,
        ),
        letters=query(house, "SELECT * FROM message WHERE inbound_event_id = :id ORDER BY id", **caused),
        notices=query(house, "SELECT * FROM notice WHERE subject = :subject", subject=inbox.name(event.id)),
    )


def arrive(door: Client, house: Deps, body: bytes, *, times: int = 1) -> Outcome:
    """Post it, drain the inbox, and see to it that nobody repeated what it said."""
    with capture_logs() as lines:
        answers = [door.send("POST", "/webhooks/actblue", HEADERS, body) for _ in range(times)]
        intake.drain(house, bell.INTAKE)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b'{"status":"stored"}')] * times
    came = outcome(house, body)
    said = repr((lines, answers, came.event.reason, came.notices)).lower()
    assert [word for word in TELLING if word in said] == []
    return came


def booked(came: Outcome, *cents: int) -> None:
    """These amounts are on the books, each with one ledger entry, and with one letter each where an address is known."""
    assert (came.event.state, came.notices) == ("applied", [])
    assert came.event.reason in ("gift", "instalment")
    assert [gift.amount_cents for gift in came.gifts] == list(cents)
    assert [(entry.contribution_id, entry.amount_cents, entry.kind) for entry in came.ledger] == [
        (gift.id, gift.amount_cents, "gift") for gift in came.gifts
    ]
    thanked = [f"gift:{gift.id}:thanks" for gift in came.gifts if gift.email]
    assert [letter.occasion for letter in came.letters] == thanked


def put_aside(came: Outcome, reason: str) -> None:
    """It is quarantined for this reason, nothing came of it, and a person is told once."""
    assert (came.event.state, came.event.reason) == ("quarantined", reason)
    assert (came.gifts, came.ledger, came.letters) == ([], [], [])
    assert [(notice.kind, notice.detail) for notice in came.notices] == [(inbox.QUARANTINED, f"from actblue: {reason}")]


@pytest.fixture(scope="module", autouse=True)
def balanced(house: Deps):
    """Whatever the tests of this module brought in, the books balance in the end."""
    yield
    with transaction(house.sessions) as session:
        assert_books_balance(session)


def test_a_body_that_is_posted_twice_is_booked_once(door: Client, house: Deps):
    body = raw(actblue_body())
    booked(arrive(door, house, body, times=2), 2700)
    booked(arrive(door, house, body), 2700)


def test_the_same_line_item_in_another_body_is_stored_and_ignored(door: Client, house: Deps):
    body = actblue_body()
    booked(arrive(door, house, raw(body)), 2700)
    again = arrive(door, house, raw(body | {"form": {"name": "common-ground"}}))
    assert (again.event.state, again.event.reason) == ("ignored", "told before")
    assert (again.gifts, again.letters, again.notices) == ([], [], [])


def test_a_body_with_one_known_and_one_new_line_item_books_the_new_one_alone(door: Client, house: Deps):
    body = actblue_body()
    arrive(door, house, raw(body))
    both = body | {"lineitems": [*body["lineitems"], line_item(amount="10.0")]}
    booked(arrive(door, house, raw(both)), 1000)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_three_line_items_of_one_order_are_three_gifts_of_one_donor_in_any_order(door: Client, house: Deps, order):
    body = actblue_body()
    moments = ("2026-09-02T08:00:00-04:00", "2026-10-02T08:00:00-04:00", "2026-11-02T08:00:00-05:00")
    items = [line_item(sequence=n, amount=f"{n + 1}0.0", paidAt=at) for n, at in enumerate(moments)]
    came = [arrive(door, house, raw(body | {"lineitems": [items[place]]})) for place in order]
    for place, one in zip(order, came, strict=True):
        booked(one, (place + 1) * 1000)
    assert len({(gift.contact_id, gift.order_number) for one in came for gift in one.gifts}) == 1
    (donor,) = query(house, "SELECT * FROM contact WHERE email = :email", email=body["donor"]["email"])
    assert (donor.gave_count, donor.gave_cents, donor.gave_highest_cents, donor.gave_last_cents) == (
        3,
        6000,
        3000,
        3000,
    )
    assert [at.isoformat() for at in (donor.gave_first_at, donor.gave_last_at)] == [
        "2026-09-02T12:00:00+00:00", "2026-11-02T13:00:00+00:00"
    ]  # fmt: skip


def test_one_body_with_two_funds_is_two_gifts(door: Client, house: Deps):
    came = arrive(door, house, payload("actblue/two_line_items.json"))
    booked(came, 100_000, 1000)
    assert [(gift.fund, gift.email) for gift in came.gifts] == [
        ("action", "samuel.okafor@example.org"), ("pac", "samuel.okafor@example.org")
    ]  # fmt: skip


def without(part: str, *names: str) -> dict[str, Any]:
    body = actblue_body()
    body[part] = {name: value for name, value in body[part].items() if name not in names}
    return body


HIDDEN = {
    "left out": without("donor", "email"),
    "null": actblue_body(donor={"email": None}),
    "empty": actblue_body(donor={"email": ""}),
    "no address": actblue_body(donor={"email": "rosa at example"}),
    "two addresses": actblue_body(donor={"email": "rosa@example.org, delgado@example.org"}),
    "a header": actblue_body(donor={"email": "rosa@example.org\r\nBcc: delgado@example.org"}),
    "a number": actblue_body(donor={"email": 17}),
    "no donor": {name: part for name, part in actblue_body().items() if name != "donor"},
    "a null donor": actblue_body() | {"donor": None},
    "an empty donor": actblue_body() | {"donor": ""},
}


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN)
def test_a_gift_without_a_usable_address_is_booked_for_whom_it_names_and_nobody_is_written_to(
    door: Client, house: Deps, body: dict[str, Any]
):
    came = arrive(door, house, raw(body))
    booked(came, 2700)
    assert [gift.email for gift in came.gifts] == [None]
    assert [gift.contact_id is not None for gift in came.gifts] == [bool(body.get("donor"))]
    assert came.letters == []


MONEY = {"amount", "paidAt", "lineitemId"}
OPTIONAL = [(part, name) for part in ("donor", "contribution") for name in actblue_body()[part]] + [
    ("lineitems", name) for name in line_item() if name not in MONEY
]


@pytest.mark.parametrize("value", [None, "", {}, [], 0, False, ["x"], {"x": 1}, "x", 3 * 10**9, 2**70], ids=repr)
def test_no_gift_is_refused_over_an_untidy_optional_field(door: Client, house: Deps, value: object):
    bodies = []
    for part, name in OPTIONAL:
        body = actblue_body()
        within = body["lineitems"][0] if part == "lineitems" else body[part]
        within[name] = value
        if name != "status":
            bodies.append(body)
    for body in bodies:
        door.send("POST", "/webhooks/actblue", HEADERS, raw(body))
    intake.drain(house, bell.INTAKE)
    came = [outcome(house, raw(body)) for body in bodies]
    refused = [
        (part, name, one.event.state, one.event.reason)
        for (part, name), one in zip([o for o in OPTIONAL if o[1] != "status"], came, strict=True)
        if one.event.state != "applied" or [gift.amount_cents for gift in one.gifts] != [2700]
    ]
    assert refused == []


AMOUNTS = {
    '"10.00"': 1000, '"10.0"': 1000, '"10"': 1000, '"0.01"': 1, "10": 1000, "10.5": 1050, "10.50": 1050, "25.77": 2577,
    '"999999999.99"': 99_999_999_999, '"010.00"': 1000,
}  # fmt: skip
NO_AMOUNTS = [
    '"10.005"', '"1e3"', '"10,00"', '"-5.00"', '"NaN"', '"Infinity"', '"inf"', '""', '"0"', '"0.00"', '"+5"', '"$5"', '"5."',
    '".5"', '"1 000"', '"1_000"', '"0x10"', '"\\u0661\\u0660"', '"\\uff11\\uff10"', '"1\\u00000"', '"10.00 USD"',
    '"1000000000"', "null", "true", "[]", "{}", "-5", "0", "10.005", "1e3", "1E+999999", "1e999", "-0", "10000000000", "[10]",
    '{"usd": 10}',
    "9" * 4000,
]  # fmt: skip


def with_amount(literal: str) -> bytes:
    return raw(actblue_body(lineitems=[line_item(amount="@")])).replace(b'"@"', literal.encode())


@pytest.mark.parametrize(("literal", "cents"), AMOUNTS.items(), ids=AMOUNTS)
def test_a_plain_decimal_amount_is_taken_as_text_or_number(door: Client, house: Deps, literal: str, cents: int):
    booked(arrive(door, house, with_amount(literal)), cents)


@pytest.mark.parametrize("literal", NO_AMOUNTS, ids=lambda literal: literal[:20])
def test_any_other_amount_is_put_aside(door: Client, house: Deps, literal: str):
    put_aside(arrive(door, house, with_amount(literal)), "not understood: lineitems.0.amount")


NO_MOMENTS = [
    "2026-11-02T19:03:15", "2026-11-02", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2003-12-31T23:59:59-05:00", "2100-01-01T00:00:00Z", "2026-02-30T12:00:00-05:00", "2026-13-01T00:00:00Z",
    "2026-11-02T24:00:01Z", "2026-11-02T19:03:15+24:00", "2026-11-02T19:03:15 EST", "yesterday", "", None, 1793664195,
    "1793664195", True, [], {}, "2026-11-02T19:03:15-05:00; DROP TABLE contribution",
    "\uff12\uff10\uff12\uff16-11-02T19:03:15-05:00",
]  # fmt: skip


@pytest.mark.parametrize("moment", NO_MOMENTS, ids=repr)
def test_a_date_without_an_offset_or_that_never_was_is_put_aside(door: Client, house: Deps, moment: object):
    body = raw(actblue_body(lineitems=[line_item(paidAt=moment)]))
    put_aside(arrive(door, house, body), "not understood: lineitems.0.paidAt")


# Each has put a whole batch of gifts in danger: the database refuses them, so the parser has to.
POISON = {
    "an offset that Postgres does not know": {"paidAt": "2026-11-02T19:03:15+23:00"},
    "an offset of half a second": {"paidAt": "2026-11-02T19:03:15-05:00:00.5"},
    "an id longer than an index entry": {
        "lineitemId": "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(99))
    },
    "an id of four thousand digits": {"lineitemId": int("123456789" * 400)},
    "an entity beyond any column": {"entityId": 10**18},
}


@pytest.mark.parametrize("item", POISON.values(), ids=POISON)
def test_what_the_database_would_refuse_never_reaches_it(deps: Deps, item: dict[str, Any]):
    body = raw(actblue_body(lineitems=[line_item(**item)]))
    with Client(build(deps)) as door:
        came = arrive(door, deps, body)
    assert came.event.state in ("applied", "quarantined")
    assert came.event.attempts == 1


REFCODES = [
    "x" * 10_240,
    "'; DROP TABLE contribution; --",
    '=cmd("/c calc")',
    "{{ 7 * 7 }}",
    "<b>",
    "fb_ü 花",
    "%s %(a)s \\",
]


@pytest.mark.parametrize("code", REFCODES, ids=lambda code: code[:20])
def test_a_refcode_is_kept_as_it_was_written(door: Client, house: Deps, code: str):
    told = {"refcodes": {"refcode": code}, "refcode": "older", "refcode2": code, "contributionForm": code}
    came = arrive(door, house, raw(actblue_body(contribution=told)))
    booked(came, 2700)
    assert [(gift.refcode, gift.refcode2, gift.form_slug) for gift in came.gifts] == [(code, code, code)]


UNREADABLE = {
    "nothing": (b"", "not valid JSON"),
    "words": (b"not json", "not valid JSON"),
    "half a document": (raw(actblue_body())[:-9], "not valid JSON"),
    "more behind the document": (raw(actblue_body()) + b"{}", "not valid JSON"),
    "a form": (b"donor=rosa&amount=27", "not valid JSON"),
    "a number of five thousand digits": (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "NaN": (b'{"a": NaN}', "NaN is not a number"),
    "Infinity": (b'{"a": -Infinity}', "-Infinity is not a number"),
    "UTF-16": (raw(actblue_body()).decode().encode("utf-16"), "not UTF-8"),
    "Latin-1": (b'{"donor": "Ren\xe9e"}', "not UTF-8"),
    "an empty list": (b"[]", "not understood: body"),
    "null": (b"null", "not understood: body"),
    "a string": (b'"x"', "not understood: body"),
    "an empty object": (b"{}", "not understood: contribution, lineitems"),
    "no line items": (raw(actblue_body(lineitems=[])), "not understood: lineitems"),
    "one object where a list belongs": (raw(actblue_body() | {"lineitems": line_item()}), "not understood: lineitems"),
    "a line item that is none": (raw(actblue_body(lineitems=[None])), "not understood: lineitems.0"),
    "an empty line item": (
        raw(actblue_body(lineitems=[{}])),
        "not understood: lineitems.0.amount, lineitems.0.lineitemId, lineitems.0.paidAt",
    ),
    "one good line item and one without money": (
        raw(actblue_body(lineitems=[line_item(), line_item(amount="-1")])),
        "not understood: lineitems.1.amount",
    ),
}


@pytest.mark.parametrize(("body", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_understood_is_answered_200_kept_and_a_person_is_told(
    door: Client, house: Deps, body: bytes, reason: str
):
    came = arrive(door, house, body)
    put_aside(came, reason)
    assert bytes(came.event.body) == body


def test_a_matter_that_was_told_once_was_seen_once(door: Client, house: Deps):
    assert [notice.seen for notice in arrive(door, house, b"told once").notices] == [1]


def twice(body: bytes, key: str) -> bytes:
    """The body with this key a second time, right before the first."""
    mark = f'"{key}":'.encode()
    assert mark in body
    return body.replace(mark, mark + b' "1.00", ' + mark, 1)


@pytest.mark.parametrize("key", ["amount", "lineitemId", "paidAt", "email", "lineitems", "employer", "status", "phone"])
def test_a_key_that_stands_twice_is_ambiguous(door: Client, house: Deps, key: str):
    put_aside(arrive(door, house, twice(raw(actblue_body()), key)), "ambiguous: a key stands twice")


def nested(opening: str, closing: str, levels: int) -> bytes:
    body = json.dumps(actblue_body() | {"customFields": "@"})
    return body.replace('"@"', opening * levels + "1" + closing * levels).encode()


@pytest.mark.parametrize("levels", [100, 900, 1100, 40_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting_is_put_aside(door: Client, house: Deps, levels: int, brackets: str):
    opening, closing = ("[", "]") if brackets == "[]" else ('{"a":', "}")
    put_aside(arrive(door, house, nested(opening, closing, levels)), "nested too deeply")


def test_sixty_thousand_brackets_are_put_aside(door: Client, house: Deps):
    put_aside(arrive(door, house, b"[" * 60_000 + b"]" * 60_000), "nested too deeply")
    put_aside(arrive(door, house, b"[" * 60_000), "nested too deeply")


@pytest.mark.parametrize("status", ["declined", "pending", "Declined", "something new"])
def test_a_gift_that_was_not_approved_is_no_money(door: Client, house: Deps, status: str):
    came = arrive(door, house, raw(actblue_body(contribution={"status": status})))
    assert (came.event.state, came.event.reason) == ("ignored", "status is not approved: no money moved")
    assert (came.gifts, came.letters, came.notices) == ([], [], [])


def test_a_bad_body_takes_no_good_one_with_it(deps: Deps):
    good = [raw(actblue_body()) for _ in range(3)]
    with Client(build(deps)) as door:
        for body in (good[0], b"rubbish", good[1], with_amount('"1e3"'), good[2]):
            assert door.send("POST", "/webhooks/actblue", HEADERS, body).status == 200
        intake.drain(deps, bell.INTAKE)
    for body in good:
        booked(outcome(deps, body), 2700)
    put_aside(outcome(deps, b"rubbish"), "not valid JSON")
    with transaction(deps.sessions) as session:
        assert_books_balance(session)
