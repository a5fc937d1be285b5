"""Whose letter is next, who waits for hers, and how many may leave: fair shares, caps, nights, warm-up, and limits."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import allowances
from engine.ports import Answer
from engine.settings import Settings
from tests.campaigns import ASK, NOW, enqueue, go, in_production, letter, people, states
from tests.fakes import FakeClock
from tests.flows.house import change, one, rows
from tests.readers import said
from workers import upkeep
from workers.pulse import SCHEDULE

# Whose turn it is.


def served(deps: Deps) -> list[str]:
    """The mailings of the handovers, in their order."""
    return [
        row.slug
        for row in rows(deps, "SELECT w.slug FROM handover h JOIN mailing w ON w.id = h.mailing_id ORDER BY h.id")
    ]


def test_a_large_campaign_does_not_make_a_small_one_wait(deps: Deps):
    deps.mailer.most_copies = 10
    enqueue(deps, letter(deps, "large"), people(deps, 60))
    enqueue(deps, letter(deps, "small"), people(deps, 10))
    go(deps)
    assert served(deps)[:2] == ["large", "small"]


def test_of_two_campaigns_each_is_served_in_turn_and_so_are_the_chapters_of_each(deps: Deps):
    deps.mailer.most_copies = 10
    many, few = letter(deps, "many"), letter(deps, "few")
    enqueue(deps, many, [*people(deps, 40), *people(deps, 20, "lowell"), *people(deps, 10, "springfield")])
    enqueue(deps, few, people(deps, 30))
    go(deps)
    assert served(deps)[:6] == ["many", "few"] * 3
    chapters = [row.slug for row in rows(deps, """SELECT DISTINCT ON (h.id) h.id, c.slug FROM handover h
        JOIN message m ON m.handover_id = h.id JOIN mailing w ON w.id = h.mailing_id JOIN chapter c ON c.id = m.chapter_id
        WHERE w.slug = 'many' ORDER BY h.id""")]  # fmt: skip
    assert Counter(chapters[:3]) == {"worcester": 1, "lowell": 1, "springfield": 1}


def test_what_has_priority_goes_first(deps: Deps):
    deps.mailer.most_copies = 10
    enqueue(deps, letter(deps, "usual"), people(deps, 30))
    enqueue(deps, letter(deps, "urgent"), people(deps, 30))
    change(deps, "UPDATE mailing SET priority = 1 WHERE slug = 'urgent'")
    go(deps)
    assert served(deps) == ["urgent"] * 3 + ["usual"] * 3


# Who waits.


def test_nobody_gets_more_than_the_house_allows_in_a_day_and_a_week(deps: Deps):
    (who,) = people(deps, 1)
    for number in range(9):
        enqueue(deps, letter(deps), [who], due=NOW + timedelta(minutes=number))
    for _ in range(9 * 24):
        go(deps)
        deps.clock.skip(timedelta(hours=1))
    times = [
        row.handed_at for row in rows(deps, "SELECT handed_at FROM message WHERE state = 'handed' ORDER BY handed_at")
    ]
    assert len(times) >= 7
    for span, most in ((timedelta(days=1), 2), (timedelta(days=7), 5)):
        for start in times:
            assert sum(start <= each < start + span for each in times) <= most


def test_who_asked_for_fewer_gets_one_a_week(deps: Deps):
    (who,) = people(deps, 1)
    with transaction(deps.sessions) as session:
        said(session, who, ("many", False))
    for _ in range(3):
        enqueue(deps, letter(deps), [who])
    for _ in range(15):
        go(deps)
        deps.clock.skip(timedelta(days=1))
    assert states(deps) == {"handed": 3}
    times = [row.handed_at for row in rows(deps, "SELECT handed_at FROM message ORDER BY handed_at")]
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(days=7)] * 2


def test_a_letter_that_would_be_too_late_when_she_may_have_it_is_skipped_and_says_so(deps: Deps):
    (who,) = people(deps, 1)
    for _ in range(2):
        enqueue(deps, letter(deps), [who])
    enqueue(deps, letter(deps), [who], expires=NOW + timedelta(hours=5))
    go(deps)
    go(deps)
    skipped = one(deps, "SELECT reason FROM message WHERE state = 'skipped'")
    assert skipped.reason == "had enough letters for now until after its time"


def test_two_workers_with_two_campaigns_hold_a_cap_of_one(deps: Deps):
    capped = replace(deps, settings=deps.settings.model_copy(update={"letters_a_day": 1}))
    ids = people(deps, 300)
    for _ in range(2):
        enqueue(deps, letter(deps), ids)
    go(capped)
    assert Counter(each.to_email for _, each in deps.mailer.accepted).most_common(1)[0][1] == 1
    assert states(deps) == {"handed": 300, "ready": 300}


@pytest.mark.parametrize(
    ("now", "quiet", "until"),
    [("2026-11-03T02:30Z", "21-8", "2026-11-03T13:00Z"), ("2026-11-03T12:59Z", "21-8", "2026-11-03T13:00Z"),
     ("2026-11-03T13:00Z", "21-8", None), ("2026-11-03T17:30Z", "12-13", "2026-11-03T18:00Z"),
     ("2026-11-03T18:00Z", "12-13", None),
     ("2026-03-08T06:30Z", "21-8", "2026-03-08T12:00Z"),  # the night in which clocks go forward
     ("2026-11-01T05:30Z", "21-8", "2026-11-01T13:00Z")],  # and that in which they go back
)  # fmt: skip
def test_a_letter_does_not_come_at_night_where_its_reader_lives(deps: Deps, now: str, quiet: str, until: str | None):
    deps.clock.now = datetime.fromisoformat(now)
    enqueue(deps, letter(deps, quiet_hours=quiet), people(deps, 1), due=deps.clock.now)
    go(deps)
    found = one(deps, "SELECT state, reason, due_at FROM message")
    if until is None:
        assert found.state == "handed"
    else:
        assert tuple(found) == ("ready", "it is night where she lives", datetime.fromisoformat(until))


def test_night_is_the_readers_own_and_the_houses_where_nobody_knows(deps: Deps):
    ids = people(deps, 3)
    deps.clock.now = datetime(2026, 11, 3, 4, 30, tzinfo=UTC)  # 23:30 in Boston, 20:30 in Oakland
    change(deps, "UPDATE contact SET time_zone = 'America/Los_Angeles' WHERE id = :id", id=ids[1])
    change(deps, "UPDATE contact SET time_zone = '' WHERE id = :id", id=ids[2])
    enqueue(deps, letter(deps, quiet_hours="21-8"), ids, due=deps.clock.now)
    go(deps)
    assert [row.state for row in rows(deps, "SELECT state FROM message ORDER BY contact_id")] == [
        "ready",
        "handed",
        "ready",
    ]


def test_a_gift_since_the_letter_was_written_takes_the_ask_back(deps: Deps):
    ids = people(deps, 4)
    mailing = letter(deps, markdown=ASK, kind="asks")
    enqueue(deps, mailing, ids, created=NOW - timedelta(days=1))
    give = """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor,
        recurring_period, sequence)
        SELECT 'actblue', CAST(:key AS text), :id, id, 2700, :at, '{}', :period, :sequence FROM fund WHERE slug = :fund"""
    gift = {"at": NOW - timedelta(hours=1), "fund": "action", "period": "once", "sequence": 0}
    change(deps, give, **gift | {"key": "a", "id": ids[0]})
    change(deps, give, **gift | {"key": "b", "id": ids[1], "fund": "pac"})  # to somebody else
    change(deps, give, **gift | {"key": "c", "id": ids[2], "period": "monthly", "sequence": 4})  # a later instalment
    change(deps, give, **gift | {"key": "d", "id": ids[3], "at": NOW - timedelta(days=2)})  # before
    go(deps)
    found = [tuple(row) for row in rows(deps, "SELECT state, reason FROM message ORDER BY contact_id")]
    assert found == [("cancelled", "gave")] + [("handed", "")] * 3


def test_news_goes_on_after_a_gift(deps: Deps):
    ids = people(deps, 1)
    enqueue(deps, letter(deps, form="common-ground"), ids, created=NOW - timedelta(days=1))
    change(deps, """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor)
        SELECT 'actblue', 'a', :id, id, 2700, :at, '{}' FROM fund WHERE slug = 'action'""", id=ids[0], at=NOW)  # fmt: skip
    go(deps)
    assert states(deps) == {"handed": 1}


# How many may leave.


def test_a_new_domain_is_warmed_up_with_those_who_did_something_most_recently(deps: Deps):
    ids = people(deps, 700)
    careful = in_production(deps)
    enqueue(deps, letter(deps), ids)
    go(careful)
    handed = [
        row.contact_id
        for row in rows(deps, "SELECT contact_id FROM message WHERE state = 'handed' ORDER BY contact_id")
    ]
    assert handed == ids[: allowances.FIRST_DAY]
    for _ in range(3):
        go(careful)
    assert states(deps) == {"handed": 480, "ready": 220}
    assert tuple(one(deps, "SELECT domain, warming_since FROM sending_domain")) == (
        "commonground.example.org",
        NOW.date(),
    )
    careful.clock.skip(timedelta(days=1))
    go(careful)
    assert states(deps) == {"handed": 700}


def test_a_domain_whose_first_day_is_to_come_sends_as_on_its_first(deps: Deps):
    with deps.work() as (session, now):
        allowances.warm(session, "commonground.example.org", now.date() + timedelta(days=3))
    enqueue(deps, letter(deps), people(deps, 500))
    for _ in range(2):
        go(deps)
    assert states(deps) == {"handed": 480, "ready": 20}


def test_a_domain_that_is_known_sends_as_much_as_there_is(deps: Deps):
    careful = in_production(deps)
    with deps.work() as (session, _):
        allowances.warm(session, "CommonGround.example.org", None)
    enqueue(deps, letter(deps), people(deps, 700))
    go(careful)
    assert states(deps) == {"handed": 700}


def test_the_allowance_grows_day_by_day_until_there_is_none():
    assert [allowances.allowed(day) for day in (0, 1, 2, 34, 35)] == [480, 672, 940, allowances.WARM_UP[-1], None]
    assert list(allowances.WARM_UP) == sorted(allowances.WARM_UP)


def test_one_chapter_cannot_use_up_what_all_share(deps: Deps):
    change(deps, "UPDATE chapter SET daily_letters = 30 WHERE slug = 'worcester'")
    enqueue(deps, letter(deps), [*people(deps, 100), *people(deps, 50, "lowell")])
    go(deps)
    handed = Counter(row.slug for row in rows(deps, """SELECT c.slug FROM message m JOIN chapter c ON c.id = m.chapter_id
        WHERE m.state = 'handed'"""))  # fmt: skip
    assert handed == {"worcester": 30, "lowell": 50}
    deps.clock.skip(timedelta(days=1))
    go(deps)
    assert states(deps) == {"handed": 110, "ready": 40}


def test_a_limit_of_the_root_holds_for_its_letters_by_whichever_way_they_name_it(deps: Deps):
    change(deps, "UPDATE chapter SET daily_letters = 30 WHERE parent_id IS NULL")
    mailing = letter(deps)
    enqueue(deps, mailing, people(deps, 20))
    change(deps, "UPDATE message SET chapter_id = (SELECT id FROM chapter WHERE parent_id IS NULL)")
    enqueue(deps, mailing, people(deps, 20))
    change(
        deps,
        "UPDATE message SET chapter_id = NULL WHERE chapter_id <> (SELECT id FROM chapter WHERE parent_id IS NULL)",
    )
    enqueue(deps, letter(deps), people(deps, 5))
    deps.mailer.answer = lambda _: Answer("bad", detail="400") if len(deps.mailer.requests) == 1 else None
    for _ in range(3):
        go(deps)
    assert states(deps) == {"handed": 35, "ready": 10}


@pytest.mark.parametrize("answer", [
    Answer("busy", detail="429", wait_seconds=1), Answer("away", detail="nobody there"), Answer("bad", detail="400"),
])  # fmt: skip
def test_what_the_provider_did_not_take_is_given_back_to_the_allowance_of_its_domain(deps: Deps, answer: Answer):
    careful, mailer = in_production(deps), deps.mailer
    mailer.answer = lambda _: answer if len(mailer.requests) == 1 else None
    enqueue(deps, letter(deps), people(deps, 700))
    go(careful)
    careful.clock.skip(timedelta(minutes=6))
    for _ in range(3):
        go(careful)
    assert states(deps) == {"handed": 480, "ready": 220}
    assert counted(deps) == {"domain commonground.example.org": 480, "chapter worcester": 480}


def test_what_came_back_is_given_back_to_the_allowance_of_its_chapter_and_of_the_day_it_was_counted_for(deps: Deps):
    change(deps, "UPDATE chapter SET daily_letters = 30 WHERE slug = 'worcester'")
    deps.clock.now = NOW.replace(hour=23, minute=59)
    ids = [*people(deps, 60), *people(deps, 20, "lowell")]
    enqueue(deps, letter(deps), ids)

    def late(_: int) -> Answer | None:
        if len(deps.mailer.requests) > 1:
            return None
        deps.clock.now = NOW + timedelta(days=1)
        return Answer("busy", detail="429", wait_seconds=1)

    deps.mailer.answer = late
    go(deps)
    assert {row.letters for row in rows(deps, f"SELECT letters FROM sent_count WHERE day = '{NOW.date()}'")} == {0}
    deps.clock.skip(timedelta(minutes=1))
    go(deps)
    assert counted(deps) == {
        "domain commonground.example.org": 50, "chapter worcester": 30, "chapter lowell": 20,
    }  # fmt: skip


def test_a_letter_that_does_not_render_costs_nothing_of_an_allowance(deps: Deps):
    mailing = letter(deps)
    change(deps, "UPDATE mailing SET body_html = body_html || '{{ nobody_knows }}' WHERE id = :id", id=mailing)
    enqueue(deps, mailing, people(deps, 4))
    enqueue(deps, mailing, people(deps, 6), facts='{"nobody_knows": "somebody"}')
    go(deps)
    assert states(deps) == {"failed": 4, "handed": 6}
    assert counted(deps) == {"domain commonground.example.org": 6, "chapter worcester": 6}


def counted(deps: Deps) -> dict[str, int]:
    """What was counted for the newest day, by the names of domains and chapters."""
    found = rows(deps, """SELECT coalesce('chapter ' || c.slug, s.scope) AS scope, s.letters FROM sent_count s
        LEFT JOIN chapter c ON s.scope = 'chapter ' || c.id WHERE s.day = (SELECT max(day) FROM sent_count)""")  # fmt: skip
    return {row.scope: row.letters for row in found}


def test_limits_of_a_second_let_so_many_go_and_the_rest_a_little_later(deps: Deps):
    slow = replace(
        deps, settings=deps.settings.model_copy(update={"mail_per_second": 40, "mail_domain_per_second": 30})
    )
    enqueue(deps, letter(deps), people(deps, 100))
    go(slow)
    assert states(deps) == {"handed": 30, "ready": 70}
    deps.limiter.counts.clear()  # a second later
    go(slow)
    assert states(deps) == {"handed": 60, "ready": 40}


def test_nothing_leaves_in_bulk_before_the_provider_was_heard_from_and_a_person_is_told(deps: Deps):
    careful = in_production(deps)
    change(deps, "DELETE FROM handover")
    enqueue(deps, letter(deps), people(deps, 3))
    go(careful)
    assert states(deps) == {"ready": 3}
    upkeep.listen(careful)
    assert "Point its event webhook here" in one(deps, "SELECT detail FROM notice WHERE resolved_at IS NULL").detail
    change(deps, """INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
        SELECT min(id), 'receipts', 'accepted', now(), now() FROM mailing""")  # fmt: skip
    upkeep.listen(careful)
    go(careful)
    assert states(deps) == {"handed": 3}
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []


def test_a_provider_that_falls_silent_stops_campaigns_until_it_speaks(deps: Deps):
    careful = in_production(deps)
    change(deps, "UPDATE handover SET heard_at = now() - interval '9 hours'")
    enqueue(deps, letter(deps), people(deps, 6))
    change(deps, """INSERT INTO handover (mailing_id, lane, state, due_at, created_at)
        SELECT min(id), 'delivery', 'accepted', now(), now() - interval '8 hours' FROM mailing""")  # fmt: skip
    upkeep.listen(careful)
    go(careful)
    assert states(deps) == {"ready": 6}
    later = replace(careful, clock=FakeClock(NOW + SCHEDULE["hearing"]))
    go(later)
    assert states(deps) == {"ready": 6}, "the hold ended before anybody looked again"
    assert one(deps, "SELECT subject FROM notice WHERE resolved_at IS NULL").subject == "mail provider: silent"
    change(deps, "UPDATE handover SET heard_at = now() WHERE heard_at IS NULL")
    upkeep.listen(careful)
    go(careful)
    assert states(deps) == {"handed": 6}


def test_settings_name_the_limits():
    settings = Settings()
    assert (settings.letters_a_day, settings.letters_a_week, settings.letters_a_week_fewer) == (2, 5, 1)
