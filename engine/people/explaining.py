"""Why somebody belongs to her chapter, in plain sentences: `explain` loads the facts, `sentences` is pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.people import routing
from engine.people.routing import Route

_PERSON = text("""
SELECT c.id, c.first_name, c.last_name, c.zip, c.chapter_id, c.routed_by, c.routed_on
FROM contact c WHERE c.id = (SELECT coalesce(merged_into_id, id) FROM contact WHERE email = :email)
""")
_CHAPTERS = text("SELECT id, name, kind FROM chapter")
_RIVALS = text("""
SELECT chapter_id FROM territory WHERE kind = :kind AND place = :place AND chapter_id <> :home ORDER BY chapter_id
""")
_FOLLOWED = text("SELECT chapter_id FROM followed_chapter WHERE contact_id = :id ORDER BY at, chapter_id")
_MOVES = text("""
SELECT at, from_chapter_id, to_chapter_id, by, "on" FROM chapter_move WHERE contact_id = :id ORDER BY at, id
""")


@dataclass(frozen=True, slots=True)
class Move:
    """When somebody came to a chapter, from where, and why. Chapters by name."""

    at: datetime
    before: str | None
    after: str | None
    by: str
    on: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of somebody's chapter. Chapters by name.

    `land`: where she would belong by where she lives alone. `due`: where she would belong if she were routed now. `rivals`:
    who else claims what decided. `follows`: other chapters that she hears of.
    """

    name: str
    home: str | None
    by: str
    on: str = ""
    zip: str | None = None
    is_root: bool = False
    land: tuple[str | None, Route] = (None, Route(None, "root", "no ZIP"))
    due: str | None = None
    rivals: Sequence[str] = ()
    follows: Sequence[str] = ()
    moves: Sequence[Move] = ()


def explain(session: Session, email: str) -> list[str]:
    """Why the person of this address belongs to her chapter. Raises NotFound for an address that nobody has."""
    return sentences(load(session, email))


def load(session: Session, email: str) -> Facts:
    """The facts. Raises NotFound."""
    person = session.execute(_PERSON, {"email": email.strip().lower()}).one_or_none()
    if person is None:
        raise NotFound("nobody here has this address")
    chapters = {row.id: row for row in session.execute(_CHAPTERS)}
    names: dict[int | None, str] = {id_: row.name for id_, row in chapters.items()}
    due, land = routing.due(session, person.id)
    rivals = session.scalars(_RIVALS, {"kind": person.routed_by, "place": person.routed_on, "home": person.chapter_id})
    return Facts(
        name=f"{person.first_name} {person.last_name}".strip(),
        home=names.get(person.chapter_id),
        by=person.routed_by,
        on=person.routed_on,
        zip=person.zip,
        is_root=person.chapter_id in chapters and chapters[person.chapter_id].kind == "root",
        land=(names.get(land.chapter_id), land),
        due=names.get(due.chapter_id),
        rivals=[names[id_] for id_ in rivals],
        follows=[names[id_] for id_ in session.scalars(_FOLLOWED, {"id": person.id})],
        moves=[_move(row, names) for row in session.execute(_MOVES, {"id": person.id})],
    )


def _move(row: Row[Any], names: dict[int | None, str]) -> Move:
    gone = "a chapter that is no more"
    before, after = (None if id_ is None else names.get(id_, gone) for id_ in (row.from_chapter_id, row.to_chapter_id))
    return Move(row.at, before, after, row.by, row.on)


def sentences(facts: Facts) -> list[str]:
    """What there is to say, one sentence each."""
    who = facts.name or "This person"
    if facts.home is None:
        return [f"{who} belongs to no chapter yet: {_short(facts.by, facts.on)}.", *_history(facts)]
    itself = " itself" if facts.is_root else ""
    return [
        f"{who} belongs to {facts.home}{itself}, because {_because(facts)}.",
        *_rivals(facts),
        *_outweighed(facts),
        *_overdue(facts),
        *([f"They also follow {_listed(facts.follows)}."] if facts.follows else []),
        *_history(facts),
    ]


def _because(facts: Facts) -> str:
    live = f"their ZIP {facts.zip}" if facts.zip else "they"
    lies = "lies" if facts.zip else "live"
    reasons = {
        "staff": "staff placed them there",
        "choice": "they signed up at a gathering of that chapter" if facts.on else "they chose it themselves",
        "entity": "they gave to its own ActBlue entity",
        "zip": f"their ZIP {facts.on} lies in its territory",
        "county": f"{live} {lies} in {_place(facts.on)}, which is its territory",
        "radius": f"{live} {lies} {facts.on} from it, and no chapter within reach is nearer",
        "state": f"{live} {lies} in {facts.on}, which is its territory"
        if facts.zip
        else f"they live in {facts.on}, which is its territory, and we know no ZIP of theirs",
        "operator": "they run this installation",
    }
    return reasons.get(facts.by) or (
        f"no chapter claims their ZIP {facts.zip}" if facts.zip else "we know no ZIP of theirs"
    )


def _rivals(facts: Facts) -> list[str]:
    if not facts.rivals:
        return []
    verb, nearest = ("claims", "nearer of the two") if len(facts.rivals) == 1 else ("claim", "nearest of them")
    return [f"{_listed(facts.rivals)} {verb} the same, and the {nearest} counts."]


ORDER = ("staff", "choice", "entity")


def _outweighed(facts: Facts) -> list[str]:
    """What would have counted more and is not there; what counts less and says otherwise."""
    rank = ORDER.index(facts.by) if facts.by in ORDER else len(ORDER)
    absent = [
        "nobody placed them elsewhere",
        "they chose no chapter themselves",
        "they gave to no chapter's own ActBlue entity",
    ]
    said = [f"{_capital(_listed(absent[:rank]))}."] if rank else []
    name, route = facts.land
    if rank < len(ORDER) and name is not None and route.by != "root":
        too = ", too" if name == facts.home else ""
        said.append(f"By where they live it would be {name}{too} ({_short(route.by, route.on)}).")
    return said


def _overdue(facts: Facts) -> list[str]:
    if facts.due in (None, facts.home):
        return []
    return [f"By the territories as they stand now they would belong to {facts.due}: they have not been moved yet."]


def _history(facts: Facts) -> list[str]:
    if not facts.moves:
        return ["No move is on record."]
    return ["History: " + "; ".join(map(_moved, facts.moves)) + "."]


def _moved(move: Move) -> str:
    on = f"on {move.at:%B} {move.at.day}, {move.at.year}"
    went = (
        f"came to {move.after}" if move.before is None else f"moved from {move.before} to {move.after or 'no chapter'}"
    )
    return f"{on} they {went} ({_short(move.by, move.on)})"


def _short(by: str, on: str) -> str:
    """A reason in a few words."""
    words = {
        "staff": "placed by staff",
        "choice": "at a gathering of that chapter" if on else "their own choice",
        "entity": "by a gift to its own ActBlue entity",
        "zip": f"by ZIP {on}",
        "county": f"by {_place(on)}",
        "radius": f"{on} away",
        "state": f"by state, {on}",
        "operator": "the operator of this installation",
        routing.UNCONFIRMED: "they have not confirmed yet that it was they who signed up",
        "": "nobody has asked where they belong",
    }
    return words.get(by, "no ZIP is known" if on == "no ZIP" else on)


def _place(county: str) -> str:
    """ "MA:Worcester County" as one says it."""
    state, _, name = county.partition(":")
    return f"{name} ({state})"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
