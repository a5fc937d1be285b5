"""What chapters add to a letter of the root's: until its deadline, for their own readers alone, and harmless."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.letters import drafts, notes, writing
from engine.letters.finishing import Body
from engine.letters.language import Faulty
from engine.staff import rights
from tests.campaigns import NOW, enqueue, go, people
from tests.flows.house import change, one

BODY = "Dear {{ first_name }},\n\n::: note\nMore from your chapter soon.\n:::\n\nBye\n"
UNTIL = NOW + timedelta(days=3)


def save(session: Session, slug: str = "rent", **changed: Any) -> dict[str, int]:
    bodies = {
        "en": Body("The vote", BODY),
        "es": Body("El voto", BODY.replace("More from your", "Pronto m\u00e1s de tu")),
    }
    draft = {"slug": slug, "kind": "news", "note_until": UNTIL, "bodies": bodies} | changed
    return dict(writing.save(session, drafts.made(draft)).mailings)


def chapter(session: Session, slug: str = "worcester") -> int:
    return session.execute(text("SELECT id FROM chapter WHERE slug = :slug"), {"slug": slug}).scalar_one()


def put(session: Session, source: str, slug: str = "rent", *, of: str = "worcester", **changed: Any) -> None:
    terms = {"now": NOW, "language": "en"} | changed
    place = {"language": terms["language"], "staff_id": None, "zone": "America/New_York"}
    notes.put(session, slug, chapter(session, of), source, terms["now"], **place)


def kept(session: Session, slug: str = "rent") -> list[tuple[Any, ...]]:
    letter_id = session.execute(text("SELECT id FROM letter WHERE slug = :slug"), {"slug": slug}).scalar_one()
    return [(row.chapter, row.language, row.source) for row in notes.of(session, letter_id)]


# When, and in which language.


def test_a_note_is_kept_once_a_language_and_written_over_by_the_next(session: Session):
    save(session)
    for source in ("Come on Monday.", "Come on *Tuesday*."):
        put(session, source)
    put(session, "Ven el martes.", language="es")
    put(session, "Lowell meets, too.", of="lowell")
    assert kept(session) == [
        ("Greater Lowell", "en", "Lowell meets, too."),
        ("Worcester", "en", "Come on *Tuesday*."), ("Worcester", "es", "Ven el martes."),
    ]  # fmt: skip


def test_nothing_takes_a_note_out_and_only_that_one(session: Session):
    save(session)
    put(session, "Come.")
    put(session, "Ven.", language="es")
    put(session, " \n", language="es")
    assert kept(session) == [("Worcester", "en", "Come.")]
    put(session, "")
    put(session, "")
    assert kept(session) == []


def test_a_note_is_taken_until_the_deadline_and_no_moment_longer(session: Session):
    save(session)
    put(session, "In time.", now=UNTIL - timedelta(seconds=1))
    for late in (UNTIL, UNTIL + timedelta(days=1)):
        with pytest.raises(Conflict, match=r"notes for rent were taken until November 6, 07:00 .America/New_York"):
            put(session, "Late.", now=late)
        with pytest.raises(Conflict):
            put(session, "", now=late)
    assert kept(session) == [("Worcester", "en", "In time.")]


@pytest.mark.parametrize("slug", ["nothing", "without", "thank_you"])
def test_a_letter_that_takes_no_notes_is_told_as_such(session: Session, slug: str):
    save(session, "without", note_until=None)
    with pytest.raises(NotFound, match=f"no letter {slug} takes notes of chapters"):
        put(session, "Come.", slug)


def test_a_language_that_we_do_not_speak_is_refused(session: Session):
    save(session)
    with pytest.raises(Invalid, match="we do not speak xx"):
        put(session, "Come.", language="xx")


# What a note can say.


def test_a_note_is_text_and_links(session: Session):
    save(session)
    put(session, "We meet at the **library** of R&D.\n\n- [Map](https://www.example.org/?a=1&b=2)\n- Rain or shine")
    html, said = session.execute(text("SELECT html, plain FROM chapter_note")).one()
    assert "<strong>library</strong> of R&amp;D." in html
    assert 'href="https://www.example.org/?a=1&amp;b=2"' in html
    assert said == ("We meet at the library of R&D.\n\n- Map (https://www.example.org/?a=1&b=2)\n- Rain or shine")


@pytest.mark.parametrize(
    ("source", "says"),
    [("Dear {{ first_name }}", "a note is the same for all its readers"),
     ("{% if has_given %}x{% endif %}", "a note is the same"),
     ("Broken {{", "a note is the same"), ("{# aside #}", "a note is the same"),
     ("Come.\n\n::: button https://a.org/\nGo\n:::", "note, line 3, column 1: a note is text and links"),
     ("Come\nto <b>us</b>.", "note, line 2, column 1: a note is text and links"),
     ("Come.\n\n- one\n- <span style='font-size:90px'>two</span>", "note, line 4, column 1: a note is text and links"),
     ("a\n\n<div>\nx\n</div>", "note, line 3, column 1: a note is text and links"),
     ("Come.\n\n<img src=x>", "note, line 3, column 1: a note is text and links"),
     ("<!-- aside -->Come.", "note, line 1, column 1: a note is text and links"),
     ("Come to\nus: ![x](https://a.org/a.png) there", "note, line 2, column 1: a note is text and links"),
     ("a\\\nb [![x](https://a.org/a.png)](https://a.org)", "note, line 2, column 1: a note is text and links"),
     ("> one\n> ![x][1]\n\n[1]: https://a.org/a.png", "note, line 2, column 1: a note is text and links"),
     ("Come.\n\n[x](/suppers)", "note, line 3, column 1: this cannot stay: href of <a>"),
     ("<irc://a.org>", "note, line 1, column 1: this cannot stay: href of <a>"),
     ('[x](https://a.org "hint")', "note, line 1, column 1: this cannot stay: title of <a>"),
     ("::: ladder\n:::", "a note is text and links"), ("![x](https://a.org/a.png)", "a note is text and links"),
     ("Come.\n\n---\n", "note, line 3, column 1: a note is text and links"), ("::: note\nx\n:::", "a note is text and links"),
     ("::: lader\n:::", "note, line 1, column 1: no block `lader` can begin here")],
    ids=repr,
)  # fmt: skip
def test_what_a_note_cannot_hold_is_refused(session: Session, source: str, says: str):
    save(session)
    with pytest.raises(Faulty, match=says):
        put(session, source)
    assert kept(session) == []


def test_a_note_ends_at_two_thousand_characters(session: Session):
    save(session)
    put(session, "x" * notes.LONGEST)
    with pytest.raises(Invalid, match="a note has at most 2,000 characters"):
        put(session, "x" * (notes.LONGEST + 1))


@pytest.mark.parametrize(
    "source", ["<script>alert(1)</script>Come.", '<b onclick="alert(1)">Come.</b>',
               "<form>Come.</form>", '<img src=x onerror="alert(1)">Come.', "<!-- alert(1) -->Come."],
)  # fmt: skip
def test_what_could_do_harm_in_a_note_is_refused_and_nothing_is_taken_out_in_silence(session: Session, source: str):
    save(session)
    with pytest.raises(Faulty):
        put(session, source)
    assert kept(session) == []


@pytest.mark.parametrize(
    ("source", "html"),
    [("2 < 3 & 4 > 3, <3", "2 &lt; 3 &amp; 4 &gt; 3, &lt;3"), ("`<b>`", "<code>&lt;b&gt;</code>"),
     ("\\<b>", "&lt;b&gt;"), ("<https://a.org/?a=1>", '"https://a.org/?a=1"'), ("mail <us@a.org>", '"mailto:us@a.org"'),
     ("[x](HTTPS://A.org)", "A.org"), ("[Come.](javascript:alert(1))", ">[Come.](javascript:alert(1))<")],
)  # fmt: skip
def test_signs_that_are_words_and_links_stay(session: Session, source: str, html: str):
    save(session)
    put(session, source)
    said = session.execute(text("SELECT html FROM chapter_note")).scalar_one()
    assert html in said


def test_who_may_write_notes_is_whoever_organizes_there():
    assert {role for role in rights.RIGHTS if rights.may(role, rights.WRITE_NOTES, everywhere=False)} == {
        "admin",
        "organizer",
    }


# Whom it reaches.


def test_a_note_reaches_the_readers_of_its_chapter_and_all_others_read_what_the_root_wrote(deps: Deps):
    there, elsewhere, of_the_root = (people(deps, 1, slug) for slug in ("worcester", "lowell", "massachusetts"))
    with transaction(deps.sessions) as session:
        mailings = save(session)
        put(session, "We meet at the **library** & hall.")
        put(session, "The root's own.", of="massachusetts")
    enqueue(deps, mailings["en"], [*there, *elsewhere, *of_the_root])
    for _ in range(3):
        go(deps)
    hers, theirs, roots = sorted((each for _, each in deps.mailer.accepted), key=lambda each: each.message_id)
    assert "We meet at the library & hall." in hers.text
    assert "<strong>library</strong> &amp; hall." in hers.html
    assert "The root's own." in roots.text
    for letter, said in ((hers, False), (theirs, True), (roots, False)):
        assert ("More from your chapter soon." in letter.text) is said
        assert ("More from your chapter soon." in letter.html) is said
        assert "Bye" in letter.text
        assert "{{" not in letter.html + letter.text
    assert "library" not in theirs.html + theirs.text + roots.html + roots.text


def test_a_letter_in_another_language_has_the_note_in_that_language_or_none(deps: Deps):
    ids = people(deps, 1)
    with transaction(deps.sessions) as session:
        mailings = save(session)
        put(session, "In English alone.")
    enqueue(deps, mailings["es"], ids)
    go(deps)
    with transaction(deps.sessions) as session:
        put(session, "En espa\u00f1ol.", language="es")
    enqueue(deps, mailings["es"], ids)
    go(deps)
    first, second = (each.text for _, each in deps.mailer.accepted)
    assert "English" not in first + second
    assert "Pronto m\u00e1s de tu chapter soon." in first
    assert "En espa\u00f1ol." in second
    assert "Pronto" not in second


def test_a_note_that_was_kept_in_time_leaves_with_the_letter_long_after(deps: Deps):
    with transaction(deps.sessions) as session:
        mailings = save(session)
        put(session, "Kept in time.")
    change(deps, "UPDATE letter SET note_until = :then WHERE slug = 'rent'", then=NOW - timedelta(days=1))
    with transaction(deps.sessions) as session:
        newer = save(session, note_until=NOW - timedelta(days=1), bodies={"en": Body("The vote", BODY + "\nP.S.")})
    assert newer["en"] != mailings["en"]
    enqueue(deps, newer["en"], people(deps, 1))
    go(deps)
    assert "Kept in time." in deps.mailer.accepted[0][1].text
    assert one(deps, "SELECT count(*) AS n FROM chapter_note").n == 1
