"""What is long over: letters and places in the archive mean what they meant, nothing comes a second time, and what told us of
something can go without its effects coming twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell, inbox, years
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import archive, unsubscribing
from engine.people import bundles
from engine.reports import explain, results
from engine.reports.explain import Explained
from engine.segments import audience, rules
from engine.tables.columns import metadata
from tests.campaigns import letter as letter_of
from tests.campaigns import people
from tests.flows.house import change, one, put, rows, run_everything
from tests.launches import NOON, draft, launch, leave, sequence, standing
from tests.letters import Sent, element, sent, tell
from tests.make import PAYLOADS, actblue_body, raw
from tests.of_a_person import erase, merge
from workers import long_over, upkeep

LATER = timedelta(days=500)
LETTER = {"key": "write", "email": "rent"}


def age(deps: Deps, span: timedelta = LATER) -> None:
    deps.clock.now += span  # type: ignore[attr-defined]


def count(deps: Deps, table: str, where: str = "true") -> int:
    return int(one(deps, f"SELECT count(*) AS n FROM {table} WHERE {where}").n)


def explained(deps: Deps, contact_id: int) -> Explained:
    with deps.work() as (session, now):
        return explain.explain(session, contact_id, now, "America/New_York")


def chosen(deps: Deps, **rule: Any) -> bool:
    """Whether this rule chooses anybody."""
    with deps.work() as (session, now):
        return bool(audience.count(session, rules.read(rule), now, kind="news"))


def one_of_old(deps: Deps) -> Sent:
    """A letter that arrived, was clicked, and is old."""
    (letter,) = sent(deps, lane="delivery")
    tell(deps, [element("delivered", letter), element("click", letter, 3600)])
    return letter


def test_a_letter_that_is_long_over_goes_with_what_was_told_of_it_and_is_told_as_before(deps: Deps):
    letter = one_of_old(deps)
    before = explained(deps, letter.contact_id)
    long_over.put_away(deps)
    assert count(deps, "message") == 1
    age(deps)
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "mail_event", "past_letter")] == [0, 0, 1]
    assert count(deps, "handover") == 1  # the newest that was heard of stays: it proves that the provider tells us
    assert explained(deps, letter.contact_id).decided == before.decided
    assert {"arrived", "she followed a link in it"} < {said.says for said in before.decided}
    with transaction(deps.sessions) as session:
        (told,) = bundles.collect(session, letter.contact_id)["letters"]
        assert unsubscribing.addressed(session, letter.contact_id, letter.message_id).made_at is not None
    assert (told["state"], told["clicked_at"] is not None) == ("delivered", True)
    later = sent(deps)[0]
    tell(deps, [element("delivered", later)])
    long_over.put_away(deps)
    age(deps)
    long_over.put_away(deps)
    assert rows(deps, "SELECT id FROM handover") == [(later.handover_id,)]


@pytest.mark.parametrize(
    "still",
    [
        "UPDATE message SET state = 'ready'",
        "UPDATE message SET due_at = now() + interval '450 days'",
        "UPDATE mail_event SET at = now() + interval '450 days'",
        "UPDATE handover SET state = 'uncertain'",
        "UPDATE message SET campaign_id = 1",  # of a campaign of which nothing says that it is over
    ],
)
def test_what_is_not_over_for_so_long_stays(deps: Deps, still: str):
    one_of_old(deps)
    change(deps, still)
    age(deps)
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "past_letter")] == [1, 0]


def write(deps: Deps, letter: Sent, occasion: str, contact_id: int = 0) -> int:
    """Try to write the letter of this occasion. How many were written."""
    with transaction(deps.sessions) as session:
        return len(session.execute(
            text("INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)"
                 " SELECT :id, id, :occasion, 'receipts', now(), '{}' FROM mailing WHERE slug = 'thank_you'"
                 " ON CONFLICT (contact_id, occasion) DO NOTHING RETURNING id"),
            {"id": contact_id or letter.contact_id, "occasion": occasion},
        ).all())  # fmt: skip


def test_the_letter_of_an_occasion_in_the_archive_is_never_written_again_whoever_she_was_merged_into(deps: Deps):
    letter, other = one_of_old(deps), sent(deps)[0]
    occasion = one(deps, f"SELECT occasion FROM message WHERE id = {letter.message_id}").occasion
    age(deps)
    change(
        deps, "UPDATE message SET created_at = :at, due_at = :at WHERE id = :id", at=deps.clock.now, id=other.message_id
    )
    long_over.put_away(deps)
    assert count(deps, "past_letter") == 1
    assert write(deps, letter, occasion) == 0
    assert write(deps, letter, occasion + "0") == 1
    assert write(deps, letter, occasion, other.contact_id) == 1  # it was another's
    merge(deps, letter.contact_id, other.contact_id)
    assert (count(deps, "past_letter", f"contact_id = {other.contact_id}"), count(deps, "past_occasion")) == (1, 1)
    assert rows(
        deps, f"SELECT state FROM message WHERE contact_id = {other.contact_id} AND occasion = '{occasion}'"
    ) == [("cancelled",)]
    assert write(deps, letter, occasion + "1", other.contact_id) == 1
    change(deps, "DELETE FROM message WHERE occasion = :occasion", occasion=occasion)
    assert write(deps, letter, occasion, other.contact_id) == 0


def test_cut_short_it_loses_nothing_and_goes_on_where_it_was(deps: Deps):
    letters = sent(deps, 5)
    tell(deps, [element("delivered", letter) for letter in letters])
    age(deps)
    with deps.sessions() as session:  # killed before the commit
        assert archive.archive(session, deps.clock.now, 0, most=3).moved == 3
        session.rollback()
    assert [count(deps, table) for table in ("message", "mail_event", "past_letter")] == [5, 5, 0]
    upto, moved = 0, []
    while True:
        with transaction(deps.sessions) as session:
            found = archive.archive(session, deps.clock.now, upto, most=2)
        upto = found.upto
        moved.append(found.moved)
        if not found.more:
            break
    assert moved == [2, 2, 1]
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "mail_event", "past_letter")] == [0, 0, 5]


def test_one_of_these_chores_works_at_a_time(deps: Deps):
    one_of_old(deps)
    age(deps)
    with transaction(deps.sessions) as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": long_over.LOCK})
        change(deps, "INSERT INTO chore (name, due_at) VALUES ('archive', now())")
        upkeep.run(deps, {long_over.ARCHIVE: timedelta(days=1)})
        assert count(deps, "past_letter") == 0
        assert count(deps, "chore", "due_at < now() + interval '10 seconds'") == 1
    long_over.put_away(deps)
    assert count(deps, "past_letter") == 1


def test_what_is_told_late_of_a_letter_in_the_archive_is_about_its_reader_alone(deps: Deps):
    letter, gone = one_of_old(deps), one_of_old(deps)
    age(deps)
    long_over.put_away(deps)
    erase(deps, gone.contact_id)
    tallied = rows(deps, "SELECT * FROM mailing WHERE slug = 'thank_you'")
    seconds = int(timedelta(days=20).total_seconds())
    late = [element("click", letter, seconds), element("spamreport", letter), element("click", gone, seconds)]
    for _ in range(2):
        whole = tell(deps, late)
        change(deps, "DELETE FROM inbound_event")
        assert whole
    assert rows(deps, "SELECT email, reason FROM suppression") == [(letter.email, "complaint")]
    assert one(deps, f"SELECT engaged_last_at FROM contact WHERE id = {letter.contact_id}").engaged_last_at is not None
    assert one(deps, f"SELECT engaged_last_at FROM contact WHERE id = {gone.contact_id}").engaged_last_at is None
    assert rows(deps, "SELECT * FROM mailing WHERE slug = 'thank_you'") == tallied
    assert count(deps, "message") + count(deps, "mail_event") == 0


def test_what_is_told_late_waits_for_letters_before_it_touches_anybody(deps: Deps):
    old = one_of_old(deps)
    age(deps)
    long_over.put_away(deps)
    (letter,) = sent(deps)
    with ThreadPoolExecutor(1) as hands:
        with transaction(deps.sessions) as holding:
            holding.execute(text("SELECT FROM message FOR UPDATE"))
            telling = hands.submit(tell, deps, [element("unsubscribe", old), element("delivered", letter)])
            while not rows(deps, "SELECT FROM pg_locks WHERE NOT granted"):
                assert not telling.done()
            holding.execute(text("SET LOCAL lock_timeout = '1s'"))
            holding.execute(
                text("INSERT INTO suppression (email, reason, at) VALUES (:email, 'unsubscribe', 'epoch')"),
                {"email": old.email},
            )
        telling.result()
    assert count(deps, "suppression", "at > 'epoch'") == 1


def test_a_campaign_that_is_over_tells_the_same_from_the_archive_and_comes_to_nobody_again(deps: Deps):
    few = begun(deps, [LETTER])
    age(deps, timedelta(days=5))
    leave(deps)
    assert standing(deps).state == "finished"
    asked = [
        {"op": "received", "letter": "rent"}, {"op": "received", "letter": "rent", "within": "3 years"},
        {"op": "in_sequence", "sequence": "walk", "state": "any"},
        {"op": "silent", "after": "100 days", "letters": 1},
    ]  # fmt: skip
    age(deps)
    before = [chosen(deps, **rule) for rule in asked]
    with transaction(deps.sessions) as session:
        came = results.of_campaign(session, "vote")
    told = explained(deps, few[0])
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "enrollment", "past_letter", "past_place")] == [0, 0, 3, 3]
    assert rows(deps, "SELECT contact_id FROM past_occasion") == [(0,)]
    with transaction(deps.sessions) as session:
        assert results.of_campaign(session, "vote") == came
    assert explained(deps, few[0]).decided == told.decided
    assert before == [True, True, True, True] == [chosen(deps, **rule) for rule in asked]
    change(deps, "UPDATE contact SET engaged_last_at = :at", at=deps.clock.now - timedelta(days=101))
    assert not chosen(deps, **asked[-1])
    (late,) = people(deps, 1)  # somebody who got nothing of it is in it once more, against all rules
    change(deps, "UPDATE campaign SET state = 'running', ended_at = NULL")
    change(deps, """INSERT INTO enrollment
        (contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at)
        SELECT :late, k.version_id, k.sequence_id, k.id, 1, 'write', :now, :now FROM campaign k""",
           late=late, now=deps.clock.now)  # fmt: skip
    leave(deps)
    assert (count(deps, "enrollment", "state = 'finished'"), count(deps, "message")) == (1, 0)


def begun(deps: Deps, steps: list[dict[str, Any]]) -> list[int]:
    """Three people get the first letter of a campaign with these steps; their ids."""
    deps.clock.now = NOON  # type: ignore[attr-defined]
    few = people(deps, 3)
    letter_of(deps, "rent")
    sequence(deps, "walk", steps)
    draft(deps, sequence="walk")
    launch(deps)
    leave(deps)
    assert count(deps, "message", "state = 'handed'") == 3
    return few


def test_a_run_in_which_somebody_is_on_her_way_stays_whole(deps: Deps):
    begun(deps, [LETTER, {"key": "pause", "wait": "400 days"}, {"key": "more", "wait": "400 days"}])
    age(deps, timedelta(days=600))
    change(deps, "UPDATE campaign SET run = 2")
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "enrollment", "past_letter")] == [3, 3, 0]
    change(deps, "UPDATE enrollment SET state = 'left', ended_at = :at", at=deps.clock.now - LATER)
    age(deps, long_over.ROUND)
    long_over.put_away(deps)
    assert [count(deps, table) for table in ("message", "enrollment", "past_letter", "past_place")] == [0, 0, 3, 3]


def test_years_of_the_archive_are_made_as_they_come_and_dropped_whole(deps: Deps):
    first, second = sent(deps, 2)
    for letter, year in ((first, 2013), (second, 2019)):
        change(deps, "UPDATE message SET created_at = :at, due_at = :at WHERE id = :id",
               at=datetime(year, 12, 31, 23, 59, tzinfo=UTC), id=letter.message_id)  # fmt: skip
    change(deps, "UPDATE handover SET created_at = '2013-01-01'")
    long_over.put_away(deps)
    with transaction(deps.sessions) as session:
        assert years.there(session, "past_letter") == [2016, 2017, 2018, 2019]
    assert rows(deps, "SELECT id FROM past_letter") == [(second.message_id,)]
    assert count(deps, "past_occasion") == 2


# --- What told us goes ---

EFFECTS = sorted(set(metadata.tables) - {"inbound_event", "bookmark", "chore", "notice", "zip"})


def everything(deps: Deps) -> dict[str, Counter[str]]:
    """All rows of all tables that hold what came of events, as text. When we last heard the same of a person, whose sign-up
    names no time of its own, is not looked at."""
    told = {"contact": "to_jsonb(t) - '{name_at,place_at,moved_at,address_at,phone_at,details_at}'\\:\\:text[]"}
    return {
        table: Counter(row[0] for row in rows(deps, f"SELECT CAST({told.get(table, 't')} AS text) FROM {table} t"))
        for table in EFFECTS
    }


def forget(deps: Deps, span: str) -> None:
    """All that came is older by this, and the chore has its turn."""
    change(deps, f"UPDATE inbound_event SET received_at = received_at - interval '{span}'")
    long_over.forget_events(deps)


def test_what_the_mail_provider_told_goes_first_and_told_again_changes_nothing(deps: Deps):
    (letter,) = sent(deps)
    gift = put(deps, raw(actblue_body()))
    run_everything(deps)
    told = [element("delivered", letter), element("bounce", letter, 5), element("no such kind", letter)]
    tell(deps, told)
    forget(deps, "80 days")
    assert count(deps, "inbound_event") == 5
    forget(deps, "11 days")
    assert [row.state for row in rows(deps, "SELECT state FROM inbound_event ORDER BY id")] == [
        "applied",
        "quarantined",
    ]
    before = everything(deps)
    tell(deps, told)
    assert everything(deps) == before
    assert one(deps, f"SELECT id FROM inbound_event WHERE id = {gift}")


SAID = sorted(path.relative_to(PAYLOADS) for path in PAYLOADS.glob("*/*.json") if path.parent.name != "sendgrid")


def test_money_and_people_told_again_after_their_events_are_gone_change_nothing(deps: Deps):
    say_all(deps)
    before = everything(deps)
    assert count(deps, "inbound_event", "state = 'applied'") > 10
    forget(deps, "2550 days")
    assert count(deps, "inbound_event") >= len(SAID)
    forget(deps, "10 days")
    assert count(deps, "inbound_event") == 0
    say_all(deps)
    after = everything(deps)
    assert {table: after[table] - before[table] for table in EFFECTS if after[table] != before[table]} == {}


def say_all(deps: Deps) -> None:
    """Every body of every source, and what follows."""
    for path in SAID:
        source = "actionnetwork" if path.stem == "actions" else path.parent.name
        put(deps, (PAYLOADS / path).read_bytes(), source=source)
    run_everything(deps)


def test_what_waits_for_a_worker_or_a_person_does_not_go_and_goes_once_it_is_applied(deps: Deps):
    held, bad = put(deps, raw(actblue_body())), put(deps, b"{}")
    done = put(deps, raw(actblue_body()))
    change(deps, "UPDATE inbound_event SET due_at = now() + interval '1 day' WHERE id = :id", id=held)
    run_everything(deps)
    forget(deps, "8 years")
    assert [row.id for row in rows(deps, "SELECT id FROM inbound_event ORDER BY id")] == [held, bad]
    assert not count(deps, "inbound_event", f"id = {done}")
    change(deps, "UPDATE inbound_event SET due_at = now()")
    with transaction(deps.sessions) as session:
        assert inbox.replay(session, [bad]) == {bad: bell.INTAKE}
    run_everything(deps)
    long_over.forget_events(deps)
    assert [row.id for row in rows(deps, "SELECT id FROM inbound_event")] == [bad]


def test_a_gift_that_is_owed_to_a_click_in_an_archived_letter_stays_owed_to_it(deps: Deps):
    (letter,) = sent(deps, lane="delivery")
    change(deps, "UPDATE message SET kind = 'asks'")
    tell(deps, [element("delivered", letter), element("click", letter, 3600)])
    clicked = one(deps, "SELECT at FROM mail_event WHERE kind = 'click'").at
    paid = (clicked + timedelta(hours=1)).isoformat()
    body = actblue_body(
        donor={"email": letter.email}, contribution={"refcode": None, "refcodes": None, "createdAt": paid}
    )
    body["lineitems"][0]["paidAt"] = paid
    put(deps, raw(body))
    run_everything(deps)
    owed = rows(deps, "SELECT * FROM attribution")
    assert [row.by for row in owed] == ["click"]
    age(deps)
    long_over.put_away(deps)
    assert count(deps, "past_letter") == 2  # and the thanks
    forget(deps, "8 years")
    put(deps, raw(body))
    run_everything(deps)
    assert rows(deps, "SELECT * FROM attribution") == owed
