"""What a person chose, as her page shows it, and what she chooses there: which letters, which chapters, what she cares about
and how she would help. Each change about letters is a word of hers (`engine.people.consent`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import languages
from engine.events import Event, HelpOffered
from engine.people import consent, contacts, routing
from engine.people.consent import KINDS, Said
from engine.people.contacts import Same

SOURCE = PLACE = "preferences"
# What stands beside each box, and is kept as the wording of her word, in the language that she reads it in.
LABELS: Mapping[str, str] = {
    "": "Letters of the kinds that I choose here",
    "asks": "Requests for gifts",
    "news": "News: what we are doing, and what came of it",
    "gatherings": "Gatherings near me",
    "actions": "Actions: calls, letters, petitions",
    "chapter": "Letters from my chapter and from those I follow",
    "many": "As many as there are",
}

_PERSON = text(f"""
SELECT c.id, c.email, c.zip, c.language, c.chosen_chapter_id IS NOT NULL AS chosen,
    c.placed_chapter_id IS NOT NULL AS placed, h.slug AS home, h.name AS home_name, h.parent_id IS NULL AS at_the_root,
    {consent.PAUSED_UNTIL} AS paused_until, (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS organisation,
    ARRAY(SELECT f.slug FROM followed_chapter x JOIN chapter f ON f.id = x.chapter_id WHERE x.contact_id = c.id) AS follows
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id WHERE c.id = :id
""")
_CHAPTERS = text("SELECT slug, name FROM chapter WHERE kind IN ('chapter', 'forming') ORDER BY name")
_INTERESTS = text("""
SELECT coalesce(nullif(a.names ->> :language, ''), a.name) AS agenda, i.code,
    coalesce(nullif(i.names ->> :language, ''), i.name) AS name, x.contact_id IS NOT NULL AS hers
FROM interest i JOIN agenda a ON a.id = i.agenda_id
LEFT JOIN contact_interest x ON x.interest_id = i.id AND x.contact_id = :id
WHERE i.retired_at IS NULL ORDER BY a.position, a.name, a.id, i.position, i.name
""")
_WAYS = text("""
SELECT w.code, coalesce(nullif(w.names ->> :language, ''), w.name) AS name, o.id IS NOT NULL AS hers
FROM way_to_help w LEFT JOIN volunteer_offer o ON o.way_to_help_id = w.id AND o.contact_id = :id AND o.state <> 'withdrawn'
WHERE w.retired_at IS NULL ORDER BY w.position, w.name
""")

# A ZIP that she changes is a new address: street and town of the old one say nothing any more. It is her newest word on that.
_DETAILS = text("""
UPDATE contact c SET language = :language, engaged_last_at = greatest(c.engaged_last_at, :now),
    chosen_chapter_id = CASE WHEN CAST(:chapter AS text) IS NULL THEN c.chosen_chapter_id WHEN :chapter <> '' THEN coalesce(
        (SELECT id FROM chapter WHERE slug = :chapter AND kind IN ('chapter', 'forming')), c.chosen_chapter_id) END,
    chosen_by = CASE WHEN CAST(:chapter AS text) IS NULL THEN c.chosen_by ELSE '' END,
    zip = v.zip, street = CASE WHEN moved THEN '' ELSE c.street END,
    city = CASE WHEN moved THEN coalesce(z.city, '') ELSE c.city END,
    state = CASE WHEN moved THEN coalesce(z.state, '') ELSE c.state END,
    country = CASE WHEN NOT moved THEN c.country WHEN v.zip IS NULL THEN '' ELSE 'US' END,
    time_zone = CASE WHEN moved THEN coalesce(z.time_zone, '') ELSE c.time_zone END,
    moved_at = CASE WHEN moved AND v.zip IS NOT NULL AND c.zip IS NOT NULL THEN c.place_at
        WHEN NOT moved THEN c.moved_at END,
    address_at = CASE WHEN NOT moved THEN c.address_at WHEN z.city <> '' THEN greatest(c.place_at, :now) END,
    place_at = CASE WHEN moved THEN greatest(c.place_at, :now) ELSE c.place_at END,
    details_at = CASE WHEN moved THEN greatest(c.details_at, :now) ELSE c.details_at END
FROM (SELECT CAST(:zip AS text) AS zip) v LEFT JOIN zip z USING (zip),
    LATERAL (SELECT v.zip IS DISTINCT FROM old.zip AS moved FROM contact old WHERE old.id = :id) m
WHERE c.id = :id
""")
_UNFOLLOW = text("""
DELETE FROM followed_chapter f USING chapter h
WHERE f.contact_id = :id AND h.id = f.chapter_id AND h.slug <> ALL(:slugs)
""")
_FOLLOW = text("""
INSERT INTO followed_chapter (contact_id, chapter_id, at)
SELECT c.id, h.id, :now FROM chapter h JOIN contact c ON c.id = :id AND c.chapter_id <> h.id
WHERE h.slug = ANY(:slugs) AND h.kind IN ('chapter', 'forming') ORDER BY h.id ON CONFLICT DO NOTHING
""")
_CARE_NO_MORE = text("""
DELETE FROM contact_interest x USING interest i
WHERE x.contact_id = :id AND i.id = x.interest_id AND i.retired_at IS NULL AND i.code <> ALL(:codes)
""")
_CARE = text("""
INSERT INTO contact_interest (contact_id, interest_id, at, source)
SELECT :id, id, :now, 'preferences' FROM interest WHERE code = ANY(:codes) AND retired_at IS NULL ORDER BY id
ON CONFLICT DO NOTHING
""")
_TAKE_BACK = text("""
UPDATE volunteer_offer o SET state = 'withdrawn', changed_at = :now, changed_by = NULL
FROM way_to_help w WHERE o.contact_id = :id AND w.id = o.way_to_help_id AND o.state <> 'withdrawn'
    AND w.retired_at IS NULL AND w.code <> ALL(:codes)
""")
_OFFER = text("""
INSERT INTO volunteer_offer AS o (contact_id, way_to_help_id, at, changed_at)
SELECT :id, id, :now, :now FROM way_to_help WHERE code = ANY(:codes) AND retired_at IS NULL ORDER BY id
ON CONFLICT (contact_id, way_to_help_id) DO UPDATE SET state = 'new', at = :now, changed_at = :now, changed_by = NULL
    WHERE o.state = 'withdrawn'
RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Choice:
    """Something offered, by its code, with its name in her language, and whether she chose it."""

    code: str
    name: str
    hers: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """All that her page shows. `address` is masked.

    `kinds`: the letters that she gets. `stopped`: she wants none at all. `unreachable`: none may be sent to her address,
    whatever she chooses. `chosen`: she chose her chapter herself; `placed`: staff did, which outweighs that.
    """

    contact_id: int
    organisation: str
    address: str
    language: str
    zip: str
    home_name: str
    at_the_root: bool
    chosen: bool
    placed: bool
    kinds: frozenset[str]
    chapters: bool
    fewer: bool
    paused_until: datetime | None
    stopped: bool
    unreachable: bool
    choosable: Sequence[Choice] = ()
    followable: Sequence[Choice] = ()
    interests: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    ways_to_help: Sequence[Choice] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What she chooses, everything at once. `chapter`: a slug; '' the one where she lives; None leaves it as it is.

    `zip`: five digits or None. What is not offered is passed over.
    """

    kinds: frozenset[str] = frozenset()
    chapters: bool = False
    fewer: bool = False
    language: str = languages.ENGLISH
    zip: str | None = None
    chapter: str | None = None
    follows: frozenset[str] = frozenset()
    interests: frozenset[str] = frozenset()
    ways_to_help: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Standing:
    """Her last words, and what follows: which kinds she gets. Of somebody who gets nothing nothing is ticked, not even what
    would come again with the rest."""

    said: Mapping[str, bool]
    kinds: frozenset[str]
    stopped: bool
    unreachable: bool


def load(session: Session, contact_id: int, now: datetime, language: str = "") -> Preferences | None:
    """What her page shows, in this language or her own; None when there is nobody (any more)."""
    same = contacts.same(session, contact_id, lock=False)
    if not same:
        return None
    person = session.execute(_PERSON, {"id": same[-1].id, "now": now}).one()
    standing = _standing(session, same[-1])
    terms = {"id": person.id, "language": language or person.language}
    chapters = session.execute(_CHAPTERS).all()
    return Preferences(
        contact_id=person.id,
        organisation=person.organisation or "",
        address=masked(person.email or ""),
        language=person.language,
        zip=person.zip or "",
        home_name=person.home_name or "",
        at_the_root=bool(person.at_the_root),
        chosen=person.chosen,
        placed=person.placed,
        kinds=standing.kinds,
        chapters=bool(standing.kinds) and standing.said.get("chapter", True),
        fewer=standing.said.get("many") is False,
        paused_until=person.paused_until,
        stopped=standing.stopped,
        unreachable=standing.unreachable,
        choosable=[Choice(row.slug, row.name, person.chosen and row.slug == person.home) for row in chapters],
        followable=[
            Choice(row.slug, row.name, row.slug in person.follows) for row in chapters if row.slug != person.home
        ],
        interests=_interests(session, terms),
        ways_to_help=[Choice(*row) for row in session.execute(_WAYS, terms)],
    )


def save(session: Session, contact_id: int, choices: Choices, now: datetime) -> list[Event]:
    """Let these choices hold from now on, for her and all contacts that were merged into her."""
    routing.hold(session)
    same = contacts.same(session, contact_id, lock=True)
    if not same:
        return []
    her = same[-1].id
    _say(session, same, choices, now)
    terms = {"id": her, "now": now}
    language = choices.language if choices.language in languages.offered() else languages.ENGLISH
    details = {"language": language, "zip": choices.zip, "chapter": choices.chapter}
    session.execute(_DETAILS, terms | details)
    events: list[Event] = [*routing.rehome(session, [her], now, None)]
    for forget, keep, chosen in (
        (_UNFOLLOW, _FOLLOW, {"slugs": sorted(choices.follows)}),
        (_CARE_NO_MORE, _CARE, {"codes": sorted(choices.interests)}),
    ):
        session.execute(forget, terms | chosen)
        session.execute(keep, terms | chosen)
    ways = terms | {"codes": sorted(choices.ways_to_help)}
    session.execute(_TAKE_BACK, ways)
    return [*events, HelpOffered(None, her)] if session.execute(_OFFER, ways).all() else events


def masked(email: str) -> str:
    """An address that only its owner recognises: "r•••@example.org"."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}" if local else ""


def _standing(session: Session, her: Same) -> _Standing:
    said = {kind: word.given for kind, word in consent.last_words(session, [her.id])[her.id].items()}
    reasons = consent.standing(session, [her.email]).get(her.email, set()) if her.email else {"no address"}
    stopped = said.get("") is False or not reasons.isdisjoint(consent.OWN_DOING)
    kinds = frozenset(kind for kind in KINDS if not stopped and said.get(kind, said.get("", False)))
    return _Standing(said, kinds, stopped, unreachable=not reasons.issubset(consent.OWN_DOING))


def _interests(session: Session, terms: Mapping[str, object]) -> dict[str, list[Choice]]:
    agendas: dict[str, list[Choice]] = {}
    for row in session.execute(_INTERESTS, terms):
        agendas.setdefault(row.agenda, []).append(Choice(row.code, row.name, row.hers))
    return agendas


def _say(session: Session, same: Sequence[Same], choices: Choices, now: datetime) -> None:
    """Her choices as words. Who had stopped everything and chooses a kind says yes to mail again, and no to the others."""
    standing = _standing(session, same[-1])
    words = {
        kind: kind in choices.kinds
        for kind in KINDS
        if (kind in choices.kinds) != (kind in standing.kinds)
        or (standing.stopped and choices.kinds and standing.said.get(kind, True))
    }
    if standing.stopped and choices.kinds:
        words[""] = True
    if choices.kinds or not all(words.values()):
        words["chapter"] = choices.chapters
    words["many"] = not choices.fewer
    spoken = languages.catalogue(choices.language).gettext
    told = [
        Said(kind, given, spoken(LABELS[kind]), anew=kind == "")
        for kind, given in words.items()
        # What nobody ever refused need not be allowed.
        if kind not in ("chapter", "many") or not given or standing.said.get(kind) is False
    ]
    consent.say(session, [one.id for one in same], told, now, source=SOURCE, place=PLACE)
