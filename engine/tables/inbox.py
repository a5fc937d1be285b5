"""The inbox: what outsiders sent, byte for byte, and how far we are with it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Uuid, text
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, state_check, words


class InboundEvent(SQLModel, table=True):
    """One raw event. `key` is the source's own id or the SHA-256 of the body; the same twice is the same event."""

    __tablename__ = "inbound_event"
    __table_args__ = (
        state_check("inbound_event"),
        CheckConstraint("lane IN ('intake', 'feedback')", name="lane"),
        Index("inbound_event_source_key_key", "source", "key", unique=True),
        Index("inbound_event_due_idx", "lane", "due_at", "id", postgresql_where=text("state = 'pending'")),
        Index("inbound_event_quarantined_idx", "id", postgresql_where=text("state = 'quarantined'")),
        Index("inbound_event_received_at_idx", "received_at", postgresql_using="brin"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    source: str = Field(sa_column=words(default=None))
    key: str = Field(sa_column=words(default=None))
    kind: str = Field(sa_column=words())  # what the receiver or the inbox knows of it; empty: nothing
    lane: str = Field(sa_column=words(default=None))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: datetime = Field(sa_column=moment(now=True))
    state: str = Field(sa_column=words(default="pending"))
    reason: str = Field(sa_column=words())  # what was put on record; or why not, or why the last try failed
    attempts: int = Field(default=0, sa_column=count())
    due_at: datetime = Field(sa_column=moment(now=True))  # SQL now(): next try, or the end of the lease
    lease: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    finished_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
