"""Checks of sequences: steps in their order and not before their time, and none after what ends them (I11)."""

from collections.abc import Iterator

from bench.torture.evidence import Evidence
from bench.torture.of_letters import EVENT_SECONDS

MINUTE = 60.0
TOLERANCE = 1.5  # seconds: a step's time is kept to the second, a wait is counted from the transaction that began it

_PLACES = """
SELECT e.id, e.state, e.step, e.history, v.definition -> 'steps' AS steps
FROM enrollment e JOIN sequence_version v ON v.id = e.version_id WHERE jsonb_array_length(e.history) > 0
"""
# Letters of a step whose reader has not come to it.
_TOO_EARLY = """
WITH gone AS MATERIALIZED (
    SELECT DISTINCT coalesce(c.merged_into_id, c.id) AS person, e.version_id, e.campaign_id, h.entry ->> 0 AS step
    FROM enrollment e JOIN contact c ON c.id = e.contact_id CROSS JOIN LATERAL jsonb_array_elements(e.history) h(entry)
)
SELECT m.id, m.step FROM message m JOIN contact c ON c.id = m.contact_id
LEFT JOIN gone g ON g.person = coalesce(c.merged_into_id, c.id) AND g.version_id = m.version_id
    AND g.campaign_id = m.campaign_id AND g.step = m.step
WHERE m.version_id <> 0 AND m.lane = 'delivery' AND c.erased_at IS NULL AND g.person IS NULL
"""
# Asks and the gifts to their fund, by whom and when those were on the books.
_GAVE = """
SELECT m.id, min(extract(epoch FROM i.finished_at))::float AS since
FROM message m JOIN mailing w ON w.id = m.mailing_id JOIN letter l ON l.id = w.letter_id
JOIN contribution g ON g.contact_id = m.contact_id AND g.fund_id = coalesce(m.fund_id, l.fund_id)
JOIN inbound_event i ON i.id = g.inbound_event_id
WHERE m.id = ANY(%s) AND m.kind = 'asks' AND g.sequence = 0 AND g.paid_at > now() - interval '1 hour'
    AND g.status NOT IN ('refunded', 'duplicate', 'dispute_lost', 'partly_refunded', 'disputed') AND i.finished_at IS NOT NULL
GROUP BY m.id
"""


def in_order(evidence: Evidence) -> Iterator[str]:
    """I11: everybody goes through the steps of her version one after the other, and waits as long as it says."""
    for row in evidence.rows(_PLACES):
        keys = [step["key"] for step in row["steps"]]
        went = [entry[0] for entry in row["history"]]
        times = [float(entry[3]) for entry in row["history"]]
        if went != keys[: len(went)]:
            yield f"place {row['id']} went {went}; the steps are {keys}"
        elif times != sorted(times):
            yield f"place {row['id']} went back in time: {times}"
        elif row["state"] == "active" and row["step"] not in keys[len(went) - 1 : len(went) + 1]:
            yield f"place {row['id']} is at {row['step']} after {went}"
        else:
            yield from _waited(row["id"], row["steps"], times)


def _waited(place: int, steps: list[dict[str, str]], times: list[float]) -> Iterator[str]:
    """Of a wait its end stands in the history, of what comes after it the moment it was done."""
    for number, step in enumerate(steps[: len(times)]):
        if "wait" in step and 0 < number < len(times) - 1:
            least = MINUTE * int(step["wait"].split()[0])
            if times[number + 1] - times[number - 1] < least - TOLERANCE:
                yield f"place {place} waited {times[number + 1] - times[number - 1]:.0f} s instead of {step['wait']}"


def only_there(evidence: Evidence) -> Iterator[str]:
    """I11: no letter of a step to somebody who has not come to it."""
    for row in evidence.rows(_TOO_EARLY):
        yield f"message {row['id']} is of step {row['step']}, at which nobody of that name is"


def not_after_giving(evidence: Evidence) -> Iterator[str]:
    """I11: nobody is asked for a fund after her gift to it was on the books."""
    asks = {letter.message: letter.at for letter, message in evidence.sent() if message["kind"] == "asks"}
    for row in evidence.rows(_GAVE, list(asks)):
        if asks[row["id"]] > row["since"] + EVENT_SECONDS:
            yield f"message {row['id']} asked {asks[row['id']] - row['since']:.0f} s after she had given"
