"""Who never answered is forgotten after thirty days, unless anything else is known of her."""

from datetime import timedelta

import pytest

from engine.bootstrap import Deps
from engine.people import merging
from engine.people.unconfirmed import KNOWN_BY
from tests.flows.house import one, put, rows, run_everything
from tests.flows.test_joining import INES, answer, come, letters, offer, run
from tests.make import actblue_body, raw
from tests.of_a_person import NAMING
from tests.sequences import publish
from workers import entrances, upkeep


def there(deps: Deps) -> bool:
    return bool(rows(deps, f"SELECT 1 FROM contact WHERE email = '{INES}'"))


def wait(deps: Deps, days: float) -> None:
    """Days go by, and the chore is done twice."""
    deps.clock.skip(timedelta(days=days))
    for _ in range(2):
        upkeep.CHORES[upkeep.UNCONFIRMED](deps)


def test_every_table_that_names_a_contact_counts_as_knowing_her():
    assert set(NAMING) - merging.STAYS == set(KNOWN_BY)


def test_who_never_answered_is_forgotten_with_all_that_was_typed_thirty_days_after_the_last_question(deps: Deps):
    come(deps, confirm=True)
    deps.clock.skip(timedelta(days=5))
    come(deps, confirm=True)
    come(deps, confirm=True, phone="508-555-0142")
    wait(deps, 29.9)
    assert there(deps)
    wait(deps, 0.2)
    assert not there(deps)
    for table in ("sign_up", "confirmation", "message", "contact"):
        assert rows(deps, f"SELECT 1 FROM {table}") == []
    assert len(letters(deps)) == 2


def test_who_never_answered_enters_no_sequence_of_the_day_though_it_has_no_letters(deps: Deps):
    daily = publish(deps, {"key": "mark", "tag": "seen"}, on="daily", **{"if": {"op": "never_gave"}})
    come(deps, confirm=True)
    come(deps, confirm=True, email="ana@example.org")
    answer(deps)
    entrances.look(deps)
    inside = f"SELECT email FROM enrollment e JOIN contact c ON c.id = contact_id WHERE version_id = {daily.version_id}"
    entered = rows(deps, inside)
    assert [row.email for row in entered] == ["ana@example.org"]
    wait(deps, 31)
    assert not there(deps)


def test_who_was_forgotten_can_come_again(deps: Deps):
    come(deps, confirm=True)
    wait(deps, 31)
    come(deps, confirm=True)
    answer(deps)
    wait(deps, 60)
    assert there(deps)
    assert len(letters(deps)) == 3


def test_who_answered_stays(deps: Deps):
    come(deps, confirm=True)
    answer(deps)
    wait(deps, 60)
    assert there(deps)


def test_a_donor_stays_whichever_came_first(deps: Deps):
    gift = raw(actblue_body(donor={"email": INES}))
    put(deps, gift)
    run_everything(deps)
    come(deps, confirm=True)
    wait(deps, 60)
    assert there(deps)
    come(deps, confirm=True, email="ana@example.org")
    put(deps, raw(actblue_body(donor={"email": "ana@example.org"})))
    run_everything(deps)
    wait(deps, 60)
    assert one(deps, "SELECT count(*) AS n FROM contact WHERE gave_count = 1").n == 2


@pytest.mark.parametrize(
    "fact",
    ["INSERT INTO consent (contact_id, channel, given, at, source) SELECT id, 'mail', false, now(), 'x' FROM contact",
     "INSERT INTO followed_chapter (contact_id, chapter_id) SELECT c.id, h.id FROM contact c, chapter h",
     "INSERT INTO chapter_lead (contact_id, chapter_id) SELECT c.id, h.id FROM contact c, chapter h",
     "INSERT INTO introduction (contact_id, place, at) SELECT id, 'MA:X', now() FROM contact",
     """INSERT INTO enrollment (contact_id, version_id, due_at, entered_at)
        SELECT id, 1, now(), now() FROM contact""",
     """INSERT INTO volunteer_offer (contact_id, way_to_help_id, at)
        SELECT c.id, w.id, now() FROM contact c, way_to_help w""",
     """INSERT INTO contact_interest (contact_id, interest_id, at, source)
        SELECT c.id, i.id, now(), 'x' FROM contact c, interest i""",
     """INSERT INTO sign_up (source, source_key, kind, contact_id, person, at)
        SELECT 'signup', '1', 'signup', id, '{}', 'epoch' FROM contact""",
     "UPDATE contact SET placed_chapter_id = (SELECT min(id) FROM chapter)"],
)  # fmt: skip
def test_anything_else_that_is_known_of_her_keeps_her(deps: Deps, fact: str):
    offer(deps)
    come(deps, confirm=True)
    run(deps, fact)
    wait(deps, 60)
    assert there(deps)


def test_somebody_who_is_asked_only_by_another_system_is_nobodys_to_forget(deps: Deps):
    run(deps, "INSERT INTO contact (email, details_at) VALUES (:email, 'epoch')", email=INES)
    wait(deps, 60)
    assert there(deps)


def test_many_are_forgotten_a_stretch_at_a_time(deps: Deps):
    values = {"at": deps.clock.now, "many": 1200}
    run(
        deps, """WITH made AS (
            INSERT INTO contact (email, details_at) SELECT 'p' || n || '@example.org', 'epoch'
            FROM generate_series(1, :many) n RETURNING id)
        INSERT INTO confirmation (contact_id, asked_at, expires_at) SELECT id, :at, :at FROM made""", **values,
    )  # fmt: skip
    wait(deps, 31)
    assert rows(deps, "SELECT 1 FROM contact") == []


@pytest.mark.parametrize("known", ["last_name = 'Okafor'", 'custom = \'{"note": "knows the hall"}\''])
def test_whom_a_list_or_the_staff_put_in_is_not_forgotten_because_a_stranger_typed_her_address(deps: Deps, known: str):
    come(deps, confirm=True)
    run(deps, f"UPDATE contact SET {known} WHERE email = '{INES}'")
    wait(deps, 31)
    assert there(deps)
