"""People in sequences take their steps: letters, waits, tags, rests, words to leads; what is asked of them at each."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from tests.campaigns import NOW, go, letter, people
from tests.flows.house import change, one, rows
from tests.make import gift
from tests.sequences import alone, enrol, publish, step
from workers import outreach, pulse

DAY = timedelta(days=1)
CALL = ({"key": "write", "email": "call"}, {"key": "pause", "wait": "3 days"}, {"key": "again", "email": "call_again"})
ASK = ({"key": "ask", "ask": "please"}, {"key": "pause", "wait": "3 days"}, {"key": "again", "ask": "once_more"})
AWAKE = datetime.fromisoformat("2026-11-03T13:00Z")  # in Worcester, whose people sleep at NOW


@pytest.fixture(name="deps")
def _deps(deps: Deps) -> Deps:
    return alone(deps)


def letters(deps: Deps, columns: str = "step", where: str = "version_id <> 0") -> list[Any]:
    found = rows(deps, f"SELECT {columns} FROM message WHERE {where} ORDER BY contact_id, id")
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def places(deps: Deps, columns: str = "state, step") -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows(deps, f"SELECT {columns} FROM enrollment ORDER BY contact_id, id")]


def gives(deps: Deps, *contact_ids: int, at: datetime | None = None, **terms: Any) -> None:
    """A gift of each of these becomes known now."""
    found = rows(deps, f"SELECT email FROM contact WHERE id IN ({', '.join(map(str, contact_ids))})")
    with deps.work() as (session, now):
        told = [gift(donor=Person(email=row.email), paid_at=at or now, **terms) for row in found]
        deps.react(session, told, now)


# Letters and waits.


def test_she_gets_a_letter_waits_and_gets_the_next(deps: Deps):
    enrol(deps, publish(deps, *CALL), people(deps, 2))
    step(deps)
    assert letters(deps) == ["write"] * 2
    assert places(deps, "state, step, due_at") == [("active", "again", NOW + 3 * DAY)] * 2
    step(deps, 3 * DAY - timedelta(seconds=1))
    assert letters(deps) == ["write"] * 2
    step(deps, timedelta(seconds=1))
    assert letters(deps) == ["write", "again"] * 2
    assert places(deps, "state, step, reason, ended_at") == [("finished", "", "", NOW + 3 * DAY)] * 2
    told = one(deps, "SELECT history FROM enrollment LIMIT 1").history
    assert [each[:2] for each in told] == [["write", "written"], ["pause", "waited"], ["again", "written"]]
    assert [each[3] for each in told] == [int(NOW.timestamp())] * 2 + [int((NOW + 3 * DAY).timestamp())]


def test_a_letter_of_a_campaign_says_of_which_run_step_and_version_it_is(deps: Deps):
    asked = publish(deps, {"key": "ask", "ask": "please", "expires": "2 days", "at_cap": "drop"}, campaign=True)
    enrol(deps, asked, people(deps, 1))
    step(deps)
    found = one(deps, "SELECT m.*, l.fund_id AS of_letter FROM message m, letter l WHERE l.slug = 'please'")
    said = (found.occasion, found.version_id, found.campaign_id, found.step, found.at_cap, found.kind, found.lane)
    assert said == (f"campaign:{asked.campaign_id}:1:ask", asked.version_id, asked.campaign_id, "ask", "drop", "asks",
                    "delivery")  # fmt: skip
    assert (found.fund_id, found.due_at, found.expires_at) == (found.of_letter, AWAKE, NOW + 2 * DAY)
    assert found.chapter_id == one(deps, "SELECT id FROM chapter WHERE slug = 'worcester'").id
    assert (found.state, found.facts, found.inbound_event_id) == ("ready", {}, None)


def test_a_letter_of_an_event_has_her_rotation_and_what_let_her_in(deps: Deps):
    joined = publish(deps, *CALL[:1], on="joined")
    enrol(deps, joined, people(deps, 1), rotation=2)
    change(deps, """UPDATE enrollment SET facts = '{"why": "near you"}'""")
    step(deps)
    found = one(deps, "SELECT occasion, campaign_id, facts FROM message")
    assert tuple(found) == (f"step:{joined.sequence_id}:write:2", 0, {"why": "near you"})


def test_each_reads_it_in_her_language_if_it_is_written_in_that(deps: Deps):
    letter(deps, "spanish")
    change(
        deps,
        """INSERT INTO mailing (slug, letter_id, language, subject, body_html, body_text)
        SELECT 'spanish.es', letter_id, 'es', 'Hola', '', '' FROM mailing WHERE slug = 'spanish'""",
    )
    ids = people(deps, 3)
    change(deps, "UPDATE contact SET language = CASE id WHEN :a THEN 'es' WHEN :b THEN 'pt' ELSE 'en' END",
           a=ids[0], b=ids[1])  # fmt: skip
    enrol(deps, publish(deps, {"key": "write", "email": "spanish"}), ids)
    step(deps)
    found = rows(
        deps, "SELECT w.slug, m.language FROM message m JOIN mailing w ON w.id = m.mailing_id ORDER BY contact_id"
    )
    assert [tuple(row) for row in found] == [("spanish.es", "es"), ("spanish", "en"), ("spanish", "en")]


def test_variants_and_those_held_out_are_the_same_whoever_asks_and_are_counted(deps: Deps):
    split = {"key": "ask", "holdout": 30, "email": True,
             "variants": [{"key": "a", "letter": "short"}, {"key": "b", "letter": "long", "weight": 3}]}  # fmt: skip
    ids = people(deps, 200)
    published = publish(deps, split, campaign=True)
    enrol(deps, published, ids)
    step(deps)
    first = letters(deps, "contact_id, mailing_id")
    assert 110 <= len(first) <= 170
    tally = rows(deps, "SELECT variant, composed FROM step_tally ORDER BY variant")
    assert sum(row.composed for row in tally) == len(first)
    assert tally[0].composed * 1.5 < tally[1].composed
    counted = one(deps, f"SELECT finished, left_early FROM campaign WHERE id = {published.campaign_id}")
    assert tuple(counted) == (200, 0)
    change(deps, "DELETE FROM message")
    change(deps, "UPDATE enrollment SET state = 'active', step = 'ask', rotation = 2")
    step(deps)
    assert letters(deps, "contact_id, mailing_id") == first


def test_a_letter_waits_for_the_morning_where_she_lives_and_where_nobody_knows_where_her_chapter_does(deps: Deps):
    ids = people(deps, 4)
    zones = ["America/Los_Angeles", "", "Nowhere/At_All", "America/New_York"]
    for contact_id, zone in zip(ids, zones, strict=True):
        change(deps, "UPDATE contact SET time_zone = :zone WHERE id = :id", id=contact_id, zone=zone)
    change(
        deps,
        """UPDATE chapter SET time_zone = 'America/Denver'
        WHERE id = (SELECT parent_id FROM chapter WHERE slug = 'worcester')""",
    )
    enrol(deps, publish(deps, *CALL), ids)
    step(deps)
    hours = [(due - NOW) // timedelta(hours=1) for due in letters(deps, "due_at")]
    assert hours == [
        4,
        3,
        1,
        1,
    ]  # eight in the morning on each of these clocks; a zone that is none is the organisation's


# What is asked of her at each step.


def test_a_rule_lets_her_pass_or_skip_a_step(deps: Deps):
    ids = people(deps, 2)
    gives(deps, ids[0])
    thanks = {"key": "thank", "email": "thanks", "if": {"op": "gave", "within": "1 day"}}
    chapter = {"key": "town", "tag": "of worcester", "if": {"op": "chapter", "chapter": "worcester"}}
    enrol(deps, publish(deps, thanks, chapter), ids)
    step(deps)
    assert letters(deps, "contact_id, step") == [(ids[0], "thank")]
    assert one(deps, f"SELECT history FROM enrollment WHERE contact_id = {ids[1]}").history[0][:2] == [
        "thank",
        "skipped",
    ]
    assert rows(deps, "SELECT count(*) FROM contact WHERE custom -> 'tags' @> '\"of worcester\"'") == [(2,)]


def test_whoever_gave_since_she_entered_leaves_before_the_next_ask(deps: Deps):
    before, since, instalment, elsewhere, later = people(deps, 5)
    gives(deps, before, at=NOW - DAY)
    published = publish(deps, *ASK, goal="gave", campaign=True)
    enrol(deps, published, [before, since, instalment, elsewhere, later])
    step(deps)
    deps.clock.skip(DAY)
    gives(deps, since)
    gives(deps, instalment, recurring_period="monthly", sequence=3, plan_key="plan-1")
    gives(deps, elsewhere, entity_id=99999)
    step(deps, 2 * DAY)
    assert letters(deps, "contact_id", "step = 'again'") == [before, instalment, elsewhere, later]
    assert places(deps, "state, reason") == [
        ("finished", ""), ("left", "gave"), ("finished", ""), ("finished", ""), ("finished", ""),
    ]  # fmt: skip
    assert tuple(one(deps, "SELECT finished, left_early FROM campaign")) == (4, 1)


def test_a_rule_can_be_the_goal_and_another_the_way_out(deps: Deps):
    ids = people(deps, 3)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=ids[0])
    change(deps, """UPDATE contact SET custom = '{"moved": "yes"}' WHERE id = :id""", id=ids[1])
    rules = {
        "goal": {"op": "language", "language": "es"},
        "exit_when": {"op": "custom", "field": "moved", "known": True},
    }
    enrol(deps, publish(deps, *CALL, **rules), ids)
    step(deps)
    assert letters(deps, "contact_id") == [ids[2]]
    assert places(deps, "state, reason") == [("left", "goal reached"), ("left", "left by its rule"), ("active", "")]


def test_a_chapter_that_got_a_new_town_has_it_at_the_next_step(deps: Deps):
    (who,) = people(deps, 1)
    rule = {"op": "chapter", "chapter": "springfield"}
    enrol(deps, publish(deps, *CALL[:2], {"key": "town", "email": "town", "if": rule}), [who])
    step(deps)
    change(
        deps,
        """UPDATE chapter SET parent_id = (SELECT id FROM chapter WHERE slug = 'springfield')
        WHERE slug = 'worcester'""",
    )
    step(deps, 3 * DAY)
    assert letters(deps) == ["write", "town"]


@pytest.mark.parametrize(("gone", "reason"), [
    ("erased_at = now()", "erased"), ("email = NULL", "no address"),
])  # fmt: skip
def test_who_is_gone_leaves_whatever_comes_next(deps: Deps, gone: str, reason: str):
    ids = people(deps, 2)
    enrol(deps, publish(deps, *CALL), ids[:1])
    change(deps, f"UPDATE contact SET {gone} WHERE id = :id", id=ids[0])
    step(deps)
    assert letters(deps) == []
    assert places(deps, "state, reason") == [("left", reason)]


def test_a_deadline_of_the_campaign_goes_before_that_of_the_sequence(deps: Deps):
    steps = ({"key": "wait", "wait": "2 days before deadline at 09:00"}, {"key": "write", "email": "call"})
    own = publish(deps, *steps, deadline=None)
    enrol(deps, own, people(deps, 1))
    step(deps)
    assert places(deps, "state, reason") == [("left", "there is no deadline to count from")]
    said = publish(deps, *steps, campaign=True, deadline=datetime.fromisoformat("2026-11-10T05:00Z"))
    enrol(deps, said, people(deps, 1))
    step(deps)
    assert places(deps, "due_at")[1] == (datetime.fromisoformat("2026-11-08T14:00Z"),)


# Tags, rests, leads.


def test_what_she_is_called_already_she_is_called_once(deps: Deps):
    ids = people(deps, 3)
    for contact_id, custom in zip(
        ids, ('{"tags": ["old", "caller"]}', '{"tags": "a word", "x": 1}', "{}"), strict=True
    ):
        change(deps, "UPDATE contact SET custom = CAST(:custom AS jsonb) WHERE id = :id", id=contact_id, custom=custom)
    tags = ({"key": "one", "tag": "caller"}, {"key": "two", "tag": "kind"}, {"key": "three", "tag": "kind"})
    enrol(deps, publish(deps, *tags), ids)
    step(deps)
    found = [row.custom for row in rows(deps, "SELECT custom FROM contact WHERE custom <> '{}' ORDER BY id")]
    assert found == [
        {"tags": ["old", "caller", "kind"]}, {"tags": ["caller", "kind"], "x": 1}, {"tags": ["caller", "kind"]},
    ]  # fmt: skip


def test_a_stop_can_let_her_rest_until_she_does_something(deps: Deps):
    ids = people(deps, 2)
    enrol(deps, publish(deps, {"key": "end", "stop": {"rest": True}}, *CALL), ids)
    step(deps)
    assert letters(deps) == []
    assert places(deps, "state, reason") == [("finished", "stopped")] * 2
    assert rows(deps, "SELECT DISTINCT rested_at FROM contact WHERE rested_at IS NOT NULL") == [(NOW,)]


def lead(deps: Deps, contact_id: int, chapter: str) -> int:
    change(deps, "INSERT INTO chapter_lead (chapter_id, contact_id) SELECT id, :id FROM chapter WHERE slug = :slug",
           id=contact_id, slug=chapter)  # fmt: skip
    return contact_id


def test_leads_of_the_nearest_chapter_that_has_any_are_told_once_a_day_and_of_nobody_by_name(deps: Deps):
    change(deps, "DELETE FROM chapter_lead")
    ann, bea, root = people(deps, 3)
    above = one(deps, "SELECT p.slug FROM chapter h JOIN chapter p ON p.id = h.parent_id WHERE h.slug = 'lowell'").slug
    lead(deps, ann, "worcester"), lead(deps, bea, above), lead(deps, root, "massachusetts")
    tell = publish(deps, {"key": "tell", "notify": "somebody_came"}, {"key": "write", "email": "call"})
    enrol(deps, tell, [*people(deps, 2), *people(deps, 1, "lowell")])
    step(deps)
    told = rows(deps, "SELECT contact_id, occasion, chapter_id, facts, at_cap, version_id FROM message WHERE step = ''")
    day = f"notify:{tell.sequence_id}:tell:2026-11-03"
    assert {(row.contact_id, row.occasion, row.at_cap, row.version_id) for row in told} == {
        (ann, day, "exempt", 0), (bea, day, "exempt", 0),
    }  # fmt: skip
    assert all(set(row.facts) == {"home", "staff_url"} for row in told)
    enrol(deps, tell, people(deps, 1))
    step(deps, timedelta(hours=1))
    assert len(letters(deps, where="step = ''")) == 2
    enrol(deps, tell, people(deps, 1))
    step(deps, DAY)
    assert len(letters(deps, where="step = ''")) == 3


def test_whose_lead_is_just_being_merged_or_erased_stays_where_she_is_for_a_moment(deps: Deps):
    change(deps, "DELETE FROM chapter_lead")
    lead(deps, people(deps, 1)[0], "worcester")
    enrol(
        deps, publish(deps, {"key": "tell", "notify": "somebody_came"}), [*people(deps, 1), *people(deps, 1, "lowell")]
    )
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM contact WHERE id IN (SELECT contact_id FROM chapter_lead) FOR UPDATE"))
        step(deps)
        assert places(deps, "state, step") == [("active", "tell"), ("finished", "")]
    step(deps)
    assert places(deps, "state, step") == [("finished", "")] * 2
    assert len(letters(deps, where="step = ''")) == 1


# What stands still, and what goes on.


def test_what_is_paused_or_cancelled_stands_still_and_does_not_keep_the_rest(deps: Deps):
    lines = [publish(deps, *CALL), publish(deps, *CALL, campaign=True), publish(deps, *CALL, campaign=True)]
    for line in lines:
        enrol(deps, line, people(deps, 1))
    change(deps, "UPDATE sequence SET paused_at = now() WHERE id = :id", id=lines[0].sequence_id)
    change(deps, "UPDATE campaign SET paused_at = now() WHERE id = :id", id=lines[1].campaign_id)
    enrol(deps, publish(deps, *CALL), people(deps, 1))
    change(deps, "UPDATE campaign SET state = 'cancelled' WHERE id = :id", id=lines[2].campaign_id)
    step(deps)
    assert places(deps, "step") == [("write",)] * 3 + [("again",)]
    change(deps, "UPDATE sequence SET paused_at = NULL")
    change(deps, "UPDATE campaign SET paused_at = NULL")
    step(deps)
    assert places(deps, "step") == [("again",)] * 2 + [("write",), ("again",)]


def test_the_pulse_rings_while_somebody_is_due_whose_line_does_not_stand_still(deps: Deps):
    called = publish(deps, *CALL)
    assert "outreach" not in pulse.beat(deps)
    enrol(deps, called, people(deps, 1), due=NOW + DAY)
    assert "outreach" not in pulse.beat(deps)
    deps.clock.skip(DAY)
    assert "outreach" in pulse.beat(deps)
    assert "outreach" in deps.bells.rung
    change(deps, "UPDATE sequence SET paused_at = now()")
    assert "outreach" not in pulse.beat(deps)


def test_while_it_is_being_cancelled_nobody_begins_a_step(deps: Deps):
    called = publish(deps, *CALL, campaign=True)
    enrol(deps, called, people(deps, 1))
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM campaign FOR UPDATE"))
        assert not outreach.step(deps)
    assert letters(deps) == []
    step(deps)
    assert letters(deps) == ["write"]


def test_a_large_line_does_not_make_a_small_one_wait(deps: Deps):
    large, small = publish(deps, *CALL, campaign=True), publish(deps, *CALL)
    enrol(deps, large, people(deps, 3000), due=NOW - DAY)
    enrol(deps, small, people(deps, 1))
    for _ in range(60):
        if letters(deps, where=f"version_id = {small.version_id}"):
            break
        change(deps, "UPDATE enrollment SET due_at = :due, step = 'write', state = 'active' WHERE campaign_id <> 0",
               due=NOW - DAY)  # fmt: skip
        outreach.step(deps)
    assert len(letters(deps, where=f"version_id = {small.version_id}")) == 1


def test_a_line_whose_rule_names_what_there_is_no_more_waits_for_a_person(deps: Deps):
    rule = {"op": "chapter", "chapter": "lost-town"}
    enrol(deps, publish(deps, {"key": "write", "email": "call", "if": rule}, campaign=True), people(deps, 1))
    step(deps)
    assert letters(deps) == []
    assert one(deps, "SELECT paused_because FROM campaign").paused_because == "there is no chapter lost-town"
    told = one(deps, "SELECT kind, detail FROM notice")
    assert told.kind == "campaign paused"
    assert told.detail.startswith(
        "there is no chapter lost-town; when that is put right: `groundswell campaigns resume "
    )


# What she waits for.


def test_a_gift_that_she_waits_for_lets_her_go_on_at_once_and_time_does_so_later(deps: Deps):
    gave, waited = people(deps, 2)
    wait = {"key": "wait", "wait_for": {"event": "gave", "within": "5 days"}}
    enrol(deps, publish(deps, *CALL[:1], wait, CALL[2]), [gave, waited])
    step(deps)
    assert places(deps, "step, waits_for, due_at") == [("again", "gave", NOW + 5 * DAY)] * 2
    deps.clock.skip(DAY)
    deps.bells.rung.clear()
    gives(deps, gave)
    step(deps)
    assert letters(deps, "contact_id", "step = 'again'") == [gave]
    step(deps, 4 * DAY)
    assert letters(deps, "contact_id", "step = 'again'") == [gave, waited]
    told = [[each[1] for each in row[0]] for row in places(deps, "history")]
    assert told == [["written", "heard", "written"], ["written", "timed out", "written"]]


def test_letters_that_are_composed_leave_when_she_is_awake(deps: Deps):
    enrol(deps, publish(deps, *CALL), people(deps, 2))
    step(deps)
    go(deps)
    assert deps.mailer.accepted == []
    deps.clock.skip(timedelta(hours=1))
    go(deps)
    assert len(deps.mailer.accepted) == 2
