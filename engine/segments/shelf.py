"""Saved segments: rules by their names. What is saved is the question, never its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.documents import Document, Fault
from engine.errors import Conflict, NotFound
from engine.segments import names as naming
from engine.segments import rules
from engine.segments.files import Draft
from engine.segments.rules import Rule

_EVERY = text("""
SELECT s.id, s.slug, s.name, s.rule, coalesce(h.slug, '') AS chapter, s.chapter_id, s.changed_at, s.archived_at
FROM segment s LEFT JOIN chapter h ON h.id = s.chapter_id
WHERE s.archived_at IS NULL AND (CAST(:of AS bigint[]) IS NULL OR s.chapter_id IS NULL OR s.chapter_id = ANY(:of))
    AND s.slug > :behind
ORDER BY s.slug LIMIT CAST(:most AS bigint)
""")
_ONE = text("""
SELECT s.id, s.slug, s.name, s.rule, coalesce(h.slug, '') AS chapter, s.chapter_id, s.changed_at, s.archived_at
FROM segment s LEFT JOIN chapter h ON h.id = s.chapter_id WHERE s.slug = :slug
""")
_HOLD = text("SELECT id FROM segment WHERE slug = :slug FOR UPDATE")
_SAVE = text("""
INSERT INTO segment AS s (slug, name, chapter_id, rule, changed_at)
VALUES (:slug, :name, :chapter_id, CAST(:rule AS jsonb), :now)
ON CONFLICT (slug) DO UPDATE SET name = excluded.name, chapter_id = excluded.chapter_id, rule = excluded.rule,
    changed_at = excluded.changed_at, archived_at = NULL WHERE NOT :new
RETURNING s.id
""")
_ARCHIVE = text("UPDATE segment SET archived_at = :now WHERE id = :id AND archived_at IS NULL RETURNING id")


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved segment. `chapter`: the slug of whose it is, which bounds whom it chooses; '' the root's."""

    id: int
    slug: str
    name: str
    chapter: str
    chapter_id: int | None
    rule: Rule
    changed_at: datetime
    archived_at: datetime | None = None

    @property
    def draft(self) -> Draft:
        """As a file has it."""
        return Draft(self.slug, self.name, self.chapter, self.rule)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What saving did: the segment's id, whether it is new, which fields are others now (none: nothing was written)."""

    id: int
    new: bool
    fields: Sequence[str]


def every(
    session: Session, chapter_ids: Sequence[int] | None = None, *, behind: str = "", most: int | None = None
) -> list[Saved]:
    """All that are not archived, or those of these chapters and the root's, by their names; at most so many, behind this
    name."""
    of = None if chapter_ids is None else list(chapter_ids)
    return [_saved(row) for row in session.execute(_EVERY, {"of": of, "behind": behind, "most": most})]


def one(session: Session, slug: str, *, hold: bool = False) -> Saved:
    """One by its name, archived or not. Raises NotFound. `hold`: nobody else changes it before this transaction ends."""
    if hold:
        session.execute(_HOLD, {"slug": slug})
    found = session.execute(_ONE, {"slug": slug}).one_or_none()
    if found is None:
        raise NotFound(f"there is no segment {slug}")
    return _saved(found)


def faults(session: Session, draft: Draft, document: Document, within: Sequence[int] | None = None) -> list[Fault]:
    """What it names that there is not, each in its line. `within`: as of `names.find`."""
    names = naming.find(session, draft.rule, chapters=[draft.chapter] if draft.chapter else [], within=within)
    missing = [document.fault(["rule", *path], says) for path, says in naming.unknown(session, draft.rule, names)]
    if draft.chapter and ("chapter", draft.chapter) not in names.found:
        missing.append(document.fault(["chapter"], f"there is no chapter {draft.chapter}"))
    return sorted(missing, key=lambda fault: fault.line)


def save(session: Session, draft: Draft, now: datetime, *, new: bool = False) -> Outcome:
    """Keep it under its name, in the place of what that named; an archived one is back. Raises NotFound: the chapter; with
    `new`, Conflict: the name is taken."""
    names = naming.find(session, chapters=[draft.chapter] if draft.chapter else [])
    if draft.chapter and ("chapter", draft.chapter) not in names.found:
        raise NotFound(f"there is no chapter {draft.chapter}")
    before = session.execute(_ONE, {"slug": draft.slug}).one_or_none()
    rule = rules.said(draft.rule)
    is_now = {"name": draft.name, "chapter": draft.chapter, "rule": rule, "archived_at": None}
    changed = [name for name, value in is_now.items() if before is None or getattr(before, name) != value]
    if before is not None and not changed and not new:
        return Outcome(before.id, new=False, fields=())
    chapter_id = names.own(draft.chapter) if draft.chapter else None
    values = {"slug": draft.slug, "name": draft.name, "chapter_id": chapter_id, "now": now, "new": new}
    saved = session.scalar(_SAVE, values | {"rule": orjson.dumps(rule).decode()})
    if saved is None:
        raise Conflict(f"{draft.slug} is taken: there is a segment of this short name")
    return Outcome(saved, before is None, [name for name in changed if before or name != "archived_at"])


def archive(session: Session, slug: str, now: datetime) -> int | None:
    """Take it off the list; its id, None when it was off already. Raises NotFound."""
    found: int | None = session.scalar(_ARCHIVE, {"id": one(session, slug).id, "now": now})
    return found


def _saved(row: Row[tuple[object, ...]]) -> Saved:
    return Saved(
        row.id, row.slug, row.name, row.chapter, row.chapter_id, rules.read(row.rule), row.changed_at, row.archived_at
    )
