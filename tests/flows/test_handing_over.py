"""Handing campaign letters over: one request for up to a thousand, who goes first, who waits, and what an answer means."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import allowances, breaker, holds
from engine.outreach import trying
from engine.ports import Answer, Copy, Sheet
from engine.settings import Settings
from tests.campaigns import ASK, NOW, enqueue, letter, people
from tests.fakes import FakeMailer
from tests.flows.house import one, rows
from tests.readers import said
from workers import delivery, upkeep


class Counting(FakeMailer):
    """Keeps each request as it came: the sheet and the copies."""

    def __init__(self, **terms: Any) -> None:
        super().__init__(**terms)
        self.requests: list[tuple[Sheet, list[Copy]]] = []

    def hand_over(self, handover_id, sheet, copies, *, before):
        self.requests.append((sheet, list(copies)))
        return super().hand_over(handover_id, sheet, copies, before=before)


@pytest.fixture
def house(deps: Deps) -> Deps:
    return replace(deps, mailer=Counting())


def change(deps: Deps, statement: str, **values: Any) -> None:
    with transaction(deps.sessions) as session:
        session.execute(text(statement), values)


def states(deps: Deps) -> Counter[str]:
    return Counter(row.state for row in rows(deps, "SELECT state FROM message"))


def go(deps: Deps) -> None:
    delivery.hand_over(deps, bell.DELIVERY)


def in_production(deps: Deps, **changed: Any) -> Deps:
    """The same house, as careful as production is; it has heard from its provider before."""
    settings = deps.settings.model_copy(update={"env": "production", **changed})
    change(deps, """INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
        SELECT min(id), 'receipts', 'accepted', now(), now() FROM mailing""")  # fmt: skip
    return replace(deps, settings=settings)


# One request for many.


def test_a_thousand_letters_of_one_mailing_and_sender_are_one_request(house: Deps):
    enqueue(house, letter(house), people(house, 1200))
    go(house)
    sizes = [len(copies) for _, copies in house.mailer.requests]
    assert sizes == [1000, 200]
    assert states(house) == {"handed": 1200}
    handovers = rows(house, "SELECT letters, state, provider_id <> '' AS told FROM handover ORDER BY id")
    assert [tuple(row) for row in handovers] == [(1000, "accepted", True), (200, "accepted", True)]
    assert one(house, "SELECT handed FROM mailing WHERE handed > 0").handed == 1200
    assert house.mailer.requests[0][1][0].headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "%" in house.mailer.requests[0][0].subject


def test_each_reader_gets_her_own_words_and_links(house: Deps):
    ids = people(house, 3)
    change(house, "UPDATE contact SET first_name = 'Ines', city = 'Lowell & more' WHERE id = :id", id=ids[1])
    change(house, "UPDATE contact SET first_name = 'see https://evil.example.org' WHERE id = :id", id=ids[2])
    enqueue(house, letter(house), ids)
    go(house)
    first, second, third = (each for _, each in house.mailer.accepted)
    assert "Dear Rosa," in first.text
    assert "Dear Ines," in second.html
    assert "in Lowell &amp; more is" in second.html
    assert "in Lowell & more is" in second.text
    assert "Dear friend," in third.html  # no name is written that is none
    assert len({each.headers["List-Unsubscribe"] for each in (first, second, third)}) == 3
    assert [each.subject for each in (first, second, third)] == ["The vote, Rosa", "The vote, Ines", "The vote, "]


def test_mailings_and_senders_travel_apart(house: Deps):
    one_mailing, other = letter(house), letter(house)
    enqueue(house, one_mailing, people(house, 5) + people(house, 5, "lowell"))
    enqueue(house, other, people(house, 5))
    go(house)
    assert [(len(copies), sheet.from_name.rpartition(", ")[2]) for sheet, copies in house.mailer.requests].count(
        (5, "Worcester")
    ) == 2
    assert len(house.mailer.requests) == 3


def test_of_two_letters_to_one_person_in_one_mailing_a_request_holds_one(house: Deps):
    mailing, ids = letter(house), people(house, 3)
    enqueue(house, mailing, ids)
    enqueue(house, mailing, ids[:1])
    go(house)
    go(house)
    assert [len(copies) for _, copies in house.mailer.requests] == [3, 1]


def test_the_ladder_that_was_chosen_for_her_is_the_one_she_gets_with_a_code_of_its_own(house: Deps):
    ids = people(house, 2)
    mailing = letter(house, markdown=ASK, kind="asks")
    enqueue(house, mailing, ids[:1], facts='{"ladder": [1500, 2500]}')
    enqueue(house, mailing, ids[1:])
    go(house)
    code = one(house, "SELECT code, mailing_id, chapter_id FROM refcode")
    assert len(code.code) == 9
    chosen, usual = (each for _, each in house.mailer.accepted)
    assert f"https://secure.actblue.com/donate/common-ground?amount=15&refcode={code.code}" in chosen.text
    assert "Give $25" in chosen.html
    assert "Give $1,000" in usual.html
    assert "express_lane" not in chosen.text + usual.text


def test_express_links_are_for_known_donors_of_a_fund_that_switched_them_on_and_never_in_a_test(house: Deps):
    ids = people(house, 2)
    change(house, """INSERT INTO contribution (source, source_key, contact_id, amount_cents, paid_at, donor, express)
        VALUES ('actblue', 'x', :id, 500, '2020-01-01', '{}', true)""", id=ids[0])  # fmt: skip
    change(house, "UPDATE fund SET express_lane = true WHERE slug = 'action'")
    mailing = letter(house, "ask", markdown=ASK, kind="asks")
    enqueue(house, mailing, ids)
    go(house)
    known, unknown = (each.text for _, each in house.mailer.accepted)
    assert known.count("express_lane=true") == 5
    assert "express_lane" not in unknown
    change(house, "UPDATE contact SET email = 'ana@example.org' WHERE id = :id", id=ids[0])
    with house.work() as (session, now):
        assert trying.send(session, "ask", "ana@example.org", now)
    delivery.hand_over(house, bell.RECEIPTS)
    test = house.mailer.accepted[-1][1]
    assert test.subject.startswith("[Test] The vote")
    assert "express_lane" not in test.text
    assert "refcode" not in test.text


# Whose turn it is.


def served(deps: Deps) -> list[str]:
    """The mailings of the handovers, in their order."""
    return [
        row.slug
        for row in rows(deps, "SELECT w.slug FROM handover h JOIN mailing w ON w.id = h.mailing_id ORDER BY h.id")
    ]


def test_a_large_campaign_does_not_make_a_small_one_wait(house: Deps):
    house.mailer.most_copies = 10
    enqueue(house, letter(house, "large"), people(house, 60))
    enqueue(house, letter(house, "small"), people(house, 10))
    go(house)
    assert served(house)[:2] == ["large", "small"]


def test_of_two_campaigns_each_is_served_in_turn_and_so_are_the_chapters_of_each(house: Deps):
    house.mailer.most_copies = 10
    many, few = letter(house, "many"), letter(house, "few")
    enqueue(house, many, [*people(house, 40), *people(house, 20, "lowell"), *people(house, 10, "springfield")])
    enqueue(house, few, people(house, 30))
    go(house)
    assert served(house)[:6] == ["many", "few"] * 3
    chapters = [row.slug for row in rows(house, """SELECT DISTINCT ON (h.id) h.id, c.slug FROM handover h
        JOIN message m ON m.handover_id = h.id JOIN mailing w ON w.id = h.mailing_id JOIN chapter c ON c.id = m.chapter_id
        WHERE w.slug = 'many' ORDER BY h.id""")]  # fmt: skip
    assert Counter(chapters[:3]) == {"worcester": 1, "lowell": 1, "springfield": 1}


def test_what_has_priority_goes_first(house: Deps):
    house.mailer.most_copies = 10
    enqueue(house, letter(house, "usual"), people(house, 30))
    enqueue(house, letter(house, "urgent"), people(house, 30))
    change(house, "UPDATE mailing SET priority = 1 WHERE slug = 'urgent'")
    go(house)
    assert served(house) == ["urgent"] * 3 + ["usual"] * 3


# Who waits.


def test_nobody_gets_more_than_the_house_allows_in_a_day_and_a_week(house: Deps):
    (who,) = people(house, 1)
    for number in range(9):
        enqueue(house, letter(house), [who], due=NOW + timedelta(minutes=number))
    for _ in range(9 * 24):
        go(house)
        house.clock.skip(timedelta(hours=1))
    times = [
        row.handed_at for row in rows(house, "SELECT handed_at FROM message WHERE state = 'handed' ORDER BY handed_at")
    ]
    assert len(times) >= 7
    for span, most in ((timedelta(days=1), 2), (timedelta(days=7), 5)):
        for start in times:
            assert sum(start <= each < start + span for each in times) <= most


def test_who_asked_for_fewer_gets_one_a_week(house: Deps):
    (who,) = people(house, 1)
    with transaction(house.sessions) as session:
        said(session, who, ("many", False))
    for _ in range(3):
        enqueue(house, letter(house), [who])
    for _ in range(15):
        go(house)
        house.clock.skip(timedelta(days=1))
    assert states(house) == {"handed": 3}
    times = [row.handed_at for row in rows(house, "SELECT handed_at FROM message ORDER BY handed_at")]
    assert [later - earlier for earlier, later in zip(times, times[1:], strict=False)] == [timedelta(days=7)] * 2


def test_a_letter_that_would_be_too_late_when_she_may_have_it_is_skipped_and_says_so(house: Deps):
    (who,) = people(house, 1)
    for _ in range(2):
        enqueue(house, letter(house), [who])
    enqueue(house, letter(house), [who], expires=NOW + timedelta(hours=5))
    go(house)
    go(house)
    skipped = one(house, "SELECT reason FROM message WHERE state = 'skipped'")
    assert skipped.reason == "had enough letters for now until after its time"


def test_two_workers_with_two_campaigns_hold_a_cap_of_one(house: Deps):
    capped = replace(house, settings=house.settings.model_copy(update={"letters_a_day": 1}))
    ids = people(house, 300)
    for _ in range(2):
        enqueue(house, letter(house), ids)
    go(capped)
    assert Counter(each.to_email for _, each in house.mailer.accepted).most_common(1)[0][1] == 1
    assert states(house) == {"handed": 300, "ready": 300}


@pytest.mark.parametrize(
    ("now", "quiet", "until"),
    [("2026-11-03T02:30Z", "21-8", "2026-11-03T13:00Z"), ("2026-11-03T12:59Z", "21-8", "2026-11-03T13:00Z"),
     ("2026-11-03T13:00Z", "21-8", None), ("2026-11-03T17:30Z", "12-13", "2026-11-03T18:00Z"), ("2026-11-03T18:00Z", "12-13", None),
     ("2026-03-08T06:30Z", "21-8", "2026-03-08T12:00Z"),  # the night in which clocks go forward
     ("2026-11-01T05:30Z", "21-8", "2026-11-01T13:00Z")],  # and that in which they go back
)  # fmt: skip
def test_a_letter_does_not_come_at_night_where_its_reader_lives(house: Deps, now: str, quiet: str, until: str | None):
    house.clock.now = datetime.fromisoformat(now)
    enqueue(house, letter(house, quiet_hours=quiet), people(house, 1), due=house.clock.now)
    go(house)
    found = one(house, "SELECT state, reason, due_at FROM message")
    if until is None:
        assert found.state == "handed"
    else:
        assert tuple(found) == ("ready", "it is night where she lives", datetime.fromisoformat(until))


def test_night_is_the_readers_own_and_the_houses_where_nobody_knows(house: Deps):
    ids = people(house, 3)
    house.clock.now = datetime(2026, 11, 3, 4, 30, tzinfo=UTC)  # 23:30 in Boston, 20:30 in Oakland
    change(house, "UPDATE contact SET time_zone = 'America/Los_Angeles' WHERE id = :id", id=ids[1])
    change(house, "UPDATE contact SET time_zone = '' WHERE id = :id", id=ids[2])
    enqueue(house, letter(house, quiet_hours="21-8"), ids, due=house.clock.now)
    go(house)
    assert [row.state for row in rows(house, "SELECT state FROM message ORDER BY contact_id")] == [
        "ready",
        "handed",
        "ready",
    ]


def test_a_gift_since_the_letter_was_written_takes_the_ask_back(house: Deps):
    ids = people(house, 4)
    mailing = letter(house, markdown=ASK, kind="asks")
    enqueue(house, mailing, ids, created=NOW - timedelta(days=1))
    give = """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor, recurring_period, sequence)
        SELECT 'actblue', CAST(:key AS text), :id, f.id, 2700, :at, '{}', :period, :sequence FROM fund f WHERE f.slug = :fund"""
    gift = {"at": NOW - timedelta(hours=1), "fund": "action", "period": "once", "sequence": 0}
    change(house, give, **gift | {"key": "a", "id": ids[0]})
    change(house, give, **gift | {"key": "b", "id": ids[1], "fund": "pac"})  # to somebody else
    change(house, give, **gift | {"key": "c", "id": ids[2], "period": "monthly", "sequence": 4})  # a later instalment
    change(house, give, **gift | {"key": "d", "id": ids[3], "at": NOW - timedelta(days=2)})  # before
    go(house)
    found = [tuple(row) for row in rows(house, "SELECT state, reason FROM message ORDER BY contact_id")]
    assert found == [("cancelled", "gave")] + [("handed", "")] * 3


def test_news_goes_on_after_a_gift(house: Deps):
    ids = people(house, 1)
    enqueue(house, letter(house, form="common-ground"), ids, created=NOW - timedelta(days=1))
    change(house, """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor)
        SELECT 'actblue', 'a', :id, id, 2700, :at, '{}' FROM fund WHERE slug = 'action'""", id=ids[0], at=NOW)  # fmt: skip
    go(house)
    assert states(house) == {"handed": 1}


# How many may leave.


def test_a_new_domain_is_warmed_up_with_those_who_did_something_most_recently(house: Deps):
    ids = people(house, 700)
    careful = in_production(house)
    enqueue(house, letter(house), ids)
    go(careful)
    handed = [
        row.contact_id
        for row in rows(house, "SELECT contact_id FROM message WHERE state = 'handed' ORDER BY contact_id")
    ]
    assert handed == ids[: allowances.FIRST_DAY]
    for _ in range(3):
        go(careful)
    assert states(house) == {"handed": 480, "ready": 220}
    assert tuple(one(house, "SELECT domain, warming_since FROM sending_domain")) == (
        "commonground.example.org",
        NOW.date(),
    )
    careful.clock.skip(timedelta(days=1))
    go(careful)
    assert states(house) == {"handed": 700}


def test_a_domain_that_is_known_sends_as_much_as_there_is(house: Deps):
    careful = in_production(house)
    with house.work() as (session, _):
        allowances.warm(session, "CommonGround.example.org", None)
    enqueue(house, letter(house), people(house, 700))
    go(careful)
    assert states(house) == {"handed": 700}


def test_the_allowance_grows_day_by_day_until_there_is_none():
    assert [allowances.allowed(day) for day in (0, 1, 2, 34, 35)] == [480, 672, 940, allowances.WARM_UP[-1], None]
    assert list(allowances.WARM_UP) == sorted(allowances.WARM_UP)


def test_one_chapter_cannot_use_up_what_all_share(house: Deps):
    change(house, "UPDATE chapter SET daily_letters = 30 WHERE slug = 'worcester'")
    enqueue(house, letter(house), [*people(house, 100), *people(house, 50, "lowell")])
    go(house)
    handed = Counter(row.slug for row in rows(house, """SELECT c.slug FROM message m JOIN chapter c ON c.id = m.chapter_id
        WHERE m.state = 'handed'"""))  # fmt: skip
    assert handed == {"worcester": 30, "lowell": 50}
    house.clock.skip(timedelta(days=1))
    go(house)
    assert states(house) == {"handed": 110, "ready": 40}


def test_limits_of_a_second_let_so_many_go_and_the_rest_a_little_later(house: Deps):
    slow = replace(
        house, settings=house.settings.model_copy(update={"mail_per_second": 40, "mail_domain_per_second": 30})
    )
    enqueue(house, letter(house), people(house, 100))
    go(slow)
    assert states(house) == {"handed": 30, "ready": 70}
    house.limiter.counts.clear()  # a second later
    go(slow)
    assert states(house) == {"handed": 60, "ready": 40}


def test_nothing_leaves_in_bulk_before_the_provider_was_heard_from_and_a_person_is_told(house: Deps):
    careful = in_production(house)
    change(house, "DELETE FROM handover")
    enqueue(house, letter(house), people(house, 3))
    go(careful)
    assert states(house) == {"ready": 3}
    upkeep.listen(careful)
    assert "Point its event webhook here" in one(house, "SELECT detail FROM notice WHERE resolved_at IS NULL").detail
    change(house, """INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
        SELECT min(id), 'receipts', 'accepted', now(), now() FROM mailing""")  # fmt: skip
    upkeep.listen(careful)
    go(careful)
    assert states(house) == {"handed": 3}
    assert rows(house, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []


def test_a_provider_that_falls_silent_stops_campaigns_until_it_speaks(house: Deps):
    careful = in_production(house)
    change(house, "UPDATE handover SET heard_at = now() - interval '9 hours'")
    enqueue(house, letter(house), people(house, 6))
    change(house, """INSERT INTO handover (mailing_id, lane, state, due_at, created_at)
        SELECT min(id), 'delivery', 'accepted', now(), now() - interval '8 hours' FROM mailing""")  # fmt: skip
    upkeep.listen(careful)
    go(careful)
    assert states(house) == {"ready": 6}
    assert one(house, "SELECT subject FROM notice WHERE resolved_at IS NULL").subject == "mail provider: silent"
    change(house, "UPDATE handover SET heard_at = now() WHERE heard_at IS NULL")
    upkeep.listen(careful)
    go(careful)
    assert states(house) == {"handed": 6}


# What an answer means.


def test_one_bad_address_among_a_thousand_fails_alone(house: Deps):
    ids = people(house, 1000)
    change(house, "UPDATE contact SET email = 'bad@bad.example.org' WHERE id = :id", id=ids[617])
    bad = Answer("bad", detail="SendGrid: HTTP 400")
    mailer = house.mailer
    mailer.answer = lambda _: (
        bad if any(copy.to_email == "bad@bad.example.org" for copy in mailer.requests[-1][1]) else None
    )
    enqueue(house, letter(house), ids)
    for _ in range(3):
        go(house)
    assert states(house) == {"handed": 999, "failed": 1}
    assert one(house, "SELECT contact_id FROM message WHERE state = 'failed'").contact_id == ids[617]
    assert len(mailer.requests) <= 24  # halves, not one by one
    assert Counter(each.to_email for _, each in mailer.accepted).most_common(1)[0][1] == 1
    assert len(rows(house, "SELECT 1 FROM notice")) == 1


def test_letters_that_the_provider_names_fail_and_the_others_go_at_once(house: Deps):
    mailer = house.mailer
    mailer.answer = lambda _: Answer("bad", detail="named", culprits=(3, 7)) if len(mailer.requests) == 1 else None
    enqueue(house, letter(house), people(house, 20))
    go(house)
    assert [len(copies) for _, copies in mailer.requests] == [20, 18]
    assert states(house) == {"handed": 18, "failed": 2}


@pytest.mark.parametrize("culprits", [(99,), tuple(range(20)), (-1,)])
def test_names_that_make_no_sense_are_not_believed(house: Deps, culprits: tuple[int, ...]):
    mailer = house.mailer
    mailer.answer = lambda _: Answer("bad", detail="?", culprits=culprits) if len(mailer.requests) == 1 else None
    enqueue(house, letter(house), people(house, 20))
    go(house)
    assert [len(copies) for _, copies in mailer.requests] == [20, 10, 10]
    assert states(house) == {"handed": 20}


def test_who_is_asked_to_wait_waits_and_no_letter_is_held_against_it(house: Deps):
    house.mailer.answer = lambda _: Answer("busy", detail="429", wait_seconds=90)
    enqueue(house, letter(house), people(house, 20))
    go(house)
    go(house)
    assert len(house.mailer.requests) == 1
    assert tuple(one(house, "SELECT reason, until, receipts_too FROM mail_hold")) == (
        "busy",
        NOW + timedelta(seconds=90),
        True,
    )
    house.mailer.answer = lambda _: None
    house.clock.skip(timedelta(seconds=91))
    go(house)
    assert states(house) == {"handed": 20}
    assert one(house, "SELECT lifted_at FROM mail_hold").lifted_at is not None


def test_a_key_that_is_refused_stops_everything_tells_a_person_and_is_tried_again(house: Deps):
    house.mailer.answer = lambda _: Answer("closed", detail="SendGrid: HTTP 401")
    enqueue(house, letter(house), people(house, 20))
    go(house)
    go(house)
    delivery.hand_over(house, bell.RECEIPTS)
    assert len(house.mailer.requests) == 1
    assert tuple(one(house, "SELECT kind, subject, detail FROM notice")) == (
        "mail stopped",
        "mail provider: key",
        "SendGrid: HTTP 401",
    )
    house.mailer.answer = lambda _: None
    house.clock.skip(timedelta(minutes=6))
    go(house)
    assert states(house) == {"handed": 20}
    assert one(house, "SELECT resolved_at FROM notice").resolved_at is not None


def test_a_letter_too_long_to_travel_with_others_goes_alone_and_whole(house: Deps):
    ids = people(house, 10)
    mailing = (
        letter(house, markdown="Dear {{ first_name }}, {{ custom.story | default('none') }}")
        if _story(house, ids[4])
        else 0
    )
    enqueue(house, mailing, ids)
    house.mailer.most_substitution_bytes = 600
    go(house)
    assert [len(copies) for _, copies in house.mailer.requests] == [9, 1]
    assert house.mailer.requests[1][1][0].substitutions == {}
    assert "once upon a time" in house.mailer.accepted[-1][1].html
    assert states(house) == {"handed": 10}


def test_a_letter_that_does_not_render_fails_alone_and_the_mailing_is_told_of_once(house: Deps):
    ids = people(house, 10)
    mailing = letter(house)
    change(house, "UPDATE mailing SET body_html = body_html || '{{ nobody_knows }}' WHERE id = :id", id=mailing)
    enqueue(house, mailing, ids[:5])
    enqueue(house, mailing, ids[5:], facts='{"nobody_knows": "somebody"}')
    go(house)
    assert states(house) == {"failed": 5, "handed": 5}
    assert len(rows(house, "SELECT 1 FROM notice")) == 1


# The circuit breaker.


def test_a_mailing_of_which_too_many_are_refused_is_paused_and_can_be_resumed(house: Deps):
    enqueue(house, letter(house, "bad"), people(house, 40))
    house.mailer.most_copies = 1
    house.mailer.answer = lambda _: Answer("bad", detail="SendGrid: HTTP 400 (content)")
    for _ in range(3):
        go(house)
    assert states(house) == {"failed": 11, "ready": 29}
    paused = one(house, "SELECT paused_because FROM mailing WHERE paused_at IS NOT NULL")
    assert paused.paused_because == "the provider refused 11 of 11"
    assert one(house, "SELECT subject FROM notice WHERE kind = 'mailing paused'").subject == "bad"
    house.mailer.answer = lambda _: None
    with house.work() as (session, _):
        breaker.resume(session, "bad")
    for _ in range(3):
        go(house)
    assert states(house) == {"failed": 11, "handed": 29}


def test_while_an_account_is_suspended_campaigns_wait_and_receipts_do_not(house: Deps):
    with house.work() as (session, now):
        session.execute(text("INSERT INTO mail_hold (reason, since) VALUES ('suspended', :now)"), {"now": now})
    enqueue(house, letter(house), people(house, 3))
    go(house)
    assert states(house) == {"ready": 3}
    with house.work() as (session, now):
        holds.lift(session, now)
    go(house)
    assert states(house) == {"handed": 3}


def test_settings_name_the_limits():
    settings = Settings()
    assert (settings.letters_a_day, settings.letters_a_week, settings.letters_a_week_fewer) == (2, 5, 1)
