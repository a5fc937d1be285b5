"""The last look: who may still be written to is decided in the transaction that claims the letter.

One statement locks what is due, gives each letter its verdict, and writes a handover for each that may go. Letters travel
one per handover; caps, quiet hours and goals join the verdict with their areas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.languages import catalogue
from engine.mail.links import Links
from engine.mail.render import one_line, render
from engine.people.consent import PAUSED, PAUSED_UNTIL, STANDING_SUPPRESSIONS, refusal
from engine.ports import Letter

BATCH = 16
ZOMBIE_SECONDS = 5.0  # a process that was stopped this long after its claim must not send any more

# A letter that needs nobody's leave: a hold stops campaigns, not receipts; so does a person who unsubscribed or was erased:
# a gift is thanked for, a new sign-up is asked about. An address that bounces or complained gets nothing at all. Whoever
# works here gets her links to sign in under the address that she works under, whomever she was merged into.
_NO_LEAVE_NEEDED = f"""CASE WHEN c.email IS NULL THEN 'no address'
    WHEN c.merged_into_id IS NOT NULL AND m.occasion !~ '^(sign-in|notice):' THEN 'merged into another contact'
    ELSE coalesce((
    SELECT 'address suppressed: ' || min(x.reason) FROM ({STANDING_SUPPRESSIONS}) x
    WHERE x.email = c.email AND (x.reason NOT IN ('unsubscribe', 'erased') OR :lane = 'delivery')), '') END"""

# Locked rows, looks and verdicts are MATERIALIZED: inlined, the planner would decide several times. Who pauses gets her
# letter when the pause ends, if it is not too late then.
_CLAIM = text(f"""
WITH due AS MATERIALIZED (
    SELECT id FROM message WHERE state = 'ready' AND lane = :lane AND due_at <= :now
        AND (:lane <> 'delivery' OR NOT EXISTS (SELECT FROM mail_hold WHERE lifted_at IS NULL))
    ORDER BY due_at, id LIMIT :most FOR UPDATE SKIP LOCKED
), look AS MATERIALIZED (
    SELECT m.id, m.mailing_id, m.due_at, m.expires_at, CASE WHEN m.kind <> '' THEN {PAUSED_UNTIL} END AS paused_until,
        CASE WHEN m.expires_at <= :now THEN 'its time has passed'
            WHEN m.kind = '' THEN {_NO_LEAVE_NEEDED} ELSE {refusal("m.kind", "m.chapter_id")} END AS reason
    FROM due JOIN message m ON m.id = due.id JOIN contact c ON c.id = m.contact_id
), verdict AS MATERIALIZED (
    SELECT id, mailing_id, nextval(pg_get_serial_sequence('handover', 'id')) AS handover_id,
        CASE WHEN expires_at <= :now THEN 'expired' WHEN reason = '' THEN 'handed'
            WHEN reason <> '{PAUSED}' OR expires_at <= paused_until THEN 'skipped' ELSE 'ready' END AS state,
        CASE WHEN reason = '{PAUSED}' AND expires_at <= paused_until THEN 'paused until after its time'
            ELSE reason END AS reason,
        CASE WHEN reason = '{PAUSED}' THEN paused_until ELSE due_at END AS due_at
    FROM look
), opened AS (
    INSERT INTO handover (id, mailing_id, lane, due_at) OVERRIDING SYSTEM VALUE
    SELECT handover_id, mailing_id, :lane, now() + make_interval(secs => :lease) FROM verdict WHERE state = 'handed'
    RETURNING id
)
UPDATE message m SET state = v.state, reason = v.reason, due_at = v.due_at,
    handover_id = CASE v.state WHEN 'handed' THEN v.handover_id END,
    attempts = m.attempts + CASE v.state WHEN 'handed' THEN 1 ELSE 0 END
FROM verdict v LEFT JOIN opened o ON o.id = v.handover_id WHERE m.id = v.id
RETURNING m.id, m.state
""")

# Sender identity: the nearest chapter upwards that says it; disclaimer and deductibility: the fund.
_LOAD = text("""
SELECT m.id, m.contact_id, m.kind, m.language, m.handover_id, m.facts, m.occasion, m.inbound_event_id, m.attempts,
    c.email, c.first_name, c.last_name, w.subject, w.body_html, w.body_text, coalesce(f.disclaimer, '') AS disclaimer,
    coalesce(f.deductibility, '') AS deductibility, s.*
FROM message m JOIN contact c ON c.id = m.contact_id JOIN mailing w ON w.id = m.mailing_id
LEFT JOIN fund f ON f.id = m.fund_id
CROSS JOIN LATERAL (
    WITH RECURSIVE up AS (
        SELECT h.*, 0 AS level FROM chapter h
        WHERE h.id = coalesce(m.chapter_id, (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1))
        UNION ALL
        SELECT h.*, up.level + 1 FROM chapter h JOIN up ON h.id = up.parent_id
    )
    SELECT (SELECT name FROM up WHERE level = 0) AS chapter,
        (SELECT sender_name FROM up WHERE sender_name <> '' ORDER BY level LIMIT 1) AS sender_name,
        (SELECT sender_email FROM up WHERE sender_email <> '' ORDER BY level LIMIT 1) AS sender_email,
        (SELECT reply_to FROM up WHERE reply_to <> '' ORDER BY level LIMIT 1) AS reply_to,
        (SELECT postal_address FROM up WHERE postal_address <> '' ORDER BY level LIMIT 1) AS postal_address
) s
WHERE m.id = ANY(:ids) ORDER BY m.id
""")


@dataclass(frozen=True, slots=True)
class Draft:
    """A claimed letter with all that its rendering needs: loaded in the claim's transaction, rendered outside it."""

    message_id: int
    handover_id: int
    cause: int | None
    row: Mapping[str, Any]

    def letter(self, links: Links) -> Letter:
        """Render it with the links of its reader. Raises Invalid when the template and the facts do not fit."""
        row = self.row
        if not row["sender_email"] or not row["postal_address"]:
            raise Invalid(
                "no sender: neither the chapter nor those above it say an address to write from, or a postal one"
            )
        frame = ("chapter", "sender_name", "postal_address", "disclaimer", "deductibility")
        addresses = links.of(row["contact_id"], self.message_id, row["facts"])
        facts = {name: row[name] or "" for name in frame} | row["facts"] | addresses | self._footer()
        rendered = render(row["subject"], row["body_html"], row["body_text"], facts)
        return Letter(
            message_id=self.message_id,
            to_email=row["email"],
            to_name=one_line(f"{row['first_name']} {row['last_name']}"),
            from_email=row["sender_email"] or "",
            from_name=one_line(row["sender_name"] or ""),
            reply_to=row["reply_to"] or "",
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            headers={"X-Entity-Ref-ID": f"{self.message_id}.{row['attempts']}"} | self._one_click(addresses),
        )

    def _footer(self) -> dict[str, Any]:
        """What stands under it, in its language. `stoppable`: its reader may refuse letters of its kind."""
        spoken = catalogue(self.row["language"]).gettext
        words = {"stop_words": spoken("Stop these letters"), "choose_words": spoken("Choose what you get")}
        return words | {"stoppable": self.row["kind"] != ""}

    def _one_click(self, addresses: Mapping[str, str]) -> dict[str, str]:
        """RFC 8058: her mail program shows a button, and its provider posts to the address without asking anything."""
        if self.row["kind"] == "":
            return {}
        said = {"List-Unsubscribe": f"<{addresses['unsubscribe_url']}>"}
        return said | {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def claim(session: Session, lane: str, now: datetime, call_seconds: float) -> tuple[list[Draft], int]:
    """Claim what is due in this lane, each letter with its verdict.

    Returns those that may go, each under a handover of its own, and how many were due at all (a full batch: come again).
    The lease is the zombie guard, one provider call and a margin: after it, nobody can still be sending.
    """
    values = {"lane": lane, "now": now, "most": BATCH, "lease": ZOMBIE_SECONDS + call_seconds + 3}
    decided = session.execute(_CLAIM, values).all()
    going = [row.id for row in decided if row.state == "handed"]
    return _load(session, going) if going else [], len(decided)


def _load(session: Session, message_ids: Sequence[int]) -> list[Draft]:
    found = session.execute(_LOAD, {"ids": message_ids}).mappings()
    return [Draft(row["id"], row["handover_id"], row["inbound_event_id"], dict(row)) for row in found]
