"""Forms in their versions: a file once is a version, twice nothing; drafts, earlier versions again; closed and opened."""

from datetime import timedelta

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.events import HumanNeeded, MatterSettled
from engine.giving import form_shelf, forms, previews, summary
from engine.giving.forms import Definition, Picture
from engine.reactions import react
from engine.settings import Settings
from engine.staff import notices
from engine.tokens import Signer
from tests.make import NOON, gift

FORM = Definition(slug="rent", title="Rent", fund="action", processor="stripe", preset_cents=(1000, 2700))
OTHER = FORM.model_copy(update={"title": "Rent and heat", "floor_cents": 700})
SIGNER = Signer(["a key of thirty-two letters at least"])


def shown(session: Session, slug: str = "rent") -> tuple[int, str] | None:
    found = forms.giving(session, NOON).forms.get(slug)
    return (found.version, found.definition.title) if found else None


def numbers(session: Session) -> list[tuple[int, bool, bool]]:
    found = form_shelf.versions(session, "rent")
    return [(row.version, row.published_at is not None, row.shown) for row in found]


def test_a_form_is_a_version_and_the_same_again_is_none(session: Session):
    first = form_shelf.bring_in(session, FORM, None, NOON)
    assert (first.new, first.number, first.published, first.differs) == (True, 1, True, [])
    again = form_shelf.bring_in(session, FORM, None, NOON)
    assert (again.new, again.number, again.published, numbers(session)) == (False, 0, False, [(1, True, True)])
    changed = form_shelf.bring_in(session, OTHER, None, NOON)
    assert (changed.number, changed.differs) == (2, ["title: Rent, then Rent and heat", "floor: 5, then 7"])
    assert shown(session) == (2, "Rent and heat")


def test_a_draft_is_seen_by_its_link_alone_until_it_is_published(session: Session):
    draft = form_shelf.bring_in(session, FORM, None, NOON, draft=True)
    assert (shown(session), numbers(session)) == (None, [(1, False, False)])
    assert form_shelf.bring_in(session, FORM, None, NOON, draft=True).number == 0
    seen = forms.version(session, draft.version_id)
    assert seen is not None
    assert seen.definition == FORM
    assert "rent" not in {form.definition.slug for form in summary.house(session, NOON).forms}
    form_shelf.publish(session, "rent", 1, NOON)
    assert (shown(session), numbers(session)) == ((1, "Rent"), [(1, True, True)])
    assert form_shelf.bring_in(session, OTHER, None, NOON, draft=True).differs
    assert shown(session) == (1, "Rent")
    published = form_shelf.bring_in(session, OTHER, None, NOON)  # the draft says just that
    assert (published.number, published.published, numbers(session)) == (2, True, [(2, True, True), (1, True, False)])


def test_an_earlier_version_can_be_shown_again_with_all_that_it_says(session: Session):
    for definition in (FORM, OTHER):
        form_shelf.bring_in(session, definition, None, NOON)
    before = session.execute(text("SELECT * FROM donation_form WHERE slug = 'rent'")).one()
    form_shelf.publish(session, "rent", 1, NOON)
    row = session.execute(text("SELECT * FROM donation_form WHERE slug = 'rent'")).one()
    assert (before.version, before.title, before.floor_cents) == (2, "Rent and heat", 700)
    assert (row.version, row.title, row.floor_cents, row.preset_cents) == (1, "Rent", 500, [1000, 2700])
    assert form_shelf.one(session, "rent").definition == FORM
    assert form_shelf.one(session, "rent", newest=True).definition == OTHER
    with pytest.raises(NotFound, match="no version 3 of a donation form rent"):
        form_shelf.publish(session, "rent", 3, NOON)


@pytest.mark.parametrize("change", ["definition = '{}'", "picture = ''", "version = 9"])
def test_what_a_version_says_never_changes_whoever_tries(session: Session, change: str):
    form_shelf.bring_in(session, FORM, None, NOON)
    with pytest.raises(DBAPIError, match="a version of a donation form never changes"), session.begin_nested():
        session.execute(text(f"UPDATE donation_form_version SET {change}"))


def test_another_picture_is_another_version(session: Session):
    form_shelf.bring_in(session, FORM, Picture(b"one", "image/png"), NOON)
    assert form_shelf.bring_in(session, FORM, Picture(b"one", "image/png"), NOON).number == 0
    assert form_shelf.bring_in(session, FORM, Picture(b"two", "image/png"), NOON).differs == ["picture: another"]
    assert form_shelf.bring_in(session, FORM, None, NOON).differs == ["picture: none any more"]
    form_shelf.bring_in(session, FORM, Picture(b"four", "image/png"), NOON, draft=True)
    assert forms.picture(session, "rent", 4) is None
    assert forms.picture(session, "rent", 4, drafts=True) == (b"four", "image/png")
    assert (forms.picture(session, "rent", 2), forms.picture(session, "rent", 3)) == ((b"two", "image/png"), None)


def test_a_closed_form_says_why_and_is_on_no_list_until_it_is_opened(session: Session):
    form_shelf.bring_in(session, FORM, None, NOON)
    form_shelf.close(session, "rent", " We have \n what we need. ", NOON)
    assert forms.giving(session, NOON).forms["rent"].closed
    assert "rent" not in {form.definition.slug for form in summary.house(session, NOON).forms}
    said = form_shelf.bring_in(session, OTHER, None, NOON)
    assert said.remarks == ["the form is closed, and stays so: We have what we need."]
    form_shelf.open_again(session, "rent", NOON)
    assert forms.giving(session, NOON).forms["rent"].closed is False
    assert "rent" in {form.definition.slug for form in summary.house(session, NOON).forms}
    for wrong in ("", " ", "a" * 201, "a\x00b"):
        with pytest.raises(Invalid, match="say in a sentence"):
            form_shelf.close(session, "rent", wrong, NOON)
    for change in (
        lambda: form_shelf.close(session, "x", "y", NOON),
        lambda: form_shelf.open_again(session, "x", NOON),
    ):
        with pytest.raises(NotFound, match="no donation form x"):
            change()


def test_what_the_house_does_not_have_is_told_and_nothing_is_written(session: Session):
    wrong = FORM.model_copy(update={"fund": "gold", "chapter": "atlantis", "thanks_letter": "none"})
    told = form_shelf.bring_in(session, wrong, None, NOON)
    assert (told.number, told.faults) == (0, [
        ("fund", "there is no fund gold"), ("chapter", "there is no chapter atlantis"),
        ("thanks_letter", "there is no letter none"),
    ])  # fmt: skip
    with pytest.raises(NotFound, match="no donation form rent"):
        form_shelf.one(session, "rent")
    fine = FORM.model_copy(update={"chapter": "worcester", "thanks_letter": "thank_you"})
    session.execute(text("INSERT INTO letter (slug) VALUES ('thank_you') ON CONFLICT DO NOTHING"))
    assert form_shelf.bring_in(session, fine, None, NOON).number == 1


def test_a_form_goes_to_another_fund_until_a_gift_has_come_by_it(session: Session):
    for fund in ("action", "pac", "action"):
        assert form_shelf.bring_in(session, FORM.model_copy(update={"fund": fund}), None, NOON).number
    react(session, [gift(form_slug="rent")], NOON, Settings())
    said = form_shelf.bring_in(session, FORM.model_copy(update={"fund": "pac"}), None, NOON)
    assert (said.number, [name for name, _ in said.faults]) == (0, ["fund"])
    assert shown(session) == (3, "Rent")
    with pytest.raises(Invalid, match="version 2 of rent cannot be shown: gifts came by this form"):
        form_shelf.publish(session, "rent", 2, NOON)


OLD = text("""
INSERT INTO donation_form (slug, title, preset_cents, fund_id, chapter_id, version)
SELECT :slug, 'Old', '{300}', f.id, c.id, 1 FROM fund f, chapter c WHERE f.slug = 'action' AND c.parent_id IS NULL
RETURNING id
""")


def old(session: Session, slug: str = "old", **said: object) -> None:
    """A form as some other release kept it."""
    whole = {"title": "Old", "fund": "action", "chapter": "", "processor": "actblue"} | said
    values = {"id": session.scalar(OLD, {"slug": slug}), "said": orjson.dumps(whole).decode()}
    kept = "INSERT INTO donation_form_version (donation_form_id, version, definition, published_at)"
    session.execute(text(f"{kept} VALUES (:id, 1, CAST(:said AS jsonb), now())"), values)


@pytest.mark.parametrize("said", [
    {"preset_cents": [300, 500]}, {"preset_cents": [500, 600, 700, 800, 900, 1000, 1100]}, {"title": ""},
    {"title": "T" * 101}, {"colour": "red", "others": {"es": {"title": "A", "tone": 1}}}, {"default_cents": 1},
    {"floor_cents": 700, "cap_cents": 600}, {"words": "a\x1bb"}, {"agreed": ["a"], "others": {"es": {"title": "A"}}},
])  # fmt: skip
def test_what_was_published_stays_readable_whatever_rules_came_since(session: Session, said: dict[str, object]):
    old(session, **said)
    offered = forms.giving(session, NOON)
    assert ("old" in offered.forms, offered.unread) == (True, {})
    assert form_shelf.look(session, NOON)[0] == MatterSettled(None, form_shelf.UNSEEN, next(iter(offered.forms)))


@pytest.mark.parametrize(("said", "why"), [
    ({"preset_cents": []}, "the form old cannot be read: preset_cents"),
    ({"processor": "cash", "title": 7}, "the form old cannot be read: title, processor"),
    ({"fund": "gold"}, "there is no fund gold"), ({"chapter": "atlantis"}, "there is no chapter atlantis"),
])  # fmt: skip
def test_a_form_that_cannot_be_shown_takes_no_other_with_it_and_a_person_is_told_until_it_is_mended(
    session: Session, said: dict[str, object], why: str
):
    before = set(forms.giving(session, NOON).forms)
    old(session, **said)
    offered = forms.giving(session, NOON)
    assert (set(offered.forms), offered.unread) == (before, {"old": why})
    told = form_shelf.look(session, NOON)
    react(session, told, NOON, Settings())
    react(session, form_shelf.look(session, NOON), NOON, Settings())
    assert [(row.subject, row.seen) for row in notices.open_notices(session)] == [("old", 2)]
    fine = FORM.model_copy(update={"slug": "old"})
    assert form_shelf.bring_in(session, fine, None, NOON).number == 2
    react(session, form_shelf.look(session, NOON), NOON, Settings())
    assert (forms.giving(session, NOON).forms["old"].version, notices.open_notices(session)) == (2, [])


def test_a_form_whose_address_is_another_pages_is_told_to_a_person(session: Session):
    old(session, "me")
    assert "me" not in {form.definition.slug for form in forms.giving(session, NOON).open}  # nothing leads there
    (told,) = [event for event in form_shelf.look(session, NOON) if isinstance(event, HumanNeeded)]
    assert (told.subject, told.detail.startswith("/give/me is the address of another page")) == ("me", True)


def test_what_is_written_or_shown_again_keeps_to_the_rules_of_now(session: Session):
    odd = FORM.model_copy(update={"preset_cents": (300, 300)})
    says = ["the same amount stands twice", "$3 is not between floor and cap"]
    assert form_shelf.bring_in(session, odd, None, NOON).faults == [("presets", each) for each in says]
    with pytest.raises(Invalid, match=r"presets: the same amount stands twice; presets: \$3 is not between"):
        forms.write(session, odd, NOON)
    old(session, preset_cents=[300])
    assert form_shelf.one(session, "old").definition.preset_cents == (300,)
    with pytest.raises(Invalid, match=r"version 1 of old cannot be shown: \$3 is not between floor and cap"):
        form_shelf.publish(session, "old", 1, NOON)


def test_what_one_should_look_at_is_remarked(session: Session):
    odd = FORM.model_copy(update={"fund": "pac", "preset_cents": (100_000,), "employer": "never"})
    assert form_shelf.bring_in(session, odd, Picture(b"\xff\xd8\xff\xe1..Exif\0\0", "image/jpeg"), NOON).remarks == [
        "$1,000 is more than Common Ground Massachusetts PAC may take from one person ($500)",
        "the fund's law wants to know where donors work, and this form never asks",
        "the picture holds Exif data: perhaps where it was taken",
    ]


def test_a_preview_s_link_says_a_version_for_seven_days():
    token = previews.make(SIGNER, 7, NOON)
    assert [previews.read(SIGNER, token, NOON + timedelta(days=days)) for days in (-1, 0, 7, 7.01)] == [
        None,
        7,
        7,
        None,
    ]
    for other in ("", token[:-1], SIGNER.sign("form", 7, int(NOON.timestamp())), SIGNER.sign("preview", "7", 0),
                  SIGNER.sign("preview", 7)):  # fmt: skip
        assert previews.read(SIGNER, other, NOON) is None
