"""The last look: who may still be written to is decided in the transaction that claims the letter.

Receipts are claimed as they fall due, each under a handover of its own. Of all other letters a claim takes those of one
line (`lines`), up to a whole request, under one lock for all workers: so that caps and allowances hold to the letter. One
statement locks what is due, gives each letter its verdict, and writes the handover of those that may go. Letters of
sequences are counted as they are decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from engine import bell, metrics
from engine.events import StepCounted
from engine.giving import ask_rests
from engine.mail import allowances
from engine.mail.holds import HELD
from engine.outreach import arbitration, goals, lines, tallies
from engine.outreach.arbitration import BEHIND, BEHIND_UNTIL, CAPPED, EQUAL, FREE_AT, RECENT
from engine.outreach.goals import REACHED, Ends
from engine.outreach.lines import STANDING
from engine.outreach.zones import WAKES_AT
from engine.people.consent import PAUSED, STANDING_SUPPRESSIONS, refusal, words
from engine.segments.sql import Through

LOCK = 0x67726E6C
RECEIPTS = 16
MOST_LINES = 1000
ZOMBIE_SECONDS = 5.0  # a process that was stopped this long after its claim must not send any more
MARGIN_SECONDS = 3.0
# Refusals that end by themselves, like PAUSED, CAPPED and BEHIND.
QUIET, GRACE = "it is night where she lives", "rests after a click to ActBlue"
AGAIN_MINUTES = 30  # how soon a letter is looked at again whose reader may have given at ActBlue

# A letter that needs nobody's leave: that somebody unsubscribed or was erased does not hold it back: a gift is thanked for,
# a new sign-up is asked about. An address that bounces or complained gets nothing at all. Whoever works here gets her links
# to sign in under the address that she works under, whomever she was merged into.
_NO_LEAVE_NEEDED = f"""CASE WHEN c.email IS NULL THEN 'no address'
    WHEN c.merged_into_id IS NOT NULL AND m.occasion !~ '^(sign-in|notice|trial):' THEN 'merged into another contact'
    ELSE coalesce((
    SELECT 'address suppressed: ' || min(x.reason) FROM ({STANDING_SUPPRESSIONS}) x
    WHERE x.email = c.email AND (x.reason NOT IN ('unsubscribe', 'erased') OR m.lane = 'delivery')), '') END"""

# Locked rows, looks and verdicts are MATERIALIZED: inlined, the planner would decide several times.
_CLAIM_RECEIPTS = text(f"""
WITH due AS MATERIALIZED (
    SELECT id FROM message WHERE state = 'ready' AND lane = 'receipts' AND due_at <= :now AND NOT ({HELD})
    ORDER BY due_at, id LIMIT :most FOR UPDATE SKIP LOCKED
), verdict AS MATERIALIZED (
    SELECT m.id, m.mailing_id, look.reason, nextval(pg_get_serial_sequence('handover', 'id')) AS handover_id,
        CASE WHEN m.expires_at <= :now THEN 'expired' WHEN look.reason = '' THEN 'handed' ELSE 'skipped' END AS state
    FROM due JOIN message m ON m.id = due.id JOIN contact c ON c.id = m.contact_id
    CROSS JOIN LATERAL (SELECT CASE WHEN m.expires_at <= :now THEN 'its time has passed'
        WHEN m.kind = '' THEN {_NO_LEAVE_NEEDED} ELSE {refusal("m.kind", "m.chapter_id")} END AS reason OFFSET 0) look
), opened AS (
    INSERT INTO handover (id, mailing_id, lane, due_at) OVERRIDING SYSTEM VALUE
    SELECT handover_id, mailing_id, 'receipts', now() + make_interval(secs => :lease) FROM verdict WHERE state = 'handed'
    RETURNING id
)
UPDATE message m SET state = v.state, reason = v.reason,
    handover_id = CASE v.state WHEN 'handed' THEN v.handover_id END,
    handed_at = CASE v.state WHEN 'handed' THEN CAST(:now AS timestamptz) END,
    attempts = m.attempts + CASE v.state WHEN 'handed' THEN 1 ELSE 0 END
FROM verdict v LEFT JOIN opened o ON o.id = v.handover_id WHERE m.id = v.id
RETURNING m.id, m.contact_id, m.state, m.handover_id
""")

# What is due is read in the order of its index, a request's worth: the planner, which cannot know how many letters a sender
# has in one mailing, would read all of them for each request.
_TAKE_TURNS = text("SELECT set_config('enable_bitmapscan', 'off', true), pg_advisory_xact_lock(:lock)")

# A one-off gift, or the first of a plan, to the fund that the letter asks for, since it was written.
GAVE = """
m.kind = 'asks' AND EXISTS (SELECT FROM contribution g WHERE g.contact_id = m.contact_id AND g.fund_id = :fund_id
    AND g.paid_at > m.created_at AND (g.recurring_period = 'once' OR g.sequence = 0)
    AND g.status NOT IN ('refunded', 'duplicate'))
"""
# Of a letter of a sequence: whoever gave to one of its funds since she entered it (her newest place says when), where that
# is its goal; and what its rules say of her ({ended}).
_OF_SEQUENCES = """WHEN :gave_ends AND EXISTS (SELECT FROM contribution g WHERE g.contact_id = m.contact_id
        AND g.fund_id = ANY(CAST(:goal_fund_ids AS bigint[])) AND g.sequence = 0 AND g.paid_at > (
            SELECT e.entered_at FROM enrollment e WHERE e.contact_id = m.contact_id AND e.sequence_id = :sequence_id
                AND e.campaign_id = :campaign_id ORDER BY e.rotation DESC LIMIT 1)
        AND g.status NOT IN ('refunded', 'duplicate')) THEN 'gave'
    ELSE {ended}"""
# Her place, or her last one, in what a letter is of.
_ENTERED_AT = """(SELECT max(x.entered_at) FROM enrollment x WHERE x.contact_id = c.id AND x.campaign_id = :campaign_id
    AND x.sequence_id = (SELECT coalesce(v.sequence_id, 0) FROM sequence_version v WHERE v.id = :version_id))"""
_THROUGH = Through(_ENTERED_AT, ":campaign_id")
_LATER = ", ".join(f"'{reason}'" for reason in (PAUSED, QUIET, CAPPED, BEHIND, GRACE))
_CANCELS = ", ".join(f"'{reason}'" for reason in REACHED)

_RESTS = ask_rests.RESTING.format(contact="m.contact_id", fund=":fund_id")
_REFUSAL = refusal("m.kind", "m.chapter_id", "said")

_CAPS = "m.kind <> '' AND m.at_cap <> 'exempt'"

# Of two letters to one person a claim takes one: two in one batch would both pass a cap.
_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT m.id, m.contact_id, m.occasion, m.lane, m.kind, m.chapter_id, m.at_cap, m.expires_at, m.created_at
    FROM message m {{joined}}
    WHERE {STANDING.format(":")} AND m.together IS NOT DISTINCT FROM CAST(:together AS int)
        AND m.fund_id IS NOT DISTINCT FROM CAST(:own_fund_id AS bigint)
    ORDER BY {{order}} LIMIT :most FOR UPDATE OF m SKIP LOCKED
), once AS MATERIALIZED (
    SELECT DISTINCT ON (contact_id) * FROM due ORDER BY contact_id, id
), look AS MATERIALIZED (
    SELECT m.id, m.expires_at, why.reason,
        CASE why.reason WHEN '{PAUSED}' THEN later.paused_until WHEN '{QUIET}' THEN later.wakes_at
            WHEN '{CAPPED}' THEN CASE WHEN m.at_cap <> 'drop' THEN later.free_at END
            WHEN '{BEHIND}' THEN CASE WHEN m.at_cap <> 'drop' THEN later.behind_until END
            WHEN '{GRACE}' THEN least(rest.grace_until, :now + interval '{AGAIN_MINUTES} minutes') END AS until
    FROM once m JOIN contact c ON c.id = m.contact_id
    CROSS JOIN LATERAL ({words("m.kind")} OFFSET 0) said
    CROSS JOIN LATERAL ({_RESTS} AND m.kind = 'asks' OFFSET 0) rest
    {{recent}} CROSS JOIN LATERAL (SELECT CASE WHEN m.kind <> '' THEN said.paused_until END AS paused_until,
        CASE WHEN {_CAPS} THEN {{free_at}} END AS free_at, CASE WHEN {_CAPS} THEN {{behind}} END AS behind_until,
        CASE WHEN CAST(:quiet_from AS int) IS NOT NULL THEN {WAKES_AT} END AS wakes_at OFFSET 0) later
    CROSS JOIN LATERAL (SELECT CASE WHEN m.expires_at <= :now THEN 'its time has passed' WHEN {GAVE} THEN 'gave'
        ELSE coalesce({{ended}}, nullif(CASE WHEN m.kind = '' THEN {_NO_LEAVE_NEEDED} ELSE {_REFUSAL} END, ''),
            rest.words, CASE WHEN rest.grace_until > :now THEN '{GRACE}' WHEN later.wakes_at > :now THEN '{QUIET}'
                WHEN later.free_at > :now THEN '{CAPPED}' WHEN later.behind_until > :now THEN '{BEHIND}' ELSE '' END)
        END AS reason OFFSET 0) why
), verdict AS MATERIALIZED (
    SELECT id, reason, until, CASE WHEN expires_at <= :now THEN 'expired' WHEN reason = '' THEN 'handed'
        WHEN reason IN ({_CANCELS}) THEN 'cancelled'
        WHEN reason NOT IN ({_LATER}) OR until IS NULL OR expires_at <= until THEN 'skipped' ELSE 'ready' END AS state
    FROM look
), request AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('handover', 'id')) AS id, count(*) AS letters FROM verdict WHERE state = 'handed'
), opened AS (
    INSERT INTO handover (id, mailing_id, lane, letters, due_at) OVERRIDING SYSTEM VALUE
    SELECT id, :mailing_id, 'delivery', letters, now() + make_interval(secs => :lease) FROM request WHERE letters > 0
    RETURNING id
), decided AS (
    UPDATE message m SET state = v.state, due_at = CASE v.state WHEN 'ready' THEN v.until ELSE m.due_at END,
        reason = CASE WHEN v.state = 'skipped' AND v.until IS NOT NULL THEN v.reason || ' until after its time'
            ELSE v.reason END,
        handover_id = CASE v.state WHEN 'handed' THEN request.id END,
        handed_at = CASE v.state WHEN 'handed' THEN CAST(:now AS timestamptz) END,
        attempts = m.attempts + CASE v.state WHEN 'handed' THEN 1 ELSE 0 END
    FROM verdict v CROSS JOIN request LEFT JOIN opened ON opened.id = request.id WHERE m.id = v.id
    RETURNING m.id, m.contact_id, m.handover_id, m.state, m.step
)
SELECT count(*) AS decided, max(handover_id) AS handover_id, min(step) AS step,
    count(*) FILTER (WHERE state = 'skipped') AS skipped, count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE state = 'expired') AS expired,
    array_agg(id ORDER BY id) FILTER (WHERE handover_id IS NOT NULL) AS going,
    array_agg(contact_id ORDER BY id) FILTER (WHERE handover_id IS NOT NULL) AS readers
FROM decided
"""

# What differs between letters of no sequence and the others.
_ALONE = {
    "recent": "", "free_at": f"(SELECT {FREE_AT} FROM {RECENT} recent)", "behind": "CAST(NULL AS timestamptz)",
    "ended": "CAST(NULL AS text)",
}  # fmt: skip
_ARBITRATED = {
    "recent": f"CROSS JOIN LATERAL (SELECT CASE WHEN {_CAPS} THEN (SELECT at FROM {RECENT} r) END AS at OFFSET 0) recent",
    "free_at": FREE_AT, "behind": BEHIND_UNTIL,
}  # fmt: skip

_SERVED = text("""
UPDATE mailing SET served_at = clock_timestamp(), served_chapter = :chapter, handed = handed + :letters WHERE id = :mailing_id
""")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a claim goes by. `call_seconds`: no request to the provider outlives that."""

    now: datetime
    call_seconds: float
    most: int
    zone: str
    a_day: int
    a_week: int
    a_week_fewer: int
    production: (
        bool  # a new domain is warmed up, and nothing leaves before the provider has told anything of any letter
    )
    domain: str | None = None  # claim from this domain alone
    first: str = EQUAL  # of campaigns the root's (national) or the chapters' go first
    lock: int = LOCK  # under which claims wait for each other

    @property
    def lease(self) -> float:
        """The zombie guard, one provider call and a margin: after it, nobody can still be sending."""
        return ZOMBIE_SECONDS + self.call_seconds + MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Claimed:
    """The letters that may go, by their handovers, and whether there may be more that are due. `readers`: at whom the last
    look of each letter looked."""

    letters: Mapping[int, Sequence[int]]
    more: bool
    readers: Mapping[int, int] = field(default_factory=dict)


def receipts(session: Session, terms: Terms) -> Claimed:
    """Claim receipts that are due, each under a handover of its own."""
    values = {"lane": bell.RECEIPTS, "now": terms.now, "most": RECEIPTS, "lease": terms.lease}
    decided = session.execute(_CLAIM_RECEIPTS, values).all()
    going = [row for row in decided if row.state == "handed"]
    for state in {row.state for row in decided}:
        metrics.CLAIMED.labels(bell.RECEIPTS, state).inc(sum(row.state == state for row in decided))
    letters, readers = {row.handover_id: [row.id] for row in going}, {row.id: row.contact_id for row in going}
    return Claimed(letters, len(decided) == RECEIPTS, readers)


def campaign(session: Session, terms: Terms) -> Claimed:
    """Claim letters of one line, up to a whole request, all under one handover."""
    session.execute(_TAKE_TURNS, {"lock": terms.lock})
    next_ones = lines.due(session, _looked_for(terms), terms.domain)
    return _claimed(session, terms, next_ones[0], more=len(next_ones) > 1) if next_ones else Claimed({}, more=False)


def in_turn(session: Session, terms: Terms) -> Iterator[Claimed]:
    """Claim from all lines that are open, one after the other, as long as what each was found to be allowed still holds: for
    whoever knows that nobody claims beside. The last one says whether there may be more."""
    session.execute(_TAKE_TURNS, {"lock": terms.lock})
    found, counted_for = lines.due(session, _looked_for(terms), terms.domain, MOST_LINES), set[int]()
    for place, line in enumerate(found, 1):
        limited = line.warming or line.most < terms.most or line.counted_for in counted_for
        if limited and counted_for:
            return
        counted_for.add(line.counted_for)
        claimed = _claimed(session, terms, line, more=place < len(found) or place == MOST_LINES)
        yield claimed
        if limited or len(claimed.readers) >= line.most:
            return


def _claimed(session: Session, terms: Terms, line: Row[Any], *, more: bool) -> Claimed:
    """Claim letters of this line. `more`: whether another one is open."""
    ends = goals.load(session, [line.version_id]) if line.version_id else []
    statement, values = _look(session, line, ends)
    done = session.execute(statement, values | _limits(terms)).one()
    going: list[int] = done.going or []
    session.execute(_SERVED, {"mailing_id": line.mailing_id, "chapter": line.chapter, "letters": len(going)})
    if going:
        if not line.known:
            allowances.seen(session, line.domain, terms.now.date() if terms.production else None)
        allowances.count(session, line.domain, line.counted_for, len(going), terms.now)
    if line.version_id:
        tallies.write(session, [_counted(line, done, len(going))])
    _meter(done, len(going))
    letters = {done.handover_id: going} if going else {}
    more = more or done.decided >= line.most
    return Claimed(letters, more, dict(zip(going, done.readers or (), strict=True)))


def _meter(done: Row[Any], handed: int) -> None:
    """Count what was decided; the rest is ready still, and due later."""
    found = {"handed": handed, "skipped": done.skipped, "cancelled": done.cancelled, "expired": done.expired}
    for verdict, letters in (found | {"ready": done.decided - sum(found.values())}).items():
        metrics.CLAIMED.labels(bell.DELIVERY, verdict).inc(letters)


def rooms(session: Session, terms: Terms) -> list[tuple[str, int]]:
    """The domains that letters which are due would leave from, in the order of their turns; and how many of each the next
    claim from it would take."""
    return lines.rooms(session, _looked_for(terms))


def _looked_for(terms: Terms) -> dict[str, Any]:
    return {
        "lane": bell.DELIVERY, "now": terms.now, "most": terms.most, "day": terms.now.date(),
        "production": terms.production, "warm_up": list(allowances.WARM_UP), "warm_days": allowances.DAYS,
        "first": terms.first,
    }  # fmt: skip


def _limits(terms: Terms) -> dict[str, Any]:
    return {
        "now": terms.now, "lease": terms.lease, "zone": terms.zone, "a_day": terms.a_day, "a_week": terms.a_week,
        "a_week_fewer": terms.a_week_fewer, "first": terms.first,
    }  # fmt: skip


def _look(session: Session, line: Row[Any], ends: Sequence[Ends]) -> tuple[TextClause, dict[str, Any]]:
    """The last look at this line, and its values; `ends`: what ends its version, if it is one's."""
    named = (
        "mailing_id", "chapter", "version_id", "campaign_id", "together", "own_fund_id", "fund_id", "quiet_from",
        "quiet_until", "most", "rank",
    )  # fmt: skip
    values = {name: getattr(line, name) for name in named}
    ended = ""
    for version in ends:
        found = goals.compiled(session, [version], ":version_id", _THROUGH)
        ended = found.sql
        values |= {
            "gave_ends": version.gave, "goal_fund_ids": list(version.fund_ids), "sequence_id": version.sequence_id,
            **found.values,
        }  # fmt: skip
        quiet = version.quiet or (None if line.quiet_from is None else (line.quiet_from, line.quiet_until))
        since, until = arbitration.quiet_hours(quiet, urgent=line.urgent) or (None, None)
        values |= {"quiet_from": since, "quiet_until": until}
    return _statement(ended, warming=bool(line.warming)), values


@lru_cache(maxsize=512)
def _statement(ended: str, *, warming: bool) -> TextClause:
    """`ended`: SQL that says why her sequence is over; "": the letter belongs to none, and waits for no other."""
    joined = "JOIN contact engaged ON engaged.id = m.contact_id" if warming else ""
    order = "engaged.engaged_last_at DESC NULLS LAST, m.due_at, m.id" if warming else "m.due_at, m.id"
    parts = _ALONE
    if ended:
        parts = _ARBITRATED | {"ended": f"CASE {_OF_SEQUENCES.format(ended=ended)} END"}
    return text(_CLAIM.format(joined=joined, order=order, **parts))


def _counted(line: Row[Any], done: Row[Any], handed: int) -> StepCounted:
    counts = {"handed": handed, "skipped": done.skipped, "cancelled": done.cancelled, "expired": done.expired}
    return StepCounted(None, line.version_id, line.campaign_id, line.mailing_id, line.chapter, done.step or "", counts)
