"""Hours that a restore lost: whoever said no in them is heard, and nothing that may have left in them leaves again."""

import asyncio
from datetime import timedelta
from threading import Thread
from time import monotonic, sleep

import pytest
from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions, transaction
from engine.errors import Conflict
from engine.mail import codes, lost, sending, whereabouts
from tests.asgi import Client
from tests.campaigns import enqueue, letter, people, states
from tests.conftest import Servers
from tests.flows.house import change, one, put, run_everything
from tests.flows.test_restored import came, got, release, restored, told, work
from tests.letters import tell
from tests.make import actblue_body, raw
from tests.sequences import enrol, publish
from webhooks.app import build
from webhooks.writer import Arrival, Writer

FORM = [("content-type", "application/x-www-form-urlencoded")]
_WAITING = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted"
_NOTICES = f"SELECT count(*) AS n FROM notice WHERE resolved_at IS NULL AND kind = '{lost.STOPPED}'"
_NOES = "SELECT (SELECT count(*) FROM consent WHERE NOT given) + (SELECT count(*) FROM suppression) AS n"


def test_who_dies_while_the_ids_jump_loses_no_letter_of_the_lost_hours(deps: Deps, servers: Servers):
    came(deps)
    enqueue(deps, letter(deps), people(deps, 2))
    with restored(deps, servers) as again:
        work(deps)  # the lost hours
        before = got(deps)
        with again.sessions() as session:
            assert whereabouts.look(session)
            session.rollback()
        came(again)
        tell(again, told(deps, "processed", "delivered"))
        assert states(again) == {"delivered": 2}
        release(again, replayed=True)
        work(again)
        assert got(again) == before


def test_two_restores_to_one_moment_give_out_no_id_twice(deps: Deps, servers: Servers):
    came(deps)
    given = []
    for _ in range(2):
        with restored(deps, servers) as again:
            came(again)
            put(again, raw(actblue_body()))
            run_everything(again)
            given.append({one(again, f"SELECT max(id) AS id FROM {each}").id for each in ("contact", "message")})
    assert not given[0] & given[1]


@pytest.mark.parametrize("first", ["told", "stopped", "repeated"])
def test_one_click_by_a_letter_of_lost_hours_stops_letters_of_somebody_who_is_nobody_here(
    deps: Deps, servers: Servers, first: str
):
    came(deps)
    gift = raw(actblue_body())
    with restored(deps, servers) as again:
        put(deps, gift)
        work(deps)  # the lost hours: a new donor and her thanks
        lost = one(deps, "SELECT id, contact_id FROM message WHERE occasion LIKE 'gift:%'")
        click = f"/u/{deps.signer.sign('unsubscribe', lost.contact_id, lost.id)}"
        came(again)
        if first != "stopped":
            tell(again, told(deps, "delivered"))
        if first == "repeated":
            put(again, gift)
            work(again)
            release(again, replayed=True)
            work(again)
            assert one(again, "SELECT count(became_id) AS n FROM lost_letter").n == 1
        with Client(build(again)) as door:
            assert door.send("POST", click, FORM, b"List-Unsubscribe=One-Click").status == 200
        if first == "stopped":
            assert one(again, _NOTICES).n == 1
            tell(again, told(deps, "delivered"))
        assert one(again, _NOTICES).n == 0
        work(again)
        assert one(again, _NOES).n > 0
        assert one(again, "SELECT DISTINCT reason FROM suppression").reason == "unsubscribe"


def test_what_is_taken_to_have_left_are_letters_of_whoever_was_there_before(deps: Deps, servers: Servers):
    came(deps)
    old, new = people(deps, 2)
    published = publish(deps, {"key": "write", "email": "news"}, quiet_hours=None)
    enrol(deps, published, [old])
    with restored(deps, servers) as again:
        came(again)
        with pytest.raises(Conflict, match="a step to take again"):
            release(again, presumed=True)
        enrol(again, published, [new])
        change(again, f"UPDATE enrollment SET entered_at = now() + interval '1 minute' WHERE contact_id = {new}")
        work(again)
        change(again, "UPDATE message SET due_at = due_at + interval '9 hours'")  # composed in quiet hours
        assert states(again) == {"ready": 2}
        assert release(again, presumed=True) == (["restored"], 1)
        assert one(again, "SELECT contact_id AS id FROM message WHERE state = 'skipped'").id == old


def test_many_letters_are_taken_to_have_left_so_many_at_a_time(deps: Deps, servers: Servers):
    came(deps)
    waiting = enqueue(deps, letter(deps), people(deps, 5))
    with restored(deps, servers) as again:
        came(again)
        found: list[int] = []
        for _ in range(3):
            with again.work() as (session, now):
                ids, _happened = sending.presume(session, now, max(found, default=0), most=2)
            found += ids
        assert found == waiting


def test_nobody_releases_while_what_the_provider_told_waits(deps: Deps, servers: Servers):
    came(deps)
    with restored(deps, servers) as again:
        came(again)
        put(again, b"[]", lane=bell.FEEDBACK, source="sendgrid")
        with pytest.raises(Conflict, match="not applied yet"):
            release(again, replayed=True)
        assert release(again, replayed=True, anyway=True) == (["restored"], 0)


def test_lost_hours_that_a_person_declares_begin_when_the_pulse_saw_the_database_last(deps: Deps):
    came(deps)
    change(deps, "UPDATE database_home SET seen_at = now() - interval '5 hours'")
    pool = make_pool(deps.sessions.kw["bind"].url.render_as_string(hide_password=False), size=1)
    whereabouts.watch(pool)
    with transaction(make_sessions(pool)) as session:
        sending.stop(session, restored=True)
    pool.dispose()
    assert one(deps, "SELECT found_at - seen_at AS span FROM restoration").span > timedelta(hours=4)


def test_the_first_event_that_is_taken_in_after_a_restore_gets_no_id_of_lost_hours(deps: Deps):
    change(deps, "INSERT INTO database_home (id, mark) VALUES (1, 'elsewhere')")

    async def stored() -> int | None:
        writer = Writer(deps)
        async with writer.running():
            return await writer.store(Arrival("actblue", "k", "", bell.INTAKE, b"{}"))

    number = asyncio.run(stored())
    assert number is not None
    assert number > whereabouts.JUMP
    assert one(deps, "SELECT reason FROM mail_hold").reason == "restored"


def test_a_word_that_comes_while_its_letter_is_claimed_again_is_told_once_more(deps: Deps):
    with deps.sessions() as session, session.begin():
        session.execute(text("INSERT INTO lost_letter (message_id, handover_id, code, at) VALUES (7, 7, 'c', now())"))
    event = put(deps, b"[1]", lane=bell.FEEDBACK, source="sendgrid")
    (waiting,) = enqueue(deps, letter(deps), people(deps, 1))
    found: list[int] = []

    def claim() -> None:
        with transaction(deps.sessions) as session:
            found.extend(lost.repeated(session, [(waiting, "c")]))

    with deps.sessions() as session, session.begin():
        session.execute(text(f"UPDATE lost_letter SET causes = '{{{event}}}'"))
        session.execute(text("UPDATE inbound_event SET state = 'ignored'"))
        thread = Thread(target=claim)
        thread.start()
        until = monotonic() + 5
        while not one(deps, _WAITING).n and monotonic() < until:
            sleep(0.02)
    thread.join(10)
    assert found == [waiting]
    assert one(deps, "SELECT state FROM inbound_event").state == "pending"


def test_letters_of_which_no_two_are_the_same_have_no_code(deps: Deps):
    for occasion in ("notice:key:0", "sign-in:7", "trial:9"):
        assert codes.codes(deps.signer, "a@example.org", codes.named(occasion, None, None)) == ()
    assert codes.codes(deps.signer, "a@example.org", codes.named("confirm:9", None, None))
