"""Money: who receives it, the forms that ask for it, contributions, and the ledger that only grows."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import identity, moment, reference, words


class Fund(SQLModel, table=True):
    """The legal entity that receives. `name` is its full legal name. `retention_years`: how long the law has it keep who
    gave. `express_lane`: its links may charge a saved card at ActBlue at once; for the root to switch on.
    """

    __tablename__ = "fund"

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    disclaimer: str = Field(sa_column=words())
    deductibility: str = Field(sa_column=words())
    retention_years: int = Field(default=7, sa_column=Column(Integer, nullable=False, server_default=text("7")))
    express_lane: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))


class ActblueEntity(SQLModel, table=True):
    """ActBlue's number for one of our funds: how a line item says who receives it. Of a chapter's own entity, the chapter."""

    __tablename__ = "actblue_entity"

    entity_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    fund_id: int = Field(sa_column=reference("fund.id", index=True))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))


class DonationForm(SQLModel, table=True):
    """A form that asks for a gift. `slug` is also its name at ActBlue. Presets in cents, in the order shown. `processor`: who
    takes the money, and whose page its links lead to. `thanks_letter`: the slug of the letter of thanks; '' the shipped one.
    """

    __tablename__ = "donation_form"
    __table_args__ = (CheckConstraint("processor IN ('actblue', 'stripe')", name="processor"),)

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    title: str = Field(sa_column=words(default=None))
    preset_cents: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    other_amount: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=text("true")))
    fund_id: int = Field(sa_column=reference("fund.id", index=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", index=True))
    thanks_letter: str = Field(default="", sa_column=words())
    processor: str = Field(default="actblue", sa_column=words(default="actblue"))


class Contribution(SQLModel, table=True):
    """One gift: ActBlue's line item. `source_key` is the source's own id of the money, unique within an order.

    Line item ids should be unique by themselves; but published test bodies share some, and a placeholder posted to a new
    webhook must never swallow somebody's real gift. `payment_key` and `charge_key` are what refunds and disputes point at;
    one payment is one contribution, even when the source tells it as a payment and as an instalment of `plan_key`.

    `paid_at` with `paid_at_offset` (minutes east of UTC) gives back the source's own wall clock. `donor` is the snapshot
    of who gave, the treasurer's record: merging, editing or erasing the contact never touches it. No `fund_id`: the
    money went to someone else's committee. `express`: the donor has saved a card at ActBlue. `status` follows from the ledger
    and is proved by `groundswell books check`.
    """

    __tablename__ = "contribution"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount_cents"),
        Index("contribution_source_key_key", "source", "source_key", "order_number", unique=True),
        Index("contribution_contact_id_paid_at_idx", "contact_id", "paid_at"),
        Index(
            "contribution_payment_key_key",
            "source",
            "payment_key",
            unique=True,
            postgresql_where=text("payment_key <> ''"),
        ),
        Index("contribution_charge_key_idx", "source", "charge_key", postgresql_where=text("charge_key <> ''")),
        Index("contribution_plan_key_idx", "source", "plan_key", postgresql_where=text("plan_key <> ''")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    inbound_event_id: int | None = Field(
        default=None, sa_column=reference("inbound_event.id", nullable=True, index=True)
    )
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
