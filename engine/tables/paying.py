"""Gifts on their way through a payment processor, and what we ask of it: checkouts, declined cards, refunds that staff order;
and whose asks rest."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, identity, moment, reference, state_check, words


class Checkout(SQLModel, table=True):
    """A gift that somebody began on a page of ours, before any money moved. The row is committed before the processor is
    asked, and its id is the idempotency key. Only webhooks make gifts of it.

    `nonce`: of the form's stamp, used once, and the word by which the processor names the checkout: nobody can guess it.
    `digest`: of all that was asked for and from where: while a checkout with the same is open, she is led to that one.
    `donor`: what she typed (`engine.events.Person`), until it is paid or over. `session_key`, `url`: the processor's page,
    until `expires_at`, in the connected `account` that its fund had then ("": our own).
    """

    __tablename__ = "checkout"
    __table_args__ = (
        state_check("checkout"),
        CheckConstraint("amount_cents > 0", name="amount_cents"),
        CheckConstraint("period IN ('once', 'monthly')", name="period"),
        Index("checkout_nonce_key", "nonce", unique=True),
        Index("checkout_digest_idx", "digest", postgresql_where=text("state IN ('opening', 'open')")),
        Index("checkout_session_key_key", "session_key", unique=True, postgresql_where=text("session_key <> ''")),
        Index("checkout_typed_idx", "expires_at", postgresql_where=text("donor <> '{}'")),
        Index("checkout_expires_at_idx", "expires_at", postgresql_where=text("state IN ('opening', 'open')")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    nonce: str = Field(sa_column=words(default=None))
    digest: str = Field(sa_column=words(default=None))
    donation_form_id: int = Field(sa_column=reference("donation_form.id", index=True))
    form_version: int = Field(sa_column=Column(Integer, nullable=False))
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    period: str = Field(sa_column=words(default="once"))
    donor: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    language: str = Field(default="en", sa_column=words(default="en"))
    refcode: str = Field(default="", sa_column=words())
    refcode2: str = Field(default="", sa_column=words())
    account: str = Field(default="", sa_column=words())
    state: str = Field(default="opening", sa_column=words(default="opening"))
    session_key: str = Field(default="", sa_column=words())
    url: str = Field(default="", sa_column=words())
    created_at: datetime = Field(sa_column=moment())
    expires_at: datetime = Field(sa_column=moment())


class Decline(SQLModel, table=True):
    """A card that was declined on one of our forms. `source_key`: the attempt's own id at the source. `checkout_id`: on whose
    page, if that was told and is still kept."""

    __tablename__ = "decline"
    __table_args__ = (
        Index("decline_source_key_key", "source", "source_key", unique=True),
        Index("decline_donation_form_id_idx", "donation_form_id", "declined_at"),
        Index("decline_checkout_id_idx", "checkout_id", postgresql_where=text("checkout_id IS NOT NULL")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    donation_form_id: int = Field(sa_column=reference("donation_form.id"))
    checkout_id: int | None = Field(default=None, sa_column=reference("checkout.id", nullable=True))
    declined_at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class RefundOrder(SQLModel, table=True):
    """A refund that staff ordered: committed before the processor is asked, its id the idempotency key. What goes back is
    told by the processor's own events, like any refund.

    `charge_key`, `payment_key`, `account`: what is asked, as it was known when the order was placed: under one key it must
    never be something else. `asked_at`: when it was asked first (none: it was not); `tries`: how often.
    """

    __tablename__ = "refund_order"
    __table_args__ = (
        state_check("refund_order"),
        CheckConstraint("amount_cents > 0", name="amount_cents"),
        Index("refund_order_contribution_id_idx", "contribution_id"),
        Index("refund_order_due_idx", "id", postgresql_where=text("state = 'due'")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contribution_id: int = Field(sa_column=reference("contribution.id"))
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    reason: str = Field(default="", sa_column=words())
    staff_id: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    state: str = Field(default="due", sa_column=words(default="due"))
    provider_id: str = Field(default="", sa_column=words())
    detail: str = Field(default="", sa_column=words())
    charge_key: str = Field(default="", sa_column=words())
    payment_key: str = Field(default="", sa_column=words())
    account: str = Field(default="", sa_column=words())
    tries: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    ordered_at: datetime = Field(sa_column=moment())
    asked_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class AskRest(SQLModel, table=True):
    """Nobody asks this person for money until `until`: for one fund, or for any (none). The longest one of a reason counts.

    many: several gifts in few days; large: one far above her habit; dispute: her bank asks about a gift; clicked: she went
    to ActBlue from a letter at `since`, and what she did there may not have reached us yet. Of one fund: gave: she has just
    given; refund: a gift went back whole; failing: an instalment failed, and is not paid since.
    """

    __tablename__ = "ask_rest"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('many', 'large', 'dispute', 'clicked', 'gave', 'refund', 'failing')", name="reason"
        ),
        Index("ask_rest_key", "contact_id", "reason", "fund_id", unique=True, postgresql_nulls_not_distinct=True),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=reference("contact.id"))
    fund_id: int | None = Field(default=None, sa_column=reference("fund.id", nullable=True))
    reason: str = Field(sa_column=words(default=None))
    since: datetime = Field(sa_column=moment())
    until: datetime = Field(sa_column=moment())
