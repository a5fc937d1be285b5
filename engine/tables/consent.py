"""What people allowed, which addresses must not be written to, and how people came to us."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import cause, identity, moment, reference, several, words


class Consent(SQLModel, table=True):
    """One word of a person about mail or text messages: given or withdrawn, when, through what, with which wording.

    `kind`: which letters; '' all of them, 'chapter' those of chapters, 'many' as many as there are (withdrawn: fewer),
    'pause' none until `until` (withdrawn while it lasts). Never changed. The newest word on a channel and kind counts; of
    two at one instant, the withdrawal.
    """

    __tablename__ = "consent"
    __table_args__ = (
        CheckConstraint("channel IN ('mail', 'text')", name="channel"),
        CheckConstraint(
            "kind IN ('', 'asks', 'news', 'gatherings', 'actions', 'chapter', 'many', 'pause')", name="kind"
        ),
        Index("consent_contact_id_key", "contact_id", "channel", "kind", "at", "given", "source", unique=True),
        Index("consent_at_idx", "at", postgresql_using="brin"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=reference("contact.id"))
    channel: str = Field(sa_column=words(default=None))
    kind: str = Field(default="", sa_column=words())
    given: bool = Field(sa_column=Column(Boolean, nullable=False))
    until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    at: datetime = Field(sa_column=moment())
    source: str = Field(sa_column=words(default=None))
    place: str = Field(sa_column=words())
    wording: str = Field(sa_column=words())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class Suppression(SQLModel, table=True):
    """An address that must not be written to, whoever it belongs to: it outlives contact and consent."""

    __tablename__ = "suppression"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('bounce', 'complaint', 'unsubscribe', 'invalid', 'manual', 'erased')", name="reason"
        ),
        Index("suppression_email_key", "email", "reason", unique=True),
    )

    id: int | None = Field(default=None, sa_column=identity())
    email: str = Field(sa_column=words(default=None))
    reason: str = Field(sa_column=words(default=None))
    at: datetime = Field(sa_column=moment())
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class ErasedAddress(SQLModel, table=True):
    """An address whose person was erased, and each reason why it must not be written to: a keyed hash, nothing else.

    Only who brings the address can find it: no import revives her.
    """

    __tablename__ = "erased_address"

    hash: str = Field(sa_column=Column(Text, primary_key=True))
    reason: str = Field(sa_column=Column(Text, primary_key=True))
    at: datetime = Field(sa_column=moment())


class Confirmation(SQLModel, table=True):
    """Someone was asked by letter whether it was she who signed up. Her yes becomes consent with this wording."""

    __tablename__ = "confirmation"
    __table_args__ = (Index("confirmation_contact_id_idx", "contact_id", "asked_at"),)

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=reference("contact.id"))
    place: str = Field(sa_column=words())
    wording: str = Field(sa_column=words())
    asked_at: datetime = Field(sa_column=moment())
    expires_at: datetime = Field(sa_column=moment())
    confirmed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    inbound_event_id: int | None = Field(default=None, sa_column=cause())


class SignUp(SQLModel, table=True):
    """Someone signed up, or acted on another system, as it was told. `kind` says which.

    `confirmation_id`: what she said here waits until she has confirmed it by that letter, or a later one; none: it waits
    for nothing. No foreign key: either may be forgotten alone.
    """

    __tablename__ = "sign_up"
    __table_args__ = (
        Index("sign_up_source_key_key", "source", "source_key", unique=True),
        Index("sign_up_contact_id_idx", "contact_id"),
        Index("sign_up_place_at_idx", "place", "at", postgresql_where=text("source = 'join'")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    source_key: str = Field(sa_column=words(default=None))
    kind: str = Field(sa_column=words(default=None))
    contact_id: int | None = Field(default=None, sa_column=reference("contact.id", nullable=True))
    person: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    at: datetime = Field(sa_column=moment())
    place: str = Field(sa_column=words())
    tags: list[str] = Field(sa_column=several(Text()))
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    inbound_event_id: int | None = Field(default=None, sa_column=cause())
    confirmation_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
