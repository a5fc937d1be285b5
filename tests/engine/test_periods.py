"""The clocks of limits, at their edges: what counts is the wall clock where the organisation is."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import periods

EASTERN = "America/New_York"
PRIMARY, GENERAL = date(2026, 9, 1), date(2026, 11, 3)
ELECTIONS = [GENERAL, PRIMARY]  # in any order


def eastern(*when: int, **more: Any) -> datetime:
    """An instant on the wall in Massachusetts."""
    return datetime(*when, tzinfo=ZoneInfo(EASTERN), **more)


@pytest.mark.parametrize(
    ("clock", "at", "name"),
    [
        ("year", eastern(2026, 12, 31, 23, 30), "2026"),  # in UTC it is 2027
        ("year", datetime(2027, 1, 1, 4, 59, 59, 999_999, tzinfo=UTC), "2026"),
        ("year", datetime(2027, 1, 1, 5, 0, tzinfo=UTC), "2027"),
        ("year", eastern(2028, 2, 29, 12, 0), "2028"),
        ("cycle", eastern(2024, 12, 31, 23, 30), "2023-2024"),
        ("cycle", eastern(2025, 1, 1), "2025-2026"),
        ("cycle", eastern(2025, 12, 31, 23, 59), "2025-2026"),
        ("cycle", eastern(2026, 12, 31, 23, 30), "2025-2026"),
        ("cycle", eastern(2027, 1, 1), "2027-2028"),
        ("cycle", eastern(2028, 2, 29), "2027-2028"),
        ("election", eastern(1999, 1, 1), "until 2026-09-01"),
        ("election", eastern(2026, 9, 1, 23, 59, 59, 999_999), "until 2026-09-01"),
        ("election", eastern(2026, 9, 2), "until 2026-11-03"),
        ("election", eastern(2026, 11, 3, 23, 59), "until 2026-11-03"),
        ("election", eastern(2026, 11, 4), "after 2026-11-03"),
        ("election", eastern(2031, 11, 4), "after 2026-11-03"),
    ],
)
def test_each_clock_turns_at_midnight_where_the_organisation_is(clock: str, at: datetime, name: str):
    assert periods.holding(clock, ELECTIONS, at, EASTERN).name == name


def test_a_period_begins_and_ends_at_local_midnights_through_the_changing_of_clocks():
    held = periods.holding("election", [date(2026, 3, 7), date(2026, 11, 1)], eastern(2026, 6, 1), EASTERN)
    assert held.begin == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)  # winter time ends three hours later
    assert held.end == datetime(2026, 11, 2, 5, 0, tzinfo=UTC)  # summer time ended the night before
    assert eastern(2026, 11, 1, 1, 30, fold=0) in held
    assert eastern(2026, 11, 1, 1, 30, fold=1) in held
    assert eastern(2026, 11, 2) not in held


def test_without_an_election_day_ahead_or_behind_a_period_is_open_on_that_side():
    first = periods.holding("election", ELECTIONS, eastern(2026, 1, 1), EASTERN)
    last = periods.holding("election", ELECTIONS, eastern(2027, 1, 1), EASTERN)
    assert (first.begin, first.end) == (None, eastern(2026, 9, 2))
    assert (last.begin, last.end) == (eastern(2026, 11, 4), None)
    assert periods.holding("election", [], eastern(2027, 1, 1), EASTERN) == periods.Period("all time", None, None)


ZONES = ["America/New_York", "America/Havana", "America/Sao_Paulo", "Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"]
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2033, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
CASES = st.tuples(
    st.sampled_from(periods.CLOCKS),
    st.lists(st.dates(date(2016, 1, 1), date(2032, 1, 1)), max_size=4),
    MOMENTS,
    st.sampled_from(ZONES),
)
_NAMED = text(f"""
SELECT {periods.NAME.format(day="w.day")} AS name
FROM (SELECT CAST(:clock AS text) AS limit_clock, CAST(:days AS date[]) AS election_days) f,
    (SELECT {periods.DAY.format(at="CAST(:at AS timestamptz)")} AS day) w
""")


def test_the_database_names_every_period_as_the_code_does_and_every_instant_is_in_its_own(session: Session):
    @settings(max_examples=150, deadline=None, database=None)
    @given(CASES)
    def agrees(case: tuple[str, list[date], datetime, str]) -> None:
        clock, days, at, zone = case
        held = periods.holding(clock, days, at, zone)
        assert at in held
        values = {"clock": clock, "days": days, "at": at, "zone": zone}
        assert session.execute(_NAMED, values).scalar_one() == held.name
        for edge in (held.begin, held.end):
            if edge is not None:
                assert periods.holding(clock, days, edge, zone).begin == edge

    agrees()
