"""Donation forms: what one says (`Definition`), and what the page shows of all of them at this moment (`Giving`).

A form is written as a numbered version that never changes; one that was published is shown. What is read here is read
leniently, for rules grow and versions stay; what is written must go together (`contradictions`), and a file is held to more
(`form_files`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, ValidationError
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import languages
from engine.errors import Invalid, NotFound
from engine.giving import own_form
from engine.money import dollars

DEFAULT_PRESETS = (2700, 5000, 10000, 25000, 100000)
MOST_CENTS = 99_999_900  # the most that one gift can be; beyond it Stripe takes none ("99999999" cents)
TAKEN = frozenset({"me"})  # pages beside the forms: `/give/me`

# Underscores, too, and capitals: a form may have its name from ActBlue ("MassAction"), which tells gifts by it as it stands.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
FormName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]


class Said(BaseModel):
    """What a form says, in one language: its title, one sentence why, more words (Markdown, see `form_words`), what its
    picture shows, and sentences that she must tick (`agreed`)."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)  # a later release may say more

    title: str
    why: str = ""
    words: str = ""
    picture_shows: str = ""
    agreed: tuple[str, ...] = ()


class Definition(Said):
    """One version of a donation form. Amounts in cents of US dollars.

    `preset_cents`: one to six, in the order shown; `default_cents`: the one that is chosen already, if any. `other`: she may
    type an amount, from `floor_cents` to `cap_cents`. `monthly`: she may choose to give each month (it is never chosen
    already). `employer`: whether it asks where she works: where the fund's threshold is met, always, never. `goal_cents` with
    `goal_from`: what it is to raise, since when. `others`: the words in other languages, by their codes; what must be
    ticked is said in all of them. `processor` actblue: `slug` is its name there as well.
    """

    slug: str
    fund: str
    chapter: str = ""  # "": the organisation's own
    processor: Literal["actblue", "stripe"]
    preset_cents: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = DEFAULT_PRESETS
    default_cents: PositiveInt | None = None
    other: bool = True
    floor_cents: PositiveInt = 500
    cap_cents: PositiveInt | None = None
    monthly: bool = True
    employer: Literal["threshold", "always", "never"] = "threshold"
    phone: bool = False
    thanks_letter: str = ""
    goal_cents: PositiveInt | None = None
    goal_from: date | None = None
    others: Mapping[str, Said] = Field(default_factory=dict)

    def contradictions(self, unread: Collection[str] = ()) -> list[tuple[str, str]]:
        """What does not go together: the name that a file has for it, and what is wrong. What follows from a field that is
        `unread` is left out."""
        found = [*self._of_names(), *self._of_amounts()]
        return [(name, says) for of, name, says in found if not of & set(unread)]

    def _of_names(self) -> Iterator[tuple[set[str], str, str]]:
        """What does not go together, with the fields that each follows from."""
        if self.slug in TAKEN:
            yield {"slug"}, "slug", f"{self.slug} is the address of another page"
        if self.processor == "stripe" and self.slug != self.slug.lower():
            yield {"slug", "processor"}, "slug", "capitals are for the names of forms at ActBlue alone"
        for code, said in self.others.items():
            if len(said.agreed) != len(self.agreed):
                yield {"agreed"}, "agreed", f"{code} has not as many sentences as English"

    def _of_amounts(self) -> Iterator[tuple[set[str], str, str]]:
        """The same of its amounts."""
        if len(set(self.preset_cents)) < len(self.preset_cents):
            yield {"preset_cents"}, "presets", "the same amount stands twice"
        if self.cap_cents is not None and self.cap_cents < self.floor_cents:
            yield {"cap_cents", "floor_cents"}, "cap", "it is less than the floor"
        if outside := [cents for cents in self.preset_cents if not self.takes(cents)]:
            bounds = {"preset_cents", "floor_cents", "cap_cents"}
            yield bounds, "presets", f"{dollars(outside[0])} is not between floor and cap"
        if self.default_cents is not None and self.default_cents not in self.preset_cents:
            yield {"default_cents", "preset_cents"}, "default", "it is none of the presets"
        if self.goal_from is not None and self.goal_cents is None:
            yield {"goal_from", "goal_cents"}, "goal_from", "there is no goal"

    def takes(self, cents: int) -> bool:
        """Whether this amount lies between floor and cap."""
        return self.floor_cents <= cents <= (self.cap_cents or MOST_CENTS)

    def said(self, language: str) -> Said:
        """Its words in this language, or as they were written."""
        return self.others.get(language, self)


@dataclass(frozen=True, slots=True)
class Receiver:
    """The fund of a form, as its page needs it. `others`: its `disclaimer` and `deductibility` in other languages, by their
    codes."""

    slug: str
    name: str
    disclaimer: str
    deductibility: str
    employer_cents: int | None
    employer_from: bool
    stripe_account: str
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def said(self, name: Literal["disclaimer", "deductibility"], language: str) -> tuple[str, str]:
        """What the law has it say, in this language where it does, and the language that it is in."""
        if words := self.others.get(language, {}).get(name):
            return words, language
        return (self.disclaimer if name == "disclaimer" else self.deductibility), languages.ENGLISH

    def asks_employer(self, cents: int) -> bool:
        """Whether a gift of so much, by itself, meets the threshold above which the law wants to know where she works."""
        if self.employer_cents is None:
            return False
        return cents >= self.employer_cents if self.employer_from else cents > self.employer_cents


@dataclass(frozen=True, slots=True)
class Shown:
    """One form as it is now. `closed`: nothing can be given by it; `raised_cents`: since its goal began, of a form with
    one."""

    id: int
    version: int
    definition: Definition
    fund: Receiver
    chapter: str
    closed: bool = False
    picture_type: str = ""
    raised_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Giving:
    """All published forms, by slug. `now`: when it was so. `unread`: what is wrong with those that cannot be read at all, by
    slug; nobody sees them."""

    now: datetime
    organisation: str
    forms: Mapping[str, Shown]
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> list[Shown]:
        """Those by which something can be given."""
        return [form for slug, form in self.forms.items() if not form.closed and slug not in TAKEN]


_SHOWN = """
SELECT d.id, d.slug, v.version, v.definition, v.picture_type, f.slug AS fund, f.name AS fund_name, f.disclaimer,
    f.deductibility, f.others, f.employer_cents, f.employer_from, f.stripe_account, c.name AS chapter,
    d.closed_at IS NOT NULL AS closed
FROM donation_form d JOIN donation_form_version v ON v.donation_form_id = d.id
LEFT JOIN fund f ON f.slug = v.definition ->> 'fund'
LEFT JOIN chapter c ON c.slug = v.definition ->> 'chapter'
    OR c.parent_id IS NULL AND coalesce(v.definition ->> 'chapter', '') = ''
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

    Raises NotFound when there is no such fund or chapter, Invalid when it contradicts itself. Two writers of one form take
    turns.
    """
    if found := definition.contradictions():
        raise Invalid("; ".join(f"{name}: {says}" for name, says in found))
    said = definition.model_dump(mode="json", exclude={"slug"})
    of = _places(session, definition) | {"slug": definition.slug}
    form_id = session.execute(_BEGIN, said | of).scalar_one()
    row = session.execute(_WRITE, {
        "form_id": form_id, "definition": orjson.dumps(said).decode(), "picture": picture.data if picture else None,
        "picture_type": picture.type if picture else "", "published_at": now if publish else None,
    }).one()  # fmt: skip
    if publish:
        session.execute(_PUBLISH, said | of | {"form_id": form_id, "version": row.version})
        own_form.lend(session)
    return Written(row.id, row.version, form_id)


def publish(session: Session, slug: str, number: int, now: datetime) -> None:
    """Show this version from now on. Raises NotFound when there is none, or no fund or chapter of its; Invalid when it cannot
    be read."""
    row = session.execute(_AS_WRITTEN, {"slug": slug, "number": number, "now": now}).one_or_none()
    if row is None:
        raise NotFound(f"there is no version {number} of a donation form {slug[:60]}")
    said = read(slug, row.definition)
    of = _places(session, said) | {"form_id": row.form_id, "version": number}
    session.execute(_PUBLISH, said.model_dump(mode="json") | of)
    own_form.lend(session)


def giving(session: Session, now: datetime) -> Giving:
    """What can be given by, and to whom; without what was raised. A form that cannot be read takes no other with it."""
    shown: dict[str, Shown] = {}
    unread: dict[str, str] = {}
    for row in session.execute(_PUBLISHED):
        try:
            shown[row.slug] = _shown(row)
        except Invalid as wrong:
            unread[row.slug] = str(wrong)
    return Giving(now, session.scalar(_ORGANISATION) or "", shown, unread)


def read(slug: str, kept: Mapping[str, Any]) -> Definition:
    """A version as it was kept. Raises Invalid when it cannot be read at all, naming the fields."""
    try:
        return Definition.model_validate({**kept, "slug": slug})
    except ValidationError as error:
        fields = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
        raise Invalid(f"the form {slug[:60]} cannot be read: {', '.join(fields)[:200]}") from None


def version(session: Session, version_id: int) -> Shown | None:
    """One version, published or not, as its preview shows it. Raises Invalid when it cannot be read."""
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
    definition = read(row.slug, row.definition)
    if row.fund is None or row.chapter is None:
        kind, name = ("fund", definition.fund) if row.fund is None else ("chapter", definition.chapter)
        raise Invalid(f"there is no {kind} {name[:60]}")
    return Shown(
        id=row.id,
        version=row.version,
        definition=definition,
        fund=Receiver(
            row.fund, row.fund_name, row.disclaimer, row.deductibility, row.employer_cents, row.employer_from,
            row.stripe_account, row.others,
        ),
        chapter=row.chapter,
        closed=row.closed,
        picture_type=row.picture_type,
    )  # fmt: skip
