"""Who may get a letter of which kind: one SQL clause against a slow reading of the same rules in Python."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.people import consent
from engine.people.consent import KINDS, Said
from tests.readers import NOW, person, said

ALL_KINDS = ("", *KINDS, "chapter", "many", "pause")
LIFTABLE = ("unsubscribe", "erased")
REASONS = (*LIFTABLE, "bounce", "complaint", "manual", "invalid")
SOURCES = ("signup", "confirm", "preferences", "import", "one-click")

moments = st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours))
words = st.tuples(st.sampled_from(ALL_KINDS), st.booleans(), moments, moments, st.sampled_from(SOURCES))
suppressed = st.dictionaries(st.sampled_from(REASONS), moments, max_size=2)


def look(session: Session, contact_id: int, kind: str, chapter: str = "massachusetts", now: datetime = NOW) -> Any:
    clause = consent.refusal(":kind", "(SELECT id FROM chapter WHERE slug = :chapter)")
    may = consent.mailable(":kind", "(SELECT id FROM chapter WHERE slug = :chapter)")
    statement = f"""SELECT {clause} AS reason, {may} AS may, said.fewer, {consent.PAUSED_UNTIL} AS until
        FROM contact c CROSS JOIN LATERAL ({consent.words(":kind")}) said WHERE id = :id"""
    values = {"id": contact_id, "kind": kind, "chapter": chapter, "now": now}
    return session.execute(text(statement), values).one()


def suppress(session: Session, email: str | None, reason: str, at: datetime = NOW) -> None:
    values = {"email": email, "reason": reason, "at": at}
    session.execute(text("INSERT INTO suppression (email, reason, at) VALUES (:email, :reason, :at)"), values)


def last(told: list[Any], kind: str) -> Any:
    """The newest word of this kind; of two at one instant, the withdrawal."""
    same = sorted((word for word in told if word[0] == kind), key=lambda word: (word[2], not word[1]))
    return same[-1] if same else None


def may(told: list[Any], stops: dict[str, datetime], kind: str, *, by_chapter: bool) -> bool:
    """The rules, read slowly."""
    for reason, at in stops.items():
        if reason not in LIFTABLE:
            return False
        lifted = any(
            yes[0] == "" and yes[1] and yes[2] > at and yes[4] in ("signup", "confirm", "preferences")
            and not any(no[0] == "" and not no[1] and no[2] >= yes[2] for no in told)
            for yes in told
        )  # fmt: skip
        if not lifted:
            return False
    everything, own = last(told, ""), last(told, kind)
    chapter, pause = last(told, "chapter"), last(told, "pause")
    refused = any(word and not word[1] for word in (everything, own, chapter if by_chapter else None))
    allowed = any(word and word[1] for word in (everything, own))
    running = bool(pause and not pause[1] and pause[3] > NOW)
    return allowed and not refused and not running


@given(
    told=st.lists(words, max_size=8, unique_by=lambda word: word[:3]), stops=suppressed, kind=st.sampled_from(KINDS),
    by_chapter=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_clause_says_what_a_slow_reader_of_the_rules_says(session: Session, told, stops, kind, by_chapter):
    with session.begin_nested() as savepoint:
        contact_id, email = person(session)
        consent.hear(
            session,
            [
                {"contact_id": contact_id, "channel": "mail", "kind": word[0], "given": word[1], "at": word[2],
                 "until": word[3], "source": word[4], "place": "", "wording": "", "cause": None}
                for word in told
            ],
        )  # fmt: skip
        for reason, at in stops.items():
            suppress(session, email, reason, at)
        found = look(session, contact_id, kind, "worcester" if by_chapter else "massachusetts")
        savepoint.rollback()
    assert found.may == (found.reason == "") == may(told, stops, kind, by_chapter=by_chapter)
    many, pause = last(told, "many"), last(told, "pause")
    assert found.fewer == bool(many and not many[1])
    assert (found.until is not None) == bool(pause and not pause[1] and pause[3] > NOW)


REFUSALS = [
    ([], "never said yes"),
    ([("", True)], ""),
    ([("news", True)], ""),
    ([("asks", True)], "never said yes"),
    ([("", False)], "wants no letters"),
    ([("", False), ("news", True)], "wants no letters"),
    ([("", True), ("news", False)], "wants no news"),
    ([("", True), ("asks", False)], ""),
    ([("", True), ("chapter", False)], "wants no letters of chapters"),
    ([("", True), ("many", False)], ""),
    ([("", True), ("pause", False, NOW, NOW + timedelta(days=1))], "paused"),
    ([("", True), ("pause", False, NOW, NOW)], ""),
    ([("", True), ("pause", False, NOW, NOW + timedelta(days=1)), ("pause", True, NOW + timedelta(hours=1))], ""),
    ([("", True), ("news", False), ("pause", False, NOW, NOW + timedelta(days=1))], "wants no news"),
]  # fmt: skip


@pytest.mark.parametrize(("told", "reason"), REFUSALS)
def test_a_refusal_is_said_in_plain_words(session: Session, told, reason):
    contact_id, _ = person(session)
    said(session, contact_id, *told)
    assert look(session, contact_id, "news", "worcester").reason == reason


def test_nobody_without_an_address_nobody_erased_or_merged_and_no_suppressed_address_gets_anything(session: Session):
    for changed, reason in (
        ("email = NULL", "no address"),
        ("erased_at = now()", "erased"),
        ("merged_into_id = (SELECT max(id) FROM contact)", "merged into another contact"),
    ):
        contact_id, email = person(session)
        said(session, contact_id, ("", True))
        session.execute(text(f"UPDATE contact SET {changed} WHERE id = :id"), {"id": contact_id})
        assert look(session, contact_id, "news").reason == reason
    for stop in REASONS:
        contact_id, email = person(session)
        said(session, contact_id, ("", True))
        suppress(session, email, stop)
        assert look(session, contact_id, "news").reason == f"address suppressed: {stop}"


def test_words_about_text_messages_say_nothing_about_letters(session: Session):
    contact_id, _ = person(session)
    word = {"contact_id": contact_id, "channel": "text", "given": True, "at": NOW, "source": "signup", "place": "",
            "wording": "", "cause": None}  # fmt: skip
    consent.hear(session, [word])
    assert look(session, contact_id, "news").reason == "never said yes"


def test_a_chapter_that_she_moves_to_cannot_bring_back_what_she_refused(session: Session):
    contact_id, _ = person(session)
    said(session, contact_id, ("", True), ("chapter", False))
    session.execute(
        text("UPDATE contact SET chapter_id = (SELECT id FROM chapter WHERE slug = 'lowell') WHERE id = :id"),
        {"id": contact_id},
    )
    assert look(session, contact_id, "news", "lowell").reason == "wants no letters of chapters"


def test_what_is_said_now_is_newer_than_any_word_of_a_clock_that_goes_ahead(session: Session):
    contact_id, _ = person(session)
    said(session, contact_id, ("", True, NOW + timedelta(days=400)))
    consent.say(session, [contact_id], [Said("", given=False)], NOW, source="one-click", place="message 1")
    assert look(session, contact_id, "news").reason == "wants no letters"


def test_saying_again_what_holds_is_no_new_word(session: Session):
    contact_id, _ = person(session)
    for _ in range(3):
        consent.say(session, [contact_id], [Said("news", given=False)], NOW, source="preferences", place="preferences")
    assert session.execute(text("SELECT count(*) FROM consent")).scalar_one() == 1


def test_the_clause_finds_her_words_by_the_index(session: Session):
    session.execute(
        text("""
        INSERT INTO contact (email, details_at, routed_by, routed_on)
        SELECT 'rosa.many.' || n || '@example.org', 'epoch', '', '' FROM generate_series(1, 5000) n""")
    )
    session.execute(
        text("""
        INSERT INTO consent (contact_id, channel, kind, given, at, source)
        SELECT id, 'mail', k, k = '', 'epoch', 'signup' FROM contact, unnest(ARRAY['', 'asks']) k""")
    )
    session.execute(text("ANALYZE contact, consent, suppression"))
    statement = f"EXPLAIN SELECT count(*) FROM contact c WHERE {consent.mailable(':kind')}"
    plan = "\n".join(session.scalars(text(statement), {"kind": "news", "now": NOW}))
    assert "consent_contact_id_key" in plan
    assert "Seq Scan on consent" not in plan
    counted = text(f"SELECT count(*) FROM contact c WHERE {consent.mailable(':kind')}")
    assert session.execute(counted, {"kind": "news", "now": NOW}).scalar_one() == 5000
    assert session.execute(counted, {"kind": "asks", "now": NOW}).scalar_one() == 0
