"""Whose turn it is: of all letters that are due, the lines in which they stand. A line is what can travel together: letters
of one mailing from one sender, as one version of a sequence and one campaign sends them (0: none does).
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.mail import allowances
from engine.mail.holds import HELD
from engine.outreach.arbitration import STANDS_STILL, rank

# One look into the index for each line.
_KEY = "mailing_id, coalesce(chapter_id, 0), version_id, campaign_id"
_FIRST = "mailing_id, coalesce(chapter_id, 0) AS chapter, version_id, campaign_id, due_at, together, fund_id"
_LINES = f"""
WITH RECURSIVE line AS (
    (SELECT {_FIRST} FROM message
     WHERE state = 'ready' AND lane = 'delivery' ORDER BY {_KEY}, due_at, id LIMIT 1)
    UNION ALL
    SELECT n.* FROM line CROSS JOIN LATERAL (
        SELECT {_FIRST} FROM message
        WHERE state = 'ready' AND lane = 'delivery'
            AND ({_KEY}) > (line.mailing_id, line.chapter, line.version_id, line.campaign_id)
        ORDER BY {_KEY}, due_at, id LIMIT 1) n
)
"""
# Of mailings of the same priority the more important go first, then the one that was served longest ago; of its senders the
# next one after the last: so that neither a large campaign nor a large chapter makes the others wait.
_OPEN_LINES = f"""
FROM (
    SELECT line.mailing_id, line.chapter, line.version_id, line.campaign_id, line.together, line.fund_id AS own_fund_id,
        coalesce(line.fund_id, l.fund_id) AS fund_id, l.quiet_from, l.quiet_until, w.priority, w.served_at,
        line.chapter <= w.served_chapter AS had_its_turn, coalesce(k.urgent, '') <> '' AS urgent,
        {rank("line.campaign_id", "k")} AS rank
    FROM line JOIN mailing w ON w.id = line.mailing_id AND w.paused_at IS NULL JOIN letter l ON l.id = w.letter_id
    LEFT JOIN campaign k ON k.id = line.campaign_id
    WHERE line.due_at <= :now AND NOT ({HELD}) AND (line.version_id = 0 OR NOT {STANDS_STILL.format("line")})
        AND (NOT :production OR EXISTS (SELECT FROM handover WHERE heard_at IS NOT NULL))
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
_TURN = """next.priority, next.rank, next.served_at NULLS FIRST, next.mailing_id, next.had_its_turn, next.chapter,
    next.version_id, next.campaign_id"""
_PICK = text(f"""{_LINES}
SELECT next.mailing_id, next.chapter, next.version_id, next.campaign_id, next.together, next.own_fund_id, next.fund_id,
    next.quiet_from, next.quiet_until, next.urgent, next.rank, sender.domain, d.domain IS NOT NULL AS known,
    since.day + CAST(:warm_days AS int) > CAST(:day AS date) AS warming, room.most, coalesce(h.id, 0) AS counted_for
{_OPEN_LINES} AND (CAST(:domain AS text) IS NULL OR sender.domain = :domain)
ORDER BY {_TURN} LIMIT :lines
""")

# The letters of line `next` that are due, as an index has them.
STANDING = """m.state = 'ready' AND m.lane = 'delivery' AND m.mailing_id = {0}mailing_id
        AND coalesce(m.chapter_id, 0) = {0}chapter AND m.version_id = {0}version_id AND m.campaign_id = {0}campaign_id
        AND m.due_at <= :now"""

# Of each domain the line whose turn it is, and how many of its letters a claim would take.
_ROOMS = text(f"""{_LINES}, first AS (
    SELECT DISTINCT ON (sender.domain) next.*, sender.domain, room.most {_OPEN_LINES}
    ORDER BY sender.domain, {_TURN}
)
SELECT next.domain, (SELECT count(*) FROM (
    SELECT FROM message m WHERE {STANDING.format("next.")}
        AND m.together IS NOT DISTINCT FROM next.together AND m.fund_id IS NOT DISTINCT FROM next.own_fund_id
    LIMIT next.most) due) AS wanted
FROM first next ORDER BY {_TURN}
""")


def due(session: Session, looked_for: Mapping[str, Any], domain: str | None, most: int = 2) -> list[Row[Any]]:
    """The line that is next, and those after it; `domain`: of those that leave from it alone."""
    return list(session.execute(_PICK, {**looked_for, "domain": domain, "lines": most}))


def rooms(session: Session, looked_for: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The domains that letters which are due would leave from, in the order of their turns; and how many of each the next
    claim from it would take."""
    return [(row.domain, row.wanted) for row in session.execute(_ROOMS, looked_for)]
