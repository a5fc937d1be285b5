"""What an import of people holds until it is finished: empty at all other times. Nothing of it outlives a crash."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import moment, words

_UNLOGGED = {"prefixes": ["UNLOGGED"]}


class ImportRow(SQLModel, table=True):
    """What a line of a file says of one address. Not `person`: of the address alone, no contact is made for it.

    `standing`: subscribed, unsubscribed, cleaned, complained, unknown, unread; `at`: when she said so; `told_at`: when her
    name and address were last known to be right; `zip_unread`: what stood where a ZIP was expected and is none.
    """

    __tablename__ = "import_row"
    __table_args__ = (_UNLOGGED,)

    email: str = Field(sa_column=Column(Text, primary_key=True))
    file: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    line: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    person: bool = Field(sa_column=Column(Boolean, nullable=False))
    standing: str = Field(sa_column=words(default=None))
    at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    text_given: bool | None = Field(default=None, sa_column=Column(Boolean, nullable=True))
    told_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    engaged_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    first_name: str = Field(sa_column=words())
    last_name: str = Field(sa_column=words())
    street: str = Field(sa_column=words())
    city: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    zip: str | None = Field(default=None, sa_column=words(nullable=True))
    country: str = Field(sa_column=words())
    phone: str = Field(sa_column=words())
    language: str = Field(sa_column=words())
    tags: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text), nullable=True))
    custom: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    wording: str = Field(sa_column=words())
    zip_repaired: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    zip_unread: str = Field(sa_column=words())


class ImportPerson(SQLModel, table=True):
    """What came of one address. `outcome`: new, known, or nobody (of an address alone, or of one who was erased);
    `refusal`: why she may not be mailed, "" when she may."""

    __tablename__ = "import_person"
    __table_args__ = (_UNLOGGED,)

    email: str = Field(sa_column=Column(Text, primary_key=True))
    outcome: str = Field(sa_column=words(default=None))
    refusal: str = Field(sa_column=words(default=None))
    tools: int = Field(sa_column=Column(Integer, nullable=False))
    rows: int = Field(sa_column=Column(Integer, nullable=False))
