"""Campaigns: launched once, held, undone, approved, paused, cancelled; whom they reach."""

from datetime import timedelta

import pytest

from engine.errors import Conflict
from engine.outreach import campaigns, halting, launching, preflight, progress
from tests.campaigns import letter, people
from tests.flows.house import change, one, rows
from tests.launches import draft, entered, launch, standing, through, work


def test_a_letter_is_launched_and_everybody_of_the_chapter_enters_once(deps):
    hers = people(deps, 30)
    elsewhere = people(deps, 5, chapter="springfield")
    letter(deps, "rent")
    draft(deps, letter="rent")
    done = launch(deps)
    assert (done.campaign.state, done.campaign.expected, done.campaign.held_until) == ("scheduled", 30, None)
    assert "outreach" in deps.bells.rung
    work(deps)
    assert entered(deps) == hers
    assert not set(elsewhere) & set(entered(deps))
    assert (standing(deps).state, standing(deps).enrolled) == ("running", 30)
    through(deps)
    work(deps)
    assert standing(deps).state == "finished"
