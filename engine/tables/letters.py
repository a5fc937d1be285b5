"""Letters as they are written: what staff edit (letter), its finished words (mailing), what chapters add (chapter_note), and
the opaque codes of the links in them (refcode)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, words


class Letter(SQLModel, table=True):
    """Something to write to people, by its name. Its words are mailings: one a version and language.

    `kind`: as a message's. `fund_id`, `donation_form_id`: whose disclaimer it carries, and where its links to give lead.
    `note_until`: until then each chapter may add a paragraph. It comes to nobody between `quiet_from` and `quiet_until`, full
    hours of the reader's day. `facts`: what a letter of ours is told, with a sample of each.
    """

    __tablename__ = "letter"
    __table_args__ = (
        CheckConstraint("kind IN ('', 'asks', 'news', 'gatherings', 'actions')", name="kind"),
        CheckConstraint("quiet_from BETWEEN 0 AND 23 AND quiet_until BETWEEN 0 AND 23", name="quiet"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    kind: str = Field(default="", sa_column=words())
    layout: str = Field(default="letter", sa_column=words(default="letter"))
    fund_id: int | None = Field(default=None, sa_column=reference("fund.id", nullable=True))
    donation_form_id: int | None = Field(default=None, sa_column=reference("donation_form.id", nullable=True))
    note_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    quiet_from: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    quiet_until: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    shipped: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    created_at: datetime = Field(sa_column=moment(now=True))


class Mailing(SQLModel, table=True):
    """The finished words of a letter in one version and language. Never changed: what somebody got can always be read again.

    `slug` names it: "rent", "rent.es", "rent.es~2". `source` is the Markdown, `source_text` the text part where one was
    written. Who sends it comes from chapter and fund. Of several that are due the one with the smaller `priority` goes
    first, then the one that was served longest ago, from the chapter after `served_chapter`. `handed`, `bounced` … count its
    letters, `excused` what of them was counted when a person last let it go on; while `paused_at` is set none leaves.
    """

    __tablename__ = "mailing"
    __table_args__ = (Index("mailing_letter_id_key", "letter_id", "version", "language", unique=True),)

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    letter_id: int = Field(sa_column=reference("letter.id"))
    version: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    language: str = Field(default="en", sa_column=words(default="en"))
    subject: str = Field(sa_column=words(default=None))
    preview: str = Field(default="", sa_column=words())
    body_html: str = Field(sa_column=words(default=None))
    body_text: str = Field(sa_column=words(default=None))
    source: str = Field(default="", sa_column=words())
    source_text: str = Field(default="", sa_column=words())
    created_at: datetime = Field(sa_column=moment(now=True))
    priority: int = Field(default=5, sa_column=Column(SmallInteger, nullable=False, server_default="5"))
    served_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    served_chapter: int = Field(default=0, sa_column=count())
    paused_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    paused_because: str = Field(default="", sa_column=words())
    handed: int = Field(default=0, sa_column=count())
    delivered: int = Field(default=0, sa_column=count())
    bounced: int = Field(default=0, sa_column=count())
    complained: int = Field(default=0, sa_column=count())
    refused: int = Field(default=0, sa_column=count())
    excused: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))


class ChapterNote(SQLModel, table=True):
    """What a chapter adds to a letter, in one language: its Markdown, and the HTML and text of that."""

    __tablename__ = "chapter_note"

    letter_id: int = Field(sa_column=reference("letter.id", primary_key=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", primary_key=True, index=True))
    language: str = Field(sa_column=Column(Text, primary_key=True))
    source: str = Field(sa_column=words(default=None))
    html: str = Field(sa_column=words(default=None))
    plain: str = Field(sa_column=words(default=None))
    staff_id: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    at: datetime = Field(sa_column=moment())


class Refcode(SQLModel, table=True):
    """What the links to give in one mailing from one chapter carry (none: the root), as one campaign or version of a sequence
    sends it (0: none does): opaque, so that nobody else can tell."""

    __tablename__ = "refcode"
    __table_args__ = (
        Index(
            "refcode_mailing_id_key",
            "mailing_id",
            "chapter_id",
            "version_id",
            "campaign_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    code: str = Field(sa_column=Column(Text, primary_key=True))
    mailing_id: int = Field(sa_column=reference("mailing.id"))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    version_id: int = Field(default=0, sa_column=count())
    campaign_id: int = Field(default=0, sa_column=count())
    created_at: datetime = Field(sa_column=moment(now=True))
