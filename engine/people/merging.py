"""Two contacts turn out to be one person: all that was the one's is the other's from now on.

The merged one stays as a row that points to whom she is now, with her own words: old links lead on, and gifts and sign-ups
under her old address are the other's. Who is merged is decided here; what follows stands in REACTIONS, area by area. Here
is people's own part. Nothing of what either forbade is lost: the strictest word of both holds.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.events import ContactMerged, Event
from engine.people import best_words, locks, routing
from engine.people.consent import OF_ONE_ADDRESS, STANDING_SUPPRESSIONS
from engine.settings import Settings

_WHO = text("SELECT id, email, merged_into_id, erased_at FROM contact WHERE id = :id")
# Whoever was merged into her before is now merged into the same: one step always leads to the end.
_POINT = text("UPDATE contact SET merged_into_id = :into WHERE id = :id OR merged_into_id = :id")

# The people of these merges: each that was merged, and whom she is now; each survivor as her own.
_MEMBERS = """
    SELECT id, merged_into_id AS into_id FROM contact WHERE id = ANY(:ids)
    UNION SELECT merged_into_id, merged_into_id FROM contact WHERE id = ANY(:ids)
"""

# What the person said under one address holds for all addresses of hers, since the newest day of it. That letters to one come
# back, or that it does not exist, says nothing of the others.
_SUPPRESS = text(f"""
WITH survivor AS (SELECT DISTINCT merged_into_id AS id FROM contact WHERE id = ANY(:ids)), family AS (
    SELECT c.email, s.id AS who FROM survivor s JOIN contact c ON c.id = s.id WHERE c.email IS NOT NULL
    UNION ALL
    SELECT c.email, s.id FROM survivor s JOIN contact c ON c.merged_into_id = s.id WHERE c.email IS NOT NULL
), why AS (
    SELECT DISTINCT ON (f.who, s.reason) f.who, s.reason, s.at, s.inbound_event_id
    FROM suppression s JOIN family f ON f.email = s.email WHERE s.reason NOT IN {OF_ONE_ADDRESS}
    ORDER BY f.who, s.reason, s.at DESC
)
INSERT INTO suppression (email, reason, at, inbound_event_id)
SELECT f.email, y.reason, y.at, y.inbound_event_id FROM family f JOIN why y ON y.who = f.who ORDER BY f.email, y.reason
ON CONFLICT (email, reason) DO UPDATE SET at = excluded.at, inbound_event_id = excluded.inbound_event_id
    WHERE excluded.at > suppression.at
""")

# What one of them forbids as things stand (a pause that is over forbids nothing; an address that is suppressed because its
# owner wanted no more says the same about mail), and the newest word of all would allow, or for less long, is forbidden once
# more. Of two that are equally new the laxer is meant: the other may not become hers (_CONSENTS).
_FORBID = text(f"""
WITH member AS MATERIALIZED ({_MEMBERS}), word AS MATERIALIZED (
    SELECT DISTINCT ON (c.contact_id, c.channel, c.kind) m.into_id, c.channel, c.kind, c.given, c.at,
        coalesce(c.until, 'infinity') AS until
    FROM consent c JOIN member m ON m.id = c.contact_id ORDER BY c.contact_id, c.channel, c.kind, c.at DESC, c.given, c.source
), newest AS (
    SELECT DISTINCT ON (into_id, channel, kind) * FROM word ORDER BY into_id, channel, kind, at DESC, given, until
), refused AS (
    SELECT into_id, channel, kind, max(until) AS until FROM (
        SELECT into_id, channel, kind, until FROM word WHERE NOT given AND until > :now
        UNION ALL
        SELECT m.into_id, 'mail', '', 'infinity' FROM member m JOIN contact c ON c.id = m.id
        JOIN ({STANDING_SUPPRESSIONS}) s ON s.email = c.email WHERE s.reason IN ('unsubscribe', 'erased')
    ) r GROUP BY into_id, channel, kind
)
INSERT INTO consent (contact_id, channel, kind, given, until, at, source)
SELECT n.into_id, n.channel, n.kind, false, nullif(r.until, 'infinity'), greatest(:now, n.at + interval '1 microsecond'),
    'merge'
FROM newest n JOIN refused r USING (into_id, channel, kind) WHERE n.given OR n.until < r.until
ON CONFLICT DO NOTHING
""")

# Of what was told of either the best words count, as when one person had told all of it.
_DESCRIBE = text(f"""
WITH member AS MATERIALIZED ({_MEMBERS}), words AS MATERIALIZED (
    SELECT m.into_id AS key, {best_words.LISTED} FROM member m JOIN contact c ON c.id = m.id
), {best_words.COMBINED}, every AS (
    SELECT m.into_id, max(c.engaged_last_at) AS engaged_last_at, min(c.created_at) AS created_at,
        max(c.language) FILTER (WHERE c.language <> 'en') AS language,
        min(c.placed_chapter_id) AS placed, min(c.chosen_chapter_id) AS chosen, min(c.entity_chapter_id) AS entity,
        (array_agg(c.chosen_by ORDER BY c.chosen_chapter_id, c.chosen_by))[1] AS chosen_by
    FROM member m JOIN contact c ON c.id = m.id GROUP BY m.into_id
), fields AS (
    SELECT m.into_id, jsonb_object_agg(f.key, f.value ORDER BY m.id = m.into_id, m.id) AS custom
    FROM member m JOIN contact c ON c.id = m.id CROSS JOIN LATERAL jsonb_each(c.custom) f GROUP BY m.into_id
)
UPDATE contact c SET
    ({best_words.LISTED}) = ROW({", ".join(f"p.{name}" for name in best_words.COLUMNS)}),
    language = CASE c.language WHEN 'en' THEN coalesce(e.language, 'en') ELSE c.language END,
    custom = coalesce(f.custom, '{{}}'), engaged_last_at = e.engaged_last_at, created_at = e.created_at,
    placed_chapter_id = coalesce(c.placed_chapter_id, e.placed),
    chosen_chapter_id = coalesce(c.chosen_chapter_id, e.chosen),
    chosen_by = CASE WHEN c.chosen_chapter_id IS NULL THEN e.chosen_by ELSE c.chosen_by END,
    entity_chapter_id = coalesce(c.entity_chapter_id, e.entity)
FROM person p JOIN every e ON e.into_id = p.key LEFT JOIN fields f ON f.into_id = p.key
WHERE c.id = p.key
""")

_THEIRS = "FROM contact o WHERE o.id = ANY(:ids) AND o.id = t.contact_id"
# The same word on record of both stays where it is; so does the history of an old home.
_CONSENTS = text(f"""
UPDATE consent t SET contact_id = o.merged_into_id {_THEIRS} AND NOT EXISTS (
    SELECT FROM consent x WHERE (x.contact_id, x.channel, x.kind, x.at, x.given, x.source)
        = (o.merged_into_id, t.channel, t.kind, t.at, t.given, t.source))
""")
_CONFIRMATIONS = text(f"UPDATE confirmation t SET contact_id = o.merged_into_id {_THEIRS}")
_SIGN_UPS = text(f"UPDATE sign_up t SET contact_id = o.merged_into_id {_THEIRS}")

# What there can be but once of a person: the earlier word is kept, hers if she has it already.
_ONCE = """
WITH gone AS (DELETE FROM {table} t USING contact o WHERE o.id = ANY(:ids) AND o.id = t.contact_id
    RETURNING o.merged_into_id, t.*)
INSERT INTO {table} AS t (contact_id, {columns})
SELECT DISTINCT ON (merged_into_id, {key}) merged_into_id, {columns} FROM gone ORDER BY merged_into_id, {key}, {at}
ON CONFLICT ({unique}) DO UPDATE SET {change} WHERE excluded.{at} {newer} t.{at}
"""
_FOLLOWED = text(
    _ONCE.format(
        table="followed_chapter", columns="chapter_id, at", key="chapter_id", unique="contact_id, chapter_id", at="at",
        change="at = excluded.at", newer="<",
    )
)  # fmt: skip
_INTERESTS = text(
    _ONCE.format(
        table="contact_interest", columns="interest_id, at, source", key="interest_id", unique="contact_id, interest_id",
        at="at", change="at = excluded.at, source = excluded.source", newer="<",
    )
)  # fmt: skip
_LEADS = text(
    _ONCE.format(
        table="chapter_lead", columns="chapter_id, since", key="chapter_id", unique="chapter_id, contact_id", at="since",
        change="since = excluded.since", newer="<",
    )
)  # fmt: skip
# Of two places the one she named last.
_INTRODUCTIONS = text("""
WITH gone AS (DELETE FROM introduction t USING contact o WHERE o.id = ANY(:ids) AND o.id = t.contact_id
    RETURNING o.merged_into_id, t.place, t.at)
INSERT INTO introduction AS t (contact_id, place, at)
SELECT DISTINCT ON (merged_into_id) merged_into_id, place, at FROM gone ORDER BY merged_into_id, at DESC
ON CONFLICT (contact_id) DO UPDATE SET place = excluded.place, at = excluded.at WHERE excluded.at > t.at
""")

# An offer of both is one offer: withdrawn if that was the last word, else as far as either of them has come. The other one
# stays with the old row, withdrawn, so that it stands on nobody's list.
_OFFERS_MET = text("""
WITH old AS (
    SELECT t.*, o.merged_into_id FROM volunteer_offer t JOIN contact o ON o.id = t.contact_id
    WHERE o.id = ANY(:ids) AND EXISTS (SELECT FROM volunteer_offer x
        WHERE x.contact_id = o.merged_into_id AND x.way_to_help_id = t.way_to_help_id)
), withdrawn AS (
    UPDATE volunteer_offer t SET state = 'withdrawn', changed_at = :now FROM old WHERE t.id = old.id
)
UPDATE volunteer_offer t SET at = least(t.at, old.at), note = concat_ws(E'\\n', nullif(t.note, ''), nullif(old.note, '')),
    state = CASE WHEN t.changed_at >= old.changed_at AND t.state = 'withdrawn'
            OR old.changed_at > t.changed_at AND old.state = 'withdrawn' THEN 'withdrawn'
        WHEN 'placed' IN (t.state, old.state) THEN 'placed' WHEN 'contacted' IN (t.state, old.state) THEN 'contacted'
        ELSE 'new' END,
    changed_at = greatest(t.changed_at, old.changed_at)
FROM old WHERE t.contact_id = old.merged_into_id AND t.way_to_help_id = old.way_to_help_id
""")
_OFFERS = text(f"""
UPDATE volunteer_offer t SET contact_id = o.merged_into_id {_THEIRS} AND NOT EXISTS (SELECT FROM volunteer_offer x
    WHERE x.contact_id = o.merged_into_id AND x.way_to_help_id = t.way_to_help_id)
""")

# Tables of people's that name a contact, and whose rows of hers become the other's here.
MOVED = frozenset(
    {"consent", "confirmation", "sign_up", "followed_chapter", "contact_interest", "chapter_lead", "introduction",
     "volunteer_offer"}
)  # fmt: skip
# And those whose rows stay hers: where she was at home and when is the old row's own history.
STAYS = frozenset({"chapter_move"})


def merge(session: Session, contact_id: int, into_id: int, now: datetime) -> list[Event]:
    """This contact is that one: point to it, and say so. Merged into it already: nothing happens.

    Both stay locked, with all money. Raises NotFound; Invalid (into herself; away from the only address); Conflict (one of
    them is merged into somebody else already, which is also how a circle is told, or was erased).
    """
    del now  # nothing here is due at a time; what follows is
    if contact_id == into_id:
        raise Invalid(f"contact {contact_id} cannot be merged into itself")
    routing.hold(session)
    locks.hold(session, (contact_id, into_id))
    one, other = (_found(session, each) for each in (contact_id, into_id))
    if one.merged_into_id == into_id:
        return []
    for each in (one, other):
        if each.merged_into_id is not None:
            raise Conflict(f"contact {each.id} is merged into contact {each.merged_into_id} already")
    if other.email is None and one.email is not None:
        raise Invalid(f"contact {into_id} has no address: merge it into contact {contact_id} instead")
    session.execute(_POINT, {"id": contact_id, "into": into_id})
    return [ContactMerged(None, contact_id, into_id)]


def take_over(session: Session, merged: Sequence[ContactMerged], now: datetime, _: Settings) -> list[Event]:
    """People's part: what either forbids first, for that is read from the rows as they were; then suppressions and words."""
    values = {"ids": [event.contact_id for event in merged], "now": now}
    for statement in (
        _FORBID, _SUPPRESS, _DESCRIBE, _CONSENTS, _CONFIRMATIONS, _SIGN_UPS, _FOLLOWED, _INTERESTS, _LEADS, _INTRODUCTIONS,
        _OFFERS_MET, _OFFERS,
    ):  # fmt: skip
        session.execute(statement, values)
    return [*routing.rehome(session, {event.into_id for event in merged}, now, None)]


def _found(session: Session, contact_id: int) -> Row[Any]:
    found = session.execute(_WHO, {"id": contact_id}).one_or_none()
    if found is None:
        raise NotFound(f"no contact {contact_id}")
    if found.erased_at is not None:
        raise Conflict(f"contact {contact_id} was erased")
    return found
