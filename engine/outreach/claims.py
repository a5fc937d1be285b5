"""The last look: who may still be written to is decided in the transaction that claims the letter.

Receipts are claimed as they fall due, each under a handover of its own. Of all other letters a claim takes those of one
mailing from one sender, up to a whole request, under one lock for all workers: so that caps and allowances hold to the
letter. One statement locks what is due, gives each letter its verdict, and writes the handover of those that may go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from engine import bell
from engine.giving import ask_rests
from engine.mail import allowances
from engine.mail.holds import HELD
from engine.people.consent import PAUSED, STANDING_SUPPRESSIONS, refusal, words

LOCK = 0x67726E6C
RECEIPTS = 16
ZOMBIE_SECONDS = 5.0  # a process that was stopped this long after its claim must not send any more
MARGIN_SECONDS = 3.0
CAPPED, QUIET, GRACE = (
    "had enough letters for now",
    "it is night where she lives",
    "rests after a click to ActBlue",
)  # refusals that end by themselves, like PAUSED
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

# What is due, by mailing and sender: one look into the index each. Of mailings of the same priority the one that was served
# longest ago goes first; of its senders the next one after the last: so that neither a large campaign nor a large chapter
# makes the others wait.
_LINES = """
WITH RECURSIVE line AS (
    (SELECT mailing_id, coalesce(chapter_id, 0) AS chapter, due_at, together, fund_id FROM message
     WHERE state = 'ready' AND lane = 'delivery' ORDER BY mailing_id, coalesce(chapter_id, 0), due_at, id LIMIT 1)
    UNION ALL
    SELECT n.* FROM line CROSS JOIN LATERAL (
        SELECT mailing_id, coalesce(chapter_id, 0) AS chapter, due_at, together, fund_id FROM message
        WHERE state = 'ready' AND lane = 'delivery'
            AND (mailing_id, coalesce(chapter_id, 0)) > (line.mailing_id, line.chapter)
        ORDER BY mailing_id, coalesce(chapter_id, 0), due_at, id LIMIT 1) n
)
"""
_OPEN_LINES = f"""
FROM (
    SELECT line.mailing_id, line.chapter, line.together, line.fund_id AS own_fund_id,
        coalesce(line.fund_id, l.fund_id) AS fund_id, l.quiet_from, l.quiet_until,
        w.priority, w.served_at, line.chapter <= w.served_chapter AS had_its_turn
    FROM line JOIN mailing w ON w.id = line.mailing_id AND w.paused_at IS NULL JOIN letter l ON l.id = w.letter_id
    WHERE line.due_at <= :now AND NOT ({HELD})
        AND (NOT :production OR EXISTS (SELECT FROM handover WHERE heard_at IS NOT NULL))
    ORDER BY w.priority, w.served_at NULLS FIRST, line.mailing_id, line.chapter <= w.served_chapter, line.chapter
) next
LEFT JOIN chapter h ON h.id = CASE next.chapter WHEN 0 THEN ({allowances.ROOT}) ELSE next.chapter END
CROSS JOIN LATERAL ({allowances.writes_from("next.chapter")}) sender
LEFT JOIN sending_domain d ON d.domain = sender.domain
CROSS JOIN LATERAL (
    SELECT CASE WHEN d.domain IS NULL AND :production THEN CAST(:day AS date) ELSE d.warming_since END AS day
) since
LEFT JOIN sent_count of_domain ON of_domain.scope = 'domain ' || sender.domain AND of_domain.day = CAST(:day AS date)
LEFT JOIN sent_count of_chapter ON of_chapter.scope = 'chapter ' || coalesce(h.id, 0) AND of_chapter.day = CAST(:day AS date)
CROSS JOIN LATERAL (
    SELECT least(:most, next.together, h.daily_letters - coalesce(of_chapter.letters, 0),
        (CAST(:warm_up AS bigint[]))[1 + CASE WHEN since.day > CAST(:day AS date) THEN 0
            ELSE CAST(:day AS date) - since.day END] - coalesce(of_domain.letters, 0)) AS most
) room
WHERE room.most > 0
"""
_TURN = "next.priority, next.served_at NULLS FIRST, next.mailing_id, next.had_its_turn, next.chapter"
_PICK = text(f"""{_LINES}
SELECT next.mailing_id, next.chapter, next.together, next.own_fund_id, next.fund_id, next.quiet_from, next.quiet_until,
    sender.domain, d.domain IS NOT NULL AS known, since.day + CAST(:warm_days AS int) > CAST(:day AS date) AS warming,
    room.most, coalesce(h.id, 0) AS counted_for
{_OPEN_LINES} AND (CAST(:domain AS text) IS NULL OR sender.domain = :domain)
ORDER BY {_TURN} LIMIT 2
""")

# Of each domain the line whose turn it is, and how many of its letters a claim would take.
_ROOMS = text(f"""{_LINES}, first AS (
    SELECT DISTINCT ON (sender.domain) next.*, sender.domain, room.most {_OPEN_LINES}
    ORDER BY sender.domain, {_TURN}
)
SELECT next.domain, (SELECT count(*) FROM (
    SELECT FROM message m WHERE m.state = 'ready' AND m.lane = 'delivery' AND m.mailing_id = next.mailing_id
        AND coalesce(m.chapter_id, 0) = next.chapter AND m.due_at <= :now
        AND m.together IS NOT DISTINCT FROM next.together AND m.fund_id IS NOT DISTINCT FROM next.own_fund_id
    LIMIT next.most) due) AS wanted
FROM first next ORDER BY {_TURN}
""")

# When she may have the next one, by how many she was handed in the last day and week; NULL: now.
_FREE_AT = """
(SELECT greatest(recent.at[:a_day] + interval '1 day',
    recent.at[CASE WHEN said.fewer THEN :a_week_fewer ELSE :a_week END] + interval '7 days')
FROM (SELECT array_agg(x.handed_at ORDER BY x.handed_at DESC) AS at FROM message x
    WHERE x.contact_id = c.id AND x.lane = 'delivery' AND x.kind <> '' AND x.handed_at > :now - interval '7 days') recent)
"""
# When the quiet hours end that are where she lives; NULL: they are not.
_WAKES_AT = """
(SELECT (date_trunc('day', there.at) + make_interval(hours => quiet.until,
        days => CASE WHEN quiet.since > quiet.until AND there.hour >= quiet.since THEN 1 ELSE 0 END)) AT TIME ZONE there.zone
FROM (SELECT CAST(:quiet_from AS int) AS since, CAST(:quiet_until AS int) AS until) quiet,
    (SELECT zone, :now AT TIME ZONE zone AS at, extract(hour FROM :now AT TIME ZONE zone) AS hour
    FROM (SELECT coalesce(nullif(c.time_zone, ''), :zone) AS zone) z) there
WHERE CASE WHEN quiet.since > quiet.until THEN there.hour >= quiet.since OR there.hour < quiet.until
    ELSE there.hour >= quiet.since AND there.hour < quiet.until END)
"""
# A one-off gift, or the first of a plan, to the fund that the letter asks for, since it was written.
GAVE = """
m.kind = 'asks' AND EXISTS (SELECT FROM contribution g WHERE g.contact_id = m.contact_id AND g.fund_id = :fund_id
    AND g.paid_at > m.created_at AND (g.recurring_period = 'once' OR g.sequence = 0)
    AND g.status NOT IN ('refunded', 'duplicate'))
"""
_LATER = f"'{PAUSED}', '{CAPPED}', '{QUIET}', '{GRACE}'"

_RESTS = ask_rests.RESTING.format(contact="m.contact_id", fund=":fund_id")
_REFUSAL = refusal("m.kind", "m.chapter_id", "said")

# Of two letters to one person a claim takes one: two in one batch would both pass a cap.
_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT m.* FROM message m {{joined}}
    WHERE m.state = 'ready' AND m.lane = 'delivery' AND m.mailing_id = :mailing_id AND coalesce(m.chapter_id, 0) = :chapter
        AND m.due_at <= :now AND m.together IS NOT DISTINCT FROM CAST(:together AS int)
        AND m.fund_id IS NOT DISTINCT FROM CAST(:own_fund_id AS bigint)
    ORDER BY {{order}} LIMIT :most FOR UPDATE OF m SKIP LOCKED
), once AS MATERIALIZED (
    SELECT DISTINCT ON (contact_id) * FROM due ORDER BY contact_id, id
), look AS MATERIALIZED (
    SELECT m.id, m.expires_at, why.reason,
        CASE why.reason WHEN '{PAUSED}' THEN later.paused_until WHEN '{CAPPED}' THEN later.free_at
            WHEN '{QUIET}' THEN later.wakes_at
            WHEN '{GRACE}' THEN least(rest.grace_until, :now + interval '{AGAIN_MINUTES} minutes') END AS until
    FROM once m JOIN contact c ON c.id = m.contact_id
    CROSS JOIN LATERAL ({words("m.kind")} OFFSET 0) said
    CROSS JOIN LATERAL ({_RESTS} AND m.kind = 'asks' OFFSET 0) rest
    CROSS JOIN LATERAL (SELECT CASE WHEN m.kind <> '' THEN said.paused_until END AS paused_until,
        CASE WHEN m.kind <> '' THEN {_FREE_AT} END AS free_at, {_WAKES_AT} AS wakes_at OFFSET 0) later
    CROSS JOIN LATERAL (SELECT CASE WHEN m.expires_at <= :now THEN 'its time has passed' WHEN {{unless}} THEN 'gave'
        ELSE coalesce(nullif(CASE WHEN m.kind = '' THEN {_NO_LEAVE_NEEDED} ELSE {_REFUSAL} END, ''),
            rest.words, CASE WHEN rest.grace_until > :now THEN '{GRACE}' WHEN later.free_at > :now THEN '{CAPPED}'
                WHEN later.wakes_at > :now THEN '{QUIET}' ELSE '' END)
        END AS reason OFFSET 0) why
), verdict AS MATERIALIZED (
    SELECT id, reason, until, CASE WHEN expires_at <= :now THEN 'expired' WHEN reason = '' THEN 'handed'
        WHEN reason = 'gave' THEN 'cancelled' WHEN reason NOT IN ({_LATER}) OR expires_at <= until THEN 'skipped'
        ELSE 'ready' END AS state
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
    RETURNING m.id, m.contact_id, m.handover_id
)
SELECT count(*) AS decided, max(handover_id) AS handover_id,
    array_agg(id ORDER BY id) FILTER (WHERE handover_id IS NOT NULL) AS going,
    array_agg(contact_id ORDER BY id) FILTER (WHERE handover_id IS NOT NULL) AS readers
FROM decided
"""

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
    letters, readers = {row.handover_id: [row.id] for row in going}, {row.id: row.contact_id for row in going}
    return Claimed(letters, len(decided) == RECEIPTS, readers)


def campaign(session: Session, terms: Terms, unless: str = GAVE) -> Claimed:
    """Claim letters of one mailing from one sender, up to a whole request, all under one handover.

    `unless`: SQL of message `m` and contact `c`: whoever it holds for needs this letter no more.
    """
    session.execute(_TAKE_TURNS, {"lock": LOCK})
    line = _line(session, terms)
    if not line:
        return Claimed({}, more=False)
    found = line[0]
    named = ("mailing_id", "chapter", "together", "own_fund_id", "fund_id", "quiet_from", "quiet_until", "most")
    values = {name: getattr(found, name) for name in named} | {
        "now": terms.now, "lease": terms.lease, "zone": terms.zone, "a_day": terms.a_day, "a_week": terms.a_week,
        "a_week_fewer": terms.a_week_fewer,
    }  # fmt: skip
    done = session.execute(_statement(unless, warming=bool(found.warming)), values).one()
    going: list[int] = done.going or []
    session.execute(_SERVED, {"mailing_id": found.mailing_id, "chapter": found.chapter, "letters": len(going)})
    if going:
        if not found.known:
            allowances.seen(session, found.domain, terms.now.date() if terms.production else None)
        allowances.count(session, found.domain, found.counted_for, len(going), terms.now)
    letters = {done.handover_id: going} if going else {}
    more = done.decided >= found.most or len(line) > 1
    return Claimed(letters, more, dict(zip(going, done.readers or (), strict=True)))


def rooms(session: Session, terms: Terms) -> list[tuple[str, int]]:
    """The domains that letters which are due would leave from, in the order of their turns; and how many of each the next
    claim from it would take."""
    return [(row.domain, row.wanted) for row in session.execute(_ROOMS, _looked_for(terms))]


def _line(session: Session, terms: Terms) -> list[Row[Any]]:
    """What could be claimed next, and after that: rows of a mailing and a sender, two at most."""
    return list(session.execute(_PICK, _looked_for(terms) | {"domain": terms.domain}))


def _looked_for(terms: Terms) -> dict[str, Any]:
    return {
        "lane": bell.DELIVERY, "now": terms.now, "most": terms.most, "day": terms.now.date(),
        "production": terms.production, "warm_up": list(allowances.WARM_UP), "warm_days": allowances.DAYS,
    }  # fmt: skip


@cache
def _statement(unless: str, *, warming: bool) -> TextClause:
    joined = "JOIN contact engaged ON engaged.id = m.contact_id" if warming else ""
    order = "engaged.engaged_last_at DESC NULLS LAST, m.due_at, m.id" if warming else "m.due_at, m.id"
    return text(_CLAIM.format(joined=joined, order=order, unless=unless))
