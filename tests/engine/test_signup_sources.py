"""Sign-ups as other systems tell them: what each body says of a person, what she allowed, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.errors import Invalid
from engine.events import Person, SignUpReported
from engine.sources import parse
from engine.sources.addresses import CODES, state_code
from engine.sources.words import Ignored, Split
from tests.make import NOON, arrived, payload

ROSA = {"email": "rosa@example.org"}


def several(body: Any, source: str = "signup", kind: str = "") -> list[SignUpReported]:
    found = parse(arrived(body, source=source, kind=kind))
    assert isinstance(found, list)
    return found


def told(body: Any, source: str = "signup") -> SignUpReported:
    (one,) = several(body, source)
    return one


def refused(body: Any, source: str = "signup", kind: str = "") -> str:
    with pytest.raises(Invalid) as raised:
        parse(arrived(body, source=source, kind=kind))
    return str(raised.value)


def helper(**person: Any) -> SignUpReported:
    return told({"person": {"email_addresses": [{"address": "rosa@example.org"}]} | person})


def test_our_own_shape_says_who_when_where_and_what_was_allowed():
    assert told(payload("signup/own.json")) == SignUpReported(
        cause=17,
        source="signup",
        source_key="website-20417",
        kind="signup",
        person=Person(
            "ines.okafor@example.org", "Ines", "Okafor", "9 Elm Park", "Worcester", "MA", "01605", "US", "508-555-0142"
        ),
        at=datetime(2025, 3, 2, 14, 15, tzinfo=UTC),
        mail=True,
        text=False,
        place="https://www.example.org/join",
        wording="Yes, write to me about what my chapter does.",
        tags=("newsletter", "volunteer"),
    )


def test_a_form_may_use_its_own_names_and_is_known_by_its_bytes():
    body = payload("signup/form.json")
    one = told(body)
    assert one.person == Person(
        email="tomas.berg@example.org", first_name="Tomas", last_name="Berg", zip="01108", phone="4135550177"
    )
    assert (one.source_key, one.at, one.mail, one.text) == (arrived(body).key, NOON, True, None)
    assert one.tags == ("canvass",)


@pytest.mark.parametrize(
    "body",
    [{"submission[email]": "rosa@example.org"}, {"email": "", "signup[email]": " ROSA@example.org "},
     {"email": "rosa@example.org", "signup[email]": "other@example.org"},
     {"email": None, "submission[email]": "rosa@example.org"}],
)  # fmt: skip
def test_the_plain_name_counts_before_the_bracketed_and_what_says_something_before_what_does_not(body: dict[str, Any]):
    assert told(body).person.email == "rosa@example.org"


@pytest.mark.parametrize(
    ("status", "mail"),
    [("subscribed", True), (" Subscribed ", True), ("unsubscribed", False), ("bouncing", False), ("spam complaint", False),
     ("spam_complaint", False), ("previous-bounce", False), (None, None), ("", None)],
)  # fmt: skip
@pytest.mark.parametrize("field", ["status", "text_status"])
def test_consent_is_what_is_stated_and_each_channel_for_itself(field: str, status: str | None, mail: bool | None):
    one = told(ROSA | {field: status})
    assert (one.mail, one.text) == ((mail, None) if field == "status" else (None, mail))


def test_nothing_stated_is_no_consent():
    assert (told(ROSA).mail, told(ROSA).text) == (None, None)
    assert (helper().mail, helper().text) == (None, None)


@pytest.mark.parametrize("status", ["yes", "unsubscribe", "opted out", True, False, 1, 0, ["subscribed"], {"a": 1}])
def test_a_status_of_ours_that_nobody_knows_is_refused_for_it_might_be_a_withdrawal(status: object):
    assert refused(ROSA | {"status": status}) == "not understood: status"


def test_the_time_is_the_one_told_but_never_later_than_it_came():
    past, future = NOON - timedelta(days=400), NOON + timedelta(seconds=1)
    assert told(ROSA | {"at": past.isoformat()}).at == past
    assert told(ROSA | {"at": future.isoformat()}).at == NOON
    assert told(ROSA).at == told(ROSA | {"at": ""}).at == NOON


@pytest.mark.parametrize(
    "at",
    ["2025-03-02", "2025-03-02T10:00:00", "yesterday", 1740930000, "0001-01-01T00:00:00Z", "2025-02-30T10:00:00Z",
     "2025-03-02T10:00:00+23:00", "2025-03-02T10:00:00+00:00:30", "9999-12-31T23:59:59Z", True, ["x"]],
)  # fmt: skip
def test_a_time_without_an_offset_or_that_never_was_is_refused(at: object):
    assert refused(ROSA | {"at": at}) == "not understood: at"


@pytest.mark.parametrize(("id", "key"), [("a-1", "a-1"), (17, "17"), (" 17 ", "17")])
def test_the_senders_id_is_the_key(id: object, key: str):
    assert told(ROSA | {"id": id}).source_key == key


def test_an_id_longer_than_any_index_entry_is_refused():
    assert refused(ROSA | {"id": "x" * 201}) == "not understood: id"


@pytest.mark.parametrize(
    "body",
    [{}, {"first_name": "Rosa"}, {"email": ""}, {"person": {}}, {"person": []}, {"person": {"given_name": "Rosa"}}],
)
def test_who_cannot_be_reached_at_all_is_refused(body: dict[str, Any]):
    assert refused(body) == "not understood: neither an email nor a phone"


@pytest.mark.parametrize(
    "body",
    [
        {"email": "rosa at example", "status": "subscribed"},
        {"person": {"email_addresses": [{"address": "rosa at example"}]}},
    ],
)
def test_an_address_that_cannot_be_used_is_kept_beside_the_person(body: dict[str, Any]):
    one = told(body)
    assert (one.person.email, one.detail) == (None, {"unusable_email": "rosa at example"})


def test_a_phone_alone_is_someone():
    assert told({"phone": 15085550123}).person == Person(phone="15085550123")


def test_the_helper_says_the_same_in_its_own_words():
    one = told(payload("signup/helper.json"))
    assert one.person == Person(
        "amara@example.org", "Amara", "Lindqvist", "3 Mill Street, Flat 2", "Springfield", "MA", "01108", "US",
        "15085550166",
    )  # fmt: skip
    assert (one.mail, one.text, one.at, one.tags) == (True, True, NOON, ("volunteer", "driver"))
    assert one.detail == {
        "person_identifiers": ("other_crm:881",), "custom_fields": {"shirt": "M", "driver": True, "years": "4"},
        "lists": ("supporters",), "autoresponse": True, "referrer": {"source": "leaflet", "website": "www.example.org/join"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("emails", "email", "mail"),
    [([{"address": "a@example.org", "status": "unsubscribed"},
       {"address": "b@example.org", "primary": True, "status": "subscribed"}],
      "b@example.org", True),
     ([{"address": "a@example.org", "status": "subscribed"}, {"address": "b@example.org", "status": "unsubscribed"}],
      "a@example.org", True),
     ([{"address": "no address", "primary": True, "status": "subscribed"}, {"address": "b@example.org"}],
      "b@example.org", None),
     ([{"address": "a@example.org", "status": "subscribed"}, {"address": "A@example.org", "status": "unsubscribed"}],
      "a@example.org", False),
     ({"address": "a@example.org", "primary": "true", "status": "subscribed"}, "a@example.org", True),
     ([None, "a@example.org", {"address": "b@example.org", "status": "of age"}], "b@example.org", None)],
)  # fmt: skip
def test_the_primary_address_counts_else_the_first_that_can_be_used_with_its_own_status(emails, email, mail):
    one = helper(email_addresses=emails)
    assert (one.person.email, one.mail) == (email, mail)


@pytest.mark.parametrize(
    ("home", "found"),
    [({"region": "District of Columbia", "postal_code": "20036", "country": "US"}, ("DC", "20036")),
     ({"region": "MN", "postal_code": "17678", "country": "RU"}, ("MN", None)),
     ({"region": "north  carolina", "postal_code": "275144"}, ("NC", None)),
     ({"region": "Bavaria", "postal_code": 2139}, ("Bavaria", "02139")),
     ([{"region": "NY"}, {"region": "ma", "primary": True}], ("MA", None)), ("nowhere", ("", None)), (None, ("", None))],
)  # fmt: skip
def test_where_she_lives_is_read_from_untidy_addresses(home: object, found: tuple[str, str | None]):
    one = helper(postal_addresses=home)
    assert (one.person.state, one.person.zip) == found


def test_every_state_is_known_by_name_and_letters():
    assert len({code for code in CODES.values() if code not in ("PR", "GU", "VI", "AS", "MP")}) == 51
    assert all(state_code(name.title(), "") == code for name, code in CODES.items())
    assert state_code("Massachusetts", "Canada") == "Massachusetts"


def parts(body: bytes) -> tuple[bytes, ...]:
    found = parse(arrived(body, source="actionnetwork"))
    assert isinstance(found, Split)
    return found.bodies


def actions() -> list[SignUpReported]:
    return [one for part in parts(payload("signup/actions.json")) for one in several(part, "actionnetwork", "part")]


def test_every_kind_of_action_is_told_apart_and_has_its_key():
    found = actions()
    assert [(one.kind, one.source_key, one.person.email) for one in found[:6]] == [
        ("submission", "action_network:6a52c9d0-1111-4222-8333-944455566677", "rosa@example.org"),
        ("signature", "6c1f9e", "sam@example.org"),
        ("attendance", "action_network:7c", None),
        ("donation", "action_network:7d", None),
        ("outreach", "action_network:7e", None),
        ("action", "action_network:7f", "lee@example.org"),
    ]
    assert [(one.kind, one.person.email, one.mail) for one in found[6:]] == [
        ("upload", "kim@example.org", True), ("upload", "lou@example.org", False)
    ]  # fmt: skip
    assert found[7].source_key == f"{found[6].source_key}:1"
    assert len(found[6].source_key) == 64


def test_an_action_keeps_who_when_and_where():
    one = actions()[0]
    assert one.person == Person(
        "rosa@example.org", "", "Delgado", "14 Lincoln Street", "Worcester", "MA", "01605", "US", "15085550123"
    )
    assert (one.mail, one.text, one.at) == (True, False, datetime(2025, 3, 2, 14, 15, 26, tzinfo=UTC))
    assert (one.place, one.tags) == ("https://actions.example.org/api/v2/forms/11", ("volunteer",))
    assert one.detail["referrer"] == {"source": "leaflet"}
    assert one.detail["person_url"] == "https://actions.example.org/api/v2/people/21"


def test_a_donation_is_no_money_and_keeps_its_amount():
    one = actions()[3]
    assert one.person == Person()
    assert {name: one.detail[name] for name in ("amount", "currency", "recurring", "period", "recipients")} == {
        "amount": "100.00", "currency": "USD", "recurring": True, "period": "Monthly",
        "recipients": [{"display_name": "Common Ground", "amount": "100.00"}],
    }  # fmt: skip


def test_each_part_is_exactly_what_was_written():
    pieces = (
        b'{"a": 1.50, "a": "\\u00e9\\ud800"}',
        '{"b":  "\u00e9]"}'.encode(),
        b"[1,[2]]",
        b"17",
        b"9" * 5000,
        b"NaN",
    )
    assert parts(b"\xef\xbb\xbf \n[" + b" ,\t".join(pieces) + b" ]\r\n") == pieces
    assert parse(arrived(b" [ ] ", source="actionnetwork")) == Ignored("an empty list")


def test_an_action_alone_is_read_as_if_it_stood_in_a_list():
    element = parts(payload("signup/actions.json"))[0]
    assert several(element, "actionnetwork") == several(element, "actionnetwork", "part")


def test_without_a_key_of_theirs_the_bytes_are_the_key_whatever_list_they_came_in():
    upload = parts(payload("signup/actions.json"))[6]
    (alone,) = parts(b"[" + upload + b"]")
    assert several(alone, "actionnetwork", "part")[0].source_key == actions()[6].source_key


NO_LISTS = {
    "half": (b'[{"a": 1}', "not valid JSON"),
    "no comma": (b"[1 2]", "not valid JSON"),
    "a comma too many": (b"[1,]", "not valid JSON"),
    "only a comma": (b"[,]", "not valid JSON"),
    "more behind": (b"[1] [2]", "not valid JSON"),
    "nothing but an opening": (b"[", "not valid JSON"),
    "Latin-1": (b'["Ren\xe9e"]', "not UTF-8"),
    "too deep": (b"[" * 60_000 + b"]" * 60_000, "nested too deeply"),
    "too deep and open": (b"[" * 60_000, "nested too deeply"),
    "too many": (b"[" + b"1," * 5_001 + b"1]", "more than 5000 elements"),
    "nothing": (b"", "not valid JSON"),
}


@pytest.mark.parametrize(("body", "reason"), NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_is_refused_whole(body: bytes, reason: str):
    assert refused(body, "actionnetwork") == reason


NO_ELEMENTS = {
    "a number": (17, "not understood: body"),
    "a list within": ([{"osdi:submission": {}}], "not understood: body"),
    "nothing": ({}, "no kind of action that we know"),
    "an unknown kind": ({"osdi:rsvp": {"person": ROSA}}, "no kind of action that we know"),
    "two kinds": ({"osdi:submission": {"a": 1}, "osdi:signature": {"a": 1}}, "more than one kind of action"),
    "no action": ({"osdi:submission": "x"}, "not understood: osdi:submission"),
    "no time": ({"osdi:submission": {"created_date": "2025-03-02"}}, "not understood: created_date"),
    "a key twice": (b'{"osdi:submission": {"a": 1, "a": 2}}', "ambiguous: a key stands twice"),
    "deep": (b'{"osdi:submission": ' + b"[" * 40 + b"]" * 40 + b"}", "nested too deeply"),
}


@pytest.mark.parametrize(("body", "reason"), NO_ELEMENTS.values(), ids=NO_ELEMENTS)
def test_what_is_no_action_is_refused(body: Any, reason: str):
    assert refused(body, "actionnetwork", "part") == reason


def test_an_action_without_a_time_happened_when_it_came_and_none_happens_later():
    assert told({"osdi:signature": {"identifiers": ["a:1"]}}, "actionnetwork").at == NOON
    later = {"osdi:signature": {"created_date": "2027-01-01T00:00:00Z"}}
    assert told(later, "actionnetwork").at == NOON


@pytest.mark.parametrize("key", ["x" * 201, "", None, {}, True])
def test_a_key_that_no_index_would_take_gives_way_to_the_next(key: object):
    body = {"idempotency_key": key, "osdi:signature": {"identifiers": [key, "a:1"]}}
    assert told(body, "actionnetwork").source_key == "a:1"


def test_controls_and_half_characters_never_reach_a_column():
    body = ROSA | {"first_name": "Ro\x00sa\ud800", "tags": ["a\x00", "\ud800"], "wording": "\x00", "id": "\x00"}
    one = told(body)
    assert (one.person.first_name, one.tags, one.wording) == ("Rosa", ("a",), "")
    one = helper(custom_fields={"a\x00\ud800": "b\x00", "\x00": "c"})
    assert one.detail["custom_fields"] == {"a": "b"}


def test_huge_words_are_cut():
    one = told(ROSA | {"first_name": "x" * 50_000, "wording": "y" * 50_000, "tags": [str(n) for n in range(999)]})
    assert (len(one.person.first_name), len(one.wording), len(one.tags)) == (500, 10_000, 50)
