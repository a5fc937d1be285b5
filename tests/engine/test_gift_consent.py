"""What a gift says about letters: news after one on our own form, nothing after one on another, never against her no."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.events import Person
from engine.reactions import react
from engine.settings import Settings
from tests.make import NOON, gift

ROSA = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605")


def give(session: Session, donor: Person = ROSA, hours: float = 1, **changed: Any) -> None:
    """Rosa gave so many hours before noon."""
    terms = {key: changed.pop(key) for key in ("own_form_donors", "other_form_donors") if key in changed}
    told = {"donor": donor, "paid_at": NOON - timedelta(hours=hours)} | changed
    react(session, [gift(**told)], NOON, Settings(**terms))


def words(session: Session) -> list[tuple[Any, ...]]:
    found = session.execute(text("SELECT kind, given, source, place, at FROM consent ORDER BY at, source"))
    return [tuple(row) for row in found]


def say(session: Session, *, given: bool, kind: str = "", hours: float = 5) -> None:
    """Rosa's word, so many hours before noon."""
    session.execute(
        text("""WITH rosa AS (INSERT INTO contact (email, details_at) VALUES ('rosa@example.org', 'epoch')
            ON CONFLICT (email) DO UPDATE SET language = 'en' RETURNING id)
        INSERT INTO consent (contact_id, channel, kind, given, at, source)
        SELECT id, 'mail', :kind, :given, :at, 'preferences' FROM rosa"""),
        {"kind": kind, "given": given, "at": NOON - timedelta(hours=hours)},
    )


def test_a_gift_on_our_own_form_allows_news_from_its_moment_on(session: Session):
    give(session)
    assert words(session) == [("news", True, "gift", "common-ground", NOON - timedelta(hours=1))]


def test_a_gift_on_somebody_elses_form_allows_nothing(session: Session):
    give(session, form_slug="a-friend")
    assert words(session) == []


@pytest.mark.parametrize(
    ("own", "other", "form", "kinds"),
    [("thanks", "thanks", "common-ground", []), ("all", "thanks", "common-ground", [""]),
     ("news", "news", "a-friend", ["news"]), ("thanks", "all", "a-friend", [""]), ("all", "thanks", "a-friend", [])],
)  # fmt: skip
def test_the_settings_say_how_much(session: Session, own: Any, other: Any, form: str, kinds: list[str]):
    give(session, own_form_donors=own, other_form_donors=other, form_slug=form)
    assert [word[0] for word in words(session)] == kinds


def test_who_gives_often_has_said_it_once(session: Session):
    for hours in (3, 2, 1):
        give(session, hours=hours)
    one = gift(donor=ROSA)
    react(session, [one, gift(donor=ROSA), one], NOON, Settings())
    assert len(words(session)) == 1


@pytest.mark.parametrize("kind", ["", "news"])
@pytest.mark.parametrize("hours", [5, 0.5])
def test_a_no_stands_whether_it_came_before_the_gift_or_after(session: Session, kind: str, hours: float):
    say(session, given=False, kind=kind, hours=hours)
    give(session)
    assert [word[1] for word in words(session)] == [False]


def test_a_no_to_asks_is_no_no_to_news(session: Session):
    say(session, given=False, kind="asks")
    give(session)
    assert [word[:2] for word in words(session)] == [("asks", False), ("news", True)]


@pytest.mark.parametrize("kind", ["", "news"])
def test_who_said_as_much_already_says_no_more_by_giving(session: Session, kind: str):
    say(session, given=True, kind=kind)
    give(session)
    assert len(words(session)) == 1


@pytest.mark.parametrize("reason", ["unsubscribe", "bounce", "complaint", "manual", "erased"])
def test_an_address_that_must_not_be_written_to_allows_nothing(session: Session, reason: str):
    session.execute(
        text("INSERT INTO suppression (email, reason, at) VALUES ('rosa@example.org', :reason, now())"),
        {"reason": reason},
    )
    give(session)
    assert words(session) == []


def test_a_gift_without_an_address_allows_nothing(session: Session):
    give(session, donor=Person(first_name="Rosa", last_name="Delgado", zip="01605", street="1 Elm Street"))
    assert words(session) == []


def statements(session: Session, many: int) -> int:
    told: list[object] = []

    def note(*what: Any) -> None:
        told.append(what)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    react(session, [gift() for _ in range(many)], NOON, Settings())
    event.remove(connection, "before_cursor_execute", note)
    return len(told)


def test_many_donors_take_as_many_statements_as_a_few(session: Session):
    statements(session, 2)
    assert statements(session, 40) == statements(session, 3)
