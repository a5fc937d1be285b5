"""What a limit leaves, and which gifts are above it: in any order of gifts, refunds, disputes and merges."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.giving import limits, periods
from engine.giving.excesses import ABOVE
from engine.reactions import react
from engine.staff import notices as staff_notices
from tests.books import assert_books_balance
from tests.gifts import MEI, ROSA, SETTINGS, ZONE, ask_about, fund, give, merge, notices, take_back, who
from tests.make import NOON, gift

NEW_YEAR = datetime(2027, 1, 1, tzinfo=ZoneInfo(ZONE))


def left(session: Session, fund_id: int, now: datetime = NOON) -> int:
    return limits.left(session, [who(session)], fund_id, now, ZONE)[who(session)]


def over(session: Session) -> dict[int, str]:
    """The gifts of which a person is told, and by how much."""
    return {int(subject.split()[1]): detail.split()[0] for subject, detail in notices(session, ABOVE).items()}


def test_what_is_left_is_the_limit_less_what_she_gave_and_never_below_nothing(session: Session):
    ours = fund(session, limit_cents=50_000)
    give(session, 48_000)
    give(session, 60_000, MEI)
    ids = [who(session), who(session, MEI)]
    assert limits.left(session, ids, ours, NOON, ZONE) == {ids[0]: 2_000, ids[1]: 0}
    assert limits.left(session, [], ours, NOON, ZONE) == {}


def test_a_fund_without_a_limit_leaves_nothing_to_count_and_nothing_to_tell(session: Session):
    ours = fund(session, limit_cents=None)
    give(session, 10_000_000)
    assert limits.left(session, [who(session)], ours, NOON, ZONE) == {}
    assert over(session) == {}


def test_only_dollars_to_the_same_fund_count(session: Session):
    ours = fund(session, limit_cents=50_000)
    give(session, 40_000, currency="eur")
    give(session, 40_000, entity_id=123456)  # its other fund
    give(session, 40_000, entity_id=999)  # somebody else's committee
    assert session.scalar(text("SELECT count(DISTINCT fund_id) FROM contribution")) == 2
    assert left(session, ours) == 50_000


@pytest.mark.parametrize(
    ("clock", "paid", "counts"),
    [
        ("year", NEW_YEAR - timedelta(minutes=30), True),  # 31 December, 23:30; in UTC it is the next year
        ("year", datetime(2026, 1, 1, 4, 59, tzinfo=UTC), False),
        ("cycle", datetime(2025, 1, 1, 5, 0, tzinfo=UTC), True),
        ("cycle", NEW_YEAR, False),
        ("election", datetime(2026, 11, 3, 23, 59, tzinfo=ZoneInfo(ZONE)), True),
        ("election", datetime(2026, 11, 4, 0, 0, tzinfo=ZoneInfo(ZONE)), False),
        ("election", datetime(2026, 9, 1, 23, 59, tzinfo=ZoneInfo(ZONE)), False),
    ],
)
def test_a_gift_counts_in_the_period_in_which_it_was_paid(session: Session, clock: str, paid: datetime, counts: bool):
    ours = fund(session, limit_cents=50_000, limit_clock=clock, election_days=[date(2026, 9, 1), date(2026, 11, 3)])
    give(session, 48_000, at=paid)
    assert left(session, ours) == (2_000 if counts else 50_000)


def test_what_went_back_is_left_again_and_what_came_back_is_not(session: Session):
    ours = fund(session, limit_cents=50_000)
    first, other = give(session, 30_000), give(session, 10_000)
    key = take_back(session, first, 30_000)
    assert left(session, ours) == 40_000
    take_back(session, first, 30_000, "failed", key)
    ask_about(session, other)
    assert left(session, ours) == 20_000
    ask_about(session, other, "won")
    assert left(session, ours) == 10_000
    assert_books_balance(session)


def test_a_gift_that_was_refunded_and_disputed_makes_no_room_for_others(session: Session):
    ours = fund(session, limit_cents=50_000)
    first = give(session, 30_000)
    give(session, 10_000)
    take_back(session, first, 30_000)
    ask_about(session, first, "lost")
    assert left(session, ours) == 40_000


def test_two_who_were_one_have_one_limit_whichever_is_asked_for(session: Session):
    ours = fund(session, limit_cents=50_000)
    give(session, 30_000, MEI)
    last = give(session, 30_000)
    assert over(session) == {}
    merge(session, MEI, ROSA)
    ids = [who(session), who(session, MEI)]
    assert limits.left(session, ids, ours, NOON, ZONE) == dict.fromkeys(ids, 0)
    assert over(session) == {last: "$100"}


def test_a_gift_above_the_limit_is_taken_and_a_person_told_what_to_do(session: Session):
    fund(session, limit_cents=50_000)
    give(session, 48_000)
    crossing = give(session, 10_000)
    beyond = give(session, 2_500, sequence=4)  # instalments count as well
    assert over(session) == {crossing: "$80", beyond: "$25"}
    said = notices(session, ABOVE)[f"contribution {crossing}"]
    assert "$500, 2026" in said
    assert "refund $80" in said
    assert "rosa" not in said.lower()
    assert_books_balance(session)


def test_a_late_gift_that_was_paid_first_moves_what_is_above_to_the_gifts_after_it(session: Session):
    fund(session, limit_cents=50_000)
    first = give(session, 40_000, at=NOON - timedelta(days=1))
    second = give(session, 20_000)
    assert over(session) == {second: "$100"}
    give(session, 30_000, at=NOON - timedelta(days=2))
    assert over(session) == {first: "$200", second: "$200"}


def test_the_same_gift_again_tells_nothing_again_even_after_a_person_saw_to_it(session: Session):
    fund(session, limit_cents=50_000)
    told = gift(donor=ROSA, amount_cents=60_000, payment_key="p", paid_at=NOON)
    react(session, [told], NOON, SETTINGS)
    react(session, [told], NOON, SETTINGS)
    assert session.execute(text("SELECT seen FROM notice")).scalars().all() == [1]
    ids = session.scalars(text("SELECT id FROM notice")).all()
    staff_notices.resolve_ids(session, ids)
    react(session, [told], NOON, SETTINGS)
    more = give(session, 1_000)
    assert over(session) == {more: "$10"}


def test_a_refund_settles_it_and_one_that_fails_tells_it_anew(session: Session):
    fund(session, limit_cents=50_000)
    give(session, 45_000)
    last = give(session, 10_000)
    take_back(session, last, 2_000)
    assert over(session) == {last: "$30"}
    key = take_back(session, last, 3_000)
    assert over(session) == {}
    take_back(session, last, 3_000, "failed", key)
    assert over(session) == {last: "$30"}


def test_a_refund_of_an_earlier_gift_settles_a_later_one(session: Session):
    fund(session, limit_cents=50_000)
    first = give(session, 45_000)
    give(session, 10_000)
    take_back(session, first, 45_000)
    assert over(session) == {}


def test_a_gift_whose_donor_is_learned_later_is_weighed_with_the_others_of_hers(session: Session):
    fund(session, limit_cents=50_000)
    give(session, 48_000)
    told = gift(donor=replace(ROSA, email=None), amount_cents=10_000, payment_key="p", source="stripe", paid_at=NOON)
    react(session, [told], NOON, SETTINGS)
    assert over(session) == {}
    cause = session.scalar(text(_CAUSE))
    react(session, [replace(told, donor=ROSA, cause=cause)], NOON, SETTINGS)
    learned = session.scalar(text("SELECT id FROM contribution WHERE source = 'stripe'"))
    assert over(session) == {learned: "$80"}


_CAUSE = "INSERT INTO inbound_event (source, key, lane, body) VALUES ('stripe', 'k', 'intake', '') RETURNING id"


def test_many_donors_are_weighed_with_as_many_statements_as_one(session: Session):
    fund(session, limit_cents=1_000)
    seen: list[str] = []

    def note(*about: Any) -> None:
        seen.append(about[2])

    connection = session.connection()

    def statements(many: int) -> int:
        seen.clear()
        event.listen(connection, "before_cursor_execute", note)
        react(session, [gift(paid_at=NOON) for _ in range(many)], NOON, SETTINGS)
        event.remove(connection, "before_cursor_execute", note)
        return len(seen)

    statements(2)
    assert statements(3) == statements(40)
    assert len(over(session)) == 45


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "give", "refund", "dispute", "won", "merge"]),
        st.integers(1, 9),  # hundreds of dollars
        st.integers(0, 9),  # which day, or which gift
        st.booleans(),  # whose
    ),
    min_size=1, max_size=9,
)  # fmt: skip
DAYS = [datetime(2026, 12, 28, 12, tzinfo=UTC) + timedelta(days=n) for n in range(10)]  # across New Year


_NET = text("""
SELECT g.id, g.contact_id, g.paid_at, sum(l.amount_cents) AS cents
FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id GROUP BY g.id ORDER BY g.paid_at, g.id
""")


def oracle(session: Session, limit: int) -> dict[int, str]:
    """Gift by gift, in Python, from the ledger alone."""
    found = session.execute(_NET)
    so_far: dict[tuple[int, str], int] = defaultdict(int)
    above = {}
    for row in found:
        cents = max(int(row.cents), 0)
        year = (row.contact_id, periods.holding("year", [], row.paid_at, ZONE).name)
        so_far[year] += cents
        if more := min(cents, max(so_far[year] - limit, 0)):
            above[row.id] = f"${more // 100:,}"
    return above


def room(session: Session, contact_id: int, limit: int) -> int:
    """What is left to her in the year of the last day."""
    now = periods.holding("year", [], DAYS[-1], ZONE)
    gave = sum(max(int(row.cents), 0) for row in session.execute(_NET)
               if row.contact_id == contact_id and row.paid_at in now)  # fmt: skip
    return max(limit - gave, 0)


def test_what_is_told_is_what_the_ledger_says_whatever_happens_in_whatever_order(session: Session):
    ours = fund(session, limit_cents=100_000)

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(MOVES)
    def agrees(moves: list[tuple[str, int, int, bool]]) -> None:
        with session.begin_nested() as savepoint:
            gifts: list[int] = []
            merged = False
            for kind, hundreds, place, hers in moves:
                at = DAYS[place]
                if kind == "give":
                    gifts.append(give(session, hundreds * 10_000, ROSA if hers else MEI, at, DAYS[-1]))
                elif kind == "merge" and not merged and len(gifts) > 1:
                    if session.scalar(text("SELECT count(DISTINCT contact_id) FROM contribution")) == 2:
                        merge(session, ROSA, MEI)
                        merged = True
                elif gifts and kind == "refund":
                    take_back(session, gifts[place % len(gifts)], hundreds * 10_000, now=at)
                elif gifts and kind in ("dispute", "won"):
                    ask_about(session, gifts[place % len(gifts)], "open" if kind == "dispute" else "won", at)
            assert over(session) == oracle(session, 100_000)
            known = session.scalars(text("SELECT DISTINCT contact_id FROM contribution")).all()
            assert limits.left(session, known, ours, DAYS[-1], ZONE) == {
                who: room(session, who, 100_000) for who in known
            }
            savepoint.rollback()

    agrees()
