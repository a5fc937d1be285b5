"""Campaigns as staff write them: a sequence or a letter, for a segment or a rule of its own. Drafts, and what each one is.

    slug: rent-vote-2027
    name: Before the rent vote
    chapter: central                       # whose it is, and whose people alone it reaches; without it the root's
    sequence: rent-vote                    # or letter: rent_vote_call
    segment: worcester-givers              # or rule: {op: chapter, chapter: worcester}
    starts_at: 2027-01-20T09:00-05:00      # without it at once
    deadline: 2027-02-02                   # that day's beginning; or a moment. gathering: its code
    repeat: weekly                         # or daily; of a letter alone
    urgent: The vote was moved to Friday   # why its quiet hours are short: a second person must agree
    facts:                                 # what its letters name, beside their other fields
      bill: the Rent Relief Act (H.1234)   # or by language: {en: the Rent Relief Act, es: la ley de alquileres}
      action_url: https://act.commonground.example.org/rent

Launching, approving and undoing stand in `launching`, what may go wrong in `preflight`, people entering in `expanding`,
pausing and cancelling in `halting`, ending and the next run in `concluding`, how far it is in `progress`. Each verb locks
the campaign, writes the audit, and never commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.events import Event
from engine.outreach import zones
from engine.outreach.campaign_facts import Facts
from engine.outreach.definitions import Letter
from engine.people.consent import KINDS
from engine.segments import names as naming
from engine.segments import rules
from engine.segments.rules import Name, Rule, Words
from engine.settings import Settings
from engine.staff import audit

DRAFT, SCHEDULED, EXPANDING, RUNNING, FINISHED, CANCELLED = (
    "draft", "scheduled", "expanding", "running", "finished", "cancelled",
)  # fmt: skip
SHOWN = 50
LONGEST_NAME = 190  # of a name that a copy takes up

_COLUMNS = """
SELECT k.id, k.slug, k.name, coalesce(h.slug, '') AS chapter, k.chapter_id, coalesce(q.slug, '') AS sequence, k.sequence_id,
    coalesce(l.slug, '') AS letter, k.letter_id, coalesce(s.slug, '') AS segment, k.segment_id, k.rule, k.facts, k.kind,
    k.version_id, k.state, k.run, k.repeat, k.skipped, k.starts_at, k.held_until, k.deadline,
    coalesce(g.code, '') AS gathering, k.gathering_id, k.urgent, k.needs_approval, k.launch_key, k.undone_keys,
    k.created_by, k.launched_by, k.launched_at, k.approved_by, k.approved_at, k.paused_at, k.paused_because, k.archived_at,
    k.ended_at, k.ended_because, k.cursor, k.upto, k.expected, k.enrolled, k.finished, k.left_early, k.changed_at,
    k.created_at
FROM campaign k LEFT JOIN chapter h ON h.id = k.chapter_id LEFT JOIN sequence q ON q.id = k.sequence_id
LEFT JOIN letter l ON l.id = k.letter_id LEFT JOIN segment s ON s.id = k.segment_id
LEFT JOIN gathering g ON g.id = k.gathering_id
"""
_ONE = text(f"{_COLUMNS} WHERE k.slug = :slug")
_OF_ID = text(f"{_COLUMNS} WHERE k.id = :id")
_LOCK = text("SELECT id FROM campaign WHERE slug = :slug FOR NO KEY UPDATE")
_EVERY = text(f"""{_COLUMNS}
WHERE (CAST(:of AS bigint[]) IS NULL OR k.chapter_id = ANY(:of)) AND (k.archived_at IS NULL OR :archived)
    AND (CAST(:before AS bigint) IS NULL OR k.id < :before) ORDER BY k.id DESC LIMIT :most
""")
_FOUND = text("""
SELECT (SELECT id FROM chapter WHERE slug = :chapter) AS chapter_id, q.id AS sequence_id, l.id AS letter_id,
    s.id AS segment_id, s.rule, (SELECT id FROM gathering WHERE code = :gathering) AS gathering_id,
    coalesce(l.kind, (SELECT w.kind FROM sequence_version v
        CROSS JOIN LATERAL jsonb_array_elements(v.definition -> 'steps') WITH ORDINALITY step(said, place)
        CROSS JOIN LATERAL jsonb_path_query_first(v.mailings -> (step.said ->> 'key'), '$.*.*') pinned
        JOIN mailing m ON m.id = CAST(CAST(pinned AS text) AS bigint) JOIN letter w ON w.id = m.letter_id
        WHERE v.sequence_id = q.id AND v.version = q.version
            AND (jsonb_exists(step.said, 'email') OR jsonb_exists(step.said, 'ask'))
        ORDER BY step.place LIMIT 1)) AS kind
FROM (VALUES (1)) one LEFT JOIN sequence q ON q.slug = :sequence LEFT JOIN letter l ON l.slug = :letter
LEFT JOIN segment s ON s.slug = :segment
""")
_ADD = text("""
INSERT INTO campaign (slug, name, chapter_id, sequence_id, letter_id, segment_id, rule, facts, kind, starts_at, deadline,
    gathering_id, repeat, urgent, created_by, changed_at)
VALUES (:slug, :name, :chapter_id, :sequence_id, :letter_id, :segment_id, CAST(:rule AS jsonb), CAST(:facts AS jsonb), :kind,
    :starts_at, :deadline, :gathering_id, :repeat, :urgent, :who, :now)
ON CONFLICT (slug) DO NOTHING RETURNING id
""")
_CHANGE = text("""
UPDATE campaign SET slug = :slug, name = :name, chapter_id = :chapter_id, sequence_id = :sequence_id, letter_id = :letter_id,
    segment_id = :segment_id, rule = CAST(:rule AS jsonb), facts = CAST(:facts AS jsonb), kind = :kind,
    starts_at = :starts_at, deadline = :deadline, gathering_id = :gathering_id, repeat = :repeat, urgent = :urgent,
    version_id = NULL, changed_at = :now WHERE id = :id
""")
_TAKEN = text("SELECT EXISTS (SELECT FROM campaign WHERE slug = :slug AND id <> :id)")
_ARCHIVE = text("UPDATE campaign SET archived_at = :now, changed_at = :now WHERE id = :id")
# The zone of a chapter: what the nearest one upwards says.


def _moment(told: Any) -> Any:
    """A moment with its offset from UTC."""
    try:
        found = datetime.fromisoformat(told) if isinstance(told, str) else told
    except ValueError:
        raise PydanticCustomError("moment", _NO_MOMENT) from None
    if isinstance(found, datetime) and found.tzinfo is not None:
        return _of_our_times(found)
    raise PydanticCustomError("moment", _NO_MOMENT)


def _day_or_moment(told: Any) -> Any:
    """A day, or a moment."""
    if isinstance(told, date) and not isinstance(told, datetime):
        return _of_our_times(told)
    if isinstance(told, str) and len(told) == len("2027-02-02"):
        try:
            return _of_our_times(date.fromisoformat(told))
        except ValueError:
            raise PydanticCustomError("moment", _NO_DAY) from None
    try:
        return _moment(told)
    except PydanticCustomError:
        raise PydanticCustomError("moment", _NO_DAY) from None


def _of_our_times(found: date) -> date:
    """The same, if any zone has it and a wait can be counted from it."""
    if not 2000 <= found.year < 2200:
        raise PydanticCustomError("moment", "is out of reach: its year is from 2000 to 2199")
    return found


_NO_MOMENT = "is no moment: write it with its offset from UTC, like 2027-01-20T09:00-05:00"
_NO_DAY = "is no day, like 2027-02-02, and no moment with its offset from UTC, like 2027-02-02T18:00-05:00"
Moment = Annotated[datetime, BeforeValidator(_moment)]
DayOrMoment = Annotated[date | datetime, BeforeValidator(_day_or_moment)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]


class Draft(BaseModel):
    """A campaign as it is written. `deadline`: a day means its beginning, where the chapter is."""

    model_config = ConfigDict(title="Campaign", extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    slug: Name
    name: Words
    chapter: Name | None = None
    sequence: Name | None = None
    letter: Letter | None = None
    segment: Name | None = None
    rule: Rule | None = None
    starts_at: Moment | None = None
    deadline: DayOrMoment | None = None
    gathering: Code | None = None
    repeat: Literal["daily", "weekly"] | None = None
    urgent: Words | None = None
    facts: Facts = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.sequence is None) == (self.letter is None):
            raise PydanticCustomError("sends", "a campaign says one of these: sequence, letter")
        if (self.segment is None) == (self.rule is None):
            raise PydanticCustomError("audience", "a campaign says one of these: segment, rule")
        if self.repeat and self.letter is None:
            raise PydanticCustomError("repeat", "a letter can repeat, with its newest words; a sequence cannot")
        if self.repeat and (self.urgent or self.deadline or self.gathering):
            raise PydanticCustomError("repeat", "what repeats has no deadline and no gathering, and is not urgent")
        return self


@dataclass(frozen=True, slots=True)
class Standing:
    """A campaign as it stands: its row, with the names of what it refers to ('': nothing, of `chapter`: the root).

    `changed_at` moves when a person does something to it, not when its people move: what was read is still so while that is
    the same. `version_id`, `rule`, `kind`, `expected`: of a draft as of its last change, then pinned by its launch.
    """

    id: int
    slug: str
    name: str
    chapter: str
    chapter_id: int | None
    sequence: str
    sequence_id: int | None
    letter: str
    letter_id: int | None
    segment: str
    segment_id: int | None
    rule: Rule
    facts: Mapping[str, Any]
    kind: str
    version_id: int | None
    state: str
    run: int
    repeat: str
    skipped: str
    starts_at: datetime | None
    held_until: datetime | None
    deadline: datetime | None
    gathering: str
    gathering_id: int | None
    urgent: str
    needs_approval: bool
    launch_key: str
    undone_keys: Sequence[str]
    created_by: int | None
    launched_by: int | None
    launched_at: datetime | None
    approved_by: int | None
    approved_at: datetime | None
    paused_at: datetime | None
    paused_because: str
    archived_at: datetime | None
    ended_at: datetime | None
    ended_because: str
    cursor: int
    upto: int
    expected: int
    enrolled: int
    finished: int
    left_early: int
    changed_at: datetime
    created_at: datetime

    @property
    def waits_for_approval(self) -> bool:
        """Whether nothing of it leaves until a second person agrees."""
        return self.needs_approval and self.approved_at is None

    @property
    def draft(self) -> Draft:
        """As it is written."""
        told: dict[str, Any] = {
            "slug": self.slug,
            "name": self.name,
            "starts_at": self.starts_at,
            "deadline": self.deadline,
        }
        for name in ("chapter", "sequence", "letter", "segment", "gathering", "repeat", "urgent"):
            told[name] = getattr(self, name) or None
        return Draft(**told, rule=None if self.segment else self.rule, facts=dict(self.facts))


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb did: the campaign as it stands now, what follows (to be reacted to, and rung for), and whether anything was
    done at all: not when it had been done already."""

    campaign: Standing
    happened: list[Event] = field(default_factory=list)
    changed: bool = True


def read(told: Any) -> Draft:
    """A draft, out of what was read from YAML or JSON. Raises ValidationError, and Invalid for a rule that is too deep or too
    large."""
    if isinstance(told, dict) and isinstance(told.get("rule"), dict):
        rules.measure(told["rule"])
    return Draft.model_validate(told)


def said(draft: Draft) -> dict[str, Any]:
    """The draft as JSON says it; `read` finds the same in it."""
    told = draft.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return told | ({"rule": rules.said(draft.rule)} if draft.rule is not None else {})


def create(session: Session, draft: Draft, now: datetime, settings: Settings, *, who: int | None) -> Standing:
    """Keep a new draft. `who`: staff's id; None: the command line. Raises Invalid for what it names that there is not, or for
    a letter that nobody launches; Conflict when its short name is another campaign's."""
    made: int | None = session.scalar(_ADD, _values(session, draft, now, settings) | {"who": who})
    if made is None:
        raise Conflict(f"there is a campaign {draft.slug} already")
    audit.write(session, who, "campaign drafted", "campaign", made, {"campaign": draft.slug}, now)
    return of_id(session, made)


def update(
    session: Session, slug: str, draft: Draft, now: datetime, settings: Settings, *, who: int | None
) -> Standing:
    """Put another draft in its place; it may have another short name. Raises NotFound; Conflict when it is no draft any more,
    or archived; what `create` does."""
    before = locked(session, slug)
    if before.archived_at is not None:
        raise Conflict(f"{slug} is archived: duplicate it")
    if before.state != DRAFT:
        raise Conflict(
            f"{slug} is {before.state}: only a draft is changed. Duplicate it, or undo its launch while it is held"
        )
    values = _values(session, draft, now, settings) | {"id": before.id}
    if session.scalar(_TAKEN, values):
        raise Conflict(f"there is a campaign {draft.slug} already")
    is_now = said(draft)
    fields = sorted(name for name in Draft.model_fields if said(before.draft).get(name) != is_now.get(name))
    if fields:
        session.execute(_CHANGE, values)
        audit.write(session, who, "campaign changed", "campaign", before.id, {"campaign": slug, "fields": fields}, now)
    return of_id(session, before.id)


def duplicate(
    session: Session, slug: str, new_slug: str, now: datetime, settings: Settings, *, who: int | None, name: str = ""
) -> Standing:  # fmt: skip
    """A new draft that says the same as this one, but not when it begins, nor a deadline or a gathering that is over. Raises
    NotFound, Conflict as `create`, Invalid when something that it names is gone."""
    before = one(session, slug)
    told = said(before.draft) | {"slug": new_slug, "name": name or f"{before.name[:LONGEST_NAME]} (copy)"}
    told.pop("starts_at", None)
    if before.deadline is not None and before.deadline <= now:
        told.pop("deadline", None)
    if before.gathering_id is not None and session.scalar(_OVER, {"id": before.gathering_id, "now": now}):
        told.pop("gathering", None)
    return create(session, read(told), now, settings, who=who)


_OVER = text("SELECT ends_at <= :now FROM gathering WHERE id = :id")


def archive(session: Session, slug: str, now: datetime, *, who: int | None) -> Standing:
    """Take it off the list. Raises NotFound; Conflict while it is on its way."""
    before = locked(session, slug)
    if before.state not in (DRAFT, FINISHED, CANCELLED):
        raise Conflict(f"{slug} is {before.state}: cancel it, or wait until it has finished")
    if before.archived_at is None:
        session.execute(_ARCHIVE, {"id": before.id, "now": now})
        audit.write(session, who, "campaign archived", "campaign", before.id, {"campaign": slug}, now)
    return of_id(session, before.id)


def one(session: Session, slug: str) -> Standing:
    """One by its short name, archived or not. Raises NotFound."""
    found = session.execute(_ONE, {"slug": slug}).one_or_none()
    if found is None:
        raise NotFound(f"there is no campaign {slug[:60]}")
    return _standing(found)


def of_id(session: Session, campaign_id: int) -> Standing:
    """One by its id, which there is."""
    return _standing(session.execute(_OF_ID, {"id": campaign_id}).one())


def locked(session: Session, slug: str) -> Standing:
    """One that nobody else changes until this transaction ends. Raises NotFound."""
    session.execute(_LOCK, {"slug": slug})  # read in a statement of its own: as it stands once the lock is ours
    return one(session, slug)


def every(
    session: Session, chapter_ids: Sequence[int] | None = None, *, before: int | None = None, most: int = SHOWN,
    archived: bool = False,
) -> list[Standing]:  # fmt: skip
    """The newest first: all, or those of these chapters; those of a smaller id than `before`, for the next page."""
    of = None if chapter_ids is None else list(chapter_ids)
    found = session.execute(_EVERY, {"of": of, "before": before, "most": most, "archived": archived})
    return [_standing(row) for row in found]


def _values(session: Session, draft: Draft, now: datetime, settings: Settings) -> dict[str, Any]:
    """The columns of a draft. Raises Invalid for what it names that there is not."""
    asked = {name: getattr(draft, name) for name in ("chapter", "sequence", "letter", "segment", "gathering")}
    found = session.execute(_FOUND, asked).one()
    missing = [
        f"there is no {name} {said}" for name, said in asked.items() if said and getattr(found, f"{name}_id") is None
    ]
    if draft.rule is not None:
        names = naming.find(session, draft.rule)
        missing += [says for _, says in naming.unknown(session, draft.rule, names)]
    if missing:
        raise Invalid("; ".join(missing))
    if found.kind == "":
        raise Invalid(
            f"{draft.letter or draft.sequence} needs nobody's leave: it follows from what people do, and nobody launches it"
        )
    deadline = draft.deadline
    if deadline is not None and not isinstance(deadline, datetime):
        deadline = datetime.combine(deadline, time(), zones.zone_of(session, found.chapter_id, settings))
    return {
        "slug": draft.slug, "name": draft.name, "starts_at": draft.starts_at, "deadline": deadline, "now": now,
        "repeat": draft.repeat or "", "urgent": draft.urgent or "", "kind": found.kind or KINDS[0],
        "rule": orjson.dumps(rules.said(draft.rule) if draft.rule is not None else found.rule).decode(),
        "facts": orjson.dumps(draft.facts).decode(),
        **{f"{name}_id": getattr(found, f"{name}_id") for name in asked},
    }  # fmt: skip


def _standing(row: Row[Any]) -> Standing:
    values = dict(row._mapping)
    return Standing(**values | {"rule": rules.read(values["rule"])})
