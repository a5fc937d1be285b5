"""What these tests stand on: every handler is driven, who died is dead, and the driver notices what is done twice."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from engine.settings import Settings
from tests.crash.driving import Act, Story, drive
from tests.crash.faults import Died, Fault
from tests.crash.processes import House, Process, housed
from tests.crash.stories import DOORS, QUICK, WORKERS
from webhooks import app
from webhooks.api.gate import Endpoint
from workers import main, pulse

_LOCKED = "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
_SAY = text("INSERT INTO agenda (code, name) VALUES (:code, 'Homes')")


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    with housed(settings) as made:
        yield made


def told(house: House) -> int:
    row = house.watch.execute("SELECT count(*) FROM agenda WHERE name = 'Homes'").fetchone()
    assert row is not None
    return int(row[0])


def test_every_actor_every_chore_and_every_url_that_writes_has_its_story():
    covered = {what for story in (*WORKERS, *DOORS) for what in story.covers}
    writes = {
        f"{method} {entry.path}"
        for entry in app.ROUTES
        for method in entry.methods
        if method != "GET" and entry.part != app.DEVELOPMENT
        if not (isinstance(entry.answer, Endpoint) and entry.answer.idle)
    }
    wanted = {f"actor {bell}" for bell in main.ACTORS} | {f"chore {name}" for name in pulse.SCHEDULE} | writes
    assert wanted - covered == set()
    assert {what for what in covered if not what.startswith("command ")} - wanted == set()
    assert {story.name for story in (*WORKERS, *DOORS)} >= QUICK


def busy(process: Process, cleared: list[str]) -> None:
    """Commits, takes a lock, commits, and clears up whatever happens."""
    with process.deps.work() as (session, _):
        session.execute(_SAY, {"code": "one"})
    with process.deps.sessions() as other:
        other.execute(text("SELECT pg_advisory_lock(4711)"))
        try:
            with process.deps.work() as (session, _):
                session.execute(_SAY, {"code": "two"})
        finally:
            cleared.append("begun")
            with process.deps.work() as (session, _):
                session.execute(_SAY, {"code": "cleared"})
            cleared.append("done")


def test_who_dies_leaves_what_it_committed_and_no_lock_and_cannot_clear_up(house: House):
    cleared: list[str] = []
    house.first.probe.begin(1, Fault.CRASH)
    with pytest.raises(Died):
        busy(house.first, cleared)
    with pytest.raises(Died):
        house.first.deps.bells.ring("intake")
    assert (cleared, told(house)) == (["begun"], 1)
    assert house.watch.execute(_LOCKED).fetchone() == (0,)
    house.first.revived()
    with house.first.deps.work() as (session, _):
        session.execute(_SAY, {"code": "four"})


@pytest.mark.parametrize(("fault", "kept"), [(Fault.ERROR, 2), (Fault.TIMEOUT, 3)])
def test_a_commit_that_fails_is_told_as_a_lost_connection_whether_it_took_effect_or_not(
    house: House, fault: Fault, kept: int
):
    cleared: list[str] = []
    house.first.probe.begin(1, fault)
    with pytest.raises(OperationalError):
        busy(house.first, cleared)
    assert (cleared, told(house)) == (["begun", "done"], kept)


def careless(_: House, __: str) -> Act:
    """Says the same anew at each try, and rings between two things that belong together."""

    def act(process: Process) -> None:
        for _ in range(2):
            with process.deps.work() as (session, __):
                session.execute(text("INSERT INTO agenda (code, name) VALUES (gen_random_uuid(), 'Homes')"))
            process.deps.bells.ring("intake")

    return act


@pytest.mark.parametrize(("fault", "many"), [(Fault.CRASH, 3), (Fault.TIMEOUT, 1), (Fault.TWICE, 2), (Fault.BESIDE, 2)])
def test_what_is_done_twice_or_by_half_is_noticed(house: House, fault: Fault, many: int):
    wrong = drive(house, Story("careless", (), careless), [fault])
    assert len(wrong) == many, wrong
