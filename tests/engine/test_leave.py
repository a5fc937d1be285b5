"""What is summed up of people's words speaks for them exactly, or not at all."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import consent, leave
from engine.segments import audience, rules
from engine.segments.names import Names
from tests import random_people
from tests.flows.house import one
from workers import upkeep

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
EVERYBODY = rules.read({"op": "any", "of": [{"op": "never_gave"}, {"op": "not", "of": {"op": "never_gave"}}]})
ALIVE = "c.merged_into_id IS NULL AND c.erased_at IS NULL"
CHANGES = {
    "she wants no letters": """INSERT INTO consent (contact_id, channel, kind, given, at, source)
        VALUES (:id, 'mail', '', false, :now, 'test')""",
    "she wants no asks": """INSERT INTO consent (contact_id, channel, kind, given, at, source)
        VALUES (:id, 'mail', 'asks', false, :now, 'test')""",
    "she pauses": """INSERT INTO consent (contact_id, channel, kind, given, at, until, source)
        VALUES (:id, 'mail', 'pause', false, :now, CAST(:now AS timestamptz) + interval '1 day', 'test')""",
    "a word of hers is another's now": "UPDATE consent SET contact_id = :other WHERE contact_id = :id",
    "a word is taken out": "DELETE FROM consent WHERE contact_id = :id",
    "her address bounces": """INSERT INTO suppression (email, reason, at)
        SELECT email, 'bounce', :now FROM contact WHERE id = :id AND email IS NOT NULL ON CONFLICT DO NOTHING""",
    "she rests": "UPDATE contact SET rested_at = :now WHERE id = :id",
    "she has another address": "UPDATE contact SET email = NULL WHERE id = :id",
}


def summed(session: Session, contact_id: int) -> int | None:
    """What counts of her; none: her words are asked."""
    return session.scalar(text(f"SELECT {leave.NUMBER} FROM contact c WHERE c.id = :id"), {"id": contact_id})


def person(session: Session, email: str) -> int:
    """Somebody who said yes."""
    made = session.execute(
        text("INSERT INTO contact (email, details_at) VALUES (:email, :now) RETURNING id"), {"email": email, "now": NOW}
    ).scalar_one()
    said = "INSERT INTO consent (contact_id, channel, given, at, source) VALUES (:id, 'mail', true, 'epoch', :email)"
    session.execute(text(said), {"id": made, "email": email})
    return int(made)


def agree(session: Session) -> None:
    """Whatever kind and sender: the same people as by asking everybody's words."""
    chapters = [None, *session.scalars(text("SELECT id FROM chapter ORDER BY id LIMIT 3"))]
    for kind in consent.KINDS:
        for sender in chapters:
            found = audience.people(EVERYBODY, Names(), kind, sender=sender)
            allowed = consent.mailable(f"'{kind}'", str(sender or "NULL"))
            exactly = f"FROM contact c WHERE {ALIVE} AND {allowed}"
            ids = [
                session.scalars(text(f"SELECT c.id {asked} ORDER BY c.id"), dict(found.values) | {"now": NOW}).all()
                for asked in (found.sql, exactly)
            ]
            assert ids[0] == ids[1]


@pytest.mark.parametrize("seed", range(3))
def test_summed_up_or_not_the_same_people_may_get_a_letter(session: Session, seed: int):
    ids = random_people.make(session, seed, 60, NOW)
    leave.sum_up(session)
    said = Counter(summed(session, each) for each in ids)
    assert min(said[number] for number in range(3)) > 3, "no; yes; it depends"
    agree(session)
    for number, statement in enumerate(CHANGES.values()):
        for each in ids[number :: len(CHANGES)]:
            with session.begin_nested():
                session.execute(text(statement), {"id": each, "other": ids[-1], "now": NOW})
    agree(session)
    leave.sum_up(session)
    agree(session)


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_puts_her_in_doubt_until_somebody_has_looked_again(session: Session, statement: str):
    rosa, nell = person(session, "rosa@example.org"), person(session, "nell@example.org")
    leave.sum_up(session)
    assert (summed(session, rosa), summed(session, nell)) == (1, 1)
    session.execute(text(statement), {"id": rosa, "other": nell, "now": NOW + timedelta(seconds=1)})
    assert summed(session, rosa) is None
    assert leave.sum_up(session)[0] >= 1
    assert summed(session, rosa) != 1
    assert session.scalar(text("SELECT count(*) FROM mail_doubt")) == 0


def test_a_doubt_about_somebody_who_is_gone_does_not_stay(session: Session):
    session.execute(text("INSERT INTO mail_doubt (doubted_id) VALUES (987654321)"))
    leave.sum_up(session)
    assert session.scalar(text("SELECT count(*) FROM mail_doubt")) == 0


def test_a_word_that_is_on_its_way_leaves_her_for_the_next_look(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa, nell = person(session, "rosa@example.org"), person(session, "nell@example.org")
    with transaction(deps.sessions) as saying:
        saying.execute(text(CHANGES["she wants no letters"]), {"id": rosa, "now": NOW})
        saying.execute(text(CHANGES["her address bounces"]), {"id": nell, "now": NOW})
        upkeep.CHORES["leave"](deps)
        with transaction(deps.sessions) as looking:
            assert summed(looking, rosa) is None
    with transaction(deps.sessions) as session:
        assert summed(session, rosa) is None
        assert summed(session, nell) is None
    upkeep.CHORES["leave"](deps)
    with transaction(deps.sessions) as session:
        assert (summed(session, rosa), summed(session, nell)) == (0, 0)


def test_a_suppression_that_is_on_its_way_counts_for_who_comes_meanwhile(deps: Deps):
    with transaction(deps.sessions) as telling:
        telling.execute(text("INSERT INTO suppression (email, reason, at) VALUES ('rosa@example.org', 'bounce', :now)"),
                        {"now": NOW})  # fmt: skip
        with transaction(deps.sessions) as session:
            rosa = person(session, "rosa@example.org")
        upkeep.CHORES["leave"](deps)
    with transaction(deps.sessions) as session:
        assert summed(session, rosa) != 1
    upkeep.CHORES["leave"](deps)
    with transaction(deps.sessions) as session:
        assert summed(session, rosa) == 0


def test_a_stretch_after_the_other_sums_up_everybody_and_then_only_who_is_new(deps: Deps):
    with transaction(deps.sessions) as session:
        for number in range(25):
            person(session, f"p{number}@example.org")
    taken = []
    while not taken or taken[-1][1]:
        with transaction(deps.sessions) as session:
            taken.append(leave.sum_up(session, 10))
    assert len(taken) > 3
    assert sum(some for some, _ in taken) == one(deps, "SELECT count(*) AS many FROM contact").many
    assert one(deps, "SELECT count(mail_leave) AS many FROM contact").many == sum(some for some, _ in taken)
    with transaction(deps.sessions) as session:
        assert leave.sum_up(session, 10) == (0, False)
        person(session, "p26@example.org")
        assert leave.sum_up(session, 10)[0] == 1
