"""`/me/{token}`: what she gets, where she belongs, what she cares about. Matrix E13, E14."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.letters import links
from engine.people import consent
from engine.people.consent import KINDS
from tests.asgi import Answer, Client
from tests.fakes import FakeLimiter
from tests.flows.house import one, rows
from tests.readers import Reader, reader
from webhooks.app import build

FORM = ("content-type", "application/x-www-form-urlencoded")


def link(deps: Deps, who: Reader) -> str:
    with deps.work() as (_, now):
        return links.preferences(deps.signer, who.contact_id, now)


def text_of(answer: Answer) -> str:
    return unescape(answer.body.decode())


def form_of(answer: Answer) -> str:
    found = re.search(rb'name="form" value="([^"]+)"', answer.body)
    assert found
    return found[1].decode()


def ticked(answer: Answer, name: str) -> set[str]:
    return set(re.findall(rf'name="{name}" value="([^"]*)" checked', text_of(answer)))


def save(door: Client, path: str, **fields: Any) -> Answer:
    said = {"form": form_of(door.send("GET", path)), "act": "save", "zip": "01604", "language": "en"} | fields
    return door.send("POST", path, [FORM], urlencode(said, doseq=True).encode())


def gets(deps: Deps, who: Reader, chapter: str = "worcester") -> set[str]:
    clause = consent.mailable("k.kind", "(SELECT id FROM chapter WHERE slug = :chapter)")
    statement = f"SELECT k.kind FROM contact c, unnest(CAST(:kinds AS text[])) AS k(kind) WHERE c.id = :id AND {clause}"
    with deps.work() as (session, now):
        values = {"id": who.contact_id, "kinds": list(KINDS), "chapter": chapter, "now": now}
        return set(session.scalars(text(statement), values))


def own_words(deps: Deps, who: Reader) -> list[tuple[Any, ...]]:
    found = rows(
        deps, f"SELECT kind, given, source, place FROM consent WHERE contact_id = {who.contact_id} ORDER BY id"
    )
    return [(row.kind, row.given, row.place) for row in found if row.source == "preferences"]


def test_the_page_shows_what_she_gets_and_no_more_of_her_than_she_needs_to_see(door: Client, house: Deps):
    who = reader(house, [("", True), ("asks", False)])
    answer = door.send("GET", link(house, who))
    assert answer.status == 200
    assert ticked(answer, "letters") == {"news", "gatherings", "actions"}
    assert "You are near Worcester." in text_of(answer)
    assert "r•••@example.org" in text_of(answer)
    assert who.email not in text_of(answer)
    assert "Rosa" not in text_of(answer)
    assert answer.headers["cache-control"] == "no-store"


def test_nothing_is_ticked_for_somebody_who_never_said_yes(door: Client, house: Deps):
    for words in ((), [("", False)], [("", True), ("", False), ("news", True)]):
        answer = door.send("GET", link(house, reader(house, words)))
        assert ticked(answer, "letters") == ticked(answer, "chapters") == set()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(door: Client, house: Deps, method):
    who = reader(house)
    before = one(house, f"SELECT * FROM contact WHERE id = {who.contact_id}")
    assert door.send(method, link(house, who)).status == 200
    assert one(house, f"SELECT * FROM contact WHERE id = {who.contact_id}") == before
    assert own_words(house, who) == []


def test_each_change_is_a_word_of_hers_and_what_stays_is_none(door: Client, house: Deps):
    who = reader(house)
    answer = save(door, link(house, who), letters=["news", "gatherings"], chapters="yes", amount="fewer")
    assert answer.status == 303
    assert gets(house, who) == {"news", "gatherings"}
    said = own_words(house, who)
    assert sorted(said) == [
        ("actions", False, "preferences"),
        ("asks", False, "preferences"),
        ("many", False, "preferences"),
    ]
    house.clock.skip(timedelta(minutes=1))
    save(door, link(house, who), letters=["news", "gatherings"], chapters="yes", amount="fewer")
    assert own_words(house, who) == said


@pytest.mark.parametrize("how", ["unsubscribed", "only suppressed"])
def test_a_later_yes_on_her_own_page_is_an_express_one_for_what_she_ticks(door: Client, house: Deps, how):
    who = reader(house, [("", how == "only suppressed")])
    with transaction(house.sessions) as session:
        session.execute(text("INSERT INTO suppression (email, reason, at) VALUES (:email, 'unsubscribe', '2026-10-20Z')"),
                        {"email": who.email})  # fmt: skip
    path = link(house, who)
    assert "They are all stopped" in text_of(door.send("GET", path))
    save(door, path, letters=["news"])
    assert gets(house, who, "massachusetts") == {"news"}
    assert gets(house, who, "worcester") == set()  # she did not tick the letters of chapters
    assert ("", True, "preferences") in own_words(house, who)


@pytest.mark.parametrize("reason", ["bounce", "complaint", "manual", "invalid"])
def test_no_choice_of_hers_lifts_what_is_not_hers_to_lift(door: Client, house: Deps, reason):
    who = reader(house)
    with transaction(house.sessions) as session:
        session.execute(text("INSERT INTO suppression (email, reason, at) VALUES (:email, :reason, 'epoch')"),
                        {"email": who.email, "reason": reason})  # fmt: skip
    path = link(house, who)
    assert "nothing can be sent there" in text_of(door.send("GET", path))
    save(door, path, letters=list(KINDS), chapters="yes")
    assert gets(house, who) == set()


def test_stopping_pausing_and_ending_the_pause_are_one_press_each(door: Client, house: Deps):
    who = reader(house)
    path = link(house, who)
    for act, kind, given in (("pause", "pause", False), ("resume", "pause", True), ("stop", "", False)):
        assert save(door, path, act=act).status == 303
        assert own_words(house, who)[-1] == (kind, given, "preferences")
        house.clock.skip(timedelta(minutes=1))
    assert gets(house, who) == set()
    assert one(house, f"SELECT state FROM message WHERE id = {who.message_id}").state == "cancelled"


@pytest.mark.parametrize("spoiled", ["", "nonsense", "another link's", "an old one"])
def test_without_our_form_nothing_changes_and_the_page_comes_again_with_what_she_chose(
    door: Client, house: Deps, spoiled
):
    who, other = reader(house), reader(house)
    form = form_of(door.send("GET", link(house, other if spoiled == "another link's" else who)))
    path = link(house, who)
    if spoiled == "an old one":
        house.clock.skip(timedelta(hours=2, seconds=1))
    answer = save(door, path, letters=["asks"], form=form if " " in spoiled else spoiled)
    assert answer.status == 403
    assert own_words(house, who) == []
    assert ticked(answer, "letters") == {"asks"}
    assert save(door, path, letters=["asks"], form=form_of(answer)).status == 303
    assert gets(house, who, "massachusetts") == {"asks"}


def test_whose_page_it_is_says_the_link_alone(door: Client, house: Deps):
    who, other = reader(house), reader(house)
    save(door, link(house, who), letters=["news"], id=other.contact_id, contact_id=other.contact_id, email=other.email)
    assert own_words(house, other) == []
    assert own_words(house, who) != []


def test_a_zip_that_is_none_is_asked_for_again_and_nothing_is_lost_or_saved(door: Client, house: Deps):
    who = reader(house)
    for typed in ("016", "O1604", "<b>", "1" * 300):
        answer = save(door, link(house, who), zip=typed, letters=["asks"], amount="fewer")
        assert answer.status == 422
        assert ticked(answer, "letters") == {"asks"}
        assert 'id="zip-error"' in text_of(answer)
        assert b"<b>" not in answer.body
    assert own_words(house, who) == []


@pytest.mark.parametrize("typed", ["1604", "1604.0", " 1604-1234"])
def test_a_lost_leading_zero_is_put_back_and_said(door: Client, house: Deps, typed: str):
    path = link(house, reader(house))
    answer = save(door, path, zip=typed)
    assert (answer.status, typed.strip() in answer.headers["location"]) == (303, False)
    shown = text_of(door.send("GET", answer.headers["location"]))
    assert "We put back a zero that was missing: your ZIP is 01604." in shown
    assert "zero" not in text_of(door.send("GET", save(door, path, zip="01604").headers["location"]))
    spanish = text_of(door.send("GET", answer.headers["location"] + "&lang=es"))
    assert "tu código postal es 01604" in spanish


def test_another_zip_is_another_home_and_her_old_street_says_nothing_any_more(door: Client, house: Deps):
    who = reader(house)
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE contact SET street = '1 Main St', city = 'Worcester' WHERE id = :id"),
                        {"id": who.contact_id})  # fmt: skip
    save(door, link(house, who), zip="01105-1234", chapters="yes", letters=list(KINDS))
    row = one(
        house, f"SELECT c.*, h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.id = {who.contact_id}"
    )
    assert (row.zip, row.street, row.city, row.state, row.slug) == ("01105", "", "Springfield", "MA", "springfield")
    assert row.time_zone == "America/New_York"
    assert one(house, f"SELECT count(*) FROM chapter_move WHERE contact_id = {who.contact_id}").count == 1


def test_a_chapter_that_she_chooses_is_hers_until_she_chooses_by_zip_again(door: Client, house: Deps):
    who = reader(house)
    home = (
        f"SELECT h.slug, c.routed_by FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.id = {who.contact_id}"
    )
    for chapter, slug in (("lowell", "lowell"), ("no-such", "lowell"), ("massachusetts", "lowell"), ("", "worcester")):
        assert save(door, link(house, who), chapter=chapter).status == 303
        assert one(house, home).slug == slug
    with transaction(house.sessions) as session:
        session.execute(text("""UPDATE contact SET placed_chapter_id = (SELECT id FROM chapter WHERE slug = 'metrowest')
            WHERE id = :id"""), {"id": who.contact_id})  # fmt: skip
    save(door, link(house, who), chapter="lowell")
    assert one(house, home).slug == "metrowest"
    assert 'name="chapter"' not in text_of(door.send("GET", link(house, who)))


CATALOGUE = """
WITH agenda AS (INSERT INTO agenda (code, name) VALUES ('homes', 'Homes') RETURNING id),
ways AS (INSERT INTO way_to_help (code, name, names) VALUES ('doors', 'Knock on doors', '{"es": "Tocar puertas"}'),
    ('food', 'Bring food', '{}') RETURNING id)
INSERT INTO interest (code, agenda_id, name, retired_at)
SELECT v.code, agenda.id, v.name, v.retired FROM agenda, (VALUES ('rents', 'Rents', NULL), ('buses', 'Buses', NULL),
    ('old', 'An old matter', now())) v(code, name, retired) RETURNING (SELECT count(*) FROM ways)
"""


def test_what_she_follows_cares_about_and_offers_is_kept_and_taken_back(door: Client, house: Deps):
    who = reader(house, language="es")
    with transaction(house.sessions) as session:
        session.execute(text(CATALOGUE))
        session.execute(text("INSERT INTO contact_interest SELECT :id, id, now(), 'import' FROM interest WHERE code = 'old'"),
                        {"id": who.contact_id})  # fmt: skip
    path = link(house, who)
    assert "Tocar puertas" in text_of(door.send("GET", path))
    save(door, path, follow=["lowell", "worcester", "nowhere"], interest=["rents", "old", "x"], help=["doors", "y"])
    shown = door.send("GET", path)
    assert ticked(shown, "follow") == {"lowell"}  # her own chapter she need not follow
    assert ticked(shown, "interest") == {"rents"}
    assert ticked(shown, "help") == {"doors"}
    house.clock.skip(timedelta(days=1))
    save(door, path, interest=["buses"])
    shown = door.send("GET", path)
    assert (ticked(shown, "follow"), ticked(shown, "interest"), ticked(shown, "help")) == (set(), {"buses"}, set())
    assert one(house, f"SELECT state FROM volunteer_offer WHERE contact_id = {who.contact_id}").state == "withdrawn"
    save(door, path, help=["doors"])
    assert one(house, f"SELECT state FROM volunteer_offer WHERE contact_id = {who.contact_id}").state == "new"
    kept = rows(house, f"""SELECT i.code FROM contact_interest x JOIN interest i ON i.id = x.interest_id
        WHERE x.contact_id = {who.contact_id}""")  # fmt: skip
    assert [row.code for row in kept] == ["old"]  # no form offers it, so no form takes it away


def test_her_language_is_that_of_her_page_from_then_on(door: Client, house: Deps):
    who = reader(house)
    save(door, link(house, who), language="es")
    page = text_of(door.send("GET", link(house, who), [("accept-language", "en")]))
    assert '<html lang="es">' in page
    assert "Un lugar donde vivir" in page
    assert "A place to live" not in page
    save(door, link(house, who), language="xx")
    assert one(house, f"SELECT language FROM contact WHERE id = {who.contact_id}").language == "en"


def test_a_link_ends_after_thirty_days_and_then_says_so_without_a_word_about_her(door: Client, house: Deps):
    who = reader(house)
    path = link(house, who)
    house.clock.skip(timedelta(days=30))
    assert door.send("GET", path).status == 200
    house.clock.skip(timedelta(seconds=2))
    for method in ("GET", "POST"):
        answer = door.send(method, path)
        assert answer.status == 410
        assert "•" not in text_of(answer)
        assert "Worcester" not in text_of(answer)


def test_a_link_that_is_none_or_of_nobody_any_more_is_no_page(house: Deps):
    who, gone = reader(house), reader(house)
    with transaction(house.sessions) as session:
        session.execute(
            text("UPDATE contact SET email = NULL, erased_at = now() WHERE id = :id"), {"id": gone.contact_id}
        )
    path = link(house, who)
    strange = [path[:9] + ("A" if path[9] != "A" else "B") + path[10:], path[:-9], "/me/" + "A" * 10_240, "/me/x",
               f"/me/{house.signer.sign('unsubscribe', who.contact_id, 1)}", f"/me/{house.signer.sign('preferences', 1)}",
               link(house, gone)]  # fmt: skip
    with Client(build(replace(house, limiter=FakeLimiter()))) as door:
        for each in strange:
            for method in ("GET", "POST"):
                assert (each, door.send(method, each).status) == (each, 404)


def test_who_was_merged_sees_and_changes_who_she_is_now(door: Client, house: Deps):
    old, new = reader(house), reader(house)
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE contact SET merged_into_id = :new WHERE id = :old"),
                        {"new": new.contact_id, "old": old.contact_id})  # fmt: skip
    save(door, link(house, old), letters=["news"], chapters="yes")
    assert gets(house, new) == {"news"}
