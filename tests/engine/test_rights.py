"""Who may do what where: a table, and the tree of chapters. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from engine.staff import rights
from engine.staff.rights import Reach

ALLOWED = {
    "admin": {
        "see people", "change people", "erase people", "write letters", "write notes", "decide about chapters",
        "launch campaigns", "manage staff", "see gifts",
    },
    "organizer": {"see people", "change people", "write notes", "launch campaigns"},
    "treasurer": {"see people", "see gifts", "see snapshots"},
    "viewer": {"see people"},
}  # fmt: skip
EVERY = ALLOWED["admin"] | ALLOWED["treasurer"] | {"export"}

# A forest as chapters are: each one's parent has a smaller number, or none.
TREES = st.lists(st.integers(0, 30), min_size=1, max_size=30).map(
    lambda picks: {number: None if number == 0 else pick % number for number, pick in enumerate(picks)}
)


def test_every_role_may_exactly_what_the_table_says():
    for role, allowed in ALLOWED.items():
        assert {right for right in EVERY if rights.may(role, right)} == allowed


def test_exporting_is_a_right_of_its_own_whatever_the_role():
    for role in ALLOWED:
        assert rights.may(role, "export", may_export=True)
        assert not rights.may(role, "export", may_export=False)


def test_an_unknown_role_and_an_unknown_right_allow_nothing():
    assert not any(rights.may("root", right) for right in EVERY - {"export"})
    assert not rights.may("admin", "everything")


def test_what_is_decided_for_all_chapters_is_not_for_who_works_for_one():
    for right in ("write letters", "decide about chapters", "manage staff"):
        assert not rights.may("admin", right, everywhere=False)
    assert rights.may("admin", "erase people", everywhere=False)


@given(TREES, st.data())
def test_a_reach_is_a_chapter_and_all_below_it_and_siblings_never_meet(parents, data):
    chapter = data.draw(st.sampled_from(sorted(parents)))
    found = rights.reach_of(chapter, parents)
    for other in parents:
        upwards, up = set(), other
        while up is not None:
            upwards.add(up)
            up = parents[up]
        assert found.holds(other) == (chapter in upwards)
    for sibling in parents:
        if sibling != chapter and parents[sibling] == parents[chapter] and parents[chapter] is not None:
            assert not found.chapter_ids & rights.reach_of(sibling, parents).chapter_ids


@given(TREES)
def test_the_root_and_who_has_no_chapter_reach_everywhere(parents):
    for chapter in (None, 0):
        found = rights.reach_of(chapter, parents)
        assert found.everywhere
        assert found.holds(None)
        assert all(map(found.holds, parents))


def test_people_without_a_chapter_are_for_who_reaches_everywhere():
    assert not Reach(everywhere=False, chapter_ids=frozenset({1})).holds(None)


def test_a_circle_among_chapters_ends():
    assert rights.below(1, {1: 2, 2: 1}) == {1, 2}
