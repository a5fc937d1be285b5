"""From SendGrid's bodies to rows, and to letters that do not leave any more (C4-C10, C12)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from time import sleep
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell, inbox, sources
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import feedback, handovers, holds
from engine.sources import letter_ids
from tests.asgi import Client
from tests.flows.house import one, put, rows, run_everything
from tests.letters import AT, element, sent, tell, word
from tests.make import actblue_body, payload, raw
from tests.signing import signed
from webhooks.app import build
from workers import delivery, intake


def verdicts(deps: Deps) -> list[tuple[str, str]]:
    """How each element ended, in the order in which they stood."""
    found = rows(deps, "SELECT state, reason FROM inbound_event WHERE kind = 'part' ORDER BY id")
    return [(row.state, row.reason) for row in found]


def count(deps: Deps, table: str) -> int:
    return int(one(deps, f"SELECT count(*) AS n FROM {table}").n)


def letter_state(deps: Deps) -> str:
    return str(one(deps, "SELECT state FROM message").state)


def test_one_letters_day_through_the_door_into_the_right_rows(deps: Deps):
    (letter,) = sent(deps, email="rosa.day@example.org", at=datetime(2023, 1, 1, tzinfo=UTC))
    names = {b"MESSAGE": letter_ids.encode(letter.message_id), b"HANDOVER": letter_ids.encode(letter.handover_id)}
    body = payload("sendgrid/one_letters_day.json").replace(b"PROVIDER", letter.provider_id.encode())
    for place, name in names.items():
        body = body.replace(place, name.encode())
    with Client(build(deps)) as door:
        assert door.send("POST", "/webhooks/sendgrid", signed(body), body).status == 200
    intake.drain(deps, bell.FEEDBACK)
    ignored = ("subscribed again at the provider: an event alone opens no address", "no letter of ours")
    assert verdicts(deps) == [
        *(("applied", word) for word in ("fact", "deferred", "delivered", "opened", "clicked", "clicked")),
        ("applied", "unsubscribed"), ("ignored", ignored[0]), ("applied", "bounced"), ("applied", "bounced"),
        ("applied", "dropped"), ("applied", "complained"), ("ignored", ignored[1]), ("applied", "account suspended"),
        ("quarantined", "no kind of event that we know"),
    ]  # fmt: skip
    assert [tuple(row) for row in rows(deps, "SELECT reason FROM suppression ORDER BY 1")] == [
        ("bounce",),
        ("complaint",),
        ("unsubscribe",),
    ]
    read = rows(deps, "SELECT kind, machine FROM mail_event WHERE kind IN ('open', 'click') ORDER BY at")
    assert [tuple(row) for row in read] == [("open", True), ("click", True), ("click", False)]
    assert letter_state(deps) == "complained"
    assert "rosa" not in repr(rows(deps, "SELECT reason, url FROM mail_event")).lower()


def test_one_event_46_times_in_a_batch_and_again_in_another_counts_once(deps: Deps):
    (letter,) = sent(deps)
    bounce = element("bounce", letter)
    tell(deps, [bounce] * 46)
    tell(deps, [bounce | {"sg_event_id": "another"}])
    assert verdicts(deps) == [("applied", "bounced"), *[("ignored", "told before")] * 46]
    assert count(deps, "mail_event") == count(deps, "suppression") == 1


def test_one_bad_element_never_fails_the_others(deps: Deps):
    (letter,) = sent(deps)
    whole = tell(deps, [element("delivered", letter), 17, element("teleported", letter), {"email": letter.email}])
    assert verdicts(deps) == [
        ("applied", "delivered"),
        ("quarantined", "not an event"),
        ("quarantined", "no kind of event that we know: teleported"),
        ("quarantined", "no kind of event that we know"),
    ]
    parent = one(deps, f"SELECT state, reason, body FROM inbound_event WHERE id = {whole}")
    assert tuple(parent) == ("split", "4 parts", b"")
    assert letter_state(deps) == "delivered"
    assert count(deps, "notice") == 3


@pytest.mark.parametrize("body", [b"[", b"nonsense", b"{]", b'"[]"'])
def test_a_body_that_is_no_array_is_put_aside_whole(deps: Deps, body: bytes):
    put(deps, body, lane=bell.FEEDBACK, source="sendgrid")
    run_everything(deps)
    assert one(deps, "SELECT state FROM inbound_event").state == "quarantined"


def test_an_empty_array_says_nothing(deps: Deps):
    tell(deps, [])
    assert tuple(one(deps, "SELECT state, reason FROM inbound_event")) == ("ignored", "an empty array")


def test_delivered_before_processed_moves_the_letter_forward_only(deps: Deps):
    (letter,) = sent(deps)
    tell(deps, [element("delivered", letter, 5)])
    tell(deps, [element("processed", letter, 1), element("deferred", letter, 2)])
    found = one(deps, "SELECT state, delivered_at FROM message")
    assert tuple(found) == ("delivered", AT + timedelta(seconds=5))
    assert verdicts(deps) == [("applied", "delivered"), ("applied", "fact"), ("applied", "deferred")]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"gs_message": "zzzzzz"}, "no letter of ours"),
        ({"gs_handover": "zzzzzz"}, "no letter of ours"),
        ({"gs_message": "not-ours"}, "ids that are not ours"),
        ({"email": "somebody.else@example.org"}, "no letter of ours"),
        ({"gs_message": None, "gs_handover": None, "sg_message_id": "foreign.filter"}, "no letter of ours"),
    ],
)
@pytest.mark.parametrize("event", ["unsubscribe", "spamreport", "bounce"])
def test_a_foreign_event_is_stored_and_harms_nobody(deps: Deps, event: str, changed: dict[str, Any], reason: str):
    (letter,) = sent(deps)
    tell(deps, [element(event, letter, **changed)])
    assert verdicts(deps) == [("ignored", reason)]
    assert [count(deps, table) for table in ("mail_event", "suppression", "consent")] == [0, 0, 0]
    assert letter_state(deps) == "handed"


@pytest.mark.parametrize(
    ("event", "reason", "said"),
    [
        ("bounce", "bounce", "bounced"),
        ("spamreport", "complaint", "complained"),
        ("unsubscribe", "unsubscribe", "unsubscribed"),
        ("group_unsubscribe", "unsubscribe", "unsubscribed"),
    ],
)
def test_who_must_not_be_written_to_is_suppressed_in_the_transaction_that_says_so(deps, event, reason, said):
    (letter,) = sent(deps)
    put(deps, raw([element(event, letter, 3)]), lane=bell.FEEDBACK, source="sendgrid")
    whole = inbox.claim(deps.sessions, bell.FEEDBACK)
    assert whole is not None
    intake.apply(deps, whole)
    with pytest.raises(CutOff):
        cut_off_before_the_commit(deps, [(letter.email, reason)])
    assert count(deps, "suppression") == count(deps, "mail_event") == count(deps, "consent") == 0
    intake.drain(deps, bell.FEEDBACK)
    assert verdicts(deps) == [("applied", said)]
    found = one(deps, "SELECT email, reason, at, inbound_event_id IS NOT NULL AS caused FROM suppression")
    assert tuple(found) == (letter.email, reason, AT + timedelta(seconds=3), True)
    assert count(deps, "consent") == (reason == "unsubscribe")


class CutOff(Exception):
    """A worker that dies."""


def cut_off_before_the_commit(deps: Deps, suppressed: list[tuple[str, str]]) -> None:
    claimed = inbox.claim(deps.sessions, bell.FEEDBACK)
    assert claimed is not None
    with claimed, inbox.loaded(claimed) as (session, found):
        told = [fact for each in found for fact in sources.parse(each)]
        deps.react(session, told, deps.clock.read(session))
        there = session.execute(text("SELECT email, reason FROM suppression")).all()
        assert [tuple(row) for row in there] == suppressed
        raise CutOff


def test_subscribing_again_at_the_provider_opens_no_address(deps: Deps):
    (letter,) = sent(deps)
    tell(deps, [element("group_unsubscribe", letter), element("group_resubscribe", letter, 60)])
    assert count(deps, "suppression") == 1
    assert [state for state, _ in verdicts(deps)] == ["applied", "ignored"]


def test_opens_and_clicks_after_an_erasure_are_counted_without_anything_personal(deps: Deps):
    (letter,) = sent(deps)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE contact SET email = NULL"))
    tell(deps, [element("open", letter), element("click", letter, 60), element("spamreport", letter, 90)])
    assert [reason for _, reason in verdicts(deps)] == ["opened", "clicked", "complained"]
    kept = repr(rows(deps, "SELECT * FROM mail_event"))
    assert "rosa" not in kept
    assert "https" not in kept
    assert count(deps, "suppression") == 0


def test_hostile_links_and_browsers_leave_no_trace(deps: Deps):
    (letter,) = sent(deps)
    hostile = {"useragent": "x" * 50_000, "ip": "999.1.1.1"}
    tell(
        deps,
        [
            element("click", letter, 600, url="javascript:alert(1)", **hostile),
            element("click", letter, 700, url="https://example.org/" + "\U0001f4a3" * 5000, **hostile),
        ],
    )
    assert verdicts(deps) == [("applied", "clicked")] * 2
    assert [len(row.url.encode()) for row in rows(deps, "SELECT url FROM mail_event ORDER BY at")] == [0, 1000]


@pytest.mark.parametrize("nonsense", [-5, 1.5, "soon", 4_102_444_800, None, [], 10**40])
def test_a_time_that_cannot_be_is_the_time_of_receipt(deps: Deps, nonsense: Any):
    (letter,) = sent(deps)
    before = datetime.now(UTC) - timedelta(minutes=1)
    tell(deps, [element("spamreport", letter) | {"timestamp": nonsense}])
    found = one(deps, "SELECT s.at, e.received_at FROM suppression s JOIN inbound_event e ON e.id = s.inbound_event_id")
    assert found.at == found.received_at > before


def test_ten_thousand_events_in_one_body_are_applied(deps: Deps):
    letters = sent(deps, 2_000)
    kinds = ("processed", "delivered", "open", "click", "deferred")
    elements = [element(kind, letter, place * 60) for place, kind in enumerate(kinds) for letter in letters]
    slim = [
        {name: each[name] for name in each if name not in ("smtp-id", "category", "useragent")} for each in elements
    ]
    assert len(raw(slim)) < 3 * 1024 * 1024
    put(deps, raw(slim), lane=bell.FEEDBACK, source="sendgrid")
    while rows(deps, "SELECT FROM inbound_event WHERE state = 'pending' LIMIT 1"):
        intake.drain(deps, bell.FEEDBACK)
    assert {tuple(row) for row in rows(deps, "SELECT state, count(*) FROM inbound_event GROUP BY 1")} == {
        ("split", 1),
        ("applied", 10_000),
    }
    assert count(deps, "mail_event") == 10_000
    assert rows(deps, "SELECT id FROM message WHERE state <> 'delivered'") == []


def test_two_workers_told_the_same_at_once_lose_nothing_and_count_nothing_twice(deps: Deps):
    letters = sent(deps, 40)
    told = [
        element(kind, letter, place * 10)
        for place, kind in enumerate(("delivered", "bounce", "spamreport", "unsubscribe", "click"))
        for letter in letters
    ]
    for copy in range(4):
        body = [each | {"copy": copy} for each in (told if copy % 2 else reversed(told))]
        put(deps, raw(body), lane=bell.FEEDBACK, source="sendgrid")
    together = Barrier(2)

    def work() -> None:
        together.wait()
        while rows(deps, "SELECT FROM inbound_event WHERE state = 'pending' LIMIT 1"):
            intake.drain(deps, bell.FEEDBACK)

    with ThreadPoolExecutor(2) as pool:
        for worker in [pool.submit(work) for _ in range(2)]:
            worker.result(60)
    assert count(deps, "mail_event") == 200
    assert count(deps, "suppression") == 120
    assert count(deps, "consent") == 40
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1
    assert {row.state for row in rows(deps, "SELECT state FROM message")} == {"complained"}


def test_two_links_clicked_in_a_moment_and_told_to_two_workers_at_once_are_a_machines(deps: Deps):
    (letter,) = sent(deps)
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def told(link: str) -> None:
        with deps.work() as (session, now):
            feedback.letters_told(session, [word("click", letter, 600, url=link)], now, deps.settings)

    with ThreadPoolExecutor(1) as pool:
        with deps.work() as (session, now):
            first = word("click", letter, 601, url="https://example.org/a")
            feedback.letters_told(session, [first], now, deps.settings)
            other = pool.submit(told, "https://example.org/b")
            while not other.done() and not rows(deps, waiting):
                sleep(0.01)
        other.result(30)
    assert [row.machine for row in rows(deps, "SELECT machine FROM mail_event")] == [True, True]


def test_a_word_about_an_uncertain_handover_settles_it_and_the_letter_is_not_sent_again(deps: Deps):
    (letter,) = sent(deps, handover="uncertain")
    tell(deps, [element("delivered", letter)])
    delivery.settle(deps)  # this provider has no record of it
    run_everything(deps)
    assert tuple(one(deps, "SELECT state, provider_id FROM handover")) == ("accepted", letter.provider_id)
    assert deps.mailer.accepted == []
    with deps.work() as (session, now):
        late = handovers.Outcome(letter.handover_id, "refused", reason="too late", again=True)
        assert handovers.record(session, [late], now) == []
    assert letter_state(deps) == "delivered"


# The last look.


@pytest.mark.parametrize(
    ("event", "lane", "reason"),
    [
        ("bounce", "receipts", "bounce"), ("spamreport", "receipts", "complaint"), ("unsubscribe", "receipts", None),
        ("bounce", "delivery", "bounce"), ("spamreport", "delivery", "complaint"),
        ("unsubscribe", "delivery", "unsubscribe"),
    ],
)  # fmt: skip
def test_the_last_look_stops_what_must_not_leave(deps: Deps, event: str, lane: str, reason: str | None):
    (told,) = sent(deps, email="rosa.last@example.org")
    sent(deps, email="rosa.last@example.org", message="ready", lane=lane)
    sent(deps, email="maria.other@example.org", message="ready", lane=lane)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET facts = '{}', due_at = :now"), {"now": deps.clock.now})
    tell(deps, [element(event, told)])
    delivery.hand_over(deps, lane)
    found = rows(deps, "SELECT state, reason FROM message WHERE attempts > 0 AND occasion <> '' ORDER BY id")[1:]
    stopped = found[0]
    assert tuple(stopped) == ("skipped", f"address suppressed: {reason}") if reason else stopped.state != "skipped"
    assert found[1].state != "skipped"


def test_a_gift_of_a_donor_whose_address_bounces_is_booked_and_her_thanks_stay_here(deps: Deps):
    body = actblue_body()
    put(deps, raw(body))
    intake.drain(deps, bell.INTAKE)
    with transaction(deps.sessions) as session:
        session.execute(
            text("INSERT INTO suppression (email, reason, at) VALUES (:email, 'invalid', now())"),
            {"email": body["donor"]["email"]},
        )
    run_everything(deps)
    assert tuple(one(deps, "SELECT state, reason FROM message")) == ("skipped", "address suppressed: invalid")
    assert deps.mailer.accepted == []
    assert count(deps, "handover") == 0


def test_a_suspended_account_stops_campaigns_and_no_receipt_until_a_person_lifts_it(deps: Deps):
    suspended = {"event": "account_status_change", "type": "compliance_suspend", "timestamp": int(AT.timestamp())}
    tell(deps, [suspended, suspended | {"sg_event_id": "again"}])
    assert verdicts(deps) == [("applied", "account suspended"), ("ignored", "told before")]
    assert one(deps, "SELECT kind, subject FROM notice")[:] == ("mail stopped", "mail provider")
    for _ in range(2):
        put(deps, raw(actblue_body()))
    intake.drain(deps, bell.INTAKE)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET lane = 'delivery' WHERE id = (SELECT min(id) FROM message)"))
    run_everything(deps)
    assert [row.state for row in rows(deps, "SELECT state FROM message ORDER BY id")] == ["ready", "handed"]
    with deps.work() as (session, now):
        assert holds.lift(session, now + timedelta(days=30)) == 1
    run_everything(deps)
    assert [row.state for row in rows(deps, "SELECT state FROM message ORDER BY id")] == ["handed", "handed"]
    tell(deps, [suspended | {"sg_event_id": "old news"}])
    assert rows(deps, "SELECT id FROM mail_hold WHERE lifted_at IS NULL") == []
