"""Checks of letters: how often each was accepted, to whom none may come any more, caps, sums that add up (I5-I10, I13).

The provider's fsynced log is the truth about what left.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from bench.torture import model
from bench.torture.evidence import Evidence, Letter
from engine import bell
from engine.adapters.sendgrid_mail import CALL_SECONDS
from engine.outreach.claims import MARGIN_SECONDS, ZOMBIE_SECONDS

# A claim that looked just before somebody's word was committed may still be on the wire for so long.
WIRE_SECONDS = ZOMBIE_SECONDS + CALL_SECONDS + MARGIN_SECONDS
# A network that held bytes back hands them on so much later, when whoever sent them has given up.
LATE_SECONDS = 10.0
# What a claim may wait for locks: before its look, and after it until its commit.
LOCK_SECONDS = 10.0
NO_SECONDS = WIRE_SECONDS + LOCK_SECONDS + LATE_SECONDS
CLAIM_SECONDS = NO_SECONDS + LOCK_SECONDS
# The same after a word that came by an event: its transaction may have waited before it could commit.
EVENT_SECONDS = NO_SECONDS + 60.0
A_DAY = 2  # letters to one person, as the house is set up
MOST_RECEIPTS = 3

_SUPPRESSED = """
SELECT s.email, s.reason, extract(epoch FROM coalesce(i.finished_at, s.at))::float AS at
FROM suppression s LEFT JOIN inbound_event i ON i.id = s.inbound_event_id WHERE s.reason <> 'erased'
"""
_NEVER_YES = """
WITH yes AS MATERIALIZED (
    SELECT DISTINCT coalesce(c.merged_into_id, c.id) AS person FROM consent s JOIN contact c ON c.id = s.contact_id
    WHERE s.channel = 'mail' AND s.given
)
SELECT m.id FROM message m JOIN contact c ON c.id = m.contact_id
LEFT JOIN yes ON yes.person = coalesce(c.merged_into_id, c.id)
WHERE m.id = ANY(%s) AND c.erased_at IS NULL AND yes.person IS NULL
"""
_UNACCOUNTED = """
SELECT m.id, m.state, h.id AS handover_id, h.state AS handover FROM message m JOIN handover h ON h.id = m.handover_id
WHERE m.state IN ('handed', 'delivered', 'complained') AND h.state = 'accepted' AND NOT m.id = ANY(%s) AND h.letters > 0
"""
_PEOPLE_OF_CAMPAIGNS = """
SELECT k.slug, k.enrolled, k.finished, k.left_early, count(e.id) AS places,
    count(e.id) FILTER (WHERE e.state = 'left') AS gone, count(e.id) FILTER (WHERE e.state = 'active') AS active
FROM campaign k JOIN enrollment e ON e.campaign_id = k.id GROUP BY k.id
"""
_TALLIES = """
SELECT coalesce(t.campaign_id, m.campaign_id) AS campaign_id, coalesce(t.step, m.step) AS step, t.*, m.*
FROM (SELECT campaign_id, version_id, step, sum(composed)::bigint AS composed, sum(handed)::bigint AS handed,
        sum(skipped)::bigint AS skipped, sum(cancelled)::bigint AS cancelled, sum(expired)::bigint AS expired,
        sum(refused)::bigint AS refused
    FROM step_tally GROUP BY campaign_id, version_id, step) t
FULL JOIN (SELECT campaign_id, version_id, step, count(*) AS is_composed,
        count(*) FILTER (WHERE state IN ('handed', 'delivered', 'bounced', 'dropped', 'complained')) AS is_handed,
        count(*) FILTER (WHERE state = 'skipped') AS is_skipped, count(*) FILTER (WHERE state = 'cancelled') AS is_cancelled,
        count(*) FILTER (WHERE state = 'expired') AS is_expired, count(*) FILTER (WHERE state = 'failed') AS is_refused
    FROM message WHERE version_id <> 0 AND lane = 'delivery' GROUP BY campaign_id, version_id, step) m
USING (campaign_id, version_id, step)
"""
_COUNTED = ("composed", "handed", "skipped", "cancelled", "expired", "refused")


def once(evidence: Evidence) -> Iterator[str]:
    """I5: a letter of a campaign or sequence is accepted once at the most."""
    times = Counter(letter.message for letter, message in evidence.sent() if message["lane"] == bell.DELIVERY)
    for message, many in times.items():
        if many > 1:
            yield f"message {message} of the lane delivery was accepted {many} times"


def receipts(evidence: Evidence) -> Iterator[str]:
    """I6: a receipt at most three times, and again only after a handover of which nobody knew."""
    of: defaultdict[int, list[Letter]] = defaultdict(list)
    for letter, message in evidence.sent():
        if message["lane"] == bell.RECEIPTS:
            of[letter.message].append(letter)
    for message_id, letters in of.items():
        if len(letters) > MOST_RECEIPTS:
            yield f"receipt {message_id} was accepted {len(letters)} times"
        for letter in sorted(letters, key=lambda each: each.at)[:-1]:
            state = evidence.handovers.get(letter.handover, {}).get("state")
            if state != "resent":
                yield f"receipt {message_id} was sent again although its handover {letter.handover} is {state}"


def on_record(evidence: Evidence) -> Iterator[str]:
    """Whatever was accepted had its row before the first byte left, and left within its lease (the zombie guard)."""
    for letter in evidence.letters:
        handover = evidence.handovers.get(letter.handover)
        if handover is None or letter.message not in evidence.messages:
            yield f"accepted, and there is no row of it: message {letter.message}, handover {letter.handover}"
        elif letter.at - handover["created_at"] > CLAIM_SECONDS:
            late = letter.at - handover["created_at"]
            yield f"message {letter.message} left {late:.0f} seconds after its claim, handover {letter.handover}"


def one_occasion(evidence: Evidence) -> Iterator[str]:
    """I7: nobody gets the letter of one step twice, under whichever row; once merged, neither under both of her addresses."""
    of: defaultdict[str, defaultdict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for letter, message in evidence.sent():
        of[letter.to][message["occasion"]].setdefault(letter.message, letter.at)
    for had in of.values():
        for occasion, letters in had.items():
            if len(letters) > 1:
                yield f"two letters for {occasion} to one person: messages {sorted(letters)}"
    told = model.told(evidence.journal)
    for one, other in told.merged.items():
        for occasion in of[one].keys() & of[other].keys():
            both = of[one][occasion] | of[other][occasion]
            if len(both) > 1 and max(both.values()) > told.merged_at[one] + NO_SECONDS:
                yield f"two letters for {occasion} to one person, who had been merged: messages {sorted(both)}"


def after_no(evidence: Evidence) -> Iterator[str]:
    """I8: nothing is accepted for somebody longer after her one click than a request may be on the wire."""
    stopped = model.told(evidence.journal).stopped
    for letter, message in evidence.sent():
        since = stopped.get(letter.to)
        if since is not None and message["kind"] and letter.at > since + NO_SECONDS:
            yield f"message {letter.message} of kind {message['kind']} left {letter.at - since:.1f} seconds after her no"


def to_nobody(evidence: Evidence) -> Iterator[str]:
    """I9: nothing to addresses that bounce or complained; no letter that needs a yes without one; nothing to the erased."""
    closed: dict[str, float] = {}
    for row in evidence.rows(_SUPPRESSED):
        if row["reason"] != "unsubscribe":
            closed[row["email"]] = min(row["at"], closed.get(row["email"], row["at"]))
    gone = dict(model.told(evidence.journal).erased.values())
    for letter in evidence.letters:
        if letter.at > closed.get(letter.to, letter.at) + EVENT_SECONDS:
            yield f"message {letter.message} left to a suppressed address, {letter.at - closed[letter.to]:.0f} s later"
        if letter.at > gone.get(letter.to, letter.at) + NO_SECONDS:
            yield f"message {letter.message} left to somebody who was erased"
    wanting = [letter.message for letter, message in evidence.sent() if message["kind"]]
    for row in evidence.rows(_NEVER_YES, wanting):
        yield f"message {row['id']} left to somebody who never said yes"


def accounted(evidence: Evidence) -> Iterator[str]:
    """I10: what we count as accepted was accepted; of each step, what was composed is all that became of its letters."""
    for row in evidence.rows(_UNACCOUNTED, [letter.message for letter in evidence.letters]):
        yield f"message {row['id']} is {row['state']} under handover {row['handover_id']}, and the provider never had it"
    for row in evidence.rows(_TALLIES):
        wrong = {
            name: (row[name], row[f"is_{name}"]) for name in _COUNTED if (row[name] or 0) != (row[f"is_{name}"] or 0)
        }
        if wrong:
            yield f"campaign {row['campaign_id']}, step {row['step']}: counted, and there: {wrong}"
    for row in evidence.rows(_PEOPLE_OF_CAMPAIGNS):
        if (row["enrolled"], row["left_early"]) != (row["places"], row["gone"]):
            yield f"{row['slug']} counts {row['enrolled']} and {row['left_early']} gone; {row['places']}, {row['gone']} are"


def capped(evidence: Evidence) -> Iterator[str]:
    """I13: in no twenty-four hours more letters to one address than the cap, whatever was presumed."""
    of: defaultdict[str, dict[int, float]] = defaultdict(dict)
    exempt: Counter[str] = Counter()
    for letter, message in evidence.sent():
        if message["lane"] == bell.DELIVERY and message["kind"]:
            exempt[letter.to] += message["at_cap"] == "exempt" and letter.message not in of[letter.to]
            of[letter.to][letter.message] = letter.at
    for address, letters in of.items():
        if _most_within_a_day(letters) - exempt[address] > A_DAY:
            yield f"{len(letters)} letters within a day to one person: messages {sorted(letters)}"


def _most_within_a_day(letters: Mapping[int, float]) -> int:
    times = sorted(letters.values())
    return max((sum(first <= at < first + 86_400 for at in times) for first in times), default=0)
