"""A database that was restored: no letter leaves, no id comes again, and what left meanwhile leaves no second time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import pytest
from sqlalchemy import make_url, text

from engine import bell
from engine.bootstrap import Deps
from engine.cli.sending import moment
from engine.db import make_pool, make_sessions, transaction
from engine.errors import Conflict, Invalid
from engine.inbox_files import batches, export, read, store
from engine.mail import carried, codes, holds, sending, unsubscribing, whereabouts
from engine.sources import letter_ids
from tests.asgi import Client
from tests.campaigns import NOW, enqueue, go, letter, people, states
from tests.conftest import Servers
from tests.fakes import FakeMailer
from tests.flows.house import change, one, put, rows, run_everything
from tests.letters import tell
from tests.make import actblue_body, raw
from webhooks.app import build
from workers import delivery, intake, pulse

# As recovery does it: what was given out is known from WAL that was written ahead.
_WRITTEN_AHEAD = text("""
SELECT setval(s.name, coalesce(pg_sequence_last_value(s.name), 0) + 32)
FROM unnest(ARRAY['message', 'handover', 'contact', 'contribution']) t(name)
CROSS JOIN LATERAL (SELECT CAST(pg_get_serial_sequence(t.name, 'id') AS regclass) AS name) s
""")


@contextmanager
def restored(deps: Deps, servers: Servers) -> Iterator[Deps]:
    """The same house on its database as it is now, brought back later; who works there sends by the same provider."""
    assert deps.settings.database_url is not None
    deps.sessions.kw["bind"].dispose()
    with servers.clone(str(make_url(deps.settings.database_url.get_secret_value()).database)) as url:
        settings = deps.settings.model_copy(update={"database_url": url})
        pool = make_pool(url)
        with make_sessions(pool)() as session, session.begin():
            session.execute(_WRITTEN_AHEAD)
        try:
            yield replace(deps, settings=settings, sessions=make_sessions(pool))
        finally:
            pool.dispose()


def came(deps: Deps) -> None:
    """Whoever comes to a database first looks where it is."""
    with transaction(deps.sessions) as session:
        whereabouts.look(session)


def told(deps: Deps, *kinds: str) -> list[dict[str, Any]]:
    """What the provider tells of every letter that it has."""
    assert isinstance(deps.mailer, FakeMailer)
    handovers = {letter.message_id: handover for handover, letter in deps.mailer.accepted}
    return [
        {
            "email": copy.to_email, "event": kind, "timestamp": int(time()) - 60 + place, "url": "https://example.org/a",
            "sg_message_id": f"fake-{handovers[copy.message_id]}.f1", "sg_event_id": f"{copy.message_id}{kind}",
            letter_ids.MESSAGE_ARG: letter_ids.encode(copy.message_id), letter_ids.CODE_ARG: copy.code,
            letter_ids.HANDOVER_ARG: letter_ids.encode(handovers[copy.message_id]),
        }
        for _, copies in deps.mailer.requests for copy in copies for place, kind in enumerate(kinds)
    ]  # fmt: skip


def got(deps: Deps) -> Counter[str]:
    """How many letters each address got."""
    assert isinstance(deps.mailer, FakeMailer)
    return Counter(letter.to_email for _, letter in deps.mailer.accepted)


def work(deps: Deps) -> None:
    """Everything, as often as it takes."""
    for _ in range(3):
        run_everything(deps)


def release(deps: Deps, **said: bool) -> tuple[list[str], int]:
    with deps.work() as (session, now):
        held, skipped, happened = sending.release(session, now, **{"presumed": False, "replayed": False} | said)
        deps.react(session, happened, now)
    return sorted(held), skipped


def test_a_restored_database_holds_every_letter_by_itself_tells_once_and_gives_no_id_again(
    deps: Deps, servers: Servers
):
    came(deps)
    waiting = enqueue(deps, letter(deps), people(deps, 2))
    put(deps, raw(actblue_body()))
    intake.drain(deps, bell.INTAKE)
    with restored(deps, servers) as again:
        for lane in bell.LETTER_LANES:  # nobody has looked yet
            delivery.hand_over(again, lane)
        assert states(again) == {"ready": 3}
        pulse.beat(again)
        pulse.beat(again)
        assert tuple(one(again, "SELECT kind, seen FROM notice WHERE resolved_at IS NULL")) == (sending.HELD, 1)
        with Client(build(again)) as door:
            assert b'"sending":"restored"' in door.send("GET", "/readyz").body
        put(again, raw(actblue_body()))
        work(again)
        assert (states(again), got(again)) == ({"ready": 4}, {})
        assert one(again, "SELECT max(id) AS id FROM message").id > max(waiting) + whereabouts.JUMP - 10
        assert one(again, "SELECT max(id) AS id FROM contact").id > whereabouts.JUMP
        with again.work() as (session, now):
            assert holds.lift(session, now) == 0  # resuming campaigns is another matter
        with pytest.raises(Conflict):
            release(again)
        assert release(again, replayed=True) == (["restored"], 0)
        work(again)
        pulse.beat(again)
        assert (set(got(again).values()), got(again).total()) == ({1}, 4)
        assert rows(again, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []


def test_what_left_in_lost_hours_leaves_no_second_time_once_its_provider_told_of_it(
    deps: Deps, servers: Servers, tmp_path: Path
):
    came(deps)
    mailing = letter(deps)
    enqueue(deps, mailing, people(deps, 3))
    with restored(deps, servers) as again:
        put(deps, raw(actblue_body()))
        work(deps)  # the lost hours: three letters that were ready, a gift and its thanks
        before = got(deps)
        assert (before.total(), set(before.values())) == (4, {1})
        gone = one(deps, "SELECT id FROM message WHERE occasion LIKE 'gift:%'").id

        came(again)
        with (tmp_path / "events").open("wb") as file, transaction(deps.sessions) as session:
            assert export(session, moment("1h", datetime.now(UTC)), file) == 1
            assert carried.export(session, NOW, file) == 0
        tell(again, told(deps, "processed", "delivered"))
        assert states(again) == {"delivered": 3}
        assert one(again, "SELECT count(*) AS n FROM lost_letter").n == 1
        for new in (1, 0):
            with (tmp_path / "events").open("rb") as file, transaction(again.sessions) as session:
                assert sum(store(session, batch) for batch in batches(read(file))) == new
        work(again)
        assert states(again) == {"delivered": 3, "ready": 1}
        release(again, replayed=True)
        work(again)
        work(again)
        assert got(again) == before
        assert states(again) == {"delivered": 4}
        thanks = one(again, "SELECT id, reason FROM message WHERE occasion LIKE 'gift:%'")
        assert thanks.id != gone
        assert "a restore lost" in thanks.reason
        tell(again, told(deps, "click"))  # told later, by the id that it had
        assert one(again, f"SELECT count(*) AS n FROM mail_event WHERE message_id = {thanks.id}").n == 3
        with transaction(again.sessions) as session:
            found = sending.status(session)
        assert (found.holds, found.unknown, found.ready, found.pending) == ([], 0, 0, 0)


def test_whoever_said_no_on_our_pages_in_lost_hours_is_heard_again(deps: Deps, servers: Servers, tmp_path: Path):
    came(deps)
    first, second, third = people(deps, 3)
    with restored(deps, servers) as again:
        with deps.work() as (session, now):
            unsubscribing.unsubscribe(session, first, None, "everything", now, source="pages")
            unsubscribing.unsubscribe(session, second, None, "asks", now, source="pages")
        with (tmp_path / "words").open("wb") as file, transaction(deps.sessions) as session:
            assert carried.export(session, NOW, file) == 3
        with (tmp_path / "words").open("rb") as file:
            said = [line for line, _ in read(file, carried.LINES)]
        for _ in range(2):
            with transaction(again.sessions) as session:
                assert carried.store(session, said) == 0
        assert one(again, "SELECT count(*) AS n FROM consent WHERE NOT given").n == 2
        came(again)
        release(again, replayed=True)
        enqueue(again, letter(again, kind="asks"), [first, second, third])
        go(again)
        assert states(again) == {"skipped": 2, "handed": 1}


def test_where_nobody_can_tell_campaign_letters_that_are_due_are_taken_to_have_left_and_receipts_go(
    deps: Deps, servers: Servers
):
    came(deps)
    enqueue(deps, letter(deps), people(deps, 2))
    put(deps, raw(actblue_body()))
    intake.drain(deps, bell.INTAKE)
    with restored(deps, servers) as again:
        came(again)
        work(again)  # her steps are taken again
        assert release(again, presumed=True) == (["restored"], 2)
        work(again)
        assert states(again)["skipped"] == 2
        assert got(again).total() == 1
        assert one(again, "SELECT DISTINCT reason FROM message WHERE state = 'skipped'").reason == sending.PRESUMED


def test_whoever_tells_of_others_letters_changes_nothing_after_a_restore_either(deps: Deps, servers: Servers):
    came(deps)
    (mine,) = enqueue(deps, letter(deps), people(deps, 1))
    with restored(deps, servers) as again:
        came(again)
        strange = {
            "event": "delivered",
            "timestamp": int(time()),
            letter_ids.HANDOVER_ARG: letter_ids.encode(whereabouts.JUMP - 5),
        }
        ids = {letter_ids.MESSAGE_ARG: letter_ids.encode(mine)}
        tell(again, [strange | ids | {"email": "else@example.com"}, strange | {letter_ids.MESSAGE_ARG: "zzzz"}])
        assert states(again) == {"ready": 1}
        assert rows(again, "SELECT 1 FROM lost_letter") == []


def test_a_campaign_or_sequence_that_is_made_again_under_its_slug_names_its_letters_as_before():
    assert codes.named("campaign:12:0:first", "supper", None) == "campaign:supper:0:first"
    assert codes.named("step:7:second:1", None, "welcome") == "step:welcome:second:1"
    assert codes.named("campaign:old", None, None) == "campaign:old"
    assert codes.named("confirm:2026-11-30", "supper", "welcome") == "confirm:2026-11-30"


def test_staff_hold_every_letter_and_let_them_go(deps: Deps):
    enqueue(deps, letter(deps), people(deps, 1))
    with transaction(deps.sessions) as session:
        assert [sending.stop(session), sending.stop(session)] == [True, False]
    go(deps)
    assert states(deps) == {"ready": 1}
    assert release(deps) == (["staff"], 0)
    go(deps)
    assert states(deps) == {"handed": 1}


def test_whoever_says_that_a_snapshot_was_brought_back_is_believed(deps: Deps):
    with transaction(deps.sessions) as session:
        assert sending.stop(session, restored=True)
    (first,) = enqueue(deps, letter(deps), people(deps, 1))
    go(deps)
    assert (states(deps), first > whereabouts.JUMP) == ({"ready": 1}, True)
    with pytest.raises(Conflict):
        release(deps)
    assert release(deps, replayed=True) == (["restored"], 0)


def test_files_of_events_that_are_none_are_refused_by_their_line(tmp_path: Path):
    named = b'{"source":"stripe","key":"k","kind":"","lane":"intake","received_at":"2026-01-01T00:00:00Z",'
    for content in (b"{}\n", named + b'"body":"%"}\n', b"[" * 100_000):
        (tmp_path / "file").write_bytes(content)
        with (tmp_path / "file").open("rb") as file, pytest.raises(Invalid, match="line 1 is no event"):
            list(read(file))


def test_connections_look_where_they_are_before_anything_else(deps: Deps):
    pool = make_pool(str(deps.sessions.kw["bind"].url.render_as_string(hide_password=False)), size=1)
    whereabouts.watch(pool)
    change(deps, "INSERT INTO database_home (id, mark) VALUES (1, 'elsewhere')")
    with transaction(make_sessions(pool)) as session:
        assert sending.held(session) == holds.RESTORED
    pool.dispose()
    assert one(deps, "SELECT count(*) AS n FROM restoration").n == 1
