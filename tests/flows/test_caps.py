"""Two processes hand over letters of two campaigns to the same people: nobody gets more than she may have, counted at the
provider; and without the lock that they claim under somebody does.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import bell
from engine.bootstrap import Deps
from tests import dying, mail_stand_in
from tests.campaigns import NOW, people
from tests.dying import Orders, Worker
from tests.flows.house import change, one
from tests.letters_of_sequences import queue
from tests.mail_stand_in import StandIn
from tests.sequences import Published, publish

MANY, ROUNDS = 5_000, 20
AS_NEW = "UPDATE message SET state = 'ready', reason = '', due_at = :now, created_at = :now, handed_at = NULL"
LOCK = ("pg_advisory_xact_lock(", "pg_advisory_xact_lock_shared(")  # under which nobody waits for another


@contextmanager
def counting(folder: Path) -> Iterator[tuple[StandIn, Counter[str]]]:
    """A provider that takes everything, and counts to whom."""
    taken = Counter[str]()
    with mail_stand_in.running(folder) as provider:

        def take(body: dict[str, Any], _: str, __: str) -> None:
            taken.update(each["to"][0]["email"] for each in body["personalizations"])

        provider.take = take  # type: ignore[method-assign]
        yield provider, taken


class Race:
    """Two campaigns to the same people, each of whom may get one letter a day."""

    def __init__(self, deps: Deps, many: int) -> None:
        self.deps = deps
        self.ids = people(deps, many)
        for number in range(2):
            queue(deps, campaign(deps, f"news-{number}"), self.ids)
        self.settings = deps.settings.model_copy(update={"letters_a_day": 1, "letters_a_week": 99})

    def rounds(self, days: Sequence[int], folder: Path, *without: tuple[str, str]) -> None:
        """Days, one after the other: raises AssertionError unless each gets exactly one of two letters on each."""
        with counting(folder) as (provider, taken):
            orders = Orders(self.settings, provider.url, bell.DELIVERY, NOW, call_seconds=30, without=without,
                            work=dying.to_the_end)  # fmt: skip
            workers = [dying.for_days(orders) for _ in range(2)]
            try:
                for number in days:
                    taken.clear()
                    self.day(number, workers)
                    self.each_got_one(number, taken)
            finally:
                for worker in workers:
                    worker.day(None)
                assert [worker.end() for worker in workers] == [0, 0]

    def day(self, number: int, workers: Sequence[Worker]) -> None:
        now = NOW + number * timedelta(days=2)
        change(self.deps, AS_NEW, now=now)
        for worker in workers:
            worker.day(now)
        for worker in workers:
            worker.evening(60)

    def each_got_one(self, number: int, taken: Counter[str]) -> None:
        assert max(taken.values()) == 1, f"{sum(times > 1 for times in taken.values())} of them got two in one day"
        assert len(taken) == len(self.ids)
        handed = f"handed_at = '{NOW + number * timedelta(days=2)}'"
        told = one(self.deps, f"SELECT count(*) AS n, count(DISTINCT contact_id) AS of FROM message WHERE {handed}")
        assert told.n == told.of == len(self.ids)


def campaign(deps: Deps, letter: str) -> Published:
    """What is launched, and may come at any hour."""
    return publish(deps, {"key": "write", "email": letter}, campaign=True, quiet_hours=None)


@pytest.mark.slow
def test_two_processes_hold_a_cap_of_one_in_each_of_twenty_rounds(deps: Deps, tmp_path: Path):
    Race(deps, MANY).rounds(range(ROUNDS), tmp_path)


def test_without_the_lock_somebody_gets_two(deps: Deps, tmp_path: Path):
    race = Race(deps, MANY // 5)
    race.rounds(range(1), tmp_path)
    with pytest.raises(AssertionError, match="of them got two in one day"):
        race.rounds(range(1, ROUNDS), tmp_path, LOCK)
