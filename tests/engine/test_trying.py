"""Letters before they are sent: as anybody would read them, which fields are empty, and by mail to staff themselves.

No preview and no test carries a link that acts for its reader, charges a card, or counts as a campaign's.
"""

import re
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.bootstrap import Deps
from engine.errors import Invalid, NotFound
from engine.events import LettersComposed
from engine.letters import drafts, notes, shipped, writing
from engine.letters.finishing import Body
from engine.letters.links import Links
from engine.outreach import trying
from engine.outreach.trying import Preview
from engine.tokens import Signer
from tests.campaigns import ASK, NEWS, NOW, letter, people
from tests.flows.house import change, one, rows
from tests.readers import person
from workers import delivery

SIGNER = Signer(["a key of the tests"])
LINKS = Links(SIGNER, "https://www.example.org", NOW)


def save(session: Session, markdown: str = NEWS, spanish: str = "", **changed: Any) -> None:
    bodies = {"en": Body("The vote, {{ first_name }}", markdown)} | (
        {"es": Body("El voto", spanish)} if spanish else {}
    )
    writing.save(session, drafts.made({"slug": "vote", "kind": "news", "bodies": bodies} | changed))


def known(session: Session, language: str = "en", **changed: Any) -> int:
    """Somebody of Worcester of whom this is known."""
    contact_id, _ = person(session, language=language)
    for name, value in changed.items():
        session.execute(text(f"UPDATE contact SET {name} = :value WHERE id = :id"), {"id": contact_id, "value": value})
    return contact_id


def chapter(session: Session, slug: str) -> int:
    return session.execute(text("SELECT id FROM chapter WHERE slug = :slug"), {"slug": slug}).scalar_one()


def preview(session: Session, contact_id: int | None = None, slug: str = "vote", **terms: Any) -> Preview:
    return trying.preview(session, slug, LINKS, contact_id=contact_id, **terms)


def whole(shown: Preview) -> str:
    return shown.letter.subject + shown.letter.html + shown.letter.text


# As somebody.


def test_a_letter_is_read_as_somebody_would_with_what_is_known_of_her(session: Session):
    save(session, NEWS + "\n{% if has_given %}\nYou gave {{ last_gift }}.\n{% else %}\nNo gift.\n{% endif %}\n")
    hers = known(session, first_name="Ines", city="Lowell <&>", gave_count=1, gave_last_cents=2700)
    shown = preview(session, hers)
    assert (shown.reader, shown.language, shown.from_name) == (hers, "en", "Common Ground Massachusetts, Worcester")
    assert shown.letter.subject == "The vote, Ines"
    assert "Dear Ines," in shown.letter.text
    assert "You gave $27." in shown.letter.text
    assert "Lowell <&>" in shown.letter.text
    assert "Lowell &lt;&amp;&gt;" in shown.letter.html
    assert "No gift." not in whole(shown)


def test_what_she_gave_is_invented_for_whoever_may_not_see_it(session: Session):
    save(session, "{{ last_gift }}, {{ last_gift_on }}, {{ given_in_all }}, {{ city }}.")
    hers = known(session, gave_count=2, gave_last_cents=4100, gave_cents=9900, gave_last_at=NOW, city="Lowell")
    shown = preview(session, hers)
    assert "$41, November 3, 2026, $99, Lowell." in shown.letter.text
    assert not shown.invented
    for who in (hers, known(session, city="Lowell")):  # whether she gave at all
        withheld = preview(session, who, amounts=False)
        assert "$27, June 7, 2026, $154, Lowell." in withheld.letter.text
        assert withheld.invented == ["given_in_all", "last_gift", "last_gift_on"]
    save(session, "In {{ city }}.")
    assert not preview(session, hers, amounts=False).invented


def test_without_a_reader_it_is_read_as_an_invented_person_would(session: Session):
    save(session)
    shown = preview(session)
    assert (shown.reader, shown.letter.subject, shown.from_name) == (
        None,
        "The vote, Rosa",
        "Common Ground Massachusetts",
    )
    assert "{{" not in whole(shown)


def test_it_is_in_her_language_where_it_is_written_in_that_or_in_the_one_that_is_asked_for(session: Session):
    save(session)
    hers = known(session, "es")
    assert preview(session, hers).language == "en"
    save(session, spanish="Hola, {{ first_name }}")
    assert preview(session, hers).letter.subject == "El voto"
    assert preview(session, hers, language="en").letter.subject == "The vote, Rosa"
    assert preview(session, language="es").letter.subject == "El voto"
    for language in ("fr", "xx" * 40):
        with pytest.raises(NotFound, match="this letter is not written in"):
            preview(session, hers, language=language)


def test_it_comes_from_her_chapter_or_from_the_one_that_is_asked_for_with_its_note(session: Session):
    save(session, "::: note\nFrom the root.\n:::", note_until="2026-12-01T18:00-05:00")
    notes.put(
        session, "vote", chapter(session, "lowell"), "From Lowell.", NOW, language="en", staff_id=None, zone="UTC"
    )
    hers = known(session)
    assert "From the root." in preview(session, hers).letter.text
    for shown in (
        preview(session, hers, chapter_id=chapter(session, "lowell")),
        preview(session, chapter_id=chapter(session, "lowell")),
    ):
        assert "From Lowell." in shown.letter.text
        assert shown.from_name.endswith(", Greater Lowell")


def test_the_newest_words_are_shown(session: Session):
    save(session)
    save(session, "Anew")
    assert "Anew" in preview(session).letter.text


@pytest.mark.parametrize(
    "gone", ["erased_at = now()", "email = NULL", "merged_into_id = (SELECT min(id) FROM contact)"]
)
def test_nobody_is_shown_who_gets_no_letters(session: Session, gone: str):
    save(session)
    person(session)
    hers = known(session)
    session.execute(text(f"UPDATE contact SET {gone} WHERE id = :id"), {"id": hers})
    with pytest.raises(NotFound, match="is nobody who gets letters"):
        preview(session, hers)
    with pytest.raises(NotFound):
        preview(session, 2**62)
    with pytest.raises(NotFound, match="there is no letter nothing"):
        preview(session, slug="nothing")


@pytest.mark.parametrize("slug", sorted(each.slug for each in shipped.shipped()))
def test_every_letter_that_comes_with_the_code_can_be_read_before_it_leaves(session: Session, slug: str):
    shown = preview(session, slug=slug)
    assert "{{" not in whole(shown)
    assert whole(preview(session, known(session), slug=slug))


# Links.


def tokens(shown: Preview, kind: str) -> set[str]:
    return set(re.findall(rf"https://www\.example\.org/{kind}/([\w.-]+)", whole(shown)))


def test_the_links_of_a_preview_belong_to_nobody(session: Session):
    save(session, NEWS + "\n[Choose]({{ preferences_url }})")
    for shown in (preview(session), preview(session, known(session))):
        (stop,), (choose,) = tokens(shown, "u"), tokens(shown, "me")
        assert SIGNER.read("unsubscribe", stop) == (0, 0)
        said = SIGNER.read("preferences", choose)
        assert said is not None
        assert said[0] == 0


def test_a_preview_leads_to_the_form_and_charges_and_counts_nothing(session: Session):
    hers = known(session)
    session.execute(text("UPDATE fund SET express_lane = true"))
    session.execute(text("""INSERT INTO contribution (source, source_key, contact_id, amount_cents, paid_at, donor, express)
        VALUES ('actblue', 'x', :id, 500, '2020-01-01', '{}', true)"""), {"id": hers})  # fmt: skip
    save(session, ASK, kind="asks", form="common-ground")
    for shown in (preview(session), preview(session, hers)):
        assert "https://secure.actblue.com/donate/common-ground?amount=" in shown.letter.text
        assert "express_lane" not in whole(shown)
        assert "refcode" not in whole(shown)
    assert session.scalar(text("SELECT count(*) FROM refcode")) == 0


# At random.


def test_somebody_at_random_is_one_who_gets_letters_of_the_chapters_that_are_asked_for(session: Session):
    assert trying.somebody(session) is None
    worcester, lowell = (known(session) for _ in range(2))
    gone = [known(session, erased_at=NOW), known(session, email=None), known(session, merged_into_id=worcester)]
    session.execute(
        text("UPDATE contact SET chapter_id = :of WHERE id = :id"), {"id": lowell, "of": chapter(session, "lowell")}
    )
    found = {trying.somebody(session) for _ in range(60)}
    assert found == {worcester, lowell}
    assert not found & set(gone)
    assert {trying.somebody(session, [chapter(session, "lowell")]) for _ in range(20)} == {lowell}
    assert trying.somebody(session, [chapter(session, "springfield")]) is None
    assert trying.somebody(session, []) is None


# Empty fields.


def test_a_field_without_a_word_for_when_it_is_empty_is_told_with_how_many_lack_it(session: Session):
    save(session, 'Dear {{ first_name | default("friend") }}, in {{ city }}, after {{ last_gift }} for {{ chapter }}.')
    assert trying.blanks(session, "vote") == []
    for city in ("Worcester", "", ""):
        known(session, city=city, gave_last_cents=2700 if city else 0)
    for name, told in zip(("city", "last_gift"), trying.blanks(session, "vote"), strict=True):
        says = name + r' is empty for [12] of [123] people at random: say what then, \| default\("\u2026"\)\.'
        assert re.fullmatch(says, told)


def test_the_fields_of_every_language_are_looked_at_and_those_with_a_word_are_not(session: Session):
    known(session, city="", last_name="")
    save(session, 'Hi {{ city | default("there") }}', "Hola {{ last_name }}")
    assert [each.partition(" ")[0] for each in trying.blanks(session, "vote")] == ["last_name"]
    with pytest.raises(NotFound):
        trying.blanks(session, "nothing")


def test_what_everybody_has_is_no_blank(session: Session):
    known(session, city="Worcester")
    save(session, "{{ first_name }} of {{ city }} and {{ home_chapter }}")
    assert trying.blanks(session, "vote") == []


# Test letters.


def sent(deps: Deps, slug: str, address: str = "Ana@Staff.example.org", **terms: Any) -> list[Any]:
    deps.mailer.accepted.clear()
    with deps.work() as (session, now):
        assert trying.send(session, slug, address, now, **terms) == [LettersComposed(None, bell.RECEIPTS)]
    delivery.hand_over(deps, bell.RECEIPTS)
    return [each for _, each in deps.mailer.accepted]


def test_a_test_comes_in_each_language_to_that_address_alone_as_often_as_it_is_asked_for(deps: Deps):
    people(deps, 2)
    with deps.work() as (session, _):
        save(session, spanish="Hola")
    for _ in range(2):
        letters = sent(deps, "vote")
        assert sorted(each.subject for each in letters) == ["[Test] El voto", "[Test] The vote,"]
        assert {each.to_email for each in letters} == {"ana@staff.example.org"}
    assert one(deps, "SELECT count(*) AS n FROM contact WHERE email = 'ana@staff.example.org'").n == 1
    assert rows(deps, "SELECT 1 FROM consent c JOIN contact p ON p.id = c.contact_id WHERE p.email LIKE 'ana%'") == []


def test_a_test_is_counted_with_no_campaign_and_charges_nothing(deps: Deps):
    (hers,) = people(deps, 1)
    change(deps, "UPDATE contact SET email = 'ana@staff.example.org' WHERE id = :id", id=hers)
    change(deps, """INSERT INTO contribution (source, source_key, contact_id, amount_cents, paid_at, donor, express)
        VALUES ('actblue', 'x', :id, 500, '2020-01-01', '{}', true)""", id=hers)  # fmt: skip
    change(deps, "UPDATE fund SET express_lane = true")
    letter(deps, "ask", markdown=ASK, kind="asks")
    (test,) = sent(deps, "ask")
    assert "https://secure.actblue.com/donate/common-ground?amount=" in test.text
    assert "express_lane" not in test.html + test.text
    assert "refcode" not in test.html + test.text
    assert one(deps, "SELECT max(handed) AS most FROM mailing").most == 0
    assert rows(deps, "SELECT 1 FROM refcode") + rows(deps, "SELECT 1 FROM sent_count") == []
    assert tuple(one(deps, "SELECT state, kind, expires_at > due_at AS ends FROM message")) == ("handed", "", True)


def test_a_test_can_be_stopped_by_its_reader_as_the_letter_could(deps: Deps):
    letter(deps, "vote")
    (test,) = sent(deps, "vote")
    assert test.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert deps.signer.read("unsubscribe", test.headers["List-Unsubscribe"].rpartition("/")[2].rstrip(">")) == tuple(
        one(deps, "SELECT contact_id, id FROM message")
    )


def test_a_test_comes_from_the_chapter_that_is_asked_for_and_to_who_unsubscribed(deps: Deps):
    letter(deps, "vote")
    change(deps, "INSERT INTO suppression (email, reason, at) VALUES ('ana@staff.example.org', 'unsubscribe', now())")
    assert [each.from_name for each in sent(deps, "vote")] == ["Common Ground Massachusetts"]
    there = one(deps, "SELECT id FROM chapter WHERE slug = 'lowell'").id
    assert [each.from_name for each in sent(deps, "vote", chapter_id=there)] == [
        "Common Ground Massachusetts, Greater Lowell"
    ]


def test_every_letter_that_comes_with_the_code_can_be_tested(deps: Deps):
    for each in shipped.shipped():
        letters = sent(deps, each.slug)
        assert len(letters) == len(each.words), each.slug
        assert all(told.subject.startswith("[Test] ") and "{{" not in told.html for told in letters)


@pytest.mark.parametrize(
    "address", ["", "ana", "ana@", "@example.org", "ana@example.org\nBcc: x@example.org", "a b@example.org"]
)
def test_an_address_that_is_none_gets_nothing(session: Session, address: str):
    with pytest.raises(Invalid, match="this is not an email address"):
        trying.send(session, "thank_you", address, NOW)
    with pytest.raises(NotFound, match="there is no letter nothing"):
        trying.send(session, "nothing", "ana@example.org", NOW)
    assert session.scalar(text("SELECT count(*) FROM message")) == 0


def test_a_field_is_empty_only_for_those_who_read_the_place_where_it_stands(session: Session):
    for cents in (0, 2700):
        known(session, gave_last_cents=cents, gave_count=1 if cents else 0)
    save(session, "{% if has_given %}You gave {{ last_gift }}.{% else %}Give.{% endif %}")
    assert trying.blanks(session, "vote") == []
    save(session, "{% if not has_given %}You gave {{ last_gift }}.{% endif %}")
    assert [each.partition(" for")[0] for each in trying.blanks(session, "vote")] == ["last_gift is empty"]
    save(session, "{% if has_given %}You gave.{% else %}You gave {{ last_gift }}.{% endif %}")
    assert [each.partition(" for")[0] for each in trying.blanks(session, "vote")] == ["last_gift is empty"]


def test_in_a_small_house_everybody_is_looked_at(session: Session):
    for _ in range(9):
        known(session, city="")
    save(session, "In {{ city }}")
    told = [trying.blanks(session, "vote") for _ in range(5)]
    assert all(each == told[0] for each in told)
    assert told[0][0].startswith("city is empty for 9 of ")
