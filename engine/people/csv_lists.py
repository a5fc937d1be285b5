"""People as a list: which of them, and their columns as a CSV that no spreadsheet takes for formulas."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.people import consent
from engine.people.consent import STANDING_SUPPRESSIONS

# A text as a cell: one that begins as formulas do gets an apostrophe before it, which our importers take off again.
DISARMED = r"(CASE WHEN {0} ~ '^[=+\-@\t\r\n]' THEN '''' || {0} ELSE {0} END)"
MOST_CUSTOM = 200  # custom fields that become columns, in the order of their names

_CHAPTER = text("SELECT id FROM chapter WHERE slug = :slug")
_INTEREST = text("SELECT id FROM interest WHERE code = :code")
_CUSTOM = text("""
SELECT DISTINCT key FROM contact, jsonb_object_keys(custom) key WHERE custom <> '{}' AND key <> 'tags'
ORDER BY key LIMIT :most
""")

_TEXTS = ("email", "first_name", "last_name", "street", "city", "state", "zip", "country", "phone", "language")
# Whether she may be written to, as the importers name it, and since when.
_STANDING = f"""
LEFT JOIN LATERAL (
    SELECT given, at FROM consent w WHERE w.contact_id = c.id AND w.channel = 'mail' AND w.kind = ''
    ORDER BY at DESC, given LIMIT 1) word ON true
LEFT JOIN LATERAL (
    SELECT min(CASE x.reason WHEN 'complaint' THEN '1 complained' WHEN 'bounce' THEN '2 cleaned'
        WHEN 'invalid' THEN '2 cleaned' ELSE '3 unsubscribed' END) AS reason, max(x.at) AS at
    FROM ({STANDING_SUPPRESSIONS}) x WHERE x.email = c.email) stop ON true
"""
_STATUS = "CASE WHEN stop.reason IS NOT NULL THEN substr(stop.reason, 3) WHEN word.given THEN 'subscribed' \
WHEN NOT word.given THEN 'unsubscribed' ELSE '' END"
# Some kind of letter may go to her, by the rule that the last look goes by.
_MAILABLE = "({})".format(" OR ".join(consent.mailable(f"'{kind}'").replace(":now", "now()") for kind in consent.KINDS))
_LISTED = """
    home.slug AS chapter,
    {tags} AS tags,
    {status} AS status,
    CASE WHEN word.given THEN word.at END AS opted_in_at,
    CASE WHEN stop.reason LIKE '3%%' OR NOT word.given THEN greatest(stop.at, CASE WHEN NOT word.given THEN word.at END) END
        AS opted_out_at,
    CASE WHEN stop.reason LIKE '2%%' THEN stop.at END AS cleaned_at,
    CASE WHEN stop.reason LIKE '1%%' THEN stop.at END AS complained_at,
    c.engaged_last_at AS engaged_at, c.details_at AS changed_at,
    (SELECT string_agg(i.code, ' ' ORDER BY i.code) FROM contact_interest ci JOIN interest i ON i.id = ci.interest_id
        WHERE ci.contact_id = c.id) AS interests
"""
_TAGS = """(SELECT string_agg(tag, ', ' ORDER BY tag) FROM jsonb_array_elements_text(
    CASE WHEN jsonb_typeof(c.custom -> 'tags') = 'array' THEN c.custom -> 'tags' ELSE '[]' END) tag)"""
_BELOW = """c.chapter_id IN (
    WITH RECURSIVE below AS (
        SELECT id FROM chapter WHERE id = {chapter} UNION SELECT d.id FROM chapter d JOIN below b ON d.parent_id = b.id)
    SELECT id FROM below)"""


@dataclass(frozen=True, slots=True)
class Whom:
    """Some people: of a chapter and those below it (its slug), who may be mailed, who care about an interest (its code).

    Empty: all of them. Who has no address, was erased or merged into another is in none.
    """

    chapter: str = ""
    mailable: bool = False
    interest: str = ""

    @property
    def told(self) -> dict[str, object]:
        """What is said of it on record: codes and slugs only."""
        return {name: value for name, value in asdict(self).items() if value}


def as_csv(session: Session, whom: Whom) -> sql.Composed:
    """`COPY … TO STDOUT` of these people, a header first. Raises NotFound for a chapter or an interest that is none."""
    conditions = [sql.SQL("c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL")]
    wanted: list[sql.Composable] = [*conditions]
    if whom.chapter:
        wanted.append(sql.SQL(_BELOW).format(chapter=sql.Literal(_id(session, _CHAPTER, slug=whom.chapter))))
    if whom.interest:
        interest = sql.Literal(_id(session, _INTEREST, code=whom.interest))
        cares = "EXISTS (SELECT FROM contact_interest ci WHERE ci.contact_id = c.id AND ci.interest_id = {interest})"
        wanted.append(sql.SQL(cares).format(interest=interest))
    if whom.mailable:
        wanted.append(sql.SQL(_MAILABLE))
    custom = session.scalars(_CUSTOM, {"most": MOST_CUSTOM}).all()
    statement = sql.SQL("COPY (SELECT {columns} FROM contact c LEFT JOIN chapter home ON home.id = c.chapter_id {standing}"
        " WHERE {wanted} ORDER BY c.email) TO STDOUT (FORMAT csv, HEADER)")  # fmt: skip
    return statement.format(columns=_columns(custom), standing=sql.SQL(_STANDING), wanted=sql.SQL(" AND ").join(wanted))


def _columns(custom: Sequence[str]) -> sql.Composable:
    listed = _LISTED.format(tags=DISARMED.format(_TAGS), status=_STATUS).replace("%%", "%")
    made: list[sql.Composable] = [sql.SQL(f"{DISARMED.format('c.' + name)} AS {name}") for name in _TEXTS]
    made.append(sql.SQL(listed))
    for name in custom:
        cell = sql.SQL(DISARMED).format(sql.SQL("(c.custom ->> {})").format(sql.Literal(name)))
        made.append(sql.SQL("{} AS {}").format(cell, sql.Identifier(_heading(name))))
    return sql.SQL(", ").join(made)


def _heading(name: str) -> str:
    return f"custom:{name}"


def _id(session: Session, statement: object, **named: str) -> int:
    found = session.execute(statement, named).scalar_one_or_none()  # type: ignore[call-overload]
    if found is None:
        raise NotFound(f"there is no {' '.join(named)} {' '.join(named.values())}")
    return int(found)
