"""Who may do what, where: RIGHTS says what each role may do, a `Reach` where. Pure but for loading the tree of chapters.

A right of its own, whatever the role, is to take people's data out of the house (`EXPORT`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

ADMIN, ORGANIZER, TREASURER, VIEWER = "admin", "organizer", "treasurer", "viewer"

SEE_PEOPLE = "see people"
CHANGE_PEOPLE = "change people"  # place, stop letters, offers of help, paper sheets
ERASE_PEOPLE = "erase people"  # what cannot be taken back: erasing and merging
WRITE_LETTERS = "write letters"  # and let one go on that stood still; for all chapters, or not at all
WRITE_NOTES = "write notes"  # what a chapter adds to a letter
LAUNCH = "launch campaigns"  # and approve, pause, cancel them: those of chapters within reach
DECIDE = "decide about chapters"  # territories and sparks; for all chapters, or not at all
MANAGE_STAFF = "manage staff"
SEE_GIFTS = "see gifts"  # amounts
SEE_SNAPSHOTS = "see snapshots"  # who gave, as the treasurer alone keeps it: it outlives the person's record
EXPORT = "export"

RIGHTS: Mapping[str, frozenset[str]] = {
    ADMIN: frozenset(
        {SEE_PEOPLE, CHANGE_PEOPLE, ERASE_PEOPLE, WRITE_LETTERS, WRITE_NOTES, LAUNCH, DECIDE, MANAGE_STAFF, SEE_GIFTS}
    ),
    ORGANIZER: frozenset({SEE_PEOPLE, CHANGE_PEOPLE, WRITE_NOTES, LAUNCH}),
    TREASURER: frozenset({SEE_PEOPLE, SEE_GIFTS, SEE_SNAPSHOTS}),
    VIEWER: frozenset({SEE_PEOPLE}),
}
FOR_ALL_CHAPTERS = frozenset({WRITE_LETTERS, DECIDE, MANAGE_STAFF})

_TREE = text("SELECT id, parent_id FROM chapter")


@dataclass(frozen=True, slots=True)
class Reach:
    """The chapters whose people someone sees. `everywhere`: all of them, and people who have none."""

    everywhere: bool
    chapter_ids: frozenset[int]

    def holds(self, chapter_id: int | None) -> bool:
        """Whether people of this chapter are within it."""
        return self.everywhere or chapter_id in self.chapter_ids

    def values(self) -> dict[str, object]:
        """What IN_REACH is bound to."""
        return {"everywhere": self.everywhere, "reach": sorted(self.chapter_ids)}


# The condition of every statement about people: `c` is the contact. Nobody's record is found otherwise.
IN_REACH = "(:everywhere OR c.chapter_id = ANY(CAST(:reach AS bigint[])))"


def may(role: str, right: str, *, may_export: bool = False, everywhere: bool = True) -> bool:
    """Whether someone of this role may do this at all, somewhere."""
    if right == EXPORT:
        return may_export
    return right in RIGHTS.get(role, frozenset()) and (everywhere or right not in FOR_ALL_CHAPTERS)


def below(chapter_id: int, parents: Mapping[int, int | None]) -> frozenset[int]:
    """A chapter and all that stand below it. `parents`: of each chapter, the one above it. Ends in a circle, too."""
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [chapter_id]
    while waiting:
        chapter = waiting.pop()
        if chapter not in found:
            found.add(chapter)
            waiting += children.get(chapter, ())
    return frozenset(found)


def reach_of(chapter_id: int | None, parents: Mapping[int, int | None]) -> Reach:
    """The reach of someone who works for this chapter; none, or the root: everywhere."""
    if chapter_id is None or (chapter_id in parents and parents[chapter_id] is None):
        return Reach(everywhere=True, chapter_ids=frozenset(parents))
    return Reach(everywhere=False, chapter_ids=below(chapter_id, parents))


def reach(session: Session, chapter_id: int | None) -> Reach:
    """The same, by the chapters as they stand."""
    return reach_of(chapter_id, {row.id: row.parent_id for row in session.execute(_TREE)})
