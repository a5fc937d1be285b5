"""Where this database is, each time that it was found restored, and what is told of letters that it does not know."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, Index, Integer, text
from sqlmodel import Field, SQLModel

from engine.tables.columns import identity, moment, words


class DatabaseHome(SQLModel, table=True):
    """One row. `mark`: what Postgres said of itself when we last were where we are; `seen_at`: when a process of ours last
    saw it there, so that a restored database says by itself how old it is."""

    __tablename__ = "database_home"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    mark: str = Field(sa_column=words(default=None))
    seen_at: datetime = Field(sa_column=moment(now=True))


class Restoration(SQLModel, table=True):
    """This database was found elsewhere than it was: restored, or failed over. What happened between `seen_at` and `found_at`
    may be lost. Ids after `last_…_id`, up to `next_…_id`, of which there is no row belong to the lost
    hours: nothing else gets them."""

    __tablename__ = "restoration"

    id: int | None = Field(default=None, sa_column=identity())
    was: str = Field(sa_column=words(default=None))
    is_now: str = Field(sa_column=words(default=None))
    seen_at: datetime = Field(sa_column=moment())
    found_at: datetime = Field(sa_column=moment(now=True))
    released_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    last_message_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    next_message_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_handover_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    next_handover_id: int = Field(sa_column=Column(BigInteger, nullable=False))


class LostLetter(SQLModel, table=True):
    """A letter of lost hours of which the provider told. `code` names whom it went to and for what, as the letter that would
    repeat it does (`engine.mail.codes`); `causes`: raw events that told of it; `became_id`: the letter here that it is;
    `stopped_at`: when somebody stopped letters by its link who is nobody here."""

    __tablename__ = "lost_letter"
    __table_args__ = (Index("lost_letter_code_idx", "code", postgresql_where=text("became_id IS NULL")),)

    message_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    handover_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    provider_id: str = Field(sa_column=words())
    code: str = Field(sa_column=words())
    at: datetime = Field(sa_column=moment())
    causes: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False, server_default=text("'{}'")))
    became_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    stopped_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
