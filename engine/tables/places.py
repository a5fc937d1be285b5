"""Places: the tree of chapters, their territories, facts about ZIPs, and what follows from both; gatherings."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, state_check, words


class Chapter(SQLModel, table=True):
    """A node of the organisation. The root has no parent; what a chapter lacks (empty) it inherits from its parent.

    `opt_in`: how its sign-up form takes a yes. `latitude`, `longitude`: where it meets, in degrees; none: the middle of
    its territory. `daily_letters`: at most so many campaign letters a day in its name. `time_zone`: of people there whose
    own nobody knows.
    """

    __tablename__ = "chapter"
    __table_args__ = (
        CheckConstraint("kind IN ('root', 'region', 'chapter', 'forming')", name="kind"),
        CheckConstraint("opt_in IN ('', 'single', 'double', 'auto')", name="opt_in"),
        CheckConstraint("(parent_id IS NULL) = (kind = 'root')", name="root"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    parent_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True, index=True))
    kind: str = Field(default="chapter", sa_column=words(default="chapter"))
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    sender_name: str = Field(sa_column=words())
    sender_email: str = Field(sa_column=words())
    reply_to: str = Field(sa_column=words())
    postal_address: str = Field(sa_column=words())
    opt_in: str = Field(sa_column=words())
    latitude: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    longitude: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    daily_letters: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    time_zone: str = Field(default="", sa_column=words())
    created_at: datetime = Field(sa_column=moment(now=True))


class Territory(SQLModel, table=True):
    """A piece of land that a chapter claims. Several chapters may claim the same; `engine.people.routing` settles it.

    `place` by kind: zip "01604"; county "MA:Worcester County"; state "MA"; radius "" (round the chapter, `miles` wide).
    """

    __tablename__ = "territory"
    __table_args__ = (
        CheckConstraint("kind IN ('zip', 'county', 'state', 'radius')", name="kind"),
        CheckConstraint("(kind = 'radius') = (miles > 0)", name="miles"),
        Index("territory_chapter_id_kind_place_key", "chapter_id", "kind", "place", unique=True),
        Index("territory_kind_place_idx", "kind", "place"),
    )

    id: int | None = Field(default=None, sa_column=identity())
    chapter_id: int = Field(sa_column=reference("chapter.id"))
    kind: str = Field(sa_column=words(default=None))
    place: str = Field(sa_column=words())
    miles: int = Field(default=0, sa_column=count())


class Zip(SQLModel, table=True):
    """What is known of a ZIP. `city` is the postal city, not always the town. Degrees; IANA zone."""

    __tablename__ = "zip"

    zip: str = Field(sa_column=Column(Text, primary_key=True))
    city: str = Field(sa_column=words())
    county: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    time_zone: str = Field(sa_column=words())
    latitude: float = Field(sa_column=Column(Float, nullable=False))
    longitude: float = Field(sa_column=Column(Float, nullable=False))


class ZipRoute(SQLModel, table=True):
    """The chapter of each ZIP that any territory reaches, settled: `by` zip, county, radius or state; `on` what decided.

    Follows from chapters, territories and ZIPs, and is made anew whenever these change.
    """

    __tablename__ = "zip_route"

    zip: str = Field(sa_column=Column(Text, primary_key=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", index=True))
    by: str = Field(sa_column=words(default=None))
    on: str = Field(sa_column=words())


class ChapterMove(SQLModel, table=True):
    """A contact's home chapter changed: the history of routing, which only grows.

    No foreign keys: a million rows are written at once when a territory changes.
    """

    __tablename__ = "chapter_move"
    __table_args__ = (Index("chapter_move_contact_id_idx", "contact_id"),)

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    from_chapter_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    to_chapter_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    by: str = Field(sa_column=words(default=None))
    on: str = Field(sa_column=words())
    at: datetime = Field(sa_column=moment())
    territory_change_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    staff_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))


class TerritoryChange(SQLModel, table=True):
    """Territories as they shall be. `proposal`: what each chapter named in it shall have; `preview`: whom that moves."""

    __tablename__ = "territory_change"
    __table_args__ = (state_check("territory_change"),)

    id: int | None = Field(default=None, sa_column=identity())
    state: str = Field(sa_column=words(default="proposed"))
    why: str = Field(sa_column=words())
    proposal: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    preview: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    proposed_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    proposed_at: datetime = Field(sa_column=moment(now=True))
    decided_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    decided_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    applied_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class ChapterLead(SQLModel, table=True):
    """Someone who leads a chapter."""

    __tablename__ = "chapter_lead"

    chapter_id: int = Field(sa_column=reference("chapter.id", primary_key=True))
    contact_id: int = Field(sa_column=reference("contact.id", primary_key=True, index=True))
    since: datetime = Field(sa_column=moment(now=True))


class Spark(SQLModel, table=True):
    """A place ("MA:Franklin County") where enough people without a chapter have agreed to be introduced to each other."""

    __tablename__ = "spark"
    __table_args__ = (
        state_check("spark"),
        Index("spark_open_key", "place", unique=True, postgresql_where=text("state = 'proposed'")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    place: str = Field(sa_column=words(default=None))
    state: str = Field(sa_column=words(default="proposed"))
    people: int = Field(default=0, sa_column=count())
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    proposed_at: datetime = Field(sa_column=moment(now=True))
    decided_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    decided_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Gathering(SQLModel, table=True):
    """A gathering at which people sign up one after another: for now its code, its host and when it takes how many.

    Between `starts_at` and `ends_at`, and up to `most`, sign-ups with its code are held to no limit of their network.
    """

    __tablename__ = "gathering"
    __table_args__ = (CheckConstraint("ends_at > starts_at AND most > 0", name="bounds"),)

    id: int | None = Field(default=None, sa_column=identity())
    code: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    chapter_id: int = Field(sa_column=reference("chapter.id", index=True))
    starts_at: datetime = Field(sa_column=moment())
    ends_at: datetime = Field(sa_column=moment())
    most: int = Field(sa_column=count())
    taken: int = Field(default=0, sa_column=count())
