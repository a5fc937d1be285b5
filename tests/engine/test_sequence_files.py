"""Sequences as files: read strictly, what is wrong is told with its line and field, written back the same. No database."""

import json

import pytest

from engine.outreach import definitions, sequence_files

WHOLE = """\
slug: rent-vote
name: Before the rent vote
chapter: worcester
on: gave
if:
  op: gave
  at_least: 27.5
again: 90 days
goal: gave
exit_when:
  op: not
  of:
    op: chapter
    chapter: worcester
expires: deadline
deadline: 2027-02-02
quiet_hours: 20-9
steps:
  - key: write
    email: rent_vote_call
    holdout: 10
    expires: 2 days
  - key: pause
    wait: 2 days before deadline at 09:00
  - key: ask
    if:
      op: not
      of:
        op: gave
        within: 30 days
    ask: true
    variants:
      - key: short
        letter: rent_vote_short
      - key: long
        letter: rent_vote_long
        weight: 2
    late:
      after: 12 hours
    at_cap: drop
  - key: hear
    wait_for:
      event: clicked
      within: 2 days
  - key: mark
    tag: asked about rent
  - key: tell
    notify: leads_rent
  - key: day
    wait: 2027-02-01
  - key: end
    stop: true
"""


def faults(words: str) -> list[str]:
    told = sequence_files.read_text(words)
    assert told.definition is None
    return [str(fault) for fault in told.faults]


def test_a_whole_sequence_is_read_and_written_back_the_same():
    told = sequence_files.read_text(WHOLE)
    assert told.faults == []
    assert told.definition is not None
    assert sequence_files.written(told.definition) == WHOLE
    assert definitions.read(definitions.said(told.definition)) == told.definition
    in_json = sequence_files.read_text(json.dumps(definitions.said(told.definition)))
    assert in_json.definition == told.definition


def test_each_fault_is_told_with_its_line_and_field():
    assert faults(
        "slug: Rent\n"
        "on: fridays\n"
        "quiet_hours: 25-8\n"
        "goal: {op: gave, withn: 1 year}\n"
        "exit_when: {op: not, of: {op: lapsed, after: a year}}\n"
        "steps:\n"
        "  - {key: one, emial: call}\n"
        "  - key: two\n"
        "    wait: 3 eons\n"
        "  - {key: three, wait: 3 days, stop: true}\n"
        "  - {key: four, email: Not A Name}\n"
        "  - {key: five, email: true, variants: [{key: a, letter: x}]}\n"
        "  - {key: six, if: {op: knows}, tag: yes}\n"
        "  - {key: seven, wait_for: {event: moon}}\n"
        "  - {key: eight, holdout: 5, notify: x}\n"
        "  - just words\n"
    ) == [
        "line 1: slug: is no short name: small letters, digits, hyphens and underscores",
        "line 1: name: is missing",
        "line 2: on: must be launch, or " + ", ".join(definitions.TRIGGERS),
        "line 3: quiet_hours: is written like 21-8: full hours of the reader's day",
        "line 4: goal, withn: is not known here",
        "line 5: exit_when, of, after: is no span: write it like 12 months, 30 days or 1 year",
        "line 7: steps 1, emial: is not known here",
        f"line 9: steps 2, {NO_WAIT}",
        "line 10: steps 3, stop: does one thing: email, ask, wait, wait_for, tag, notify, stop",
        "line 11: steps 4, email: is no letter's name: small letters, digits, hyphens and underscores",
        "line 12: steps 5, variants: needs 2 or more",
        "line 13: steps 6, if, op: knows is no operator; there are " + ", ".join(sequence_files.rules.KINDS),
        "line 13: steps 6, tag: must be words; put them in quotation marks",
        "line 14: steps 7, wait_for, event: must be gave, clicked, joined, offered_help, monthly_started or instalment_paid",
        "line 14: steps 7, wait_for, within: is missing",
        "line 15: steps 8, holdout: belongs to email and ask",
        "line 16: steps 9: must be written as names and their values",
    ]


NO_WAIT = (
    "wait: is no wait: write it like 3 days, 1 day at 10:00, tuesday at 10:00, 2027-02-01 at 09:00, "
    "or 2 days before deadline"
)
BEGIN = "slug: a\nname: A\nsteps:\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "line 1: begins with `slug: …`, `name: …` and `steps: …`"),
        ("- a", "line 1: begins with `slug: …`, `name: …` and `steps: …`"),
        ("slug: a\nname: A\nsteps: []\n", "line 3: steps: needs 1 or more"),
        ("slug: a\nname: A\nsteps: 5\n", "line 3: steps: must be a list"),
        (BEGIN + "  - {key: a, email: x}\n  - {key: a, stop: true}\n", "line 5: steps 2, key: is already that of 1"),
        (BEGIN + "  - {key: a, wait: -3 days}\n", f"line 4: steps 1, {NO_WAIT}"),
        (BEGIN + "  - {key: a, wait: 3650 days}\n", "line 4: steps 1, wait: is longer than 400 days"),
        (BEGIN + "  - {key: a, wait: 9999-12-31}\n", "line 4: steps 1, wait: is of no year between 2000 and 2199"),
        (BEGIN + "  - {key: a, email: true}\n",
         "line 4: steps 1, email: names its letter; of several it says true, and they are its variants"),
        (BEGIN + "  - {key: a, email: true, variants: [{key: a, letter: x}, {key: a, letter: y}]}\n",
         "line 4: steps 1, variants 2, key: is already that of 1"),
        (BEGIN + "  - {key: a, email: x}\ngoal: gave\n",
         "line 5: goal: gave is about the fund of its asks, and it asks for nothing"),
        (BEGIN + "  - {key: a, email: x}\ngoal: given\n", "line 5: goal: must be a rule: `op: …` and what belongs to it"),
        (BEGIN + "  - {key: a, email: x}\non: daily\n", "line 1: if: is missing: daily would take everybody"),
        (BEGIN + "  - {key: a, email: x}\non: never\n", "line 5: on: must be launch, or " + ", ".join(definitions.TRIGGERS)),
        (BEGIN + "  - {key: a, email: x}\nagain: sometimes\n",
         "line 5: again: is no span: write it like 12 hours or 30 days"),
        (BEGIN + "  - {key: a, email: x}\nexpires: 20270101\n",
         "line 5: expires: is no span: write it like 12 hours or 30 days"),
        (BEGIN + "  - {key: a, email: x}\nslug: b\n", "line 5: slug stands twice"),
        (BEGIN + "  - {key: a, email: x, if: " + '{op: not, of: ' * 9 + "{op: never_gave}" + "}" * 9 + "}\n",
         "line 4: steps 1, if: the rule is more than 8 levels deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(words, told):
    assert faults(words) == [told]


def test_too_many_steps_are_refused():
    many = "".join(f"  - {{key: s{number}, tag: x}}\n" for number in range(51))
    assert faults(BEGIN + many) == ["line 3: steps: at most 50"]
