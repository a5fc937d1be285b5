"""Saved segments: rules that choose people."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import identity, moment, reference, words


class Segment(SQLModel, table=True):
    """A rule by its name, asked anew each time: it holds nobody. `chapter_id`: whose it is, and the only people whom it can
    choose are that chapter's and those below it; none: the root's. `rule` as `engine.segments.rules` reads it."""

    __tablename__ = "segment"

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True, index=True))
    rule: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    changed_at: datetime = Field(sa_column=moment())
    archived_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
