"""Sequences in the database: what is refused, what is published, moved and archived. F7 and F12."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.events import LettersComposed, MatterSettled, StepsDue
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.outreach import (
    definitions,
    moving,
    sequence_checks,
    sequence_files,
    sequence_words,
    sequences,
    shipped_sequences,
)
from engine.outreach.definitions import Definition
from engine.segments import names as naming
from tests.campaigns import ASK, NEWS

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
STEPS = [
    {"key": "write", "email": "call"},
    {"key": "pause", "wait": "2 days"},
    {"key": "ask", "ask": "give", "late": {"after": "12 hours"}},
]
_ENROLL = text("""
INSERT INTO enrollment (contact_id, version_id, sequence_id, campaign_id, state, reason, step, waits_for, due_at, entered_at)
VALUES (:contact_id, :version_id, :sequence_id, :campaign_id, :state, '', :step, '', :now, :now)
""")
_CAMPAIGN = text("""
INSERT INTO campaign (slug, name, version_id, rule, kind, state, changed_at, deadline)
VALUES ('blast', 'Blast', :version_id, '{}', 'news', :state, :now, :deadline) RETURNING id
""")


def letter(
    session: Session, slug: str, markdown: str = NEWS, kind: str = "news", spanish: str = "", **terms: Any
) -> None:
    bodies = {"en": Body("The vote", markdown)} | ({"es": Body("El voto", spanish)} if spanish else {})
    form = "common-ground" if "ladder" in markdown else ""
    writing.save(session, Draft(slug=slug, kind=kind, form=form, bodies=bodies, **terms))


@pytest.fixture
def letters(session: Session) -> Session:
    letter(session, "call")
    letter(session, "give", ASK, "asks")
    return session


def sequence(*steps: Mapping[str, Any], **more: Any) -> Definition:
    return definitions.read({"slug": "rent", "name": "Rent", "steps": steps or STEPS} | more)


def faults(session: Session, definition: Definition) -> list[str]:
    return sequence_checks.check(session, definition, TODAY).said


def numbers(session: Session, slug: str = "rent") -> list[int]:
    query = "SELECT v.version FROM sequence_version v JOIN sequence q ON q.id = v.sequence_id WHERE q.slug = :slug ORDER BY 1"
    return list(session.scalars(text(query), {"slug": slug}))


def enroll(session: Session, standing: sequences.Standing, contact_id: int, step: str, **more: Any) -> None:
    values = {"contact_id": contact_id, "version_id": standing.version_id, "sequence_id": standing.id, "step": step,
              "campaign_id": 0, "state": "active", "now": NOW}  # fmt: skip
    session.execute(_ENROLL, values | more)


def versions(session: Session) -> dict[int, int]:
    query = "SELECT e.contact_id, v.version FROM enrollment e JOIN sequence_version v ON v.id = e.version_id"
    return {row.contact_id: row.version for row in session.execute(text(query))}


# What is refused.


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"steps": [{"key": "a", "email": "cal"}]}, "steps 1, email: there is no letter cal; call?"),
        ({"steps": [{"key": "a", "notify": "zzz"}]}, "steps 1, notify: there is no letter zzz"),
        ({"steps": [{"key": "a", "email": "give"}]}, "steps 1, email: give asks for money: write it as ask"),
        ({"steps": [{"key": "a", "notify": "give"}]}, "steps 1, notify: give asks for money: that is no notice"),
        ({"steps": [{"key": "a", "ask": "call"}]},
         "steps 1, ask: call does not ask for money (its kind is news): write it as email"),
        ({"steps": [{"key": "a", "ask": "plea"}]},
         "steps 1, ask: plea asks for no fund: give it a form or a fund, and save it again"),
        ({"steps": [{"key": "a", "email": "receipt"}]},
         "steps 1, email: receipt needs nobody's leave, so it comes only after something that its reader did"),
        ({"steps": [{"key": "a", "email": True, "variants": [{"key": "x", "letter": "call"}, {"key": "y", "letter": "no"}]}]},
         "steps 1, variants 2, letter: there is no letter no"),
        ({"steps": [{"key": "a", "email": "call"}, {"key": "b", "email": "call"}]},
         "steps 2, email: would come at once with a: put a wait between them, or an `if` to each of them"),
        ({"steps": [{"key": "a", "email": "call"}, {"key": "w", "wait": "1 day", "if": {"op": "never_gave"}},
                    {"key": "b", "email": "call"}]},
         "steps 3, email: would come at once with a: put a wait between them, or an `if` to each of them"),
        ({"steps": [{"key": "a", "stop": True}, {"key": "b", "email": "call"}]},
         "steps 2: nobody comes here: a ends it for everybody"),
        ({"on": "joined", "steps": [{"key": "a", "wait": "1 day before gathering"}, {"key": "b", "email": "call"}]},
         "steps 1, wait: counts from a gathering, which only a campaign has: on must be launch"),
        ({"on": "joined", "steps": [{"key": "a", "wait": "1 day before deadline"}, {"key": "b", "email": "call"}]},
         "steps 1, wait: counts from a deadline, and there is none: say it, as deadline"),
        ({"on": "joined", "expires": "deadline"}, "expires: there is no deadline: say it, as deadline"),
        ({"on": "joined", "deadline": "2026-11-03"}, "deadline: has passed"),
        ({"expires": "2026-11-03"}, "expires: has passed: nothing of it would happen any more"),
        ({"deadline": "2036-11-03"}, "deadline: is more than 400 days away"),
        ({"steps": [{"key": "a", "wait": "2036-01-01"}, {"key": "b", "email": "call"}]},
         "steps 1, wait: is more than 400 days away"),
        ({"chapter": "nowhere"}, "chapter: there is no chapter nowhere"),
        ({"exit_when": {"op": "not", "of": {"op": "chapter", "chapter": "worcster"}}},
         "exit_when, of, chapter: there is no chapter worcster; worcester?"),
        ({"steps": [{"key": "a", "email": "call", "if": {"op": "received", "letter": "called"}}]},
         "steps 1, if, letter: there is no letter called; call?"),
    ],
)  # fmt: skip
def test_a_sequence_that_cannot_be_meant_is_not_published(letters: Session, changed, told):
    letter(letters, "plea", kind="asks")
    definition = sequence(**changed)
    assert faults(letters, definition) == [told]
    with pytest.raises(Invalid, match=re.escape(told)):
        sequences.publish(letters, definition, NOW)
    assert numbers(letters) == []


def test_faults_of_a_file_are_told_in_their_lines(letters: Session):
    told = sequence_files.read_text(
        "slug: a\nname: A\nsteps:\n  - key: one\n    email: cal\n  - key: two\n    ask: call\n"
    )
    assert told.definition is not None
    found = sequence_checks.check(letters, told.definition, TODAY).faults_in(told.document)
    assert [fault.line for fault in found] == [5, 7, 7]


def test_two_letters_of_which_each_has_its_rule_may_stand_together(letters: Session):
    rule = {"op": "never_gave"}
    steps = [{"key": "a", "email": "call", "if": rule}, {"key": "b", "ask": "give", "if": {"op": "not", "of": rule}}]
    assert faults(letters, sequence(*steps)) == []


def test_what_one_should_look_at_is_told_and_published_all_the_same(letters: Session):
    letter(letters, "call", spanish="Hola")
    day = {"key": "day", "wait": "2026-11-01"}
    done = sequences.publish(letters, sequence(*STEPS[:2], day, STEPS[2], {"key": "end", "wait": "1 day"}), NOW)
    assert done.remarks == [
        "end is the last step: nobody waits there, the sequence ends before it",
        "day: 2026-11-01 has passed, nobody waits there",
        "give is not in Spanish, as others are: whoever reads that gets it in English",
    ]
    assert done.changed


# What is published.


def test_a_version_pins_the_words_of_its_letters_and_never_changes(letters: Session):
    first = sequences.publish(letters, sequence(goal="gave", quiet_hours="20-9"), NOW)
    assert (first.changed, first.sequence.version, first.sequence.trigger) == (True, 1, "")
    before = letters.execute(
        text("SELECT * FROM sequence_version WHERE id = :id"), {"id": first.sequence.version_id}
    ).one()
    assert before.mailings == {
        "write": {"": writing.spoken(letters, "call")},
        "ask": {"": writing.spoken(letters, "give")},
    }
    assert before.fund_ids == list(letters.scalars(text("SELECT fund_id FROM letter WHERE slug = 'give'")))
    assert (before.quiet_from, before.quiet_until) == (20, 9)
    letter(letters, "call", NEWS + "More.")
    second = sequences.publish(letters, sequence(goal="gave", quiet_hours="20-9"), NOW)
    assert (second.changed, second.sequence.version) == (True, 2)
    after = letters.execute(
        text("SELECT * FROM sequence_version WHERE id = :id"), {"id": first.sequence.version_id}
    ).one()
    assert after == before
    assert sequences.one(letters, "rent", 1).definition == first.sequence.definition
    with pytest.raises(NotFound, match="of version 3"):
        sequences.one(letters, "rent", 3)


def test_the_same_again_makes_no_new_version(letters: Session):
    one = sequences.publish(letters, sequence(), NOW)
    again = sequences.publish(letters, sequence(), NOW)
    assert (again.changed, again.sequence) == (False, one.sequence)
    other = sequences.publish(letters, sequence(name="Rents"), NOW)
    assert (other.sequence.version, other.sequence.name) == (2, "Rents")
    assert numbers(letters) == [1, 2]


def test_a_published_sequence_takes_up_the_newest_words_when_it_is_told_to(letters: Session):
    sequences.publish(letters, sequence(), NOW)
    assert not sequences.renew(letters, "rent", NOW).changed
    letter(letters, "call", NEWS + "More.")
    assert sequences.renew(letters, "rent", NOW).sequence.version == 2


def test_a_sequence_belongs_to_a_chapter_and_lets_people_in_by_its_event(letters: Session):
    done = sequences.publish(letters, sequence(chapter="worcester", on="joined"), NOW)
    worcester = letters.scalar(text("SELECT id FROM chapter WHERE slug = 'worcester'"))
    assert (done.sequence.chapter, done.sequence.chapter_id, done.sequence.trigger) == (
        "worcester",
        worcester,
        "joined",
    )
    assert {one.chapter_id for one in sequences.every(letters, [worcester])} == {worcester, None}
    assert "rent" not in [one.slug for one in sequences.every(letters, [worcester + 1])]


def test_of_a_single_letter_there_is_one_version_for_the_same_words(letters: Session):
    first = sequences.of_letter(letters, "give", NOW, expires="7 days")
    assert sequences.of_letter(letters, "give", NOW, expires="7 days") == first
    version = letters.execute(text("SELECT * FROM sequence_version WHERE id = :id"), {"id": first}).one()
    steps = [{"key": "letter", "ask": "give"}]
    assert version.definition == {"slug": "give", "name": "give", "expires": "7 days", "steps": steps}
    assert (version.sequence_id, version.quiet_from, version.quiet_until) == (None, 21, 8)
    letter(letters, "give", ASK + "More.", "asks", quiet_hours="20-10")
    second = sequences.of_letter(letters, "give", NOW, expires="7 days")
    assert second != first
    assert letters.scalar(text("SELECT quiet_from FROM sequence_version WHERE id = :id"), {"id": second}) == 20
    with pytest.raises(NotFound, match="no letter no"):
        sequences.of_letter(letters, "no", NOW)
    with pytest.raises(Invalid, match="needs nobody's leave"):
        sequences.of_letter(letters, "receipt", NOW)


# What stands still, goes on, comes back.


def test_a_paused_sequence_says_why_and_goes_on(letters: Session):
    sequences.publish(letters, sequence(), NOW)
    with pytest.raises(Invalid, match="say why"):
        sequences.pause(letters, "rent", " ", NOW)
    assert sequences.pause(letters, "rent", "the bill is dead", NOW).sequence.paused_because == "the bill is dead"
    assert not sequences.pause(letters, "rent", "again", NOW).changed
    assert sequences.one(letters, "rent").paused_because == "the bill is dead"
    assert sequences.publish(letters, sequence(name="Rents"), NOW).sequence.paused_at == NOW
    done = sequences.resume(letters, "rent", NOW)
    assert done.sequence.paused_at is None
    assert [type(event) for event in done.happened] == [MatterSettled, StepsDue, LettersComposed]
    assert not sequences.resume(letters, "rent", NOW).changed
    actions = [action for (action,) in letters.execute(text("SELECT action FROM audit ORDER BY id"))]
    assert actions == ["sequence published", "sequence paused", "sequence published", "sequence resumed"]


def test_an_archived_sequence_is_off_the_list_until_it_is_published_again(letters: Session):
    done = sequences.publish(letters, sequence(), NOW)
    campaign = {"version_id": done.sequence.version_id, "state": "running", "now": NOW, "deadline": None}
    campaign_id = letters.scalar(_CAMPAIGN, campaign)
    with pytest.raises(Conflict, match="blast"):
        sequences.archive(letters, "rent", NOW)
    letters.execute(text("UPDATE campaign SET state = 'finished' WHERE id = :id"), {"id": campaign_id})
    assert sequences.archive(letters, "rent", NOW).changed
    assert not sequences.archive(letters, "rent", NOW).changed
    assert "rent" not in [one.slug for one in sequences.every(letters)]
    assert "rent" in [one.slug for one in sequences.every(letters, archived=True)]
    with pytest.raises(Conflict, match="publish its file"):
        sequences.renew(letters, "rent", NOW)
    back = sequences.publish(letters, sequence(), NOW)
    assert (back.sequence.version, back.sequence.archived_at, numbers(letters)) == (1, None, [1])


# Who is moved.


def test_people_stay_on_their_version_until_they_are_moved_each_to_the_same_step(letters: Session):
    first = sequences.publish(letters, sequence(), NOW).sequence
    for contact_id, step in [(1, "write"), (2, "ask"), (3, "ask"), (4, "pause")]:
        enroll(letters, first, contact_id, step)
    enroll(letters, first, 5, "ask", state="finished")
    enroll(letters, first, 6, "ask", campaign_id=77)
    sequences.publish(letters, sequence(STEPS[0], {"key": "longer", "wait": "5 days"}, STEPS[2]), NOW)
    assert set(versions(letters).values()) == {1}
    turn = moving.move(letters, "rent", NOW, most=2)
    assert (turn.people, turn.more, turn.stay) == (2, True, {})
    turn = moving.move(letters, "rent", NOW, most=2)
    assert (turn.people, turn.version, turn.more, turn.stay) == (1, 2, False, {"pause": 1})
    assert versions(letters) == {1: 2, 2: 2, 3: 2, 4: 1, 5: 1, 6: 1}
    assert moving.move(letters, "rent", NOW).people == 0


def test_people_of_a_campaign_are_moved_with_it(letters: Session):
    first = sequences.publish(letters, sequence(), NOW).sequence
    campaign = {"version_id": first.version_id, "state": "running", "now": NOW, "deadline": None}
    campaign_id = letters.scalar(_CAMPAIGN, campaign)
    enroll(letters, first, 1, "ask", campaign_id=campaign_id)
    enroll(letters, first, 2, "ask")
    dated = [STEPS[0], {"key": "pause", "wait": "1 day before deadline"}, STEPS[2]]
    newest = sequences.publish(letters, sequence(*dated), NOW).sequence
    with pytest.raises(Conflict, match="has no deadline"):
        moving.move(letters, "rent", NOW, campaign="blast")
    letters.execute(text("UPDATE campaign SET deadline = :at"), {"at": NOW})
    assert moving.move(letters, "rent", NOW, campaign="blast").people == 1
    assert versions(letters) == {1: 2, 2: 1}
    assert letters.scalar(text("SELECT version_id FROM campaign")) == newest.version_id
    letters.execute(text("UPDATE campaign SET state = 'finished'"))
    with pytest.raises(Conflict, match="blast is finished"):
        moving.move(letters, "rent", NOW, campaign="blast")
    with pytest.raises(NotFound, match="no campaign other"):
        moving.move(letters, "rent", NOW, campaign="other")


# What comes with the code.


def test_shipped_sequences_are_published_once_and_never_over_what_staff_made_theirs(letters: Session, tmp_path: Path):
    (tmp_path / "rent.yaml").write_text(sequence_files.written(sequence()))
    waits = sequence({"key": "a", "email": "later"}, slug="waits")
    (tmp_path / "waits.json.yaml").write_text(json.dumps(definitions.said(waits)))
    for _ in range(2):
        shipped_sequences.ship(letters, NOW, tmp_path)
    found = sequences.one(letters, "rent")
    assert (found.shipped, found.version) == (True, 1)
    assert shipped_sequences.waiting(letters, NOW, tmp_path) == {"waits": "steps 1, email: there is no letter later"}
    letter(letters, "later")
    shipped_sequences.ship(letters, NOW, tmp_path)
    assert shipped_sequences.waiting(letters, NOW, tmp_path) == {}
    sequences.publish(letters, sequence(name="Ours"), NOW)
    sequences.archive(letters, "waits", NOW)
    shipped_sequences.ship(letters, NOW, tmp_path)
    assert (sequences.one(letters, "rent").name, sequences.one(letters, "rent").version) == ("Ours", 2)
    assert sequences.one(letters, "waits").archived_at == NOW
    (tmp_path / "bad.yaml").write_text("slug: bad\nname: Bad\nsteps: []\n")
    shipped_sequences.shipped.cache_clear()
    with pytest.raises(Invalid, match=r"bad.yaml, line 3: steps: needs 1 or more"):
        shipped_sequences.shipped(tmp_path)


def test_what_comes_with_groundswell_can_be_read():
    assert all(definition.slug for definition in shipped_sequences.shipped())


# Read aloud.


WRITE = (
    "1. write: one of these letters: call (a, 2 of 3), short (b, 1 of 3); 10 of a hundred do not get it, to compare with; "
    "whoever has had enough letters for now does not get it"
)
ASKS = (
    "3. ask: the ask give, if she gave nothing in the last 30 days; more than 12 hours late it does not come; "
    "it leaves within 1 day or not at all"
)


def test_a_sequence_can_be_read_aloud(letters: Session):
    definition = sequence(
        {"key": "write", "email": True, "holdout": 10, "at_cap": "drop",
         "variants": [{"key": "a", "letter": "call", "weight": 2}, {"key": "b", "letter": "short"}]},
        {"key": "pause", "wait": "2 days before deadline at 09:00"},
        {"key": "ask", "ask": "give", "if": {"op": "not", "of": {"op": "gave", "within": "30 days"}}, "expires": "1 day",
         "late": {"after": "12 hours"}},
        {"key": "hear", "wait_for": {"event": "gave", "within": "3 days"}},
        {"key": "mark", "tag": "asked"}, {"key": "tell", "notify": "leads"}, {"key": "long", "wait": "3 days"},
        {"key": "soon", "wait": "tuesday at 18:30"}, {"key": "dated", "wait": "2027-02-01"},
        {"key": "next", "wait": "1 day at 10:00"}, {"key": "end", "stop": {"rest": True}},
        on="gave", **{"if": {"op": "gave", "at_least": 25}}, again="90 days", goal="gave", chapter="worcester",
        exit_when={"op": "not", "of": {"op": "chapter", "chapter": "worcester"}}, deadline="2027-02-02", expires="deadline",
    )  # fmt: skip
    names = naming.find(letters, *(rule for _, rule in definition.rules()), chapters=["worcester"])
    assert sequence_words.english(definition, names) == [
        "begins: she gives once, or begins a plan, if she gave at least $25; again after 90 days at the earliest",
        "for people of Worcester and of the chapters below it",
        "ends when its goal is reached: she gave to whom it asks for",
        "ends when she does not live in Worcester",
        "its deadline: February 2, 2027, at its beginning",
        "is over at the deadline",
        "nothing comes between 21:00 and 8:00 where she lives",
        WRITE,
        "2. pause: wait until 2 days before the deadline, 9:00",
        ASKS,
        "4. hear: wait until she gave once, or began a plan, at most 3 days",
        '5. mark: call her "asked"',
        "6. tell: the leads of her chapter get the letter leads",
        "7. long: wait 3 days",
        "8. soon: wait until the next Tuesday, 18:30",
        "9. dated: wait until February 1, 2027, 9:00",
        "10. next: wait 1 day, until 10:00",
        "11. end: the end, and she rests: no letter comes until she does something herself",
    ]
    launched = sequence(expires="2027-02-02", quiet_hours=None, **{"if": {"op": "never_gave"}})
    assert sequence_words.english(launched)[:2] == [
        "begins when it is launched, for whoever never gave",
        "is over when February 2, 2027 begins",
    ]
    assert date(2027, 2, 2) > TODAY
