"""Sequences in the database: what each says is published in numbered versions that nobody changes, with the words of their
letters as they stood then. People stay on the version that they entered by, until somebody moves them (`moving`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Conflict, Invalid, NotFound
from engine.events import Event, LettersComposed, MatterSettled, StepsDue
from engine.outreach import breakers, definitions, sequence_checks
from engine.outreach.definitions import LAUNCH, Definition
from engine.outreach.sequence_checks import ASKS, Checked
from engine.staff import audit

_COLUMNS = """
SELECT q.id, q.slug, q.name, coalesce(h.slug, '') AS chapter, q.chapter_id, q.trigger, q.version, q.shipped, q.paused_at,
    q.paused_because, q.archived_at, v.id AS version_id, v.definition, v.published_at
FROM sequence q LEFT JOIN chapter h ON h.id = q.chapter_id
"""
_EVERY = text(f"""{_COLUMNS} LEFT JOIN sequence_version v ON v.sequence_id = q.id AND v.version = q.version
WHERE (q.archived_at IS NULL OR :archived) AND q.slug > :behind
    AND (CAST(:of AS bigint[]) IS NULL OR q.chapter_id IS NULL OR q.chapter_id = ANY(:of))
ORDER BY q.slug LIMIT CAST(:most AS bigint)
""")
_ONE = text(f"""{_COLUMNS}
LEFT JOIN sequence_version v ON v.sequence_id = q.id AND v.version = coalesce(CAST(:version AS int), q.version)
WHERE q.slug = :slug
""")
_LOCK = text("SELECT id FROM sequence WHERE slug = :slug FOR UPDATE")
# What comes with the code leaves alone what staff made theirs, or took off the list.
_PUT = text("""
INSERT INTO sequence AS q (slug, name, chapter_id, trigger, shipped)
VALUES (:slug, :name, (SELECT id FROM chapter WHERE slug = :chapter), :trigger, :shipped)
ON CONFLICT (slug) DO UPDATE SET name = excluded.name, chapter_id = excluded.chapter_id, trigger = excluded.trigger,
    shipped = excluded.shipped, archived_at = NULL
WHERE NOT excluded.shipped OR (q.shipped AND q.archived_at IS NULL)
RETURNING q.id
""")
_NEWEST = text("""
SELECT id, version, definition, mailings, fund_ids FROM sequence_version WHERE sequence_id = :id ORDER BY version DESC LIMIT 1
""")
_SAME = text("""
SELECT id FROM sequence_version WHERE sequence_id IS NULL AND definition = CAST(:definition AS jsonb)
    AND mailings = CAST(:mailings AS jsonb) AND fund_ids = CAST(:fund_ids AS bigint[]) ORDER BY id DESC LIMIT 1
""")
_ADD = text("""
INSERT INTO sequence_version (sequence_id, version, definition, mailings, fund_ids, quiet_from, quiet_until, staff_id,
    published_at)
VALUES (:sequence_id, :version, CAST(:definition AS jsonb), CAST(:mailings AS jsonb), :fund_ids, :quiet_from, :quiet_until,
    :staff_id, :now) RETURNING id
""")
_OPEN = text("UPDATE sequence SET version = :version WHERE id = :id AND version <> :version")
_PAUSE = text("UPDATE sequence SET paused_at = :now, paused_because = :because WHERE id = :id")
_RESUME = text("UPDATE sequence SET paused_at = NULL, paused_because = '' WHERE id = :id")
_ARCHIVE = text("UPDATE sequence SET archived_at = :now WHERE id = :id")
_AT_WORK = text("""
SELECT k.slug FROM campaign k JOIN sequence_version v ON v.id = k.version_id
WHERE v.sequence_id = :id AND k.state IN ('scheduled', 'expanding', 'running') ORDER BY k.slug
""")
_LETTER = text("SELECT kind, quiet_from, quiet_until FROM letter WHERE slug = :slug")


@dataclass(frozen=True, slots=True)
class Standing:
    """A sequence as it is. `trigger`: what lets people enter ('': a launch). `version`: the newest one, by which they do (0:
    none was published); `definition`, `version_id`, `published_at` are that one's, or those of the version that was asked
    for. `chapter`: the slug of whose it is; '' the root's."""

    id: int
    slug: str
    name: str
    chapter: str
    chapter_id: int | None
    trigger: str
    version: int
    shipped: bool
    paused_at: datetime | None
    paused_because: str
    archived_at: datetime | None
    version_id: int | None
    definition: Definition | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to a sequence. `changed`: it was not so before. `happened`: for reactions; `remarks`: what one should
    look at, in sentences."""

    sequence: Standing
    changed: bool = True
    happened: list[Event] = field(default_factory=list)
    remarks: Sequence[str] = ()


def every(
    session: Session, chapter_ids: Sequence[int] | None = None, *, archived: bool = False, behind: str = "",
    most: int | None = None,
) -> list[Standing]:  # fmt: skip
    """All, or those of these chapters and the root's, by their names; archived ones too, if that is asked; at most so many,
    behind this name."""
    of = None if chapter_ids is None else list(chapter_ids)
    found = session.execute(_EVERY, {"of": of, "archived": archived, "behind": behind, "most": most})
    return [_standing(row) for row in found]


def one(session: Session, slug: str, version: int | None = None) -> Standing:
    """One by its name, archived or not; as its newest version says, or this one. Raises NotFound."""
    found = session.execute(_ONE, {"slug": slug, "version": version}).one_or_none()
    if found is None or (version is not None and found.version_id is None):
        raise NotFound(f"there is no sequence {slug[:60]}" + (f" of version {version}" if found is not None else ""))
    return _standing(found)


def locked(session: Session, slug: str) -> Standing:
    """One that nobody else changes until this transaction ends. Raises NotFound."""
    session.execute(_LOCK, {"slug": slug})
    return one(session, slug)


def publish(
    session: Session, definition: Definition, now: datetime, *, who: int | None = None, shipped: bool = False
) -> Done:
    """Publish what it says, with the newest words of its letters: people enter by that from now on. What is published
    already makes no new version. An archived one is back. `shipped`: it comes with the code, and leaves alone what staff made
    theirs. Raises Invalid with all faults."""
    checked = sequence_checks.check(session, definition, now.date())
    if checked.faults:
        raise Invalid("; ".join(checked.said))
    trigger = "" if definition.on == LAUNCH else definition.on
    values = {"slug": definition.slug, "name": definition.name, "chapter": definition.chapter, "trigger": trigger}
    sequence_id = session.scalar(_PUT, values | {"shipped": shipped})
    if sequence_id is None:
        return Done(one(session, definition.slug), changed=False)
    version, same = _newest(session, sequence_id, definition, checked)
    if not same:
        version += 1
        session.execute(_ADD, _values(definition, checked) | _of(sequence_id, version, now, who))
    session.execute(_OPEN, {"id": sequence_id, "version": version})
    if not same and not shipped:
        _published(session, who, definition.slug, sequence_id, version, now)
    return Done(one(session, definition.slug), changed=not same, remarks=checked.remarks)


def renew(session: Session, slug: str, now: datetime, *, who: int | None = None) -> Done:
    """Publish what it says already with the newest words of its letters. Raises NotFound, Invalid as `publish`; Conflict for
    one that is archived or was never published."""
    before = locked(session, slug)
    if before.archived_at is not None or before.definition is None:
        raise Conflict(f"{slug} is archived: publish its file" if before.archived_at else f"{slug} was never published")
    done = publish(session, before.definition, now, who=who, shipped=before.shipped)
    if done.changed and before.shipped:
        _published(session, who, slug, before.id, done.sequence.version, now)
    return done


def of_letter(session: Session, slug: str, now: datetime, *, expires: str | None = None) -> int:
    """The id of a version without sequence: one step that writes this letter in its newest words, by night as the letter says
    or else as sequences do. `expires`: when it is over, as in a definition. For the same words it is the same version. Raises
    NotFound, Invalid for a letter that no campaign can send."""
    letter = session.execute(_LETTER, {"slug": slug}).one_or_none()
    if letter is None:
        raise NotFound(f"there is no letter {slug[:60]}")
    quiet = {"quiet_hours": f"{letter.quiet_from}-{letter.quiet_until}"} if letter.quiet_from is not None else {}
    step = {"key": "letter", "ask" if letter.kind == ASKS else "email": slug}
    named = {"slug": slug[:60], "name": slug, "on": LAUNCH, "expires": expires, "steps": [step]}
    definition = definitions.read(named | quiet)
    checked = sequence_checks.check(session, definition, now.date())
    if checked.faults:
        raise Invalid("; ".join(says for _, says in checked.faults))
    values = _values(definition, checked)
    found = session.scalar(_SAME, values)
    return int(found or session.execute(_ADD, values | _of(None, 1, now, None)).scalar_one())


def pause(session: Session, slug: str, because: str, now: datetime, *, who: int | None = None) -> Done:
    """Nobody enters it, steps in it or gets a letter of it, until `resume`. Paused already: nothing is done. Raises NotFound;
    Invalid without a reason."""
    if not because.strip():
        raise Invalid("say why it is paused: whoever finds it so wants to know")
    before = locked(session, slug)
    if before.paused_at is not None:
        return Done(before, changed=False)
    session.execute(_PAUSE, {"id": before.id, "because": because.strip()[:500], "now": now})
    detail = {"sequence": slug, "because": because.strip()[:500]}
    audit.write(session, who, "sequence paused", "sequence", before.id, detail, now)
    return Done(one(session, slug))


def resume(session: Session, slug: str, now: datetime, *, who: int | None = None) -> Done:
    """It goes on: waits went on meanwhile, and what is late goes by the rules of its steps. Raises NotFound."""
    before = locked(session, slug)
    if before.paused_at is None:
        return Done(before, changed=False)
    session.execute(_RESUME, {"id": before.id})
    breakers.excuse_sequence(session, before.id)
    audit.write(session, who, "sequence resumed", "sequence", before.id, {"sequence": slug}, now)
    happened: list[Event] = [
        MatterSettled(None, breakers.SEQUENCE, slug),
        StepsDue(None),
        LettersComposed(None, bell.DELIVERY),
    ]
    return Done(one(session, slug), happened=happened)


def archive(session: Session, slug: str, now: datetime, *, who: int | None = None) -> Done:
    """Take it off the list: nobody enters it any more, and whoever is in it comes to its end. Raises NotFound, and Conflict
    while campaigns send it."""
    before = locked(session, slug)
    if before.archived_at is not None:
        return Done(before, changed=False)
    if found := session.scalars(_AT_WORK, {"id": before.id}).all():
        raise Conflict(f"{slug} is what {', '.join(found)} sends: cancel that, or wait for its end")
    session.execute(_ARCHIVE, {"id": before.id, "now": now})
    audit.write(session, who, "sequence archived", "sequence", before.id, {"sequence": slug}, now)
    return Done(one(session, slug))


def _newest(session: Session, sequence_id: int, definition: Definition, checked: Checked) -> tuple[int, bool]:
    """The number of the newest version (0: there is none), and whether it says this. The sequence's row is locked."""
    newest = session.execute(_NEWEST, {"id": sequence_id}).one_or_none()
    if newest is None:
        return 0, False
    says = (definitions.said(definition), _plain(checked.pinned), list(checked.fund_ids))
    return int(newest.version), (newest.definition, newest.mailings, newest.fund_ids) == says


def _published(  # noqa: PLR0917 what goes on record
    session: Session, who: int | None, slug: str, sequence_id: int, version: int, now: datetime
) -> None:
    detail = {"sequence": slug, "version": version}
    audit.write(session, who, "sequence published", "sequence", sequence_id, detail, now)


def _values(definition: Definition, checked: Checked) -> dict[str, Any]:
    quiet_from, quiet_until = definition.quiet_hours or (None, None)
    return {
        "definition": orjson.dumps(definitions.said(definition)).decode(),
        "mailings": orjson.dumps(checked.pinned).decode(), "fund_ids": list(checked.fund_ids), "quiet_from": quiet_from,
        "quiet_until": quiet_until,
    }  # fmt: skip


def _of(sequence_id: int | None, version: int, now: datetime, who: int | None) -> dict[str, Any]:
    return {"sequence_id": sequence_id, "version": version, "now": now, "staff_id": who}


def _plain(pinned: Mapping[str, Any]) -> Any:
    """As the database gives it back."""
    return orjson.loads(orjson.dumps(pinned))


def _standing(row: Row[Any]) -> Standing:
    told = row._asdict()
    definition = told.pop("definition")
    return Standing(**told, definition=definitions.read(definition) if definition is not None else None)
