"""What a campaign sends: its sequence, or a letter as a sequence of one step, with all words; and whom it chooses.

Of a draft as they stand now; of a campaign that was launched as they were pinned. Each run of one that repeats pins anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.letters import writing
from engine.outreach import definitions, sequence_checks, sequences
from engine.outreach.campaigns import DRAFT, Standing
from engine.outreach.definitions import LAUNCH, Definition
from engine.outreach.sequence_checks import ASKS
from engine.segments import rules, shelf
from engine.segments.rules import Rule

REPEATS = {"daily": "1 day", "weekly": "7 days"}  # and for so long its letters may still leave

Pinned = Mapping[str, Mapping[str, Mapping[str, int]]]  # step -> variant ('': there are none) -> language -> mailing

_VERSION = text("SELECT id, definition, mailings FROM sequence_version WHERE id = :id")
_SEQUENCE = text("""
SELECT q.slug, q.trigger, q.paused_at, q.paused_because, q.archived_at, v.id AS version_id
FROM sequence q LEFT JOIN sequence_version v ON v.sequence_id = q.id AND v.version = q.version WHERE q.id = :id
""")
_WORDS = text("""
SELECT m.id, m.slug, m.language, m.version, m.subject, m.preview, m.body_html, m.body_text, m.source, m.paused_at,
    m.paused_because, l.slug AS letter, l.kind
FROM mailing m JOIN letter l ON l.id = m.letter_id WHERE m.id = ANY(:ids) ORDER BY m.id
""")


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent. `definition` is None when there is nothing to send, and `faults` say why. `version_id` is None of a
    letter that is not pinned yet. `words`: by mailing: rows of (id, slug, language, version, subject, preview, body_html,
    body_text, source, paused_at, paused_because, letter, kind)."""

    definition: Definition | None = None
    version_id: int | None = None
    pinned: Pinned = field(default_factory=dict)
    words: Mapping[int, Row[Any]] = field(default_factory=dict)
    faults: Sequence[str] = ()

    def letters(self) -> Iterator[tuple[str, Mapping[str, Row[Any]]]]:
        """The letters that people of the audience get, each once: its name, and its words by language."""
        told = set()
        for step in self.definition.steps if self.definition else ():
            for variant in step.letters:
                said = {
                    spoken: self.words[found]
                    for spoken, found in self.pinned.get(step.key, {}).get(variant, {}).items()
                }
                name = next((words.letter for words in said.values()), "")
                if said and name not in told:
                    told.add(name)
                    yield name, said

    @property
    def kind(self) -> str:
        """The kind of its first letter, which everybody in it must allow; ''."""
        return next((words.kind for _, said in self.letters() for words in said.values()), "")


def of(session: Session, campaign: Standing) -> Content:
    """What it sends."""
    if campaign.state != DRAFT and campaign.version_id is not None:
        return _of_version(session, campaign.version_id)
    if campaign.sequence_id is None:
        return newest(session, campaign)
    found = session.execute(_SEQUENCE, {"id": campaign.sequence_id}).one()
    faults = list(_faults(found))
    if found.version_id is None:
        return Content(faults=faults)
    content = _of_version(session, found.version_id)
    return Content(content.definition, content.version_id, content.pinned, content.words, faults)


def definition(session: Session, campaign: Standing) -> Definition:
    """What it was launched with."""
    return definitions.read(session.execute(_VERSION, {"id": campaign.version_id}).one().definition)


def pinned(session: Session, campaign: Standing) -> Pinned:
    """The words that it was launched with, or that its present run was begun with."""
    found: Pinned = session.execute(_VERSION, {"id": campaign.version_id}).one().mailings
    return found


def newest(session: Session, campaign: Standing) -> Content:
    """What the letter of this campaign says now, whatever was pinned."""
    spoken = writing.spoken(session, campaign.letter)
    if not spoken:
        return Content(faults=[f"the letter {campaign.letter} has no words in English"])
    pinned = {"letter": {"": spoken}}
    words = _words(session, pinned)
    action = "ask" if next(iter(words.values())).kind == ASKS else "email"
    told = {"slug": campaign.letter[:60], "name": campaign.letter, "on": LAUNCH,
            "steps": [{"key": "letter", action: campaign.letter}]}  # fmt: skip
    made = definitions.read(told)
    faults = [says for _, says in sequence_checks.check(session, made, date.min).faults]  # of days it says none
    return Content(made, None, pinned, words, faults)


def pin(session: Session, campaign: Standing, content: Content, now: datetime) -> int:
    """The version that it sends from now on: the published one of its sequence; of a letter its newest words. Raises Invalid
    when there is nothing to send."""
    if campaign.letter:
        return sequences.of_letter(session, campaign.letter, now, expires=REPEATS.get(campaign.repeat))
    if content.version_id is None:
        raise Invalid("; ".join(content.faults))
    return content.version_id


def rule(session: Session, campaign: Standing) -> Rule:
    """Whom it chooses: of a draft its segment's rule as it stands, of that segment's chapter alone; then as its launch pinned
    that. Raises Invalid: its segment is archived, or together they are too deep."""
    if not campaign.segment or campaign.state != DRAFT:
        return campaign.rule
    saved = shelf.one(session, campaign.segment)
    if saved.archived_at is not None:
        raise Invalid(f"the segment {campaign.segment} is archived")
    return _both({"op": "chapter", "chapter": saved.chapter}, saved.rule) if saved.chapter else saved.rule


def audience(
    session: Session, campaign: Standing, definition: Definition | None, chosen: Rule | None = None
) -> tuple[Rule, Sequence[str]]:
    """Of whom it takes those that may be written to: its rule (`chosen`, if that is known) with that of its sequence, and the
    chapters that bound it. Raises Invalid as `rule`."""
    chosen = chosen or rule(session, campaign)
    scopes = [campaign.chapter, (definition.chapter if definition else None) or ""]
    taken = definition.when if definition else None
    return (rules.AllOf(op="all", of=(chosen, taken)) if taken else chosen), scopes


def chapters(session: Session, campaign: Standing, definition: Definition | None) -> list[str]:
    """The chapters that bound it: its own, its sequence's, those to which its rule keeps; none: it reaches all."""
    try:
        chosen, scopes = audience(session, campaign, definition)
    except Invalid:  # its segment is gone
        return [campaign.chapter] if campaign.chapter else []
    every = chosen.of if isinstance(chosen, rules.AllOf) else (chosen,)
    kept = [each.chapter for each in every if isinstance(each, rules.Chapter) and each.relation == "home"]
    return list(dict.fromkeys(filter(None, (*scopes, *kept))))


def _both(first: dict[str, Any], second: Rule) -> Rule:
    """A rule beside another, which may say it, too. Raises Invalid when that is too deep."""
    of_second = [rules.said(each) for each in second.of] if isinstance(second, rules.AllOf) else [rules.said(second)]
    return second if first in of_second else rules.read({"op": "all", "of": [first, *of_second]})


def _of_version(session: Session, version_id: int) -> Content:
    found = session.execute(_VERSION, {"id": version_id}).one()
    definition = definitions.read(found.definition)
    return Content(definition, found.id, found.mailings, _words(session, found.mailings))


def _words(session: Session, pinned: Pinned) -> dict[int, Row[Any]]:
    ids = [found for variants in pinned.values() for said in variants.values() for found in said.values()]
    return {row.id: row for row in session.execute(_WORDS, {"ids": ids})}


def _faults(sequence: Row[Any]) -> Iterator[str]:
    if sequence.version_id is None:
        yield f"the sequence {sequence.slug} is not published"
    elif sequence.trigger:
        yield f"people enter the sequence {sequence.slug} by themselves ({sequence.trigger}): nobody launches it"
    if sequence.archived_at is not None:
        yield f"the sequence {sequence.slug} is archived"
    if sequence.paused_at is not None:
        because = f": {sequence.paused_because}" if sequence.paused_because else ""
        yield f"the sequence {sequence.slug} is paused{because}"
