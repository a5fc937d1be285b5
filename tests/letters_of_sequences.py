"""Letters of sequences and campaigns of invented people, as stepping would have written them, ready to leave."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.outreach.tallies import COUNTS
from tests.campaigns import NOW
from tests.flows.house import change, one, rows
from tests.sequences import Published

_QUEUE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, language, chapter_id, fund_id, facts,
    version_id, campaign_id, step, at_cap, created_at)
SELECT c.id, m.id, :occasion, 'delivery', l.kind, :due, :expires, 'en', c.chapter_id, l.fund_id, '{}', v.id, :campaign_id,
    :step, :at_cap, :created
FROM unnest(CAST(:ids AS bigint[])) i(id) JOIN contact c ON c.id = i.id JOIN sequence_version v ON v.id = :version_id
JOIN mailing m ON m.id = CAST(v.mailings -> CAST(:step AS text) -> '' ->> 'en' AS bigint)
JOIN letter l ON l.id = m.letter_id
ORDER BY c.id RETURNING id
""")


def queue(
    deps: Deps, of: Published, contact_ids: Sequence[int], *, step: str = "", due: datetime = NOW,
    expires: datetime | None = None, at_cap: str = "defer", created: datetime = NOW, number: int = 0,
) -> list[int]:  # fmt: skip
    """A letter of this step for each of them, ready; the ids."""
    step = step or of.first
    occasion = (
        f"campaign:{of.campaign_id}:{number}:{step}" if of.campaign_id else f"step:{of.sequence_id}:{step}:{number}"
    )
    values = {
        "occasion": occasion, "ids": list(contact_ids), "version_id": of.version_id, "campaign_id": of.campaign_id,
        "step": step, "due": due, "expires": expires, "at_cap": at_cap, "created": created,
    }  # fmt: skip
    with transaction(deps.sessions) as session:
        return list(session.scalars(_QUEUE, values))


def stands(deps: Deps, message_id: int) -> tuple[str, str]:
    """Its state and reason."""
    row = one(deps, f"SELECT state, reason FROM message WHERE id = {message_id}")
    return row.state, row.reason


def tally(deps: Deps, of: Published) -> dict[str, int]:
    """What was counted of its letters, of all steps and chapters; without what is nothing."""
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COUNTS)
    row = one(deps, f"""SELECT {sums} FROM step_tally
        WHERE version_id = {of.version_id} AND campaign_id = {of.campaign_id}""")  # fmt: skip
    return {name: int(many) for name, many in row._mapping.items() if many}


def places(deps: Deps, of: Published) -> list[tuple[str, str]]:
    """How each place in it stands, and why, in the order of people."""
    found = rows(deps, f"""SELECT state, reason FROM enrollment
        WHERE version_id = {of.version_id} AND campaign_id = {of.campaign_id} ORDER BY contact_id""")  # fmt: skip
    return [tuple(row) for row in found]


def campaign_says(deps: Deps, of: Published, **columns: Any) -> None:
    """These columns of its campaign."""
    said = ", ".join(f"{name} = :{name}" for name in columns)
    change(deps, f"UPDATE campaign SET {said} WHERE id = :id", id=of.campaign_id, **columns)


__all__ = ["campaign_says", "places", "queue", "stands", "tally"]
