"""A worker process that hands letters over and dies where it is told, by `kill -9`; and one that lacks a safeguard.

What is taken away is taken away here: words of a statement on its way to Postgres, or the order of the product's own steps.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import sleep
from typing import Any

from sqlalchemy import event, text

from engine import bell
from engine.adapters.sendgrid_mail import SendgridMail
from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.letters.links import Links
from engine.mail import handovers
from engine.mail.handovers import Outcome
from engine.outreach import claims, deliver
from engine.outreach.claims import Terms
from engine.ports import Answer, Copy, Sheet
from engine.settings import Settings
from engine.tokens import Signer
from tests.fakes import FakeBells, FakeClock, FakeLimiter
from tests.mail_stand_in import KEY
from workers import delivery

# Where it dies, in the order of a handing over. "at the provider": the stand-in kills it, once it has the whole request.
STEPS = (
    "nowhere", "before the claim is committed", "once it is committed", "before the first byte", "at the provider",
    "with the answer", "before the answer is committed", "after all",
)  # fmt: skip
CALL_SECONDS = 0.5
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.dying"])


@dataclass(frozen=True)
class Orders:
    """One turn of a worker. `without`: words of statements, and what stands there instead. `pause`: it sleeps so long at
    `step` instead of dying; `call_seconds`: the provider's."""

    settings: Settings
    provider: str
    lane: str
    now: datetime
    step: str = STEPS[0]
    pause: float = 0.0
    guarded: bool = True
    call_seconds: float = CALL_SECONDS
    without: tuple[tuple[str, str], ...] = ()
    work: Callable[[Deps, str], None] = field(default=delivery.hand_over)

    def reached(self, step: str) -> None:
        """Here it dies, if this is where it was told to."""
        if step != self.step:
            return
        if self.pause:
            sleep(self.pause)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Worker:
    """A process that waits for its word to begin."""

    process: BaseProcess
    word: Connection

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def begin(self) -> None:
        self.word.send(True)

    def day(self, now: datetime | None) -> None:
        """Of one that lives for days: this is the next; None: there is no other."""
        self.word.send(now)

    def evening(self, seconds: float) -> None:
        """Wait until its day is over."""
        assert self.word.poll(seconds), "it is still at work"
        self.word.recv()

    def end(self, seconds: float = 20) -> int | None:
        """Wait for its end; -9: it was killed."""
        self.process.join(seconds)
        return self.process.exitcode


def start(orders: Orders) -> Worker:
    """The worker, which has not begun."""
    return _start(orders, _live)


def for_days(orders: Orders) -> Worker:
    """A worker that works each day that it is told of."""
    return _start(orders, _live_for_days)


def _start(orders: Orders, live: Callable[[Orders, Connection], None]) -> Worker:
    ours, theirs = _context.Pipe()
    process = _context.Process(target=live, args=(orders, theirs), daemon=True)
    process.start()
    return Worker(process, ours)


def run(orders: Orders) -> int | None:
    """A whole turn of one worker; how it ended."""
    worker = start(orders)
    worker.begin()
    return worker.end()


def house(settings: Settings, provider: str, now: datetime, call_seconds: float = CALL_SECONDS) -> Deps:
    """A house whose letters go to the stand-in."""
    assert settings.database_url is not None
    return Deps(
        settings=settings, sessions=make_sessions(make_pool(settings.database_url.get_secret_value())),
        clock=FakeClock(now), mailer=SendgridMail(KEY, provider, call_seconds=call_seconds), bells=FakeBells(),
        verifier=Signatures(settings.stripe_secrets, []), signer=Signer(settings.signing_keys), limiter=FakeLimiter(),
    )  # fmt: skip


def careless(deps: Deps, lane: str) -> None:
    """What a build does that commits its claim together with the answer, not before the request."""
    mailer = delivery.mailer_of(deps)
    with deps.work() as (session, now):
        terms = Terms(now, mailer.call_seconds, mailer.most_copies, "UTC", 99, 99, 99, production=False)
        claimed = (claims.receipts if lane == bell.RECEIPTS else claims.campaign)(session, terms)
        links = Links(deps.signer, deps.settings.base_url, now)
        for parcel in deliver.load(session, claimed.letters, links, "UTC"):
            request = deliver.request(parcel, links, mailer.most_substitution_bytes)
            answer = mailer.hand_over(parcel.handover_id, request.sheet, request.copies, before=lambda: True)
            if answer is not None and answer.outcome == "accepted":
                handovers.record(session, [Outcome(parcel.handover_id, "accepted", answer.provider_id)], now)


_DUE = text("SELECT EXISTS (SELECT FROM message WHERE state = 'ready' AND lane = :lane AND due_at <= :now)")


def to_the_end(deps: Deps, lane: str) -> None:
    """Turn after turn, until nothing is due."""
    more = True
    while more:
        delivery.hand_over(deps, lane)
        with deps.work() as (session, now):
            more = session.scalar(_DUE, {"lane": lane, "now": now})


class _Mailer:
    """The product's, which dies on the way."""

    def __init__(self, inner: SendgridMail, orders: Orders) -> None:
        self._inner, self._orders = inner, orders
        self.call_seconds, self.most_bytes = inner.call_seconds, inner.most_bytes
        self.most_copies, self.most_substitution_bytes = inner.most_copies, inner.most_substitution_bytes

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        self._orders.reached("once it is committed")

        def guard() -> bool:
            self._orders.reached("before the first byte")
            return before() or not self._orders.guarded

        answer = self._inner.hand_over(handover_id, sheet, copies, before=guard)
        self._orders.reached("with the answer")
        return answer

    def find(self, handover_ids: Sequence[int]) -> None:
        return None


class _Bells(FakeBells):
    def __init__(self, orders: Orders) -> None:
        super().__init__()
        self._orders = orders

    def ring(self, *queues: str) -> None:
        self._orders.reached("after all")


def _live(orders: Orders, word: Connection) -> None:
    deps = house(orders.settings, orders.provider, orders.now, orders.call_seconds)
    missing = _arm(deps, orders)
    assert isinstance(deps.mailer, SendgridMail)
    word.recv()
    orders.work(replace(deps, mailer=_Mailer(deps.mailer, orders), bells=_Bells(orders)), orders.lane)
    assert not missing, f"no statement has these words: {missing}"


def _live_for_days(orders: Orders, word: Connection) -> None:
    deps = house(orders.settings, orders.provider, orders.now, orders.call_seconds)
    missing = _arm(deps, orders)
    while (now := word.recv()) is not None:
        orders.work(replace(deps, clock=FakeClock(now)), orders.lane)
        assert not missing, f"no statement has these words: {missing}"
        word.send(now)


def _arm(deps: Deps, orders: Orders) -> set[str]:
    """Let it die at its commits, and take away what it goes without. Returns the words that were not found yet."""
    missing = {words for words, _ in orders.without}
    commits = iter(("before the claim is committed", "before the answer is committed"))
    pool: Any = deps.sessions.kw["bind"]

    @event.listens_for(pool, "commit")
    def _(_: Any) -> None:
        orders.reached(next(commits, ""))

    @event.listens_for(pool, "before_cursor_execute", retval=True)
    def _(_: Any, __: Any, statement: str, values: Any, ___: Any, ____: Any) -> tuple[str, Any]:
        for words, instead in orders.without:
            if words in statement:
                missing.discard(words)
                statement = statement.replace(words, instead)
        return statement, values

    return missing
