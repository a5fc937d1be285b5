"""People: contacts, the chapters they follow, what they care about and how they would help."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, several, state_check, words

_ALIVE = "merged_into_id IS NULL AND erased_at IS NULL"


class Contact(SQLModel, table=True):
    """A person we can write to. One per normalised address; a donor who gave none has no address, is told apart by
    `donor_key` (which nobody else has), and is never mailed.

    What was told of her counts in groups, each with the moment of its word (`engine.people.best_words`): `name_at`,
    `place_at` (ZIP, state, country), `address_at` (street and town of that ZIP), `phone_at`; none where nothing was told.
    `moved_at`: when she last told another ZIP, as far as that is older; `details_at`: her newest word of any kind.

    The home chapter follows from `placed_chapter_id` (by staff), `chosen_chapter_id` (by herself; `chosen_by`: at a
    "gathering" of that chapter), `entity_chapter_id` (by a gift), then from where she lives; `routed_by` says how it was
    chosen, `routed_on` by what: ("zip", "01604"). None: nobody knows yet whether it was she who signed up ("unconfirmed").

    The giving totals (`gave_*`, cents) are recomputed from the ledger in the transaction that changes it; `groundswell books
    check` proves them. `gave_peaks_at`, `gave_peaks_cents`: the newest 16 gifts that no later one reaches, oldest first.
    `engaged_last_at`: when she last gave, signed up, clicked or told us anything. `rested_at`: after long silence she gets no
    campaign letters any more, until she does something.

    `mail_leave`: the sum of what she allows, for whoever counts many people (`engine.people.leave`): 1, she may get a letter
    of any kind from any sender; 0, of none; 2, it depends; none: nobody has summed it up. It never decides whether a letter
    leaves.

    Merged into another she stays as a row that points there, with her own words; erased, as a row that says nothing.
    """

    __tablename__ = "contact"
    __table_args__ = (
        # With what rules ask of most people: a segment of a chapter is counted in this index alone.
        Index(
            "contact_chapter_id_gave_last_at_idx",
            "chapter_id",
            "gave_last_at",
            postgresql_include=[
                "id",
                "gave_highest_cents",
                "gave_last_cents",
                "gave_first_at",
                "gave_count",
                "gave_peaks_at",
                "gave_peaks_cents",
                "mail_leave",
            ],
            postgresql_where=text(_ALIVE),
        ),
        Index("contact_chapter_id_idx", "chapter_id", postgresql_where=text(_ALIVE)),
        Index("contact_zip_idx", "zip"),
        Index("contact_merged_into_id_idx", "merged_into_id", postgresql_where=text("merged_into_id IS NOT NULL")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    email: str | None = Field(default=None, sa_column=words(nullable=True, unique=True))
    donor_key: str | None = Field(default=None, sa_column=words(nullable=True, unique=True))
    first_name: str = Field(sa_column=words())
    last_name: str = Field(sa_column=words())
    street: str = Field(sa_column=words())
    city: str = Field(sa_column=words())
    state: str = Field(sa_column=words())
    zip: str | None = Field(default=None, sa_column=words(nullable=True))
    country: str = Field(sa_column=words())
    phone: str = Field(sa_column=words())
    time_zone: str = Field(sa_column=words())
    language: str = Field(sa_column=words(default="en"))
    custom: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    name_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    place_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    moved_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    address_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    phone_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    details_at: datetime = Field(sa_column=moment())
    chapter_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("chapter.id"), nullable=True))
    routed_by: str = Field(sa_column=words())
    routed_on: str = Field(sa_column=words())
    placed_chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    chosen_chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    chosen_by: str = Field(sa_column=words())
    entity_chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    gave_count: int = Field(default=0, sa_column=count())
    gave_cents: int = Field(default=0, sa_column=count())
    gave_highest_cents: int = Field(default=0, sa_column=count())
    gave_last_cents: int = Field(default=0, sa_column=count())
    gave_first_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    gave_last_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    gave_peaks_at: list[datetime] = Field(sa_column=several(DateTime(timezone=True)))
    gave_peaks_cents: list[int] = Field(sa_column=several(BigInteger()))
    gives_monthly_cents: int = Field(default=0, sa_column=count())
    engaged_last_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    rested_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    mail_leave: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    merged_into_id: int | None = Field(default=None, sa_column=reference("contact.id", nullable=True))
    erased_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    created_at: datetime = Field(sa_column=moment(now=True))


class MailDoubt(SQLModel, table=True):
    """Something changed in what this contact allows: until somebody has looked anew, her `mail_leave` says nothing. Written
    by triggers of the database; may stand several times, so that nobody waits for anybody."""

    __tablename__ = "mail_doubt"

    id: int | None = Field(default=None, sa_column=identity())
    doubted_id: int = Field(sa_column=Column(BigInteger, nullable=False))


class FollowedChapter(SQLModel, table=True):
    """A chapter beside her own that she wants news and gatherings of, never asks."""

    __tablename__ = "followed_chapter"

    contact_id: int = Field(sa_column=reference("contact.id", primary_key=True))
    chapter_id: int = Field(sa_column=reference("chapter.id", primary_key=True, index=True))
    at: datetime = Field(sa_column=moment(now=True))


class Agenda(SQLModel, table=True):
    """A group of interests, as it stands on a form. `names`: in other languages."""

    __tablename__ = "agenda"

    id: int | None = Field(default=None, sa_column=identity())
    code: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    names: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    position: int = Field(default=0, sa_column=count())


class Coalition(SQLModel, table=True):
    """Organisations that carry an interest together: what for, and where to read more."""

    __tablename__ = "coalition"

    id: int | None = Field(default=None, sa_column=identity())
    code: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    purpose: str = Field(sa_column=words())
    link: str = Field(sa_column=words())


class Interest(SQLModel, table=True):
    """An issue that people say they care about. `code` is opaque: the name never stands in a URL or at a provider.

    `names` are its names in other languages: {"es": "Vivienda"}. One that is retired is offered no more.
    """

    __tablename__ = "interest"

    id: int | None = Field(default=None, sa_column=identity())
    code: str = Field(sa_column=words(default=None, unique=True))
    agenda_id: int = Field(sa_column=reference("agenda.id", index=True))
    coalition_id: int | None = Field(default=None, sa_column=reference("coalition.id", nullable=True))
    name: str = Field(sa_column=words(default=None))
    names: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    position: int = Field(default=0, sa_column=count())
    retired_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class ContactInterest(SQLModel, table=True):
    """Someone cares about something, since when and as told through what."""

    __tablename__ = "contact_interest"

    contact_id: int = Field(sa_column=reference("contact.id", primary_key=True))
    interest_id: int = Field(sa_column=reference("interest.id", primary_key=True, index=True))
    at: datetime = Field(sa_column=moment())
    source: str = Field(sa_column=words(default=None))


class WayToHelp(SQLModel, table=True):
    """What people can offer to do. `names`: in other languages. One that is retired is offered no more."""

    __tablename__ = "way_to_help"

    id: int | None = Field(default=None, sa_column=identity())
    code: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    names: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    position: int = Field(default=0, sa_column=count())
    retired_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class VolunteerOffer(SQLModel, table=True):
    """Someone offers to help in one way; it stands on the list of her home chapter until it is placed."""

    __tablename__ = "volunteer_offer"
    __table_args__ = (
        state_check("volunteer_offer"),
        Index("volunteer_offer_contact_id_way_key", "contact_id", "way_to_help_id", unique=True),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=reference("contact.id"))
    way_to_help_id: int = Field(sa_column=reference("way_to_help.id"))
    state: str = Field(sa_column=words(default="new"))
    note: str = Field(sa_column=words())
    at: datetime = Field(sa_column=moment())
    changed_at: datetime = Field(sa_column=moment(now=True))
    changed_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))


class Introduction(SQLModel, table=True):
    """Someone without a chapter near her agreed to be introduced to others of her place ("MA:Franklin County")."""

    __tablename__ = "introduction"
    __table_args__ = (
        CheckConstraint("place <> ''", name="place"),
        Index("introduction_place_idx", "place"),
    )

    contact_id: int = Field(sa_column=reference("contact.id", primary_key=True))
    place: str = Field(sa_column=words(default=None))
    at: datetime = Field(sa_column=moment())
