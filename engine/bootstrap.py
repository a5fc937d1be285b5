"""Standing a process up: one frozen `Deps` built from settings. Nothing else is global.

Only this module (and the command line) knows the adapters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from engine import bell, log, reactions
from engine.adapters.bells import FETCH_SECONDS, BellBroker, RedisBells, make_broker
from engine.adapters.dev_payments import DevPayments
from engine.adapters.lifeline import die_with_parent
from engine.adapters.limiter import RedisLimiter
from engine.adapters.mailbox import Mailbox
from engine.adapters.sendgrid_mail import SendgridMail
from engine.adapters.sendgrid_suppressions import SendgridSuppressions
from engine.adapters.signatures import Signatures
from engine.adapters.stripe_payments import StripePayments
from engine.clock import PostgresClock, SkippableClock
from engine.db import Sessions, make_pool, make_sessions, transaction
from engine.errors import Unavailable
from engine.events import Event
from engine.mail import whereabouts
from engine.ports import Bells, Clock, Limiter, Mailer, Payments, Suppressions, Verifier
from engine.settings import Settings
from engine.tokens import Signer


@dataclass(frozen=True, slots=True)
class Deps:
    """All that a handler or an actor needs of the world."""

    settings: Settings
    sessions: Sessions
    clock: Clock
    mailer: Mailer | None
    bells: Bells
    verifier: Verifier
    signer: Signer
    limiter: Limiter
    payments: Payments | None = None
    suppressions: Suppressions | None = None

    @contextmanager
    def work(self) -> Iterator[tuple[Session, datetime]]:
        """A transaction and the one `now` of it."""
        with transaction(self.sessions) as session:
            yield session, self.clock.read(session)

    def react(self, session: Session, happened: list[Event], now: datetime) -> list[Event]:
        """Let everything follow from these events, in this transaction."""
        return reactions.react(session, happened, now, self.settings)

    def ring_for(self, everything: list[Event]) -> None:
        """After the commit: ring the bells that these events call for."""
        self.bells.ring(*sorted(bell.wanted(everything)))


def start(process: str) -> Deps:
    """The first thing that every long-running process does: settings, logs, a lifeline to its parent, dependencies."""
    settings = Settings()
    if settings.supervised:
        die_with_parent()
    log.configure(settings, process)
    return build(settings)


def build_broker(settings: Settings, middleware: list[Any]) -> BellBroker:
    """The broker that a worker answers bells from."""
    assert settings.redis_url is not None  # build() refused before
    return make_broker(settings.redis_url.get_secret_value(), seconds=FETCH_SECONDS, middleware=middleware)


def build(settings: Settings, *, pool_size: int = 5) -> Deps:
    """The dependencies of one process. Connects to nothing yet. Raises Unavailable without database or Redis."""
    if settings.database_url is None or settings.redis_url is None:
        raise Unavailable("DATABASE_URL and REDIS_URL are not set: `groundswell up` starts embedded servers")
    pool = make_pool(settings.database_url.get_secret_value(), size=pool_size)
    whereabouts.watch(pool)
    return Deps(
        settings=settings,
        sessions=make_sessions(pool),
        clock=SkippableClock() if settings.development else PostgresClock(),
        mailer=_mailer(settings),
        bells=RedisBells(settings.redis_url.get_secret_value()),
        verifier=Signatures(settings.stripe_secrets, settings.sendgrid_public_keys),
        signer=Signer(settings.signing_keys),
        limiter=RedisLimiter(settings.redis_url.get_secret_value()),
        payments=_payments(settings),
        suppressions=_suppressions(settings),
    )


def _mailer(settings: Settings) -> Mailer | None:
    """Development's mailbox: no mail can leave this machine. In production SendGrid, whose key it needs to start at all."""
    if settings.development:
        return Mailbox(settings.mailbox_file)
    if settings.sendgrid_api_key is None:
        return None
    key = settings.sendgrid_api_key.get_secret_value()
    return SendgridMail(key, settings.sendgrid_host, open_tracking=settings.open_tracking)


def _payments(settings: Settings) -> Payments | None:
    """Without a key, in development, a processor of our own: no money can move."""
    if settings.stripe_api_key is None:
        return (
            DevPayments(settings.payments_dir, settings.base_url, settings.stripe_secrets[0])
            if settings.development
            else None
        )
    return StripePayments(settings.stripe_api_key.get_secret_value(), settings.stripe_api_base)


def _suppressions(settings: Settings) -> Suppressions | None:
    """Nobody's in development, whose people are invented: addresses are taken off SendGrid's lists, too."""
    if settings.development or settings.sendgrid_api_key is None:
        return None
    return SendgridSuppressions(settings.sendgrid_api_key.get_secret_value(), settings.sendgrid_host)
