"""How the house keeps itself: chores with a due time, what needs a human, development's clock."""

from datetime import datetime, timedelta

from sqlalchemy import Column, Index, Integer, Interval, Text, text
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, words


class Chore(SQLModel, table=True):
    """A scheduled task (a name in `workers.pulse.SCHEDULE`) and when it is due next, by SQL now(). `tries`: since it was
    done."""

    __tablename__ = "chore"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    due_at: datetime = Field(sa_column=moment())
    finished_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    tries: int = Field(default=0, sa_column=count())


class Notice(SQLModel, table=True):
    """Something that needs a person. One open notice per (kind, subject); `seen` counts how often it was said."""

    __tablename__ = "notice"
    __table_args__ = (
        Index("notice_open_key", "kind", "subject", unique=True, postgresql_where=text("resolved_at IS NULL")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    kind: str = Field(sa_column=words(default=None))
    subject: str = Field(sa_column=words(default=None))
    detail: str = Field(sa_column=words())
    seen: int = Field(default=1, sa_column=count())
    first_at: datetime = Field(sa_column=moment(now=True))
    last_at: datetime = Field(sa_column=moment(now=True))
    resolved_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class DevClock(SQLModel, table=True):
    """Development only: one row that says how far the clock was skipped ahead."""

    __tablename__ = "dev_clock"

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    skipped: timedelta = Field(sa_column=Column(Interval, nullable=False))


class Bookmark(SQLModel, table=True):
    """How far something that reads on and on has come: a time, a number of rows, or an id, as its reader understands it."""

    __tablename__ = "bookmark"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    number: int = Field(default=0, sa_column=count())
    updated_at: datetime = Field(sa_column=moment(now=True))
