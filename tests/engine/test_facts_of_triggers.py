"""What letters can name of what let their readers in is what triggers tell them; a letter that names more is refused."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.letters.links import Links
from engine.outreach import definitions, neighbours, sequence_checks, shipped_sequences, triggers
from engine.outreach.definitions import Definition
from engine.settings import Settings
from engine.tokens import Signer

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
SETTINGS = Settings()


def sequence(on: str, **step: str) -> Definition:
    return definitions.read({"slug": "one", "name": "One", "on": on, "steps": [{"key": "one"} | step]})


def test_every_trigger_says_what_it_tells():
    assert set(triggers.FACTS) == set(definitions.TRIGGERS)


def test_every_letter_has_these_links():
    assert set(Links(Signer(["a key of thirty-two letters at least"]), "https://x", NOW).of(1, 1, {})) == Links.ALWAYS


def test_letters_are_told_what_is_said_there():
    gift = SimpleNamespace(amount_cents=2700, currency="usd", paid_at=NOW, receiver="Action", recurring_period="once")
    assert set(triggers._of_gift(gift, SETTINGS)) == triggers.FACTS["gave"]
    plan = SimpleNamespace(
        amount_cents=2700, currency="usd", period="month", receiver="Action", started_at=NOW, ended_at=None
    )
    assert set(triggers._of_plan(plan, SETTINGS)) == triggers.FACTS["monthly_cancelled"]
    assert set(triggers._of_offers([])) == triggers.FACTS["offered_help"]
    near = SimpleNamespace(first_name="Rosa", near=True, routed_by="zip", chapter="Worcester")
    assert set(neighbours._facts(near)) == triggers.FACTS["joined"]
    far = SimpleNamespace(first_name="Rosa", near=False, zip_known=True)
    assert set(neighbours._facts(far)) == triggers.FACTS["joined_far"]


@pytest.mark.parametrize(
    ("on", "step", "told"),
    [
        ("offered_help", {"email": "first_thanks"},
         "first_thanks names amount, given_on, receiver: no letter on offered_help is told that"),
        ("gave", {"email": "thank_you"}, "thank_you names order_number: no letter on gave is told that"),
        ("gave", {"notify": "first_thanks"},
         "first_thanks names amount, given_on, receiver: no letter to leads is told that"),
    ],
)  # fmt: skip
def test_a_letter_that_names_what_nobody_tells_it_is_refused(session: Session, on, step, told):
    assert sequence_checks.check(session, sequence(on, **step), NOW.date()).said == [
        f"steps 1, {next(iter(step))}: {told}"
    ]


@pytest.mark.parametrize(
    ("on", "step"), [("gave", {"email": "first_thanks"}), ("offered_help", {"notify": "volunteer_notice"})]
)
def test_a_letter_that_names_what_it_is_told_is_not(session: Session, on, step):
    assert sequence_checks.check(session, sequence(on, **step), NOW.date()).said == []


def test_nothing_is_wrong_with_the_sequences_that_come_with_groundswell(session: Session):
    for definition in shipped_sequences.shipped():
        checked = sequence_checks.check(session, definition, NOW.date())
        assert (definition.slug, [says for says in checked.said if "asks for no fund" not in says]) == (
            definition.slug,
            [],
        )
        assert (definition.slug, list(checked.remarks)) == (definition.slug, [])


def test_they_are_published_once_however_often_the_house_starts(session: Session):
    count = text("SELECT count(*) FROM sequence_version")
    shipped_sequences.ship(session, NOW)
    before = session.scalar(count)
    shipped_sequences.ship(session, NOW)
    assert (
        session.scalar(count)
        == before
        == len(shipped_sequences.shipped()) - len(shipped_sequences.waiting(session, NOW))
    )
