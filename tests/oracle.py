"""A slow judge of rules in plain Python, and whatever is known of some people as it reads it: row by row, without SQL's help.

It shares nothing with `engine.segments.sql`: gifts are what their ledger says, never what the totals say.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.segments import rules
from engine.segments.rules import Rule

TABLES = (
    "contact", "chapter", "followed_chapter", "zip_route", "fund", "donation_form", "contribution", "ledger_entry",
    "recurring_plan", "interest", "contact_interest", "way_to_help", "volunteer_offer", "sign_up", "letter", "mailing",
    "message", "mail_event", "sequence", "enrollment",
)  # fmt: skip


@dataclass
class World:
    """Every row of the tables that rules ask, at one moment."""

    now: datetime
    tables: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    zips: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session, now: datetime) -> "World":
        """As this session sees it."""
        tables = {
            name: [dict(row._mapping) for row in session.execute(text(f"SELECT * FROM {name}"))] for name in TABLES
        }
        zips = {row["zip"] for row in tables["contact"]}
        found = session.execute(text("SELECT * FROM zip WHERE zip = ANY(:zips)"), {"zips": [z for z in zips if z]})
        return cls(now, tables, {row.zip: dict(row._mapping) for row in found})

    def of(self, table: str, person: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Her rows of a table."""
        return [row for row in self.tables[table] if row["contact_id"] == person["id"]]

    def named(self, table: str, column: str, name: str) -> int:
        """The id of what has this name."""
        (found,) = [row["id"] for row in self.tables[table] if row[column] == name]
        return int(found)

    def since(self, span: str | None) -> datetime:
        """The moment that lies so far back; without a span the beginning of time."""
        return before(self.now, span) if span else self.now.replace(year=1)

    def gifts(self, person: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
        """What is left of each of her gifts to our funds, in cents, by the ledger."""
        found = []
        for gift in self.of("contribution", person):
            left = sum(e["amount_cents"] for e in self.tables["ledger_entry"] if e["contribution_id"] == gift["id"])
            if gift["fund_id"] is not None and gift["currency"] == "usd" and left > 0:
                found.append((left, gift))
        return found

    def below(self, slug: str) -> set[int]:
        """A chapter and all that hang on it."""
        found = {self.named("chapter", "slug", slug)}
        while more := {c["id"] for c in self.tables["chapter"] if c["parent_id"] in found} - found:
            found |= more
        return found


def before(now: datetime, span: str) -> datetime:
    """So far back by the calendar: of a day that the month has not, its last one."""
    number, unit = span.split()
    unit = unit.removesuffix("s")
    if unit in ("hour", "day", "week"):
        return now - int(number) * {"hour": timedelta(hours=1), "day": timedelta(1), "week": timedelta(7)}[unit]
    months = now.year * 12 + now.month - 1 - int(number) * (12 if unit == "year" else 1)
    for day in range(now.day, 27, -1):
        try:
            return now.replace(year=months // 12, month=months % 12 + 1, day=day)
        except ValueError:
            continue
    return now.replace(year=months // 12, month=months % 12 + 1)


def chooses(rule: Rule, person: Mapping[str, Any], world: World) -> bool:
    """Whether the rule holds for this contact."""
    return JUDGES[type(rule)](rule, person, world)


def _chapter(rule: rules.Chapter, person: Mapping[str, Any], world: World) -> bool:
    there = world.below(rule.chapter) if rule.children else {world.named("chapter", "slug", rule.chapter)}
    home = person["chapter_id"] in there
    follows = any(row["chapter_id"] in there for row in world.of("followed_chapter", person))
    return {"home": home, "followed": follows, "either": home or follows}[rule.relation]


def _territory(rule: rules.Territory, person: Mapping[str, Any], world: World) -> bool:
    code, known = person["zip"], world.zips.get(person["zip"] or "")
    state = known["state"] if known else person["state"].strip().upper() if code is None else None
    county = f"{known['state']}:{known['county']}" if known else None
    owners = {row["chapter_id"] for row in world.tables["zip_route"] if row["zip"] == code}
    land = {world.named("chapter", "slug", slug) for slug in rule.chapters}
    return code in rule.zips or county in rule.counties or state in rule.states or bool(owners & land)


def _gave(rule: rules.Gave, person: Mapping[str, Any], world: World) -> bool:
    def fits(left: int, gift: Mapping[str, Any]) -> bool:
        return (
            gift["paid_at"] > world.since(rule.within)
            and (rule.at_least or 1) <= left <= (rule.at_most or left)
            and (not rule.fund or gift["fund_id"] == world.named("fund", "slug", rule.fund))
            and (not rule.form or gift["donation_form_id"] == world.named("donation_form", "slug", rule.form))
            and (not rule.refcode or rule.refcode in (gift["refcode"], gift["refcode2"]))
        )

    return sum(fits(left, gift) for left, gift in world.gifts(person)) >= rule.count


def _lapsed(rule: rules.Lapsed, person: Mapping[str, Any], world: World) -> bool:
    days = [gift["paid_at"] for _, gift in world.gifts(person)]
    return bool(days) and max(days) <= world.since(rule.after)


def _recurring(rule: rules.Recurring, person: Mapping[str, Any], world: World) -> bool:
    plans = [p for p in world.of("recurring_plan", person) if p["state"] == rule.state and p["fund_id"] is not None]
    if rule.at_least is not None:  # all plans of these tests are monthly
        return sum(plan["amount_cents"] for plan in plans) >= rule.at_least
    return any(not rule.fund or plan["fund_id"] == world.named("fund", "slug", rule.fund) for plan in plans)


def _interest(rule: rules.Interest, person: Mapping[str, Any], world: World) -> bool:
    wanted = world.named("interest", "code", rule.code)
    return any(row["interest_id"] == wanted for row in world.of("contact_interest", person))


def _volunteer(rule: rules.Volunteer, person: Mapping[str, Any], world: World) -> bool:
    states = {rule.state} if rule.state else {"new", "contacted", "placed"}
    ways = (
        {world.named("way_to_help", "code", rule.way)} if rule.way else {r["id"] for r in world.tables["way_to_help"]}
    )
    return any(o["state"] in states and o["way_to_help_id"] in ways for o in world.of("volunteer_offer", person))


def _signed_up(rule: rules.SignedUp, person: Mapping[str, Any], world: World) -> bool:
    return any(
        row["at"] > world.since(rule.within)
        and rule.via in (None, row["source"])
        and rule.place in (None, row["place"])
        for row in world.of("sign_up", person)
    )


def _letters(rule: rules.Received | rules.Clicked, person: Mapping[str, Any], world: World) -> list[Mapping[str, Any]]:
    letters = {row["id"]: row["slug"] for row in world.tables["letter"]}
    mailings = {
        row["id"] for row in world.tables["mailing"]
        if rule.mailing in (None, row["slug"]) and rule.letter in (None, letters[row["letter_id"]])
    }  # fmt: skip
    return [row for row in world.of("message", person) if row["mailing_id"] in mailings]


def _received(rule: rules.Received, person: Mapping[str, Any], world: World) -> bool:
    return any(
        row["state"] in ("handed", "delivered", "complained")
        and (not rule.within or (row["handed_at"] is not None and row["handed_at"] > world.since(rule.within)))
        for row in _letters(rule, person, world)
    )


def _clicked(rule: rules.Clicked, person: Mapping[str, Any], world: World) -> bool:
    hers = {row["id"] for row in _letters(rule, person, world)}
    return any(
        e["message_id"] in hers and e["kind"] == "click" and not e["machine"] and e["at"] > world.since(rule.within)
        for e in world.tables["mail_event"]
    )


def _in_sequence(rule: rules.InSequence, person: Mapping[str, Any], world: World) -> bool:
    wanted = world.named("sequence", "slug", rule.sequence)
    hers = [row for row in world.of("enrollment", person) if row["sequence_id"] == wanted]
    if rule.state in ("active", "any"):
        return any(row["entered_at"] > world.since(rule.within) and rule.state in ("any", row["state"]) for row in hers)
    return any(row["state"] == rule.state and row["ended_at"] > world.since(rule.within) for row in hers)


def _last_engaged(rule: rules.LastEngaged, person: Mapping[str, Any], world: World) -> bool:
    return person["engaged_last_at"] is not None and person["engaged_last_at"] > world.since(rule.within)


def _silent(rule: rules.Silent, person: Mapping[str, Any], world: World) -> bool:
    last = person["engaged_last_at"] or person["created_at"]
    since = [
        row for row in world.of("message", person)
        if row["lane"] == "delivery" and row["state"] in ("handed", "delivered") and row["handed_at"] is not None
        and row["handed_at"] > last
    ]  # fmt: skip
    return bool(last <= world.since(rule.after)) and len(since) >= rule.letters


def _employer_known(rule: rules.EmployerKnown, person: Mapping[str, Any], world: World) -> bool:
    return any(
        gift["paid_at"] > world.since(rule.within)
        and all(gift["donor"].get(name, "").strip() for name in ("employer", "occupation"))
        for gift in world.of("contribution", person)
    )


def _custom(rule: rules.Custom, person: Mapping[str, Any], _: World) -> bool:
    told = person["custom"].get(rule.field)
    if rule.known:
        return told is not None
    if rule.has is not None:
        return isinstance(told, list) and rule.has in told
    if isinstance(told, bool):
        told = str(told).lower()
    if told is None or isinstance(told, list | dict):
        return False
    if rule.equals is not None:
        return str(told) == rule.equals
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", str(told)):
        return False
    low, high = (Decimal(str(b)) if b is not None else None for b in (rule.at_least, rule.at_most))
    number = Decimal(str(told))
    return (low is None or number >= low) and (high is None or number <= high)


def _random(rule: rules.Random, person: Mapping[str, Any], _: World) -> bool:
    drawn = int(hashlib.md5(f"{rule.salt}:{person['id']}".encode()).hexdigest()[:8], 16)
    return drawn % 10_000 < round(rule.percent * 100)


JUDGES: Mapping[type[rules.AnyRule], Callable[[Any, Mapping[str, Any], World], bool]] = {
    rules.AllOf: lambda rule, person, world: all(chooses(each, person, world) for each in rule.of),
    rules.AnyOf: lambda rule, person, world: any(chooses(each, person, world) for each in rule.of),
    rules.Not: lambda rule, person, world: not chooses(rule.of, person, world),
    rules.Chapter: _chapter,
    rules.Territory: _territory,
    rules.Gave: _gave,
    rules.Lapsed: _lapsed,
    rules.Recurring: _recurring,
    rules.NeverGave: lambda _, person, world: not world.gifts(person),
    rules.Interest: _interest,
    rules.Volunteer: _volunteer,
    rules.SignedUp: _signed_up,
    rules.Received: _received,
    rules.Clicked: _clicked,
    rules.InSequence: _in_sequence,
    rules.LastEngaged: _last_engaged,
    rules.Silent: _silent,
    rules.EmployerKnown: _employer_known,
    rules.Language: lambda rule, person, _: person["language"] == rule.language,
    rules.Custom: _custom,
    rules.Random: _random,
}
