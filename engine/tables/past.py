"""The archive: letters and places in campaigns that are long over, as compact rows without what they said; and the occasions
of those letters, which never come again.

Letters and places lie in a table for each year (`engine.years`). No foreign keys: what they name may be gone before them.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, moment, words


def _id() -> Column[int]:
    """The id that the row had."""
    return Column(BigInteger, primary_key=True, autoincrement=False)


def _when() -> Column[Any]:
    """What says in which year's table it lies."""
    column = moment()
    column.primary_key = True
    return column


class PastLetter(SQLModel, table=True):
    """A `message` as it ended. `clicked_at`: when its reader followed a link in it last. `occasion`: '' of a campaign's."""

    __tablename__ = "past_letter"
    __table_args__ = (
        Index("past_letter_contact_id_idx", "contact_id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: int = Field(sa_column=_id())
    created_at: datetime = Field(sa_column=_when())
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    mailing_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    chapter_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    version_id: int = Field(default=0, sa_column=count())
    campaign_id: int = Field(default=0, sa_column=count())
    due_at: datetime = Field(sa_column=moment())
    handed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    delivered_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    clicked_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    lane: str = Field(sa_column=words(default=None))
    kind: str = Field(default="", sa_column=words())
    state: str = Field(sa_column=words(default=None))
    step: str = Field(default="", sa_column=words())
    occasion: str = Field(default="", sa_column=words())
    reason: str = Field(default="", sa_column=words())


class PastOccasion(SQLModel, table=True):
    """An occasion whose letter is in the archive: a trigger lets no `message` be written for it. `key`: its hash. Of a run of
    a campaign that is over, one row for everybody (`contact_id` 0), which its steps ask for. It outlives the letters."""

    __tablename__ = "past_occasion"

    contact_id: int = Field(sa_column=_id())
    key: int = Field(sa_column=_id())


class PastPlace(SQLModel, table=True):
    """An `enrollment` of a campaign, or of a run of one, as it ended."""

    __tablename__ = "past_place"
    __table_args__ = (
        Index("past_place_contact_id_idx", "contact_id"),
        # Places of one campaign lie beside each other.
        Index("past_place_campaign_id_idx", "campaign_id", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (entered_at)"},
    )

    id: int = Field(sa_column=_id())
    entered_at: datetime = Field(sa_column=_when())
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    version_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    sequence_id: int = Field(default=0, sa_column=count())
    campaign_id: int = Field(default=0, sa_column=count())
    due_at: datetime = Field(sa_column=moment())
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    rotation: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    state: str = Field(sa_column=words(default=None))
    reason: str = Field(default="", sa_column=words())
    step: str = Field(default="", sa_column=words())
    history: list[Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'[]'")))
