"""The sum of what each person allows and forbids, for whoever counts many of them: `contact.mail_leave`.

Most people said yes once and nothing since, or no: of them one number says whether they may get a letter, of any kind, from
whomever. Of all others (a kind refused, a pause, a rest) each question is asked of their words. Whatever is said anew puts
her number in doubt (`mail_doubt`, by triggers), and until somebody has looked again her words are asked as well: so that
`summed` is exact at any moment. Whether a letter leaves is decided without it.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bookmarks
from engine.bookmarks import Place
from engine.people.consent import STANDING_SUPPRESSIONS

STRETCH = 2_000  # people in one transaction: nobody can say anything new of them meanwhile

# SQL over contact `c`: her number, as long as it counts.
NUMBER = "(CASE WHEN c.id NOT IN (SELECT doubted_id FROM mail_doubt) THEN c.mail_leave END)"

LOCK = 0x67726C6C  # whoever brings in suppressions shares it (a trigger of theirs), whoever sums up has it alone
BOOKMARK = "leave"  # up to which contact everybody has been looked at once

_ALONE = text("SELECT pg_try_advisory_xact_lock(:lock)")
# Words that come in hold her row as their foreign key does: who is locked here has none on the way, and gets none.
_DOUBTED = text("SELECT id, doubted_id FROM mail_doubt ORDER BY id LIMIT :most")
_LOCK = text("""
WITH named AS MATERIALIZED (
    SELECT unnest(CAST(:doubted AS bigint[])) AS id
    UNION (SELECT n.id FROM contact n WHERE n.id > :after ORDER BY n.id LIMIT :most)
)
SELECT c.id FROM named n CROSS JOIN LATERAL (SELECT c.id FROM contact c WHERE c.id = n.id FOR UPDATE SKIP LOCKED) c
""")
_UPTO = text("SELECT max(id) FROM (SELECT id FROM contact WHERE id > :after ORDER BY id LIMIT :most) n")
_SUM = text(f"""
UPDATE contact c SET mail_leave = found.leave FROM (
SELECT c.id, CASE
    WHEN c.email IS NULL OR c.merged_into_id IS NOT NULL OR c.erased_at IS NOT NULL
        OR EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) x WHERE x.email = c.email) THEN 0
    WHEN said.stopped OR NOT said.any_yes THEN 0
    WHEN said.yes AND NOT said.but AND c.rested_at IS NULL THEN 1
    ELSE 2 END AS leave
FROM contact c CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(w.kind = '' AND NOT w.given), false) AS stopped, coalesce(bool_or(w.given), false) AS any_yes,
        coalesce(bool_or(w.kind = '' AND w.given), false) AS yes,
        coalesce(bool_or(w.kind NOT IN ('', 'many') AND NOT w.given), false) AS but
    FROM (SELECT DISTINCT ON (kind) kind, given FROM consent WHERE contact_id = c.id AND channel = 'mail'
        ORDER BY kind, at DESC, given) w
) said
WHERE c.id = ANY(:ids)
) found WHERE c.id = found.id AND c.mail_leave IS DISTINCT FROM found.leave
""")
_LATER = text("""
INSERT INTO mail_doubt (doubted_id) SELECT id FROM contact WHERE id > :after AND id <= :upto AND id <> ALL(:locked)
""")
# Whose contact is gone, nobody will look at again.
_SETTLED = text("""
DELETE FROM mail_doubt d WHERE d.id = ANY(:ids)
    AND (d.doubted_id = ANY(:summed) OR NOT EXISTS (SELECT FROM contact c WHERE c.id = d.doubted_id))
RETURNING d.id
""")


def sum_up(session: Session, most: int = STRETCH) -> tuple[int, bool]:
    """Sum up the words of people whom nobody has looked at since they came or changed. Returns of how many, and whether there
    may be more. Whom somebody else locks at this moment is looked at the next time; so is everybody while suppressions are on
    their way, which may be those of people who have come since."""
    if not session.scalar(_ALONE, {"lock": LOCK}):
        return 0, False
    place = bookmarks.find(session, BOOKMARK)
    after = place.number if place else 0
    upto = session.scalar(_UPTO, {"after": after, "most": most})
    doubts = session.execute(_DOUBTED, {"most": most}).all()
    values = {"doubted": sorted({row.doubted_id for row in doubts}), "after": after, "most": most}
    locked = session.scalars(_LOCK, values).all()
    if locked:
        session.execute(_SUM, {"ids": locked})
    done = session.scalars(_SETTLED, {"ids": [row.id for row in doubts], "summed": locked}).all() if doubts else []
    if upto is not None:
        session.execute(_LATER, {"after": after, "upto": upto, "locked": locked})
        bookmarks.put(session, BOOKMARK, Place(number=upto))
    return len(locked), upto is not None or len(done) == most
