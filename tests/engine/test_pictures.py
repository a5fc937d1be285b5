"""Estimates with their margins, and the picture of a simulation."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from xml.etree import ElementTree as ET

import pytest

from engine.reports import picture
from engine.reports.estimates import Estimate, Sample
from engine.reports.outcomes import Counted, Simulated

NIGHT, ENOUGH = "it is night where she lives", "had enough letters for now"


def test_who_looks_at_all_has_no_margin_and_who_looks_at_a_part_scales_it_up():
    assert Sample(50, 50).of(20) == Estimate(20, 20, 0)
    found = Sample(400, 40_000).of(100)
    assert (found.number, found.margin) == (10_000, 1689)  # 1.96 · √(¼ · ¾ / 400) of 40,000, and a little less
    assert (found.least, found.most) == (8_311, 11_689)
    assert Sample(400, 40_000).of(400).margin == 0
    assert Sample(0, 0).of(0) == Estimate(0, 0, 0)
    assert Sample(10, 1000).of(1).least == 1  # what was seen is there


def test_nineteen_times_of_twenty_the_truth_lies_within_the_margin():
    dice, within = Random(1), 0
    people = [dice.choices((0, 1, 2), (50, 30, 20))[0] for _ in range(5000)]
    for _ in range(400):
        looked_at = dice.sample(people, 250)
        found = Sample(250, 5000).of(sum(looked_at), sum(each * each for each in looked_at))
        within += found.number - found.margin <= sum(people) <= found.most
    assert 370 <= within <= 394


def simulated(days: int = 3, part: int = 20_000) -> Simulated:
    """Something of everything."""
    sample, first = Sample(part, 400_000), date(2027, 1, 20)

    def each(number: int, *what: object) -> Counted:
        return Counted(what, sample.of(number))

    by_day = [each(15_000 - number, first + timedelta(days=number)) for number in range(days)]
    return Simulated(
        "Rent & <votes>", sample, datetime(2027, 1, 20, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC), "America/New_York",
        sample.of(45_000, 130_000), by_day, [each(9_000, f"Chapter {number}") for number in range(30)],
        [each(15_000, "write", ""), each(9_000, "ask", "warm")], [], [each(9, day.what[0], "write") for day in by_day],
        [each(19_000, "finished", ""), each(1_000, "left", "its time has passed"), each(10, "active", "")],
        [], [each(70, "ask", "skipped", "wants no asks")], [each(900, ENOUGH), each(20, NIGHT)], [],
    )  # fmt: skip


@pytest.mark.parametrize("days", [0, 1, 3, 40], ids=str)
def test_the_picture_is_whole_says_each_number_and_needs_nothing_else(days: int):
    drawn = picture.svg(simulated(days))
    tree = ET.fromstring(drawn)
    said = [element.text or "" for element in tree.iter() if element.tag.endswith("text")]
    assert said[0] == "Rent & <votes>"
    assert "900,000 ± " in said[1]
    assert "Letters by chapter (the 12 with the most of 30)" in said
    assert {"came to the end", "left: its time has passed", "still in it", ENOUGH} <= set(said)
    assert "ask, skipped: wants no asks" in said
    if days == 3:
        assert [each for each in said if each.startswith(("Wed", "Thu", "Fri"))] == [
            "Wed 20 Jan",
            "Thu 21 Jan",
            "Fri 22 Jan",
        ]
    assert ("and 12 more days" in said) == (days == 40)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme" in drawn
    heights = [float(element.get("height", 0)) for element in tree.iter() if element.tag.endswith("rect")]
    assert min(heights) >= 0
