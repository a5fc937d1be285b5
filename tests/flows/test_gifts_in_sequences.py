"""What a gift does to asks and sequences, what else ends them, and that it does so at once, whoever works beside."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from time import sleep
from typing import Any

from sqlalchemy import event

from engine import bell, events
from engine.bootstrap import Deps
from engine.events import Person, PlanPaymentFailed, PlanReported, RefundReported
from engine.outreach import claims, stepping
from tests import letters
from tests.campaigns import ASK as ASKING
from tests.campaigns import NOW, enqueue, go, letter, people
from tests.flows.house import change, one, put, rows
from tests.letters_of_sequences import places, queue, stands, tally
from tests.make import gift, join_body, raw
from tests.sequences import Published, enrol, publish
from workers import intake, outreach

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ASK, MAIL = {"key": "ask", "ask": "please"}, {"key": "write", "email": "news"}
PAUSE, MORE = {"key": "pause", "wait": "3 days"}, {"key": "more", "email": "more"}
ANY_HOUR: dict[str, Any] = {"quiet_hours": None}
OTHER_FUND = 999  # an entity of somebody else's


def email(deps: Deps, contact_id: int) -> str:
    return str(one(deps, f"SELECT email FROM contact WHERE id = {contact_id}").email)


def gives(deps: Deps, contact_id: int, **terms: Any) -> str:
    """A gift of hers becomes known; the payment's key."""
    donor = Person(email=email(deps, contact_id))
    told = gift(**{"donor": donor, "paid_at": deps.clock.now} | terms)
    with deps.work() as (session, now):
        deps.react(session, [told], now)
    return told.source_key


def steps(deps: Deps) -> None:
    """Everybody who is due takes her steps."""
    while outreach.step(deps):
        pass


def tell(deps: Deps, *told: events.Event) -> None:
    with deps.work() as (session, now):
        deps.react(session, list(told), now)


# Asks, wherever they come from.


def test_a_gift_takes_back_every_ask_of_its_fund_and_nothing_else(deps: Deps):
    who, other = people(deps, 2)
    launched = publish(deps, ASK, campaign=True, **ANY_HOUR)  # its goal is another
    drip, news = publish(deps, ASK, **ANY_HOUR), publish(deps, MAIL, **ANY_HOUR)
    pac = letter(deps, "for-pac", ASKING, "asks", form="pac")
    hers = [*queue(deps, launched, [who]), *queue(deps, drip, [who])]
    hers += enqueue(deps, letter(deps, markdown=ASKING, kind="asks"), [who])
    goes_on = [*queue(deps, news, [who]), *enqueue(deps, pac, [who]), *queue(deps, launched, [other])]
    gives(deps, who)
    assert [stands(deps, each) for each in hers] == [("cancelled", "gave")] * 3
    assert [stands(deps, each) for each in goes_on] == [("ready", "")] * 3
    assert tally(deps, launched) == tally(deps, drip) == {"cancelled": 1}
    (later,) = queue(deps, publish(deps, ASK, **ANY_HOUR), [who])
    go(deps)
    assert stands(deps, later) == ("skipped", "asks rest until 10 November: she has just given")


def test_whose_goal_it_is_she_leaves_everywhere_with_all_that_waits_for_her_there(deps: Deps):
    who, other = people(deps, 2)
    launched = publish(deps, MAIL, PAUSE, ASK, campaign=True, goal="gave", **ANY_HOUR)
    drip = publish(deps, MAIL, PAUSE, ASK, goal="gave", **ANY_HOUR)
    others = publish(deps, MAIL, PAUSE, MORE, **ANY_HOUR)
    waiting = []
    for each in (launched, drip, others):
        enrol(deps, each, [who, other], step="pause")
        waiting += queue(deps, each, [who, other])
    gives(deps, who)
    assert places(deps, launched) == places(deps, drip) == [("left", "gave"), ("active", "")]
    assert places(deps, others) == [("active", "")] * 2
    assert [stands(deps, each)[0] for each in waiting] == ["cancelled", "ready"] * 2 + ["ready"] * 2
    assert one(deps, f"SELECT left_early FROM campaign WHERE id = {launched.campaign_id}").left_early == 1
    ended = one(deps, "SELECT DISTINCT ended_at FROM enrollment WHERE state = 'left'")
    assert ended.ended_at == NOW


def goal_with_a_last_letter(deps: Deps) -> tuple[int, int]:
    """She is through a sequence whose goal a gift is, but its last letter waits; she, and the letter."""
    (who,) = people(deps, 1)
    asks = publish(deps, ASK, PAUSE, MAIL, campaign=True, goal="gave", **ANY_HOUR)
    enrol(deps, asks, [who], step="write")
    deps.clock.skip(2 * HOUR)
    steps(deps)
    assert places(deps, asks) == [("finished", "")]
    written = one(deps, "SELECT id, created_at FROM message WHERE version_id <> 0")
    assert written.created_at == deps.clock.now
    return who, written.id


def test_the_last_letter_of_a_sequence_goes_too_though_she_gave_before_it_was_written(deps: Deps):
    who, waits = goal_with_a_last_letter(deps)
    gives(deps, who, paid_at=deps.clock.now - HOUR)
    assert stands(deps, waits) == ("cancelled", "gave")


def test_of_a_gift_that_nobody_told_the_claim_of_its_last_letter_knows(deps: Deps):
    who, waits = goal_with_a_last_letter(deps)
    gives(deps, who, paid_at=deps.clock.now - HOUR)
    change(deps, "UPDATE message SET state = 'ready', reason = '' WHERE id = :id", id=waits)
    go(deps)
    assert stands(deps, waits) == ("cancelled", "gave")


NOTHING: dict[str, dict[str, Any]] = {
    "a gift to somebody else's fund": {"entity_id": OTHER_FUND},
    "a later instalment": {"sequence": 3, "recurring_period": "monthly", "plan_key": "plan"},
    "a gift of long ago": {"paid_at": NOW - 8 * DAY},
}


def test_what_is_no_new_gift_to_us_ends_nothing(deps: Deps):
    asks = publish(deps, ASK, goal="gave", **ANY_HOUR)
    for why, terms in NOTHING.items():
        (who,) = people(deps, 1)
        enrol(deps, asks, [who])
        (waits,) = queue(deps, asks, [who])
        gives(deps, who, **terms)
        assert (places(deps, asks)[-1], stands(deps, waits)[0]) == (("active", ""), "ready"), why


def test_of_a_gift_that_was_split_the_part_that_is_ours_counts(deps: Deps):
    asks = publish(deps, ASK, goal="gave", **ANY_HOUR)
    (who,) = people(deps, 1)
    enrol(deps, asks, [who])
    order = {"donor": Person(email=email(deps, who)), "paid_at": NOW, "order_number": "AB1"}
    tell(deps, gift(entity_id=OTHER_FUND, **order), gift(**order))
    assert places(deps, asks) == [("left", "gave")]


def test_the_first_of_a_plan_ends_it_and_so_does_a_gift_of_a_moment_before_she_entered(deps: Deps):
    asks, ids = publish(deps, ASK, goal="gave", **ANY_HOUR), people(deps, 2)
    enrol(deps, asks, ids)
    gives(deps, ids[0], recurring_period="monthly", plan_key="plan")
    gives(deps, ids[1], paid_at=NOW - HOUR)
    assert places(deps, asks) == [("left", "gave")] * 2


def test_what_was_written_before_she_was_moved_to_a_newer_version_is_taken_back_as_well(deps: Deps):
    of = publish(deps, MAIL, PAUSE, ASK, goal="gave", **ANY_HOUR)
    (who,) = people(deps, 1)
    enrol(deps, of, [who], step="pause")
    (waits,) = queue(deps, of, [who])
    change(deps, """WITH newer AS (INSERT INTO sequence_version (sequence_id, version, definition, mailings, fund_ids,
        published_at) SELECT sequence_id, 2, definition, mailings, fund_ids, published_at FROM sequence_version
        WHERE id = :id RETURNING id) UPDATE enrollment SET version_id = newer.id FROM newer""", id=of.version_id)  # fmt: skip
    gives(deps, who)
    assert stands(deps, waits) == ("cancelled", "gave")


def test_what_let_her_in_does_not_end_it_and_the_next_gift_does(deps: Deps):
    invites = publish(deps, MAIL, PAUSE, ASK, on="first_gift", goal="gave", **ANY_HOUR)
    (who,) = people(deps, 1)
    gives(deps, who)
    steps(deps)
    assert places(deps, invites) == [("active", "")]
    deps.clock.skip(DAY)
    gives(deps, who)
    assert places(deps, invites) == [("left", "gave")]


def test_money_that_goes_back_brings_nobody_back_and_rests_the_asks_of_its_fund(deps: Deps):
    asks = publish(deps, ASK, PAUSE, MORE, goal="gave", **ANY_HOUR)
    (who,) = people(deps, 1)
    enrol(deps, asks, [who])
    key = gives(deps, who, payment_key="p/1")
    tell(deps, RefundReported(None, "actblue", f"refund {key}", 2700, NOW, payment_key="p/1"))
    assert places(deps, asks) == [("left", "gave")]
    (later,) = queue(deps, publish(deps, ASK, **ANY_HOUR), [who], due=NOW + 20 * DAY)
    deps.clock.skip(20 * DAY)
    go(deps)
    assert stands(deps, later) == ("skipped", "asks rest until 3 December: a gift went back")


def test_while_an_instalment_is_failing_she_is_not_asked_and_who_is_told_to_leave_by_it_leaves(deps: Deps):
    leaves = publish(deps, MAIL, exit_when={"op": "recurring", "state": "failing"}, **ANY_HOUR)
    (who,) = people(deps, 1)
    tell(deps, PlanReported(None, "actblue", "plan", 2700, "monthly", NOW - 40 * DAY, NOW - 40 * DAY))
    gives(deps, who, paid_at=NOW - 40 * DAY, plan_key="plan", recurring_period="monthly")
    enrol(deps, leaves, [who])
    tell(deps, PlanPaymentFailed(None, "actblue", "failure", "plan", NOW))
    assert places(deps, leaves) == [("left", "left by its rule")]
    of = publish(deps, ASK, **ANY_HOUR)
    (asked,), (told,) = queue(deps, of, [who]), queue(deps, publish(deps, MAIL, **ANY_HOUR), [who])
    go(deps)
    assert stands(deps, asked) == ("skipped", "asks rest until 17 November: an instalment failed")
    assert stands(deps, told)[0] == "handed"


# Whatever else a rule names.


def test_each_goal_is_reached_by_what_happens_to_her_and_only_hers(deps: Deps):
    who, other = people(deps, 2)
    goals: dict[str, dict[str, Any]] = {
        "many gifts": {"op": "gave", "count": 2},
        "a plan": {"op": "recurring"},
        "a sign-up": {"op": "signed_up", "via": "join"},
        "help": {"op": "volunteer"},
        "a click": {"op": "clicked", "within": "2 days"},
    }
    of = {why: publish(deps, MAIL, PAUSE, MORE, goal=goal, **ANY_HOUR) for why, goal in goals.items()}
    for each in of.values():
        enrol(deps, each, [who, other])
        queue(deps, each, [who, other])

    def fresh() -> set[str]:
        left = {why for why, each in of.items() if places(deps, each)[0] == ("left", "goal reached")}
        found = left - seen
        seen.update(left)
        return found

    seen: set[str] = set()
    way = one(deps, "SELECT code FROM way_to_help ORDER BY id LIMIT 1").code
    gives(deps, who)
    assert fresh() == set()
    gives(deps, who)
    assert fresh() == {"many gifts"}
    tell(deps, PlanReported(None, "actblue", "plan", 2700, "monthly", NOW, NOW))
    gives(deps, who, plan_key="plan", recurring_period="monthly", sequence=1)
    assert fresh() == {"a plan"}
    join(deps, email=email(deps, who), ways_to_help=[way])
    assert fresh() == {"a sign-up", "help"}
    told = letters.sent(deps, email=email(deps, who), at=NOW)[0]
    letters.tell(deps, [letters.element("click", told, 600)])
    assert fresh() == {"a click"}
    assert seen == set(of)
    assert all(places(deps, each)[1] == ("active", "") for each in of.values())
    found = Counter(
        (row.contact_id, row.state) for row in rows(deps, "SELECT contact_id, state FROM message WHERE step <> ''")
    )
    assert found == {(who, "cancelled"): len(of), (other, "ready"): len(of)}


def join(deps: Deps, **said: Any) -> None:
    """She signs up on our form."""
    put(deps, raw(join_body(at=deps.clock.now.isoformat(), **said)), source="join")
    intake.drain(deps, bell.INTAKE)


def test_what_a_goal_says_of_a_letter_of_its_sequence_is_about_this_time_through_it(deps: Deps):
    (who,) = people(deps, 1)
    goal = {"op": "clicked", "letter": "news"}
    early, late = (
        publish(deps, MAIL, {"key": "day", "wait": "1 day"}, MORE, goal=goal, campaign=True, **ANY_HOUR)
        for _ in range(2)
    )
    for each in (early, late):
        enrol(deps, each, [who])
    steps(deps)
    go(deps)
    ours = one(deps, f"""SELECT m.id, m.handover_id, m.contact_id, c.email, '' FROM message m
        JOIN contact c ON c.id = m.contact_id WHERE m.campaign_id = {early.campaign_id}""")  # fmt: skip
    letters.tell(deps, [letters.element("click", letters.Sent(*ours), 600)])
    assert [places(deps, each) for each in (early, late)] == [[("left", "goal reached")], [("active", "")]]
    deps.clock.skip(DAY)
    steps(deps)
    go(deps)
    found = rows(deps, "SELECT campaign_id, state FROM message WHERE step = 'more'")
    assert [tuple(row) for row in found] == [(late.campaign_id, "handed")]


def test_a_rule_to_leave_by_is_asked_when_a_chapter_changes(deps: Deps):
    (who,) = people(deps, 1)
    away = {"op": "not", "of": {"op": "chapter", "chapter": "worcester"}}
    of = publish(deps, MAIL, exit_when=away, campaign=True, **ANY_HOUR)
    enrol(deps, of, [who])
    lowell = one(deps, "SELECT id FROM chapter WHERE slug = 'lowell'").id
    change(deps, "UPDATE contact SET chapter_id = :lowell WHERE id = :id", lowell=lowell, id=who)
    tell(deps, events.ChapterChanged(None, who, None, lowell, "choice"))
    assert places(deps, of) == [("left", "left by its rule")]
    assert one(deps, f"SELECT left_early FROM campaign WHERE id = {of.campaign_id}").left_early == 1


# As much as it costs.


@contextmanager
def statements(deps: Deps) -> Iterator[list[str]]:
    """Those of the block."""
    made: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        made.append(statement)

    pool = deps.sessions.kw["bind"]
    event.listen(pool, "before_cursor_execute", note)
    yield made
    event.remove(pool, "before_cursor_execute", note)


def costs(deps: Deps, contact_ids: list[int]) -> int:
    """Statements of one batch of gifts of these."""
    told = [gift(donor=Person(email=email(deps, each)), paid_at=NOW) for each in contact_ids]
    with statements(deps) as made:
        tell(deps, *told)
    return len(made)


def test_the_number_of_statements_grows_with_neither_people_nor_versions(deps: Deps):
    bare = costs(deps, people(deps, 1))
    idle = publish(deps, MAIL, goal={"op": "clicked", "within": "2 days"}, **ANY_HOUR)
    ids = people(deps, 20)
    enrol(deps, idle, ids)
    assert costs(deps, ids) == bare, "a version that no gift can end is not asked"
    found = []
    for many in (1, 9):
        ids = people(deps, 20 * many)
        for number in range(many):
            goal = {"op": "chapter", "chapter": "lowell"}, {"op": "gave", "count": number + 2}
            enrol(deps, publish(deps, MAIL, goal={"op": "any", "of": list(goal)}, **ANY_HOUR), ids)
        found.append(costs(deps, ids))
    assert found[0] == found[1] <= bare + 2


# Beside others. What is barred waits, and what must not wait does not.

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def asks(deps: Deps) -> tuple[Published, int]:
    """Somebody who is about to be asked."""
    of = publish(deps, ASK, PAUSE, MORE, goal="gave", campaign=True, **ANY_HOUR)
    (who,) = people(deps, 1)
    enrol(deps, of, [who])
    return of, who


def test_a_gift_that_comes_while_she_steps_waits_and_finds_the_letter(deps: Deps):
    of, who = asks(deps)
    with ThreadPoolExecutor(1) as pool:
        with deps.work() as (session, now):
            happened, _ = stepping.step(session, now, deps.settings)
            deps.react(session, happened, now)
            giving = pool.submit(gives, deps, who)
            while not rows(deps, WAITING):
                assert not giving.done()
                sleep(0.01)
        giving.result(20)
    assert places(deps, of) == [("left", "gave")]
    assert tally(deps, of) == {"composed": 1, "cancelled": 1}


def test_who_is_just_giving_is_not_stepped_and_gets_nothing(deps: Deps):
    of, who = asks(deps)
    with deps.work() as (session, now):
        deps.react(session, [gift(donor=Person(email=email(deps, who)), paid_at=now)], now)
        outreach.step(deps)  # nobody is waited for
        assert places(deps, of) == [("active", "")]
    steps(deps)
    assert places(deps, of) == [("left", "gave")]
    assert tally(deps, of) == {}


def test_who_gave_while_the_people_of_a_campaign_were_being_chosen_gets_nothing(deps: Deps):
    of = publish(deps, ASK, goal="gave", campaign=True, **ANY_HOUR)
    who, other = people(deps, 2)
    deps.clock.skip(HOUR)
    with deps.work() as (session, _):
        connection = session.connection()
        connection.exec_driver_sql(f"""INSERT INTO enrollment (contact_id, version_id, sequence_id, campaign_id, rotation,
            step, due_at, entered_at) SELECT id, {of.version_id}, {of.sequence_id}, {of.campaign_id}, 1, 'ask',
            '{deps.clock.now}', '{deps.clock.now}' FROM contact WHERE id IN ({who}, {other})""")  # fmt: skip
        gives(deps, who, paid_at=deps.clock.now - timedelta(seconds=30))
    steps(deps)
    assert places(deps, of) == [("left", "gave"), ("finished", "")]
    assert tally(deps, of) == {"composed": 1}


def test_a_gift_does_not_wait_for_a_letter_that_is_just_being_claimed(deps: Deps):
    of, who = asks(deps)
    (leaving,) = queue(deps, of, [who], step="ask")
    with deps.work() as (session, now):
        terms = claims.Terms(now, 1.0, 1000, "UTC", 2, 5, 1, production=False)
        assert claims.campaign(session, terms).readers == {leaving: who}
        gives(deps, who)
    assert stands(deps, leaving)[0] == "handed"
    assert places(deps, of) == [("left", "gave")]
