"""Each way in which the provider misbehaves, with the worker killed at each step of the handing over, and days later.

No ask is accepted twice; every receipt is accepted once to three times, or a person is told of it; and of all letters that
were planned each one is accounted for. Without any of the safeguards runs like these fail.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from engine import bell
from engine.adapters.sendgrid_mail import SendgridMail
from engine.bootstrap import Deps
from engine.outreach import claims
from tests import dying, mail_stand_in
from tests.campaigns import enqueue, letter, people
from tests.dying import STEPS
from tests.flows.faulty import MANY, FaultyHouse, nothing_is_lost_or_doubled, rest
from tests.flows.house import change, rows
from tests.mail_stand_in import KEY, MODES, StandIn
from workers import delivery

NIGHT = timedelta(minutes=6)  # after which every hold of ours has ended
QUICK = (("accept_then_hang", "nowhere"), ("ok", "at the provider"), ("busy", "with the answer"))


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[StandIn]:
    with mail_stand_in.running(tmp_path) as running:
        running.hang_seconds = 1.0
        yield running


# The accounting itself can fail.


def test_a_letter_that_is_gone_is_missed(house: FaultyHouse):
    house.plan()
    change(
        house.deps, "DELETE FROM message WHERE id = (SELECT max(id) FROM message WHERE lane = :lane)", lane=house.lane
    )
    with pytest.raises(AssertionError, match="a letter that was planned is gone"):
        nothing_is_lost_or_doubled(house)


def test_a_letter_that_nobody_accepted_is_missed_where_nothing_was_wrong(house: FaultyHouse):
    house.plan()
    house.turn(house.orders("nowhere"), "ok")
    house.later(NIGHT)
    lines = house.provider.path.read_bytes().splitlines(keepends=True)
    house.provider.path.write_bytes(b"".join(lines[1:]))
    with pytest.raises(AssertionError, match="a letter did not arrive once"):
        nothing_is_lost_or_doubled(house, well=True)


@pytest.fixture(params=[bell.RECEIPTS, bell.DELIVERY])
def house(deps: Deps, provider: StandIn, request: pytest.FixtureRequest) -> FaultyHouse:
    return FaultyHouse(connected(deps, provider), provider, request.param)


def connected(deps: Deps, provider: StandIn) -> Deps:
    """The same house, whose letters go to the stand-in."""
    return replace(deps, mailer=SendgridMail(KEY, provider.url, call_seconds=dying.CALL_SECONDS))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_every_misbehaviour_with_a_worker_killed_at_this_step(house: FaultyHouse, step: str):
    heard = True
    house.provider.silent_about = frozenset({"accept_then_hang", "broken_accepted"})
    for place, mode in enumerate(MODES):
        house.plan()
        ended = house.turn(house.orders(step), mode)
        assert ended in (0, -9)
        assert step != "nowhere" or ended == 0
        heard = (place + STEPS.index(step)) % 2 == 0
        if heard:
            house.hear()
        house.later(NIGHT)
    rest(house, heard=heard)
    nothing_is_lost_or_doubled(house)
    assert house.planned["arrives"] == len(MODES) * (MANY if house.lane == bell.RECEIPTS else MANY + 1)


@pytest.mark.parametrize("early", [False, True], ids=["told later", "told before the answer"])
def test_where_nothing_is_wrong_each_letter_is_accepted_once(house: FaultyHouse, early: bool):
    house.plan()
    orders = house.orders("with the answer", pause=1.0) if early else house.orders("nowhere")
    worker = dying.start(orders)
    worker.begin()
    if early:
        wait_for(house.deps, "SELECT 1 FROM handover")
        wait_until(house.provider.accepted)
        house.hear()
        assert house.ends()["delivered"] >= 1
    assert worker.end() == 0
    house.later(NIGHT)
    rest(house, heard=True)
    nothing_is_lost_or_doubled(house, well=True)
    assert house.ends()["delivered"] == house.planned["arrives"]
    assert house.ends()["failed"] == house.planned["fails"]


@pytest.mark.parametrize("heard", ["of everything", "of others", "of nothing"])
def test_the_worst_of_it(house: FaultyHouse, heard: str):
    house.provider.silent_about = frozenset({"accept_then_hang"} if heard == "of others" else ())
    for mode, step in QUICK:
        house.plan()
        house.turn(house.orders(step), mode)
        house.later(NIGHT)
    rest(house, heard=heard != "of nothing")
    nothing_is_lost_or_doubled(house)
    doubled = house.lane == bell.RECEIPTS and heard == "of others"
    assert max(house.provider.times().values()) == (2 if doubled else 1)


# Safeguards taken away. Each scenario holds for the product, and fails for a build without the safeguard.


def killed_once_the_provider_has_it(house: FaultyHouse, **terms: object) -> None:
    """The row of the handover is committed before the request leaves: what a dead worker sent is not sent again."""
    house.plan()
    assert house.turn(house.orders("at the provider", **terms), "ok") == -9
    house.later(NIGHT)
    rest(house, heard=False)
    nothing_is_lost_or_doubled(house)


def slept_through_its_claim(house: FaultyHouse, **terms: object) -> None:
    """The zombie guard: a worker that was stopped after its claim sends nothing, for nobody looked since."""
    house.plan()
    pause = claims.ZOMBIE_SECONDS + 0.5
    worker = dying.start(house.orders("once it is committed", pause=pause, **terms))
    worker.begin()
    wait_for(house.deps, "SELECT 1 FROM handover")
    change(house.deps, "INSERT INTO suppression (email, reason, at) SELECT email, 'complaint', now() FROM contact")
    assert worker.end() == 0
    house.later(NIGHT)
    assert house.provider.accepted() == [], "she complained before it left"


def answered_long_after_its_lease(house: FaultyHouse, **terms: object) -> None:
    """The handover is the token of a lease: once others have taken a letter up, an answer of before counts no more."""
    house.plan(1)
    worker = dying.start(house.orders("with the answer", pause=2.0, **terms))
    house.provider.script[:] = ["busy"]
    worker.begin()
    wait_for(house.deps, "SELECT 1 FROM handover")
    house.provider.settle()
    house.plan()
    delivery.hand_over(house.deps, house.lane)  # others, that are heard of
    house.hear()
    house.later(timedelta(minutes=17))
    assert set(house.provider.times().values()) == {1}
    assert worker.end() == 0
    house.later(NIGHT)
    rest(house, heard=True)
    assert set(house.provider.times().values()) == {1}, "sent again after it was taken"


def two_at_once(house: FaultyHouse, **terms: object) -> None:
    """The lock of claims: of two workers with two campaigns for the same people, the second sees what the first took."""
    capped = house.deps.settings.model_copy(update={"letters_a_day": 1})
    ids = people(house.deps, 20)
    enqueue(house.deps, letter(house.deps), ids)
    first, second = (
        dying.start(replace(house.orders(step, pause=1.5, **terms), settings=capped)) for step in (STEPS[1], STEPS[0])
    )
    first.begin()
    wait_for(house.deps, OPEN_TRANSACTION)
    enqueue(house.deps, letter(house.deps, "urgent"), ids)
    change(house.deps, "UPDATE mailing SET priority = 1 WHERE slug = 'urgent'")
    second.begin()
    assert (first.end(), second.end()) == (0, 0)
    assert set(Counter(each["to"] for each in house.provider.accepted()).values()) == {1}, "more than one a day"


OPEN_TRANSACTION = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
"""


def wait_for(deps: Deps, query: str) -> None:
    """Until it finds something."""
    wait_until(lambda: rows(deps, query))


def wait_until(found: Callable[[], object]) -> None:
    """Until it finds something."""
    ends = monotonic() + 20
    while not found():
        assert monotonic() < ends
        sleep(0.02)


NO_FENCE = (
    ("WHERE h.state IN ('submitting', 'uncertain') ORDER BY h.id FOR UPDATE OF h", "ORDER BY h.id FOR UPDATE OF h"),
    ("JOIN message m ON m.handover_id = v.id AND", "JOIN message m ON m.attempts > 0 AND"),
)
NO_LOCK = (("pg_advisory_xact_lock(", "abs("),)


def of_asks(deps: Deps, provider: StandIn) -> FaultyHouse:
    return FaultyHouse(connected(deps, provider), provider, bell.DELIVERY)


def of_receipts(deps: Deps, provider: StandIn) -> FaultyHouse:
    return FaultyHouse(connected(deps, provider), provider, bell.RECEIPTS)


def test_what_a_dead_worker_sent_is_not_sent_again(deps: Deps, provider: StandIn):
    killed_once_the_provider_has_it(of_asks(deps, provider))


def test_without_the_handover_on_record_before_the_request_it_is(deps: Deps, provider: StandIn):
    with pytest.raises(AssertionError, match="an ask twice"):
        killed_once_the_provider_has_it(of_asks(deps, provider), work=dying.careless)


def test_a_worker_that_slept_sends_nothing(deps: Deps, provider: StandIn):
    slept_through_its_claim(of_asks(deps, provider))


def test_without_the_zombie_guard_it_does(deps: Deps, provider: StandIn):
    with pytest.raises(AssertionError, match="she complained before it left"):
        slept_through_its_claim(of_asks(deps, provider), guarded=False)


def test_an_answer_that_comes_long_after_its_lease_changes_nothing(deps: Deps, provider: StandIn):
    answered_long_after_its_lease(of_receipts(deps, provider))


def test_without_the_token_of_the_lease_it_does(deps: Deps, provider: StandIn):
    with pytest.raises(AssertionError, match="sent again after it was taken"):
        answered_long_after_its_lease(of_receipts(deps, provider), without=NO_FENCE)


def test_two_workers_with_two_campaigns_hold_a_cap_of_one_to_the_letter(deps: Deps, provider: StandIn):
    two_at_once(of_asks(deps, provider))


def test_without_the_lock_they_do_not(deps: Deps, provider: StandIn):
    with pytest.raises(AssertionError, match="more than one a day"):
        two_at_once(of_asks(deps, provider), without=NO_LOCK)
