"""How often somebody hears from all of us, and which letter goes first where she may not have both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.outreach import claims, goals, lines
from engine.outreach.arbitration import BEHIND, CAPPED, quiet_hours
from tests.campaigns import NOW, enqueue, go, letter, people
from tests.flows.house import change, one, rows
from tests.letters_of_sequences import campaign_says, queue, stands
from tests.sequences import Published, publish

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MAIL = {"key": "write", "email": "news"}


def capped(deps: Deps, **settings: Any) -> Deps:
    """A house in which everybody gets one letter a day."""
    return replace(deps, settings=deps.settings.model_copy(update={"letters_a_day": 1, **settings}))


def entered(deps: Deps) -> Published:
    """What people enter by themselves; it comes at any hour."""
    return publish(deps, MAIL, on="joined", quiet_hours=None)


def launched(deps: Deps, **says: Any) -> Published:
    """What was launched."""
    found = publish(deps, MAIL, campaign=True, quiet_hours=None)
    if says:
        campaign_says(deps, found, **says)
    return found


def due(deps: Deps, message_id: int) -> datetime:
    found: datetime = one(deps, f"SELECT due_at FROM message WHERE id = {message_id}").due_at
    return found


def test_a_letter_of_a_campaign_waits_for_one_of_a_sequence_that_is_due_within_the_day(deps: Deps):
    house, ids = capped(deps), people(deps, 1)
    (blast,) = queue(deps, launched(deps), ids)
    (drip,) = queue(deps, entered(deps), ids, due=NOW + 5 * HOUR)
    go(house)
    assert (*stands(deps, blast), due(deps, blast)) == ("ready", BEHIND, NOW + 5 * HOUR)
    deps.clock.skip(5 * HOUR)
    go(house)
    assert stands(deps, drip)[0] == "handed"
    assert (*stands(deps, blast), due(deps, blast)) == ("ready", CAPPED, NOW + 5 * HOUR + DAY)
    deps.clock.skip(DAY)
    go(house)
    assert stands(deps, blast)[0] == "handed"


def test_it_does_not_wait_while_she_may_have_both_nor_for_what_comes_later_than_that(deps: Deps):
    both, later = people(deps, 2)
    blast, drip = launched(deps), entered(deps)
    first = queue(deps, blast, [both, later])
    queue(deps, drip, [both], due=NOW + HOUR)
    go(deps)  # two a day
    assert [stands(deps, each)[0] for each in first] == ["handed", "handed"]
    other = launched(deps)
    queue(deps, drip, [later], due=NOW + 26 * HOUR)
    (second,) = queue(deps, other, [later], due=NOW + HOUR)
    deps.clock.skip(HOUR)
    go(deps)
    assert stands(deps, second)[0] == "handed"


def test_a_step_that_drops_does_not_wait(deps: Deps):
    house, ids = capped(deps), people(deps, 2)
    blast, drip, before = launched(deps), entered(deps), entered(deps)
    queue(deps, before, ids[1:])
    go(house)
    behind, full = queue(deps, blast, ids, at_cap="drop")
    queue(deps, drip, ids[:1], due=NOW + HOUR)
    go(house)
    assert stands(deps, behind) == ("skipped", BEHIND)
    assert stands(deps, full) == ("skipped", CAPPED)


def test_what_is_dropped_at_the_cap_waits_for_the_morning_first(deps: Deps):
    house, ids = capped(deps), people(deps, 1)
    queue(deps, entered(deps), ids)
    go(house)
    (late,) = queue(deps, publish(deps, MAIL, campaign=True), ids, at_cap="drop", due=NOW + 14 * HOUR)
    deps.clock.skip(14 * HOUR)  # 21:00 where she lives; at eight, she may have another
    go(house)
    assert stands(deps, late)[0] == "ready"
    deps.clock.skip(11 * HOUR)
    go(house)
    assert stands(deps, late)[0] == "handed"


def test_an_exempt_letter_comes_all_the_same_and_the_others_let_it_go_first(deps: Deps):
    house, ids = capped(deps), people(deps, 2)
    drip, must = entered(deps), entered(deps)
    queue(deps, entered(deps), ids[:1])
    go(house)
    (asked, soon) = queue(deps, must, ids, at_cap="exempt", due=NOW + HOUR)
    (_, behind) = queue(deps, drip, ids)
    go(house)
    assert stands(deps, behind) == ("ready", BEHIND)
    deps.clock.skip(HOUR)
    go(house)
    assert [stands(deps, each)[0] for each in (asked, soon)] == ["handed", "handed"]


def test_a_letter_of_a_sequence_does_not_wait_for_a_campaign(deps: Deps):
    house, ids = capped(deps), people(deps, 1)
    queue(deps, launched(deps), ids, due=NOW + HOUR)
    (drip,) = queue(deps, entered(deps), ids)
    go(house)
    assert stands(deps, drip)[0] == "handed"


def test_letters_of_no_sequence_wait_for_nobody_and_campaigns_wait_for_them(deps: Deps):
    house, ids = capped(deps), people(deps, 2)
    queue(deps, entered(deps), ids[:1], due=NOW + HOUR)
    (own,) = enqueue(deps, letter(deps), ids[:1])
    (blast,) = queue(deps, launched(deps), ids[1:])
    enqueue(deps, letter(deps), ids[1:], due=NOW + HOUR)
    go(house)
    assert stands(deps, own)[0] == "handed"
    assert stands(deps, blast) == ("ready", BEHIND)


def test_whether_national_campaigns_or_those_of_chapters_go_first_is_the_houses_to_say(deps: Deps):
    chapter = one(deps, "SELECT id FROM chapter WHERE slug = 'worcester'").id
    root = one(deps, "SELECT id FROM chapter WHERE parent_id IS NULL").id
    national, chapters = (launched(deps), launched(deps, chapter_id=root)), launched(deps, chapter_id=chapter)
    for number, (first, waiting) in enumerate({"national": "chapters", "chapter": "national", "equal": ""}.items()):
        mine, yours = people(deps, 2)
        (now_national,) = queue(deps, national[number % 2], [mine])
        (now_chapters,) = queue(deps, chapters, [yours])
        queue(deps, chapters, [mine], due=NOW + HOUR)
        queue(deps, national[1 - number % 2], [yours], due=NOW + HOUR)
        go(capped(deps, national_first=first))
        assert [stands(deps, each)[0] == "ready" for each in (now_national, now_chapters)] == [
            waiting == "national", waiting == "chapters",
        ], first  # fmt: skip


def test_what_is_urgent_goes_before_its_equals(deps: Deps):
    house, ids = capped(deps), people(deps, 1)
    (usual,) = queue(deps, launched(deps), ids)
    queue(deps, launched(deps, urgent="the vote is tomorrow"), ids, due=NOW + HOUR)
    go(house)
    assert stands(deps, usual) == ("ready", BEHIND)


OF_IT = "WHERE id = (SELECT {0}_id FROM message WHERE id = :id)"
STILL = {
    "its campaign is paused": f"UPDATE campaign SET paused_at = now() {OF_IT.format('campaign')}",
    "its campaign was cancelled": f"UPDATE campaign SET state = 'cancelled' {OF_IT.format('campaign')}",
    "its mailing is paused": f"UPDATE mailing SET paused_at = now() {OF_IT.format('mailing')}",
    "it expired": "UPDATE message SET expires_at = '2026-11-03T12:00Z' WHERE id = :id",
    "it has been stuck for a day": """WITH full_for_today AS (
        UPDATE chapter SET daily_letters = 0 WHERE slug = 'lowell' RETURNING id)
        UPDATE message SET due_at = '2026-11-02T11:59Z', chapter_id = (SELECT id FROM full_for_today) WHERE id = :id""",
    "it needs nobody's leave": "UPDATE message SET kind = '' WHERE id = :id",
}


def test_nobody_waits_for_a_letter_that_will_not_leave(deps: Deps):
    house, usual = capped(deps), launched(deps)
    for number, (why, statement) in enumerate(STILL.items()):
        ids = people(deps, 1)
        urgent = publish(deps, {"key": "write", "email": f"urgent-{number}"}, campaign=True, quiet_hours=None)
        campaign_says(deps, urgent, urgent="soon")
        (other,) = queue(deps, urgent, ids, due=NOW + HOUR)
        change(deps, statement, id=other)
        (mine,) = queue(deps, usual, ids)
        go(house)
        assert stands(deps, mine)[0] == "handed", why


def test_of_letters_that_are_due_at_once_the_more_important_one_leaves(deps: Deps):
    house, ids = capped(deps), people(deps, 30)
    blast = queue(deps, launched(deps), ids)
    urgent = queue(deps, launched(deps, urgent="tomorrow"), ids)
    drip = queue(deps, entered(deps), ids)
    go(house)
    assert {stands(deps, each)[0] for each in drip} == {"handed"}
    assert {stands(deps, each) for each in blast + urgent} == {("ready", CAPPED)}


def test_waiting_longer_than_it_may_it_does_not_come(deps: Deps):
    house, ids = capped(deps), people(deps, 1)
    queue(deps, entered(deps), ids, due=NOW + 5 * HOUR)
    (blast,) = queue(deps, launched(deps), ids, expires=NOW + 4 * HOUR)
    go(house)
    assert stands(deps, blast) == ("skipped", f"{BEHIND} until after its time")


# Nights.

MIDNIGHT = datetime(2026, 11, 4, 4, 30, tzinfo=UTC)  # 23:30 in Worcester


def test_the_quiet_hours_of_a_sequence_hold_for_its_letters(deps: Deps):
    deps.clock.now = MIDNIGHT
    ids = people(deps, 1)
    (quiet,) = queue(deps, publish(deps, MAIL, campaign=True), ids)
    (at_any,) = queue(deps, launched(deps), ids)
    go(deps)
    assert stands(deps, quiet) == ("ready", "it is night where she lives")
    assert due(deps, quiet) == datetime(2026, 11, 4, 13, tzinfo=UTC)
    assert stands(deps, at_any)[0] == "handed"


def test_of_what_is_urgent_the_night_is_short(deps: Deps):
    ids = people(deps, 5)
    for who, hours in zip(ids, (21, 22, 23, 6, 7), strict=True):  # of her day; it is noon in Greenwich
        east = (hours - NOW.hour + 11) % 24 - 11
        change(deps, "UPDATE contact SET time_zone = :zone WHERE id = :id", id=who, zone=f"Etc/GMT{-east:+d}")
    urgent = publish(deps, MAIL, campaign=True)
    campaign_says(deps, urgent, urgent="the vote is tomorrow")
    told = queue(deps, urgent, ids)
    go(deps)
    assert [stands(deps, each)[0] for each in told] == ["handed", "handed", "ready", "ready", "handed"]


@pytest.mark.parametrize(
    ("hours", "urgent", "left"),
    [
        ((21, 8), False, (21, 8)),
        ((21, 8), True, (23, 7)),
        ((22, 6), True, (23, 6)),
        ((0, 5), True, (0, 5)),
        ((12, 14), True, None),
        (None, True, None),
    ],
)
def test_urgency_shortens_quiet_hours_and_adds_none(
    hours: tuple[int, int] | None, urgent: bool, left: tuple[int, int] | None
):
    assert quiet_hours(hours, urgent=urgent) == left


def test_who_lives_nowhere_that_is_known_has_the_zone_of_the_nearest_chapter_that_says_one(deps: Deps):
    deps.clock.now = MIDNIGHT
    ids = people(deps, 3)
    change(deps, "UPDATE contact SET time_zone = '' WHERE id = ANY(:ids)", ids=ids)
    change(deps, "UPDATE chapter SET time_zone = 'America/Los_Angeles' WHERE parent_id IS NULL")  # 20:30
    change(deps, "UPDATE contact SET chapter_id = NULL WHERE id = :id", id=ids[1])
    own = one(deps, "SELECT id FROM chapter WHERE slug = 'lowell'").id
    change(deps, "UPDATE chapter SET time_zone = 'America/Chicago' WHERE id = :id", id=own)  # 22:30
    change(deps, "UPDATE contact SET chapter_id = :own WHERE id = :id", id=ids[2], own=own)
    queue(deps, publish(deps, MAIL, campaign=True), ids)
    go(deps)
    found = rows(deps, "SELECT state FROM message ORDER BY contact_id")
    assert [row.state for row in found] == ["handed", "ready", "ready"]


# By which index.


def read_by(deps: Deps, *instead: tuple[str, str]) -> str:
    """How Postgres would make the last look, when it takes what is ready for little; `instead`: in other words."""
    terms = claims.Terms(NOW, 1.0, 1000, "UTC", 1, 5, 1, production=False)
    with deps.work() as (session, _):
        session.execute(
            text("SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)")
        )
        (line, *_rest) = lines.due(session, claims._looked_for(terms), None)
        statement, values = claims._look(session, line, goals.load(session, [line.version_id]))
        asked = statement.text
        for words, others in instead:
            assert words in asked
            asked = asked.replace(words, others)
        return "\n".join(session.scalars(text(f"EXPLAIN {asked}"), values | claims._limits(terms)))


def test_each_persons_letters_are_found_by_her_however_few_are_believed_to_be_ready(deps: Deps):
    ids = people(deps, 300)
    before = launched(deps)
    queue(deps, before, ids)
    change(deps, "UPDATE message SET state = 'handed'")
    change(deps, "ANALYZE message")
    queue(deps, launched(deps), ids)
    found = read_by(deps)
    assert (found.count("message_waiting_idx"), found.count("message_delivery_due_idx")) == (1, 1)
    by_lane = read_by(deps, ("AND x.contact_id > 0", "AND x.lane = 'delivery'"))
    assert by_lane.count("message_delivery_due_idx") == 2, "this is what would be read for each person"
