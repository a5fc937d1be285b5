"""What became of letters, as their provider tells it: any number of times, in any order, and of other people's letters too.

Each word is attributed to a letter of ours and kept once (mail_event); only what is new has effects, in one transaction:
the letter's state moves forward, its address is suppressed, consent is withdrawn. Told about anything else: no change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import (
    Complained,
    Event,
    FactRecorded,
    LetterBounced,
    LetterClicked,
    LetterDeferred,
    LetterDelivered,
    LetterDropped,
    LetterOpened,
    LetterReported,
    LetterTended,
    LetterUnknown,
    MatterSettled,
    Unsubscribed,
)
from engine.mail import handovers, lost, past, suppressions, tally
from engine.mail.suppressions import Suppressed, Withdrawn
from engine.people import engagement, traces
from engine.settings import Settings

SOURCE = "sendgrid"
# What a letter's state can become here, in the order in which it only moves forward (see STATES).
FORWARD = ("handed", "dropped", "delivered", "bounced", "complained")
BECOMES = {
    "dropped": "dropped",
    "delivered": "delivered",
    "bounce": "bounced",
    "blocked": "bounced",
    "spamreport": "complained",
}
PLAIN = {
    "delivered": LetterDelivered,
    "deferred": LetterDeferred,
    "dropped": LetterDropped,
    "spamreport": Complained,
}
READ = {"open": LetterOpened, "click": LetterClicked, "tended": LetterTended}
# Where readers look after their letters: whoever follows such a link follows nothing that the letter is about.
TENDING = ("/u/", "/me/")
# A word that says something of the address itself may come without any id: an asynchronous bounce does.
ABOUT_THE_ADDRESS = frozenset({"bounce", "blocked", "dropped", "spamreport", "unsubscribe"})

# By our own ids, if they belong together and the letter went to that address; else by the provider's id and the address;
# else, of what says something about the address, the letter handed over to it last before. Erased: no address is left.
# Merged: a letter may have gone to the address that she had before.
_ATTRIBUTE = text("""
WITH told AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, message_id bigint, handover_id bigint,
        provider_id text, email text, at timestamptz, about_the_address boolean)
)
SELECT v.place, m.id AS message_id, coalesce(h.id, m.handover_id, 0) AS handover_id, c.id AS contact_id, c.email
FROM told v JOIN message m ON m.id = v.message_id JOIN contact c ON c.id = m.contact_id
LEFT JOIN handover h ON h.id = v.handover_id
WHERE (v.handover_id IS NULL OR h.mailing_id = m.mailing_id) AND (c.email = v.email OR c.email IS NULL OR v.email IS NULL
    OR EXISTS (SELECT FROM contact old WHERE old.merged_into_id = c.id AND old.email = v.email))
UNION ALL
SELECT v.place, f.message_id, f.handover_id, c.id, c.email
FROM told v JOIN contact known ON known.email = v.email JOIN contact c ON c.id = coalesce(known.merged_into_id, known.id)
CROSS JOIN LATERAL (
    SELECT m.id AS message_id, h.id AS handover_id FROM message m JOIN handover h ON h.id = m.handover_id
    WHERE m.contact_id = c.id AND CASE
        WHEN v.handover_id IS NOT NULL THEN h.id = v.handover_id
        WHEN v.provider_id <> '' THEN h.provider_id = v.provider_id
        ELSE v.about_the_address AND h.created_at <= v.at + interval '1 minute' END
    ORDER BY h.created_at DESC, m.id DESC LIMIT 1
) f
WHERE v.message_id IS NULL
ORDER BY place
""")

# Whatever is told of a handover proves that it was taken; of one that seemed not to have arrived it comes too late to change
# the handover. Before the letters: the order of `handovers.record`.
_PROVE = text("""
WITH proven AS MATERIALIZED (
    SELECT h.id, h.state IN ('submitting', 'uncertain') AS open, v.provider_id
    FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, provider_id text) JOIN handover h ON h.id = v.id
    WHERE h.state IN ('submitting', 'uncertain', 'resent') OR h.heard_at IS NULL ORDER BY h.id FOR UPDATE OF h
)
UPDATE handover h SET heard_at = coalesce(h.heard_at, now()),
    state = CASE WHEN p.open THEN 'accepted' ELSE h.state END, reason = CASE WHEN p.open THEN '' ELSE h.reason END,
    answered_at = CASE WHEN p.open THEN clock_timestamp() ELSE h.answered_at END,
    provider_id = CASE WHEN p.open THEN coalesce(nullif(p.provider_id, ''), h.provider_id) ELSE h.provider_id END
FROM proven p WHERE h.id = p.id
RETURNING h.id, h.state
""")

# Of which step each is, for its tally.
_STEP = "version_id, campaign_id, mailing_id, coalesce(chapter_id, 0) AS chapter, step, handover_id"
_LOCK = text(f"SELECT id, {_STEP} FROM message WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")

_KEEP = text("""
INSERT INTO mail_event (message_id, handover_id, kind, at, url, reason, machine, inbound_event_id)
SELECT message_id, handover_id, kind, at, url, reason, machine, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v(place int, message_id bigint, handover_id bigint, kind text,
    at timestamptz, url text, reason text, machine boolean, cause bigint)
ORDER BY message_id, place
ON CONFLICT (message_id, handover_id, kind, at, url) DO NOTHING
RETURNING id, message_id, handover_id, kind, at, url
""")

# A letter that is not on its way (ready again, failed, cancelled) stays what it is; unless it is so because of a doubt that
# this word takes away: `proven` is the handover that had it.
_BACK = "(v.proven IS NOT NULL AND m.doubts > 0 AND m.state IN ('ready', 'failed'))"
_MOVE = text(f"""
UPDATE message m SET delivered_at = least(m.delivered_at, v.delivered_at),
    state = CASE WHEN array_position(:forward, m.state) < array_position(:forward, v.state) OR {_BACK} THEN v.state
        ELSE m.state END,
    handover_id = CASE WHEN {_BACK} THEN v.proven ELSE m.handover_id END,
    reason = CASE WHEN {_BACK} THEN '' ELSE m.reason END
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, state text, delivered_at timestamptz, proven bigint)
WHERE m.id = v.id
RETURNING m.id, m.lane, m.mailing_id, m.version_id, m.campaign_id, coalesce(m.chapter_id, 0) AS chapter, m.step,
    m.handover_id, old.state AS before, new.state AS after,
    old.delivered_at IS NULL AND new.delivered_at IS NOT NULL AS delivered
""")

# No person clicks within seconds of the delivery (or before), nor two links within seconds: a scanner tries them all.
# Judged anew for all clicks of these letters, so that the order in which they are told does not matter.
_JUDGE = text("""
WITH judged AS MATERIALIZED (
    SELECT e.id, e.message_id, e.kind, e.machine AS was, coalesce(e.at <= m.delivered_at + interval '5 seconds', false)
        OR min(e.url) OVER near <> max(e.url) OVER near AS machine
    FROM mail_event e JOIN message m ON m.id = e.message_id
    WHERE e.message_id = ANY(:ids) AND e.kind IN ('click', 'tended')
    WINDOW near AS (PARTITION BY e.message_id ORDER BY e.at
        RANGE BETWEEN interval '3 seconds' PRECEDING AND interval '3 seconds' FOLLOWING)
), changed AS (
    UPDATE mail_event e SET machine = j.machine FROM judged j WHERE e.id = j.id AND e.machine <> j.machine
)
SELECT id, message_id, kind, was, machine FROM judged
""")


@dataclass(frozen=True, slots=True)
class _Word:
    """One word of the provider with the letter that it is about. `email`: the contact's; None when erased."""

    told: LetterReported
    message_id: int
    handover_id: int
    contact_id: int
    email: str | None
    id: int = 0  # once kept

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same word again. Of a letter whose reader was erased no link is kept."""
        url = self.told.url if self.email else ""
        return (self.message_id, self.handover_id, self.told.kind, self.told.at, url)


def letters_told(session: Session, told: Sequence[LetterReported], now: datetime, settings: Settings) -> list[Event]:
    """Attribute, keep, and let everything follow from what is new. Fifteen statements at most, however many words
    (six more for letters of lost hours).

    What is told of a letter whose reader was erased names her once more: its body is emptied at once.
    """
    told = [_tending(word, settings) for word in told]
    ours = _ours(session, told)
    words = ours[0]
    late = _late(session, told, words)
    every = [*words.values(), *late.values()]
    traces.empty(session, {word.told.cause for word in every if word.told.cause and not word.email})
    unknown: list[Event] = [LetterUnknown(told[i].cause) for i in range(len(told)) if i not in words and i not in late]
    unknown += [FactRecorded(word.told.cause) for word in late.values()]
    return [*unknown, *_follow(session, ours, list(late.values()), now, settings)]


def _follow(
    session: Session,
    ours: tuple[dict[int, _Word], lost.Heard],
    late: Sequence[_Word],
    now: datetime,
    settings: Settings,
) -> list[Event]:
    """Everything that follows: handovers first, then letters, then their readers, then what is counted of campaigns, as
    whoever else locks these does. `ours`: as of `_ours`; `late`: about letters in the archive."""
    words, heard = ours
    doubted = _prove(session, words.values())
    letters, told_of = _locked(session, words.values(), heard)
    fresh = _kept(session, words) if words else []
    moved = _move(session, fresh, doubted)
    _forbid(session, [*fresh, *late], heard.suppressed)
    read = [word for word in late if word.told.kind in ("click", "tended") and not word.told.machine]
    engagement.late(session, [(word.contact_id, word.told.at) for word in read])
    if not fresh:
        return told_of
    machines, clicked = _judged(session, fresh)
    told_of += tally.count(session, moved, now, settings)  # last: others wait for these rows
    stopped = {word.message_id for word in fresh if word.told.kind == "unsubscribe"}
    followed = [(letters[each], ("clicked", more)) for each, more in clicked.items()]
    told_of += tally.of_steps([*followed, *((letters[each], "unsubscribed") for each in stopped)])
    told_of += [
        MatterSettled(None, handovers.FAILED, handovers.name(row.id))
        for row in moved if row.before == "failed" and row.after != "failed"
    ]  # fmt: skip
    return [*told_of, *(event for word in fresh for event in _facts(word, machine=word.id in machines))]


def _tending(word: LetterReported, settings: Settings) -> LetterReported:
    """A click on a link by which she looks after her letters is another kind of word."""
    own = word.kind == "click" and word.url.startswith(tuple(settings.base_url + path for path in TENDING))
    return replace(word, kind="tended") if own else word


def _ours(session: Session, told: Sequence[LetterReported]) -> tuple[dict[int, _Word], lost.Heard]:
    """The words about letters of ours, by their place, and what is told of letters that left in hours which a restore
    lost."""
    words = _attributed(session, dict(enumerate(told)))
    if len(words) == len(told):
        return words, lost.Heard()
    others = {place: word for place, word in enumerate(told) if place not in words}
    heard = lost.heard_of(session, others)
    return words | _attributed(session, heard.ours), heard


def _locked(session: Session, words: Iterable[_Word], heard: lost.Heard) -> tuple[dict[int, Row[Any]], list[Event]]:
    """The letters of these words, locked; those that left in lost hours stand as they did. And what is counted of them."""
    ids = sorted({word.message_id for word in words})
    letters = session.execute(_LOCK, {"ids": ids}).all() if ids else ()
    counted = lost.stand_under(session, heard)
    if heard.ours and ids:
        letters = session.execute(_LOCK, {"ids": ids}).all()
    return {row.id: row for row in letters}, counted


def _attributed(session: Session, told: Mapping[int, LetterReported]) -> dict[int, _Word]:
    """The words about letters of ours, by their place."""
    if not told:
        return {}
    records = [
        {
            "place": place,
            "message_id": word.message_id,
            "handover_id": word.handover_id,
            "provider_id": word.provider_id,
            "email": word.email,
            "at": word.at,
            "about_the_address": word.kind in ABOUT_THE_ADDRESS,
        }
        for place, word in told.items()
    ]
    return {row.place: _Word(told[row.place], *row[1:]) for row in session.execute(_ATTRIBUTE, {"rows": rows(records)})}


def _late(session: Session, told: Sequence[LetterReported], words: Collection[int]) -> dict[int, _Word]:
    """The words about letters in the archive, by their place."""
    others = {place: word for place, word in enumerate(told) if place not in words}
    return {
        row.place: _Word(told[row.place], row.message_id, 0, row.contact_id, row.email)
        for row in past.attributed(session, others)
    }


def _prove(session: Session, words: Iterable[_Word]) -> Set[int]:
    """The handovers that these words name were taken: nobody needs to ask any more. Returns those of them that seemed not to
    have arrived, and whose letters go out once more, or fail."""
    taken: dict[int, str] = {}
    for word in words:
        if word.told.handover_id is not None:
            taken[word.handover_id] = taken.get(word.handover_id) or word.told.provider_id
    if not taken:
        return set()
    named = rows({"id": each, "provider_id": theirs} for each, theirs in taken.items())
    return {row.id for row in session.execute(_PROVE, {"rows": named}) if row.state == "resent"}


def _kept(session: Session, words: dict[int, _Word]) -> list[_Word]:
    """Those that were not told before, with the ids under which they are kept."""
    records = [
        {
            "place": place,
            "message_id": word.message_id,
            "handover_id": word.handover_id,
            "kind": word.told.kind,
            "at": word.told.at,
            "url": word.key[-1],
            "reason": word.told.reason,
            "machine": word.told.machine,
            "cause": word.told.cause,
        }
        for place, word in words.items()
    ]
    ids = {tuple(row[1:]): row.id for row in session.execute(_KEEP, {"rows": rows(records)})}
    return [
        _Word(word.told, word.message_id, word.handover_id, word.contact_id, word.email, kept)
        for word in words.values()
        if (kept := ids.pop(word.key, None)) is not None
    ]


def _move(session: Session, fresh: Sequence[_Word], doubted: Set[int]) -> Sequence[Row[Any]]:
    """Move the letters; how each changed."""
    moves: dict[int, dict[str, Any]] = {}
    for word in fresh:
        empty = {"id": word.message_id, "state": FORWARD[0], "delivered_at": None, "proven": None}
        move = moves.setdefault(word.message_id, empty)
        if word.told.handover_id in doubted:
            move["proven"] = word.told.handover_id
        move["state"] = max(move["state"], BECOMES.get(word.told.kind, FORWARD[0]), key=FORWARD.index)
        if word.told.kind == "delivered":
            move["delivered_at"] = min(move["delivered_at"] or word.told.at, word.told.at)
    moving = [move for move in moves.values() if move["state"] != FORWARD[0] or move["proven"]]
    return session.execute(_MOVE, {"rows": rows(moving), "forward": list(FORWARD)}).all() if moving else []


def _forbid(session: Session, fresh: Sequence[_Word], others: Iterable[Suppressed]) -> None:
    """Suppress the addresses (and these `others`) and withdraw the consent that these words call for. A letter may have gone
    to an address that was merged since: it is the one that is told of which bounced."""
    suppressions.suppress(
        session,
        [
            *others,
            *(
                Suppressed(word.told.email or word.email, word.told.suppresses, word.told.at, word.told.cause)
                for word in fresh
                if word.told.suppresses and word.email
            ),
        ],
    )
    suppressions.withdraw(
        session,
        (
            Withdrawn(word.contact_id, word.told.at, SOURCE, word.told.cause)
            for word in fresh
            if word.told.suppresses == "unsubscribe"
        ),
    )


def _judged(session: Session, fresh: Sequence[_Word]) -> tuple[set[int], dict[int, int]]:
    """The words among these, and among earlier clicks on the same letters, that no person made; and the letters that persons
    clicked since these words (1), or did not after all (-1)."""
    machines, new = {word.id for word in fresh if word.told.machine}, {word.id for word in fresh}
    before: dict[int, bool] = {}
    after: dict[int, bool] = {}
    ids = sorted({word.message_id for word in fresh if word.told.kind in ("click", "tended", "delivered")})
    for row in session.execute(_JUDGE, {"ids": ids}) if ids else ():
        machines |= {row.id} if row.machine else set()
        if row.kind != "click":
            continue
        before[row.message_id] = before.get(row.message_id, False) or not (row.was or row.id in new)
        after[row.message_id] = after.get(row.message_id, False) or not row.machine
    return machines, {each: after[each] - before[each] for each in after if after[each] != before[each]}


def _facts(word: _Word, *, machine: bool) -> list[Event]:
    kind, cause, letter = word.told.kind, word.told.cause, word.message_id
    facts: list[Event] = []
    if kind in PLAIN:
        facts.append(PLAIN[kind](cause, letter))
    elif kind in READ:
        facts.append(READ[kind](cause, letter, machine))
    elif BECOMES.get(kind) == "bounced":
        facts.append(LetterBounced(cause, letter, suppressed=bool(word.told.suppresses)))
    if word.told.suppresses == "unsubscribe":
        facts.append(Unsubscribed(cause, word.contact_id))
    return facts or [FactRecorded(cause)]
