"""How a form takes a yes: as its chapter or the nearest above it says; auto flips while the form is under attack."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people.opt_in import needs_confirmation, under_attack
from engine.settings import Settings
from tests.make import NOON

CALM = Settings(join_most_10_minutes=5, join_most_hour=12)

_COME = text("""
INSERT INTO sign_up (source, source_key, kind, person, at, place, detail)
SELECT source, gen_random_uuid()::text, 'signup', '{}', at, place,
    jsonb_build_object('wishes', jsonb_build_object('gathering', gathering))
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, at timestamptz, place text, gathering text)
""")


def come(
    session: Session, minutes: Sequence[float], place: str = "join", gathering: str = "", source: str = "join"
) -> None:
    """Sign-ups so many minutes after noon."""
    told = [
        {"source": source, "at": NOON + timedelta(minutes=each), "place": place, "gathering": gathering}
        for each in minutes
    ]
    session.execute(_COME, {"rows": rows(told)})


def says(session: Session, slug: str, policy: str) -> None:
    session.execute(text("UPDATE chapter SET opt_in = :policy WHERE slug = :slug"), {"policy": policy, "slug": slug})


def chapter(session: Session, slug: str) -> int:
    return int(session.execute(text("SELECT id FROM chapter WHERE slug = :slug"), {"slug": slug}).scalar_one())


def asks(session: Session, minutes: float = 0, slug: str | None = None) -> bool:
    where = chapter(session, slug) if slug else None
    return needs_confirmation(session, where, NOON + timedelta(minutes=minutes), CALM)


def test_nobody_is_asked_while_it_is_calm_and_nothing_was_said(session: Session):
    assert not asks(session)
    assert not asks(session, slug="worcester")


@pytest.mark.parametrize(
    ("root", "own", "found"),
    [("double", "", True), ("double", "single", False), ("single", "double", True), ("single", "", False),
     ("double", "auto", False), ("auto", "", False), ("", "double", True)],
)  # fmt: skip
def test_the_nearest_word_up_the_tree_holds(session: Session, root: str, own: str, found: bool):
    says(session, "massachusetts", root)
    says(session, "worcester", own)
    assert asks(session, slug="worcester") is found
    assert asks(session) is (root == "double")


def test_auto_asks_once_too_many_came_in_ten_minutes_and_for_an_hour_after(session: Session):
    come(session, [0, 1, 2, 3, 4])
    assert not asks(session, 4)
    come(session, [5])
    assert asks(session, 5)
    assert asks(session, 64.9)
    assert not asks(session, 65.1)


def test_auto_asks_once_too_many_came_in_an_hour_and_for_an_hour_after(session: Session):
    come(session, [5.5 * each for each in range(11)])
    assert not asks(session, 55)
    come(session, [56, 57])
    assert asks(session, 57)
    assert asks(session, 116.9)
    assert not asks(session, 117.1)


def test_an_attack_that_goes_on_is_asked_about_as_long_as_it_goes_on(session: Session):
    come(session, [each / 10 for each in range(3000)])
    assert all(asks(session, minutes) for minutes in range(5, 350, 5))
    assert not asks(session, 361)


def test_one_forms_attack_leaves_the_others_single(session: Session):
    come(session, [0] * 20, place="join/worcester")
    assert asks(session, slug="worcester")
    assert not asks(session)
    assert not asks(session, slug="lowell")


def test_a_form_that_always_says_single_stays_single_under_attack(session: Session):
    says(session, "worcester", "single")
    come(session, [0] * 50, place="join/worcester")
    assert not asks(session, slug="worcester")


def test_sign_ups_of_a_gathering_of_a_sheet_and_of_other_systems_are_no_attack(session: Session):
    come(session, [0] * 230, gathering="May1")
    come(session, [0] * 230, place="sheet/worcester")
    come(session, [0] * 230, source="signup")
    come(session, [30] * 230)  # later than the moment that is asked about
    assert not asks(session)


def brute(arrivals: Sequence[datetime], now: datetime, burst: int, long: int) -> bool:
    """The rule said plainly: at any arrival of the last hour, too many in the span that ends there."""
    spans = ((burst, timedelta(minutes=10)), (long, timedelta(hours=1)))
    return any(
        sum(end - span < each <= end for each in arrivals) > most
        for end in arrivals if now - timedelta(hours=1) < end <= now
        for most, span in spans
    )  # fmt: skip


@given(st.lists(st.integers(0, 7199), max_size=60), st.integers(1, 12), st.integers(1, 12))
def test_the_bounded_look_decides_as_the_rule_says(seconds: list[int], burst: int, long: int):
    now = NOON + timedelta(hours=2)
    arrivals = sorted((now - timedelta(seconds=each) for each in seconds), reverse=True)
    newest = arrivals[: long + max(long, burst)]
    assert under_attack(newest, now, burst=burst, long=long) is brute(arrivals, now, burst, long)
