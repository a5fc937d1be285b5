"""Sign-ups on our own forms, as our web process stores them: what each says, and what is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.errors import Invalid
from engine.events import Person, SignUpReported, Wishes
from engine.sources import parse
from tests.make import NOON, arrived, join_body, raw


def told(**changed: Any) -> SignUpReported:
    (one,) = parse(arrived(join_body(**changed), source="join"))  # type: ignore[misc]
    assert isinstance(one, SignUpReported)
    return one


def test_a_body_says_who_when_what_she_wishes_and_what_she_agreed_to():
    body = join_body(
        form="join/worcester", email=" Ines@Example.org ", street="9 Elm Park", city="Worcester", state="massachusetts",
        phone="508-555-0142", language="es", interests=["rent", "rent", "care"], ways_to_help=["doors"], gathering="May1",
        confirm=True, introduce=True,
    )  # fmt: skip
    event = arrived(body, source="join")
    assert parse(event) == [
        SignUpReported(
            cause=17,
            source="join",
            source_key=event.key,
            kind="signup",
            person=Person(
                "ines@example.org", "Ines", "Okafor", "9 Elm Park", "Worcester", "MA", "01605", "", "508-555-0142"
            ),
            at=NOON,
            mail=True,
            place="join/worcester",
            wording="Yes, write to me.",
            wishes=Wishes(
                form="join/worcester", language="es", interests=("rent", "care"), ways_to_help=("doors",),
                chapter="worcester", gathering="May1", confirm=True, introduce=True,
            ),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "chapter"), [("join", ""), ("join/north-shore", "north-shore"), ("sheet/worcester", "")]
)
def test_only_the_form_of_a_chapter_chooses_it(form: str, chapter: str):
    one = told(form=form)
    assert one.wishes is not None
    assert (one.place, one.wishes.form, one.wishes.chapter) == (form, form, chapter)


@pytest.mark.parametrize(
    ("typed", "known", "detail"),
    [("1604", "01604", {}), ("01604-1234", "01604", {}), (" 01604 ", "01604", {}), ("", None, {}),
     ("K1A 0B1", None, {"unusable_zip": "K1A 0B1"})],
)  # fmt: skip
def test_a_zip_is_five_digits_or_kept_as_it_was_typed(typed: str, known: str | None, detail: dict[str, str]):
    one = told(zip=typed)
    assert (one.person.zip, one.detail) == (known, detail)


def test_the_moment_is_that_of_the_house_whenever_the_body_came():
    assert told(at="2027-01-01T00:30:00+01:00").at == datetime(2026, 12, 31, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "changed",
    [{"form": "give"}, {"form": "join/"}, {"form": "join/../x"}, {"form": "join\n"}, {"form": None}, {"email": ""},
     {"email": "rosa"}, {"email": "a@example.org, b@example.org"}, {"email": 7}, {"at": None}, {"at": 0},
     {"at": "2026-11-03T12:00:00"}, {"at": "0001-01-01T00:00:00+00:00"}, {"confirm": "yes"}, {"confirm": None},
     {"confirm": 0}, {"introduce": "true"}, {"interests": "rent"}, {"interests": ["a b"]}, {"interests": ["x"] * 51},
     {"interests": [None]}, {"ways_to_help": [""]}, {"ways_to_help": {"a": 1}}, {"gathering": "a b"}, {"language": "EN"},
     {"language": "e"}, {"first_name": 7}, {"first_name": None}, {"first_name": "x" * 501}, {"wording": "x" * 10_001},
     {"stranger": "x"}],
    ids=repr,
)  # fmt: skip
def test_what_our_form_would_not_have_written_is_refused_without_repeating_it(changed: dict[str, Any]):
    with pytest.raises(Invalid) as raised:
        parse(arrived(join_body(**changed), source="join"))
    ((name, value),) = changed.items()
    assert str(raised.value).startswith("not understood")
    assert name in str(raised.value)
    assert not isinstance(value, str) or len(value) < 4 or value not in str(raised.value)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', raw([join_body()]), b'{"form": "join", "form": "join"}']
)
def test_what_is_no_sign_up_at_all_is_refused(body: bytes):
    with pytest.raises(Invalid):
        parse(arrived(body, source="join"))


def test_control_characters_do_not_reach_a_table():
    one = told(first_name="In\x00es", wording="a\x00b")
    assert (one.person.first_name, one.wording) == ("Ines", "ab")
