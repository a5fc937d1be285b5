"""What the README shows works as it stands there: its very examples, taken out of it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import form_files, form_shelf, fund_files, funds
from engine.giving.fund_files import FundSaid
from engine.letters import checks, drafts, writing
from engine.letters.finishing import Body
from engine.outreach import campaign_files, campaigns, definitions, sequence_checks, sequence_files, sequence_words
from engine.people import catalogue_files, catalogues, chapter_files, chapter_import
from engine.segments import files, names, rules, shelf, words
from engine.settings import ROOT, Settings
from engine.states import STATES
from engine.tokens import Signer

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
SIGNER = Signer(["a key of thirty-two letters at least"])
README = (ROOT / "README.md").read_text("utf-8")


def example(beginning: str) -> str:
    """The indented block of the README that begins with these words."""
    (found,) = re.findall(rf"(?m)^    {re.escape(beginning)}.*\n(?:    .*\n)*", README)
    return "".join(line.removeprefix("    ") for line in found.splitlines(keepends=True))


def test_the_chapters_of_the_readme_can_be_imported_into_the_invented_organisation(session: Session, tmp_path: Path):
    (tmp_path / "chapters.csv").write_text(example("slug,"), "utf-8")
    told = chapter_files.read(tmp_path / "chapters.csv")
    assert [str(fault) for fault in told.faults] == []
    outcome = chapter_import.bring_in(session, told.chapters, None, NOON, SIGNER)
    assert ([str(fault) for fault in outcome.faults], outcome.made) == ([], ("franklin",))
    entity = session.execute(text("SELECT f.slug FROM actblue_entity e JOIN fund f ON f.id = e.fund_id JOIN chapter h"
                                  " ON h.id = e.chapter_id WHERE h.slug = 'franklin'")).one()  # fmt: skip
    assert entity.slug == "action"


def test_the_readme_names_every_column_that_a_file_of_chapters_may_have():
    heading = example("slug,").partition("\n")[0].split(",")
    assert sorted(heading) == sorted(chapter_files.COLUMNS)


def test_the_catalogue_of_the_readme_is_one_and_changes_little_of_the_invented_organisations(session: Session):
    told = catalogue_files.read_text(example("coalitions:"))
    assert told.catalogue is not None, told.faults
    outcome = catalogues.bring_in(session, told.catalogue)
    assert not any(outcome.made.values())
    assert not catalogues.bring_in(session, told.catalogue).anything


def test_the_fund_of_the_readme_says_everything_that_a_file_can_and_can_be_imported(session: Session):
    told = fund_files.read_text(example("funds:"))
    assert told.faults == []
    assert set(told.document.said["funds"][0]) == set(FundSaid.model_fields)
    (changed,) = funds.bring_in(session, told, NOON).changed
    assert (changed.slug, changed.new) == ("action", False)


def test_the_form_of_the_readme_says_everything_that_a_file_can_and_can_be_imported(session: Session):
    told = form_files.read_text(example("slug: rides"), ROOT)  # pasted into a file beside the README
    assert told.definition is not None, told.faults
    assert set(told.document.said) == set(form_files.ORDER)
    session.execute(text("INSERT INTO letter (slug) VALUES ('thank_you') ON CONFLICT DO NOTHING"))
    outcome = form_shelf.bring_in(session, told.definition, told.picture, NOON)
    assert (outcome.number, outcome.faults, outcome.remarks) == (1, [], [])


def test_the_segment_of_the_readme_is_one_and_its_table_has_every_operator_with_every_field(session: Session):
    told = files.read_text(example("slug: worcester-givers"))
    assert told.draft is not None, told.faults
    assert shelf.faults(session, told.draft, told.document) == []
    said = words.english(told.draft.rule, names.find(session, told.draft.rule))
    assert said == "lives in Worcester, gave at least $25 in the last 12 months, not in the last 30 days"
    assert files.read_text(files.written(told.draft)).draft == told.draft
    (table,) = re.findall(r"(?m)^\| `op` .*\n\|.*\n((?:\|.*\n)+)", README)
    cells = [row.split("|")[1:3] for row in table.splitlines()]
    fields = {name: set(re.findall(r"`(\w+)`", cell[1])) for cell in cells for name in re.findall(r"`(\w+)`", cell[0])}
    assert set(fields) == set(rules.KINDS)
    for name, kind in rules.KINDS.items():
        assert set(kind.model_fields) - {"op"} - fields[name] <= {"known"}, name


def test_the_sequence_of_the_readme_has_no_fault_and_is_read_aloud_as_there(session: Session):
    told = sequence_files.read_text(example("slug: rent-vote"))
    assert told.definition is not None, told.faults
    for step in told.definition.steps:
        for slug in sequence_checks.named(step).values():
            asks = {"kind": "asks", "form": "common-ground"} if step.ask else {"kind": "news"}
            writing.save(session, drafts.made({"slug": slug, "bodies": {"en": Body("The vote", "On Tuesday.")}} | asks))
    checked = sequence_checks.check(session, told.definition, NOON.date())
    assert (checked.said, checked.remarks) == ([], [])
    aloud = sequence_words.english(told.definition, checked.names)
    said = example("$ .venv/bin/groundswell sequences check").splitlines()[1:]
    assert said == [f"rent-vote: {told.definition.name}", *(f"  {line}" for line in aloud)]
    assert sequence_files.read_text(sequence_files.written(told.definition)).definition == told.definition


def test_the_readme_names_all_that_a_sequence_can_say():
    (about,) = re.findall(r"(?ms)^## Sequences$(.*?)^## ", README)
    named = set(re.findall(r"`(\w+)", about))
    step = {str(field.alias or name) for name, field in definitions.Step.model_fields.items()}
    whole = {str(field.alias or name) for name, field in definitions.Definition.model_fields.items()}
    assert step | whole - {"steps"} <= named
    assert {definitions.LAUNCH, *definitions.TRIGGERS, *definitions.EVENTS, *STATES["enrollment"]} <= named
    (table,) = re.findall(r"(?m)^\| a step .*\n\|.*\n((?:\|.*\n)+)", README)
    assert set(re.findall(r"(?m)^\| `(\w+)", table)) == set(definitions.ACTIONS)


def test_the_campaign_of_the_readme_is_one_and_all_that_a_campaign_can_say_is_named():
    told = campaign_files.read_text(example("slug: central-votes"))
    assert told.faults == []
    assert told.draft is not None
    assert campaign_files.read_text(campaign_files.written(told.draft, ZoneInfo("UTC"))).draft == told.draft
    (table,) = re.findall(r"(?ms)^## Campaigns$.*?^\| \| says \|\n\|.*?\n((?:\|.*?\n)+)", README)
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(campaigns.Draft.model_fields)


def test_the_letter_of_the_readme_has_no_fault_and_nothing_to_remark(session: Session, tmp_path: Path):
    (words,) = re.findall(r"(?ms)^```markdown\n(.*?)^```", README)
    (tmp_path / "supper.md").write_text(words, "utf-8")
    done = writing.check(session, drafts.read([tmp_path / "supper.md"]))
    assert [remark for finished in done.values() for remark in checks.of(finished)] == []


def test_the_readme_names_every_state_that_a_letter_and_a_handover_can_be_in():
    for table in ("message", "handover", "campaign", "enrollment"):
        (said,) = re.findall(rf"(?m)^\| `{table}\.state` .*\n\|.*\n((?:\|.*\n)+)", README)
        assert sorted(re.findall(r"(?m)^\| `(\w+)` ", said)) == sorted(STATES[table])


def test_the_readme_has_a_row_for_every_setting_and_every_setting_is_one():
    (rows,) = re.findall(r"(?m)^\| variable .*\n\|.*\n((?:\|.*\n)+)", README)
    named = {name for row in rows.splitlines() for name in re.findall(r"`([A-Z_0-9]+)`", row.split("|")[1])}
    assert named == {str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()}
