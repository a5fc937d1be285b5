"""Outreach: sequences and their published versions, people's places in them (enrollment), campaigns, what became of the
letters of each step, and which letter a gift is owed to."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, CheckConstraint, Column, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import count, identity, moment, reference, several, state_check, words


def _number() -> Column[int]:
    """An id of another row, 0: of none. Without a foreign key: a million of these rows are written at once."""
    return Column(BigInteger, nullable=False, server_default="0")


class Sequence(SQLModel, table=True):
    """A sequence by its name. `version`: the published one that people enter by from now on (0: none is). `trigger`: the
    event that lets people enter, as that version says. `chapter_id`: whose it is, and whose people alone it takes; none: the
    root's. While `paused_at` is set nobody enters, steps or gets a letter of it. `excused`: what of its letters was counted
    when a person last let it go on. `shipped`: it comes with Groundswell, and staff have not made it theirs."""

    __tablename__ = "sequence"

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True, index=True))
    trigger: str = Field(default="", sa_column=words())
    version: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    shipped: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    paused_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    paused_because: str = Field(default="", sa_column=words())
    excused: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    created_at: datetime = Field(sa_column=moment(now=True))
    archived_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class SequenceVersion(SQLModel, table=True):
    """A sequence as it was published once, never changed. `sequence_id`: none, when it was made for one campaign (a single
    letter). `definition` as `engine.outreach.definitions` reads it.

    `mailings`: the words of each step, pinned when it was published: step -> variant ('': there are none) -> language ->
    mailing. `fund_ids`: whom its asks ask for. It comes to nobody between `quiet_from` and `quiet_until` of her day.
    """

    __tablename__ = "sequence_version"
    __table_args__ = (Index("sequence_version_key", "sequence_id", "version", unique=True),)

    id: int | None = Field(default=None, sa_column=identity())
    sequence_id: int | None = Field(default=None, sa_column=reference("sequence.id", nullable=True))
    version: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    definition: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    mailings: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    fund_ids: list[int] = Field(sa_column=several(BigInteger()))
    quiet_from: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    quiet_until: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    staff_id: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    published_at: datetime = Field(sa_column=moment())


class Enrollment(SQLModel, table=True):
    """Somebody's place in a version of a sequence, once per way in: unique on (contact, sequence, campaign, rotation).

    Of a campaign: `campaign_id`, and `rotation` is its run; entered by an event: `campaign_id` is 0, and `rotation` counts
    her entries. `sequence_id` is 0 for a single letter. `step`: the key of the one that is next ('': none); `due_at`: when.
    `waits_for`: the event that would let her go on before; `heard`: it came. `facts`: what her letters are told of what let
    her in. `history`: what became of each step so far: [[step, outcome, reason, seconds of Unix time], …].
    """

    __tablename__ = "enrollment"
    __table_args__ = (
        state_check("enrollment"),
        Index("enrollment_key", "contact_id", "sequence_id", "campaign_id", "rotation", unique=True),
        Index(
            "enrollment_due_idx", "version_id", "campaign_id", "due_at", "id", postgresql_where=text("state = 'active'")
        ),
    )

    id: int | None = Field(default=None, sa_column=identity())
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    version_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    sequence_id: int = Field(default=0, sa_column=_number())
    campaign_id: int = Field(default=0, sa_column=_number())
    rotation: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    state: str = Field(sa_column=words(default="active"))
    reason: str = Field(sa_column=words())
    step: str = Field(sa_column=words())
    due_at: datetime = Field(sa_column=moment())
    entered_at: datetime = Field(sa_column=moment())
    waits_for: str = Field(sa_column=words())
    heard: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    history: list[Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'[]'")))
    inbound_event_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Campaign(SQLModel, table=True):
    """A sequence launched for a segment. `chapter_id`: whose it is, and whose people alone it can reach; none: the root's.

    `sequence_id` or `letter_id`: what it sends, and `segment_id` (none: a rule of its own) to whom, as somebody chose them.
    `version_id`, `rule` and `kind` (of letter that they must allow) are what these were when it was launched, or when its
    present run began: `run` is the date of one that repeats (`repeat`: how often; '': once, and 1); `skipped`: why its last
    run did not take place.

    `facts`: what its letters can name of it ({"bill": words, or words by language}). `starts_at`: when it shall begin;
    `held_until`: until then nothing of it leaves, so that it can be undone. `deadline`, `gathering_id`: what waits of its
    sequence count from. `cursor`: the last contact that its expansion looked at, up to
    `upto`; `expected`: how many people it would be when it was launched; `enrolled`, `finished`, `left_early` count those of
    this run as they move. `launch_key`: what whoever launched it called that, so that the same launch is none,
    and `undone_keys` the keys of launches that were undone: told again late, they must not come back. `urgent`: why its quiet
    hours are short. Of a cancelled one `ended_at` says when the last of it was gone.
    """

    __tablename__ = "campaign"
    __table_args__ = (
        state_check("campaign"),
        CheckConstraint("kind IN ('asks', 'news', 'gatherings', 'actions')", name="kind"),
        Index("campaign_working_idx", "state", postgresql_where=text("state IN ('scheduled', 'expanding', 'running')")),
    )

    id: int | None = Field(default=None, sa_column=identity())
    slug: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words(default=None))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True, index=True))
    sequence_id: int | None = Field(default=None, sa_column=reference("sequence.id", nullable=True))
    letter_id: int | None = Field(default=None, sa_column=reference("letter.id", nullable=True))
    version_id: int | None = Field(default=None, sa_column=reference("sequence_version.id", nullable=True))
    segment_id: int | None = Field(default=None, sa_column=reference("segment.id", nullable=True))
    rule: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    kind: str = Field(sa_column=words(default=None))
    state: str = Field(sa_column=words(default="draft"))
    run: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    repeat: str = Field(default="", sa_column=words())
    skipped: str = Field(default="", sa_column=words())
    starts_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    held_until: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    deadline: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    gathering_id: int | None = Field(default=None, sa_column=reference("gathering.id", nullable=True))
    urgent: str = Field(default="", sa_column=words())
    needs_approval: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    launch_key: str = Field(default="", sa_column=words())
    undone_keys: list[str] = Field(sa_column=several(Text()))
    created_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    launched_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    launched_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    approved_by: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    approved_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    paused_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    paused_because: str = Field(default="", sa_column=words())
    archived_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    ended_because: str = Field(default="", sa_column=words())
    cursor: int = Field(default=0, sa_column=count())
    upto: int = Field(default=0, sa_column=count())
    expected: int = Field(default=0, sa_column=count())
    enrolled: int = Field(default=0, sa_column=count())
    finished: int = Field(default=0, sa_column=count())
    left_early: int = Field(default=0, sa_column=count())
    excused: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    changed_at: datetime = Field(sa_column=moment())
    created_at: datetime = Field(sa_column=moment(now=True))


class StepTally(SQLModel, table=True):
    """What became of the letters of one step, variant and language (they are the mailing), from one chapter (0: the root), of
    one campaign, or of a version that people enter by an event (`campaign_id` 0): counted as it happens."""

    __tablename__ = "step_tally"
    __table_args__ = (Index("step_tally_campaign_id_idx", "campaign_id", postgresql_where=text("campaign_id <> 0")),)

    version_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    campaign_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    mailing_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    chapter_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    step: str = Field(sa_column=words(default=None))
    variant: str = Field(sa_column=words())
    composed: int = Field(default=0, sa_column=count())
    handed: int = Field(default=0, sa_column=count())
    skipped: int = Field(default=0, sa_column=count())
    cancelled: int = Field(default=0, sa_column=count())
    expired: int = Field(default=0, sa_column=count())
    refused: int = Field(default=0, sa_column=count())
    delivered: int = Field(default=0, sa_column=count())
    bounced: int = Field(default=0, sa_column=count())
    complained: int = Field(default=0, sa_column=count())
    unsubscribed: int = Field(default=0, sa_column=count())
    clicked: int = Field(default=0, sa_column=count())


class Attribution(SQLModel, table=True):
    """The letter that a gift is owed to. `by`: the refcode that came with it, or the last link that she followed before."""

    __tablename__ = "attribution"
    __table_args__ = (
        CheckConstraint("by IN ('refcode', 'click')", name="by"),
        Index("attribution_letter_idx", "version_id", "campaign_id", "mailing_id"),
    )

    contribution_id: int = Field(sa_column=reference("contribution.id", primary_key=True))
    by: str = Field(sa_column=words(default=None))
    mailing_id: int = Field(sa_column=reference("mailing.id"))
    version_id: int = Field(default=0, sa_column=_number())
    campaign_id: int = Field(default=0, sa_column=_number())
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    at: datetime = Field(sa_column=moment())


class ApiToken(SQLModel, table=True):
    """What a program of staff's shows to be let in. `token_hash`: SHA-256 of it; nobody can read it again. `scopes`: what it
    may do; `chapter_id`: that chapter and those below it; none: all of them. Whose it is answers for it (`staff_id`).
    `used_at`: when it was last shown, to the hour."""

    __tablename__ = "api_token"

    id: int | None = Field(default=None, sa_column=identity())
    name: str = Field(sa_column=words(default=None))
    token_hash: str = Field(sa_column=words(default=None, unique=True))
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    staff_id: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    created_at: datetime = Field(sa_column=moment())
    expires_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    used_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class ApiRequest(SQLModel, table=True):
    """What was answered to a request with an Idempotency-Key, so that the same one gets the same answer and does nothing."""

    __tablename__ = "api_request"
    __table_args__ = (Index("api_request_at_idx", "at"),)

    api_token_id: int = Field(sa_column=reference("api_token.id", primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    request_hash: str = Field(sa_column=words(default=None))
    status: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False, server_default="0"))
    headers: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
    answer: str = Field(sa_column=words())
    at: datetime = Field(sa_column=moment(now=True))
