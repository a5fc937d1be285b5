"""Donation forms: what one says (`Definition`), and what the page shows of all of them at this moment (`Giving`).

A form is written as a numbered version that never changes; the newest published one is shown. Files: `form_files`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.money import dollars

DEFAULT_PRESETS = (2700, 5000, 10000, 25000, 100000)
MOST_CENTS = 99_999_900  # the most that one gift can be; beyond it Stripe takes none ("99999999" cents)
LEAST_CENTS = 100
TAKEN = frozenset({"me"})  # pages beside the forms: `/give/me`

Cents = Annotated[int, Field(ge=LEAST_CENTS, le=MOST_CENTS, strict=True)]
# Underscores, too: a form may have its name from ActBlue.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
_ON_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ON_ONE_LINE)]
Words = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$")
]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_ON_ONE_LINE)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=_ON_ONE_LINE)]


class Said(BaseModel):
    """What a form says, in one language: its title, one sentence why, more words (Markdown, see `form_words`), what its
    picture shows, and sentences that she must tick (`agreed`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Title
    why: Line = ""
    words: Words = ""
    picture_shows: Line = ""
    agreed: Annotated[tuple[Sentence, ...], Field(max_length=6)] = ()


class Definition(Said):
    """One version of a donation form. Amounts in cents of US dollars.

    `preset_cents`: one to six, in the order shown; `default_cents`: the one that is chosen already, if any. `other`: she may
    type an amount, from `floor_cents` to `cap_cents`. `monthly`: she may choose to give each month (it is never chosen
    already). `employer`: whether it asks where she works: where the fund's threshold is met, always, never. `goal_cents` with
    `goal_from`: what it is to raise, since when. `others`: the words in other languages, by their codes; what must be
    ticked is said in all of them. `processor` actblue: `slug` is its name there as well.
    """

    slug: Slug
    fund: Slug
    chapter: Line = ""  # "": the organisation's own
    processor: Literal["actblue", "stripe"]
    preset_cents: Annotated[tuple[Cents, ...], Field(min_length=1, max_length=6)] = DEFAULT_PRESETS
    default_cents: Cents | None = None
    other: bool = True
    floor_cents: Cents = 500
    cap_cents: Cents | None = None
    monthly: bool = True
    employer: Literal["threshold", "always", "never"] = "threshold"
    phone: bool = False
    thanks_letter: Line = ""
    goal_cents: Annotated[int, Field(ge=LEAST_CENTS, le=10**12)] | None = None
    goal_from: date | None = None
    others: Mapping[str, Said] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if found := list(self._contradictions()):
            raise ValueError("; ".join(found))
        return self

    def _contradictions(self) -> Iterator[str]:
        """What does not go together, each behind the name that a file has for it."""
        if self.slug in TAKEN:
            yield f"slug: {self.slug} is the address of another page"
        if len(set(self.preset_cents)) < len(self.preset_cents):
            yield "presets: the same amount stands twice"
        if self.cap_cents is not None and self.cap_cents < self.floor_cents:
            yield "cap: it is less than the floor"
        if outside := [cents for cents in self.preset_cents if not self.takes(cents)]:
            yield f"presets: {dollars(outside[0])} is not between floor and cap"
        if self.default_cents is not None and self.default_cents not in self.preset_cents:
            yield "default: it is none of the presets"
        if self.goal_from is not None and self.goal_cents is None:
            yield "goal_from: there is no goal"
        untold = (code for code, said in self.others.items() if len(said.agreed) != len(self.agreed))
        yield from (f"agreed: {code} has not as many sentences as English" for code in untold)

    def takes(self, cents: int) -> bool:
        """Whether this amount lies between floor and cap."""
        return self.floor_cents <= cents <= (self.cap_cents or MOST_CENTS)

    def said(self, language: str) -> Said:
        """Its words in this language, or as they were written."""
        return self.others.get(language, self)


@dataclass(frozen=True, slots=True)
class Receiver:
    """The fund of a form, as its page needs it."""

    slug: str
    name: str
    disclaimer: str
    deductibility: str
    employer_cents: int | None
    employer_from: bool
    stripe_account: str

    def asks_employer(self, cents: int) -> bool:
        """Whether a gift of so much, by itself, meets the threshold above which the law wants to know where she works."""
        if self.employer_cents is None:
            return False
        return cents >= self.employer_cents if self.employer_from else cents > self.employer_cents


@dataclass(frozen=True, slots=True)
class Shown:
    """One form as it is now. `closed`: why nothing can be given by it; `raised_cents`: since its goal began, of a form with
    one."""

    id: int
    version: int
    definition: Definition
    fund: Receiver
    chapter: str
    closed: str | None = None
    picture_type: str = ""
    raised_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Giving:
    """All published forms, by slug. `now`: when it was so."""

    now: datetime
    organisation: str
    forms: Mapping[str, Shown]


_SHOWN = """
SELECT d.id, d.slug, v.version, v.definition, v.picture_type, f.slug AS fund, f.name AS fund_name, f.disclaimer,
    f.deductibility, f.employer_cents, f.employer_from, f.stripe_account, c.name AS chapter,
    CASE WHEN d.closed_at IS NOT NULL THEN d.closed_because END AS closed
FROM donation_form d JOIN donation_form_version v ON v.donation_form_id = d.id
JOIN fund f ON f.slug = v.definition ->> 'fund'
JOIN chapter c ON c.slug = v.definition ->> 'chapter' OR c.parent_id IS NULL AND v.definition ->> 'chapter' = ''
WHERE {which}
"""
_PUBLISHED = text(_SHOWN.format(which="v.version = d.version"))
_ONE = text(_SHOWN.format(which="v.id = :id"))
_ORGANISATION = text("SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1")
_RAISED = text("""
SELECT g.donation_form_id AS id, sum(l.amount_cents)::bigint AS cents
FROM unnest(CAST(:ids AS bigint[]), CAST(:since AS timestamptz[])) goal(id, since)
JOIN contribution g ON g.donation_form_id = goal.id AND g.paid_at >= goal.since AND g.currency = 'usd'
JOIN ledger_entry l ON l.contribution_id = g.id
GROUP BY g.donation_form_id
""")
_PICTURE = text("""
SELECT picture, picture_type FROM donation_form_version v JOIN donation_form d ON d.id = v.donation_form_id
WHERE d.slug = :slug AND v.version = :version AND picture IS NOT NULL AND (v.published_at IS NOT NULL OR :drafts)
""")

_PLACES = text("""
SELECT (SELECT id FROM fund WHERE slug = :fund) AS fund_id,
    (SELECT id FROM chapter WHERE slug = :chapter OR parent_id IS NULL AND :chapter = '' LIMIT 1) AS chapter_id
""")
_BEGIN = text("""
INSERT INTO donation_form (slug, title, preset_cents, fund_id, chapter_id, processor)
VALUES (:slug, :title, :preset_cents, :fund_id, :chapter_id, :processor)
ON CONFLICT (slug) DO UPDATE SET slug = excluded.slug RETURNING id
""")
_WRITE = text("""
INSERT INTO donation_form_version (donation_form_id, version, definition, picture, picture_type, published_at)
SELECT :form_id, coalesce(max(version), 0) + 1, CAST(:definition AS jsonb), :picture, :picture_type, :published_at
FROM donation_form_version WHERE donation_form_id = :form_id
RETURNING id, version
""")
_PUBLISH = text("""
UPDATE donation_form SET version = :version, title = :title, preset_cents = :preset_cents, other_amount = :other,
    fund_id = :fund_id, chapter_id = :chapter_id, processor = :processor, thanks_letter = :thanks_letter,
    floor_cents = :floor_cents, cap_cents = :cap_cents, monthly = :monthly
WHERE id = :form_id
""")
_AS_WRITTEN = text("""
UPDATE donation_form_version v SET published_at = coalesce(v.published_at, :now) FROM donation_form d
WHERE d.id = v.donation_form_id AND d.slug = :slug AND v.version = :number
RETURNING v.definition, d.id AS form_id
""")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a form: its bytes, and their type ("image/webp")."""

    data: bytes
    type: str


@dataclass(frozen=True, slots=True)
class Written:
    """A version as it was kept: its id, its number, and that of its form."""

    id: int
    number: int
    form_id: int


def write(
    session: Session, definition: Definition, now: datetime, *, picture: Picture | None = None, publish: bool = True
) -> Written:
    """Keep this as the newest version of its form, which is begun if there is none; shown from now on, or a draft.

    Raises NotFound when there is no such fund or chapter. Two writers of one form take turns.
    """
    said = definition.model_dump(mode="json", exclude={"slug"})
    of = _places(session, definition) | {"slug": definition.slug}
    form_id = session.execute(_BEGIN, said | of).scalar_one()
    row = session.execute(_WRITE, {
        "form_id": form_id, "definition": orjson.dumps(said).decode(), "picture": picture.data if picture else None,
        "picture_type": picture.type if picture else "", "published_at": now if publish else None,
    }).one()  # fmt: skip
    if publish:
        session.execute(_PUBLISH, said | of | {"form_id": form_id, "version": row.version})
    return Written(row.id, row.version, form_id)


def publish(session: Session, slug: str, number: int, now: datetime) -> None:
    """Show this version from now on. Raises NotFound when there is none, or no fund or chapter of its."""
    row = session.execute(_AS_WRITTEN, {"slug": slug, "number": number, "now": now}).one_or_none()
    if row is None:
        raise NotFound(f"there is no version {number} of a donation form {slug[:60]}")
    said = Definition.model_validate(row.definition | {"slug": slug})
    of = _places(session, said) | {"form_id": row.form_id, "version": number}
    session.execute(_PUBLISH, said.model_dump(mode="json") | of)


def giving(session: Session, now: datetime) -> Giving:
    """What can be given by, and to whom; without what was raised."""
    shown = (_shown(row) for row in session.execute(_PUBLISHED))
    forms = {one.definition.slug: one for one in shown}
    return Giving(now, session.scalar(_ORGANISATION) or "", forms)


def version(session: Session, version_id: int) -> Shown | None:
    """One version, published or not, as its preview shows it."""
    row = session.execute(_ONE, {"id": version_id}).one_or_none()
    return _shown(row) if row else None


def raised(session: Session, forms: Sequence[Shown]) -> dict[int, int]:
    """Cents that came by each of these forms since its goal began, after refunds; by the form's id. Reads all its gifts."""
    goals = [one for one in forms if one.definition.goal_cents is not None]
    if not goals:
        return {}
    since = [one.definition.goal_from or date(2000, 1, 1) for one in goals]
    found = session.execute(_RAISED, {"ids": [one.id for one in goals], "since": since})
    return {one.id: 0 for one in goals} | {row.id: row.cents for row in found}


def picture(session: Session, slug: str, version: int, *, drafts: bool = False) -> tuple[bytes, str] | None:
    """The picture of one published version of a form (`drafts`: of any), and its type; None when it has none."""
    row = session.execute(_PICTURE, {"slug": slug, "version": version, "drafts": drafts}).one_or_none()
    return (bytes(row.picture), row.picture_type) if row else None


def _places(session: Session, said: Definition) -> dict[str, int]:
    """The ids of its fund and its chapter."""
    found = session.execute(_PLACES, {"fund": said.fund, "chapter": said.chapter}).one()
    if found.fund_id is None or found.chapter_id is None:
        kind, name = ("fund", said.fund) if found.fund_id is None else ("chapter", said.chapter)
        raise NotFound(f"there is no {kind} {name[:60]}")
    return {"fund_id": found.fund_id, "chapter_id": found.chapter_id}


def _shown(row: Row[Any]) -> Shown:
    return Shown(
        id=row.id,
        version=row.version,
        definition=Definition.model_validate(row.definition | {"slug": row.slug}),
        fund=Receiver(
            row.fund, row.fund_name, row.disclaimer, row.deductibility, row.employer_cents, row.employer_from,
            row.stripe_account,
        ),
        chapter=row.chapter,
        closed=row.closed,
        picture_type=row.picture_type,
    )  # fmt: skip
