"""What people allowed and forbade, as SQL for whoever writes to them: the newest word, the suppressions that stand, and
whether somebody may get a letter of some kind.

CURRENT and STANDING_SUPPRESSIONS are whole queries, to be put in brackets: `JOIN (CURRENT) word ON …`. Rows are never
deleted; a newer word outweighs an older one by its time alone, in whatever order they came. Where a person lives, and which
chapter that makes her home, is asked nowhere here: no territory that moves can bring back a letter that she refused.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows

# The word that counts, one row a contact, channel and kind: the newest, and of two at one instant the withdrawal.
CURRENT = """
SELECT DISTINCT ON (contact_id, channel, kind) contact_id, channel, kind, given, until, at, source, place, wording
FROM consent ORDER BY contact_id, channel, kind, at DESC, given, source
"""

# Addresses that must not be written to. A bounce, a complaint or a person's manual stop stands for good. Who unsubscribed or
# was erased and later said expressly herself that she wants mail again (a sign-up that another system states, a confirmed
# letter, her own preferences) is written to, unless she has withdrawn that since: another system's list is no such word, for
# nobody knows whether she was asked again; nor is an unconfirmed form, which anyone can fill in.
STANDING_SUPPRESSIONS = """
SELECT s.email, s.reason, s.at FROM suppression s
WHERE s.reason NOT IN ('unsubscribe', 'erased') OR NOT EXISTS (
    SELECT FROM contact c JOIN consent yes ON yes.contact_id = c.id
    WHERE c.email = s.email AND yes.channel = 'mail' AND yes.kind = '' AND yes.given
    AND yes.source IN ('signup', 'confirm', 'preferences') AND yes.at > s.at
    AND NOT EXISTS (
        SELECT FROM consent no
        WHERE no.contact_id = c.id AND no.channel = 'mail' AND no.kind = '' AND NOT no.given AND no.at >= yes.at))
"""

# Reasons that are facts about one address; every other is the word of a person, and holds for all addresses of hers.
OF_ONE_ADDRESS = "('bounce', 'invalid')"

KINDS = ("asks", "news", "gatherings", "actions")  # of letters that need leave
PAUSED = "paused"  # the one refusal that ends by itself

# What one contact `c` said last of each kind of word on mail: few rows, found by the index.
_LAST_WORDS = """
SELECT DISTINCT ON (kind) kind, given, until FROM consent WHERE contact_id = c.id AND channel = 'mail'
ORDER BY kind, at DESC, given
"""


def words(kind: str) -> str:
    """SQL, one row: what contact `c` said last of mail, as a letter of this kind (SQL, as of `mailable`) goes by it."""
    return f"""
SELECT bool_or(word.kind = '' AND NOT word.given) AS stopped, bool_or(word.kind = {kind} AND NOT word.given) AS stopped_kind,
    bool_or(word.kind = 'chapter' AND NOT word.given) AS stopped_chapters,
    coalesce(bool_or(word.kind IN ('', {kind}) AND word.given), false) AS said_yes,
    coalesce(bool_or(word.kind = 'many' AND NOT word.given), false) AS fewer,
    max(word.until) FILTER (WHERE word.kind = 'pause' AND NOT word.given AND word.until > :now) AS paused_until
FROM ({_LAST_WORDS}) word
"""


# When the pause of contact `c` ends that runs at :now; NULL when none runs.
_ANY_KIND = "''"
PAUSED_UNTIL = f"(SELECT said.paused_until FROM ({words(_ANY_KIND)}) said)"


def mailable(kind: str, chapter: str = "NULL") -> str:
    """SQL: whether contact `c` may get a letter of this kind at :now.

    Both arguments are SQL themselves: `kind` one of KINDS ("'news'", "m.kind", ":kind"), `chapter` the id of the chapter
    that writes; NULL: the root does.
    """
    return f"({refusal(kind, chapter)} = '')"


def refusal(kind: str, chapter: str = "NULL", said: str = "") -> str:
    """SQL: why contact `c` may not get such a letter at :now, in plain words; '' if she may. Arguments as of `mailable`;
    `said`: a row of `words`, for whoever has it already.

    The strictest word wins, whichever is newer: who wants no mail at all gets none of a kind that she allowed later, until
    she says expressly that she wants mail again. Of several reasons the one that lasts longest: PAUSED comes last.
    """
    return f"""(CASE
    WHEN c.erased_at IS NOT NULL THEN 'erased'
    WHEN c.merged_into_id IS NOT NULL THEN 'merged into another contact'
    WHEN c.email IS NULL THEN 'no address'
    WHEN c.rested_at >= coalesce(c.engaged_last_at, '-infinity') THEN 'resting after long silence'
    ELSE coalesce(
        (SELECT 'address suppressed: ' || min(x.reason) FROM ({STANDING_SUPPRESSIONS}) x WHERE x.email = c.email),
        (SELECT CASE
            WHEN said.stopped THEN 'wants no letters'
            WHEN said.stopped_kind THEN 'wants no ' || {kind}
            WHEN said.stopped_chapters
                AND EXISTS (SELECT FROM chapter h WHERE h.id = {chapter} AND h.parent_id IS NOT NULL)
                THEN 'wants no letters of chapters'
            WHEN NOT said.said_yes THEN 'never said yes'
            WHEN said.paused_until IS NOT NULL THEN '{PAUSED}'
            END
        FROM {f"(SELECT {said}.*)" if said else f"({words(kind)})"} said),
        '')
    END)"""


# Two words at one instant through one source that say the same are one row, with the place and wording that sort last: so
# the order in which they arrive does not matter. A word of someone who was merged is hers whom she was merged into: the row
# is locked as the foreign key would, so that a merge comes before or after, never between.
_HEAR = text("""
WITH told AS MATERIALIZED (
    SELECT coalesce(w.merged_into_id, w.id) AS contact_id, channel, kind, given, until, at, source, place, wording, cause
    FROM json_to_recordset(CAST(:rows AS json)) AS v(
        contact_id bigint, channel text, kind text, given boolean, until timestamptz, at timestamptz, source text,
        place text, wording text, cause bigint)
    JOIN contact w ON w.id = v.contact_id ORDER BY w.id FOR KEY SHARE OF w
)
INSERT INTO consent AS c (contact_id, channel, kind, given, until, at, source, place, wording, inbound_event_id)
SELECT DISTINCT ON (contact_id, channel, coalesce(kind, ''), at, given, source)
    contact_id, channel, coalesce(kind, ''), given, until, at, source, place, wording, cause
FROM told
ORDER BY contact_id, channel, coalesce(kind, ''), at, given, source, wording COLLATE "C" DESC,
    place COLLATE "C" DESC, cause
ON CONFLICT (contact_id, channel, kind, at, given, source) DO UPDATE
    SET place = excluded.place, wording = excluded.wording, inbound_event_id = excluded.inbound_event_id
    WHERE (excluded.wording COLLATE "C", excluded.place COLLATE "C") > (c.wording, c.place)
""")


def hear(session: Session, words: Iterable[Mapping[str, object]]) -> None:
    """Keep these words; one that is kept already changes nothing.

    Each: contact_id, channel ('mail' or 'text'), given, at, source, place, wording, cause (id of the inbound event or None);
    kind and until as the table has them, if it is not a word about all mail.
    """
    session.execute(_HEAR, {"rows": rows(words)})


# What each of these said last on mail, and the first moment that is later than all that is known of them.
_SAID_LAST = text(f"""
SELECT c.id, word.kind, word.given, word.until FROM contact c CROSS JOIN LATERAL ({_LAST_WORDS}) word WHERE c.id = ANY(:ids)
""")
_NEXT = text("""
SELECT greatest(CAST(:now AS timestamptz), max(at) + interval '1 microsecond') FROM (
    SELECT at FROM consent WHERE contact_id = ANY(:ids) AND channel = 'mail'
    UNION ALL
    SELECT s.at FROM suppression s JOIN contact c ON c.email = s.email
    WHERE c.id = ANY(:ids) AND s.reason IN ('unsubscribe', 'erased')
) known
""")
_STANDING = text(f"SELECT x.email, x.reason FROM ({STANDING_SUPPRESSIONS}) x WHERE x.email = ANY(:emails)")
_STOPPED_SINCE = text(f"""
SELECT max(at) FROM (
    SELECT word.at FROM ({CURRENT}) word
    WHERE word.contact_id = :id AND word.channel = 'mail' AND word.kind = '' AND NOT word.given
    UNION ALL
    SELECT x.at FROM ({STANDING_SUPPRESSIONS}) x JOIN contact c ON c.email = x.email
    WHERE c.id = :id AND x.reason = 'unsubscribe'
) stop WHERE at >= :since
""")
OWN_DOING = (
    "unsubscribe",
    "erased",
)  # suppressions that a person can lift by saying expressly that she wants mail again


@dataclass(frozen=True, slots=True)
class Said:
    """One word on mail: given or withdrawn, of this kind, with the wording that stood beside it.

    `anew`: kept although the last word said the same, for something else stands against it now.
    """

    kind: str
    given: bool
    wording: str = ""
    until: datetime | None = None
    anew: bool = False


def last_words(session: Session, contact_ids: Collection[int]) -> dict[int, dict[str, Said]]:
    """What each of these contacts said last of each kind of word on mail: contact -> kind -> word, without its wording."""
    found: dict[int, dict[str, Said]] = {contact_id: {} for contact_id in contact_ids}
    for row in session.execute(_SAID_LAST, {"ids": list(contact_ids)}):
        found[row.id][row.kind] = Said(row.kind, row.given, until=row.until)
    return found


def say(
    session: Session, contact_ids: Collection[int], said: Sequence[Said], now: datetime, *, source: str, place: str
) -> datetime:
    """Keep what somebody says to us at this moment, for all contacts that are she. What holds already is no new word.

    Her word is newer than all that is known, whatever other systems' clocks said. Returns its moment. To be called with
    her contacts locked.
    """
    at: datetime = session.scalars(_NEXT, {"ids": list(contact_ids), "now": now}).one()
    known = last_words(session, contact_ids)
    terms = {"channel": "mail", "at": at, "source": source, "place": place, "cause": None}
    words = [
        {"contact_id": contact_id, "kind": word.kind, "given": word.given, "until": word.until, "wording": word.wording}
        | terms
        for contact_id in contact_ids
        for word in said
        if word.anew
        or (holding := known[contact_id].get(word.kind)) is None
        or (holding.given, holding.until) != (word.given, word.until)
    ]
    if words:
        hear(session, words)
    return at


def standing(session: Session, emails: Collection[str]) -> dict[str, set[str]]:
    """Why these addresses must not be written to: address -> reasons; one that may be is left out."""
    found: dict[str, set[str]] = {}
    for row in session.execute(_STANDING, {"emails": list(emails)}):
        found.setdefault(row.email, set()).add(row.reason)
    return found


def stopped_since(session: Session, contact_id: int, since: datetime) -> datetime | None:
    """When she last stopped all letters, if that holds and was at `since` or later."""
    at: datetime | None = session.scalars(_STOPPED_SINCE, {"id": contact_id, "since": since}).one()
    return at
