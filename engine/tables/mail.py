"""Letters: what is written (mailing), to whom (message), each request to the provider (handover), what it told of them
(mail_event), and when it stopped our account (mail_hold)."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, state_check, words


class Mailing(SQLModel, table=True):
    """Content only: what is written. Who sends it comes from chapter and fund."""

    __tablename__ = "mailing"

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    subject: str = Field(sa_column=words(default=None))
    body_html: str = Field(sa_column=words(default=None))
    body_text: str = Field(sa_column=words(default=None))
    updated_at: datetime = Field(sa_column=moment(now=True))


class Handover(SQLModel, table=True):
    """One request to the provider. The row is committed before the first byte leaves; the answer is written here alone.

    `due_at` (SQL now()) ends the lease of the process that makes the request: after it the outcome is uncertain.
    """

    __tablename__ = "handover"
    __table_args__ = (
        state_check("handover"),
        Index("handover_open_idx", "due_at", postgresql_where=text("state IN ('submitting', 'uncertain')")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    mailing_id: int = Field(sa_column=reference("mailing.id"))
    lane: str = Field(sa_column=words(default=None))
    state: str = Field(sa_column=words(default="submitting"))
    provider_id: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    due_at: datetime = Field(sa_column=moment())
    created_at: datetime = Field(sa_column=moment(now=True))
    answered_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Message(SQLModel, table=True):
    """One mailing to one contact, for one occasion, once: unique on (contact, occasion).

    `kind`: asks, news, gatherings or actions, as people may refuse each; '' a letter that needs nobody's leave.
    """

    __tablename__ = "message"
    __table_args__ = (
        state_check("message"),
        CheckConstraint("lane IN ('receipts', 'delivery')", name="lane"),
        CheckConstraint("kind IN ('', 'asks', 'news', 'gatherings', 'actions')", name="kind"),
        Index("message_contact_id_occasion_key", "contact_id", "occasion", unique=True),
        Index("message_due_idx", "lane", "due_at", "id", postgresql_where=text("state = 'ready'")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=reference("contact.id"))
    mailing_id: int = Field(sa_column=reference("mailing.id"))
    occasion: str = Field(sa_column=words(default=None))
    lane: str = Field(sa_column=words(default=None))
    kind: str = Field(default="", sa_column=words())
    state: str = Field(sa_column=words(default="ready"))
    reason: str = Field(sa_column=words())
    due_at: datetime = Field(sa_column=moment())
    expires_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    language: str = Field(sa_column=words(default="en"))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))  # who sends it
    fund_id: int | None = Field(default=None, sa_column=reference("fund.id", nullable=True))  # whose disclaimer
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))  # what the words are filled in with
    attempts: int = Field(default=0, sa_column=count())
    doubts: int = Field(default=0, sa_column=count())  # handovers that may have been taken although nobody has a record
    handover_id: int | None = Field(default=None, sa_column=reference("handover.id", nullable=True, index=True))
    delivered_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    inbound_event_id: int | None = Field(default=None, sa_column=reference("inbound_event.id", nullable=True))
    created_at: datetime = Field(sa_column=moment(now=True))


class MailEvent(SQLModel, table=True):
    """What the provider told of one letter, once: unique on handover, letter, kind, time and address of the link.

    Its own event ids are not dependable. `machine`: nobody's finger; a scanner or a privacy proxy.
    """

    __tablename__ = "mail_event"
    __table_args__ = (
        Index("mail_event_message_id_key", "message_id", "handover_id", "kind", "at", "url", unique=True),
    )

    id: int | None = Field(default=None, sa_column=identity())
    message_id: int = Field(sa_column=reference("message.id"))
    handover_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    kind: str = Field(sa_column=words(default=None))
    at: datetime = Field(sa_column=moment())
    url: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    machine: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    inbound_event_id: int | None = Field(default=None, sa_column=reference("inbound_event.id", nullable=True))


class MailHold(SQLModel, table=True):
    """While one is open (not lifted), no campaign letter leaves: the provider suspended our account."""

    __tablename__ = "mail_hold"
    __table_args__ = (Index("mail_hold_open_key", "reason", unique=True, postgresql_where=text("lifted_at IS NULL")),)

    id: int | None = Field(default=None, sa_column=identity())
    reason: str = Field(sa_column=words(default=None))
    since: datetime = Field(sa_column=moment())
    lifted_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
