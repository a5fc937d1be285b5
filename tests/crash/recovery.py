"""Recovery: everything that runs by itself runs until nothing is due; and what must hold then, whatever happened before."""

from collections import Counter
from datetime import timedelta
from itertools import count

import orjson

from engine import bell
from engine.db import transaction
from engine.giving import books
from engine.sources import letter_ids
from tests.crash.processes import House
from tests.flows.house import change, put, rows
from workers import intake, pulse
from workers.main import ACTORS

ROUNDS, PROMPT = 30, 5
_spaces = count(1)  # so that no body is the same as another
AT_REST = ("delivered", "bounced", "dropped", "complained", "handed", "skipped", "cancelled", "expired", "failed")

# Time passes for who waits by the clock of Postgres: leases run out, pauses end.
_LATER = """
UPDATE inbound_event SET due_at = now() WHERE state = 'pending' AND due_at > now();
"""
_DEAD = "UPDATE handover SET due_at = now() - interval '1 second' WHERE state = 'submitting'"


def settle(house: House) -> None:
    """Leases run out, the pulse beats, and each bell that it rings is answered, until it rings none."""
    rung: set[str] = set()
    for turn in range(ROUNDS):
        if turn > PROMPT:  # a provider is left alone for a while, or it is night
            house.later(timedelta(minutes=1) if turn < ROUNDS / 2 else timedelta(hours=1))
        house.watch.execute(_LATER)
        house.watch.execute(_DEAD)
        rung = pulse.beat(house.deps)
        if not rung:
            return
        for queue in sorted(rung):
            ACTORS[queue](house.deps)
    raise AssertionError(f"it does not come to rest: {rung}")


def days(house: House) -> None:
    """The provider tells of what it took; days pass, with all that waits for them."""
    for span in (timedelta(minutes=16), timedelta(hours=25), timedelta(hours=3)):
        hear(house)
        house.later(span)
        settle(house)
    hear(house)
    settle(house)
    begun = house.world.clock.now
    house.later(begun.replace(hour=15, minute=0) + timedelta(days=1) - begun)  # not by night


def due(house: House, chore: str) -> None:
    """This chore is due, and no other."""
    with house.deps.work() as (session, _):
        pulse.plan(session)
    house.watch.execute("UPDATE chore SET due_at = now() + interval '1 day'")
    house.watch.execute("UPDATE chore SET due_at = now() - interval '1 second' WHERE name = %s", [chore])


def chores(house: House) -> None:
    """Every chore of the schedule, once."""
    with house.deps.work() as (session, _):
        pulse.plan(session)
    change(house.deps, "UPDATE chore SET due_at = now() - interval '1 second'")
    settle(house)


def hear(house: House, kind: str = "delivered") -> None:
    """The provider tells of every letter that it took since it last told, and of the first twice."""
    told = [
        {
            "email": letter.to_email, "event": kind, "timestamp": int(house.world.clock.now.timestamp()),
            "sg_message_id": f"fake-{handover}.f1", "sg_event_id": f"{letter.message_id}-{handover}-{kind}",
            "gs_message": letter_ids.encode(letter.message_id), "gs_handover": letter_ids.encode(handover),
        }
        for handover, letter in house.world.mail.accepted[house.heard :]
    ]  # fmt: skip
    house.heard = len(house.world.mail.accepted)
    if told:
        put(house.deps, orjson.dumps([*told, *told[:1]]) + b" " * next(_spaces), lane=bell.FEEDBACK, source="sendgrid")
        intake.drain(house.deps, bell.FEEDBACK)


def invariants(house: House) -> None:
    """What always holds, once everything has come to rest."""
    deps = house.deps
    with transaction(deps.sessions) as session:
        assert books.check(session).discrepancies == ()
    waiting = "SELECT id, source, state, reason FROM inbound_event WHERE state IN ('pending', 'quarantined')"
    assert rows(deps, waiting) == [], "what came in is done with"
    letters = {row.id: row for row in rows(deps, "SELECT id, contact_id, lane, state, occasion, kind FROM message")}
    times = Counter(letter.message_id for _, letter in house.world.mail.accepted)
    there = {row.email for row in rows(deps, "SELECT email FROM contact")}
    gone = {letter.message_id for _, letter in house.world.mail.accepted if letter.to_email not in there}
    assert set(times) <= set(letters) | gone, "a letter left that was never planned, or its plan is gone"
    for number, row in letters.items():
        assert times[number] <= (3 if row.lane == bell.RECEIPTS else 1), f"letter {number} left {times[number]} times"
        assert row.state in AT_REST or row.state == "ready", row
        assert row.state != "delivered" or times[number], row
        if row.state in ("skipped", "cancelled", "expired"):
            assert not times[number], row
    once = Counter((row.contact_id, row.occasion) for row in letters.values())
    assert [each for each, many in once.items() if many > 1] == [], "one occasion, two letters"
    open_still = rows(deps, "SELECT id, state FROM handover WHERE state IN ('submitting', 'uncertain')")
    assert open_still == [], "a handover that nobody settled"
    assert rows(deps, "SELECT id FROM inbound_event WHERE state = 'applied' AND lease IS NOT NULL") == []
    _nobody_who_may_not(house)


def _nobody_who_may_not(house: House) -> None:
    """No letter of the delivery lane to an address that was stopped before it left."""
    stopped = {row.email: row.at for row in rows(house.deps, "SELECT email, max(at) AS at FROM suppression GROUP BY 1")}
    handed = {
        row.id: row for row in rows(house.deps, "SELECT id, lane, handed_at FROM message WHERE handed_at IS NOT NULL")
    }
    for _, letter in house.world.mail.accepted:
        row, at = handed.get(letter.message_id), stopped.get(letter.to_email)
        if row is not None and at is not None and row.lane == bell.DELIVERY:
            assert row.handed_at <= at, f"letter {letter.message_id} left after its reader was stopped"
