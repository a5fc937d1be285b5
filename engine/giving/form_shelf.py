"""What forms there are, in all their versions; a form from a file, a draft published, a form closed and opened again.

What a version says never changes; which one is shown does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.documents import Fault
from engine.errors import Invalid, NotFound
from engine.events import Event, HumanNeeded, MatterSettled
from engine.giving import declines, form_files, forms
from engine.giving.form_files import Told
from engine.giving.forms import Definition, Picture
from engine.money import dollars

LOCK = 0x67726670  # one writer of forms at a time
LONGEST_REASON = 200
UNSEEN = "donation form not shown"  # the kind of notice

_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
_EVERY = text("""
SELECT d.id, d.slug, d.title, d.version, d.processor, d.closed_at, d.closed_because, f.slug AS fund,
    (SELECT max(v.version) FROM donation_form_version v WHERE v.donation_form_id = d.id) AS newest
FROM donation_form d JOIN fund f ON f.id = d.fund_id ORDER BY d.id
""")
_VERSIONS = text("""
SELECT v.id, v.version, v.definition ->> 'title' AS title, v.created_at, v.published_at, v.version = d.version AS shown
FROM donation_form d JOIN donation_form_version v ON v.donation_form_id = d.id
WHERE d.slug = :slug ORDER BY v.version DESC
""")
_ONE = text("""
SELECT v.id, d.id AS form_id, d.slug, v.version, v.definition, v.picture, v.picture_type, v.published_at,
    v.version = d.version AS shown
FROM donation_form d JOIN donation_form_version v ON v.donation_form_id = d.id
WHERE d.slug = :slug AND (v.version = CAST(:number AS int)
    OR CAST(:number AS int) IS NULL AND v.version = CASE WHEN :newest OR d.version = 0
        THEN (SELECT max(version) FROM donation_form_version WHERE donation_form_id = d.id) ELSE d.version END)
""")
_AROUND = text("""
SELECT f.id AS fund_id, f.name, f.limit_cents, f.employer_cents, f.disclaimer,
    EXISTS (SELECT FROM actblue_entity WHERE fund_id = f.id) AS at_actblue,
    EXISTS (SELECT FROM chapter WHERE slug = :chapter OR :chapter = '' AND parent_id IS NULL) AS chapter,
    EXISTS (SELECT FROM letter WHERE slug = :letter) AS letter,
    d.closed_at IS NOT NULL AS closed, d.closed_because, d.fund_id IS DISTINCT FROM f.id
        AND (EXISTS (SELECT FROM contribution WHERE donation_form_id = d.id)
            OR EXISTS (SELECT FROM letter WHERE donation_form_id = d.id)) AS bound
FROM (VALUES (1)) one LEFT JOIN fund f ON f.slug = :fund LEFT JOIN donation_form d ON d.slug = :slug
""")
_CLOSE = text("""
UPDATE donation_form SET closed_at = coalesce(closed_at, :now), closed_because = :because WHERE slug = :slug
RETURNING id
""")
_OPEN = text("""
UPDATE donation_form SET closed_at = NULL, closed_because = '',
    attempts_from = CASE WHEN closed_at IS NULL THEN attempts_from ELSE :now END
WHERE slug = :slug RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Kept:
    """One version as it is kept. `id`: of the version; `shown`: it is what people see."""

    id: int
    form_id: int
    number: int
    definition: Definition
    picture: Picture | None
    published_at: datetime | None
    shown: bool


@dataclass(slots=True)
class Outcome:
    """What came of a file. `number` 0: nothing was written. `published`: that version is shown now. `differs`: from the
    version that was shown before (a draft: from the newest), nothing of a new form. `remarks`: what one should look at."""

    faults: list[tuple[str, str]] = field(default_factory=list)  # the field, as files name it, and what is wrong
    form_id: int = 0
    version_id: int = 0
    number: int = 0
    published: bool = False
    new: bool = False
    differs: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def every(session: Session) -> Sequence[Row[Any]]:
    """All forms, the oldest first: rows of (id, slug, title, version, processor, closed_at, closed_because, fund, newest)."""
    return session.execute(_EVERY).all()


def versions(session: Session, slug: str) -> Sequence[Row[Any]]:
    """All versions of a form, the newest first: rows of (id, version, title, created_at, published_at, shown). Raises
    NotFound."""
    found = session.execute(_VERSIONS, {"slug": slug}).all()
    if not found:
        raise NotFound(f"there is no donation form {slug[:60]}")
    return found


def one(session: Session, slug: str, number: int | None = None, *, newest: bool = False) -> Kept:
    """This version of a form; without a number the one that is shown, or with `newest` the last that was written. Raises
    NotFound; Invalid when it cannot be read."""
    row = session.execute(_ONE, {"slug": slug, "number": number, "newest": newest}).one_or_none()
    if row is None:
        which = "donation form" if number is None else f"version {number} of a donation form"
        raise NotFound(f"there is no {which} {slug[:60]}")
    picture = Picture(bytes(row.picture), row.picture_type) if row.picture is not None else None
    said = forms.read(row.slug, row.definition)
    return Kept(row.id, row.form_id, row.version, said, picture, row.published_at, row.shown)


def bring_in(
    session: Session, definition: Definition, picture: Picture | None, now: datetime, *, draft: bool = False
) -> Outcome:
    """Make the form say this: as a new version unless the newest says just that; shown from now on, or as a draft.

    Nothing is written when something is wrong, or when it is so already. Two writers take turns.
    """
    session.execute(_ALONE, {"lock": LOCK})
    outcome = _looked_at(session, definition, picture)
    if outcome.faults:
        return outcome
    newest, shown = _newest_and_shown(session, definition.slug)
    before = newest if draft else shown
    outcome.new = newest is None
    outcome.differs = _differences(before, definition, picture) if before is not None else []
    if before is not None and not outcome.differs:
        return outcome
    if newest is not None and not draft and not _differences(newest, definition, picture):
        outcome.form_id, outcome.version_id, outcome.number = newest.form_id, newest.id, newest.number
        forms.publish(session, definition.slug, newest.number, now)
    else:
        made = forms.write(session, definition, now, picture=picture, publish=not draft)
        outcome.form_id, outcome.version_id, outcome.number = made.form_id, made.id, made.number
    outcome.published = not draft
    return outcome


def lacks(session: Session, told: Told) -> list[Fault]:
    """What the house does not have of all that a file with faults names."""
    if told.readable is None:
        return []
    found = _missing(told.readable, _around(session, told.readable))
    return [told.document.fault((name,), says) for name, says in found if name not in told.unread]


def publish(session: Session, slug: str, number: int, now: datetime) -> Kept:
    """Show this version from now on, a draft or an earlier one again. Raises NotFound; Invalid when its fund or chapter is
    gone, or when it is not as forms must be by now."""
    session.execute(_ALONE, {"lock": LOCK})
    kept = one(session, slug, number)
    if faults := _looked_at(session, kept.definition, kept.picture).faults:
        raise Invalid(f"version {number} of {slug[:60]} cannot be shown: {faults[0][1]}")
    if not kept.shown:
        forms.publish(session, slug, number, now)
    return kept


def close(session: Session, slug: str, because: str, now: datetime) -> int:
    """Take nothing by this form any more, and say why to staff; returns its id. Raises NotFound, Invalid."""
    because = " ".join(because.split())
    if not because or len(because) > LONGEST_REASON or not because.isprintable():
        raise Invalid(
            f"say in a sentence why the form is closed: `forms list` shows it ({LONGEST_REASON} characters at most)"
        )
    return _changed(session.scalar(_CLOSE, {"slug": slug, "because": because, "now": now}), slug)


def open_again(session: Session, slug: str, now: datetime) -> tuple[int, list[Event]]:
    """Take gifts by this form again; cards that were declined before count no more. Returns its id, and that what closed it
    needs nobody any more. Raises NotFound."""
    form_id = _changed(session.scalar(_OPEN, {"slug": slug, "now": now}), slug)
    return form_id, [MatterSettled(None, declines.CLOSED, slug)]


def look(session: Session, now: datetime) -> list[Event]:
    """Tell a person of each published form that nobody can see."""
    offered = forms.giving(session, now)
    unseen = {
        slug: f"{why}. Nobody sees it; all other forms are shown. Import it anew: `groundswell forms import`"
        for slug, why in offered.unread.items()
    } | {
        slug: f"/give/{slug} is the address of another page. Begin a form of another name; links of letters to ActBlue work"
        for slug in forms.TAKEN.intersection(offered.forms)
    }
    settled = [MatterSettled(None, UNSEEN, slug) for slug in offered.forms if slug not in unseen]
    return [*(HumanNeeded(None, UNSEEN, slug, detail) for slug, detail in unseen.items()), *settled]


def _changed(form_id: int | None, slug: str) -> int:
    if form_id is None:
        raise NotFound(f"there is no donation form {slug[:60]}")
    return form_id


def _newest_and_shown(session: Session, slug: str) -> tuple[Kept | None, Kept | None]:
    try:
        newest, shown = one(session, slug, newest=True), one(session, slug)
    except (NotFound, Invalid):  # what cannot be read is mended by writing it anew
        return None, None
    return newest, shown if shown.shown else None


def _differences(before: Kept, definition: Definition, picture: Picture | None) -> list[str]:
    found = form_files.differences(before.definition, definition)
    return found if before.picture == picture else [*found, "picture: another" if picture else "picture: none any more"]


def _looked_at(session: Session, said: Definition, picture: Picture | None) -> Outcome:
    """What is wrong about it here, and what somebody should look at."""
    around = _around(session, said)
    outcome = Outcome([*said.contradictions(), *_missing(said, around)])
    if not outcome.faults:
        outcome.remarks = _remarks(said, picture, around)
    return outcome


def _around(session: Session, said: Definition) -> Row[Any]:
    names = {"fund": said.fund, "chapter": said.chapter, "letter": said.thanks_letter, "slug": said.slug}
    return session.execute(_AROUND, names).one()


def _missing(said: Definition, around: Row[Any]) -> Iterator[tuple[str, str]]:
    """What it names that is not here, or not for it."""
    if around.fund_id is None:
        yield "fund", f"there is no fund {said.fund}"
    elif around.bound:
        yield "fund", "gifts came by this form or letters lead to it, for another fund: begin a new form"
    if not around.chapter:
        yield "chapter", f"there is no chapter {said.chapter}"
    if said.thanks_letter and not around.letter:
        yield "thanks_letter", f"there is no letter {said.thanks_letter}"


def _remarks(said: Definition, picture: Picture | None, around: Row[Any]) -> list[str]:
    highest = max(said.preset_cents)
    found = {
        f"{dollars(highest)} is more than {around.name} may take from one person ({dollars(around.limit_cents or 0)})":
            around.limit_cents is not None and highest > around.limit_cents,
        "the fund's law wants to know where donors work, and this form never asks":
            said.processor == "stripe" and said.employer == "never" and around.employer_cents is not None,
        "the fund has no number at ActBlue yet: gifts made there are not booked to it":
            said.processor == "actblue" and not around.at_actblue,
        "the fund has no disclaimer": not around.disclaimer,
        "the picture holds Exif data: perhaps where it was taken": picture is not None and b"Exif\0\0" in picture.data,
        f"the form is closed, and stays so: {around.closed_because}": around.closed,
    }  # fmt: skip
    return [says for says, so in found.items() if so]
