"""Who guesses links: 404, then 429, and a person is told, once an hour for each network. Matrix E16."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.fakes import FakeLimiter
from tests.flows.house import rows
from tests.webhooks.joining import SlidingLimiter
from webhooks.app import build
from webhooks.subscriber.door import STRANGERS

GUESSED = "SELECT kind, subject, detail, seen FROM notice WHERE kind = 'links guessed' AND resolved_at IS NULL"


@pytest.fixture
def counted(house: Deps) -> Deps:
    """The house of this module with a limiter that goes by its clock; nobody has guessed yet."""
    with transaction(house.sessions) as session:
        session.execute(text("DELETE FROM notice"))
    return replace(house, limiter=SlidingLimiter(house.clock))


@pytest.fixture
def door(counted: Deps) -> Iterator[Client]:
    with Client(build(counted)) as client:
        yield client


def guess(door: Client, times: int, source: str = "203.0.113.9") -> list[int]:
    door.source = source
    return [door.send("GET", f"/{('u', 'me', 'confirm')[n % 3]}/guess{n}").status for n in range(times)]


def test_a_thousand_guesses_are_turned_away_and_told_to_a_person_once(counted: Deps, door: Client):
    with capture_logs() as lines:
        assert guess(door, 1000) == [404] * STRANGERS + [429] * (1000 - STRANGERS)
    (told,) = rows(counted, GUESSED)
    assert (told.subject, told.seen) == ("links in letters", 1)
    assert "from 203.0.113.0/24" in told.detail
    assert {line["event"] for line in lines} == {"request"}


def test_the_same_network_is_told_of_once_an_hour_and_another_by_itself(counted: Deps, door: Client):
    for minutes, source, seen in (
        (0, "203.0.113.9", 1), (50, "203.0.113.77", 1), (5, "198.51.100.1", 2), (10, "203.0.113.9", 3),
    ):  # fmt: skip
        counted.clock.skip(timedelta(minutes=minutes))
        guess(door, STRANGERS + 5, source)
        (told,) = rows(counted, GUESSED)
        assert told.seen == seen
    assert "203.0.113.0/24" in told.detail


def test_the_operator_gets_a_letter_that_names_the_network(counted: Deps):
    settings = counted.settings.model_copy(update={"operator_email": "op@example.org"})
    with Client(build(replace(counted, settings=settings))) as door:
        guess(door, STRANGERS + 5)
    (letter,) = rows(counted, "SELECT facts FROM message WHERE occasion LIKE 'notice:links guessed:%'")
    assert "203.0.113.0/24" in letter.facts["detail"]
    assert "203.0.113" not in letter.facts["kind"] + letter.facts["subject"]


def test_who_mistypes_a_few_links_alarms_nobody(counted: Deps, door: Client):
    assert guess(door, STRANGERS) == [404] * STRANGERS
    assert rows(counted, GUESSED) == []


def test_while_nobody_can_count_nobody_is_told(counted: Deps):
    with Client(build(replace(counted, limiter=FakeLimiter(away=True)))) as door:
        assert guess(door, 40) == [404] * 40
    assert rows(counted, GUESSED) == []


def test_a_link_that_was_signed_for_nobody_counts_as_a_guess_too(counted: Deps, door: Client):
    nobodys = {name: counted.signer.sign(kind, *ids) for name, kind, ids in (
        ("u", "unsubscribe", (10**9, 1)), ("me", "preferences", (10**9, 1_793_000_000)), ("confirm", "confirm", (10**9,)),
    )}  # fmt: skip
    door.source = "203.0.113.9"
    for path, token in nobodys.items():
        statuses = [door.send(method, f"/{path}/{token}").status for method in ("GET", "POST") for _ in range(20)]
        assert set(statuses) <= {200, 404, 429}
    assert len(rows(counted, GUESSED)) == 1
