"""The last look: what a person said until the moment a letter is claimed decides whether it leaves."""

from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event, text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import unsubscribing
from tests.flows.house import change, one, rows
from tests.readers import NOW, Reader, reader, said
from workers import delivery

NO = {"everything": "", "asks": "asks", "news": "news", "gatherings": "gatherings", "actions": "actions"}


def stop(deps: Deps, who: Reader, scope: str = "everything") -> None:
    with deps.work() as (session, now):
        unsubscribing.unsubscribe(session, who.contact_id, who.message_id, scope, now, source="unsubscribe page")


def state(deps: Deps, who: Reader) -> tuple[str, str]:
    row = one(deps, f"SELECT state, reason FROM message WHERE id = {who.message_id}")
    return row.state, row.reason


def test_who_allowed_it_gets_the_letter_with_both_ways_out_in_it(deps: Deps):
    who = reader(deps, kind="news")
    delivery.hand_over(deps, bell.DELIVERY)
    ((_, letter),) = deps.mailer.accepted
    address = letter.headers["List-Unsubscribe"].strip("<>")
    token = address.removeprefix(deps.settings.base_url + "/u/")
    assert deps.signer.read("unsubscribe", token) == (who.contact_id, who.message_id)
    assert letter.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for part in (letter.html, letter.text):
        assert address in part
        assert f"{deps.settings.base_url}/me/" in part
    assert "Stop these letters" in letter.html


def test_a_receipt_has_no_button_to_stop_it_and_the_way_to_her_preferences(deps: Deps):
    reader(deps, (), kind="", lane=bell.RECEIPTS)
    delivery.hand_over(deps, bell.RECEIPTS)
    ((_, letter),) = deps.mailer.accepted
    assert "List-Unsubscribe" not in letter.headers
    assert "Stop these letters" not in letter.html + letter.text
    assert f"{deps.settings.base_url}/me/" in letter.text


def test_a_letter_in_another_language_has_its_footer_in_it(deps: Deps):
    who = reader(deps)
    with transaction(deps.sessions) as session:
        spanish = "SELECT id FROM mailing WHERE slug = 'thank_you.es'"
        session.execute(text(f"UPDATE message SET mailing_id = ({spanish}), language = 'es' WHERE id = :id"),
                        {"id": who.message_id})  # fmt: skip
    delivery.hand_over(deps, bell.DELIVERY)
    assert "Elegir qué recibir" in deps.mailer.accepted[0][1].text


def test_no_fact_of_a_letter_can_take_the_place_of_its_links(deps: Deps):
    who = reader(deps)
    with transaction(deps.sessions) as session:
        session.execute(
            text("""UPDATE message SET facts = facts || '{"unsubscribe_url": "https://evil.example.org"}'""")
        )
    delivery.hand_over(deps, bell.DELIVERY)
    assert "evil" not in deps.mailer.accepted[0][1].text
    assert state(deps, who)[0] == "handed"


@pytest.mark.parametrize(("words", "reason"), [
    ((), "never said yes"),
    ((("", True), ("news", False)), "wants no news"),
    ((("", False),), "wants no letters"),
])  # fmt: skip
@pytest.mark.parametrize("lane", bell.LETTER_LANES)
def test_who_did_not_allow_it_gets_nothing_and_the_letter_says_why(deps: Deps, words, reason, lane):
    who = reader(deps, words, lane=lane)
    delivery.hand_over(deps, lane)
    assert deps.mailer.accepted == []
    assert state(deps, who) == ("skipped", reason)
    assert one(deps, "SELECT count(*) FROM handover").count == 0


@pytest.mark.parametrize("scope", NO)
def test_unsubscribing_while_a_letter_is_ready_cancels_it(deps: Deps, scope):
    kind = scope if scope in ("asks", "gatherings", "actions") else "news"
    who = reader(deps, kind=kind)
    stop(deps, who, scope)
    assert state(deps, who) == ("cancelled", "unsubscribed")
    delivery.hand_over(deps, bell.DELIVERY)
    assert deps.mailer.accepted == []


def test_unsubscribing_from_one_kind_or_from_chapters_leaves_the_other_letters_ready(deps: Deps):
    of_root, of_chapter = reader(deps, kind="news"), reader(deps, kind="asks", chapter="worcester")
    for who in (of_root, of_chapter):
        stop(deps, who, "chapter")
    stop(deps, of_root, "asks")
    assert state(deps, of_root) == ("ready", "")
    assert state(deps, of_chapter) == ("cancelled", "unsubscribed")


def test_a_letter_composed_from_an_older_look_at_her_is_caught_by_the_last_one(deps: Deps):
    who = reader(deps)
    with transaction(deps.sessions) as session:
        said(session, who.contact_id, ("news", False, NOW))  # nobody cancelled anything
    delivery.hand_over(deps, bell.DELIVERY)
    assert state(deps, who) == ("skipped", "wants no news")


def test_a_letter_that_is_handed_over_may_still_arrive_once_and_never_again(deps: Deps):
    who = reader(deps)
    batch = delivery.claim(deps, bell.DELIVERY)
    stop(deps, who)  # between the claim and the request
    assert state(deps, who)[0] == "handed"
    outcome = delivery.submit(deps, replace(batch, claimed_at=-1e9), batch.parcels[0])
    assert outcome.state == "abandoned"  # the process slept: the letter comes back
    delivery.hand_over(deps, bell.DELIVERY)
    assert deps.mailer.accepted == []
    assert state(deps, who) == ("skipped", "address suppressed: unsubscribe")


@pytest.mark.parametrize("lane", bell.LETTER_LANES)
def test_the_time_since_a_claim_counts_from_before_its_commit_in_which_a_process_may_be_stopped(deps: Deps, lane: str):
    reader(deps, lane=lane)
    commits: list[float] = []
    pool: Any = deps.sessions.kw["bind"]
    event.listen(pool, "commit", lambda _: commits.append(monotonic()))
    batch = delivery.claim(deps, lane)
    assert batch.parcels
    assert batch.claimed_at <= commits[0]


@pytest.mark.parametrize("lane", bell.LETTER_LANES)
def test_a_letter_whose_reader_was_merged_after_its_claim_is_looked_at_again(deps: Deps, lane: str):
    first, who, other = (reader(deps, lane=lane) for _ in range(3))
    change(deps, "UPDATE message SET state = 'cancelled' WHERE id = :id", id=other.message_id)
    change(deps, "INSERT INTO suppression (email, reason, at) SELECT email, 'bounce', now() FROM contact WHERE id = :id",
           id=other.contact_id)  # fmt: skip

    def merged(_: Any, __: Any, statement: str, *___: Any) -> None:
        """Between the claim and the loading of what it claimed."""
        if "of_staff" in statement and not done:
            done.append(True)
            change(
                deps, "UPDATE message SET contact_id = :into WHERE id = :id", into=other.contact_id, id=who.message_id
            )

    done: list[bool] = []
    event.listen(deps.sessions.kw["bind"], "before_cursor_execute", merged)
    delivery.hand_over(deps, lane)
    assert [each.message_id for _, each in deps.mailer.accepted] == [first.message_id]
    assert state(deps, first)[0] == "handed"
    assert state(deps, who) == ("skipped", "address suppressed: bounce")
    assert {row.state for row in rows(deps, "SELECT state FROM handover")} <= {"accepted", "abandoned"}


def test_unsubscribing_waits_for_no_claim_that_came_first_and_wins_over_every_later_one(deps: Deps):
    who = reader(deps)
    with deps.work() as (stopping, now):
        unsubscribing.unsubscribe(stopping, who.contact_id, who.message_id, "everything", now, source="one-click")
        assert delivery.claim(deps, bell.DELIVERY).parcels == []
    assert state(deps, who) == ("cancelled", "unsubscribed")


def test_a_pause_keeps_the_letter_until_it_ends(deps: Deps):
    who = reader(deps)
    with deps.work() as (session, now):
        until = unsubscribing.pause(session, who.contact_id, who.message_id, now, source="unsubscribe page")
    delivery.hand_over(deps, bell.DELIVERY)
    row = one(deps, "SELECT state, reason, due_at FROM message")
    assert (row.state, row.reason, row.due_at) == ("ready", "paused", until)
    deps.clock.skip(timedelta(days=30))
    delivery.hand_over(deps, bell.DELIVERY)
    assert len(deps.mailer.accepted) == 1
    assert state(deps, who) == ("handed", "")


def test_a_letter_that_is_too_late_after_the_pause_is_skipped(deps: Deps):
    who = reader(deps, expires=NOW + timedelta(days=7))
    with deps.work() as (session, now):
        unsubscribing.pause(session, who.contact_id, who.message_id, now, source="unsubscribe page")
    delivery.hand_over(deps, bell.DELIVERY)
    assert state(deps, who) == ("skipped", "paused until after its time")


def test_ending_the_pause_makes_what_waited_for_it_due(deps: Deps):
    who = reader(deps)
    with deps.work() as (session, now):
        unsubscribing.pause(session, who.contact_id, who.message_id, now, source="unsubscribe page")
    delivery.hand_over(deps, bell.DELIVERY)
    deps.clock.skip(timedelta(days=1))
    with deps.work() as (session, now):
        events = unsubscribing.resume(session, who.contact_id, now, source="preferences")
    assert bell.wanted(events) == {bell.DELIVERY}
    delivery.hand_over(deps, bell.DELIVERY)
    assert len(deps.mailer.accepted) == 1


def test_a_receipt_comes_whatever_she_stopped_or_paused(deps: Deps):
    who = reader(deps, kind="", lane=bell.RECEIPTS)
    stop(deps, who)
    delivery.hand_over(deps, bell.RECEIPTS)
    assert len(deps.mailer.accepted) == 1
