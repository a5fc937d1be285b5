"""Files of donation forms: every fault with its line, all at once; written and read again they say the same."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import documents
from engine.errors import Invalid
from engine.giving import form_files, form_words
from engine.giving.forms import Definition, Picture, Said
from engine.settings import ROOT

GOOD = """slug: neighbours
title: Chip in
fund: action
processor: stripe
"""
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L" + b"\x00" * 40
PICTURE = "picture: p.jpg\npicture_shows: Two people\n"


def faults(written: str, folder: Path = ROOT) -> list[str]:
    told = form_files.read_text(written, folder)
    assert bool(told.faults) is (told.definition is None)
    return [str(fault) for fault in told.faults]


def form(written: str, folder: Path = ROOT) -> Definition:
    told = form_files.read_text(written, folder)
    assert told.definition is not None, told.faults
    return told.definition


def test_four_lines_are_a_form_with_the_amounts_people_know():
    assert form(GOOD) == Definition(slug="neighbours", title="Chip in", fund="action", processor="stripe")
    assert form(GOOD).preset_cents == (2700, 5000, 10000, 25000, 100000)


def test_a_file_says_everything_in_dollars_and_every_language():
    said = form(
        GOOD + "why: Because\nwords: |\n  *All* of it\npresets: [27.50, 10, 100]\ndefault: 27.50\nother: false\n"
        "floor: 7\ncap: 100\nmonthly: false\nemployer: always\nphone: true\nagreed: [It is mine]\nthanks_letter: ours\n"
        "goal: 20000\ngoal_from: 2026-11-01\nchapter: worcester\nothers:\n  es: {title: Aporte, agreed: [Es mío]}\n"
    )
    assert said == Definition(
        slug="neighbours", title="Chip in", why="Because", words="*All* of it", fund="action", chapter="worcester",
        processor="stripe", preset_cents=(2750, 1000, 10000), default_cents=2750, other=False, floor_cents=700,
        cap_cents=10000, monthly=False, employer="always", phone=True, agreed=("It is mine",), thanks_letter="ours",
        goal_cents=2_000_000, goal_from=date(2026, 11, 1), others={"es": Said(title="Aporte", agreed=("Es mío",))},
    )  # fmt: skip


def test_all_that_is_wrong_is_told_at_once_each_with_its_line():
    assert faults(
        "slug: 12\ntitle: ''\nwhy: [a]\nwords: |\n  fine\n\n  # head\n  <b>x</b>\n  [a](http://x.example.org)\nfund: Äction\n"
        "procesor: stripe\npresets: [27, 1:30, 010, 27.505, true, .inf, 0.5]\nfloor: 5\nfloor: 6\ncap: 1_000\n"
        "monthly: 'yes'\nemployer: sometimes\nagreed: no\ngoal: -1\ngoal_from: 2026-02-30\npicture: nope.png\n"
        "others:\n  xx: {title: X}\n  es: {title: 3, words: '# a'}\n"
    ) == [
        "line 1: slug: must be words; put them in quotation marks",
        "line 1: processor: is missing",
        "line 1: picture_shows: is missing: what the picture shows, for those who do not see it",
        "line 2: title: is empty",
        "line 3: why: must be words; put them in quotation marks",
        "line 7: words: a heading: a form shows paragraphs, lists, emphasis and links",
        "line 8: words: HTML: a form shows paragraphs, lists, emphasis and links",
        "line 9: words: a link begins with https://",
        "line 10: fund: is no short name: small letters, digits, hyphens and underscores",
        "line 11: procesor: is not known here",
        "line 12: presets 2: is no amount of dollars: write it like 27 or 27.50",
        "line 12: presets 3: is no amount of dollars: write it like 27 or 27.50",
        "line 12: presets 4: has parts of a cent",
        "line 12: presets 5: is no amount of dollars: write it like 27 or 27.50",
        "line 12: presets 6: is no amount of dollars: write it like 27 or 27.50",
        "line 12: presets 7: must be $1 or more",
        "line 14: floor stands twice",
        "line 15: cap: is no amount of dollars: write it like 27 or 27.50",
        "line 16: monthly: must be true or false",
        "line 17: employer: must be threshold, always or never",
        "line 18: agreed: must be a list",
        "line 19: goal: must be $1 or more",
        "line 20: goal_from: must be a day, written like 2026-11-03",
        "line 21: picture: there is no file nope.png in the folder of this one",
        "line 23: others, xx: pages are not in this language, but in es",
        "line 23: others, xx, picture_shows: is missing: what the picture shows, for those who do not see it",
        "line 24: others, es, words: a heading: a form shows paragraphs, lists, emphasis and links",
        "line 24: others, es, title: must be words; put them in quotation marks",
    ]


def test_what_does_not_go_together_is_told_where_it_stands():
    assert faults(
        GOOD
        + "presets: [3, 3]\ndefault: 4\nfloor: 7\ncap: 6\ngoal_from: 2026-11-01\nagreed: [a]\nothers:\n  es: {title: X}\n"
    ) == [
        "line 5: presets: the same amount stands twice",
        "line 5: presets: $3 is not between floor and cap",
        "line 6: default: it is none of the presets",
        "line 8: cap: it is less than the floor",
        "line 9: goal_from: there is no goal",
        "line 10: agreed: es has not as many sentences as English",
    ]


def test_what_contradicts_itself_is_told_with_what_cannot_be_read_unless_it_follows_from_that():
    assert faults(
        "slug: MassAction\ntitle: 7\nfund: action\nprocessor: stripe\npresets: [3, 3]\ndefault: 4\nfloor: x\ncap: 6\n"
        "agreed: [a]\nothers:\n  es: {title: X}\n"
    ) == [
        "line 1: slug: capitals are for the names of forms at ActBlue alone",
        "line 2: title: must be words; put them in quotation marks",
        "line 5: presets: the same amount stands twice",
        "line 6: default: it is none of the presets",
        "line 7: floor: is no amount of dollars: write it like 27 or 27.50",
        "line 9: agreed: es has not as many sentences as English",
    ]


def test_what_a_file_must_keep_to_is_told_in_plain_words():
    assert faults(GOOD + "presets: [1, 2, 3, 4, 5, 6, 7]\nagreed: [a, b, c, d, e, f, g]\nfloor: 1\n") == [
        "line 5: presets: at most 6", "line 6: agreed: at most 6",
    ]  # fmt: skip


def test_a_form_at_actblue_may_have_its_name_there_with_capitals():
    assert form(GOOD.replace("neighbours", "MassAction").replace("stripe", "actblue")).slug == "MassAction"


@pytest.mark.parametrize(("written", "told"), [
    ("", "line 1: begins with `slug: …`, `title: …` and so on"),
    ("- a\n", "line 1: begins with `slug: …`, `title: …` and so on"),
    ("a: &a [x]\nb: *a\n", "cannot be read as YAML"),  # the beginning of a bomb
    ("slug: x\n\ttitle: y\n", "line 2: cannot be read as YAML: found character '\\t' that cannot start any token"),
    ("slug: !!python/object/apply:os.system [ls]\n",
     ("line 1: cannot be read as YAML: could not determine a constructor for the tag"
     " 'tag:yaml.org,2002:python/object/apply:os.system'")),
    ("slug: !!binary aGVsbG8=\n",
     "line 1: cannot be read as YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:binary'"),
    ("slug: " + "[" * 5000, "cannot be read as YAML"),
    ("slug: [a\n", "line 2: cannot be read as YAML: expected ',' or ']', but got '<stream end>'"),
    ("a: 1\n---\nb: 2\n", "line 2: cannot be read as YAML: but found another document"),
])  # fmt: skip
def test_what_is_no_file_of_ours_is_told_in_a_line(written: str, told: str):
    assert faults(written) == [told]


@pytest.mark.parametrize("said", ['title: "a\\0b"', 'words: "a\\x1bb"', 'why: "two\\nlines"', 'agreed: ["a\\x7f"]'])
def test_signs_that_cannot_be_printed_are_refused(said: str):
    (told,) = faults(GOOD.replace("title: Chip in\n", "") + ("" if "title" in said else "title: A\n") + said + "\n")
    assert told.endswith("holds signs that cannot be printed")


def test_numbers_as_long_as_a_book_and_strange_keys_are_faults_and_nothing_worse():
    strange = "1: x\n? 2026-11-01\n: y\n<<: {phone: true}\n"
    told = faults(GOOD + f"floor: {'9' * 10_000}\n{strange}cap: 1000000\n")
    assert [line.partition(": ")[2] for line in told] == [
        "floor: is no amount of dollars: write it like 27 or 27.50", "1: is not known here",
        "2026-11-01: is not known here", "<<: is not known here", "cap: is more than one gift can be",
    ]  # fmt: skip


def test_a_file_of_a_megabyte_and_more_or_of_other_letters_is_none(tmp_path: Path):
    path = tmp_path / "form.yaml"
    path.write_text("#" * (documents.LARGEST + 1))
    with pytest.raises(Invalid, match="larger than 1 MB: that is no donation form"):
        form_files.read(path)
    path.write_bytes(b"title: \xff")
    with pytest.raises(Invalid, match="not UTF-8"):
        form_files.read(path)


@pytest.mark.parametrize(("data", "kind"), [
    (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (WEBP, "image/webp"),
])  # fmt: skip
def test_a_picture_is_known_by_its_bytes_whatever_its_name_says(data: bytes, kind: str, tmp_path: Path):
    (tmp_path / "p.jpg").write_bytes(data)
    told = form_files.read_text(GOOD + PICTURE, tmp_path)
    assert (told.picture, told.faults) == (Picture(data, kind), [])


@pytest.mark.parametrize(("data", "told"), [
    (b"<svg onload='x'/>", "p.jpg is no JPEG, PNG or WebP, whatever its name says"),
    (b"RIFF\x1a\x00\x00\x00WAVE", "p.jpg is no JPEG, PNG or WebP, whatever its name says"), (b"", "p.jpg is no JPEG"),
    (WEBP + b"\x00" * 48_300, "p.jpg is 48.4 kB large: 32 kB at most, so that the page is quick on a phone"),
])  # fmt: skip
def test_what_is_no_picture_or_too_large_is_told(data: bytes, told: str, tmp_path: Path):
    (tmp_path / "p.jpg").write_bytes(data)
    (fault,) = faults(GOOD + PICTURE, tmp_path)
    assert fault.startswith(f"line 5: picture: {told}")


def test_a_picture_stands_beside_its_file_and_is_told_in_every_language(tmp_path: Path):
    (tmp_path / "p.jpg").write_bytes(WEBP)
    assert faults(GOOD + "picture: p.jpg\nothers:\n  es: {title: A}\n", tmp_path) == [
        "line 1: picture_shows: is missing: what the picture shows, for those who do not see it",
        "line 7: others, es, picture_shows: is missing: what the picture shows, for those who do not see it",
    ]
    assert faults(GOOD + "picture_shows: Two people\n", tmp_path) == ["line 5: picture_shows: there is no picture"]
    for name in (str(tmp_path / "p.jpg"), ".", "/dev/zero", '"a\\0b"'):
        assert "picture" in faults(GOOD + f"picture: {name}\npicture_shows: x\n", tmp_path)[0]


def test_a_difference_is_told_by_the_name_that_a_file_has_for_it():
    before = form(GOOD + "words: One\ngoal: 100\n")
    after = before.model_copy(update={"floor_cents": 1050, "words": "Two", "goal_cents": None, "monthly": False})
    assert form_files.differences(before, after) == [
        "words: other words", "floor: 5, then 10.50", "monthly: True, then False", "goal: 100, then nothing",
    ]  # fmt: skip
    assert form_files.differences(before, before) == []


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n-#: '\"|>"), max_size=60)
LINES = WORDS.map(lambda words: " ".join(words.split()))
AMOUNTS = st.integers(500, 99_999_900)
LANGUAGES = st.builds(Said, title=LINES.map(lambda words: f"{words}."[-100:]), why=LINES, words=WORDS)


@given(
    st.builds(
        Definition, slug=st.just("a_b-1"), fund=st.just("action"), processor=st.sampled_from(["actblue", "stripe"]),
        title=LINES.map(lambda words: f"{words}."[-100:]), why=LINES, words=WORDS,
        preset_cents=st.lists(AMOUNTS, min_size=1, max_size=6, unique=True).map(tuple), other=st.booleans(),
        goal_cents=st.none() | st.integers(100, 10**12), others=st.just({}) | LANGUAGES.map(lambda said: {"es": said}),
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_as_the_same_form(definition: Definition):
    document = documents.read(form_files.written(definition), documents.Exact)
    assert form_files.understood(document.said) == definition


def test_amounts_are_written_as_people_write_them():
    assert documents.write({"a": [1, Decimal("27.50")], "b": date(2026, 11, 3), "c": "1"}) == (
        "a: [1, 27.50]\nb: 2026-11-03\nc: '1'\n"
    )


@pytest.mark.parametrize(("words", "html"), [
    ("Hello *you*\n\n- **us**\n", "<p>Hello <em>you</em></p>\n<ul>\n<li><strong>us</strong></li>\n</ul>"),
    ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
    ("[a](https://e.org/?a=1&b=2)", '<p><a href="https://e.org/?a=1&amp;b=2" target="_top" rel="noopener">a</a></p>'),
    ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"), ("[a](//x.example)", "<p>[a](//x.example)</p>"),
    ("![p](https://e.org/x.png)", '<p>!<a href="https://e.org/x.png" target="_top" rel="noopener">p</a></p>'),
    ("# head", "<p># head</p>"), ("", ""),
])  # fmt: skip
def test_words_are_paragraphs_lists_emphasis_and_links_and_nothing_else(words: str, html: str):
    assert form_words.html(words) == html


@given(
    st.text(st.sampled_from("<>&[]()*_-#!`\"'\\\n ahttps:/j") | st.characters(exclude_categories=["Cs"]), max_size=80)
)
@settings(max_examples=100, deadline=None)
def test_no_words_make_html_that_a_form_does_not_have(words: str):
    made = form_words.html(words)
    assert "<script" not in made
    assert all(
        tag.startswith(("p>", "em>", "strong>", "ul>", "li>", "ol", "br", 'a href="https://', "/"))
        for tag in made.split("<")[1:]
    )


@pytest.mark.parametrize("name", ["give", "actblue"])
def test_the_shipped_forms_have_no_fault_and_speak_spanish(name: str):
    told = form_files.read(ROOT / "templates" / "forms" / f"{name}.yaml")
    assert told.definition is not None, told.faults
    assert told.definition.others["es"].words
