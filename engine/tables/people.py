"""People and places: contacts, the tree of chapters, whose territory a ZIP is, facts about ZIPs."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Text
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, words


class Chapter(SQLModel, table=True):
    """A node of the organisation. The root has no parent; what a chapter lacks (empty) it inherits from its parent."""

    __tablename__ = "chapter"

    id: int | None = Field(default=None, sa_column=identity())
    parent_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True, index=True))
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    sender_name: str = Field(sa_column=words())
    sender_email: str = Field(sa_column=words())
    reply_to: str = Field(sa_column=words())
    postal_address: str = Field(sa_column=words())
    created_at: datetime = Field(sa_column=moment(now=True))


class Territory(SQLModel, table=True):
    """One ZIP that belongs to one chapter."""

    __tablename__ = "territory"

    zip: str = Field(sa_column=Column(Text, primary_key=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", index=True))


class Zip(SQLModel, table=True):
    """What is known of a ZIP. `city` is the postal city, not always the town. Degrees; IANA zone."""

    __tablename__ = "zip"

    zip: str = Field(sa_column=Column(Text, primary_key=True))
    city: str = Field(sa_column=words())
    county: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    time_zone: str = Field(sa_column=words())
    latitude: float = Field(sa_column=Column(Float, nullable=False))
    longitude: float = Field(sa_column=Column(Float, nullable=False))


class Contact(SQLModel, table=True):
    """A person we can write to. One per normalised address.

    Name and address are those of the newest word from her that tells where she lives (`details_at`).
    `routed_by` says how the home chapter was chosen, `routed_on` by what: ("zip", "01604"). The giving totals (`gave_*`,
    cents) are recomputed from the ledger in the transaction that changes it; `groundswell books check` proves them.
    """

    __tablename__ = "contact"
    __table_args__ = (Index("contact_chapter_id_gave_last_at_idx", "chapter_id", "gave_last_at"),)

    id: int | None = Field(default=None, sa_column=identity())
    email: str | None = Field(default=None, sa_column=words(nullable=True, unique=True))
    first_name: str = Field(sa_column=words())
    last_name: str = Field(sa_column=words())
    street: str = Field(sa_column=words())
    city: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    zip: str | None = Field(default=None, sa_column=words(nullable=True))
    country: str = Field(sa_column=words())
    phone: str = Field(sa_column=words())
    language: str = Field(sa_column=words(default="en"))
    details_at: datetime = Field(sa_column=moment())
    chapter_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("chapter.id"), nullable=True))
    routed_by: str = Field(sa_column=words())
    routed_on: str = Field(sa_column=words())
    gave_count: int = Field(default=0, sa_column=count())
    gave_cents: int = Field(default=0, sa_column=count())
    gave_highest_cents: int = Field(default=0, sa_column=count())
    gave_last_cents: int = Field(default=0, sa_column=count())
    gave_first_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    gave_last_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    gives_monthly_cents: int = Field(default=0, sa_column=count())
    created_at: datetime = Field(sa_column=moment(now=True))
