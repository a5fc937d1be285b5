"""The invented organisation: a tree with land of every kind, places that nobody is near, and codes that tell nothing."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import demo_organisation
from engine.giving import forms
from engine.letters import writing
from engine.people import lands
from engine.staff import accounts

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
TABLES = ("chapter", "territory", "zip_route", "interest", "way_to_help", "coalition", "gathering", "actblue_entity")


def counts(session: Session) -> list[int]:
    return [session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in TABLES]


def test_it_is_a_tree_of_regions_twelve_chapters_and_one_that_forms(session: Session):
    found = lands.census(session)
    kinds = [each.kind for each in found]
    assert [kinds.count(kind) for kind in ("root", "region", "chapter", "forming")] == [1, 4, 12, 1]
    regions = {each.id for each in found if each.kind == "region"}
    assert all(each.parent_id in regions for each in found if each.kind == "chapter")
    assert all(each.zips for each in found if each.kind != "root")
    kinds_of_land = session.scalars(text("SELECT DISTINCT kind FROM territory ORDER BY 1")).all()
    assert kinds_of_land == ["county", "radius", "zip"]


def test_boston_is_the_roots_and_franklin_county_and_the_islands_have_nobody_near(session: Session):
    owners = lands.owners(session)
    assert [owners.get(code) for code in ("02110", "01301", "02554", "02539")] == [None] * 4
    assert all(owners.get(code) for code in ("01605", "01420", "02601"))


def test_loaded_again_it_changes_nothing(session: Session):
    before = counts(session)
    session.execute(text("UPDATE chapter SET parent_id = 1 WHERE slug = 'worcester'"))
    session.execute(text("DELETE FROM territory WHERE place = '01605'"))
    demo_organisation.load(session, NOON)
    assert counts(session)[3:] == before[3:]
    assert session.scalar(text("SELECT parent_id FROM chapter WHERE slug = 'worcester'")) == 1
    assert session.scalar(text("SELECT count(*) FROM territory WHERE place = '01605'")) == 0


def test_a_form_of_its_has_a_light_picture_and_its_funds_say_in_spanish_what_the_law_wants(session: Session):
    offered = forms.giving(session, NOON).forms
    shown = offered["neighbours"]
    found = forms.picture(session, "neighbours", shown.version)
    assert found is not None
    assert (len(found[0]) <= 20_000, found[1], shown.picture_type) == (True, "image/webp", "image/webp")
    assert all(shown.definition.said(language).picture_shows for language in ("en", "es"))
    for one in offered.values():
        assert {one.fund.said(name, "es")[1] for name in ("disclaimer", "deductibility")} == {"es"}


def test_its_leads_lead_the_chapters_they_live_in(session: Session):
    for _ in range(2):
        demo_organisation.load_leads(session, NOON)
    found = text(
        "SELECT h.slug, c.chapter_id = h.id FROM chapter_lead l JOIN chapter h ON h.id = l.chapter_id"
        " JOIN contact c ON c.id = l.contact_id ORDER BY 1"
    )
    assert [tuple(row) for row in session.execute(found)] == [("south-coast", True), ("worcester", True)]


def test_its_admin_can_sign_in_and_one_who_was_let_go_stays_gone(session: Session):
    for _ in range(2):
        demo_organisation.load_staff(session, NOON)
    assert [(row.email, row.role) for row in accounts.everyone(session)] == [("ana.costa@example.org", "admin")]
    accounts.end(session, "ana.costa@example.org", NOON)
    demo_organisation.load_staff(session, NOON)
    assert accounts.everyone(session)[0].ended_at == NOON


def test_its_letter_is_kept_once_and_its_staffs_own_words_stay(session: Session):
    demo_organisation.load_letters(session)
    assert set(writing.spoken(session, "rent-vote")) == {"en", "es"}
    session.execute(text("UPDATE mailing SET subject = 'Ours' WHERE slug = 'rent-vote'"))
    demo_organisation.load_letters(session)
    assert writing.newest(session, "rent-vote")["en"].subject == "Ours"


def test_what_people_care_about_has_a_spanish_name_and_a_code_that_tells_nothing(session: Session):
    assert all(session.scalars(text("SELECT names ->> 'es' FROM agenda")).all())
    for table in ("interest", "way_to_help"):
        found = session.execute(text(f"SELECT code, name, names FROM {table}")).all()
        assert len(found) > 5
        assert all(row.names["es"] and len(row.code) == 4 for row in found)
    with_coalition = text(
        "SELECT count(*) FROM interest i JOIN coalition c ON c.id = i.coalition_id WHERE c.link <> ''"
    )
    assert session.scalar(with_coalition) == 2
