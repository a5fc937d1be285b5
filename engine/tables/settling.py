"""What happens to money after it was given, as facts of their own: each is kept whether or not its gift is on the books.

Every fact is unique by its source's id. `payment_key` and `charge_key` say which payment it is about; `contribution_id`
is filled in as soon as that is booked.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, identity, moment, reference, state_check, words


def _about_a_payment(table: str) -> tuple[Index, ...]:
    return (
        Index(f"{table}_source_key_key", "source", "source_key", unique=True),
        Index(f"{table}_payment_key_idx", "source", "payment_key", postgresql_where=text("payment_key <> ''")),
        Index(f"{table}_charge_key_idx", "source", "charge_key", postgresql_where=text("charge_key <> ''")),
    )


class Refund(SQLModel, table=True):
    """Money that went back. A `total` (`source_key`: the charge) says how much of a payment went back in all."""

    __tablename__ = "refund"
    __table_args__ = (
        state_check("refund"),
        *_about_a_payment("refund"),
        Index("refund_contribution_id_idx", "contribution_id"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    total: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    contribution_id: int | None = Field(default=None, sa_column=reference("contribution.id", nullable=True))
    payment_key: str = Field(sa_column=words())
    charge_key: str = Field(sa_column=words())
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    currency: str = Field(sa_column=words(default="usd"))
    state: str = Field(sa_column=words(default="succeeded"))
    refunded_at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class Dispute(SQLModel, table=True):
    """A donor's bank asks about a payment, or takes it back."""

    __tablename__ = "dispute"
    __table_args__ = (
        state_check("dispute"),
        *_about_a_payment("dispute"),
        Index("dispute_contribution_id_idx", "contribution_id"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    contribution_id: int | None = Field(default=None, sa_column=reference("contribution.id", nullable=True))
    payment_key: str = Field(sa_column=words())
    charge_key: str = Field(sa_column=words())
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    currency: str = Field(sa_column=words(default="usd"))
    state: str = Field(sa_column=words(default=None))
    reason: str = Field(sa_column=words())
    opened_at: datetime = Field(sa_column=moment())
    settled_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class FraudWarning(SQLModel, table=True):
    """An early fraud warning. `refund_due` only where the house refunds such gifts by itself. `account`: the processor's
    connected account that it was told in, "" our own; `tries`: how often a refund was asked there in vain."""

    __tablename__ = "fraud_warning"
    __table_args__ = (
        state_check("fraud_warning"),
        *_about_a_payment("fraud_warning"),
        Index("fraud_warning_refund_due_idx", "id", postgresql_where=text("state = 'refund_due'")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    payment_key: str = Field(sa_column=words())
    charge_key: str = Field(sa_column=words())
    state: str = Field(sa_column=words(default="told"))
    reason: str = Field(sa_column=words())
    account: str = Field(default="", sa_column=words())
    tries: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    warned_at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class CheckoutSession(SQLModel, table=True):
    """A checkout that a donor finished: her words, the form and the codes, for a payment told without them. `typed`: she
    wrote them on a page of ours, and they go before those of her card. `language`: that of the page, if it was one of ours.
    """

    __tablename__ = "checkout_session"
    __table_args__ = (
        Index("checkout_session_source_key_key", "source", "source_key", unique=True),
        Index("checkout_session_payment_key_idx", "source", "payment_key", postgresql_where=text("payment_key <> ''")),
        Index("checkout_session_plan_key_idx", "source", "plan_key", postgresql_where=text("plan_key <> ''")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    payment_key: str = Field(sa_column=words())
    plan_key: str = Field(sa_column=words())
    donor: dict[str, object] = Field(sa_column=Column(JSONB, nullable=False))
    form_slug: str = Field(sa_column=words())
    refcode: str = Field(sa_column=words())
    refcode2: str = Field(sa_column=words())
    completed_at: datetime = Field(sa_column=moment())
    typed: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    language: str = Field(sa_column=words())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class PaymentLink(SQLModel, table=True):
    """Which payment paid an instalment, where the source tells it apart from both."""

    __tablename__ = "payment_link"

    source: str = Field(sa_column=Column(Text, primary_key=True))
    source_key: str = Field(sa_column=Column(Text, primary_key=True))
    payment_key: str = Field(sa_column=words(default=None))
