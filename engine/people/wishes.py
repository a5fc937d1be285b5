"""What someone said on a form of ours, carried out: her name and where she lives, her chapter, interests, offers to help.

At once, or when she has confirmed that it was she (`engine.people.confirmations`): the same function. The contacts are
locked by whoever calls.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HelpOffered, Person, Wishes
from engine.people import contacts, interests, routing, volunteers

SOURCE = "join"  # where such words come from, as interests and consents say it


@dataclass(frozen=True, slots=True)
class SaidByForm:
    """One sign-up on a form of ours, on record as `sign_up_id`: who, when, what she agreed to (`wording`) and wishes. No
    language: hers stays."""

    sign_up_id: int
    contact_id: int
    person: Person
    at: datetime
    wording: str
    wishes: Wishes
    cause: int | None


# The newest word wins of what can be said once. A chapter that is unknown by now was not chosen; nothing said is no choice.
_TAKE_OVER = text("""
WITH v AS MATERIALIZED (
    SELECT contact_id, max(at) AS last_at, (array_agg(language ORDER BY at DESC) FILTER (WHERE language <> ''))[1] AS language
    FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, at timestamptz, language text) GROUP BY contact_id
), chosen AS (
    SELECT DISTINCT ON (v.contact_id) v.contact_id, coalesce(g.chapter_id, h.id) AS chapter_id,
        CASE WHEN g.id IS NULL THEN '' ELSE 'gathering' END AS by
    FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, at timestamptz, chapter text, gathering text)
    LEFT JOIN chapter h ON h.slug = v.chapter
    LEFT JOIN gathering g ON g.code = nullif(v.gathering, '')
    WHERE coalesce(g.chapter_id, h.id) IS NOT NULL ORDER BY v.contact_id, v.at DESC
)
UPDATE contact c SET language = coalesce(v.language, c.language), engaged_last_at = greatest(c.engaged_last_at, v.last_at),
    chosen_chapter_id = coalesce(chosen.chapter_id, c.chosen_chapter_id), chosen_by = coalesce(chosen.by, c.chosen_by)
FROM v LEFT JOIN chosen ON chosen.contact_id = v.contact_id
WHERE c.id = v.contact_id
""")

# Where she lives by what she says here, else by what is known.
_INTRODUCE = text("""
INSERT INTO introduction AS i (contact_id, place, at)
SELECT DISTINCT ON (v.contact_id) v.contact_id, z.state || ':' || z.county, v.at
FROM json_to_recordset(CAST(:rows AS json)) AS v(contact_id bigint, zip text, at timestamptz)
JOIN contact c ON c.id = v.contact_id JOIN zip z ON z.zip = coalesce(v.zip, c.zip)
ORDER BY v.contact_id, v.at DESC
ON CONFLICT (contact_id) DO UPDATE SET place = excluded.place, at = excluded.at WHERE excluded.at >= i.at
""")


_ADDRESSES = text("SELECT id, email FROM contact WHERE id = ANY(:ids)")


def carry_out(session: Session, said: Sequence[SaidByForm], now: datetime) -> list[Event]:
    """Do what these people wish, whatever their number in as many statements. Returns whose chapter is another now, and who
    offers to help."""
    if not said:
        return []
    session.execute(_TAKE_OVER, {"rows": rows(map(_terms, said))})
    # Typed may be an address of hers that was merged into another: what she said goes to whom she is now.
    found = session.execute(_ADDRESSES, {"ids": [one.contact_id for one in said]})
    addresses = {row.id: row.email for row in found}
    persons = [replace(one.person, email=addresses[one.contact_id]) for one in said]
    told = zip(persons, said, strict=True)
    moved = contacts.admit(session, [contacts.Said(person, one.at, cause=one.cause) for person, one in told], now)
    interests.care(session, list(_codes(said, "interests")))
    helping = volunteers.offer(session, list(_codes(said, "ways_to_help")), now)
    willing = [
        {"contact_id": one.contact_id, "zip": one.person.zip, "at": one.at} for one in said if one.wishes.introduce
    ]
    if willing:
        session.execute(_INTRODUCE, {"rows": rows(willing)})
    causes = {one.contact_id: one.cause for one in said}
    homes = routing.rehome(session, sorted(causes), now, None)
    return [*moved, *homes, *(HelpOffered(causes[contact_id], contact_id) for contact_id in helping)]


def kept(row: Row[Any]) -> SaidByForm:
    """The same from its record: a row with id, contact_id, person, at, detail and inbound_event_id."""
    told: Mapping[str, Any] = row.detail["wishes"]
    codes = {name: tuple(told[name]) for name in ("interests", "ways_to_help")}
    return SaidByForm(
        sign_up_id=row.id,
        contact_id=row.contact_id,
        person=Person(**row.person),
        at=row.at,
        wording=row.detail.get("wording", ""),
        wishes=Wishes(**{**told, **codes}),
        cause=row.inbound_event_id,
    )


def _terms(one: SaidByForm) -> dict[str, object]:
    return {
        "contact_id": one.contact_id,
        "at": one.at,
        "language": one.wishes.language,
        "chapter": one.wishes.chapter,
        "gathering": one.wishes.gathering,
    }


def _codes(said: Collection[SaidByForm], name: str) -> Iterator[dict[str, object]]:
    for one in said:
        for code in getattr(one.wishes, name):
            yield {"contact_id": one.contact_id, "code": code, "at": one.at, "source": SOURCE}
