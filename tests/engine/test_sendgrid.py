"""SendGrid's bodies: arrays cut into their elements byte for byte, each read alone; whatever is hostile is put aside."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.events import AccountReported, LetterReported
from engine.sources import letter_ids, sendgrid
from engine.sources.words import Ignored, Split
from tests.letters import Sent, element
from tests.make import NOON, arrived

LETTER = Sent(message_id=4711, handover_id=99, contact_id=3, email="rosa@example.org", provider_id="14c5d75ce93")
BEFORE = int(NOON.timestamp()) - 60


def read(said: Any) -> Any:
    return sendgrid.parse(arrived(said, "sendgrid", "part"))


def only(said: Any) -> LetterReported:
    (told,) = read(said)
    assert isinstance(told, LetterReported)
    return told


# The whole body.


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))))
def test_an_array_is_cut_into_its_elements(elements: list[Any]):
    found = sendgrid.parse(arrived(elements, "sendgrid"))
    if elements:
        assert isinstance(found, Split)
        assert [json.loads(part) for part in found.bodies] == elements
    else:
        assert found == Ignored("an empty array")


def test_the_elements_keep_every_byte():
    parts = (
        b'{"a": 1.50, "a":12345678901234567890123456789}', b'"\\ud800"', b"NaN", '"Zoë\n\x00"'.encode(), b'"\xff\xfe"',
        b"9" * 5000, b"[ ]", b"null",
    )  # fmt: skip
    found = sendgrid.parse(arrived(b" \r\n[ " + b" ,\n\t".join(parts) + b" ]\r\n", "sendgrid"))
    assert found == Split(parts)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1]]", b"[1] 2", b"[1 2]", b"null", b"17", b'"[]"',
        b"[[]", b"\xff", b"\xef\xbb\xbf[1]x", b"[" * 100_000, b"[" + b"[" * 100_000, b"[{]", b"[tru]", b"<xml/>",
    ],
)  # fmt: skip
def test_what_is_no_array_is_put_aside_whole(body: bytes):
    with pytest.raises(Invalid):
        sendgrid.parse(arrived(body, "sendgrid"))


def test_ten_thousand_elements_are_cut_and_more_than_any_provider_sends_are_put_aside():
    found = sendgrid.parse(arrived(b"[" + b",".join([b"{}"] * 10_000) + b"]", "sendgrid"))
    assert isinstance(found, Split)
    assert len(found.bodies) == 10_000
    with pytest.raises(Invalid, match="more than"):
        sendgrid.parse(arrived(b"[" + b",".join([b"{}"] * 20_001) + b"]", "sendgrid"))


def test_an_object_where_an_array_belongs_is_read():
    (told,) = sendgrid.parse(arrived(element("delivered", LETTER), "sendgrid"))
    assert told.kind == "delivered"


# One element.


def test_an_element_says_what_became_of_which_letter():
    assert read(element("delivered", LETTER, timestamp=BEFORE, response="250 OK")) == [
        LetterReported(
            cause=17, kind="delivered", at=NOON - timedelta(minutes=1), email="rosa@example.org", message_id=4711,
            handover_id=99, provider_id="14c5d75ce93", reason="250 OK",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "changed", "kind", "suppresses"),
    [
        ("processed", {}, "processed", ""),
        ("Delivered", {}, "delivered", ""),
        ("deferred", {"attempt": "5", "response": "451 later"}, "deferred", ""),
        ("bounce", {}, "bounce", "bounce"),
        ("BOUNCE", {"type": "Bounce"}, "bounce", "bounce"),
        ("bounce", {"type": "blocked", "bounce_classification": "Reputation"}, "blocked", ""),
        ("bounce", {"type": "expired"}, "blocked", ""),
        ("bounce", {"type": None}, "blocked", ""),
        ("blocked", {}, "blocked", ""),
        ("dropped", {"reason": "Bounced Address"}, "dropped", "bounce"),
        ("dropped", {"reason": "Invalid"}, "dropped", "invalid"),
        ("dropped", {"reason": "Spam Reporting Address"}, "dropped", "complaint"),
        ("dropped", {"reason": "Unsubscribed Address"}, "dropped", "unsubscribe"),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, "dropped", ""),
        ("dropped", {"reason": "Spam Content"}, "dropped", ""),
        ("dropped", {"reason": "Recipient List over Package Quota"}, "dropped", ""),
        ("dropped", {}, "dropped", ""),
        ("delivered", {"reason": "Bounced Address"}, "delivered", ""),
        ("spamreport", {}, "spamreport", "complaint"),
        ("unsubscribe", {}, "unsubscribe", "unsubscribe"),
        ("group_unsubscribe", {"asm_group_id": 10}, "unsubscribe", "unsubscribe"),
        ("open", {}, "open", ""),
        ("click", {}, "click", ""),
    ],
)
def test_each_kind_is_told_apart_and_only_what_is_the_addresss_fault_suppresses_it(event, changed, kind, suppresses):
    told = only(element(event, LETTER, **changed))
    assert (told.kind, told.suppresses) == (kind, suppresses)


@pytest.mark.parametrize("event", ["group_resubscribe", "resubscribe", "Group_Resubscribe"])
def test_an_event_alone_never_opens_an_address_again(event: str):
    assert isinstance(read(element(event, LETTER)), Ignored)


@pytest.mark.parametrize(
    ("said", "machine"),
    [(True, True), ("true", True), ("True", True), (False, False), (None, False), ("", False), (1, False), ([], False)],
)
def test_an_open_by_a_machine_is_told_apart(said: Any, machine: bool):
    assert only(element("open", LETTER, sg_machine_open=said)).machine is machine


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org/give?a=1", "https://example.org/give?a=1"),
        ("HTTP://example.org", "HTTP://example.org"),
        ("javascript:alert(1)", ""), (" JavaScript:alert(1)", ""), ("data:text/html,x", ""), ("//example.org", ""),
        ("", ""), (None, ""), (["https://example.org"], ""), (17, ""),
        ("https://example.org/" + "a" * 5000, "https://example.org/" + "a" * 980),
        ("https://example.org/" + "é" * 5000, "https://example.org/" + "é" * 490),
    ],
)  # fmt: skip
def test_a_link_is_a_web_address_of_bounded_length_or_nothing(url: Any, kept: str):
    assert only(element("click", LETTER, url=url)).url == kept


def test_nothing_of_a_readers_machine_and_no_address_in_a_reason_is_kept():
    said = element("click", LETTER, useragent="x" * 50_000, ip="999.1.1.1")
    assert "xxx" not in repr(only(said))
    assert "999" not in repr(only(said))
    reason = "550 <rosa@example.org>: Recipient rosa@example.org rejected " + "a" * 50_000
    told = only(element("bounce", LETTER, reason=reason))
    assert "rosa" not in told.reason
    assert told.reason.startswith("550 … Recipient … rejected aaa")
    assert len(told.reason) <= 500


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        (1_700_000_000, 1_700_000_000), ("1700000000", 1_700_000_000), (1_700_000_000_123, 1_700_000_000),
        ("1700000000123", 1_700_000_000),
        *((nonsense, None) for nonsense in (
            -5, 0, 17, 1.5e9, "1.5e9", "1700000000.5", 4_102_444_800, "2024-01-01", "", [], {}, True, 10**30, "9" * 5000,
            int((NOON + timedelta(days=2)).timestamp()), "\u0661\u0667" + "\u0660" * 8,
        )),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_is_the_time_of_its_coming(said: Any, read_as: int | None):
    raw = arrived(element("open", LETTER) | {"timestamp": said}, "sendgrid", "part")
    (told,) = sendgrid.parse(raw)
    assert told.at == (datetime.fromtimestamp(read_as, UTC) if read_as else NOON)


def test_a_missing_time_is_the_time_of_its_coming():
    assert only(element("open", LETTER, timestamp=None)).at == NOON


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (" Rosa@Example.ORG ", "rosa@example.org"), ("rosa@xn--bcher-kva.example", "rosa@bücher.example"),
        ("rosa@BÜCHER.example", "rosa@bücher.example"), ("", None), (None, None), (["a@example.org"], None),
        ("nonsense", "nonsense"), ("é", "é"), ("a\x00@example.org", "a@example.org"), ("a" * 5000, "a" * 320),
    ],
)  # fmt: skip
def test_an_address_is_spelled_as_we_know_it(said: Any, known: str | None):
    assert only(element("open", LETTER, email=said)).email == known


@pytest.mark.parametrize("lost", [None, "", [], {}])
def test_ids_lost_on_the_way_are_none(lost: Any):
    told = only(element("bounce", LETTER, gs_message=lost, gs_handover=lost, sg_message_id=lost))
    assert (told.message_id, told.handover_id, told.provider_id) == (None, None, "")


@pytest.mark.parametrize(
    "strange", ["-1", "1_0", "zz zz", "0", "é", "\u0663", "z" * 13, "1" * 5000, "<script>", "+5", "1.5"]
)
@pytest.mark.parametrize("name", ["gs_message", "gs_handover"])
def test_ids_that_cannot_be_ours_are_nobodys(name: str, strange: str):
    assert read(element("unsubscribe", LETTER, **{name: strange})) == Ignored("ids that are not ours")


@given(st.integers(1, letter_ids.LARGEST))
def test_our_ids_come_back_as_they_went(id: int):
    assert letter_ids.decode(letter_ids.encode(id)) == id
    assert len(letter_ids.encode(id)) <= 13


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"17", "not an event"), (b"null", "not an event"), (b"[]", "not an event"), (b'"delivered"', "not an event"),
        (b"{}", "no kind of event that we know"), (b'{"event": null}', "no kind of event that we know"),
        (b'{"event": ["open"]}', "no kind of event that we know"), (b'{"event": "teleported"}', "know: teleported"),
        (b'{"event": "<script>"}', "no kind of event that we know$"), (b'{"event": "open", "event": "click"}', "twice"),
        (b'{"event": "open", "timestamp": NaN}', "not a number"), (b'{"event": "open"', "not valid JSON"),
        (b'{"event": "open", "email": "\xff"}', "not UTF-8"),
        (b'{"event": "open", "x": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deeply"),
    ],
)  # fmt: skip
def test_an_element_that_cannot_be_understood_is_put_aside_alone(body: bytes, reason: str):
    with pytest.raises(Invalid, match=reason):
        read(body)


@given(
    st.dictionaries(
        st.sampled_from(["event", "email", "timestamp", "type", "reason", "url", "gs_message", "sg_message_id"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
        | st.sampled_from(["open", "click", "bounce", "dropped", "account_status_change", "1a"]) | st.lists(st.text()),
    )
)  # fmt: skip
def test_no_element_raises_anything_but_that_it_is_put_aside(said: dict[str, Any]):
    with suppress(Invalid):
        read(said)


@pytest.mark.parametrize(
    ("type_", "status"),
    [
        ("compliance_suspend", "suspended"), ("Banned", "suspended"), ("compliance_deactivate", "suspended"),
        ("compliance_reactivate", "compliance_reactivate"), ("unsuspended", "unsuspended"),
        ("reviewed", "reviewed"), (None, ""),
    ],
)  # fmt: skip
def test_a_change_of_the_account_is_told_apart(type_: str | None, status: str):
    said = {"event": "account_status_change", "timestamp": BEFORE, "type": type_, "sg_event_id": "x"}
    assert read(said) == [AccountReported(17, status, NOON - timedelta(minutes=1))]
