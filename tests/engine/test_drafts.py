"""Letters as staff hand them in: files that begin with what a letter is, one a language, and what is wrong with them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import Invalid
from engine.letters import drafts
from engine.letters.drafts import Draft
from engine.letters.finishing import Body

WHOLE = """\
---
kind: asks
form: common-ground
fund: action
layout: letter
note_until: 2026-12-01T18:00-05:00
quiet_hours: 21-8
subject: "The rent vote: Tuesday"
preview: Two have not said how
---
Dear {{ first_name }},

---

Bye
"""
SPANISH = "---\nsubject: El voto\npreview: Dos no han dicho\n---\nHola\n"


def written(folder: Path, name: str, content: str | bytes = "---\nkind: news\nsubject: Hi\n---\nHello\n") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(*paths: Path) -> str:
    with pytest.raises(Invalid) as raised:
        drafts.read(paths)
    return str(raised.value)


def front(folder: Path, line: str) -> Path:
    return written(folder, "vote.md", f"---\nkind: news\nsubject: Hi\n{line}\n---\nHello\n")


def test_a_file_says_what_a_letter_is_and_then_its_words(tmp_path: Path):
    assert drafts.read([written(tmp_path, "rent-vote.md", WHOLE)]) == Draft(
        slug="rent-vote", kind="asks", form="common-ground", fund="action", layout="letter",
        note_until=datetime(2026, 12, 1, 23, 0, tzinfo=UTC), quiet_hours=(21, 8),
        bodies={"en": Body("The rent vote: Tuesday", "Dear {{ first_name }},\n\n---\n\nBye\n", "Two have not said how")},
    )  # fmt: skip


def test_most_need_not_be_said(tmp_path: Path):
    draft = drafts.read([written(tmp_path, "vote.md")])
    assert (draft.layout, draft.fund, draft.form, draft.note_until, draft.quiet_hours) == ("letter", "", "", None, None)
    assert draft.bodies == {"en": Body("Hi", "Hello\n")}


def test_other_languages_stand_beside_the_english_file_in_any_order(tmp_path: Path):
    english, spanish = written(tmp_path, "rent-vote.md", WHOLE), written(tmp_path, "rent-vote.es.md", SPANISH)
    draft = drafts.read([spanish, english])
    assert draft == drafts.read([english, spanish])
    assert draft.bodies["es"] == Body("El voto", "Hola\n", "Dos no han dicho")
    assert draft.kind == "asks"


def test_a_text_part_that_was_written_by_hand_stands_beside_its_file(tmp_path: Path):
    english, spanish = written(tmp_path, "vote.md"), written(tmp_path, "vote.es.md", SPANISH)
    written(tmp_path, "vote.txt", "By hand\n")
    written(tmp_path, "vote.es.txt", "A mano\n")
    draft = drafts.read([english, spanish])
    assert [draft.bodies[spoken].text for spoken in ("en", "es")] == ["By hand\n", "A mano\n"]


@pytest.mark.parametrize(
    "content", [WHOLE.replace("\n", "\r\n"), "\ufeff" + WHOLE, WHOLE.replace("---\n", "--- \t\n", 2)]
)
def test_files_of_other_systems_read_as_ours(tmp_path: Path, content: str):
    draft = drafts.read([written(tmp_path, "rent-vote.md", content)])
    assert draft.bodies["en"].subject == "The rent vote: Tuesday"
    assert draft.bodies["en"].markdown.startswith("Dear {{ first_name }}")
    assert draft.quiet_hours == (21, 8)


@pytest.mark.parametrize(
    "name",
    ["Rent.md", "rent.txt", "rent.html", "rent vote.md", "rent.spanish.md", "-rent.md", "rent.es",
     "r\u00e9nt.md", "x" * 62 + ".md"],
)  # fmt: skip
def test_a_file_that_is_named_otherwise_is_refused_by_its_name(tmp_path: Path, name: str):
    said = refused(written(tmp_path, name))
    assert said == f"{name}: a letter's file is named like rent-vote.md, or rent-vote.es.md in Spanish"


@pytest.mark.parametrize(
    ("content", "says"),
    [("Hello", "it begins with ---, what the letter is, and --- again"), ("", "it begins with ---"),
     ("---\nkind: news\nHello", "it begins with ---"), ("\n---\nkind: news\n---\nHello", "it begins with ---"),
     ("---\nkind: [news\n---\nHello", "line 3: what stands between the first two --- is no YAML"),
     ("---\nkind: news\nsubject: Vote: now\n---\nHello", "line 3: what stands between the first two --- is no YAML"),
     ("---\nkind: news\n\tsubject: x\n---\nHello", "line 3: what stands between the first two --- is no YAML"),
     ("---\n- kind\n---\nHello", "what stands between the first two --- is not a list of names and values"),
     ("---\nkind: news\nsubject: a\x07b\n---\nHello", "what stands between the first two --- is no YAML"),
     (b"---\nkind: news\n---\n\xff\xfe", "not UTF-8"), (b"---\nkind: news\n---\na\x00b", "not UTF-8"),
     (b"x" * (drafts.MOST_BYTES + 1), "longer than 524,288 bytes")],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_by_its_name_and_line(tmp_path: Path, content: str | bytes, says: str):
    said = refused(written(tmp_path, "vote.md", content))
    assert said.removeprefix("vote.md").startswith((f": {says}", f", {says}"))


def test_a_text_part_that_cannot_be_read_is_refused_by_its_own_name(tmp_path: Path):
    path = written(tmp_path, "vote.md")
    written(tmp_path, "vote.txt", b"\xff")
    assert refused(path) == "vote.txt: not UTF-8 text"


@pytest.mark.parametrize(
    ("line", "says"),
    [("kind: spam", "kind: Input should be '', 'asks', 'news', 'gatherings' or 'actions'"),
     ("colour: red", "colour: Extra inputs"),
     ("quiet_hours: 21", "quiet_hours: "),
     ("quiet_hours: 8-8", "quiet_hours: Value error, quiet hours are written like 21-8"),
     ("quiet_hours: 24-8", "quiet hours are written like 21-8"), ("quiet_hours: [21, 8, 9]", "quiet_hours: "),
     ("quiet_hours: [30, 8]", "quiet_hours: "), ("quiet_hours: [8, 8]", "quiet_hours: "),
     ("note_until: tomorrow", "note_until: Value error, a moment is written like 2026-12-01T18:00-05:00"),
     ("note_until: 2026-12-01T18:00", "a moment says its offset from UTC"),
     ("note_until: 2026-12-01", "a moment says its offset"),
     ("note_until: 17", "note_until: "), ("form: [7]", "form: Input should be a valid string"),
     ("slug: other", "vote.md: slug is said by the file's name"),
     ("bodies: {}", "vote.md: bodies is said by the file's name"),
     ("form: !!python/object/apply:os.system [exit]", "vote.md, line 4: what stands between"), ("form:", "form: Input"),
     ("kind:", "kind: Input should be ''"), ("fund: [action]", "fund: ")],
    ids=repr,
)  # fmt: skip
def test_what_a_letter_cannot_be_is_told_by_name(tmp_path: Path, line: str, says: str):
    said = refused(front(tmp_path, line))
    assert says in said
    assert "pydantic" not in said


@pytest.mark.parametrize("line", ["subject:", "subject: [1, 2]", "subject: {a: b}", "preview: [x]"])
def test_a_subject_or_preview_that_is_no_line_of_words_is_refused(tmp_path: Path, line: str):
    path = written(tmp_path, "vote.md", f"---\nkind: news\n{line}\n---\nHello\n")
    assert refused(path) == f"vote.md: {line.partition(':')[0]} is a line of words"


@pytest.mark.parametrize("subject", ["2026", "yes", "1.50", "2026-12-01", "null"])
def test_a_subject_is_read_as_it_is_written(tmp_path: Path, subject: str):
    path = written(tmp_path, "vote.md", f"---\nkind: news\nsubject: {subject}\n---\nHello\n")
    assert drafts.read([path]).bodies["en"].subject == subject


def test_no_letter_is_called_like_the_page_on_which_letters_begin(tmp_path: Path):
    assert "new is the page on which letters begin" in refused(written(tmp_path, "new.md"))
    assert drafts.read([written(tmp_path, "news.md")]).slug == "news"


def test_several_things_wrong_are_told_at_once(tmp_path: Path):
    said = refused(written(tmp_path, "vote.md", "---\nkind: spam\nquiet_hours: never\nsubject: Hi\n---\nHello\n"))
    assert "kind: " in said
    assert "quiet_hours: " in said


def test_what_a_letter_is_stands_in_the_english_file_alone(tmp_path: Path):
    english = written(tmp_path, "vote.md")
    spanish = written(tmp_path, "vote.es.md", SPANISH.replace("---\n", "---\nkind: asks\n", 1))
    assert refused(english, spanish) == "vote.es.md: kind stands in the English file alone"


def test_one_letter_at_a_time(tmp_path: Path):
    assert "one at a time" in refused(written(tmp_path, "vote.md"), written(tmp_path, "rent.md"))
    with pytest.raises(Invalid):
        drafts.read([])


def test_a_draft_without_its_kind_or_english_file_says_what_is_missing(tmp_path: Path):
    assert "kind: Field required" in refused(written(tmp_path, "vote.es.md", SPANISH))
    assert "kind: Field required" in refused(written(tmp_path, "vote.md", "---\nsubject: Hi\n---\nHello\n"))


def test_values_that_are_no_list_of_names_are_refused():
    with pytest.raises(Invalid, match="is not a list of names and values"):
        drafts.made({1: 2})
