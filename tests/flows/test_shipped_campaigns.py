"""The shipped sequences that a campaign launches: a call to action with a deadline, the end of a quarter."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.outreach.preflight import Refused
from tests.flows.house import change
from tests.launches import draft, launch
from tests.supporters import Supporters, at, supporters

ROSA, INES, SOL = "rosa@example.org", "ines@example.org", "sol@example.org"
CALL: dict[str, Any] = {
    "sequence": "call-to-action", "deadline": date(2026, 12, 2),
    "facts": {
        "bill": {"en": "the Rent Relief Act (H.1234)", "es": "la ley de alquileres (H.1234)"},
        "because": {"en": "It keeps families in their homes.", "es": "Mantiene a las familias en sus casas."},
        "action_url": "https://act.commonground.example.org/rent",
    },
}  # fmt: skip
QUARTER: dict[str, Any] = {"sequence": "quarter-end", "deadline": date(2027, 1, 1)}


@pytest.fixture
def they(deps: Deps) -> Iterator[Supporters]:
    with supporters(deps) as people:
        yield people


def joined(they: Supporters, *emails: str) -> None:
    """They joined some weeks ago, in Worcester; Sol reads Spanish."""
    for email in emails:
        they.joins(email, first_name=email.partition("@")[0].title(), language="es" if email == SOL else "en")
        they.mail(email)


def launched(they: Supporters, slug: str = "now", **terms: Any) -> None:
    draft(they.deps, slug, **terms)
    launch(they.deps, slug)
    they.happens()
    they.happens()


# A call to action.


def test_before_the_deadline_everybody_is_asked_and_whoever_did_not_follow_the_link_is_reminded(they: Supporters):
    joined(they, ROSA, INES, SOL)
    they.wait_until(at(20, 10))
    launched(they, **CALL)
    assert they.mail(ROSA) == ["Nov 20 10:00  Before December 2: ask your legislators to co-sponsor"]
    assert they.mail(SOL) == ["Nov 20 10:00  Antes del 2 de diciembre: pide a tus legisladores que la apoyen"]
    call = " ".join(they.letter(ROSA).text.split())
    assert (
        "put their names to the Rent Relief Act (H.1234). Will you ask them to? It keeps families in their homes."
        in call
    )
    assert "https://act.commonground.example.org/rent" in call
    assert "la ley de alquileres (H.1234)" in they.letter(SOL).text
    they.mail(INES)
    they.wait(hours=3)
    they.follows_a_link(ROSA, "Before")
    they.wait_until(at(29, 12))
    assert they.mail(ROSA) == ["Nov 21 10:00  Thank you. Do you know one more neighbor?"]
    assert "https://act.commonground.example.org/rent" in they.letter(ROSA).text
    assert they.mail(INES) == they.mail(SOL) == []
    they.wait_until(at(1, 9, 12))
    assert they.mail(INES) == ["Nov 30 10:00  Still possible before December 2: two lines to your legislators"]
    they.follows_a_link(INES, "Still possible")
    they.wait_until(at(20, 9, 12))
    assert they.mail(INES) == ["Dec 1 16:00  Thank you. Do you know one more neighbor?"]
    assert they.mail(SOL) == ["Nov 30 10:00  Todavía se puede antes del 2 de diciembre: dos líneas a tus legisladores"]
    assert they.mail(ROSA) == [], "thanked once, never reminded"


def test_a_second_call_asks_what_was_done_about_it_and_not_about_the_first(they: Supporters):
    joined(they, ROSA)
    they.wait_until(at(20, 10))
    launched(they, "first", **CALL)
    they.follows_a_link(ROSA, "Before")
    they.wait_until(at(3, 10, 12))
    they.mail(ROSA)
    launched(they, "second", **CALL | {"deadline": date(2026, 12, 20)})
    they.follows_a_link(ROSA, "Before", they.deps.settings.base_url + "/u/token")
    they.wait_until(at(18, 12, 12))
    assert they.mail(ROSA) == [
        "Dec 3 10:00  Before December 20: ask your legislators to co-sponsor",
        "Dec 18 10:00  Still possible before December 20: two lines to your legislators",
    ], "she followed no link about this one"
    they.follows_a_link(ROSA, "Still possible")
    they.wait_until(at(19, 17, 12))
    assert they.mail(ROSA) == ["Dec 19 16:00  Thank you. Do you know one more neighbor?"]


def test_launched_shortly_before_the_deadline_it_still_asks_and_nothing_comes_after_it(they: Supporters):
    joined(they, ROSA)
    they.wait_until(at(1, 11, 12))
    launched(they, **CALL)
    they.wait(days=10)
    assert they.mail(ROSA) == ["Dec 1 11:00  Before December 2: ask your legislators to co-sponsor"]


def test_a_campaign_that_does_not_say_what_its_letters_name_is_not_launched(they: Supporters):
    joined(they, ROSA)
    draft(they.deps, "now", **CALL | {"facts": {"action_url": "https://act.commonground.example.org/rent"}})
    with pytest.raises(Refused) as refused:
        launch(they.deps, "now")
    assert "say `bill` under facts: act_call, act_reminder, act_thanks name it" in refused.value.reasons
    draft(they.deps, "never", **CALL | {"deadline": None})
    with pytest.raises(Refused, match="it counts from a deadline, and has none"):
        launch(they.deps, "never")


# The end of a quarter.


def test_the_end_of_a_quarter_is_asked_for_three_times_and_whoever_gives_hears_no_more_of_it(they: Supporters):
    joined(they, ROSA, INES, SOL)
    they.gives(INES, 40)
    they.wait_until(at(20, 9, 12))
    for email in (ROSA, INES, SOL):
        they.mail(email)
    launched(they, **QUARTER)
    they.wait_until(at(28, 9, 12))
    assert they.mail(ROSA) == [
        "Dec 20 09:00  What the next three months can hold", "Dec 27 10:00  What comes in by December 31 counts",
    ]  # fmt: skip
    ask = they.letter(INES, "What the next")
    assert "On December 31 we add up what has come in" in " ".join(ask.text.split())
    assert "Give $40:\nhttps://secure.actblue.com/donate/common-ground?amount=40&refcode=" in ask.text
    assert "Paid for by Common Ground Massachusetts Action, Inc." in ask.text
    they.gives(ROSA, 27)
    they.wait(days=20)
    assert they.mail(ROSA) == ["Dec 28 09:00  Thank you for your $27 gift, Rosa",
                               "Dec 29 10:00  Thank you once more, and what comes next"]  # fmt: skip
    assert they.mail(INES)[-1] == "Dec 31 09:00  Today, December 31, is the last day"
    assert they.mail(SOL)[-1] == "Dec 31 09:00  Hoy, 31 de diciembre, es el último día"


def test_launched_late_it_asks_first_and_reminds_nobody_of_what_she_was_not_asked(they: Supporters):
    joined(they, ROSA)
    they.wait_until(at(29, 11, 12))
    launched(they, **QUARTER)
    they.wait(days=10)
    assert they.mail(ROSA) == [
        "Dec 29 11:00  What the next three months can hold", "Dec 31 09:00  Today, December 31, is the last day",
    ]  # fmt: skip


def test_what_is_late_for_the_last_day_does_not_come_after_it(they: Supporters):
    joined(they, ROSA)
    they.wait_until(at(20, 9, 12))
    launched(they, **QUARTER)
    they.wait_until(at(30, 9, 12))
    they.mail(ROSA)
    change(they.deps, "UPDATE campaign SET paused_at = now(), paused_because = 'test'")
    they.deps.clock.now = at(31, 20, 12)
    change(they.deps, "UPDATE campaign SET paused_at = NULL")
    they.wait(days=3)
    assert they.mail(ROSA) == []
