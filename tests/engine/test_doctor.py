"""The doctor: each thing that it looks at, as it should be and as it should not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine import migrate
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.doctor import backlog, configuration, database, examining, growth, heard, one_click
from engine.doctor import redis_server as redis
from engine.doctor.examining import Outside
from engine.doctor.findings import Finding, size, span
from engine.errors import Unavailable
from engine.ports import RedisState
from engine.settings import Settings
from engine.tables.columns import metadata
from engine.tokens import Signer
from tests.campaigns import enqueue, letter, people
from tests.doctor import GOOD_REDIS, HOST, STRONG, FakeNames, FakeProvider, levels, named, production
from tests.fakes import FakeClock
from tests.flows.house import change, one, put, rows
from webhooks.one_click import press
from workers.pulse import SCHEDULE

NOW = FakeClock.now


def test_settings_that_could_be_read_say_which_kind_of_house_this_is():
    assert [finding.seen.partition(":")[0] for finding in configuration.of_settings(Settings())] == ["development"]
    kept = configuration.of_settings(production(retired_secret_keys=STRONG[::-1]))
    assert [finding.level for finding in kept] == ["ok", "ok"]
    assert configuration.without_servers().level == "wrong"


def test_the_postgres_of_the_tests_is_right_and_knows_our_schema(session: Session):
    assert database.of_server(session).level == "ok"
    assert database.of_schema(migrate.current(session.connection()), migrate.head()).level == "ok"


def test_production_is_warned_of_a_role_that_may_do_everything_and_of_wal_that_nobody_takes(session: Session):
    assert database.of_role(session).level == "warning"  # the embedded one's: it makes the cluster
    session.execute(text("CREATE ROLE ordinary; SET LOCAL ROLE ordinary"))
    assert (database.of_role(session).level, database.of_archive(session).level) == ("ok", "ok")
    assert database.archived(failing=True, archives=True, held=0, left_alone=0).level == "warning"
    assert database.archived(failing=False, archives=True, held=1, left_alone=1).level == "warning"
    assert "copied" in database.archived(failing=False, archives=False, held=1, left_alone=0).seen


def test_an_old_postgres_a_standby_and_an_old_schema_are_wrong():
    assert database.judged("17.5", 17, 1, standby=False).level == "wrong"
    assert database.judged("18.1", 18, 1, standby=True).level == "wrong"
    assert "migrate" in database.of_schema(None, "abc").advice
    assert database.of_schema("abb", "abc").level == "wrong"


def test_a_clock_is_measured_against_that_of_postgres(session: Session):
    assert database.of_clock(session, lambda: datetime.now(UTC)).level == "ok"
    late = database.of_clock(session, lambda: datetime.now(UTC) - timedelta(seconds=3))
    assert (late.level, "ahead of" in late.seen) == ("warning", True)
    early = database.of_clock(session, lambda: datetime.now(UTC) + timedelta(seconds=60))
    assert (early.level, "behind" in early.seen) == ("wrong", True)


@pytest.mark.parametrize(
    ("milliseconds", "level"),
    [(0, "ok"), (-1000, "ok"), (1001, "warning"), (-5000, "warning"), (5001, "wrong"), (-86_400_000, "wrong")],
)
def test_clocks_that_are_apart_are_late_after_a_second_and_wrong_after_five(milliseconds: float, level: str):
    assert database.apart(milliseconds).level == level


def test_a_disk_without_room_is_found(tmp_path: Path):
    giga = 1024**3
    assert database.room(50 * giga, 100 * giga).level == "ok"
    assert database.room(9 * giga, 100 * giga).level == "warning"
    assert database.room(giga - 1, 2 * giga).level == "wrong"
    assert "free of" in database.of_disk(tmp_path).seen
    assert database.of_disk(tmp_path / "elsewhere").level == "ok"


def test_a_webhook_is_heard_from_or_it_is_not(deps: Deps):
    sources = configuration.webhooks(production())
    assert sources == ["actblue", "stripe", "sendgrid"]
    put(deps, b"{}")
    change(deps, "UPDATE inbound_event SET received_at = now() - interval '3 days'")
    with deps.work() as (session, _):
        found = heard.of_webhooks(session, sources, HOST)
    assert levels(found) == {
        "webhook of actblue": "ok", "webhook of stripe": "warning", "webhook of sendgrid": "warning",
    }  # fmt: skip
    assert "3 days" in named(found, "webhook of actblue").seen
    assert f"{HOST}/webhooks/stripe" in named(found, "webhook of stripe").advice


def test_a_source_without_a_secret_need_not_be_heard_of():
    assert configuration.webhooks(Settings()) == []
    assert list(heard.judged({}, [], HOST)) == []


def work(deps: Deps) -> list[Finding]:
    with deps.work() as (session, now):
        return backlog.of_work(session, now, list(SCHEDULE))


def test_a_house_with_nothing_to_do_lacks_only_its_pulse(deps: Deps):
    assert {what for what, how in levels(work(deps)).items() if how != "ok"} == {backlog.CHORES}


@pytest.mark.parametrize(("late", "level"), [("1 second", "ok"), ("5 minutes", "warning"), ("1 hour", "wrong")])
def test_raw_events_that_are_due_for_long_are_found(deps: Deps, late: str, level: str):
    put(deps, b"{}")
    change(deps, f"UPDATE inbound_event SET due_at = now() - interval '{late}'")
    assert named(work(deps), "inbox intake").level == level
    assert named(work(deps), "inbox feedback").level == "ok"


@pytest.mark.parametrize(
    ("lane", "late", "level"),
    [
        ("receipts", timedelta(seconds=1), "ok"),
        ("receipts", timedelta(minutes=5), "warning"),
        ("receipts", timedelta(hours=1), "wrong"),
        ("delivery", timedelta(minutes=5), "ok"),
        ("delivery", timedelta(days=2), "warning"),
    ],
)
def test_letters_that_are_due_for_long_are_found(deps: Deps, lane: str, late: timedelta, level: str):
    enqueue(deps, letter(deps), people(deps, 2), due=NOW - late)
    change(deps, "UPDATE message SET lane = :lane", lane=lane)
    assert named(work(deps), f"letters {lane}").level == level


def test_people_whom_no_step_reaches_are_found_unless_somebody_paused_the_sequence(deps: Deps):
    change(deps, """INSERT INTO enrollment (contact_id, version_id, due_at, entered_at)
        SELECT 1, min(id), :due, :due FROM sequence_version""", due=NOW - timedelta(hours=2))  # fmt: skip
    assert named(work(deps), "sequences").level == "wrong"
    change(deps, "UPDATE enrollment SET due_at = :due", due=NOW - timedelta(minutes=10))
    assert named(work(deps), "sequences").level == "warning"
    change(deps, "UPDATE sequence SET paused_at = now()")
    assert named(work(deps), "sequences").level == "ok"


def test_a_pulse_that_stands_still_is_found_and_a_chore_of_the_past_is_none(deps: Deps):
    change(deps, "INSERT INTO chore (name, due_at) VALUES ('books', now()), ('long gone', now() - interval '1 year')")
    assert named(work(deps), backlog.CHORES).level == "ok"
    change(deps, "UPDATE chore SET due_at = now() - interval '1 hour'")
    assert named(work(deps), backlog.CHORES).level == "wrong"


def test_quarantine_and_open_matters_are_shown_to_whoever_asks(deps: Deps):
    put(deps, b"{}")
    change(deps, "UPDATE inbound_event SET state = 'quarantined'")
    change(deps, "INSERT INTO notice (kind, subject) VALUES ('quarantined', 'event 1'), ('quarantined', 'event 2')")
    found = work(deps)
    assert (named(found, backlog.QUARANTINE).level, named(found, backlog.NOTICES).level) == ("warning", "warning")
    assert named(found, backlog.NOTICES).seen == "quarantined (2)"
    change(deps, "UPDATE notice SET resolved_at = now()")
    assert named(work(deps), backlog.NOTICES).level == "ok"


def everything(deps: Deps) -> dict[str, Any]:
    """A mark of each table's rows."""
    mark = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM"
    return {name: tuple(one(deps, f"{mark} {name} t")) for name in metadata.tables if name != "zip"}


def test_one_click_is_taken_by_the_endpoint_and_no_row_is_changed(deps: Deps):
    before = everything(deps)
    assert one_click.of_signer(deps.signer, HOST, NOW, lambda path: press(deps, path)).level == "ok"
    assert everything(deps) == before


def test_one_click_that_is_not_taken_is_wrong(deps: Deps):
    other = replace(deps, signer=Signer(["the signer of another house"]))
    found = one_click.of_signer(deps.signer, HOST, NOW, lambda path: press(other, path))
    assert (found.level, "404" in found.seen) == ("wrong", True)


@pytest.mark.parametrize("error", [Unavailable("away"), OperationalError("", {}, Exception())])
def test_an_endpoint_that_fails_is_wrong(deps: Deps, error: Exception):
    def fails(_: str) -> int:
        raise error

    assert one_click.of_signer(deps.signer, HOST, NOW, fails).level == "wrong"


def test_an_altered_link_that_is_believed_and_one_that_is_not_read_are_wrong():
    class Gullible(Signer):
        def read(self, purpose: Any, token: str) -> tuple[int | str, ...] | None:
            return one_click.NOBODY, one_click.NOBODY

    class Forgetful(Signer):
        def read(self, purpose: Any, token: str) -> tuple[int | str, ...] | None:
            return None

    for signer in (Gullible([STRONG]), Forgetful([STRONG])):
        assert one_click.of_signer(signer, HOST, NOW, lambda _: 200).level == "wrong"


def test_without_leave_nobody_outside_is_asked_and_with_it_each_sender_is(deps: Deps):
    asked_of = FakeProvider()
    settings = production(database_url=deps.settings.database_url, data_dir=deps.settings.data_dir)
    house = replace(deps, settings=settings, payments=asked_of, suppressions=asked_of)  # type: ignore[arg-type]
    quiet = examining.examine(house, Outside(lambda: GOOD_REDIS))
    assert (asked_of.asked, [name for name in levels(quiet) if name.startswith("SPF")]) == ([], [])
    loud = examining.examine(house, Outside(lambda: GOOD_REDIS, FakeNames()))
    assert asked_of.asked == ["stripe", "sendgrid"]
    assert len([name for name in levels(loud) if name.startswith("SPF")]) == len(
        rows(deps, "SELECT DISTINCT split_part(sender_email, '@', 2) FROM chapter WHERE sender_email <> ''")
    )
    assert len(quiet) < len(loud)


def test_what_stands_on_a_database_that_is_away_is_left_out_and_the_rest_is_told(deps: Deps, tmp_path: Path):
    def no_redis() -> RedisState:
        raise Unavailable("Redis does not answer (ConnectionError)")

    pool = make_pool(f"postgresql://nobody@/none?host={tmp_path}")
    found = examining.examine(replace(deps, sessions=make_sessions(pool)), Outside(no_redis))
    told = levels(found)
    assert (told[database.DATABASE], told[redis.REDIS]) == ("wrong", "wrong")
    assert database.SCHEMA not in told
    assert database.DISK in told
    assert examining.wrongs(found)


def test_a_database_that_is_too_slow_is_not_called_away():
    slow = database.away(OperationalError("", {}, psycopg.errors.QueryCanceled()))
    gone = database.away(OperationalError("", {}, psycopg.OperationalError()))
    assert (slow.level, gone.level) == ("wrong", "wrong")
    assert slow.seen != gone.seen


def test_an_older_schema_is_told_and_its_rows_are_not_looked_at(deps: Deps):
    change(deps, "UPDATE alembic_version SET version_num = '20200101_0000'")
    told = levels(examining.examine(deps, Outside(lambda: GOOD_REDIS)))
    assert told[database.SCHEMA] == "wrong"
    assert one_click.ONE_CLICK not in told


def test_spans_and_sizes_are_said_in_words():
    assert [span(seconds) for seconds in (3, 119, 120, 7200, 86_400 * 2)] == [
        "3 seconds", "119 seconds", "2 minutes", "2 hours", "2 days",
    ]  # fmt: skip
    assert [size(number) for number in (2048, 3 * 1024**2, 1024**3)] == ["2 KB", "3.0 MB", "1.0 GB"]


def test_what_grows_is_told_with_what_the_letters_of_late_have_added(deps: Deps):
    with deps.work() as (session, _):
        assert named([growth.of_tables(session)], growth.CHECK).seen.startswith("letters ")
    sizes = dict.fromkeys(growth.KINDS, 1024**2)
    assert growth.told(sizes, 3000, 1000).seen.endswith(
        "money 1.0 MB; 1,000 campaign letters in 30 days, with about 1.0 MB"
    )
    assert growth.told(sizes, 0, 0).seen.endswith("money 1.0 MB")
