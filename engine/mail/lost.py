"""Letters that left in hours which a restore lost: what their provider tells of them, and that none goes out again.

A handover of those hours has no row: it is known by its id, in the gap that the restore left (`engine.mail.whereabouts`).
Of a letter that was here before, it is made again, and the letter stands under it as it did. A letter that was composed in
those hours, too, is kept by its code until the one that would repeat it is claimed: that one is it then, and everything that
was told is told once more, of a letter that is ours.

Whoever stops letters by the link of such a letter may be nobody here any more: her word is kept with the letter, and counts
for the address that its provider tells. Locks are taken in the order of the house: lost letters before all, then handovers
and letters by id, then addresses.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, HumanNeeded, LetterReported, MatterSettled
from engine.mail import tally
from engine.mail.suppressions import Suppressed

WHY = "left in hours that a restore lost"
STOPPED = "stop of lost hours"  # the kind of notice
_ADVICE = (
    "somebody stopped letters by the link of a letter of which nothing is here; as soon as what the mail provider told of it "
    "is replayed her address is stopped (docs/backups.md)"
)

_GAP = "EXISTS (SELECT FROM restoration r WHERE v.{0}_id > r.last_{0}_id AND v.{0}_id <= r.next_{0}_id)"
_ANY = text("SELECT EXISTS (SELECT FROM restoration)")
# Others may write through the same account of the provider: a letter that is here must have gone to that address.
_HEARD_OF = text(f"""
SELECT v.place, m.id IS NOT NULL AND (c.email = v.email OR EXISTS (
        SELECT FROM contact old WHERE old.merged_into_id = c.id AND old.email = v.email))
        AND NOT EXISTS (SELECT FROM handover h WHERE h.id = v.handover_id) AS here,
    m.id IS NULL AND v.code <> '' AND {_GAP.format("message")}
        AND NOT EXISTS (SELECT FROM past_letter p WHERE p.id = v.message_id) AS lost
FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, message_id bigint, handover_id bigint, email text, code text)
LEFT JOIN message m ON m.id = v.message_id LEFT JOIN contact c ON c.id = m.contact_id
WHERE {_GAP.format("handover")} ORDER BY v.place
""")
# The handovers of the lost hours, as far as they can be known.
_AGAIN = text("""
INSERT INTO handover (id, mailing_id, lane, letters, state, provider_id, reason, due_at, created_at, answered_at, heard_at)
OVERRIDING SYSTEM VALUE
SELECT v.handover_id, min(m.mailing_id), min(m.lane), count(DISTINCT m.id), 'accepted', max(v.provider_id), :why, min(v.at),
    min(v.at), min(v.at), now()
FROM json_to_recordset(CAST(:rows AS json)) AS v(message_id bigint, handover_id bigint, provider_id text, at timestamptz)
JOIN message m ON m.id = v.message_id GROUP BY v.handover_id ORDER BY v.handover_id
ON CONFLICT (id) DO NOTHING
""")
# A letter that waits, or whose handover before was never heard of, is under that one.
_UNDER = text("""
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (v.message_id) v.message_id, v.handover_id, v.at
    FROM json_to_recordset(CAST(:rows AS json)) AS v(message_id bigint, handover_id bigint, at timestamptz)
    ORDER BY v.message_id, v.at
), waiting AS MATERIALIZED (
    SELECT m.id, m.state, t.handover_id, t.at FROM told t JOIN message m ON m.id = t.message_id
    LEFT JOIN handover h ON h.id = m.handover_id
    WHERE m.state = 'ready' OR m.state = 'handed' AND h.state IN ('submitting', 'uncertain') ORDER BY m.id FOR UPDATE OF m
)
UPDATE message m SET state = 'handed', handover_id = w.handover_id, handed_at = w.at, reason = :why,
    attempts = m.attempts + CASE w.state WHEN 'ready' THEN 1 ELSE 0 END
FROM waiting w WHERE m.id = w.id
RETURNING m.id, m.mailing_id, m.lane, m.version_id, m.campaign_id, coalesce(m.chapter_id, 0) AS chapter, m.step,
    w.state AS was
""")
_HANDED = text("""
UPDATE mailing w SET handed = w.handed + v.letters
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, letters bigint) WHERE w.id = v.id
""")
_KEEP = text("""
INSERT INTO lost_letter AS l (message_id, handover_id, provider_id, code, at, causes)
SELECT v.message_id, min(v.handover_id), max(v.provider_id), max(v.code), min(v.at),
    coalesce(array_agg(DISTINCT v.cause) FILTER (WHERE v.cause IS NOT NULL), '{}')
FROM json_to_recordset(CAST(:rows AS json)) AS v(message_id bigint, handover_id bigint, provider_id text, code text,
    at timestamptz, cause bigint)
GROUP BY v.message_id ORDER BY v.message_id
ON CONFLICT (message_id) DO UPDATE SET at = least(l.at, excluded.at), code = greatest(l.code, excluded.code),
    handover_id = coalesce(nullif(l.handover_id, 0), excluded.handover_id),
    provider_id = coalesce(nullif(l.provider_id, ''), excluded.provider_id),
    causes = ARRAY(SELECT DISTINCT unnest(l.causes || excluded.causes))
RETURNING message_id, became_id, stopped_at
""")
# Of each letter that is about to leave: the lost one that it would repeat. That is what it is from now on, with all that was
# told of that until this moment.
_REPEATED = text("""
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (v.message_id) v.message_id, l.message_id AS lost_id
    FROM json_to_recordset(CAST(:rows AS json)) AS v(message_id bigint, code text)
    JOIN lost_letter l ON l.code = v.code AND l.became_id IS NULL AND l.code <> '' ORDER BY v.message_id, l.at
), held AS MATERIALIZED (
    SELECT message_id FROM lost_letter WHERE message_id IN (SELECT lost_id FROM told) ORDER BY message_id FOR UPDATE
)
UPDATE lost_letter l SET became_id = t.message_id FROM told t JOIN held h ON h.message_id = t.lost_id
WHERE l.message_id = t.lost_id AND l.became_id IS NULL
RETURNING t.message_id, l.handover_id, l.provider_id, l.at, l.causes
""")
# A statement of its own: what was told while the one before waited is seen by this one.
_ONCE_MORE = text("""
UPDATE inbound_event e SET state = 'pending', attempts = 0, reason = '', lease = NULL, due_at = now(), finished_at = NULL
WHERE e.id = ANY(:causes) AND e.state = 'ignored' AND octet_length(e.body) > 0
""")
_CLAIMS = text("""
SELECT id FROM handover WHERE id IN (SELECT handover_id FROM message WHERE id = ANY(:ids)) ORDER BY id FOR UPDATE
""")
_STANDS = text("""
WITH held AS MATERIALIZED (
    SELECT m.id, v.handover_id, v.at
    FROM json_to_recordset(CAST(:rows AS json)) AS v(message_id bigint, handover_id bigint, at timestamptz)
    JOIN message m ON m.id = v.message_id WHERE m.state = 'handed' ORDER BY m.id FOR UPDATE OF m
)
UPDATE message m SET handover_id = h.handover_id, handed_at = h.at, reason = :why FROM held h WHERE m.id = h.id
""")
# The letter that a lost one became, and whose it is.
_BECAME = text("""
SELECT w.contact_id, w.id FROM lost_letter l JOIN (
    SELECT id, contact_id FROM message UNION ALL SELECT id, contact_id FROM past_letter) w ON w.id = l.became_id
WHERE l.message_id = :message_id
""")
_STOP = text(f"""
INSERT INTO lost_letter AS l (message_id, handover_id, at, stopped_at)
SELECT v.message_id, 0, :now, :now FROM (SELECT CAST(:message_id AS bigint) AS message_id) v
WHERE {_GAP.format("message")} AND NOT EXISTS (SELECT FROM contact WHERE id = :contact_id)
ON CONFLICT (message_id) DO UPDATE SET stopped_at = coalesce(l.stopped_at, excluded.stopped_at)
RETURNING causes
""")

# SQL: whether letters of lost hours are known that nothing here is yet.
KNOWN = "EXISTS (SELECT FROM lost_letter WHERE became_id IS NULL AND code <> '')"


@dataclass(frozen=True, slots=True)
class Heard:
    """What words tell of letters of lost hours. `ours`: those that can be attributed now, by their places, as they are to be
    read; `suppressed`: addresses that must not be written to, of the others; `stopped`: those of them by whose links somebody
    stopped letters, whose address is known by now."""

    ours: Mapping[int, LetterReported] = field(default_factory=dict)
    suppressed: Sequence[Suppressed] = ()
    stopped: Sequence[int] = ()


def heard_of(session: Session, told: Mapping[int, LetterReported]) -> Heard:
    """Of words (by their places) that are about no letter of ours: those that are about letters of lost hours. Their
    handovers are made again. One statement while this database was never restored."""
    if not told or not session.scalar(_ANY):
        return Heard()
    asked = [
        {"place": place, "email": word.email} | _row(word)
        for place, word in told.items()
        if word.message_id and word.handover_id
    ]
    found = session.execute(_HEARD_OF, {"rows": rows(asked)}).all()
    heard = _kept(session, {row.place: told[row.place] for row in found if row.lost})
    ours = {row.place: told[row.place] for row in found if row.here} | dict(heard.ours)
    if ours:
        session.execute(_AGAIN, {"rows": rows(map(_row, ours.values())), "why": WHY})
    return replace(heard, ours=ours)


def stand_under(session: Session, heard: Heard) -> list[Event]:
    """Put letters that wait under the handovers that they left by; what is counted. To be called with the letters locked."""
    settled: list[Event] = [MatterSettled(None, STOPPED, _name(each)) for each in heard.stopped]
    if not heard.ours:
        return settled
    moved = session.execute(_UNDER, {"rows": rows(map(_row, heard.ours.values())), "why": WHY}).all()
    left = [row for row in moved if row.was == "ready" and row.lane == bell.DELIVERY]
    counts = Counter(row.mailing_id for row in left)
    if counts:
        handed = rows({"id": each, "letters": counts[each]} for each in sorted(counts))
        session.execute(_HANDED, {"rows": handed})
    return [*settled, *tally.of_steps((row, "handed") for row in left)]


def repeated(session: Session, codes: Iterable[tuple[int, str]]) -> Sequence[int]:
    """Letters that were claimed, with their codes: those of them that left in lost hours stand under their handovers of then,
    and must not leave again. What was told of them is pending once more."""
    asked = [{"message_id": message_id, "code": code} for message_id, code in codes]
    found = [dict(row._mapping) for row in session.execute(_REPEATED, {"rows": rows(asked)})]
    ids = sorted(row["message_id"] for row in found)
    if found:
        session.execute(_AGAIN, {"rows": rows(found), "why": WHY})
        session.execute(_CLAIMS, {"ids": ids}).all()
        session.execute(_STANDS, {"rows": rows(found), "why": WHY})
        session.execute(_ONCE_MORE, {"causes": sorted({cause for row in found for cause in row["causes"]})})
    return ids


def known_as(session: Session, contact_id: int, message_id: int) -> tuple[int, int]:
    """Contact and letter that the link of a letter means now: others, if it left in lost hours and another letter is it."""
    found = session.execute(_BECAME, {"message_id": message_id}).one_or_none()
    return (found.contact_id, found.id) if found else (contact_id, message_id)


def stop(session: Session, contact_id: int, message_id: int, now: datetime) -> list[Event]:
    """Somebody stops all letters by the link of this one. If she is nobody here since hours were lost, her word is kept with
    the letter, and what was told of that is told once more, for it names her address; a person is told if nothing was."""
    found = session.execute(_STOP, {"message_id": message_id, "contact_id": contact_id, "now": now}).one_or_none()
    if found is None:
        return []
    if found.causes:
        session.execute(_ONCE_MORE, {"causes": sorted(found.causes)})
        return []
    return [HumanNeeded(None, STOPPED, _name(message_id), _ADVICE)]


def _name(message_id: int) -> str:
    return f"letter {message_id}"


def _row(word: LetterReported) -> dict[str, Any]:
    return {
        "message_id": word.message_id, "handover_id": word.handover_id, "provider_id": word.provider_id, "code": word.code,
        "at": word.at, "cause": word.cause,
    }  # fmt: skip


def _kept(session: Session, new: Mapping[int, LetterReported]) -> Heard:
    """Keep what is told of letters that were composed in lost hours; those that a letter of ours has become are told of that.
    Of the others, what is said of the address counts all the same, and what she said herself by their links."""
    if not new:
        return Heard()
    kept = {row.message_id: row for row in session.execute(_KEEP, {"rows": rows(map(_row, new.values()))})}
    of = {place: kept[word.message_id] for place, word in new.items() if word.message_id}
    stopped = {row.message_id: (new[place].email, row.stopped_at) for place, row in of.items() if row.stopped_at}
    return Heard(
        {place: replace(new[place], message_id=row.became_id) for place, row in of.items() if row.became_id},
        [
            *(Suppressed(word.email, word.suppresses, word.at, word.cause)
              for word in new.values() if word.suppresses and word.email),
            *(Suppressed(email, "unsubscribe", at, None) for email, at in stopped.values() if email),
        ],
        sorted(each for each, (email, _) in stopped.items() if email),
    )  # fmt: skip
