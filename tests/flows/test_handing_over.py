"""Handing campaign letters over: one request for up to a thousand of one mailing and sender, and what an answer means."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.bootstrap import Deps
from engine.mail import breaker, holds
from engine.outreach import trying
from engine.ports import Answer
from tests.campaigns import ASK, NOW, enqueue, go, letter, people, states
from tests.flows.house import change, one, rows
from workers import delivery

# One request for many.


def test_a_thousand_letters_of_one_mailing_and_sender_are_one_request(deps: Deps):
    enqueue(deps, letter(deps), people(deps, 1200))
    go(deps)
    sizes = [len(copies) for _, copies in deps.mailer.requests]
    assert sizes == [1000, 200]
    assert states(deps) == {"handed": 1200}
    handovers = rows(deps, "SELECT letters, state, provider_id <> '' AS told FROM handover ORDER BY id")
    assert [tuple(row) for row in handovers] == [(1000, "accepted", True), (200, "accepted", True)]
    assert one(deps, "SELECT handed FROM mailing WHERE handed > 0").handed == 1200
    assert deps.mailer.requests[0][1][0].headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "%" in deps.mailer.requests[0][0].subject


def test_each_reader_gets_her_own_words_and_links(deps: Deps):
    ids = people(deps, 3)
    change(deps, "UPDATE contact SET first_name = 'Ines', city = 'Lowell & more' WHERE id = :id", id=ids[1])
    change(deps, "UPDATE contact SET first_name = 'see https://evil.example.org' WHERE id = :id", id=ids[2])
    enqueue(deps, letter(deps), ids)
    go(deps)
    first, second, third = (each for _, each in deps.mailer.accepted)
    assert "Dear Rosa," in first.text
    assert "Dear Ines," in second.html
    assert "in Lowell &amp; more is" in second.html
    assert "in Lowell & more is" in second.text
    assert "Dear friend," in third.html  # no name is written that is none
    assert len({each.headers["List-Unsubscribe"] for each in (first, second, third)}) == 3
    assert [each.subject for each in (first, second, third)] == ["The vote, Rosa", "The vote, Ines", "The vote, "]


def test_mailings_and_senders_travel_apart(deps: Deps):
    one_mailing, other = letter(deps), letter(deps)
    enqueue(deps, one_mailing, people(deps, 5) + people(deps, 5, "lowell"))
    enqueue(deps, other, people(deps, 5))
    go(deps)
    assert [(len(copies), sheet.from_name.rpartition(", ")[2]) for sheet, copies in deps.mailer.requests].count(
        (5, "Worcester")
    ) == 2
    assert len(deps.mailer.requests) == 3


def test_of_two_letters_to_one_person_in_one_mailing_a_request_holds_one(deps: Deps):
    mailing, ids = letter(deps), people(deps, 3)
    enqueue(deps, mailing, ids)
    enqueue(deps, mailing, ids[:1])
    go(deps)
    go(deps)
    assert [len(copies) for _, copies in deps.mailer.requests] == [3, 1]


def test_the_ladder_that_was_chosen_for_her_is_the_one_she_gets_with_a_code_of_its_own(deps: Deps):
    ids = people(deps, 2)
    mailing = letter(deps, markdown=ASK, kind="asks")
    enqueue(deps, mailing, ids[:1], facts='{"ladder": [1500, 2500]}')
    enqueue(deps, mailing, ids[1:])
    go(deps)
    code = one(deps, "SELECT code, mailing_id, chapter_id FROM refcode")
    assert len(code.code) == 9
    chosen, usual = (each for _, each in deps.mailer.accepted)
    assert f"https://secure.actblue.com/donate/common-ground?amount=15&refcode={code.code}" in chosen.text
    assert "Give $25" in chosen.html
    assert "Give $1,000" in usual.html
    assert "express_lane" not in chosen.text + usual.text


def test_express_links_are_for_known_donors_of_a_fund_that_switched_them_on_and_never_in_a_test(deps: Deps):
    ids = people(deps, 2)
    change(deps, """INSERT INTO contribution (source, source_key, contact_id, amount_cents, paid_at, donor, express)
        VALUES ('actblue', 'x', :id, 500, '2020-01-01', '{}', true)""", id=ids[0])  # fmt: skip
    change(deps, "UPDATE fund SET express_lane = true WHERE slug = 'action'")
    mailing = letter(deps, "ask", markdown=ASK, kind="asks")
    enqueue(deps, mailing, ids)
    go(deps)
    known, unknown = (each.text for _, each in deps.mailer.accepted)
    assert known.count("express_lane=true") == 5
    assert "express_lane" not in unknown
    change(deps, "UPDATE contact SET email = 'ana@example.org' WHERE id = :id", id=ids[0])
    with deps.work() as (session, now):
        assert trying.send(session, "ask", "ana@example.org", now)
    delivery.hand_over(deps, bell.RECEIPTS)
    test = deps.mailer.accepted[-1][1]
    assert test.subject.startswith("[Test] The vote")
    assert "express_lane" not in test.text
    assert "refcode" not in test.text


# What an answer means.


def test_one_bad_address_among_a_thousand_fails_alone(deps: Deps):
    ids = people(deps, 1000)
    change(deps, "UPDATE contact SET email = 'bad@bad.example.org' WHERE id = :id", id=ids[617])
    bad = Answer("bad", detail="SendGrid: HTTP 400")
    mailer = deps.mailer
    mailer.answer = lambda _: (
        bad if any(copy.to_email == "bad@bad.example.org" for copy in mailer.requests[-1][1]) else None
    )
    enqueue(deps, letter(deps), ids)
    for _ in range(3):
        go(deps)
    assert states(deps) == {"handed": 999, "failed": 1}
    assert one(deps, "SELECT contact_id FROM message WHERE state = 'failed'").contact_id == ids[617]
    assert len(mailer.requests) <= 24  # halves, not one by one
    assert Counter(each.to_email for _, each in mailer.accepted).most_common(1)[0][1] == 1
    assert len(rows(deps, "SELECT 1 FROM notice")) == 1


def test_letters_that_the_provider_names_fail_and_the_others_go_at_once(deps: Deps):
    mailer = deps.mailer
    mailer.answer = lambda _: Answer("bad", detail="named", culprits=(3, 7)) if len(mailer.requests) == 1 else None
    enqueue(deps, letter(deps), people(deps, 20))
    go(deps)
    assert [len(copies) for _, copies in mailer.requests] == [20, 18]
    assert states(deps) == {"handed": 18, "failed": 2}


@pytest.mark.parametrize("culprits", [(99,), tuple(range(20)), (-1,)])
def test_names_that_make_no_sense_are_not_believed(deps: Deps, culprits: tuple[int, ...]):
    mailer = deps.mailer
    mailer.answer = lambda _: Answer("bad", detail="?", culprits=culprits) if len(mailer.requests) == 1 else None
    enqueue(deps, letter(deps), people(deps, 20))
    go(deps)
    assert [len(copies) for _, copies in mailer.requests] == [20, 10, 10]
    assert states(deps) == {"handed": 20}


def test_who_is_asked_to_wait_waits_and_no_letter_is_held_against_it(deps: Deps):
    deps.mailer.answer = lambda _: Answer("busy", detail="429", wait_seconds=90)
    enqueue(deps, letter(deps), people(deps, 20))
    go(deps)
    go(deps)
    assert len(deps.mailer.requests) == 1
    assert tuple(one(deps, "SELECT reason, until, receipts_too FROM mail_hold")) == (
        "busy",
        NOW + timedelta(seconds=90),
        True,
    )
    deps.mailer.answer = lambda _: None
    deps.clock.skip(timedelta(seconds=91))
    go(deps)
    assert states(deps) == {"handed": 20}
    assert one(deps, "SELECT lifted_at FROM mail_hold").lifted_at is not None


def test_a_key_that_is_refused_stops_everything_tells_a_person_and_is_tried_again(deps: Deps):
    deps.mailer.answer = lambda _: Answer("closed", detail="SendGrid: HTTP 401")
    enqueue(deps, letter(deps), people(deps, 20))
    go(deps)
    go(deps)
    delivery.hand_over(deps, bell.RECEIPTS)
    assert len(deps.mailer.requests) == 1
    assert tuple(one(deps, "SELECT kind, subject, detail FROM notice")) == (
        "mail stopped",
        "mail provider: key",
        "SendGrid: HTTP 401",
    )
    deps.mailer.answer = lambda _: None
    deps.clock.skip(timedelta(minutes=6))
    go(deps)
    assert states(deps) == {"handed": 20}
    assert one(deps, "SELECT resolved_at FROM notice").resolved_at is not None


def test_a_sender_that_the_provider_does_not_know_fails_its_own_letters_is_told_of_once_and_stops_nobody(deps: Deps):
    change(deps, "UPDATE chapter SET sender_email = 'hello@lowell.example.org' WHERE slug = 'lowell'")
    mailer = deps.mailer
    mailer.most_copies = 20
    unknown = Answer("sender", detail="SendGrid: HTTP 403 (from)", sender="hello@lowell.example.org")
    mailer.answer = lambda _: unknown if mailer.requests[-1][0].from_email == unknown.sender else None
    mailing = letter(deps)
    enqueue(deps, mailing, [*people(deps, 60, "lowell"), *people(deps, 30)])
    for _ in range(3):
        go(deps)
    assert states(deps) == {"failed": 60, "handed": 30}
    assert rows(deps, "SELECT 1 FROM mail_hold") == []
    notice = one(deps, "SELECT kind, subject, detail, seen FROM notice")
    assert (notice.kind, notice.subject, notice.seen) == ("sender refused", "hello@lowell.example.org", 3)
    assert "verified" in notice.detail
    with deps.work() as (session, now):
        assert breaker.look(session, [mailing], now, deps.settings) == [], "it is not the mailing's fault"
    assert tuple(one(deps, "SELECT handed, refused FROM mailing WHERE handed > 0")) == (30, 0)


def test_a_letter_too_long_to_travel_with_others_goes_alone_and_whole(deps: Deps):
    ids = people(deps, 10)
    change(deps, """UPDATE contact SET custom = jsonb_build_object('story', repeat('once upon a time ', 60))
        WHERE id = :id""", id=ids[4])  # fmt: skip
    enqueue(deps, letter(deps, markdown="Dear {{ first_name }}, {{ custom.story | default('none') }}"), ids)
    deps.mailer.most_substitution_bytes = 600
    go(deps)
    assert [len(copies) for _, copies in deps.mailer.requests] == [9, 1]
    assert deps.mailer.requests[1][1][0].substitutions == {}
    assert "once upon a time" in deps.mailer.accepted[-1][1].html
    assert states(deps) == {"handed": 10}


def test_a_letter_that_does_not_render_fails_alone_and_the_mailing_is_told_of_once(deps: Deps):
    ids = people(deps, 10)
    mailing = letter(deps)
    change(deps, "UPDATE mailing SET body_html = body_html || '{{ nobody_knows }}' WHERE id = :id", id=mailing)
    enqueue(deps, mailing, ids[:5])
    enqueue(deps, mailing, ids[5:], facts='{"nobody_knows": "somebody"}')
    go(deps)
    assert states(deps) == {"failed": 5, "handed": 5}
    assert len(rows(deps, "SELECT 1 FROM notice")) == 1


# The circuit breaker.


def test_a_mailing_of_which_too_many_are_refused_is_paused_and_can_be_resumed(deps: Deps):
    enqueue(deps, letter(deps, "bad"), people(deps, 40))
    deps.mailer.most_copies = 1
    deps.mailer.answer = lambda _: Answer("bad", detail="SendGrid: HTTP 400 (content)")
    for _ in range(3):
        go(deps)
    assert states(deps) == {"failed": 11, "ready": 29}
    paused = one(deps, "SELECT paused_because FROM mailing WHERE paused_at IS NOT NULL")
    assert paused.paused_because == "11 of 11 were refused, or could not be rendered"
    assert one(deps, "SELECT subject FROM notice WHERE kind = 'mailing paused'").subject == "bad"
    deps.mailer.answer = lambda _: None
    with deps.work() as (session, now):
        deps.react(session, breaker.resume(session, "bad"), now)
    assert rows(deps, "SELECT 1 FROM notice WHERE kind = 'mailing paused' AND resolved_at IS NULL") == []
    for _ in range(3):
        go(deps)
    assert states(deps) == {"failed": 11, "handed": 29}


def test_letters_of_before_that_come_back_are_not_held_against_a_mailing_that_a_person_let_go_on(deps: Deps):
    mailing = letter(deps, "again")
    enqueue(deps, mailing, people(deps, 200))

    def meanwhile(_: int) -> Answer | None:
        """It is paused and let go on while its letters are with the provider, which then takes none."""
        if len(deps.mailer.requests) > 1:
            return None
        change(deps, "UPDATE mailing SET paused_at = now() WHERE id = :id", id=mailing)
        with deps.work() as (session, now):
            deps.react(session, breaker.resume(session, "again"), now)
        return Answer("busy", detail="429", wait_seconds=1)

    deps.mailer.answer = meanwhile
    go(deps)
    counts = "SELECT handed, CAST(excused ->> 'handed' AS int) AS excused FROM mailing WHERE slug = 'again'"
    assert tuple(one(deps, counts)) == (0, 0)
    deps.clock.skip(timedelta(minutes=1))
    go(deps)
    assert tuple(one(deps, counts)) == (200, 0)
    change(deps, "UPDATE mailing SET bounced = 11 WHERE id = :id", id=mailing)
    most = deps.settings.model_copy(update={"most_bounces_percent": 10})
    with deps.work() as (session, now):
        assert breaker.look(session, [mailing], now, most) == []


def test_a_hold_that_is_long_over_begins_anew(deps: Deps):
    with deps.work() as (session, now):
        holds.hold(session, holds.BUSY, now, wait=timedelta(seconds=20))
        holds.hold(session, holds.BUSY, now + timedelta(seconds=60), wait=timedelta(seconds=20))
        assert one_hold(session) == (now, now + timedelta(seconds=120)), "it goes on, and grows"
        later = now + timedelta(hours=3)
        holds.hold(session, holds.BUSY, later, wait=timedelta(seconds=20))
        assert one_hold(session) == (later, later + timedelta(seconds=20))
        holds.hold(session, holds.BUSY, later, wait=timedelta(seconds=5))
        assert one_hold(session) == (later, later + timedelta(seconds=20)), "a shorter wait shortens none"


def one_hold(session: Session) -> tuple[datetime, datetime]:
    (found,) = session.execute(text("SELECT since, until FROM mail_hold"))
    return found.since, found.until


def test_while_an_account_is_suspended_campaigns_wait_and_receipts_do_not(deps: Deps):
    with deps.work() as (session, now):
        session.execute(text("INSERT INTO mail_hold (reason, since) VALUES ('suspended', :now)"), {"now": now})
    enqueue(deps, letter(deps), people(deps, 3))
    go(deps)
    assert states(deps) == {"ready": 3}
    with deps.work() as (session, now):
        holds.lift(session, now)
    go(deps)
    assert states(deps) == {"handed": 3}
