"""Before a campaign leaves: what it would be, what stands against it, and what one should look at. Nothing is changed.

One scan of the audience tells how many people of which chapters read which languages: each chapter writes in its own name,
so that each must have a sender and a postal address, its own or of one above it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid
from engine.languages import ENGLISH
from engine.letters import checks, language, shelf, writing
from engine.letters.vocabulary import vocabulary
from engine.mail import allowances, handovers
from engine.mail.allowances import GROWTH
from engine.outreach import campaigns, contents, sequence_words, zones
from engine.outreach.campaigns import Standing
from engine.outreach.contents import Content
from engine.outreach.definitions import Definition
from engine.segments import audience
from engine.segments import names as naming
from engine.segments.rules import Rule
from engine.settings import Settings

SECONDS = 25.0  # that counting an audience may take: a launch has more time than whoever looks around
FEW = 10  # readers of a language whom a missing translation may leave with English
ALIKE = 0.85  # from which on a name that nobody knows is taken for a slip
NAMED = 5  # of many, in one sentence
EMPTY = "its audience is empty: it chooses nobody who may be written to"

_CENSUS = "SELECT c.chapter_id, c.language, count(*) AS people {people} GROUP BY c.chapter_id, c.language"
_SENDERS = text("""
WITH RECURSIVE up AS (
    SELECT id AS of, name, id, parent_id, sender_email, postal_address, 0 AS level FROM chapter
    WHERE id = ANY(:ids) OR (:root AND parent_id IS NULL)
    UNION ALL
    SELECT up.of, up.name, h.id, h.parent_id, h.sender_email, h.postal_address, up.level + 1
    FROM chapter h JOIN up ON h.id = up.parent_id
), said AS (
    SELECT of, name, (array_agg(parent_id ORDER BY level))[1] AS parent_id,
        (array_agg(sender_email ORDER BY level) FILTER (WHERE sender_email <> ''))[1] AS email,
        (array_agg(postal_address ORDER BY level) FILTER (WHERE postal_address <> ''))[1] AS postal_address
    FROM up GROUP BY of, name
)
SELECT s.of, s.parent_id, s.name, coalesce(s.email, '') AS email, coalesce(s.postal_address, '') AS postal_address,
    EXISTS (SELECT FROM notice n WHERE n.kind = :refused AND n.subject = s.email AND n.resolved_at IS NULL) AS refused
FROM said s ORDER BY s.name
""")
_DOMAINS = text("SELECT domain, warming_since FROM sending_domain WHERE domain = ANY(:domains)")
_NO_FIELD = re.compile(r"there is no field `([^`]+)`")
_GATHERING = text("SELECT name, ends_at FROM gathering WHERE id = :id")


class Refused(Conflict):
    """A campaign that cannot leave as it is; `reasons`, each a sentence."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a campaign would be at this moment. `people`: how many it reaches; `languages`: how many of them read each;
    `rule`: whom it chose when they were counted (None: that cannot be said);
    `chapters`: how many come from each, by its name, the most first; `steps`: what it sends, read aloud.

    `refusals`: why it cannot be launched; `warnings`: what one should look at, with where it stands. `hold_minutes`: how long
    it would wait for an undo (0: not at all); `needs_approval`: whether a second person must agree.
    """

    people: int
    languages: Mapping[str, int]
    refusals: Sequence[str] = ()
    warnings: Sequence[str] = ()
    hold_minutes: int = 0
    needs_approval: bool = False
    rule: Rule | None = None
    chapters: Mapping[str, int] = field(default_factory=dict)
    steps: Sequence[str] = ()


def look(session: Session, slug: str, now: datetime, settings: Settings) -> Checked:
    """Look at a campaign in whatever state. Raises NotFound."""
    campaign = campaigns.one(session, slug)
    content = contents.of(session, campaign)
    checked = check(session, campaign, content, now, settings)
    if content.definition is None:
        return checked
    names = naming.find(session, *(rule for _, rule in content.definition.rules()))
    return replace(checked, steps=sequence_words.english(content.definition, names))


def check(session: Session, campaign: Standing, content: Content, now: datetime, settings: Settings) -> Checked:
    """The same of what it sends, which is known already."""
    refusals = against(session, campaign, content, now, settings)
    warnings = list(_remarks(session, campaign, content, now))
    languages: Counter[str] = Counter()
    chosen: Rule | None = None
    chapters: Counter[str] = Counter()
    try:
        chosen = contents.rule(session, campaign)
        census = _census(session, campaign, content, chosen, now)
    except Invalid as error:
        refusals.append(str(error))
    else:
        senders = _senders(session, {row.chapter_id for row in census})
        called: dict[int | None, str] = {row.of: row.name for row in senders}
        called[None] = next((row.name for row in senders if row.parent_id is None), "")
        for row in census:
            languages[row.language] += row.people
            chapters[called[row.chapter_id]] += row.people
        refusals += _of_senders(senders)
        warnings += _of_domains(session, senders, census, now, settings)
        refused, warned = _of_languages(content, languages)
        refusals += refused
        warnings += warned
    people = languages.total()
    if not people and not refusals:
        refusals.append(EMPTY)
    return Checked(
        people, languages, refusals, warnings,
        hold_minutes=settings.hold_minutes if people > settings.hold_people else 0,
        needs_approval=settings.second_approver or bool(campaign.urgent), rule=chosen,
        chapters=dict(chapters.most_common()),
    )  # fmt: skip


def against(session: Session, campaign: Standing, content: Content, now: datetime, settings: Settings) -> list[str]:
    """What stands against it whoever its people are: what it sends, and when."""
    return [
        *content.faults,
        *_of_words(session, campaign, content),
        *_of_time(session, campaign, content.definition, now, settings),
    ]


def _census(session: Session, campaign: Standing, content: Content, chosen: Rule, now: datetime) -> Sequence[Row[Any]]:
    """How many people of each chapter and language it reaches. Raises Invalid: it names what there is not, its segment is
    gone, or counting takes too long."""
    rule, scopes = contents.audience(session, campaign, content.definition, chosen)
    names = audience.known(session, rule, scopes)
    kind = content.kind or campaign.kind
    found = audience.people(rule, names, kind, scopes=scopes, sender=audience.HOME)
    with audience.bounded(session, SECONDS):
        values = dict(found.values) | {"now": now}
        return session.execute(text(_CENSUS.format(people=found.sql)), values).all()


def _senders(session: Session, chapter_ids: set[int | None]) -> Sequence[Row[Any]]:
    """In whose name letters come to people of these chapters (none: the root's)."""
    if not chapter_ids:
        return []
    values = {"ids": sorted(found for found in chapter_ids if found is not None), "root": None in chapter_ids}
    return session.execute(_SENDERS, values | {"refused": handovers.SENDER}).all()


def _of_senders(senders: Sequence[Row[Any]]) -> Iterator[str]:
    if nowhere := [row.name for row in senders if not row.postal_address]:
        yield f"no postal address for {_listed(nowhere)}, there or above: the law asks for one in each letter"
    if nobody := [row.name for row in senders if not row.email]:
        yield f"no sender's address for {_listed(nobody)}, there or above"
    for email in sorted({row.email for row in senders if row.refused}):
        yield f"the mail provider refuses {email} as a sender: verify it there, then `groundswell letters retry --all`"


def _of_domains(
    session: Session, senders: Sequence[Row[Any]], census: Sequence[Row[Any]], now: datetime, settings: Settings
) -> Iterator[str]:
    """That a domain which receivers do not know yet lets few letters leave on its first days."""
    if settings.development:
        return
    domains = {row.of: row.email.rpartition("@")[2].lower() for row in senders}
    root = next((domains[row.of] for row in senders if row.parent_id is None), "")
    people = Counter[str]()
    for row in census:
        people[domains.get(row.chapter_id, root)] += row.people
    since = {row.domain: row.warming_since for row in session.execute(_DOMAINS, {"domains": sorted(people)})}
    for domain in sorted(people):
        began = since.get(domain, now.date())
        most = allowances.allowed(max((now.date() - began).days, 0)) if began else None
        if most is not None and people[domain] > most:
            yield f"receivers do not know {domain} yet: {most:,} letters leave in a day, each day {GROWTH} times as many"


def _of_words(session: Session, campaign: Standing, content: Content) -> Iterator[str]:
    """What is wrong with the letters themselves."""
    if content.definition is not None and not any(content.letters()):
        yield "it writes no letter"
    every = [words for _, said in content.letters() for words in said.values()]
    for words in every:
        if words.paused_at is not None:
            yield f"{words.slug} is paused: {words.paused_because or 'a person stopped it'}"
        if "unsubscribe_url" not in words.body_html or "unsubscribe_url" not in words.body_text:
            yield f"{words.slug} has no link to unsubscribe"
    sources = {(words.slug, part): source for words in every for part, source in _parts(words)}
    known = vocabulary(campaign.facts, writing.custom_fields(session, sources.values()))
    lacking, told = _unreadable(sources, known)
    for name, slugs in lacking.items():
        near = get_close_matches(name, known, 1, ALIKE)
        meant = f", or is `{near[0]}` meant?" if near else ""
        yield f"say `{name}` under facts: {_listed(sorted(slugs))} {'name' if len(slugs) > 1 else 'names'} it{meant}"
    yield from told


def _unreadable(
    sources: Mapping[tuple[str, str], str], known: Mapping[str, Any]
) -> tuple[Mapping[str, set[str]], list[str]]:
    """What nobody says, with the letters that name it; all else that is wrong, in sentences. `sources`: by letter, part."""
    lacking: dict[str, set[str]] = {}
    told = set()
    for (slug, part), source in sources.items():
        try:
            language.read(source, known, part)
        except language.Faulty as error:
            for fault in error.faults:
                if field_named := _NO_FIELD.match(fault.says):
                    lacking.setdefault(field_named[1], set()).add(slug.partition(".")[0])
                else:
                    told.add(f"{slug}: {fault.says}")
    return lacking, sorted(told)


def _of_time(
    session: Session, campaign: Standing, definition: Definition | None, now: datetime, settings: Settings
) -> Iterator[str]:
    if definition is None:
        return
    begins = max(campaign.starts_at or now, now)
    zone = zones.zone_of(session, campaign.chapter_id, settings)
    anchors = {step.wait.anchor for step in definition.steps if step.wait is not None}
    yield from _of_deadline(campaign, definition, begins, anchors, zone)
    gathering = session.execute(_GATHERING, {"id": campaign.gathering_id}).one_or_none()
    if gathering is None and "gathering" in anchors:
        yield "it counts from a gathering, and names none"
    if gathering is not None and gathering.ends_at <= begins:
        yield f"the gathering {gathering.name} is over when it would begin"


def _of_deadline(
    campaign: Standing, definition: Definition, begins: datetime, anchors: set[str], zone: ZoneInfo
) -> Iterator[str]:
    deadline = campaign.deadline
    if deadline is None and definition.deadline is not None:
        deadline = datetime.combine(definition.deadline, time(), zone)
    if deadline is None and ("deadline" in anchors or definition.expires == "deadline"):
        yield "it counts from a deadline, and has none"
    if deadline is not None and deadline <= begins:
        yield f"its deadline, {deadline.astimezone(zone):%Y-%m-%d %H:%M}, is over when it would begin"
    if (over := _day(definition.expires)) is not None and datetime.combine(over, time(), zone) <= begins:
        yield f"it expires on {over}, before it would begin"


def _of_languages(content: Content, readers: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """What lacks a language: refused when some of its letters have it and more than a few people read it, else warned of."""
    refused: list[str] = []
    warned: list[str] = []
    letters = list(content.letters())
    spoken = {each for _, said in letters for each in said}
    for read, people in sorted(readers.items()):
        lacking = [name for name, said in letters if read not in said]
        if not lacking or read == ENGLISH:
            continue
        if read not in spoken:
            if people > FEW:
                warned.append(f"{people:,} people read {read}, and none of its letters has it: they get English")
            continue
        says = f"{_listed(lacking)} is not written in {read}, which its other letters are and {people:,} people read"
        (refused if people > FEW else warned).append(says)
    return refused, warned


def _remarks(session: Session, campaign: Standing, content: Content, now: datetime) -> Iterator[str]:
    """What one should look at: claims that somebody may have to prove, with where they stand; doors that are closed."""
    if campaign.starts_at is not None and campaign.starts_at < now and campaign.state == campaigns.DRAFT:
        yield f"it was to begin at {campaign.starts_at:%Y-%m-%d %H:%M} UTC: it would begin at once"
    for name, said in content.letters():
        for words in said.values():
            if checks.pretends(words.subject):
                yield f"{words.slug}, subject: it pretends to be an answer (\u201c{words.subject[:40]}\u201d)"
            yield from _claims(words)
        yield from (f"{name}: {remark}" for remark in shelf.remarks(session, name))


def _claims(words: Row[Any]) -> Iterator[str]:
    told = set()
    lines = [("subject", words.subject), ("preview", words.preview)]
    lines += [(f"line {place}", line) for place, line in enumerate((words.source or words.body_text).splitlines(), 1)]
    for place, line in lines:
        for claim, by in checks.claims(line):
            if claim not in told:
                told.add(claim)
                yield f"{words.slug}, {place}: it claims {claim} (\u201c{by}\u201d): be sure that you can prove it"


def _parts(words: Row[Any]) -> Iterable[tuple[str, str]]:
    return (("subject", words.subject), ("body", words.body_html), ("text", words.body_text))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _day(expires: str | None) -> date | None:
    """The day that it expires on, if it says one."""
    try:
        return date.fromisoformat(expires or "")
    except ValueError:
        return None
