"""Letters on their way: to whom (message), each request to the provider (handover), what it told of them (mail_event), what
holds them back (mail_hold), and how many may leave (sending_domain, sent_count)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, count, identity, moment, reference, state_check, words


class Handover(SQLModel, table=True):
    """One request to the provider, of one mailing to `letters` people. The row is committed before the first byte leaves; the
    answer is written here alone.

    `due_at` (SQL now()) ends the lease of the process that makes the request: after it the outcome is uncertain. `heard_at`:
    when the provider first told anything of it, which proves that it was taken.
    """

    __tablename__ = "handover"
    __table_args__ = (
        state_check("handover"),
        Index("handover_open_idx", "due_at", postgresql_where=text("state IN ('submitting', 'uncertain')")),
        Index("handover_created_at_idx", "created_at"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    mailing_id: int = Field(sa_column=reference("mailing.id"))
    lane: str = Field(sa_column=words(default=None))
    letters: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    state: str = Field(sa_column=words(default="submitting"))
    provider_id: str = Field(sa_column=words())
    reason: str = Field(sa_column=words())
    due_at: datetime = Field(sa_column=moment())
    created_at: datetime = Field(sa_column=moment(now=True))
    answered_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    heard_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Message(SQLModel, table=True):
    """One mailing to one contact, for one occasion, once: unique on (contact, occasion).

    `kind`: asks, news, gatherings or actions, as people may refuse each; '' a letter that needs nobody's leave. `together`:
    at most so many of these in one request, for a larger one was refused; none: as many as there can be. `handed_at`: when
    it was last claimed, by the house's clock.

    Of a sequence: `version_id`, `step`, and `campaign_id` when it was launched (0: none). `at_cap`: what is done when she has
    had enough letters for now: it waits (defer), or does not come (drop); exempt: she gets it all the same.
    """

    __tablename__ = "message"
    __table_args__ = (
        state_check("message"),
        CheckConstraint("lane IN ('receipts', 'delivery')", name="lane"),
        CheckConstraint("kind IN ('', 'asks', 'news', 'gatherings', 'actions')", name="kind"),
        CheckConstraint("at_cap IN ('defer', 'drop', 'exempt')", name="at_cap"),
        # With what the caps ask of her letters: the last look reads them in this index alone.
        Index(
            "message_contact_id_occasion_key",
            "contact_id",
            "occasion",
            unique=True,
            postgresql_include=["handed_at", "lane", "kind"],
        ),
        Index(
            "message_receipts_due_idx", "due_at", "id", postgresql_where=text("state = 'ready' AND lane = 'receipts'")
        ),
        Index(
            "message_delivery_due_idx",
            "mailing_id",
            text("coalesce(chapter_id, 0)"),
            "version_id",
            "campaign_id",
            "due_at",
            "id",
            postgresql_where=text("state = 'ready' AND lane = 'delivery'"),
        ),
        # What waits for her, whatever she got before. For whoever asks for a person's letters alone, and says so by the
        # bound: nobody else may come to read all that is ready by it.
        Index("message_waiting_idx", "contact_id", postgresql_where=text("state = 'ready' AND contact_id > 0")),
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
    version_id: int = Field(default=0, sa_column=count())
    campaign_id: int = Field(default=0, sa_column=count())
    step: str = Field(default="", sa_column=words())
    at_cap: str = Field(default="defer", sa_column=words(default="defer"))
    attempts: int = Field(default=0, sa_column=count())
    doubts: int = Field(default=0, sa_column=count())  # handovers that may have been taken although nobody has a record
    together: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    handover_id: int | None = Field(default=None, sa_column=reference("handover.id", nullable=True, index=True))
    handed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    delivered_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    inbound_event_id: int | None = Field(default=None, sa_column=cause())
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
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class MailHold(SQLModel, table=True):
    """While one is open (not lifted, and before `until` if it says so) no campaign letter leaves; `receipts_too`: none does.

    suspended: the provider suspended our account; key: it refuses our key or address; away: nothing reaches it; busy: it
    asked us to wait; silent: it tells nothing of what became of letters; restored: this database was; staff: a person stopped
    all letters.
    """

    __tablename__ = "mail_hold"
    __table_args__ = (Index("mail_hold_open_key", "reason", unique=True, postgresql_where=text("lifted_at IS NULL")),)

    id: int | None = Field(default=None, sa_column=identity())
    reason: str = Field(sa_column=words(default=None))
    since: datetime = Field(sa_column=moment())
    until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    receipts_too: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    lifted_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class SendingDomain(SQLModel, table=True):
    """A domain that letters come from, since its first. `warming_since`: from that day its reputation is built up by a daily
    allowance; none: it is known already."""

    __tablename__ = "sending_domain"

    domain: str = Field(sa_column=Column(Text, primary_key=True))
    warming_since: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    created_at: datetime = Field(sa_column=moment(now=True))


class SentCount(SQLModel, table=True):
    """How many campaign letters were handed over on one day (UTC). `scope`: "domain example.org", "chapter 12"."""

    __tablename__ = "sent_count"

    scope: str = Field(sa_column=Column(Text, primary_key=True))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    letters: int = Field(default=0, sa_column=count())
