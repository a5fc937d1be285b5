"""Who enters sequences by themselves: what happened, whose it is, whom `if` takes, how often; and once a day."""

from datetime import timedelta
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.outreach import enrolling
from engine.outreach.enrolling import Entrant
from tests.campaigns import NOW, people
from tests.flows.house import change, one, rows
from tests.sequences import alone, publish, step
from workers import entrances, upkeep

DAY = timedelta(days=1)
CALL = {"key": "write", "email": "call"}
LONG = ({"key": "pause", "wait": "10 days"}, CALL)


@pytest.fixture(name="deps")
def _deps(deps: Deps) -> Deps:
    return alone(deps)


def enter(deps: Deps, *contact_ids: int, trigger: str = "joined", **more: Any) -> list[str]:
    """That happened to these people; what followed."""
    with deps.work() as (session, now):
        happened = enrolling.enter(session, trigger, [Entrant(each, **more) for each in contact_ids], now)
    return [type(event).__name__ for event in happened]


def inside(deps: Deps, columns: str = "contact_id") -> list[Any]:
    found = rows(deps, f"SELECT {columns} FROM enrollment ORDER BY contact_id, id")
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def test_what_happens_opens_the_sequences_that_say_so(deps: Deps):
    ids = people(deps, 2)
    joined, _ = publish(deps, *LONG, on="joined"), publish(deps, CALL, on="gave")
    assert enter(deps, *ids, facts={"why": "near you"}, cause=17) == ["StepsDue"]
    found = inside(deps, "contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at, facts::text,"
                         " inbound_event_id")  # fmt: skip
    terms = (joined.version_id, joined.sequence_id, 0, 0, "pause", NOW, NOW, '{"why": "near you"}', 17)
    assert found == [(who, *terms) for who in ids]
    assert enter(deps, *ids, trigger="offered_help") == []


@pytest.mark.parametrize(("again", "days", "rotations"), [
    ("never", [0, 400], [0]), ("90 days", [0, 89, 90, 100], [0, 1]), ("always", [0, 0, 1], [0, 1, 2]),
])  # fmt: skip
def test_she_enters_again_as_the_sequence_says(deps: Deps, again: str, days: list[int], rotations: list[int]):
    (who,) = people(deps, 1)
    publish(deps, CALL, on="joined", again=again)
    for day in days:
        deps.clock.now = NOW + day * DAY
        enter(deps, who)
        step(deps)
    assert inside(deps, "rotation") == rotations
    occasions = [row.occasion.rpartition(":")[2] for row in rows(deps, "SELECT occasion FROM message ORDER BY id")]
    assert occasions == [str(each) for each in rotations]


def test_nobody_is_in_a_sequence_twice_at_a_time(deps: Deps):
    (who,) = people(deps, 1)
    publish(deps, *LONG, on="joined", again="always")
    assert enter(deps, who, who) == ["StepsDue"]
    assert enter(deps, who) == []
    change(deps, "UPDATE enrollment SET state = 'left'")
    assert enter(deps, who) == ["StepsDue"]
    assert inside(deps, "rotation") == [0, 1]


def test_a_chapters_sequence_takes_its_own_people_and_those_below_it(deps: Deps):
    below = one(
        deps, "SELECT p.slug FROM chapter h JOIN chapter p ON p.id = h.parent_id WHERE h.slug = 'worcester'"
    ).slug
    worcester, lowell = people(deps, 1)[0], people(deps, 1, "lowell")[0]
    town = publish(deps, CALL, on="joined", chapter="worcester")
    root = publish(deps, CALL, on="joined", chapter=below)
    enter(deps, worcester, lowell)
    found = inside(deps, "contact_id, sequence_id")
    assert (worcester, town.sequence_id) in found
    assert (lowell, town.sequence_id) not in found
    assert (worcester, root.sequence_id) in found


def test_of_those_to_whom_it_happened_its_rule_takes_some(deps: Deps):
    ids = people(deps, 3)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=ids[1])
    publish(deps, CALL, **{"on": "joined", "if": {"op": "language", "language": "es"}})
    enter(deps, *ids)
    assert inside(deps) == [ids[1]]


def test_nobody_enters_what_is_paused_archived_or_unpublished_or_while_there_is_nobody(deps: Deps):
    ids = people(deps, 4)
    for column in ("paused_at = now()", "archived_at = now()", "version = 0"):
        found = publish(deps, CALL, on="joined")
        change(deps, f"UPDATE sequence SET {column} WHERE id = :id", id=found.sequence_id)
    assert enter(deps, *ids) == []
    publish(deps, CALL, on="joined")
    change(deps, "UPDATE contact SET email = NULL WHERE id = :id", id=ids[0])
    change(deps, "UPDATE contact SET erased_at = now() WHERE id = :id", id=ids[1])
    change(deps, "UPDATE contact SET merged_into_id = :into WHERE id = :id", id=ids[2], into=ids[3])
    enter(deps, *ids, 987654321)
    assert inside(deps) == [ids[3]]


def test_a_new_version_takes_those_who_come_from_then_on(deps: Deps):
    ids = people(deps, 2)
    found = publish(deps, *LONG, on="joined")
    enter(deps, ids[0])
    newest = one(deps, f"""INSERT INTO sequence_version (sequence_id, version, definition, mailings, published_at)
        SELECT sequence_id, 2, definition, mailings, now() FROM sequence_version WHERE id = {found.version_id}
        RETURNING id""").id  # fmt: skip
    change(deps, "UPDATE sequence SET version = 2 WHERE id = :id", id=found.sequence_id)
    enter(deps, *ids)
    assert inside(deps, "contact_id, version_id") == [(ids[0], found.version_id), (ids[1], newest)]


def test_a_rule_that_names_what_there_is_no_more_lets_nobody_in_and_tells_a_person(deps: Deps):
    (who,) = people(deps, 1)
    publish(deps, CALL, **{"on": "joined", "if": {"op": "chapter", "chapter": "lost-town"}})
    other = publish(deps, CALL, on="joined")
    assert enter(deps, who) == ["HumanNeeded", "StepsDue"]
    assert inside(deps, "sequence_id") == [other.sequence_id]


# Once a day.


LAPSED = {"on": "daily", "if": {"op": "never_gave"}, "again": "30 days"}


def test_once_a_day_everybody_whom_the_rule_chooses_and_who_may_be_written_to_enters(deps: Deps):
    ids = people(deps, 5)
    change(deps, "UPDATE contact SET gave_count = 1 WHERE id = :id", id=ids[1])
    change(deps, """INSERT INTO consent (contact_id, channel, kind, given, at, source)
        VALUES (:id, 'mail', 'news', false, now(), 'preferences')""", id=ids[2])  # fmt: skip
    found = publish(deps, CALL, **LAPSED)
    entrances.look(deps)
    assert [who for who in inside(deps) if who in ids] == [ids[0], ids[3], ids[4]]
    assert set(inside(deps, "version_id")) == {found.version_id}
    step(deps)
    entrances.look(deps)
    deps.clock.skip(29 * DAY)
    entrances.look(deps)
    assert inside(deps, "rotation") == [0] * 3
    deps.clock.skip(DAY)
    entrances.look(deps)
    assert inside(deps, "rotation") == [0, 1] * 3


def test_cut_short_it_goes_on_at_its_bookmark_and_nobody_enters_twice(deps: Deps):
    ids = people(deps, 20)
    publish(deps, CALL, **LAPSED)
    change(deps, "INSERT INTO chore (name, due_at) VALUES ('entrances', now())")
    entrances.look(deps, turn_seconds=0, stretch=7)
    some = len(inside(deps))
    assert some < len(ids)
    assert one(deps, "SELECT due_at <= now() AS due FROM chore WHERE name = 'entrances'").due
    entrances.look(deps, stretch=7)
    assert len(inside(deps)) == len(ids)
    assert rows(deps, "SELECT FROM bookmark WHERE name = 'entrances'") == []
    upkeep.CHORES["entrances"](deps)
    assert len(inside(deps)) == len(ids)


def test_without_such_a_sequence_nobody_is_looked_at(deps: Deps):
    people(deps, 3)
    entrances.look(deps)
    assert inside(deps) == []
