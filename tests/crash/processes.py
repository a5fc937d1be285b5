"""A house with two processes that may die, the world that they share, and hands of our own to look and to clear up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import KEEPALIVE, driver_url, make_pool, make_sessions, server_options
from engine.errors import Unavailable
from engine.ports import Answer, Basket, Copy, Listed, Opened, Refunded, Sheet, Suppressed
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.asgi import Client
from tests.crash.faults import BELL, LIST, MAIL, PAY, Died, Fault, Probe, WriterWire, wired
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.payments import FakePayments
from webhooks.app import build
from webhooks.donor.published import Published
from webhooks.subscriber.offers import Offers
from webhooks.writer import Arrival, Writer

Refusing = Callable[[Fault], Any]


@dataclass
class Lists:
    """The mail provider's own suppressions: kind -> addresses, as it writes them."""

    on: dict[str, list[Suppressed]] = field(default_factory=dict)

    def listed(self, kind: str, start: int = 0) -> Iterator[Sequence[Suppressed]]:
        if page := self.on.get(kind, [])[start:]:
            yield page

    def remove(self, email: str) -> None:
        for kind, rows in self.on.items():
            self.on[kind] = [row for row in rows if row.email != email]


@dataclass
class StripeAccount(FakePayments):
    """A processor that lists events, too."""

    listed: list[Listed] = field(default_factory=list)

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        if self.listed and not undelivered:
            yield list(self.listed)

    def pause_plan(self, plan_key: str, until: datetime | None, *, account: str = "") -> None:
        self._turn(f"pause {plan_key}", "pause", plan_key, until, account)

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        self._do(idempotency_key, "check out", basket)
        return Opened(
            f"cs_{idempotency_key}", f"https://checkout.stripe.com/c/pay/{idempotency_key}", basket.expires_at
        )


@dataclass
class World:
    """What is outside of all processes, and outlives them."""

    clock: FakeClock = field(default_factory=FakeClock)
    mail: FakeMailer = field(default_factory=lambda: FakeMailer(can_look_up=False))
    stripe: StripeAccount = field(default_factory=StripeAccount)
    lists: Lists = field(default_factory=Lists)
    limits: FakeLimiter = field(default_factory=FakeLimiter)


class _Mail:
    def __init__(self, inner: FakeMailer, probe: Probe) -> None:
        self._inner, self._probe = inner, probe
        self.call_seconds, self.most_bytes = inner.call_seconds, inner.most_bytes
        self.most_copies, self.most_substitution_bytes = inner.most_copies, inner.most_substitution_bytes

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        self._probe.alive()
        if not before():
            return None
        return self._probe.effect(
            MAIL,
            lambda: self._inner.hand_over(handover_id, sheet, copies, before=lambda: True),
            lambda fault: Answer("away" if fault is Fault.ERROR else "uncertain", detail=fault),
        )

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str] | None:
        self._probe.alive()
        return self._inner.find(handover_ids)


def _unavailable(fault: Fault) -> Any:
    raise Unavailable(f"Stripe does not answer ({fault})")


class _Payments:
    """Each request of `Payments` but for reading is a boundary."""

    def __init__(self, inner: StripeAccount, probe: Probe) -> None:
        self._inner, self._probe = inner, probe

    def __getattr__(self, name: str) -> Callable[..., Any]:
        asked = getattr(self._inner, name)
        refunds = name in ("refund", "give_back")
        fails: Refusing = (lambda fault: Refunded("uncertain", detail=fault)) if refunds else _unavailable

        def ask(*args: Any, **terms: Any) -> Any:
            self._probe.alive()
            if name in ("events", "portal"):
                return asked(*args, **terms)
            return self._probe.effect(PAY, lambda: asked(*args, **terms), fails)

        return ask


class _Lists:
    def __init__(self, inner: Lists, probe: Probe) -> None:
        self._inner, self._probe = inner, probe

    def listed(self, kind: str, start: int = 0) -> Iterator[Sequence[Suppressed]]:
        self._probe.alive()
        yield from self._inner.listed(kind, start)

    def remove(self, email: str) -> None:
        self._probe.effect(LIST, lambda: self._inner.remove(email), _unavailable)


class _Bells(FakeBells):
    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self._probe = probe

    def ring(self, *queues: str) -> None:
        self._probe.alive()
        if queues:
            self._probe.effect(BELL, lambda: None, lambda _: None)


class Pen(Writer):
    """The writer of such a process; what waits for it dies with it."""

    def __init__(self, deps: Deps, probe: Probe) -> None:
        super().__init__(deps)
        self._probe = probe

    async def _tried(self, batch: Sequence[Arrival]) -> psycopg.Error | None:
        try:
            return await super()._tried(batch)
        except Died as died:
            for arrival in batch:
                if not arrival.stored.done():
                    arrival.stored.set_exception(died)
            return None

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            assert self._deps.settings.database_url is not None
            url = driver_url(self._deps.settings.database_url.get_secret_value())
            self._connection = await WriterWire.connect(
                make_conninfo(url, **KEEPALIVE), autocommit=True, options=server_options()
            )
            self._probe.connected(self._connection)
        return self._connection


class Process:
    """One of ours: workers and web in one, with connections of its own."""

    def __init__(self, house: Deps, world: World, watch: psycopg.Connection[Any]) -> None:
        assert house.settings.database_url is not None
        self.probe = Probe(watch)
        self.pool = wired(make_pool(house.settings.database_url.get_secret_value()), self.probe)
        self.deps = replace(
            house, sessions=make_sessions(self.pool), mailer=_Mail(world.mail, self.probe), bells=_Bells(self.probe),
            payments=_Payments(world.stripe, self.probe), suppressions=_Lists(world.lists, self.probe),
        )  # fmt: skip
        self._open = ExitStack()
        self._door: Client | None = None

    @property
    def door(self) -> Client:
        """Its web application, whose forms show each change at once."""
        if self._door is None:
            app = build(self.deps, writer=Pen(self.deps, self.probe))
            app.state.offers, app.state.published = Offers(self.deps, 0), Published(self.deps, 0)
            self._door = self._open.enter_context(Client(app))
        return self._door

    def revived(self) -> None:
        """What was dead is started again."""
        if self.probe.dead:
            self.pool.dispose()
        self.probe.begin()

    def close(self) -> None:
        self._open.close()
        self.pool.dispose()


@dataclass
class House:
    """Two processes, the world, and `deps`: hands that nothing happens to."""

    deps: Deps
    world: World
    watch: psycopg.Connection[Any]
    first: Process
    second: Process
    heard: int = 0  # letters that the provider has told of
    news: int = 0  # a mailing, where a story begins with one
    steps: Any = None  # likewise, a sequence
    desk: Any = None  # likewise, the browser of an admin, and a program

    def later(self, span: timedelta) -> None:
        """Time passes, here and for Postgres."""
        self.world.clock.skip(span)
        self.watch.execute(
            """UPDATE handover SET created_at = created_at - %(span)s::interval, due_at = due_at - %(span)s::interval,
            answered_at = answered_at - %(span)s::interval, heard_at = heard_at - %(span)s::interval""",
            {"span": span},
        )


@contextmanager
def housed(settings: Settings, **terms: Any) -> Iterator[House]:
    """A house on this database."""
    assert settings.database_url is not None
    url, world = settings.database_url.get_secret_value(), World()
    settings = settings.model_copy(update=terms)
    pool = make_pool(url)
    deps = Deps(
        settings=settings, sessions=make_sessions(pool), clock=world.clock, mailer=world.mail, bells=FakeBells(),
        verifier=Signatures(settings.stripe_secrets, [signing.public()]), signer=Signer(settings.signing_keys),
        limiter=world.limits, payments=world.stripe, suppressions=world.lists,
    )  # fmt: skip
    with psycopg.connect(driver_url(url), autocommit=True) as watch:
        house = House(deps, world, watch, Process(deps, world, watch), Process(deps, world, watch))
        try:
            yield house
        finally:
            house.first.close()
            house.second.close()
            pool.dispose()
