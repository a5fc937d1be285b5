"""Joining: what is stored, what is answered, and that a second press changes nothing."""

from datetime import timedelta

import pytest

from engine.bootstrap import Deps
from tests.webhooks.joining import NOWHERE, ROSA, Visitor, execute, opened, said, stored

pytestmark = pytest.mark.usefixtures("deps")


@pytest.fixture
def door(deps: Deps):
    with opened(deps) as client:
        yield client


def waiting(deps: Deps, seconds: float = 30) -> None:
    deps.clock.skip(timedelta(seconds=seconds))


def test_what_she_typed_is_stored_and_she_is_thanked_with_her_chapter(door, deps):
    visitor = Visitor(door)
    shown = visitor.open()
    assert shown.status == 200
    assert "Join your neighbours" in said(shown)
    waiting(deps)
    thanked = visitor.press(email=" Rosa@Example.ORG ")
    assert thanked.status == 200
    assert "Thank you, Rosa. Worcester’s chapter meets near you." in said(thanked)
    (kept,) = stored(deps)
    wording = kept.pop("wording")
    assert "Common Ground Massachusetts and your chapter may write to you" in wording
    assert wording in said(shown)
    assert kept == ROSA | {
        "form": "join", "at": "2026-11-03T12:00:30+00:00", "street": "", "city": "", "state": "", "phone": "",
        "language": "en", "interests": [], "ways_to_help": [], "gathering": "", "confirm": False, "introduce": False,
    }  # fmt: skip
    assert "intake" in deps.bells.rung
