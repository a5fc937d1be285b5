"""What would happen is what happens: simulations beside the real clock. Nobody is locked, nothing changed, all bounded."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import InternalError

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.outreach import claims, definitions
from engine.reports import explain, simulate, world
from engine.reports.explain import Explained
from engine.reports.simulate import Bounds
from engine.segments import rules
from engine.staff.rights import Reach
from tests.campaigns import NOW, enqueue, letter, people
from tests.flows.house import change, rows
from tests.launches import draft, launch
from tests.sequences import enrol, publish
from workers import delivery, outreach

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HERE = ZoneInfo("America/New_York")
SPANISH = {"op": "language", "language": "es"}
STEPS = (
    {"key": "write", "email": "call"},
    {"key": "days", "wait": "2 days at 10:00"},
    {"key": "ask", "ask": True, "if": {"op": "not", "of": SPANISH}, "at_cap": "drop",
     "variants": [{"key": "warm", "letter": "warm"}, {"key": "plain", "letter": "plain"}]},
    {"key": "vote", "wait": "1 day before deadline at 18:00"},
    {"key": "last", "email": "last_call", "holdout": 30, "expires": "5 hours"},
)  # fmt: skip


def crowd(deps: Deps) -> list[int]:
    """Fifty people of every kind: far zones, another language, a pause, resting asks, a full week of letters, another
    sequence, one who may not be written to."""
    ids = people(deps, 50)
    zones = ("Pacific/Honolulu", "America/Los_Angeles", "")
    for place, contact_id in enumerate(ids[:12]):
        change(deps, "UPDATE contact SET time_zone = :zone WHERE id = :id", zone=zones[place % 3], id=contact_id)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = ANY(:ids)", ids=ids[10:15])
    change(deps, """INSERT INTO consent (contact_id, channel, kind, given, at, until, source)
        SELECT unnest(CAST(:ids AS bigint[])), 'mail', 'pause', false, :now, CAST(:until AS timestamptz), 'us'""",
           ids=ids[15:20], now=NOW, until=NOW + 30 * HOUR)  # fmt: skip
    change(deps, """INSERT INTO ask_rest (contact_id, reason, since, until)
        SELECT unnest(CAST(:ids AS bigint[])), 'many', :now, CAST(:now AS timestamptz) + interval '20 days'""",
           ids=ids[20:24], now=NOW)  # fmt: skip
    change(deps, "UPDATE consent SET given = false WHERE contact_id = :id", id=ids[24])
    change(deps, "UPDATE fund SET limit_cents = 50000")
    change(deps, """WITH gave AS (
            INSERT INTO contribution (contact_id, source, source_key, fund_id, amount_cents, paid_at, donor)
            SELECT :id, 'actblue', 'all', min(id), 50000, :at, '{}' FROM fund RETURNING id
        ) INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, occurred_at)
        SELECT id, 'gift', 'actblue', 'all', 50000, :at FROM gave""", id=ids[48], at=NOW - 60 * DAY)  # fmt: skip
    for days in (1, 2, 3, 4, 5):
        news = letter(deps)
        enqueue(deps, news, ids[25:32])
        change(deps, "UPDATE message SET state = 'delivered', handed_at = :at WHERE mailing_id = :id",
               at=NOW - days * DAY, id=news)  # fmt: skip
    other = publish(deps, {"key": "hello", "email": "hello"}, {"key": "pause", "wait": "1 day"},
                    {"key": "again", "email": "hello_again"}, on="joined")  # fmt: skip
    enrol(deps, other, ids[30:40], due=NOW + 2 * HOUR)
    return ids


def campaign(deps: Deps, **terms: Any) -> None:
    """A campaign of STEPS to people of Worcester, with a deadline in a week."""
    publish(deps, *STEPS, slug="rent", name="Before the rent vote", expires="deadline", **terms)
    draft(deps, sequence="rent", deadline=NOW + 7 * DAY)


def live(deps: Deps, days: int) -> None:
    """So many days go by, hour by hour, with all workers at work."""
    for _ in range(days * 24):
        outreach.work(deps)
        delivery.hand_over(deps, bell.DELIVERY)
        deps.clock.skip(HOUR)


def on_day(at: datetime) -> str:
    return f"{at.astimezone(HERE):%Y-%m-%d}"


def got(found: Explained) -> list[tuple[str, str]]:
    """Which letters left on which days, as a simulation of one person says."""
    return sorted(
        (on_day(said.at), said.about.removeprefix("letter ")) for said in found.decided if "was handed" in said.says
    )


def test_fifty_people_get_the_same_letters_on_the_same_dates_when_the_clock_really_runs(deps: Deps):
    ids = crowd(deps)
    campaign(deps)
    with deps.work() as (session, now):
        vote = explain.about(session, "vote")
        whole = simulate.of_campaign(session, "vote", now, deps.settings)
        each = {who: got(simulate.for_person(session, who, now, deps.settings, asked=vote)) for who in ids[::4]}
    assert rows(deps, "SELECT FROM enrollment WHERE campaign_id <> 0") == []
    launch(deps)
    live(deps, 8)
    sent = rows(deps, """SELECT m.contact_id, m.handed_at, w.slug, m.step, m.campaign_id FROM message m
        JOIN mailing w ON w.id = m.mailing_id WHERE m.handed_at >= '2026-11-03T12:00Z' ORDER BY m.id""")  # fmt: skip
    real = {who: sorted((on_day(row.handed_at), row.slug) for row in sent if row.contact_id == who) for who in each}
    assert each == real
    assert whole.sample.people == 44
    of_campaign = [row for row in sent if row.campaign_id]
    assert 90 < len(of_campaign) < 140
    assert whole.letters.number == len(of_campaign)
    by_day_and_step = Counter((on_day(row.handed_at), row.step) for row in of_campaign)
    assert {
        (f"{day}", step): found.how_much.number for found in whole.by_day_and_step for day, step in [found.what]
    } == by_day_and_step
    unsent = rows(deps, """SELECT step, state, reason, count(*) FROM message WHERE campaign_id <> 0 AND handed_at IS NULL
        GROUP BY 1, 2, 3""")  # fmt: skip
    assert {found.what: found.how_much.number for found in whole.unsent} == {tuple(row[:3]): row[3] for row in unsent}
    ends = rows(deps, "SELECT state, reason, count(*) FROM enrollment WHERE campaign_id <> 0 GROUP BY 1, 2")
    assert {found.what: found.how_much.number for found in whole.ends} == {tuple(row[:2]): row[2] for row in ends}
    assert "Nothing is left of the fund's limit for her" in " ".join(each.what[2] for each in whole.unsent)
    assert whole.put_off
    assert whole.passed


MINE = ("contact", "message", "enrollment", "campaign", "sequence", "mailing", "handover", "sent_count", "step_tally")


def test_no_row_of_the_real_tables_is_locked_or_changed_while_it_runs(deps: Deps):
    ids = crowd(deps)
    campaign(deps)
    for _ in range(8):  # statements that were used so often are prepared on the server, for the real tables
        outreach.work(deps)
        delivery.hand_over(deps, bell.DELIVERY)
    before = {name: sorted(map(str, rows(deps, f"SELECT xmin, * FROM {name}"))) for name in MINE}
    touched = 0

    def meanwhile(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal touched
        if "INSERT INTO put_off" not in statement:  # once at each moment of the clock
            return
        with transaction(deps.sessions) as other:
            other.execute(text("SET LOCAL lock_timeout = '50ms'"))
            other.execute(text("UPDATE contact SET city = 'Elsewhere' WHERE id = ANY(:ids)"), {"ids": ids})
            for name in MINE[1:]:
                other.execute(text(f"SELECT FROM {name} FOR UPDATE"))
            assert other.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": claims.LOCK})
            touched += other.scalar(text("SELECT count(*) FROM contact WHERE city = 'Elsewhere'"))
            other.rollback()

    with deps.work() as (session, now):
        event.listen(session.connection(), "before_cursor_execute", meanwhile)
        found = simulate.of_campaign(session, "vote", now, deps.settings)
        assert found.letters.number > 90
        assert touched >= 5 * len(ids)
        event.remove(session.connection(), "before_cursor_execute", meanwhile)
        assert session.scalar(text("SELECT count(*) FROM message")) == len(
            before["message"]
        )  # the same connection goes on
    assert {name: sorted(map(str, rows(deps, f"SELECT xmin, * FROM {name}"))) for name in MINE} == before


def test_in_a_clone_postgres_itself_refuses_what_would_touch_real_rows(deps: Deps):
    ids = people(deps, 2)
    with deps.work() as (session, now), world.cloned(session, world.Terms(now, ids)):
        assert session.scalar(text("UPDATE contact SET city = 'Nowhere' RETURNING id")) in ids
        for real in ("UPDATE fund SET name = 'x'", "SELECT FROM fund FOR UPDATE", "INSERT INTO interest (code) VALUES ('x')",
                     "SELECT nextval(pg_get_serial_sequence('fund', 'id'))"):  # fmt: skip
            with pytest.raises(InternalError, match="read-only"), session.begin_nested():
                session.execute(text(real))
    assert rows(deps, "SELECT FROM contact WHERE city = 'Nowhere'") == []


def test_a_part_of_the_people_tells_of_all_of_them_with_its_margin_and_the_same_part_each_time(deps: Deps):
    ids = people(deps, 300)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = ANY(:ids)", ids=ids[:75])
    campaign(deps)
    with deps.work() as (session, now):
        found = simulate.of_campaign(session, "vote", now, deps.settings, Bounds(people=120))
        again = simulate.of_campaign(session, "vote", now, deps.settings, Bounds(people=120))
        whole = simulate.of_campaign(session, "vote", now, deps.settings)
    assert (found.sample.looked_at, found.sample.people) == (120, 300)
    assert [*found.by_day_and_step, *found.unsent] == [*again.by_day_and_step, *again.unsent]
    part, real = (
        {step: each.how_much for each in one.by_day_and_step for _, step in [each.what]} for one in (found, whole)
    )
    assert (part["write"].number, part["write"].margin, real["write"].number) == (300, 0, 300)
    assert part["ask"].margin > 0
    assert part["ask"].least <= real["ask"].number == 225 <= part["ask"].most
    assert whole.letters.margin == 0


def test_a_part_of_the_people_has_a_part_of_what_may_leave_in_a_day(deps: Deps):
    people(deps, 60)
    change(deps, "UPDATE chapter SET daily_letters = 20 WHERE slug = 'worcester'")
    publish(deps, {"key": "write", "email": "call"}, slug="rent", name="Rent", quiet_hours=None)
    draft(deps, sequence="rent")
    with deps.work() as (session, now):
        for many in (60, 30):
            found = simulate.of_campaign(session, "vote", now, deps.settings, Bounds(people=many))
            assert [each.how_much.number for each in found.by_day] == [
                40,
                20,
            ]  # here a day of UTC begins in the evening


def test_a_sequence_that_people_enter_by_themselves_is_tried_with_whom_one_likes(deps: Deps):
    ids = people(deps, 6)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = ANY(:ids)", ids=ids[:2])
    steps = (
        {"key": "hello", "email": "hello"},
        {"key": "pause", "wait": "3 days"},
        {"key": "again", "email": "once_more"},
    )
    others = {"if": {"op": "not", "of": SPANISH}}
    publish(deps, *steps, slug="greeting", name="Greeting", on="offered_help", **others)
    with deps.work() as (session, now):
        found = simulate.of_sequence(session, "greeting", now, deps.settings)
        assert [(each.what[1], each.how_much.number) for each in found.by_day_and_step] == [("hello", 4), ("again", 4)]
        with pytest.raises(Invalid, match="nobody is chosen"):
            simulate.of_sequence(session, "greeting", now, deps.settings, among=rules.read(SPANISH))
        her = simulate.for_person(session, ids[0], now, deps.settings, asked=explain.about(session, "greeting"))
        assert not [said for said in her.decided if said.about == "greeting"]  # others take her: there are some
        assert [(met.says, met.met) for met in her.conditions] == [("does not read es", False)]
        her = simulate.for_person(session, ids[5], now, deps.settings, asked=explain.about(session, "greeting"))
    assert {("2026-11-03", "hello"), ("2026-11-06", "once_more")} <= set(got(her))


def test_a_sequence_that_stands_still_is_tried_as_if_it_went_on_with_the_deadline_that_it_would_have(deps: Deps):
    people(deps, 3)
    publish(deps, *STEPS, slug="rent", name="Rent", expires="deadline")
    change(deps, "UPDATE sequence SET paused_at = now() WHERE slug = 'rent'")
    with deps.work() as (session, now):
        found = simulate.of_sequence(session, "rent", now, deps.settings)
        assert [each.what for each in found.ends] == [("left", "there is no deadline to count from")]
        found = simulate.of_sequence(session, "rent", now, deps.settings, deadline=now + 7 * DAY)
    assert {each.what[0] for each in found.by_step} == {"write", "ask", "last"}
    assert rows(deps, "SELECT FROM sequence WHERE slug = 'rent' AND paused_at IS NULL") == []


def test_a_sequence_that_is_only_written_is_tried_as_well_and_published_nowhere(deps: Deps):
    people(deps, 3)
    letter(deps, "call")
    told = {"slug": "written", "name": "Written", "on": "launch", "steps": [{"key": "write", "email": "call"}]}
    with deps.work() as (session, now):
        found = simulate.of_sequence(session, definitions.read(told), now, deps.settings)
        assert found.letters.number == 3
        wrong = definitions.read(told | {"steps": [{"key": "write", "email": "no_such"}]})
        with pytest.raises(Invalid, match="no_such"):
            simulate.of_sequence(session, wrong, now, deps.settings)
    assert rows(deps, "SELECT FROM sequence WHERE slug = 'written'") == []


def test_what_goes_on_already_is_told_for_one_person_and_refused_for_all(deps: Deps):
    ids = people(deps, 2)
    campaign(deps)
    launch(deps)
    outreach.work(deps)
    with deps.work() as (session, now):
        with pytest.raises(Conflict, match="has begun"):
            simulate.of_campaign(session, "vote", now, deps.settings)
        her = simulate.for_person(session, ids[0], now, deps.settings, asked=explain.about(session, "vote"))
    assert ("2026-11-03", "call") in got(her)
    assert her.chosen == "it chose her"


def test_a_simulation_is_bounded(deps: Deps):
    people(deps, 2)
    campaign(deps)
    for wrong in ({"people": 20_001}, {"people": 0}, {"days": 401}):
        with pytest.raises(Invalid, match="looks"):
            Bounds(**wrong)
    with deps.work() as (session, now):
        with pytest.raises(Invalid, match="takes too long"):
            simulate.of_campaign(session, "vote", now, deps.settings, Bounds(seconds=0))
        found = simulate.of_campaign(session, "vote", now, deps.settings, Bounds(days=1))
        assert [each.what for each in found.ends] == [("active", "")]
        with pytest.raises(NotFound):
            simulate.of_campaign(session, "none", now, deps.settings)
        nowhere = Reach(everywhere=False, chapter_ids=frozenset())
        with pytest.raises(NotFound, match="reach"):
            simulate.for_person(session, 1, now, deps.settings, reach=nowhere)
