"""Recurring plans, and the facts their standing follows from: payments that failed, ends that were told."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Index, text
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, identity, moment, reference, state_check, words


class RecurringPlan(SQLModel, table=True):
    """A promise to give again and again. `source_key`: ActBlue's order number, Stripe's subscription.

    Amount, rhythm and pause (which may end by itself: `paused_until`) are those of the newest word (`told_at`). Contact, fund
    and `state` follow from the plan's contributions and from the facts beside it, so that the order in which words arrive
    does not matter. `account`: the processor's connected account that it lives in, "" our own.
    """

    __tablename__ = "recurring_plan"
    __table_args__ = (
        state_check("recurring_plan"),
        Index("recurring_plan_source_key_key", "source", "source_key", "entity_id", unique=True),
        Index("recurring_plan_contact_id_idx", "contact_id"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    entity_id: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    contact_id: int | None = Field(default=None, sa_column=reference("contact.id", nullable=True))
    fund_id: int | None = Field(default=None, sa_column=reference("fund.id", nullable=True))
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    currency: str = Field(sa_column=words(default="usd"))
    period: str = Field(sa_column=words(default=None))
    account: str = Field(default="", sa_column=words())
    paused: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    paused_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    state: str = Field(sa_column=words(default="active"))
    started_at: datetime = Field(sa_column=moment())
    told_at: datetime = Field(sa_column=moment())
    paid_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    failed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class PlanFailure(SQLModel, table=True):
    """One payment of a plan that failed."""

    __tablename__ = "plan_failure"
    __table_args__ = (
        Index("plan_failure_source_key_key", "source", "source_key", unique=True),
        Index("plan_failure_plan_key_idx", "source", "plan_key"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    plan_key: str = Field(sa_column=words(default=None))
    failed_at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class Cancellation(SQLModel, table=True):
    """The end of a plan, once and for all. `source_key`: the plan's own."""

    __tablename__ = "cancellation"
    __table_args__ = (Index("cancellation_source_key_key", "source", "source_key", unique=True),)

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    ended_by: str = Field(sa_column=words(default=None))
    reason: str = Field(sa_column=words())
    ended_at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())
