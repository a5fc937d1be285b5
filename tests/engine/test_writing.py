"""Letters as they are kept: versions, what is refused with its line and column, those that come with the code. F3 to F5."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.giving import form_shelf, forms
from engine.giving.forms import Definition
from engine.letters import drafts, shelf, shipped, writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.letters.language import Faulty
from engine.letters.writing import Saved
from tests.campaigns import ASK, NEWS
from tests.letters import hand_over

SUBJECT = "The vote, {{ first_name }}"


def draft(markdown: str = NEWS, slug: str = "vote", spanish: str = "", **changed: Any) -> Draft:
    words = {name: changed.pop(name) for name in ("subject", "preview", "text") if name in changed}
    bodies = {"en": Body(**{"subject": SUBJECT, "markdown": markdown} | words)}
    if spanish:
        bodies["es"] = Body("El voto", spanish)
    return drafts.made({"slug": slug, "kind": "news", "bodies": bodies} | changed)


def save(session: Session, *args: Any, **changed: Any) -> Saved:
    return writing.save(session, draft(*args, **changed))


def mailings(session: Session, slug: str = "vote") -> list[Row[Any]]:
    query = """SELECT m.id, m.slug, m.version, m.language, m.subject, m.preview, m.source, m.source_text, m.body_html
        FROM mailing m JOIN letter l ON l.id = m.letter_id WHERE l.slug = :slug ORDER BY m.id"""
    return list(session.execute(text(query), {"slug": slug}))


def faults(session: Session, *args: Any, **changed: Any) -> list[str]:
    with pytest.raises(Faulty) as raised:
        save(session, *args, **changed)
    return [str(fault) for fault in raised.value.faults]


# Versions.


def test_a_letter_is_kept_as_it_was_written_and_as_it_is_sent(session: Session):
    saved = save(session, preview="Two say no", text="Dear {{ first_name }}")
    assert (saved.version, saved.fresh, list(saved.mailings)) == (1, True, ["en"])
    (kept,) = mailings(session)
    assert (kept.id, kept.slug, kept.subject, kept.preview) == (saved.mailings["en"], "vote", SUBJECT, "Two say no")
    assert (kept.source, kept.source_text) == (NEWS, "Dear {{ first_name }}")
    assert 'Dear {{ first_name | default("friend") }}' in kept.body_html
    assert "<!-- body -->" not in kept.body_html


def test_the_same_words_again_make_no_new_version(session: Session):
    first = save(session, spanish="Hola")
    again = save(session, spanish="Hola")
    assert (again.version, again.fresh, again.mailings) == (1, False, first.mailings)
    assert len(mailings(session)) == 2


@pytest.mark.parametrize(
    "changed",
    [{"markdown": NEWS + "\nBye"}, {"subject": "Another"}, {"preview": "Another"}, {"text": "By hand"}, {"spanish": "Chao"},
     {"spanish": ""}],
    ids=repr,
)  # fmt: skip
def test_any_change_of_words_makes_a_version_of_all_its_languages(session: Session, changed: dict[str, str]):
    before = save(session, spanish="Hola")
    kept = mailings(session)
    after = save(session, **{"spanish": "Hola"} | changed)
    assert (after.version, after.fresh) == (2, True)
    assert not set(after.mailings.values()) & set(before.mailings.values())
    assert mailings(session)[:2] == kept  # what somebody got can be read again
    assert writing.spoken(session, "vote") == after.mailings


def test_versions_are_told_apart_by_name_and_language(session: Session):
    save(session)
    save(session, spanish="Hola")
    save(session, "Bye", spanish="Hola")
    assert [row.slug for row in mailings(session)] == ["vote", "vote~2", "vote.es~2", "vote~3", "vote.es~3"]
    assert [row.subject for row in writing.newest(session, "vote").values()] == [SUBJECT, "El voto"]


def test_words_of_before_can_come_back_as_a_version_of_their_own(session: Session):
    for markdown in ("One", "Two", "One"):
        saved = save(session, markdown)
    assert saved.version == 3
    assert [row.source for row in mailings(session)] == ["One", "Two", "One"]


def test_what_a_letter_is_can_change_without_a_version(session: Session):
    save(session, quiet_hours="21-8")
    changed = save(session, kind="actions", form="common-ground", note_until="2026-12-01T18:00-05:00")
    assert (changed.version, changed.fresh) == (1, False)
    is_now = shelf.one(session, "vote")
    assert (is_now.kind, is_now.form, is_now.fund, is_now.quiet_from) == ("actions", "common-ground", "action", None)
    assert f"{is_now.note_until:%m-%d %H:%M}" == "12-01 23:00"


def test_a_letter_that_was_planned_keeps_its_version(session: Session):
    saved = save(session)
    (planned,) = hand_over(session, message="ready")
    moved = {"mailing": saved.mailings["en"], "id": planned.message_id}
    session.execute(text("UPDATE message SET mailing_id = :mailing WHERE id = :id"), moved)
    save(session, "Other words")
    (still,) = session.execute(text("""SELECT w.source FROM message m JOIN mailing w ON w.id = m.mailing_id
        WHERE m.id = :id"""), {"id": planned.message_id}).one()  # fmt: skip
    assert still == NEWS


def test_a_letter_that_nobody_wrote_is_not_found(session: Session):
    assert writing.english(session, "vote") is None
    assert writing.spoken(session, "vote") == {}
    with pytest.raises(NotFound, match="there is no letter vote"):
        writing.newest(session, "vote")


# Those that come with the code.


def test_letters_that_come_with_the_code_are_kept_once_however_often_they_are_shipped(session: Session):
    count = text("SELECT count(*), max(id) FROM mailing")
    before = session.execute(count).one()
    writing.ship(session, shipped.shipped())
    assert session.execute(count).one() == before
    assert {row.slug for row in shelf.every(session) if row.shipped} == {each.slug for each in shipped.shipped()}


def test_a_release_with_other_words_adds_a_version_and_one_that_staff_made_theirs_stays(session: Session):
    letters = {letter.slug: letter for letter in shipped.shipped()}
    newer = [
        replace(letter, words={spoken: replace(words, subject="Anew") for spoken, words in letter.words.items()})
        for letter in (letters["thank_you"], letters["welcome"])
    ]
    own = save(session, "Thank you, {{ first_name }}, for {{ amount }}.", "thank_you", kind="")
    assert own.version == 2
    assert not shelf.one(session, "thank_you").shipped
    writing.ship(session, newer)
    assert writing.newest(session, "welcome")["en"].subject == "Anew"
    assert writing.newest(session, "welcome")["en"].version == 2
    assert writing.newest(session, "thank_you")["en"].subject == SUBJECT
    assert writing.spoken(session, "thank_you") == own.mailings


def test_a_letter_of_ours_that_staff_made_theirs_knows_its_facts_and_another_does_not(session: Session):
    save(session, "For {{ amount }}.", "thank_you", kind="")
    assert shelf.one(session, "thank_you").facts["amount"]
    assert faults(session, "For {{ amount }}.") == ["body, line 1, column 5: there is no field `amount`"]


# What is refused. F3: with the line and column of each fault, and nothing is kept.


@pytest.mark.parametrize(
    ("markdown", "says"),
    [("Dear {{ frist_name }},", "line 1, column 6: there is no field `frist_name`: do you mean `first_name`?"),
     ("Hi\n\n {{ c.__class__ }}", "line 3, column 2: there is no field `c`"),
     ("{{ first_name.upper() }}", "line 1, column 1: only the name of a field can stand here"),
     ("{% if given_in_all > 3 %}\nx\n{% endif %}", "line 1, column 1: only the name of a field can stand here"),
     ("{{ 'x' * 10**9 }}", "line 1, column 1: only the name of a field can stand here"),
     ("a\n{% for x in range(10**9) %}\n{% endfor %}", "line 2, column 1: only the name of a field can stand here"),
     ("{% include 'letter' %}", "line 1, column 1: `include` is not possible here"),
     ('a\n\nDear {{ first_name | default("\\x00") }}', "line 3, column 6: this word holds a control"),
     ("Dear {{ first_name", "line 1, column 6: this tag is not closed"),
     ("a\n\n{% if has_given %}\nx", "line 3, column 1: this if has no endif"),
     ("{{ custom.size }}", "line 1, column 1: there is no field `size`"),
     ("a\n\n::: button\nGo\n:::", "line 3, column 1: a button says where it leads"),
     ("", "line 1, column 1: it says nothing")],
    ids=repr,
)  # fmt: skip
def test_a_body_at_fault_is_refused_with_the_place_of_it(session: Session, markdown: str, says: str):
    (told,) = faults(session, markdown)
    assert told.startswith(f"body, {says}")
    assert mailings(session) == []
    assert session.scalar(text("SELECT count(*) FROM letter WHERE slug = 'vote'")) == 0


@pytest.mark.parametrize(
    ("markdown", "says"),
    [("::: lader\n:::", ["line 3, column 1: no block `lader` can begin here; there are button, ladder, note",
                        "line 4, column 1: there is no block open here for this :::"]),
     ("See\n:::buttons https://www.example.org/", ["line 4, column 1: no block `buttons` can begin here"]),
     ("<p>\n::: ladder\n:::\n</p>", ["line 4, column 1: no block `ladder` can begin here", "line 5, column 1"]),
     ("::: note\n::: ladder\n:::\n:::", ["line 6, column 1: there is no block open here for this :::"]),
     ("::: note\nCome.\n\nAll that follows", ["line 3, column 1: this block has no end"]),
     ("::: ladder", ["line 3, column 1: this block has no end"]),
     ("::: ladder\n", ["line 3, column 1: this block has no end"]),
     ("::: ladder\nGive\n:::", ["line 3, column 1: a ladder has nothing inside"])],
    ids=repr,
)  # fmt: skip
def test_a_block_that_nobody_knows_or_that_has_no_end_is_refused_with_its_line(
    session: Session, markdown: str, says: list[str]
):
    told = faults(session, f"Dear all,\n\n{markdown}", form="common-ground")
    assert len(told) == len(says)
    for each, expected in zip(told, says, strict=True):
        assert each.startswith(f"body, {expected}")
    assert mailings(session) == []


@pytest.mark.parametrize(
    "markdown", ["\\::: lader", "```\n::: lader\n```", "one ::: two", ":::: note\n::: ladder\n:::\n::::"]
)
def test_colons_that_are_words_and_blocks_inside_of_a_longer_one_stay(session: Session, markdown: str):
    assert save(session, markdown, form="common-ground").fresh


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"subject": "Hi\r\nBcc: sam@example.org"}, "subject, line 1, column 1: it is one line"),
     ({"subject": "x" * 1000}, "subject, line 1, column 201: longer than 200 characters"),
     ({"subject": ""}, "subject, line 1, column 1: a letter has a subject"),
     ({"subject": "For {{ nobody }}"}, "subject, line 1, column 5: there is no field `nobody`"),
     ({"subject": 'For {{ city | default("a\\r\\nBcc: x") }}'}, "subject, line 1, column 5: this word holds a control"),
     ({"preview": "a\nb"}, "preview, line 1, column 1: it is one line"),
     ({"text": "Dear\n{{ nobody }}"}, "text, line 2, column 1: there is no field `nobody`")],
    ids=repr,
)  # fmt: skip
def test_a_line_at_fault_is_refused_with_the_place_of_it(session: Session, changed: dict[str, str], says: str):
    assert faults(session, **changed)[0].startswith(says)
    assert mailings(session) == []


def test_the_faults_of_all_languages_are_told_at_once(session: Session):
    told = faults(session, "{{ one }}\n\n{{ two }}", spanish="{{ three }}")
    assert [each.partition(":")[0] for each in told] == [
        "body, line 1, column 1", "body, line 3, column 1", "body (es), line 1, column 1",
    ]  # fmt: skip


def test_a_draft_at_fault_leaves_the_version_that_is_there(session: Session):
    saved = save(session)
    faults(session, "{{ nobody }}", kind="asks")
    assert writing.spoken(session, "vote") == saved.mailings
    assert shelf.one(session, "vote").kind == "news"


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"form": "none"}, "there is no donation form none"), ({"fund": "none"}, "there is no fund none"),
     ({"form": "common-ground", "fund": "pac"}, "the donation form is another fund's"),
     ({"markdown": ASK}, "it leads to a donation form"),
     ({"markdown": "[Give]({{ give_url }})"}, "it leads to a donation form"),
     ({"layout": "../../etc"}, "there is no layout"), ({"bodies": {"es": Body("a", "b")}}, "written in English first"),
     ({"bodies": {"en": Body("a", "b"), "xx": Body("a", "b")}}, "we do not speak xx")],
    ids=repr,
)  # fmt: skip
def test_a_letter_that_fits_nothing_here_is_refused_in_words(session: Session, changed: dict[str, Any], says: str):
    with pytest.raises(Invalid, match=says):
        save(session, **changed)
    assert mailings(session) == []


@pytest.mark.parametrize(
    "until",
    ["9999-12-31T23:59-05:00", "9999-12-31T23:59+00:00", "0001-01-01T00:00+05:00", "0001-01-01T00:00+00:00",
     f"{datetime.now(UTC) + timedelta(days=5 * 366 + 1):%Y-%m-%dT%H:%M}+00:00",
     f"{datetime.now(UTC) - timedelta(days=5 * 366 + 1):%Y-%m-%dT%H:%M}+00:00"],
)  # fmt: skip
def test_a_deadline_for_notes_that_nobody_can_mean_is_refused(session: Session, until: str):
    for refuse in (writing.check, writing.save):
        with pytest.raises(Invalid, match="the deadline for notes is more than five years away"):
            refuse(session, draft(note_until=until))
    assert mailings(session) == []
    save(session, note_until=f"{datetime.now(UTC) + timedelta(days=5 * 365 - 1):%Y-%m-%dT%H:%M}+00:00")
    assert "vote" in [row.slug for row in shelf.every(session)]


def test_a_form_of_its_own_or_of_its_fund_makes_an_ask(session: Session):
    assert save(session, ASK, form="common-ground", fund="action").fresh
    assert save(session, ASK, "other", form="common-ground").fresh


def test_a_field_of_an_import_can_be_named_once_somebody_has_it(session: Session):
    assert "there is no field `size`" in faults(session, "{{ custom.size }}")[0]
    person = "INSERT INTO contact (custom, details_at, routed_by, routed_on) VALUES (:custom, 'epoch', 'test', 'test')"
    session.execute(text(person), {"custom": '{"size": "M"}'})
    assert save(session, "{{ custom.size }} {{ custom.size | upper }}").fresh
    assert "there is no field `colour`" in faults(session, "{{ custom.colour }}")[0]


# F5: what a letter cannot hold is taken out and told.


@pytest.mark.parametrize(
    ("html", "removed"),
    [("<script>alert(1)</script>", ["<script>"]), ('<a href="javascript:alert(1)">x</a>', ["href of <a>"]),
     ("<form><b>x</b></form>", ["<form>"]), ('<meta http-equiv="refresh" content="0">', ["<meta>", "http-equiv of <meta>"]),
     ('<svg onload="alert(1)"></svg>', ["<svg>", "onload of <svg>"]), ('<b onclick="x()">x</b>', ["onclick of <b>"])],
)  # fmt: skip
def test_what_could_do_harm_is_taken_out_and_listed(session: Session, html: str, removed: list[str]):
    saved = save(session, f"Hello\n\n{html}\n\nBye")
    assert saved.removed[: len(removed)] == removed
    (kept,) = mailings(session)
    for word in ("alert(1)", "javascript:", "<form", "<svg", "onload", "onclick", 'http-equiv="refresh"'):
        assert word not in kept.body_html
    assert "Bye" in kept.body_html


def test_a_link_of_markdown_cannot_run_anything_either(session: Session):
    save(session, "[x](javascript:alert(1)) <javascript:alert(1)> [y](data:text/html,x) ![z](javascript:alert(1))")
    (kept,) = mailings(session)
    assert 'href="javascript' not in kept.body_html
    assert 'src="javascript' not in kept.body_html
    assert 'href="data' not in kept.body_html


# Whose leave is needed.


@pytest.mark.parametrize("kind", ["", "news"])
def test_a_letter_that_needs_nobodys_leave_comes_with_the_code_and_from_nowhere_else(session: Session, kind: str):
    slug = "note" if kind == "" else "thank_you"
    told = draft(slug=slug, kind=kind)
    for refuse in (writing.check, writing.save):
        with pytest.raises(Invalid, match="letters that need nobody's leave come with Groundswell"):
            refuse(session, told)
    save(session, slug="thank_you", kind="")
    assert shelf.one(session, "thank_you").kind == ""


def test_a_letter_leads_to_no_form_that_was_never_published_and_to_a_closed_one_with_a_remark(session: Session):
    form = Definition(slug="rent", title="Rent", fund="action", processor="stripe")
    now = datetime(2026, 11, 3, tzinfo=UTC)
    written = forms.write(session, form, now, publish=False)
    with pytest.raises(Invalid, match="the donation form rent was never published, so links of this letter would lead"):
        writing.check(session, draft(kind="asks", form="rent"))
    assert "rent" not in {row.slug for row in shelf.forms(session)}
    forms.publish(session, "rent", written.number, now)
    save(session, kind="asks", form="rent")
    assert shelf.remarks(session, "vote") == []
    form_shelf.close(session, "rent", "We have what we need.", now)
    save(session, kind="asks", form="rent")
    assert shelf.remarks(session, "vote") == [
        "Its donation form rent is closed, so nobody can give by it now: We have what we need."
    ]


def test_a_check_refuses_what_saving_would(session: Session):
    with pytest.raises(Invalid, match="there is no donation form nowhere"):
        writing.check(session, draft(kind="asks", form="nowhere"))


def test_the_faults_of_every_part_are_told_at_once(session: Session):
    told = faults(session, "{{ nobody }}", subject="{{ no_subject }}", preview="{{ no_preview }}", text="{{ no_text }}")
    assert [each.partition(",")[0] for each in told] == ["subject", "preview", "body", "text"]
