"""Contacts: admitted by address, one per normalised address; the best words about them win (`best_words`), in whatever order
they came.

Donors without an address are admitted by what makes them the same donor (`donor_key`, see `engine.giving.donors`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import NotFound
from engine.events import ChapterChanged, Person
from engine.languages import ENGLISH
from engine.people import best_words, routing
from engine.sources.words import clean, email_address

# Sorted by address: the lock order of the whole house; a row that is left as it is gets locked all the same. Who is new has
# a home at once, the likely one; whoever's word was written is routed by all that is known, after that. Of whom nobody knows
# yet whether it was she, has none.
_ADMIT = """
WITH words AS MATERIALIZED (
    SELECT v.{key} AS key, {told}
    FROM json_to_recordset(CAST(:rows AS json)) AS v(
        {key} text, first_name text, last_name text, street text, city text, state text, zip text, country text,
        phone text, at timestamptz)
    LEFT JOIN zip z ON z.zip = v.zip
), {combined}
INSERT INTO contact AS c ({key}, {columns}, chapter_id, routed_by, routed_on)
SELECT p.key, {theirs}, h.chapter_id, coalesce(h.by, '{unconfirmed}'), coalesce(h."on", '')
FROM person p LEFT JOIN zip_route r ON r.zip = p.zip CROSS JOIN ({root}) root
LEFT JOIN LATERAL (SELECT coalesce(r.chapter_id, root.id) AS chapter_id, coalesce(r.by, 'root') AS by,
    coalesce(r."on", 'no chapter for ' || p.zip, 'no ZIP') AS "on") h ON p.key <> ALL(:unconfirmed)
ORDER BY p.key
ON CONFLICT ({key}) {better_wins}
RETURNING c.id, c.{key} AS key, old.id IS NULL AS fresh
"""
_RULES = {
    "root": routing.ROOT, "told": best_words.told("v", "v.at", "z"), "combined": best_words.COMBINED,
    "columns": best_words.LISTED, "theirs": ", ".join(f"p.{name}" for name in best_words.COLUMNS),
    "better_wins": best_words.BETTER_WINS, "unconfirmed": routing.UNCONFIRMED,
}  # fmt: skip
_BY_ADDRESS = text(_ADMIT.format(key="email", **_RULES))
_BY_DONOR = text(_ADMIT.format(key="donor_key", **_RULES))

_CHAPTERS_OWN = text("SELECT entity_id FROM actblue_entity WHERE chapter_id IS NOT NULL AND entity_id = ANY(:ids)")

# Whose chapter's own ActBlue entity somebody gave to: the newest such gift counts, of those on the books and those about
# to be.
_HINT = text("""
WITH told AS MATERIALIZED (
    SELECT v.email, v.donor_key, v.at, e.chapter_id
    FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, donor_key text, entity_id bigint, at timestamptz)
    JOIN actblue_entity e ON e.entity_id = v.entity_id WHERE e.chapter_id IS NOT NULL
), hint AS (
    SELECT c.id, t.chapter_id, t.at FROM told t JOIN contact c ON c.email = t.email
    UNION ALL
    SELECT c.id, t.chapter_id, t.at FROM told t JOIN contact c ON c.donor_key = t.donor_key
)
UPDATE contact c SET entity_chapter_id = n.chapter_id
FROM (
    SELECT DISTINCT ON (x.id) x.id, x.chapter_id FROM (
        SELECT * FROM hint
        UNION ALL
        SELECT g.contact_id, e.chapter_id, g.paid_at FROM (SELECT DISTINCT id FROM hint) h
        JOIN contribution g ON g.contact_id = h.id
        JOIN actblue_entity e ON e.entity_id = g.entity_id AND e.chapter_id IS NOT NULL
    ) x ORDER BY x.id, x.at DESC, x.chapter_id
) n
WHERE c.id = n.id AND c.entity_chapter_id IS DISTINCT FROM n.chapter_id
RETURNING c.id, coalesce(c.email, c.donor_key) AS key
""")

# Whoever chose her language on a form of ours keeps it.
_SPEAK = text("""
UPDATE contact c SET language = v.language
FROM (SELECT DISTINCT ON (x.email) x.email, x.language
    FROM json_to_recordset(CAST(:rows AS json)) AS x(email text, language text) ORDER BY x.email, x.language) v
JOIN contact known ON known.email = v.email
WHERE c.id = coalesce(known.merged_into_id, known.id) AND c.language = :english AND NOT EXISTS (
    SELECT FROM sign_up s WHERE s.contact_id = c.id AND coalesce(s.detail -> 'wishes' ->> 'language', '') <> '')
""")

_KNOWN = text("SELECT email, coalesce(merged_into_id, id) AS id FROM contact WHERE email = ANY(:emails)")

# Chains of merges are flat: one step leads to who she is now.
_FIND = text("SELECT id, coalesce(merged_into_id, id) AS now FROM contact WHERE email = :email OR id = :id")
_STANDING = text("SELECT coalesce(merged_into_id, id) FROM contact WHERE id = :id")
_SURVIVORS = text("""
SELECT old.email, now.email AS now FROM contact old JOIN contact now ON now.id = old.merged_into_id
WHERE old.merged_into_id IS NOT NULL AND old.email = ANY(:emails) AND now.email IS NOT NULL
""")

# Locked in the order of addresses, as always; she who is written to now comes last.
_CHAIN = """
WITH RECURSIVE chain AS (
    SELECT id, merged_into_id, 0 AS step FROM contact WHERE id = :id
    UNION ALL
    SELECT c.id, c.merged_into_id, chain.step + 1 FROM contact c JOIN chain ON c.id = chain.merged_into_id WHERE step < 50
), locked AS MATERIALIZED (
    SELECT id, email, erased_at FROM contact WHERE id IN (SELECT id FROM chain) ORDER BY email {lock}
)
SELECT locked.id, email FROM locked JOIN chain USING (id) WHERE erased_at IS NULL ORDER BY step
"""
_SAME, _SAME_LOCKED = text(_CHAIN.format(lock="")), text(_CHAIN.format(lock="FOR NO KEY UPDATE"))

# A word that says nothing: it locks a row and leaves it as it is.
LOCKED_ONLY: Mapping[str, object] = dict.fromkeys(
    ("first_name", "last_name", "street", "city", "state", "country", "phone"), ""
) | {"zip": None, "at": "-infinity"}


@dataclass(frozen=True, slots=True)
class Same:
    """One of the contacts that are the same person."""

    id: int
    email: str | None


def same(session: Session, contact_id: int, *, lock: bool) -> list[Same]:
    """This contact and those that it was merged into, one after the other: the last is who she is now.

    Nobody when there is no such contact; whoever was erased is left out.
    """
    return [Same(*row) for row in session.execute(_SAME_LOCKED if lock else _SAME, {"id": contact_id})]


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody's words about herself, when she said them, and what follows for her chapter: the ActBlue entity she gave
    to. `donor_key`: who she is when she has no address. `unconfirmed`: whether it was she is still to be decided, and who is
    new has no home before that."""

    person: Person
    at: datetime
    entity_id: int | None = None
    cause: int | None = None
    donor_key: str | None = None
    unconfirmed: bool = False


def admit(
    session: Session, said: Iterable[Said | tuple[Person, datetime]], now: datetime, also: Collection[str] = ()
) -> list[ChapterChanged]:
    """Make or update the contacts of these people, and let their homes follow. Those without an address are passed by;
    words under the address of somebody who was merged are about whom she is now. `also` are addresses of contacts that are
    locked only. Returns whose chapter is another than before.

    As many statements however many. Every row is locked for the rest of the transaction, changed or not, in the order of
    addresses; the map of chapters is held.
    """
    words = [one if isinstance(one, Said) else Said(*one) for one in said]
    if words or also:
        routing.hold(session)  # for those without an address, too: they are admitted later
    words = _of_survivors(session, [one for one in words if one.person.email])
    named = {one.person.email for one in words}
    records = [{"email": one.person.email} | _record(one) for one in words]
    records += [{**LOCKED_ONLY, "email": email} for email in also if email not in named]
    return _written(session, _BY_ADDRESS, words, records, now)


def admit_donors(session: Session, said: Sequence[Said], now: datetime) -> list[ChapterChanged]:
    """The same for donors without an address, by their `donor_key`. The caller holds the map."""
    records = [{"donor_key": one.donor_key} | _record(one) for one in said]
    return _written(session, _BY_DONOR, said, records, now)


def _written(
    session: Session,
    statement: TextClause,
    words: Sequence[Said],
    records: Sequence[Mapping[str, object]],
    now: datetime,
) -> list[ChapterChanged]:
    if not records:
        return []
    settled = {one.person.email or one.donor_key for one in words if not one.unconfirmed}
    open_ = {one.person.email or one.donor_key for one in words} - settled
    written = session.execute(statement, {"rows": rows(records), "unconfirmed": list(open_)}).all()
    written = [row for row in written if not row.fresh or row.key not in open_]
    hinted = _hinted(session, words)
    fresh = {row.id for row in written if row.fresh}
    keys = {row.id: row.key for row in (*written, *hinted)}
    causes = {one.person.email or one.donor_key: one.cause for one in words}
    changed = routing.follow(session, list(keys), now, None, fresh=fresh)
    return [replace(one, cause=causes.get(keys[one.contact_id])) for one in changed]


def _hinted(session: Session, words: Sequence[Said]) -> Sequence[Row[Any]]:
    """Whose hint by a gift is another now: rows (id, key)."""
    entities = {one.entity_id for one in words if one.entity_id is not None}
    own = set(session.scalars(_CHAPTERS_OWN, {"ids": list(entities)})) if entities else set()
    if not own:
        return []
    gifts = (
        {"email": one.person.email, "donor_key": one.donor_key, "entity_id": one.entity_id, "at": one.at}
        for one in words
        if one.entity_id in own
    )
    return session.execute(_HINT, {"rows": rows(gifts)}).all()


def speak(session: Session, told: Collection[tuple[str, str]]) -> None:
    """Pairs of an address and the language of the page on which she gave: hers from now on, if she has said none before. The
    caller has admitted them."""
    if spoken := [{"email": email, "language": said} for email, said in told if said not in ("", ENGLISH)]:
        session.execute(_SPEAK, {"rows": rows(spoken), "english": ENGLISH})


def known(session: Session, emails: Collection[str]) -> Mapping[str, int]:
    """The contacts of these addresses: email -> id. Of one who was merged, that of whom she is now."""
    return {row.email: row.id for row in session.execute(_KNOWN, {"emails": list(emails)})}


def find(session: Session, who: str, *, as_is: bool = False) -> int:
    """The contact that a person names by address or number: who she is now, or `as_is` that very row. Raises NotFound."""
    email = email_address(clean(who)) if "@" in who else None
    number = int(who) if who.isdecimal() and len(who) < 19 else None
    found = session.execute(_FIND, {"email": email, "id": number}).one_or_none()
    if found is None:
        raise NotFound("there is no such contact")
    return int(found.id if as_is else found.now)


def standing(session: Session, contact_id: int) -> int:
    """Who this contact is now: whom she was merged into, else herself; erased or not. Raises NotFound."""
    found: int | None = session.scalar(_STANDING, {"id": contact_id})
    if found is None:
        raise NotFound(f"no contact {contact_id}")
    return found


def _of_survivors(session: Session, words: Sequence[Said]) -> list[Said]:
    """The same words; those under the address of somebody who was merged are about whom she is now."""
    survivors = session.execute(_SURVIVORS, {"emails": [one.person.email for one in words]}).all() if words else ()
    now = {row.email: row.now for row in survivors}
    return [
        replace(one, person=replace(one.person, email=now[one.person.email])) if one.person.email in now else one
        for one in words
    ]


def spoken(name: str) -> str:
    """A name as one would write it: forms often send "MARY" or "mary"; anything mixed is left as its owner wrote it."""
    return name.title() if name.isupper() or name.islower() else name


def _record(word: Said) -> dict[str, object]:
    donor = word.person
    return {
        "first_name": spoken(donor.first_name),
        "last_name": spoken(donor.last_name),
        "street": donor.street,
        "city": donor.city,
        "state": donor.state,
        "zip": donor.zip,
        "country": donor.country,
        "phone": donor.phone,
        "at": word.at,
    }
