"""Whatever people, processors, the mail provider and staff do, in whatever order: money to the cent, nobody is mailed who may
not be, no letter twice. `SURFACE_EXAMPLES=500` looks for as many stories as that."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.asgi import Client
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.flows.house import change
from tests.surface import Address, Surface
from webhooks.app import build
from webhooks.subscriber.offers import Offers

EXAMPLES, STEPS = int(os.environ.get("SURFACE_EXAMPLES", "4")), 20
FEW = settings(
    derandomize="SURFACE_EXAMPLES" not in os.environ, max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
    database=None, suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip
PEOPLE = st.integers(0, 3)
CENTS = st.sampled_from((100, 2700, 5001))


class House:
    """How a house of its own is made for each story."""

    servers: Any
    template: str
    folder: Path


class Story(RuleBasedStateMachine):
    """One story; `where` makes its house."""

    where: House

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        url = self.open.enter_context(self.where.servers.clone(self.where.template))
        terms = Settings(database_url=url, redis_url=self.where.servers.redis_url, data_dir=self.where.folder)
        pool = make_pool(url)
        self.open.callback(pool.dispose)
        deps = Deps(
            settings=terms, sessions=make_sessions(pool), clock=FakeClock(), mailer=FakeMailer(), bells=FakeBells(),
            verifier=Signatures(terms.stripe_secrets, [signing.public()]), signer=Signer(terms.signing_keys),
            limiter=FakeLimiter(),
        )  # fmt: skip
        app = build(deps)
        app.state.offers = Offers(deps, 0)
        self.its = Surface(deps, self.open.enter_context(Client(app)))
        self.its.addresses = [Address(f"p{number}@people.example.org") for number in range(4)]

    def teardown(self) -> None:
        try:
            self.its.passes(36)
        finally:
            self.open.close()

    def _who(self, number: int) -> Address:
        self.its.deps.limiter.counts.clear()
        return self.its.addresses[number]

    def _one(self, known: Sequence[Any], number: int) -> Any:
        self.its.deps.limiter.counts.clear()
        return known[number % len(known)]

    @initialize(joining=st.sets(PEOPLE, min_size=2))
    def begins(self, joining: set[int]) -> None:
        for who in sorted(joining):
            self.its.joins(self._who(who))
        self.launches(chapter=False, minutes=11)

    @rule(who=PEOPLE)
    def joins(self, who: int) -> None:
        self.its.joins(self._who(who))

    @precondition(lambda self: any(each.question for each in self.its.addresses))
    @rule(number=PEOPLE)
    def confirms(self, number: int) -> None:
        self.its.confirms(self._one([each for each in self.its.addresses if each.question], number))

    @rule(who=PEOPLE, cents=CENTS, times=st.integers(1, 2), back_first=st.booleans())
    def gives(self, who: int, cents: int, times: int, *, back_first: bool) -> None:
        self.its.gives(self._who(who), cents, times, back_first=back_first)

    @rule(who=PEOPLE, cents=CENTS)
    def gives_by_card(self, who: int, cents: int) -> None:
        self.its.gives_by_card(self._who(who), cents)

    @precondition(lambda self: self.its.kept())
    @rule(number=PEOPLE)
    def takes_back(self, number: int) -> None:
        self.its.takes_back(self._one(self.its.kept(), number))

    @precondition(lambda self: self.its.readers(stoppable=True))
    @rule(number=PEOPLE, scope=st.sampled_from(("", "everything", "chapter")))
    def unsubscribes(self, number: int, scope: str) -> None:
        self.its.unsubscribes(self._one(self.its.readers(stoppable=True), number), scope)

    @precondition(lambda self: self.its.readers())
    @rule(number=PEOPLE, what=st.sampled_from(("bounce", "spamreport", "erase")))
    def is_lost(self, number: int, what: str) -> None:
        if what == "erase":
            self.its.erases(self._one(self.its.known() or self.its.addresses, number))
        else:
            self.its.comes_back(self._one(self.its.readers(), number), what)

    @precondition(lambda self: len(self.its.known()) > 1)
    @rule(number=PEOPLE, into=st.integers(0, 2))
    def merged(self, number: int, into: int) -> None:
        one = self._one(self.its.known(), number)
        self.its.merges(one, self._one([each for each in self.its.known() if each is not one], into))

    @precondition(lambda self: self.its.known())
    @rule(chapter=st.booleans(), minutes=st.sampled_from((0, 11)))
    def launches(self, *, chapter: bool, minutes: int) -> None:
        self.its.launches(chapter=chapter)
        self.its.later(minutes=minutes)  # whoever launched it could still have thought better of it
        self.its.happens()

    @precondition(lambda self: self.its.campaigns)
    @rule(number=PEOPLE, verb=st.sampled_from(("pause", "resume", "cancel")))
    def tells(self, number: int, verb: str) -> None:
        self.its.tells(self._one(list(self.its.campaigns.values()), number), verb)

    @rule(hours=st.sampled_from((1, 12, 24, 72)))
    def passes(self, hours: int) -> None:
        self.its.passes(hours)


@pytest.fixture
def story(servers, template: str, tmp_path: Path) -> type[Story]:
    where = House()
    where.servers, where.template, where.folder = servers, template, tmp_path
    return type("StoryHere", (Story,), {"where": where})


@pytest.mark.slow
def test_in_whatever_order_things_happen_the_promises_hold(story: type[Story]):
    run_state_machine_as_test(story, settings=FEW)


def test_a_story_told_by_hand_holds_too_and_the_model_notices_what_should_not_be(story: type[Story]):
    """Money back before it came, a chapter's letters stopped, two who are one, one who was erased and comes again."""
    told = story()
    with told.open:
        _by_hand(told)
        told.its.passes(36)


def _by_hand(told: Story) -> None:
    told.joins(0)
    told.joins(1)
    told.launches(chapter=False, minutes=11)
    told.passes(24)
    assert sum(sum(each.got.values()) for each in told.its.campaigns.values()) == 2
    told.gives(0, 2700, 2, back_first=True)
    told.gives(0, 5001, 1, back_first=False)
    told.gives_by_card(1, 2700)
    told.takes_back(1)
    told.unsubscribes(0, "chapter")
    told.launches(chapter=True, minutes=11)
    told.merged(0, 0)
    told.unsubscribes(1, "")
    told.is_lost(0, "erase")
    told.joins(1)
    change(told.its.deps, "UPDATE contact SET gave_cents = gave_cents + 1 WHERE email = 'p1@people.example.org'")
    with pytest.raises(AssertionError):
        told.its.holds()
    change(told.its.deps, "UPDATE contact SET gave_cents = gave_cents - 1 WHERE email = 'p1@people.example.org'")
    told.its.left.append(told.its.left[0])
    with pytest.raises(AssertionError, match="a letter twice"):
        told.its.holds()
    told.its.left.pop()
