"""Whom letters go on to: who follows a link is there, and a mailing that bounces or annoys stands still until a person
looked. That who is silent for a year is asked, and then rests, is a sequence: test_shipped_people.py."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.mail import breaker
from tests.campaigns import NOW, enqueue, go, letter, people, states
from tests.flows.house import change, one, rows
from tests.letters import AT, Sent, element, sent, tell, word


def engaged(deps: Deps, contact_id: int) -> datetime | None:
    return one(deps, f"SELECT engaged_last_at FROM contact WHERE id = {contact_id}").engaged_last_at


def gone(deps: Deps, where: str = "true") -> list[Sent]:
    """Campaign letters that were handed over, the first one first."""
    found = rows(deps, f"""SELECT m.id, h.id, c.id, c.email, h.provider_id
        FROM message m JOIN contact c ON c.id = m.contact_id
        JOIN handover h ON h.id = m.handover_id WHERE m.lane = 'delivery' AND {where} ORDER BY m.id""")  # fmt: skip
    return [Sent(*row) for row in found]


def clicks(deps: Deps, letter: Sent) -> None:
    """She follows a link now, by the clock of the house."""
    with deps.work() as (session, now):
        deps.react(session, [word("click", letter, at=now)], now)


# Signs of life.


def test_a_link_that_she_followed_is_a_sign_of_life_and_only_moves_forward(deps: Deps):
    (told,) = sent(deps)
    assert engaged(deps, told.contact_id) is None
    tell(deps, [element("processed", told), element("delivered", told, 1), element("click", told, 600)])
    assert engaged(deps, told.contact_id) == AT + timedelta(seconds=600)
    tell(deps, [element("click", told, 60)])
    assert engaged(deps, told.contact_id) == AT + timedelta(seconds=600)
    tell(deps, [element("click", told, 900)])
    assert engaged(deps, told.contact_id) == AT + timedelta(seconds=900)


@pytest.mark.parametrize("tracked", [False, True])
def test_an_open_is_one_only_where_the_house_asks_for_opens(deps: Deps, tracked: bool):
    house = replace(deps, settings=deps.settings.model_copy(update={"open_tracking": tracked}))
    (told,) = sent(deps)
    tell(house, [element("open", told, 600)])
    assert engaged(deps, told.contact_id) == (AT + timedelta(seconds=600) if tracked else None)


def test_what_machines_open_and_follow_is_none(deps: Deps):
    house = replace(deps, settings=deps.settings.model_copy(update={"open_tracking": True}))
    opened, scanned, early = sent(deps, 3)
    tell(house, [element("open", opened, 600, sg_machine_open=True)])
    tell(house, [element("click", scanned, 600, url=f"https://example.org/{page}") for page in "ab"])
    tell(house, [element("delivered", early, 10), element("click", early, 12)])
    assert [engaged(deps, told.contact_id) for told in (opened, scanned, early)] == [None] * 3
    scans = [element("click", scanned, 900, url=f"https://example.org/{page}") for page in "ab"]
    tell(house, [element("click", scanned, 700), *scans])  # her own, and a machine's after it
    assert engaged(deps, scanned.contact_id) == AT + timedelta(seconds=700)


@pytest.mark.parametrize("kind", ["delivered", "deferred", "bounce", "spamreport", "unsubscribe", "dropped"])
def test_nothing_else_that_is_told_of_a_letter_is_a_sign_of_life(deps: Deps, kind: str):
    (told,) = sent(deps)
    tell(deps, [element(kind, told, 600)])
    assert engaged(deps, told.contact_id) is None


# What comes back and what annoys.


def campaign(deps: Deps, many: int, slug: str = "vote") -> list[Sent]:
    """A campaign that was handed over."""
    known = rows(deps, f"SELECT id FROM mailing WHERE slug = '{slug}'")
    before = {each.message_id for each in gone(deps)}
    enqueue(deps, known[0].id if known else letter(deps, slug), people(deps, many))
    go(deps)
    return [each for each in gone(deps) if each.message_id not in before]


def told(deps: Deps, kind: str, letters: Sequence[Sent], seconds: int = 60) -> None:
    tell(deps, [element(kind, each, seconds) for each in letters])


def mailing(deps: Deps, slug: str = "vote") -> Any:
    return one(deps, f"SELECT * FROM mailing WHERE slug = '{slug}'")


def resume(deps: Deps) -> None:
    with deps.work() as (session, now):
        deps.react(session, breaker.resume(session, "vote"), now)


def test_what_becomes_of_a_campaign_is_counted_once_in_any_order(deps: Deps):
    letters = campaign(deps, 6)
    for _ in range(2):
        told(deps, "delivered", letters[:2])
        told(deps, "bounce", letters[1:3], 120)
        told(deps, "delivered", letters[2:3])
        told(deps, "spamreport", letters[3:4], 120)
        told(deps, "delivered", letters[3:4])
        told(deps, "dropped", letters[4:5])
        told(deps, "blocked", letters[5:])
    row = mailing(deps)
    assert (row.handed, row.delivered, row.bounced, row.complained) == (6, 4, 3, 1)
    assert row.paused_at is None


def test_receipts_are_not_counted_and_never_stand_still(deps: Deps):
    told(deps, "bounce", sent(deps, 40))
    row = mailing(deps, "thank_you")
    assert (row.delivered, row.bounced, row.paused_at) == (0, 0, None)


def test_a_campaign_of_which_too_many_come_back_stands_still_and_another_goes_on(deps: Deps):
    letters = campaign(deps, 300)
    told(deps, "bounce", letters[:15])  # exactly five of a hundred
    assert mailing(deps).paused_at is None
    told(deps, "bounce", letters[15:16])
    assert (mailing(deps).paused_at, mailing(deps).paused_because) == (NOW, "16 of 300 came back")
    notice = one(deps, "SELECT kind, subject, detail FROM notice")
    assert tuple(notice) == (
        "mailing paused",
        "vote",
        "16 of 300 came back: `groundswell letters resume vote` lets it go on",
    )
    assert campaign(deps, 5) == []
    assert len(campaign(deps, 5, "other")) == 5


def test_ten_letters_of_a_small_campaign_may_come_back(deps: Deps):
    letters = campaign(deps, 20)
    told(deps, "bounce", letters[:10])
    assert mailing(deps).paused_at is None
    told(deps, "blocked", letters[10:11])
    assert mailing(deps).paused_because == "11 of 20 came back"


def test_a_campaign_that_annoys_stands_still_at_a_fourth_complaint(deps: Deps):
    letters = campaign(deps, 40)
    told(deps, "spamreport", letters[:3])
    assert mailing(deps).paused_at is None
    told(deps, "spamreport", letters[3:4])
    assert mailing(deps).paused_because == "4 of 40 called it spam"


def test_of_a_large_campaign_two_in_a_thousand_may_complain(deps: Deps):
    campaign(deps, 4)
    change(deps, "UPDATE mailing SET handed = 5000, complained = 9 WHERE slug = 'vote'")
    told(deps, "spamreport", gone(deps)[:1])
    assert mailing(deps).paused_at is None
    told(deps, "spamreport", gone(deps)[1:2])
    assert mailing(deps).paused_because == "11 of 5000 called it spam"


def test_what_a_person_excused_does_not_count_again(deps: Deps):
    told(deps, "bounce", campaign(deps, 40)[:11])
    assert mailing(deps).paused_because == "11 of 40 came back"
    resume(deps)
    row = mailing(deps)
    assert (row.paused_at, row.paused_because) == (None, "")
    upto = one(deps, "SELECT max(id) FROM handover").max
    assert row.excused == {"handed": 40, "bounced": 11, "complained": 0, "refused": 0, "upto": upto}
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []
    letters = campaign(deps, 60)
    told(deps, "bounce", letters[:10])
    assert mailing(deps).paused_at is None
    told(deps, "bounce", letters[10:11])
    assert mailing(deps).paused_because == "11 of 60 came back"
    assert (mailing(deps).bounced, states(deps)["bounced"]) == (22, 22)


def test_what_comes_back_late_of_letters_from_before_stops_nothing_again(deps: Deps):
    letters = campaign(deps, 60)
    told(deps, "bounce", letters[:11])
    resume(deps)
    told(deps, "bounce", letters[11:40])
    told(deps, "spamreport", letters[40:45])
    row = mailing(deps)
    assert (row.paused_at, row.bounced, row.complained) == (None, 40, 5)
    assert (row.excused["bounced"], row.excused["complained"]) == (40, 5)
    told(deps, "bounce", campaign(deps, 30)[:11])
    assert mailing(deps).paused_because == "11 of 30 came back"


def test_what_never_stood_still_is_not_excused(deps: Deps):
    told(deps, "bounce", campaign(deps, 40)[:5])
    resume(deps)
    assert mailing(deps).excused == {}
