"""What lists tell of a person, over all rows and files: the best word of each group, wherever it stands."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from tests import people_lists as make
from tests.best_words import Word, best, known
from tests.flows.lists import contact, imported

ROSA = "rosa@example.org"
COLUMNS = ("Email", "First name", "Last name", "Street", "City", "State", "ZIP", "Country", "Phone", "Changed at")
MINUTES = ("2024-05-06 12:00", "2024-05-06 12:01", "2024-05-06 12:02")


def test_what_one_tool_knows_of_a_person_and_what_another_knows_come_together(deps: Deps, tmp_path: Path):
    """Mailchimp has her name and phone and no ZIP, Action Network her ZIP and no name."""
    chimp = make.subscriber(ROSA, Address="")
    network = make.activist(
        ROSA, first_name="", last_name="", can2_user_address="", can2_user_city="", can2_state_abbreviated="",
    )  # fmt: skip
    imported(
        deps, make.write(tmp_path / "report.csv", make.ACTION_NETWORK, [network]),
        make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [chimp]),
    )  # fmt: skip
    her = contact(deps, ROSA)
    assert (her.first_name, her.last_name, her.phone) == ("Rosa", "Delgado", "508-555-0123")
    assert (her.zip, her.state, her.routed_by, her.routed_on) == ("01605", "MA", "zip", "01605")


def test_a_newer_list_that_is_silent_of_something_takes_nothing_away(deps: Deps, tmp_path: Path):
    imported(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [make.subscriber(ROSA)]))
    before = contact(deps, ROSA)
    bare = make.activist(ROSA, first_name="", last_name="", can2_user_address="", can2_user_city="")
    imported(deps, make.write(tmp_path / "report.csv", make.ACTION_NETWORK, [bare]))
    after = contact(deps, ROSA)
    for name in ("first_name", "last_name", "street", "city", "state", "zip", "phone", "chapter_id"):
        assert getattr(after, name) == getattr(before, name), name


def a_row(chosen: random.Random, email: str) -> tuple[Word, dict[str, str]]:
    """A word, and the row that says it."""
    choices = (
        ["", "Rosa", "Rose"], ["", "Delgado", "Marsh"], ["", "14 Lincoln Street", "9 New Street"], ["", "Worcester"],
        ["", "MA", "NH"], ["", "", "01605", "01108", "10001"], ["", "US"], ["", "5085550123", "4135550188"], MINUTES,
    )  # fmt: skip
    first, last, street, city, state, zip_code, country, phone, at = (chosen.choice(each) for each in choices)
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    said = (Person(email, first, last, street, city, state, zip_code or None, country, phone), moment)
    cells = (email, first, last, street, city, state, zip_code, country, phone, at)
    return said, dict(zip(COLUMNS, cells, strict=True))


@pytest.mark.parametrize("runs", [1, 2])
def test_rows_of_one_address_over_several_files_come_to_the_best_words_about_her(deps: Deps, tmp_path: Path, runs: int):
    """In one run or one after the other, and whatever their order."""
    chosen = random.Random(runs)
    told: dict[str, list[Word]] = {}
    files: tuple[list[dict[str, str]], ...] = ([], [])
    for number in range(300):
        email = f"p{number}@example.org"
        for _ in range(chosen.randint(1, 4)):
            said, row = a_row(chosen, email)
            told.setdefault(email, []).append(said)
            chosen.choice(files).append(row)
    for rows_of in files:
        chosen.shuffle(rows_of)
    paths = [make.write(tmp_path / f"{n}.csv", COLUMNS, each) for n, each in enumerate(files)]
    for batch in [paths] if runs == 1 else [paths[1:], paths[:1]]:
        imported(deps, *batch)
    with transaction(deps.sessions) as session:
        assert {email: known(session, email) for email in told} == {email: best(words) for email, words in told.items()}
        homes = text("""
            SELECT count(*) FROM contact c JOIN zip_route r ON r.zip = c.zip
            WHERE (c.chapter_id, c.routed_by, c.routed_on) IS DISTINCT FROM (r.chapter_id, r.by, r."on")
        """)
        assert session.scalar(homes) == 0
