"""What needs a person, by command: listed until somebody has seen to it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from time import sleep

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import HumanNeeded, MatterSettled
from engine.mail import handovers, holds
from engine.staff import notices
from tests.commands import groundswell
from tests.fakes import FakeClock
from tests.flows.house import change, one, put, rows, run_everything
from tests.make import actblue_body, raw
from workers import long_over


@pytest.fixture
def clock(deps: Deps) -> FakeClock:
    """The house's clock."""
    assert isinstance(deps.clock, FakeClock)
    return deps.clock


@pytest.fixture
def told(deps: Deps) -> Deps:
    """A house that writes to its operator."""
    return replace(deps, settings=deps.settings.model_copy(update={"operator_email": "operator@example.org"}))


def test_what_needs_a_person_is_listed_until_it_was_seen_to(deps: Deps):
    assert groundswell(deps, "notices", "list").stdout == "nothing needs a person\n"
    put(deps, b"rubbish")
    run_everything(deps)
    notice = one(deps, "SELECT id, subject FROM notice")
    listed = groundswell(deps, "notices", "list")
    assert (listed.returncode, notice.subject in listed.stdout, "event quarantined" in listed.stdout) == (0, True, True)
    seen = groundswell(deps, "notices", "resolve", str(notice.id))
    assert (seen.returncode, seen.stdout) == (0, "1 seen to\n")
    assert groundswell(deps, "notices", "resolve", str(notice.id)).returncode == 1
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []
    with transaction(deps.sessions) as session:
        assert notices.open_notices(session) == []


def test_what_is_changed_by_these_commands_is_on_the_audit_and_what_changes_nothing_is_not(deps: Deps):
    first, second = put(deps, b"rubbish"), put(deps, b"more rubbish")
    put(deps, raw(actblue_body()))
    run_everything(deps)
    letter = one(deps, "SELECT id FROM message WHERE occasion LIKE 'gift:%'").id
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET state = 'failed' WHERE id = :id"), {"id": letter})
        session.execute(text("INSERT INTO mail_hold (reason, since) VALUES ('suspended', now())"))
    notice = one(deps, f"SELECT id FROM notice WHERE subject = 'inbound event {second}'").id
    for _ in range(2):
        for command in (("notices", "resolve", str(notice)), ("events", "replay", str(first), str(second)),
                        ("letters", "retry", "--all"), ("letters", "resume")):  # fmt: skip
            groundswell(deps, *command)
    told = rows(deps, "SELECT action, subject, subject_id, detail FROM audit WHERE staff_id IS NULL ORDER BY id")
    assert [tuple(row) for row in told] == [
        ("notices resolved", "notice", notice, {"count": 1, "ids": [notice]}),
        ("events replayed", "inbound_event", None, {"count": 2, "ids": [first, second]}),
        ("letters retried", "message", letter, {"count": 1, "ids": [letter]}),
        ("letters resumed", "mail_hold", None, {"count": 1}),
    ]


def letters(deps: Deps, kind: str) -> int:
    """How many letters told the operator of this kind."""
    return len(rows(deps, f"SELECT FROM message WHERE starts_with(occasion, 'notice:{kind}:')"))


def trouble(deps: Deps, *subjects: str, kind: str = "trouble") -> None:
    """Something needs a person."""
    with deps.work() as (session, now):
        deps.react(session, [HumanNeeded(None, kind, subject, "what it is") for subject in subjects], now)


def test_a_thousand_events_of_one_trouble_are_one_letter_and_a_bounded_list_that_counts_them(told: Deps):
    for place in range(0, 1000, 250):
        trouble(told, *(f"inbound event {number}" for number in range(place, place + 250)))
    trouble(told, *["from actblue"] * 40, kind="one subject")
    found = rows(told, "SELECT kind, subject, seen FROM notice ORDER BY seen")
    assert sum(row.seen for row in found if row.kind == "trouble") == 1000
    assert len(found) == notices.MOST_OF_A_KIND + 2
    assert (found[-1].subject, found[-1].seen) == (notices.OTHERS, 1000 - notices.MOST_OF_A_KIND)
    assert (found[-2].kind, found[-2].seen) == ("one subject", 40)
    assert (letters(told, "trouble"), letters(told, "one subject")) == (1, 1)
    trouble(told, "inbound event 10")  # known already: counted where it stands
    assert one(told, "SELECT seen FROM notice WHERE subject = 'inbound event 10'").seen == 2


def test_a_trouble_is_told_again_after_it_was_well_or_after_a_day_and_never_twice_in_an_hour(
    told: Deps, clock: FakeClock
):
    trouble(told, "a")
    clock.skip(timedelta(hours=20))  # over midnight: a date is nothing new
    trouble(told, "a", "b")
    assert letters(told, "trouble") == 1
    clock.skip(timedelta(hours=5))
    trouble(told, "c")
    assert letters(told, "trouble") == 2
    for _ in range(30):  # it comes and goes
        settle(told, "trouble")
        trouble(told, "a")
        clock.skip(timedelta(minutes=1))
    assert letters(told, "trouble") == 2
    settle(told, "trouble")
    clock.skip(timedelta(hours=1))
    trouble(told, "a")
    assert letters(told, "trouble") == 3


def settle(deps: Deps, kind: str) -> None:
    """All is well."""
    with deps.work() as (session, _):
        notices.resolve(session, kind)


def test_a_trouble_whose_letters_are_in_the_archive_is_told_again(told: Deps, clock: FakeClock):
    trouble(told, "a")
    settle(told, "trouble")
    change(told, "UPDATE message SET state = 'failed'")
    clock.skip(timedelta(days=500))
    long_over.put_away(told)
    assert (letters(told, "trouble"), len(rows(told, "SELECT FROM past_letter"))) == (0, 1)
    for _ in range(2):
        trouble(told, "a")
    assert letters(told, "trouble") == 1


def test_what_is_beyond_the_list_is_settled_with_the_last_of_its_kind(told: Deps):
    subjects = [f"inbound event {number}" for number in range(notices.MOST_OF_A_KIND + 5)]
    trouble(told, *subjects)
    trouble(told, *subjects, kind="another")
    listed = [
        row.subject for row in rows(told, "SELECT subject FROM notice WHERE kind = 'trouble' AND subject ~ '^in'")
    ]
    for settled, left in ((subjects[:5], {"trouble", "another"}), (listed, {"another"})):
        with told.work() as (session, now):
            told.react(session, [MatterSettled(None, "trouble", subject) for subject in settled], now)
        open_ones = rows(told, f"SELECT kind FROM notice WHERE subject = '{notices.OTHERS}' AND resolved_at IS NULL")
        assert {row.kind for row in open_ones} == left


def test_two_who_tell_of_one_trouble_at_once_write_one_letter(told: Deps):
    with told.work() as (first, now):
        told.react(first, [HumanNeeded(None, "trouble", "a", "")], now)
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(trouble, told, "b")
            sleep(0.2)
            first.commit()
        waiting.result()
    assert letters(told, "trouble") == 1


def test_real_floods_of_bad_bodies_refused_keys_and_doubts_are_a_letter_each(told: Deps):
    for number in range(60):
        put(told, b"rubbish %d" % number)
    run_everything(told)
    for _ in range(30):
        with told.work() as (session, now):
            told.react(session, holds.hold(session, holds.KEY, now, detail="HTTP 401"), now)
    with told.work() as (session, now):
        told.react(session, [HumanNeeded(None, handovers.FAILED, f"message {n}", "in doubt") for n in range(99)], now)
        told.react(session, [HumanNeeded(None, "campaign paused", "spring", "came back")] * 50, now)
    kinds = ("event quarantined", holds.STOPPED, handovers.FAILED, "campaign paused")
    assert [letters(told, kind) for kind in kinds] == [1, 1, 1, 1]
    assert len(rows(told, "SELECT FROM notice")) <= 2 * (notices.MOST_OF_A_KIND + 1) + 2
    assert groundswell(told, "events", "replay", "--all").stdout == "60 back to pending\n"
    assert rows(told, "SELECT FROM notice WHERE kind = 'event quarantined' AND resolved_at IS NULL") == []
