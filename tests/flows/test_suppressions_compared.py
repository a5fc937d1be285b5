"""SendGrid's suppressions and ours, compared: what it has becomes ours, what only we have is counted, nothing else leaks."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from engine.adapters.sendgrid_suppressions import PAGE, SendgridSuppressions
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Unavailable
from engine.people import erasing
from engine.people.consent import STANDING_SUPPRESSIONS
from tests import fake_sendgrid
from tests.fake_sendgrid import KEY, FakeSendgrid
from tests.flows.house import one, rows
from tests.flows.test_stripe_catch_up import IN_TRANSACTION
from tests.of_a_person import contact, erase
from workers import pulse, suppressions, upkeep

AT = 1_793_620_800  # 2026-11-02T12:00:00Z
WHEN = datetime.fromtimestamp(AT, UTC)
ROSA = "rosa@example.org"


@pytest.fixture
def sendgrid() -> Iterator[FakeSendgrid]:
    with fake_sendgrid.running() as running:
        yield running


@pytest.fixture
def house(deps: Deps, sendgrid: FakeSendgrid) -> Deps:
    return connected(deps, sendgrid)


def connected(deps: Deps, sendgrid: FakeSendgrid, key: str = KEY) -> Deps:
    with deps.work() as (session, _):
        pulse.plan(session)
    return replace(deps, suppressions=SendgridSuppressions(key, sendgrid.url, seconds=0.5, retries=0))


def listed(email: str, at: int = AT) -> dict[str, object]:
    return {"created": at, "email": email, "reason": f"550 5.1.1 <{email}> unknown", "status": "5.1.1"}


def ours(deps: Deps) -> set[tuple[str, str]]:
    return {(row.email, row.reason) for row in rows(deps, "SELECT email, reason FROM suppression")}


def suppress(deps: Deps, email: str, reason: str) -> None:
    with transaction(deps.sessions) as session:
        session.execute(
            text("INSERT INTO suppression (email, reason, at) VALUES (:e, :r, now())"), {"e": email, "r": reason}
        )


def due_in(deps: Deps) -> timedelta:
    return one(deps, "SELECT due_at - now() AS span FROM chore WHERE name = 'suppressions'").span


def test_what_each_list_has_becomes_ours_once(house: Deps, sendgrid: FakeSendgrid):
    for number, name in enumerate(sendgrid.lists):
        sendgrid.lists[name] += [listed(f"Rosa.{number}@Example.org "), listed("not an address")]
    suppressions.compare(house)
    suppressions.compare(house)
    assert ours(house) == {
        ("rosa.0@example.org", "bounce"), ("rosa.1@example.org", "complaint"), ("rosa.2@example.org", "invalid"),
        ("rosa.3@example.org", "unsubscribe"),
    }  # fmt: skip
    assert {row.at for row in rows(house, "SELECT at FROM suppression")} == {WHEN}


def test_who_unsubscribed_there_has_withdrawn_her_consent_here(house: Deps, sendgrid: FakeSendgrid):
    with transaction(house.sessions) as session:
        rosa = contact(session, ROSA)
    sendgrid.lists["unsubscribes"].append(listed(ROSA))
    suppressions.compare(house)
    suppressions.compare(house)
    assert rows(house, "SELECT contact_id, given, at, source FROM consent") == [(rosa, False, WHEN, "sendgrid")]


def test_what_only_we_have_stays_and_is_counted_and_no_address_is_logged(
    house: Deps, sendgrid: FakeSendgrid, capsys: pytest.CaptureFixture[str]
):
    for number in range(3):
        suppress(house, f"rosa.{number}@example.org", "bounce")
    sendgrid.lists["bounces"] += [listed("rosa.0@example.org"), listed("rosa.9@example.org")]
    suppressions.compare(house)
    assert len(ours(house)) == 4
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line for line in lines if "list=bounce" in line]
    assert "new=1" in told
    assert "only_ours=2" in told
    assert not [line for line in lines if "@" in line]


def test_lists_of_many_pages_are_read_to_their_end(house: Deps, sendgrid: FakeSendgrid):
    sendgrid.lists["bounces"] += [listed(f"rosa.{number}@example.org") for number in range(2 * PAGE)]
    suppressions.compare(house)
    assert one(house, "SELECT count(*) AS n FROM suppression").n == 2 * PAGE
    assert [offset for name, offset in sendgrid.asked if name == "bounces"] == [0, PAGE, 2 * PAGE]
    assert rows(house, "SELECT 1 FROM bookmark WHERE name LIKE 'sendgrid%'") == []


def test_cut_short_it_goes_on_where_it_was(house: Deps, sendgrid: FakeSendgrid, capsys: pytest.CaptureFixture[str]):
    suppress(house, "rosa.only-ours@example.org", "bounce")
    sendgrid.lists["bounces"] += [listed(f"rosa.{number}@example.org") for number in range(PAGE + 1)]
    for _ in range(3):
        suppressions.compare(house, turn_seconds=-1)
    assert due_in(house) <= timedelta()
    suppressions.compare(house)
    assert [offset for name, offset in sendgrid.asked if name == "bounces"][:2] == [0, PAGE]
    assert "only_ours=1" in capsys.readouterr().out
    assert one(house, "SELECT count(*) AS n FROM suppression").n == PAGE + 2


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """What is collected while the stack is full cannot close its socket, which would be told as a fault of this test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nothing_collected")
@pytest.mark.parametrize("mishap", [500, 429, 404, 301, "silence", "{}", "[[1]]", '[{"email": 7}]', "[", "[" * 10**6])
def test_where_it_cannot_be_asked_a_person_is_told_until_it_can(house: Deps, sendgrid: FakeSendgrid, mishap: int | str):
    sendgrid.mishaps = [mishap]
    suppressions.compare(house)
    notice = one(house, "SELECT detail, resolved_at FROM notice")
    assert notice.resolved_at is None
    assert "@" not in notice.detail
    assert timedelta(minutes=50) < due_in(house) <= timedelta(hours=1)
    suppressions.compare(house)
    assert one(house, "SELECT resolved_at FROM notice").resolved_at is not None


def test_a_key_that_it_does_not_know_is_told_without_its_letters(deps: Deps, sendgrid: FakeSendgrid):
    suppressions.compare(connected(deps, sendgrid, key="SG.wrong"))
    notice = one(deps, "SELECT detail FROM notice")
    assert "SENDGRID_API_KEY" in notice.detail
    assert "SG." not in notice.detail


def test_a_failure_in_the_middle_loses_nothing_that_was_read(house: Deps, sendgrid: FakeSendgrid):
    sendgrid.lists["bounces"] += [listed(f"rosa.{number}@example.org") for number in range(PAGE + 1)]
    pages = house.suppressions.listed("bounce")
    assert len(next(pages)) == PAGE
    sendgrid.mishaps = [500]
    with pytest.raises(Unavailable):
        next(pages)
    suppressions.compare(house)
    assert one(house, "SELECT count(*) AS n FROM suppression").n == PAGE + 1


def test_no_transaction_is_open_while_it_is_asked(house: Deps, sendgrid: FakeSendgrid):
    held: list[int] = []

    class Watching:
        def listed(self, kind: str, start: int = 0):
            held.append(one(house, IN_TRANSACTION).held)
            for page in house.suppressions.listed(kind, start):
                yield page
                held.append(one(house, IN_TRANSACTION).held)

    sendgrid.lists["bounces"].append(listed(ROSA))
    suppressions.compare(replace(house, suppressions=Watching()))
    assert held == [0] * 5


def test_who_was_erased_is_not_written_down_again(house: Deps, sendgrid: FakeSendgrid):
    with transaction(house.sessions) as session:
        rosa = contact(session, ROSA)
    erase(house, rosa)
    sendgrid.lists["spam_reports"].append(listed(ROSA))
    suppressions.compare(house)
    assert ours(house) == set()
    with house.work() as (session, _):
        erasing.recall(session, [ROSA], house.signer)
    assert ours(house) == {(ROSA, "erased"), (ROSA, "complaint")}


def test_it_is_a_chore_of_every_day(house: Deps, sendgrid: FakeSendgrid):
    sendgrid.lists["bounces"].append(listed(ROSA))
    upkeep.run(replace(house, payments=None), {"suppressions": pulse.SCHEDULE["suppressions"]})
    assert ours(house) == {(ROSA, "bounce")}
    assert timedelta(hours=23) < due_in(house) <= timedelta(days=1)


def test_without_a_key_there_is_nothing_to_compare(deps: Deps):
    suppressions.compare(deps)
    assert rows(deps, "SELECT 1 FROM notice") == []


def came_back(deps: Deps, email: str) -> None:
    """She unsubscribed, and an hour later she joined again."""
    with transaction(deps.sessions) as session:
        who = contact(session, email)
        for at, given, source in ((WHEN, False, "sendgrid"), (WHEN + timedelta(hours=1), True, "confirm")):
            session.execute(
                text("INSERT INTO consent (contact_id, channel, given, at, source) VALUES (:c, 'mail', :g, :a, :s)"),
                {"c": who, "g": given, "a": at, "s": source},
            )
        session.execute(
            text("INSERT INTO suppression (email, reason, at) VALUES (:e, 'unsubscribe', :a)"), {"e": email, "a": WHEN}
        )


def test_who_came_back_comes_off_the_list_there_and_nobody_else(house: Deps, sendgrid: FakeSendgrid):
    came_back(house, ROSA)
    listed_as = "Rosa@Example.org"
    sendgrid.lists["unsubscribes"] += [listed(listed_as), listed("ines@example.org")]
    sendgrid.lists["bounces"].append(listed(ROSA))
    suppressions.compare(house)
    assert [each["email"] for each in sendgrid.lists["unsubscribes"]] == ["ines@example.org"]
    assert len(sendgrid.lists["bounces"]) == 1
    assert (
        one(house, f"SELECT email FROM ({STANDING_SUPPRESSIONS}) x WHERE reason = 'unsubscribe'").email
        == "ines@example.org"
    )
    SendgridSuppressions(KEY, sendgrid.url).remove("nobody@example.org")


def test_who_came_back_comes_off_a_list_that_takes_many_turns_and_nobody_is_passed_by(
    house: Deps, sendgrid: FakeSendgrid
):
    back = ["rosa.3@example.org", "rosa.400@example.org"]
    for email in back:
        came_back(house, email)
    sendgrid.lists["unsubscribes"] += [listed(f"rosa.{number}@example.org") for number in range(2 * PAGE)]
    for _ in range(3):
        suppressions.compare(house, turn_seconds=-1)
    assert [offset for name, offset in sendgrid.asked if name == "unsubscribes"] == [0, PAGE - 2, 2 * PAGE - 2]
    assert len(sendgrid.lists["unsubscribes"]) == 2 * PAGE - 2
    assert not {each["email"] for each in sendgrid.lists["unsubscribes"]} & set(back)
    assert len(ours(house)) == 2 * PAGE


def test_who_came_back_is_taken_off_after_the_bookmark_went_back(house: Deps, sendgrid: FakeSendgrid):
    came_back(house, "rosa.3@example.org")
    sendgrid.lists["unsubscribes"] += [listed(f"rosa.{number}@example.org") for number in range(PAGE + 1)]

    class Dying:
        listed = house.suppressions.listed

        def remove(self, _: str):
            raise Unavailable("it does not answer")

    suppressions.compare(replace(house, suppressions=Dying()), turn_seconds=-1)
    place = one(house, "SELECT number FROM bookmark WHERE name = 'sendgrid suppressions'").number
    assert place % suppressions.LIST == PAGE - 1
    suppressions.compare(house)
    assert len(ours(house)) == PAGE + 1


def test_who_came_back_and_unsubscribed_there_once_more_gets_nothing(house: Deps, sendgrid: FakeSendgrid):
    came_back(house, ROSA)
    sendgrid.lists["unsubscribes"].append(listed(ROSA))
    suppressions.compare(house)
    assert rows(house, f"SELECT reason FROM ({STANDING_SUPPRESSIONS}) x") == []
    sendgrid.lists["unsubscribes"][:] = [listed(ROSA, AT + 7200)]
    suppressions.compare(house)
    assert one(house, f"SELECT reason FROM ({STANDING_SUPPRESSIONS}) x").reason == "unsubscribe"
    assert len(sendgrid.lists["unsubscribes"]) == 1
