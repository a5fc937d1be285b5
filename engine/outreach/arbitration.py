"""How often one person hears from all of us, and which letter goes first where not all may: SQL of the last look, so that
it is decided under the lock of the claim, exact with many workers.

Receipts know no cap, nor does a letter whose step is `exempt` of it; both count for those that do. Of all others those of a
sequence that somebody entered by herself go before those of campaigns; of campaigns the root's or the chapters' first, as the
house says; urgent ones before their equals. What is due waits for a more important letter that is due within a day if she may
not have both, or does not come, as its step says (`at_cap`). Letters of no sequence wait for nobody.
"""

from collections.abc import Iterable

CAPPED, BEHIND = "had enough letters for now", "a more important letter goes first"
LONGEST = (
    "interval '1 day'"  # how far ahead a letter looks for more important ones, and back for those that do not leave
)
AGAIN = "interval '30 minutes'"  # at the soonest, it is looked at again
SHORT_NIGHT = (23, 7)  # hours of her day in which not even an urgent letter comes

EQUAL = "equal"
_EXEMPT, _ENTERED, _CAMPAIGN = 0, 1, 2


def rank(campaign_id: str, campaign: str, *, exempt: str = "false") -> str:
    """SQL: the place of a letter among all that are hers, the smaller the sooner. `campaign`: the row of its campaign, which
    may be none; with :first, one of EQUAL, national, chapter."""
    root = "(SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1)"
    national = f"({campaign}.chapter_id IS NULL OR {campaign}.chapter_id = {root})"
    turn = f"CASE WHEN :first = '{EQUAL}' OR {national} = (:first = 'national') THEN 0 ELSE 2 END"
    urgency = f"CASE {campaign}.urgent WHEN '' THEN 1 ELSE 0 END"
    return f"""CASE WHEN {exempt} THEN {_EXEMPT} WHEN {campaign_id} = 0 THEN {_ENTERED}
        ELSE {_CAMPAIGN} + {turn} + coalesce({urgency}, 1) END"""


# Whether campaign or sequence of letter `{0}` stands still: by its columns version_id and campaign_id.
STANDS_STILL = """(
    EXISTS (SELECT FROM campaign k WHERE k.id = {0}.campaign_id AND (k.paused_at IS NOT NULL OR k.state = 'cancelled'))
    OR EXISTS (SELECT FROM sequence_version v JOIN sequence s ON s.id = v.sequence_id
        WHERE v.id = {0}.version_id AND s.paused_at IS NOT NULL))"""

# One row: when she was handed letters in the last week, the latest first (`at`): what caps go by. One look into one index.
RECENT = """
(SELECT array_agg(x.handed_at ORDER BY x.handed_at DESC) AS at FROM message x
WHERE x.contact_id = c.id AND x.lane = 'delivery' AND x.kind <> '' AND x.handed_at > :now - interval '7 days')
"""
_A_WEEK = "CASE WHEN said.fewer THEN :a_week_fewer ELSE :a_week END"
# When she may have the next one, by those; NULL: now.
FREE_AT = f"greatest(recent.at[:a_day] + interval '1 day', recent.at[{_A_WEEK}] + interval '7 days')"
# How many more she may have today.
_ROOM = f"""least({_A_WEEK} - coalesce(cardinality(recent.at), 0),
    :a_day - (SELECT count(*) FROM unnest(recent.at) handed_at WHERE handed_at > :now - interval '1 day'))"""

# SQL: letter `{0}` waits for the person {1}. It is found by her, whatever the planner believes of how many are ready: where
# it takes them for few, it would read all of a lane for each person.
WAITING = "{0}.state = 'ready' AND {0}.contact_id = {1} AND {0}.contact_id > 0"
# Until when letter `m` of rank :rank lets others go first; NULL: it need not. Most people have no other letter that is ready.
# Those that will not leave (their mailing or campaign stands still) and those that could not for a day are let pass.
BEHIND_UNTIL = f"""
(SELECT CASE WHEN count(*) >= {_ROOM} THEN greatest(max(x.due_at), :now + {AGAIN}) END
FROM (SELECT * FROM message x WHERE {WAITING.format("x", "c.id")} AND x.id <> m.id AND x.kind <> ''
        AND x.due_at BETWEEN :now - {LONGEST} AND :now + {LONGEST} AND (x.expires_at > :now) IS NOT FALSE OFFSET 0) x
WHERE x.lane = 'delivery' AND NOT EXISTS (SELECT FROM mailing w WHERE w.id = x.mailing_id AND w.paused_at IS NOT NULL)
    AND NOT {STANDS_STILL.format("x")}
    AND (SELECT {rank("x.campaign_id", "k", exempt="x.at_cap = 'exempt'")}
        FROM (SELECT) once LEFT JOIN campaign k ON k.id = x.campaign_id) < :rank
HAVING count(*) > 0)
"""


def quiet_hours(hours: tuple[int, int] | None, *, urgent: bool) -> tuple[int, int] | None:
    """In which hours of her day nothing comes: those of the letter; of what is urgent only those that are SHORT_NIGHT,
    too."""
    if hours is None or not urgent:
        return hours
    both = set(_hours(hours)).intersection(_hours(SHORT_NIGHT))
    since = [hour for hour in _hours(hours) if hour in both and (hour - 1) % 24 not in both]
    until = [hour for hour in _hours(hours) if hour in both and (hour + 1) % 24 not in both]
    return (since[0], (until[0] + 1) % 24) if since and until else None


def _hours(hours: tuple[int, int]) -> Iterable[int]:
    since, until = hours
    return [(since + ahead) % 24 for ahead in range((until - since) % 24)]
