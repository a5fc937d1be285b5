"""What a form that anybody can fill in may do at once: to somebody whom we know nothing that replaces something. Pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Person, Wishes
from engine.people.strangers import Known, Place, weigh, weigh_all
from engine.people.wishes import SaidByForm

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ZIPS = ("", "01605", "02139")


def said(number: int = 1, person: Person | None = None, **wishes: object) -> SaidByForm:
    told = Wishes(**{"form": "join", "language": "en"} | wishes)  # type: ignore[arg-type]
    return SaidByForm(
        number, 7, person or Person(email="a@example.org"), NOON + timedelta(minutes=number), "Yes.", told, None
    )


PERSONS = st.builds(
    Person, st.just("a@example.org"), st.sampled_from(["", "Ines", "Eva"]), st.sampled_from(["", "Okafor"]),
    st.sampled_from(["", "9 New Street"]), st.sampled_from(["", "Boston"]), st.sampled_from(["", "MA"]),
    st.sampled_from([None, "01605", "02139"]), st.just(""), st.sampled_from(["", "5085550123"]),
)  # fmt: skip
FORMS = st.builds(
    said, st.integers(1, 9), PERSONS, language=st.sampled_from(["en", "es"]), ways_to_help=st.sampled_from([(), ("doors",)]),
    form=st.sampled_from(["join", "join/lowell"]), introduce=st.booleans(),
)  # fmt: skip
PLACES = st.builds(Place, st.sampled_from(ZIPS), st.sampled_from(["", "1 Street"]), st.sampled_from(["", "Boston"]))
SOME = st.sampled_from([None, 1, 2])
PEOPLE = st.builds(
    Known, st.booleans(), st.tuples(st.sampled_from(["", "Ines"]), st.sampled_from(["", "Okafor"])), PLACES,
    st.sampled_from(["", "5085550123"]), st.sampled_from(["en", "es"]), st.sampled_from([1, 2]), SOME, st.booleans(),
    st.sampled_from([frozenset(), frozenset({"doors"})]), SOME, SOME,
)  # fmt: skip


@given(one=FORMS, her=PEOPLE)
def test_what_is_done_at_once_replaces_nothing_that_is_known_and_all_else_waits(one: SaidByForm, her: Known):
    weighed = weigh(one, her)
    now = weighed.now
    if not her.known:
        assert (now, weighed.waits) == (one, False)
        return
    assert not any(her.name) or not (now.person.first_name or now.person.last_name)
    assert not any(her.place) or not (now.person.zip or now.person.street or now.person.city or now.person.state)
    assert not her.phone or not now.person.phone
    assert (now.wishes.language, now.wishes.chapter, now.wishes.gathering) == ("", "", "")
    assert her.taken_back.isdisjoint(now.wishes.ways_to_help)
    assert weighed.waits or one.wishes.language == her.language
    if not weighed.waits and any(her.place):
        assert one.person.zip in (None, her.place.zip)


@given(one=FORMS, her=PEOPLE)
def test_what_staff_typed_in_is_done_as_it_is(one: SaidByForm, her: Known):
    paper = SaidByForm(1, 7, one.person, NOON, "Yes.", Wishes(form="sheet/worcester"), None)
    assert weigh(paper, her).now is paper


@given(forms=st.lists(FORMS, min_size=1, max_size=4, unique_by=lambda one: one.sign_up_id), her=PEOPLE)
def test_the_order_in_which_a_batch_is_read_makes_no_difference(forms: list[SaidByForm], her: Known):
    known = {one.sign_up_id: her for one in forms}
    there, back = weigh_all(forms, known), weigh_all(forms[::-1], known)
    assert there == back[::-1]


@pytest.mark.parametrize(("home", "chosen", "decided", "wanted", "near", "waits"), [
    (1, None, False, None, None, False), (1, None, False, 1, None, False), (1, None, False, 2, None, True),
    (1, 2, True, 2, None, False), (1, None, False, 2, 2, False), (1, 1, True, 2, 2, True), (None, None, False, 2, None, True),
])  # fmt: skip
def test_a_chapter_waits_where_it_would_move_her(home, chosen, decided, wanted, near, waits: bool):
    her = Known(known=True, language="en", home=home, chosen=chosen, decided=decided, wanted=wanted, near=near)
    assert weigh(said(person=Person(email="a@example.org", zip="01605")), her).waits is waits
