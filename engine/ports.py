"""What the engine asks of the outside. Adapters and test fakes implement these; nothing here touches anything."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from sqlalchemy.orm import Session


class Clock(Protocol):
    """The time that due dates, windows and expiry are measured by."""

    def read(self, session: Session) -> datetime:
        """The instant of this transaction, aware, UTC. Read once per transaction, at its start."""


class Bells(Protocol):
    """Doorbells. Ringing never blocks, never raises and may be lost: the pulse rings again for every due row."""

    def ring(self, *queues: str) -> None:
        """Say that there may be work in these queues."""

    def reachable(self) -> bool:
        """Whether a bell rung now would be heard."""

    def close(self) -> None:
        """Ring what is still to be rung, briefly, and stop."""


class Limiter(Protocol):
    """How often something may happen, counted for all processes together."""

    def hit(self, key: str, most: int, span: timedelta) -> bool:
        """Count one more under this key: whether it is within `most` in `span`. Raises Unavailable: who asks fails closed."""

    def take(self, key: str, wanted: int, most: int, span: timedelta) -> int:
        """Count up to `wanted` more under this key: how many of them are within `most` in `span`.

        Never raises: while nothing can be counted together, this process keeps to a quarter of it by itself.
        """

    def room(self, key: str, most: int, span: timedelta) -> int:
        """How many more `take` would find within `most` in `span`; nothing is counted. Never raises, as `take`."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is the same in all copies of a letter. Subject, HTML and text may hold tokens, which each copy fills in. `track`:
    the provider may tell who followed a link."""

    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    track: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """One letter to one address: `substitutions` in place of the sheet's tokens, and headers of its own beside From, To,
    Reply-To and Subject. `code`: what the provider is to repeat of it, beside our ids; "": nothing."""

    message_id: int
    to_email: str
    to_name: str
    substitutions: Mapping[str, str]
    headers: Mapping[str, str]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter as its reader gets it."""

    message_id: int
    to_email: str
    to_name: str
    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]


def letter_of(sheet: Sheet, copy: Copy) -> Letter:
    """The letter that a provider makes of both."""
    parts = [sheet.subject, sheet.html, sheet.text]
    for token, value in copy.substitutions.items():
        parts = [part.replace(token, value) for part in parts]
    subject, html, text = parts
    return Letter(
        copy.message_id, copy.to_email, copy.to_name, sheet.from_email, sheet.from_name, sheet.reply_to, subject, html, text,
        dict(copy.headers),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said to one request.

    accepted: all of it is theirs now (`provider_id`). bad: something in it is wrong, nothing was taken; `culprits` are the
    places of the copies it names. sender: it takes no letter from our address `sender`, nothing was taken. busy: nothing was
    taken, come again after `wait_seconds`. closed: it refuses our key or address, nothing was taken. away: nothing reached
    it. uncertain: bytes left us and no answer came that settles it.
    """

    outcome: Literal["accepted", "bad", "sender", "busy", "closed", "away", "uncertain"]
    provider_id: str = ""
    detail: str = ""
    culprits: tuple[int, ...] = ()
    sender: str = ""
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter as a mailbox keeps it: its place (from 1), when it came, under which handover, and itself."""

    number: int
    at: str
    handover_id: int
    letter: Mapping[str, Any]


@runtime_checkable
class Keeper(Protocol):
    """A provider whose letters can be read here: development's mailbox."""

    def letters(self) -> Iterator[Kept]:
        """Every letter it took, doubles included, oldest first."""

    def forget(self, emails: Collection[str]) -> int:
        """Empty every letter to one of these addresses; how many. Their handovers stay known."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as the payment processor lists it. `key`: its id. `at`: when it happened, to the second. `body`: JSON."""

    key: str
    type: str
    at: datetime
    live: object  # True, False, or whatever it says instead
    body: bytes


@dataclass(frozen=True, slots=True)
class Refunded:
    """What came of asking for a refund. accepted: it is back, by this call (`provider_id`: the refund) or, without one,
    before. refused: it is not, and `retryable` says that our key may not (in this account), so that later may work.
    uncertain: to be asked again with the same key, for the same."""

    outcome: Literal["accepted", "refused", "uncertain"]
    provider_id: str = ""
    retryable: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Basket:
    """A gift to be paid on the processor's own page. `metadata` goes on the page's session and on all that it makes: the
    payment, the plan. `account`: the connected account that receives it, "" our own. `email`: hers, "" if she said none."""

    amount_cents: int
    monthly: bool
    title: str
    email: str
    metadata: Mapping[str, str]
    success_url: str
    cancel_url: str
    expires_at: datetime
    language: str = "en"
    account: str = ""
    currency: str = "usd"


@dataclass(frozen=True, slots=True)
class Opened:
    """The processor's page for one basket: its id there, where it is, until when."""

    key: str
    url: str
    expires_at: datetime


class Payments(Protocol):
    """The payment processor, asked by us. Every request ends by itself, retries and all, in some half a minute.

    The same idempotency key twice is one act. Unless it says otherwise a call raises Unavailable (it may or may not have
    happened: ask again with the same key), Invalid or NotFound (it will not), Forbidden (our key may not).
    """

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        """Its events from `since` to `until` (both included), the newest first, in pages of at most 100, never empty.

        `undelivered`: only those that it could not hand to every webhook. Raises Unavailable, or Forbidden (our key).
        """

    def refund(self, charge_key: str, payment_key: str, idempotency_key: str, *, account: str = "") -> Refunded:
        """Give all that is left of one payment back, as fraud. Never raises."""

    def give_back(
        self, charge_key: str, payment_key: str, amount_cents: int, idempotency_key: str, *, account: str = ""
    ) -> Refunded:
        """Give so much of one payment back, as its donor asked. Never raises."""

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        """Open a page on which this basket is paid: within some ten seconds."""

    def expire_checkout(self, session_key: str, *, account: str = "") -> None:
        """Nobody can pay on this page any more. One that is paid or over already stays so: no error."""

    def change_plan(self, plan_key: str, amount_cents: int, idempotency_key: str, *, account: str = "") -> None:
        """From the next instalment on it is this amount, on the same day. The same key is one act only while the plan stands
        as it did: on the way back to what it was before, it is another."""

    def pause_plan(self, plan_key: str, until: datetime | None, *, account: str = "") -> None:
        """Take no instalment before `until`; None: go on at once. Asked twice it is once: so it is from then on."""

    def cancel_plan(self, plan_key: str, idempotency_key: str, *, account: str = "") -> None:
        """No further instalment. One that was cancelled before stays so: no error."""

    def portal(self, plan_key: str, return_url: str, *, account: str = "") -> str:
        """The address of a page of the processor's where the donor of this plan can change her card. It works once, soon."""


@dataclass(frozen=True, slots=True)
class PlayedCheckout:
    """A basket on the page of development's own processor, and whether it is open, complete or expired there."""

    key: str
    amount_cents: int
    monthly: bool
    title: str
    email: str
    state: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class PlayedPlan:
    """A plan on the page of that processor where its donor changes her card, and where the page leads back to."""

    key: str
    amount_cents: int
    state: str
    paused: bool
    return_url: str


@runtime_checkable
class Cashier(Protocol):
    """A processor whose pages are ours to show: development's. What is done there is told as the real one tells it, by signed
    events. Raises NotFound, Invalid (it is over), Unavailable (done, but not told: do it again)."""

    def checkout(self, key: str) -> PlayedCheckout:
        """One basket."""

    def pay(self, key: str, email: str) -> None:
        """A card that works. Twice is once. `email`: if the basket says none."""

    def decline(self, key: str, email: str) -> None:
        """A card that is declined. Each time is another attempt."""

    def expire(self, key: str) -> None:
        """Nobody paid, and nobody can any more."""

    def plan(self, page_key: str) -> PlayedPlan:
        """The plan of one page of the portal."""

    def renew(self, page_key: str, *, good: bool) -> None:
        """The next instalment of that plan: its card works or is declined."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address that the mail provider does not write to, as it writes it, and since when."""

    email: str
    at: datetime


class Suppressions(Protocol):
    """The mail provider's own lists of addresses that it does not write to."""

    def listed(self, kind: str, start: int = 0) -> Iterator[Sequence[Suppressed]]:
        """One list from its place `start` on, in pages, never empty. `kind`: bounce, complaint, invalid, unsubscribe.

        Raises Unavailable, or Forbidden (our key).
        """

    def remove(self, email: str) -> None:
        """Take one address, as it writes it, off its list of those who unsubscribed. Raises as `listed` does."""


class Mailer(Protocol):
    """A mail provider."""

    call_seconds: float  # its own time-out for one request: no request outlives this
    most_copies: int  # of one request
    most_substitution_bytes: int  # of one copy
    most_bytes: int  # of one request

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        """Make one request. `before` is asked directly before the first byte leaves: a no means that nothing does, and there
        is no answer. Never raises for anything a provider or a network does."""

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str] | None:
        """Provider ids of those handovers that it did take, or None when it cannot be asked."""


class Verifier(Protocol):
    """Whether a request was signed by whom it claims to come from. Takes any bytes and any header; never raises."""

    def stripe(self, body: bytes, header: str) -> bool:
        """`header`: Stripe-Signature."""

    def sendgrid(self, body: bytes, signature: str, timestamp: str) -> bool:
        """Both are headers of SendGrid's event webhook."""


@dataclass(frozen=True, slots=True)
class RedisState:
    """What a Redis says of itself. `port`: 0 when it listens on a unix socket only; `most_bytes`: 0 for no limit.
    `other_databases`: those with keys beside ours; `foreign_keys`: keys beside ours in our own."""

    version: str
    port: int
    appendonly: bool
    policy: str
    used_bytes: int
    most_bytes: int
    other_databases: tuple[str, ...]
    foreign_keys: int


class Names(Protocol):
    """The names of the Internet, as DNS tells them."""

    def texts(self, name: str) -> Sequence[str]:
        """Every TXT record of this name or of what it stands for, each in one piece; none when there is none.
        Raises Unavailable."""
