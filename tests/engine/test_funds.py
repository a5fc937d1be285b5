"""Funds from files: read strictly, changed only where the file speaks, the same file once more changes nothing."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.giving import fund_files, funds
from engine.giving.fund_files import Threshold
from engine.giving.funds import Outcome
from engine.reactions import react
from engine.settings import Settings
from tests.books import assert_books_balance
from tests.make import NOON, gift

WHOLE = """funds:
  - slug: federal
    name: Common Ground Federal Committee
    disclaimer: Paid for by Common Ground Federal Committee.
    deductibility: Gifts are not tax-deductible.
    limit: 3300.50
    clock: election
    election_days: [2026-11-03, 2026-09-01]
    employer: over 200
    employer_days: 60
    retention_years: 3
    actblue_entities: [5002, 5001]
    chapter_entities: {lowell: [5003], worcester: [5004]}
    stripe_account: acct_1Example
    others: {es: {disclaimer: Pagado por el Comité Federal.}}
"""


def imported(session: Session, written: str) -> Outcome:
    told = fund_files.read_text(written)
    assert told.faults == []
    return funds.bring_in(session, told, NOON)


def faults(session: Session, written: str) -> list[str]:
    told = fund_files.read_text(written)
    return [str(fault) for fault in funds.bring_in(session, told, NOON).faults]


def test_a_file_begins_a_fund_with_everything_that_it_says(session: Session):
    outcome = imported(session, WHOLE)
    (made,) = outcome.changed
    assert (made.slug, made.new, len(made.fields)) == ("federal", True, 13)
    row = session.execute(text("SELECT * FROM fund WHERE slug = 'federal'")).one()
    assert (row.limit_cents, row.limit_clock, [str(day) for day in row.election_days]) == (
        330050, "election", ["2026-09-01", "2026-11-03"],
    )  # fmt: skip
    assert (row.employer_cents, row.employer_from, row.employer_days, row.retention_years) == (20000, False, 60, 3)
    assert (row.stripe_account, row.express_lane) == ("acct_1Example", False)
    assert row.others == {"es": {"disclaimer": "Pagado por el Comité Federal."}}
    found = session.execute(text("SELECT e.entity_id, h.slug FROM actblue_entity e LEFT JOIN chapter h"
        " ON h.id = e.chapter_id WHERE e.fund_id = :id ORDER BY 1"), {"id": row.id}).all()  # fmt: skip
    assert [tuple(each) for each in found] == [(5001, None), (5002, None), (5003, "lowell"), (5004, "worcester")]


def test_the_same_file_again_and_a_fund_written_as_a_file_change_nothing(session: Session):
    imported(session, WHOLE)
    assert imported(session, WHOLE) == Outcome()
    for slug in ("federal", "pac", "action"):
        said = funds.one(session, slug)
        assert imported(session, fund_files.written([said])) == Outcome()
    assert funds.one(session, "pac").employer == Threshold(20000, at=True)
    with pytest.raises(NotFound, match="no fund gold; there are action, pac, federal"):
        funds.one(session, "gold")


def test_a_file_changes_what_it_speaks_of_and_empties_what_it_leaves_empty(session: Session):
    imported(session, WHOLE)
    before = funds.one(session, "federal")
    outcome = imported(
        session, "funds:\n  - {slug: federal, employer: 200.50 or more, limit: , actblue_entities: [5001]}\n"
    )
    (changed,) = outcome.changed
    assert (changed.new, list(changed.fields)) == (False, ["limit", "employer", "actblue_entities"])
    update = {"limit": None, "employer": Threshold(20050, at=True), "actblue_entities": (5001,)}
    assert funds.one(session, "federal") == before.model_copy(update=update)


def test_past_donors_follow_a_number_that_becomes_a_chapters_own(session: Session):
    react(session, [gift()], NOON, Settings())  # by the fund's 12345, from a ZIP of Worcester
    own = "{lowell: [12345], worcester: [67890]}"
    outcome = imported(session, f"funds:\n  - {{slug: action, actblue_entities: , chapter_entities: {own}}}\n")
    assert [type(event).__name__ for event in outcome.events] == ["ChapterChanged"]
    assert funds.one(session, "action").chapter_entities == {"lowell": (12345,), "worcester": (67890,)}
    home = text("SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id")
    assert session.scalars(home).all() == ["lowell"]
    assert_books_balance(session)


def test_another_funds_number_at_a_chapter_stays_with_it(session: Session):
    imported(session, WHOLE)
    imported(session, "funds:\n  - {slug: federal, chapter_entities: {lowell: [5003]}}\n")
    assert funds.one(session, "action").chapter_entities == {"worcester": (67890,)}
    assert funds.one(session, "federal").chapter_entities == {"lowell": (5003,)}


def test_all_that_is_wrong_in_a_file_is_told_at_once_with_its_line(session: Session):
    assert faults(session, """funds:
  - slug: Gold!
    name: 7
    limit: 0
    clock: month
    election_days: [2026-13-01]
    employer: 200
    employer_days: 0
    retention_years: 7.5
    actblue_entities: [0, x]
    chapter_entities: [1]
    stripe_account: sk_live_1
    limit: 5
    colour: red
  - slug: b
grants: []
""") == [
        "line 2: funds 1, slug: is no short name: small letters, digits, hyphens and underscores",
        "line 3: funds 1, name: must be words; put them in quotation marks",
        "line 5: funds 1, clock: must be year, cycle or election",
        "line 6: funds 1, election_days 1: must be a day, written like 2026-11-03",
        "line 7: funds 1, employer: is written as `over 200` or `200 or more`",
        "line 8: funds 1, employer_days: at least 1",
        "line 9: funds 1, retention_years: must be a whole number",
        "line 10: funds 1, actblue_entities 1: at least 1",
        "line 10: funds 1, actblue_entities 2: must be a whole number",
        "line 11: funds 1, chapter_entities: must be written as `name: …`, with a name before each",
        "line 12: funds 1, stripe_account: is no account of Stripe's: it begins with acct_",
        "line 13: limit stands twice", "line 14: funds 1, colour: is not known here",
        "line 15: funds 2, name: is missing: the fund is new", "line 15: funds 2, disclaimer: is missing: the fund is new",
        "line 15: funds 2, deductibility: is missing: the fund is new", "line 16: grants: is not known here",
    ]  # fmt: skip


def test_what_the_house_lacks_is_told_with_a_fund_that_stands_twice_and_with_what_cannot_be_read(session: Session):
    before = funds.every(session)
    assert faults(session, """funds:
  - {slug: pac, chapter_entities: {atlantis: [8]}, limit: x, clock: election}
  - {slug: pac, actblue_entities: [12345]}
  - {slug: 7, name: N, chapter_entities: {lowell: [9], mu: [10]}}
  - {slug: action, others: {xx: {disclaimer: D}, es: {}}}
""") == [
        "line 2: funds 1, limit: is no amount of dollars: write it like 27 or 27.50",
        "line 2: funds 1, chapter_entities, atlantis: there is no chapter of this name",
        "line 3: funds 2, slug: pac stands in line 2 already",
        "line 3: funds 2: ActBlue's entity 12345 is of the fund action",
        "line 4: funds 3, slug: must be words; put them in quotation marks",
        "line 4: funds 3, chapter_entities, mu: there is no chapter of this name",
        "line 5: funds 4, others, xx: pages are not in this language, but in es",
    ]  # fmt: skip
    assert funds.every(session) == before


def test_what_only_the_house_can_know_is_told_with_its_line_and_nothing_is_written(session: Session):
    before = funds.every(session)
    assert faults(session, """funds:
  - {slug: pac, limit: 600}
  - slug: gold
    name: Gold
    limit: 500
    clock: election
    actblue_entities: [12345, 9]
    chapter_entities:
      atlantis: [8]
""") == [
        "line 3: funds 2, disclaimer: is missing: the fund is new",
        "line 3: funds 2, deductibility: is missing: the fund is new",
        "line 3: funds 2: ActBlue's entity 12345 is of the fund action",
        "line 6: funds 2, clock: election: say in election_days when these are",
        "line 9: funds 2, chapter_entities, atlantis: there is no chapter of this name",
    ]  # fmt: skip
    assert funds.every(session) == before
    assert faults(session, "funds:\n  - {slug: action, chapter_entities: {lowell: [12345]}}\n") == [
        "line 2: funds 1: ActBlue's entity 12345 is a chapter's own: see chapter_entities"
    ]


def test_a_fund_or_a_number_that_stands_twice_is_told(session: Session):
    assert faults(
        session, "funds:\n  - {slug: pac, actblue_entities: [7]}\n  - slug: pac\n    chapter_entities: {lowell: [7]}\n"
    ) == [
        "line 3: funds 2, slug: pac stands in line 2 already",
        "line 4: funds 2, chapter_entities, lowell 1: 7 stands in line 2 already",
    ]


@pytest.mark.parametrize(("written", "told"), [
    ("", "line 1: begins with `funds:` and a list of them"), ("funds: x\n", "line 1: funds: must be a list"),
    ("funds: [&a {slug: x}, *a]\n", "cannot be read as YAML"), ("funds:\n\t- x", "line 2: cannot be read as YAML: "),
    ("funds: [x]\n", "line 1: funds 1: must be written as `slug: …`, `name: …` and so on"),
])  # fmt: skip
def test_what_is_no_list_of_funds_is_told_in_a_line(session: Session, written: str, told: str):
    (found,) = faults(session, written)
    assert found.startswith(told)
