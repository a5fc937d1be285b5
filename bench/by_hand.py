"""The six rules of the bench of segments: as rules, as the best SQL that we could write by hand for each, and as the plain
SQL that asks all gifts. Each is exact; none uses a line of `engine.segments` or `engine.people.consent`."""

from dataclasses import dataclass
from typing import Any, Literal

_BELOW = """
WITH RECURSIVE below AS (
    SELECT id FROM chapter WHERE slug = '{}' UNION ALL SELECT d.id FROM chapter d JOIN below b ON d.parent_id = b.id)
"""
_HOME = "c.chapter_id = ANY(ARRAY(SELECT id FROM below))"
_HOME_PLAIN = "c.chapter_id IN (SELECT id FROM below)"
# What is left of a gift, where it is not all of it.
_LARGE = """g.fund_id IS NOT NULL AND g.currency = 'usd' AND (g.status = 'received' AND g.amount_cents >= {0}
    OR g.status <> 'received' AND (SELECT sum(l.amount_cents) FROM ledger_entry l WHERE l.contribution_id = g.id) >= {0})"""
_YEAR, _MONTH = "CAST(:now AS timestamptz) - interval '12 months'", "CAST(:now AS timestamptz) - interval '30 days'"
_WITHIN_A_YEAR = f"EXISTS (SELECT FROM contribution g WHERE g.contact_id = c.id AND g.paid_at > {_YEAR} AND {{}})"
# Who may be asked for money: no suppression stands, her last words allow it, she is neither resting nor pausing.
_MAILABLE = """
c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL
AND (c.rested_at IS NULL OR c.rested_at < c.engaged_last_at)
AND NOT EXISTS (SELECT FROM suppression s WHERE s.email = c.email AND (s.reason NOT IN ('unsubscribe', 'erased')
    OR NOT EXISTS (SELECT FROM consent y WHERE y.contact_id = c.id AND y.channel = 'mail' AND y.kind = '' AND y.given
        AND y.source IN ('signup', 'confirm', 'preferences') AND y.at > s.at AND NOT EXISTS (SELECT FROM consent n
            WHERE n.contact_id = c.id AND n.channel = 'mail' AND n.kind = '' AND NOT n.given AND n.at >= y.at))))
AND (SELECT bool_or(w.given AND w.kind IN ('', 'asks')) AND NOT bool_or(NOT w.given AND (w.kind IN ('', 'asks')
    OR w.kind = 'pause' AND w.until > :now)) FROM (SELECT DISTINCT ON (kind) kind, given, until FROM consent
    WHERE contact_id = c.id AND channel = 'mail' ORDER BY kind, at DESC, given) w)
"""
# The same of most people by one number; of the others by their words, looked up by her id: so that only indexes are read.
_SUMMED = f"""
CASE (CASE WHEN c.id NOT IN (SELECT doubted_id FROM mail_doubt) THEN c.mail_leave END)
    WHEN 1 THEN true WHEN 0 THEN false
    ELSE EXISTS (SELECT FROM (SELECT c.id) k(id) JOIN contact c ON c.id = k.id WHERE {_MAILABLE}) END
"""


@dataclass(frozen=True, slots=True)
class Contest:
    """One rule in three ways; `{select}` in the SQL is what is asked of contacts `c`. `size`: it is previewed as well."""

    rule: dict[str, Any]
    by_hand: str
    plain: str
    size: Literal["", "leaf", "region", "state"] = ""


def _ask(chapter: str, *conditions: str, home: str = _HOME) -> str:
    """Who may be written to is asked last, of those who are left."""
    alive = "c.merged_into_id IS NULL AND c.erased_at IS NULL"
    chosen = f"SELECT * FROM contact c WHERE {' AND '.join([alive, home, *conditions])} OFFSET 0"
    return f"{_BELOW.format(chapter)} SELECT {{select}} FROM ({chosen}) c WHERE {_SUMMED}"


def _plain(chapter: str, *conditions: str) -> str:
    where = " AND ".join([_HOME_PLAIN, *conditions, _MAILABLE])
    return f"{_BELOW.format(chapter)} SELECT {{select}} FROM contact c WHERE {where}"


def _all(chapter: str, *of: dict[str, Any]) -> dict[str, Any]:
    return {"op": "all", "of": [{"op": "chapter", "chapter": chapter}, *of]}


def _lately(chapter: str, size: Literal["leaf", "region", "state"]) -> Contest:
    """Gave at least $25 in the last 12 months, nothing in the last 30 days."""
    gave = {"op": "gave", "at_least": 25, "within": "12 months"}
    large, any_gift = (
        _WITHIN_A_YEAR.format(_LARGE.format(2500)),
        _WITHIN_A_YEAR.replace(_YEAR, _MONTH).format(_LARGE.format(1)),
    )
    totals = (f"c.gave_last_at > {_YEAR}", f"c.gave_last_at <= {_MONTH}", "c.gave_highest_cents >= 2500")
    older = f"width_bucket({_YEAR}, c.gave_peaks_at)"
    peak = f"(c.gave_peaks_cents[{older} + 1] >= 2500 OR {older} = 0 AND cardinality(c.gave_peaks_at) = 16 AND {large})"
    return Contest(
        _all(chapter, gave, {"op": "not", "of": {"op": "gave", "within": "30 days"}}),
        _ask(chapter, *totals, peak, home="c.chapter_id IS NOT NULL" if size == "state" else _HOME),
        _plain(chapter, large, f"NOT {any_gift}"),
        size,
    )


_EVER = f"EXISTS (SELECT FROM contribution g WHERE g.contact_id = c.id AND {_LARGE})"
_TWICE = f"""(SELECT count(*) FROM contribution g JOIN fund f ON f.id = g.fund_id WHERE g.contact_id = c.id AND f.slug = 'pac'
    AND g.paid_at > CAST(:now AS timestamptz) - interval '24 months' AND {_LARGE.format(1)}) >= 2"""
_CARES = """EXISTS (SELECT FROM contact_interest x JOIN interest i ON i.id = x.interest_id
    WHERE x.contact_id = c.id AND i.code = 'i3f7')"""
_CLICKED = """EXISTS (SELECT FROM message m JOIN mail_event e ON e.message_id = m.id WHERE m.contact_id = c.id
    AND e.kind = 'click' AND NOT e.machine AND e.at > CAST(:now AS timestamptz) - interval '90 days')"""

RULES: dict[str, Contest] = {
    "leaf": _lately("town-3-7", "leaf"),
    "region": _lately("region-3", "region"),
    "state": _lately("massachusetts", "state"),
    "lapsed": Contest(
        _all("region-4", {"op": "lapsed", "after": "12 months"}, {"op": "gave", "at_least": 100}),
        _ask("region-4", f"c.gave_last_at <= {_YEAR}", "c.gave_highest_cents >= 10000"),
        _ask("region-4", f"NOT {_WITHIN_A_YEAR.format(_LARGE.format(1))}", _EVER.format(10000), home=_HOME_PLAIN),
    ),
    "twice": Contest(
        _all("region-5", {"op": "gave", "fund": "pac", "count": 2, "within": "24 months"}),
        _ask("region-5", "c.gave_count >= 2", "c.gave_last_at > CAST(:now AS timestamptz) - interval '24 months'", _TWICE),
        _plain("region-5", _TWICE),
    ),
    "clickers": Contest(
        _all("region-6", {"op": "interest", "code": "i3f7"}, {"op": "never_gave"}, {"op": "clicked", "within": "90 days"}),
        _ask("region-6", "c.gave_count = 0", _CARES, _CLICKED),
        _plain("region-6", f"NOT {_EVER.format(1)}", _CARES, _CLICKED),
    ),
}  # fmt: skip
