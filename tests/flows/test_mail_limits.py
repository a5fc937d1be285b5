"""How fast letters leave: counted in Redis for all processes together, and by each alone while Redis is away."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest

from engine import bell
from engine.adapters.limiter import ALONE, RedisLimiter
from engine.bootstrap import Deps
from engine.errors import Unavailable
from engine.mail import pace
from engine.ports import Limiter
from engine.settings import Settings
from tests.campaigns import enqueue, go, letter, people, states
from tests.fakes import FakeLimiter
from tests.flows.house import change
from workers import delivery

NOWHERE = "redis://127.0.0.1:9/0"
LONG = timedelta(hours=1)  # nothing is forgotten while a test runs


@pytest.fixture
def limiter(servers) -> RedisLimiter:
    return RedisLimiter(servers.redis_url)


@pytest.fixture
def key() -> str:
    """A name that nobody counted under before."""
    return token_hex(8)


def limited(deps: Deps, limiter: Limiter, account: int = 0, domain: int = 0) -> Deps:
    """The same house, with so many letters a second from its account, and from each domain."""
    update = {"mail_per_second": account, "mail_domain_per_second": domain}
    return replace(deps, limiter=limiter, settings=deps.settings.model_copy(update=update))


# Counted for all together.


def test_as_many_are_taken_as_there_is_room_for(limiter: RedisLimiter, key: str):
    assert limiter.take(key, 30, 100, LONG) == 30
    assert limiter.take(key, 70, 100, LONG) == 70
    assert limiter.take(key, 1, 100, LONG) == 0


def test_who_wants_more_than_there_ever_is_gets_all_of_it_and_then_nothing(limiter: RedisLimiter, key: str):
    assert limiter.take(key, 5_000, 100, LONG) == 100
    assert limiter.take(key, 5_000, 100, LONG) == 0


def test_what_is_left_is_found_by_halves_and_never_exceeded(limiter: RedisLimiter, key: str):
    limiter.take(key, 60, 100, LONG)
    taken = [limiter.take(key, 100, 100, LONG) for _ in range(12)]
    assert taken[0] == 25
    assert sum(taken) == 40


def test_nothing_is_taken_where_nothing_is_wanted(limiter: RedisLimiter, key: str):
    assert limiter.take(key, 0, 100, LONG) == 0
    assert limiter.take(key, 100, 100, LONG) == 100


def test_each_name_and_each_other_use_of_it_has_a_room_of_its_own(limiter: RedisLimiter, key: str):
    assert limiter.take(key, 10, 10, LONG) == 10
    assert limiter.take(f"{key} of another", 10, 10, LONG) == 10
    assert limiter.hit(f"{key} of a third", 1, LONG)


def test_many_processes_at_once_take_no_more_than_there_is(servers, key: str):
    def worker(_: int) -> int:
        own = RedisLimiter(servers.redis_url)
        return sum(own.take(key, 64, 500, LONG) for _ in range(20))

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(worker, range(6)))
    assert sum(taken) <= 500
    assert sum(taken) > 400


# While Redis is away.


def test_without_redis_each_process_keeps_to_a_quarter_by_itself(key: str):
    first, second = RedisLimiter(NOWHERE), RedisLimiter(NOWHERE)
    assert ALONE == 4
    assert first.take(key, 1_000, 100, LONG) == 25
    assert first.take(key, 1_000, 100, LONG) == 0
    assert second.take(key, 1_000, 100, LONG) == 25


@pytest.mark.parametrize("most", [1, 3])
def test_a_share_is_one_letter_at_least(key: str, most: int):
    alone = RedisLimiter(NOWHERE)
    assert alone.take(key, 10, most, LONG) == 1
    assert alone.take(key, 10, most, LONG) == 0


def test_what_must_be_counted_is_refused_where_letters_go_on(key: str):
    alone = RedisLimiter(NOWHERE)
    with pytest.raises(Unavailable, match="Redis does not answer"):
        alone.hit(key, 10, LONG)
    assert alone.take(key, 1, 10, LONG) == 1


# What leaves of a house.


def counted(settings: Settings) -> Callable[..., int]:
    limiter = FakeLimiter()

    def allowed(domain: str, wanted: int) -> int:
        found = pace.allowed(limiter, settings, [(domain, wanted)])
        return found[1] if found else 0

    return allowed


def test_a_house_that_says_no_limits_asks_nobody():
    limiter = FakeLimiter()
    assert pace.allowed(limiter, Settings(), [("example.org", 1_000)]) == ("example.org", 1_000)
    assert limiter.counts == {}


def test_the_smaller_of_both_limits_counts_and_each_domain_has_its_own():
    allowed = counted(Settings(mail_per_second=100, mail_domain_per_second=40))
    assert [allowed("a.example.org", 1_000) for _ in range(2)] == [40, 0]
    assert [allowed(f"{name}.example.org", 1_000) for name in "bcd"] == [40, 20, 0]
    apart = counted(Settings(mail_domain_per_second=40))
    assert [apart(domain, 30) for domain in ("a.example.org", "b.example.org", "a.example.org")] == [30, 30, 10]


def test_what_the_account_refuses_is_not_taken_from_a_domain_nor_the_other_way_round():
    limiter, settings = FakeLimiter(), Settings(mail_per_second=50, mail_domain_per_second=40)
    assert pace.allowed(limiter, settings, [("a.example.org", 1_000)]) == ("a.example.org", 40)
    assert pace.allowed(limiter, settings, [("a.example.org", 9), ("b.example.org", 9)]) == ("b.example.org", 9)
    assert pace.allowed(limiter, settings, [("b.example.org", 1_000)]) == ("b.example.org", 1)
    assert pace.allowed(limiter, settings, [("b.example.org", 1_000), ("c.example.org", 5)]) is None
    assert limiter.counts == {
        "mail account": 50, "mail domain a.example.org": 40, "mail domain b.example.org": 10,
    }  # fmt: skip


def test_who_looks_for_room_takes_none(limiter: RedisLimiter, key: str):
    assert [limiter.room(key, 100, LONG) for _ in range(2)] == [100, 100]
    limiter.take(key, 30, 100, LONG)
    assert limiter.room(key, 100, LONG) == 70
    alone = RedisLimiter(NOWHERE)
    alone.take(key, 10, 100, LONG)
    assert alone.room(key, 100, LONG) == 15


def test_a_few_letters_take_no_more_room_than_they_need(deps: Deps):
    limiter = FakeLimiter()
    enqueue(deps, letter(deps), people(deps, 5))
    go(limited(deps, limiter, account=100, domain=100))
    assert states(deps) == {"handed": 5}
    assert limiter.counts == {"mail account": 5, "mail domain commonground.example.org": 5}


def test_letters_that_travel_alone_take_room_for_one_at_a_time(deps: Deps):
    limiter = FakeLimiter()
    enqueue(deps, letter(deps), people(deps, 4))
    change(deps, "UPDATE message SET together = 1")
    go(limited(deps, limiter, account=3))
    assert [len(copies) for _, copies in deps.mailer.requests] == [1, 1, 1]
    assert limiter.counts["mail account"] == 3


def test_a_mailing_whose_domain_has_no_room_makes_no_other_domain_wait(deps: Deps):
    change(deps, "UPDATE chapter SET sender_email = 'hello@lowell.example.org' WHERE slug = 'lowell'")
    enqueue(deps, letter(deps, "urgent"), people(deps, 30))
    enqueue(deps, letter(deps, "usual"), people(deps, 10, "lowell"))
    change(deps, "UPDATE mailing SET priority = 1 WHERE slug = 'urgent'")
    limiter = FakeLimiter()
    limiter.counts["mail domain commonground.example.org"] = 20
    go(limited(deps, limiter, domain=20))
    assert [sheet.from_email for sheet, _ in deps.mailer.requests] == ["hello@lowell.example.org"]
    assert states(deps) == {"ready": 30, "handed": 10}


def test_a_turn_hands_over_no_more_than_a_second_allows(deps: Deps):
    limiter = FakeLimiter()
    enqueue(deps, letter(deps), people(deps, 60))
    go(limited(deps, limiter, account=25))
    assert [len(copies) for _, copies in deps.mailer.requests] == [25]
    assert states(deps) == {"handed": 25, "ready": 35}
    limiter.counts.clear()  # the next second
    go(limited(deps, limiter, account=25))
    assert states(deps) == {"handed": 50, "ready": 10}


def test_a_domain_that_had_its_share_does_not_hold_back_another(deps: Deps):
    change(deps, "UPDATE chapter SET sender_email = 'hello@lowell.example.org' WHERE slug = 'lowell'")
    enqueue(deps, letter(deps), [*people(deps, 30), *people(deps, 30, "lowell")])
    limiter = FakeLimiter()
    for _ in range(4):
        go(limited(deps, limiter, domain=20))
    handed = {name.partition(" domain ")[2]: count for name, count in limiter.counts.items()}
    assert {name for name in handed if name} == {"commonground.example.org", "lowell.example.org"}
    senders = [sheet.from_email for sheet, copies in deps.mailer.requests for _ in copies]
    assert senders.count("hello@lowell.example.org") == 20
    assert len(senders) == 40


def test_letters_go_on_slowly_while_redis_is_away(deps: Deps):
    away = RedisLimiter(NOWHERE)
    enqueue(deps, letter(deps), people(deps, 60))
    go(limited(deps, away, account=40))
    handed = states(deps)["handed"]
    assert 10 <= handed < 60
    assert {len(copies) for _, copies in deps.mailer.requests} <= set(range(1, 11))


def test_receipts_wait_for_no_limit(deps: Deps):
    (who,) = people(deps, 1)
    change(deps, """INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)
        SELECT :who, id, 'test', 'receipts', :now, '{}' FROM mailing WHERE slug = 'still_there'""",
        who=who, now=deps.clock.now)  # fmt: skip
    full = FakeLimiter()
    full.counts["mail account"] = 10
    delivery.hand_over(limited(deps, full, account=10), bell.RECEIPTS)
    assert len(deps.mailer.accepted) == 1


def test_who_finds_no_room_rings_no_bell_for_itself(deps: Deps):
    full = FakeLimiter()
    full.counts["mail account"] = 10
    enqueue(deps, letter(deps), people(deps, 5))
    deps.bells.rung.clear()
    go(limited(deps, full, account=10))
    assert deps.mailer.requests == []
    assert states(deps) == {"ready": 5}
    assert deps.bells.rung == []
