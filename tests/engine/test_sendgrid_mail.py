"""SendGrid as our mailer: what it is asked, what its answers mean, and that no request outlives its time."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    CustomArg,
    Ganalytics,
    Header,
    Mail,
    OpenTracking,
    Personalization,
    ReplyTo,
    SubscriptionTracking,
    Substitution,
    To,
    TrackingSettings,
)

from engine.adapters.sendgrid_mail import SendgridMail, mail
from engine.ports import Answer, Copy, Sheet, letter_of
from tests import mail_stand_in
from tests.mail_stand_in import KEY, StandIn

SHEET = Sheet(
    "hello@commonground.example.org", "Common Ground", "office@commonground.example.org", "Hi %a1%", "<p>%a2%</p>", "%a1%\n",
    track=True,
)  # fmt: skip
COPIES = [
    Copy(71, "rosa@example.org", "Rosa Delgado", {"%a1%": "Rosa", "%a2%": "R&amp;D"}, {"List-Unsubscribe": "<https://x/u/1>"}),
    Copy(72, "ines@example.org", "", {"%a1%": "Ines", "%a2%": "I"}, {"List-Unsubscribe": "<https://x/u/2>"}),
]  # fmt: skip


@pytest.fixture
def stand_in(tmp_path: Path):
    with mail_stand_in.running(tmp_path) as running:
        yield running


def mailer(stand_in: StandIn, seconds: float = 1.0, key: str = KEY) -> SendgridMail:
    return SendgridMail(key, stand_in.url, call_seconds=seconds)


def asked(stand_in: StandIn, *script: str, seconds: float = 1.0) -> Answer:
    stand_in.script = list(script)
    answer = mailer(stand_in, seconds).hand_over(7, SHEET, COPIES, before=lambda: True)
    assert answer is not None
    return answer


def test_a_request_is_what_sendgrids_own_package_builds():
    theirs = Mail()
    theirs.from_email = (SHEET.from_email, SHEET.from_name)
    theirs.reply_to = ReplyTo(SHEET.reply_to)
    theirs.subject = SHEET.subject
    for copy in reversed(COPIES):  # it puts each before the others
        one = Personalization()
        one.add_to(To(copy.to_email, copy.to_name or None))
        for name, value in copy.headers.items():
            one.add_header(Header(name, value))
        for name, value in {"gs_message": {71: "1z", 72: "20"}[copy.message_id], "gs_handover": "7"}.items():
            one.add_custom_arg(CustomArg(name, value))
        for token, value in copy.substitutions.items():
            one.add_substitution(Substitution(token, value))
        theirs.add_personalization(one)
    theirs.add_content(Content("text/plain", SHEET.text))
    theirs.add_content(Content("text/html", SHEET.html))
    theirs.category = Category("letters")
    tracking = TrackingSettings()
    tracking.click_tracking = ClickTracking(True, False)
    tracking.open_tracking = OpenTracking(False)
    tracking.subscription_tracking = SubscriptionTracking(False)
    tracking.ganalytics = Ganalytics(False)
    theirs.tracking_settings = tracking
    assert mail(7, SHEET, COPIES) == theirs.get()


def test_what_is_accepted_reads_as_the_letter_of_each(stand_in: StandIn):
    assert asked(stand_in).outcome == "accepted"
    for told, copy in zip(stand_in.accepted(), COPIES, strict=True):
        letter = letter_of(SHEET, copy)
        assert (told["to"], told["subject"], told["html"], told["text"]) == (
            letter.to_email, letter.subject, letter.html, letter.text,
        )  # fmt: skip
    assert stand_in.wrong == []


def test_the_id_of_an_accepted_request_is_kept(stand_in: StandIn):
    answer = asked(stand_in)
    assert answer.provider_id.startswith("prov")
    assert asked(stand_in, "no_id") == Answer("accepted", provider_id="")


@pytest.mark.parametrize(
    ("mode", "outcome", "accepted"),
    [("accept_then_hang", "uncertain", 2), ("accept_then_reset", "uncertain", 2), ("hang", "uncertain", 0),
     ("reset", "uncertain", 0), ("broken", "uncertain", 0), ("broken_accepted", "uncertain", 2), ("garbage", "uncertain", 0),
     ("drip_head", "uncertain", 0), ("drip", "accepted", 2), ("busy", "busy", 0), ("unauthorized", "closed", 0),
     ("forbidden", "closed", 0), ("unverified", "sender", 0),
     ("gone", "closed", 0), ("bad", "bad", 0), ("bad_named", "bad", 0), ("large", "bad", 0)],
)  # fmt: skip
def test_what_each_answer_means_and_that_it_comes_in_time(stand_in: StandIn, mode: str, outcome: str, accepted: int):
    began = monotonic()
    answer = asked(stand_in, mode)
    assert monotonic() - began < 3
    assert answer.outcome == outcome
    assert len(stand_in.accepted()) == accepted
    assert "@" not in answer.detail


def test_who_names_the_copy_that_is_wrong_is_believed(stand_in: StandIn):
    assert asked(stand_in, "bad_named").culprits == (0,)
    assert asked(stand_in, "bad").culprits == ()


def test_a_sender_that_is_not_verified_is_named(stand_in: StandIn):
    said = Answer("sender", detail="SendGrid: HTTP 403 (from)", sender=SHEET.from_email)
    assert asked(stand_in, "unverified") == said


@pytest.mark.parametrize(
    ("status", "field", "sender"),
    [(403, "from", SHEET.from_email), (400, "from.email", SHEET.from_email), (400, "reply_to.email", SHEET.reply_to),
     (401, "from", None), (403, "fromage", None), (403, None, None), (400, "personalizations.0.from", None)],
)  # fmt: skip
def test_only_a_field_of_the_sender_blames_it(stand_in: StandIn, status: int, field: str | None, sender: str | None):
    stand_in.error = (status, field)
    answer = asked(stand_in, "error_told")
    assert (answer.outcome == "sender") is (sender is not None)
    assert answer.sender == (sender or "")


def test_a_wait_is_as_long_as_it_is_told(stand_in: StandIn):
    assert asked(stand_in, "busy").wait_seconds == 7.0
    assert 15 <= asked(stand_in, "busy_moment").wait_seconds <= 25


def test_a_date_that_is_none_is_no_time_told(stand_in: StandIn):
    assert 15 <= asked(stand_in, "busy_no_date").wait_seconds <= 25


def test_what_cannot_be_said_in_json_is_bad_and_nothing_leaves(stand_in: StandIn):
    half = [COPIES[0], replace(COPIES[1], substitutions={"%a1%": "\ud800"})]
    answer = mailer(stand_in).hand_over(7, SHEET, half, before=lambda: True)
    assert answer == Answer("bad", detail="a word in it is no text")
    assert stand_in.requests == 0


def test_nothing_reaches_a_provider_that_is_not_there():
    away = SendgridMail(KEY, "http://127.0.0.1:9", call_seconds=1.0)
    answer = away.hand_over(7, SHEET, COPIES, before=lambda: True)
    assert answer is not None
    assert answer.outcome == "away"
    unknown = SendgridMail(KEY, "http://nowhere.invalid", call_seconds=1.0)
    said = unknown.hand_over(7, SHEET, COPIES, before=lambda: True)
    assert said is not None
    assert said.outcome == "away"


def test_a_server_without_tls_gets_no_byte_of_a_letter(stand_in: StandIn):
    answer = SendgridMail(KEY, stand_in.url.replace("http:", "https:"), call_seconds=1.0).hand_over(
        7, SHEET, COPIES, before=lambda: True
    )
    assert answer is not None
    assert answer.outcome == "away"
    assert stand_in.accepted() == []


def test_who_slept_sends_nothing(stand_in: StandIn):
    assert mailer(stand_in).hand_over(7, SHEET, COPIES, before=lambda: False) is None
    assert stand_in.accepted() == []
    assert stand_in.requests == 0


def test_a_connection_is_kept_from_letter_to_letter_and_one_that_broke_is_replaced(stand_in: StandIn):
    kept = mailer(stand_in)
    for _ in range(5):
        assert kept.hand_over(7, SHEET, COPIES, before=lambda: True).outcome == "accepted"
    assert stand_in.connections == 1
    stand_in.script = ["reset"]
    assert kept.hand_over(7, SHEET, COPIES, before=lambda: True).outcome == "uncertain"
    assert kept.hand_over(7, SHEET, COPIES, before=lambda: True).outcome == "accepted"
    assert stand_in.connections == 2


def test_a_wrong_key_closes_the_channel(stand_in: StandIn):
    answer = mailer(stand_in, key="SG.wrong").hand_over(7, SHEET, COPIES, before=lambda: True)
    assert answer is not None
    assert answer.outcome == "closed"


@pytest.mark.parametrize("name", ["a;b", "a,b", 'a"b', "a<b>", ";", "Rosa\\"])
def test_a_name_that_sendgrid_would_refuse_is_made_fit(name: str):
    (made,) = mail(7, SHEET, [Copy(1, "rosa@example.org", name, {}, {})])["personalizations"]
    assert not set(made["to"][0].get("name", "x")) & set(';,"<>\\')


def test_receipts_are_not_tracked_and_opens_only_if_that_is_switched_on():
    receipt = Sheet("a@example.org", "", "", "s", "h", "t")
    assert mail(7, receipt, COPIES)["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert mail(7, receipt, COPIES, open_tracking=True)["tracking_settings"]["open_tracking"] == {"enable": False}
    assert mail(7, SHEET, COPIES)["tracking_settings"]["open_tracking"] == {"enable": False}
    assert mail(7, SHEET, COPIES, open_tracking=True)["tracking_settings"]["open_tracking"] == {"enable": True}


def test_a_request_that_is_larger_than_one_can_be_is_not_made(stand_in: StandIn):
    small = mailer(stand_in)
    small.most_bytes = 100
    answer = small.hand_over(7, SHEET, COPIES, before=lambda: True)
    assert answer is not None
    assert (answer.outcome, stand_in.requests) == ("bad", 0)
