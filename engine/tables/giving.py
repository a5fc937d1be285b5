"""Money: who receives it, the forms that ask for it, contributions, and the ledger that only grows."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, identity, moment, reference, several, words


class Fund(SQLModel, table=True):
    """The legal entity that receives. `name` is its full legal name. `retention_years`: how long the law has it keep who
    gave. `express_lane`: its links may charge a saved card at ActBlue at once; for the root to switch on.

    `limit_cents`: the most that one person may give it within one period of its clock (none: as much as she likes). year: the
    calendar year; cycle: two of them, the second an even one; election: until and including the next of `election_days`, from
    the day after the one before. `employer_cents`: from which sum of a calendar year on the law wants to know where a donor
    works ("over $200"; with `employer_from`, "$200 or more"); `employer_days`: how long she is asked for it afterwards.
    `stripe_account`: the connected account that its gifts go to, "" the account of our key. `others`: disclaimer and
    deductibility in other languages, {"es": {"disclaimer": "…"}}.
    """

    __tablename__ = "fund"
    __table_args__ = (
        CheckConstraint("limit_clock IN ('year', 'cycle', 'election')", name="limit_clock"),
        CheckConstraint("limit_cents > 0", name="limit_cents"),
        CheckConstraint("employer_cents >= 0", name="employer_cents"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    disclaimer: str = Field(sa_column=words())
    deductibility: str = Field(sa_column=words())
    retention_years: int = Field(default=7, sa_column=Column(Integer, nullable=False, server_default=text("7")))
    express_lane: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    limit_cents: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    limit_clock: str = Field(default="year", sa_column=words(default="year"))
    election_days: list[date] = Field(sa_column=several(Date()))
    employer_cents: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    employer_from: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    employer_days: int = Field(default=30, sa_column=Column(Integer, nullable=False, server_default=text("30")))
    stripe_account: str = Field(default="", sa_column=words())
    others: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))


class ActblueEntity(SQLModel, table=True):
    """ActBlue's number for one of our funds: how a line item says who receives it. Of a chapter's own entity, the chapter."""

    __tablename__ = "actblue_entity"

    entity_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    fund_id: int = Field(sa_column=reference("fund.id", index=True))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))


class DonationForm(SQLModel, table=True):
    """A form that asks for a gift. `slug` is also its name at ActBlue. Presets in cents, in the order shown. `processor`: who
    takes the money, and whose page its links lead to. `thanks_letter`: the slug of the letter of thanks; '' the shipped one.

    The row says what queries ask for, as its published `version` (0: none is) has it; the whole of it is in
    `donation_form_version`. `floor_cents`, `cap_cents`: the least and the most of an amount that she types herself.
    `closed_because`: why nothing can be given by it since `closed_at`; `attempts_from`: from
    when declined cards count against it: its last closing over them, or when staff opened it again.
    """

    __tablename__ = "donation_form"
    __table_args__ = (
        CheckConstraint("processor IN ('actblue', 'stripe')", name="processor"),
        CheckConstraint("floor_cents > 0 AND cap_cents >= floor_cents", name="bounds"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    title: str = Field(sa_column=words(default=None))
    preset_cents: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    other_amount: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    fund_id: int = Field(sa_column=reference("fund.id", index=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", index=True))
    thanks_letter: str = Field(default="", sa_column=words())
    processor: str = Field(default="actblue", sa_column=words(default="actblue"))
    floor_cents: int = Field(default=500, sa_column=Column(Integer, nullable=False, server_default=text("500")))
    cap_cents: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    monthly: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    version: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    closed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    closed_because: str = Field(default="", sa_column=words())
    attempts_from: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class DonationFormVersion(SQLModel, table=True):
    """A donation form as it was written once, never changed: `definition` as `engine.giving.forms.Definition` says it, and
    its picture. Without `published_at` a draft, which a preview shows."""

    __tablename__ = "donation_form_version"
    __table_args__ = (Index("donation_form_version_key", "donation_form_id", "version", unique=True),)

    id: int | None = Field(default=None, sa_column=identity())
    donation_form_id: int = Field(sa_column=reference("donation_form.id"))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    definition: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    picture: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    picture_type: str = Field(default="", sa_column=words())
    created_at: datetime = Field(sa_column=moment(now=True))
    published_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Contribution(SQLModel, table=True):
    """One gift: ActBlue's line item. `source_key` is the source's own id of the money, unique within an order.

    Line item ids should be unique by themselves; but published test bodies share some, and a placeholder posted to a new
    webhook must never swallow somebody's real gift. `payment_key` and `charge_key` are what refunds and disputes point at;
    one payment is one contribution, even when the source tells it as a payment and as an instalment of `plan_key`.

    `paid_at` with `paid_at_offset` (minutes east of UTC) gives back the source's own wall clock. `donor` is the snapshot
    of who gave, the treasurer's record: merging, editing or erasing the contact never touches it. No `fund_id`: the
    money went to someone else's committee. `account`: the processor's connected account that took it, "" our own; it stays,
    whatever becomes of its fund's. `express`: the donor has saved a card at ActBlue. `language`: that of the page of ours on
    which she gave, for its receipt; "" if there was none. `status` follows from the ledger and is proved by `groundswell
    books check`.
    """

    __tablename__ = "contribution"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount_cents"),
        Index("contribution_source_key_key", "source", "source_key", "order_number", unique=True),
        # With what rules ask of her gifts: they are read in this index alone.
        Index(
            "contribution_contact_id_paid_at_idx",
            "contact_id",
            "paid_at",
            postgresql_include=["id", "amount_cents", "status", "fund_id", "currency"],
        ),
        Index(
            "contribution_donation_form_id_idx",
            "donation_form_id",
            "paid_at",
            postgresql_where=text("donation_form_id IS NOT NULL"),
        ),
        Index(
            "contribution_payment_key_key",
            "source",
            "payment_key",
            unique=True,
            postgresql_where=text("payment_key <> ''"),
        ),
        # How far ActBlue's deliveries have come: a report that was imported proves nothing of them.
        Index(
            "contribution_delivered_paid_at_idx",
            "paid_at",
            postgresql_where=text("source = 'actblue' AND inbound_event_id IS NOT NULL"),
        ),
        Index("contribution_charge_key_idx", "source", "charge_key", postgresql_where=text("charge_key <> ''")),
        Index("contribution_plan_key_idx", "source", "plan_key", postgresql_where=text("plan_key <> ''")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    inbound_event_id: int | None = Field(default=None, sa_column=cause(index=True))
    contact_id: int | None = Field(default=None, sa_column=reference("contact.id", nullable=True))
    fund_id: int | None = Field(default=None, sa_column=reference("fund.id", nullable=True))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    donation_form_id: int | None = Field(default=None, sa_column=reference("donation_form.id", nullable=True))
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    currency: str = Field(sa_column=words(default="usd"))
    status: str = Field(sa_column=words(default="received"))
    paid_at: datetime = Field(sa_column=moment())
    paid_at_offset: int = Field(sa_column=Column(SmallInteger, nullable=False, server_default="0"))
    order_number: str = Field(sa_column=words())
    sequence: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    recurring_period: str = Field(sa_column=words(default="once"))
    form_slug: str = Field(sa_column=words())
    refcode: str = Field(sa_column=words())
    refcode2: str = Field(sa_column=words())
    entity_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    entity_name: str = Field(sa_column=words())
    express: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    payment_key: str = Field(sa_column=words())
    charge_key: str = Field(sa_column=words())
    plan_key: str = Field(sa_column=words())
    account: str = Field(default="", sa_column=words())
    language: str = Field(sa_column=words())
    donor: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(sa_column=moment(now=True))


class LedgerEntry(SQLModel, table=True):
    """One movement of money, never changed, never deleted: a gift adds, what takes it back is a row of its own.

    `source_key` names what moved it: the payment of a gift, the refund, the dispute.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('gift', 'refund', 'refund_failed', 'dispute', 'dispute_won', 'dispute_lost', 'duplicate')",
            name="kind",
        ),
        Index("ledger_entry_source_key_key", "source", "source_key", "kind", "contribution_id", unique=True),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contribution_id: int = Field(sa_column=reference("contribution.id", index=True))
    kind: str = Field(sa_column=words(default=None))
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    amount_cents: int = Field(sa_column=Column(BigInteger, nullable=False))
    currency: str = Field(sa_column=words(default="usd"))
    occurred_at: datetime = Field(sa_column=moment())
    created_at: datetime = Field(sa_column=moment(now=True))
