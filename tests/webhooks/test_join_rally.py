"""A gathering's code: a tablet goes from hand to hand, and nobody is told that the network has had its share."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.bootstrap import Deps
from engine.db import transaction
from engine.tables import Gathering
from tests.fakes import FakeLimiter
from tests.webhooks.joining import SlidingLimiter, Visitor, execute, opened, said, stamp_in, stored

RALLY = "/join?g=K7QX2P"


@pytest.fixture
def rally(deps: Deps) -> Deps:
    """Worcester holds one from an hour ago until in three hours, for 230."""
    execute(deps, """
        INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
        SELECT 'K7QX2P', 'the rally on the Common', id, :now - interval '1 hour', :now + interval '3 hours', 230
        FROM chapter WHERE slug = 'worcester'
    """, now=deps.clock.now)  # fmt: skip
    return replace(deps, limiter=SlidingLimiter(deps.clock))


def tablet(client, deps: Deps, path: str = RALLY) -> Visitor:
    visitor = Visitor(client, path, source="198.51.100.20")
    assert visitor.open((deps.clock, 5)).status == 200
    return visitor


def taken(deps: Deps) -> int:
    with transaction(deps.sessions) as session:
        return session.query(Gathering).filter_by(code="K7QX2P").one().taken


def test_two_hundred_and_thirty_join_from_one_network_in_twenty_minutes(rally):
    with opened(rally) as door:
        on_the_table = tablet(door, rally)
        for number in range(230):
            answer = on_the_table.press(email=f"n{number}@example.org", first_name="Ines", zip="01301")
            assert answer.status == 200
            assert "Thank you, Ines. Worcester\u2019s chapter is glad you came. Next person, please" in said(answer)
            assert f"n{number}@example.org" not in answer.body.decode()
            rally.clock.skip(timedelta(seconds=20 * 60 / 230))
    sign_ups = stored(rally)
    assert len({one["email"] for one in sign_ups}) == 230
    assert {(one["gathering"], one["confirm"]) for one in sign_ups} == {("K7QX2P", False)}
    assert taken(rally) == 230


def test_without_the_code_the_sixth_of_them_is_asked_to_wait(rally):
    with opened(rally) as door:
        statuses = [tablet(door, rally, "/join").press(email=f"n{number}@example.org").status for number in range(6)]
    assert statuses == [200] * 5 + [429]
    assert {one["gathering"] for one in stored(rally)} == {""}


def test_over_its_count_the_usual_limits_hold_again(rally):
    execute(rally, "UPDATE gathering SET most = 2 WHERE code = 'K7QX2P'")
    with opened(rally) as door:
        answers = [tablet(door, rally).press(email=f"n{number}@example.org") for number in range(8)]
    assert [answer.status for answer in answers] == [200] * 7 + [429]
    assert [one["gathering"] for one in stored(rally)] == ["K7QX2P"] * 2 + [""] * 5
    assert "Worcester\u2019s chapter meets near you" in said(answers[2])


@pytest.mark.parametrize("hours", [-2, 4], ids=["before", "after"])
def test_outside_its_times_the_code_changes_nothing_and_is_no_error(rally, hours):
    rally.clock.skip(timedelta(hours=hours))
    with opened(rally) as door:
        shown = Visitor(door, RALLY).open()
        assert "Join your neighbors" in said(shown)
        statuses = [tablet(door, rally).press(email=f"n{number}@example.org").status for number in range(6)]
    assert statuses == [200] * 5 + [429]
    assert taken(rally) == 0


def test_the_next_person_is_not_held_up_by_the_least_time(rally):
    with opened(rally) as door:
        visitor = tablet(door, rally)
        for name in ("rosa", "ines", "amara"):  # no second passes between them
            assert "Next person, please" in said(visitor.press(email=f"{name}@example.org"))
    assert len(stored(rally)) == 3


def test_it_goes_on_while_nothing_can_be_counted(rally):
    with opened(replace(rally, limiter=FakeLimiter(away=True))) as door:
        assert tablet(door, rally).press().status == 200
    assert len(stored(rally)) == 1


def test_the_button_pressed_twice_takes_one_place(rally):
    with opened(rally) as door:
        visitor = tablet(door, rally)
        stamp = visitor.stamp
        visitor.press()
        visitor.stamp = stamp
        again = visitor.press()
    assert (len(stored(rally)), taken(rally)) == (1, 1)
    assert "Thank you, Rosa." in said(again)
    assert stamp_in(again)


def test_a_tablet_remembers_nobody(rally):
    with opened(rally) as door:
        visitor = tablet(door, rally)
        page = visitor.press().body.decode()
    assert '<form method="post" action="/join?g=K7QX2P" id="join" autocomplete="off">' in page
    assert "Marsh" not in page
    assert 'autocomplete="email"' not in page


def test_the_form_of_another_chapter_with_the_code_leads_to_the_host(rally):
    with opened(rally) as door:
        answer = tablet(door, rally, "/join/lowell?g=K7QX2P").press()
    assert "Worcester\u2019s chapter is glad you came." in said(answer)
    assert [one["form"] for one in stored(rally)] == ["join/lowell"]
