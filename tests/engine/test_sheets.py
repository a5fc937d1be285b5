"""Splitting a letter: static text and holes, put together, are byte for byte what a full rendering gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, UndefinedError

from engine.errors import Invalid
from engine.letters import language, plain, sheets
from engine.letters.sheets import Words, filled, fold
from engine.letters.vocabulary import Said, one_line
from engine.ports import Copy, Sheet, letter_of

READER = ("first_name", "amount", "city")  # text
SENDER = ("chapter", "disclaimer")
FLAGS = ("monthly", "stoppable")  # the first one the reader's, the second the sender's

pieces = st.sampled_from(
    [
        "Dear ",
        "<p>",
        "</p>\n",
        '<a href="',
        '">',
        " & ",
        "{ ",
        "%",
        "%}",
        "}}x",
        "é",
        "\n",
        "&amp;",
        "$27",
        "\\1",
        "\\g<0>",
    ]
)
names = st.sampled_from([*READER, *SENDER])
filters = st.sampled_from(["", ' | default("friend")', " | upper", " | title", " | trim", " | urlencode"])
outputs = st.builds(lambda name, filter_: f"{{{{ {name}{filter_} }}}}", names, filters)
templates = st.recursive(
    pieces | outputs,
    lambda inner: (
        st.lists(inner, max_size=5).map("".join)
        | st.builds(
            lambda flag, a, b: f"{{% if {flag} %}}{a}{{% else %}}{b}{{% endif %}}", st.sampled_from(FLAGS), inner, inner
        )
        | st.builds(lambda flag, a: f"{{% if not {flag} %}}{a}{{% endif %}}", st.sampled_from(FLAGS), inner)
        | st.builds(lambda a: f"{{% for r in ladder %}}{{{{ r.words }}}}{a}{{% endfor %}}", inner)
    ),
    max_leaves=12,
)
hostile = st.sampled_from(
    [
        "",
        "<script>",
        "{{ 7 * 7 }}",
        "{% if %}",
        "%00%",
        "-first_name-",
        "a & b",
        '"><img src=x>',
        "\\",
        "\\1",
        "Rosa",
        "$27",
        "é",
    ]
)
values = st.fixed_dictionaries(
    {**dict.fromkeys(READER, hostile | st.text().map(one_line)), "monthly": st.booleans(),
     "ladder": st.lists(st.fixed_dictionaries({"words": hostile}), max_size=3)}
)  # fmt: skip
senders = st.fixed_dictionaries({**dict.fromkeys(SENDER, hostile), "stoppable": st.booleans()})


@given(templates, templates, templates, senders, values)
def test_split_rendering_is_full_rendering_byte_for_byte(subject, html, text, sender, value):
    text = plain.tidied(text)
    sheet = fold(Words(subject, html, text), sender)
    letter = filled(sheet, sheet.substitutions(value))
    assert letter == sheet.letter(value)
    given_to_a_provider = letter_of(
        Sheet("us@example.org", "Us", "", sheet.subject, sheet.html, sheet.text),
        Copy(1, "rosa@example.org", "Rosa", sheet.substitutions(value), {}),
    )
    assert (one_line(given_to_a_provider.subject), given_to_a_provider.html) == (letter.subject, letter.html)
    everything = sender | value
    assert letter.subject == one_line(language.environment(html=False).from_string(subject).render(everything))
    assert letter.html == language.environment(html=True).from_string(html).render(everything)


@given(templates, values)
def test_the_text_part_is_rendered_as_its_tidy_source(source, value):
    text = plain.tidied(source)
    sender = {"chapter": "Worcester", "disclaimer": "Paid for by us.", "stoppable": True}
    sheet = fold(Words("", "", text), sender)
    whole = language.environment(html=False).from_string(text).render(sender | value)
    assert plain.tidied(sheet.letter(value).text) == plain.tidied(whole)


@given(templates, senders, values, values)
def test_one_readers_words_are_in_her_letter_alone(html, sender, one, other):
    sheet = fold(Words("", html, ""), sender)
    before = sheet.letter(one)
    sheet.letter(other)
    assert sheet.letter(one) == before


def test_what_the_sender_says_is_filled_in_once_and_the_rest_are_tokens():
    words = Words(
        "Hi {{ first_name }}", "<p>{{ chapter }}{% if stoppable %}<a href='{{ url }}'>{{ stop }}</a>{% endif %}</p>", ""
    )
    sheet = fold(words, {"chapter": "Worcester & more", "stoppable": True, "stop": "Stop"})
    assert sheet.html.startswith("<p>Worcester &amp; more<a href='%")
    assert sheet.html.endswith("%'>Stop</a></p>")
    assert sheet.names == {"first_name", "url"}
    assert sorted(sheet.substitutions({"first_name": "R<", "url": "u&v"}).values()) == ["R<", "u&amp;v"]


def test_a_condition_of_the_sender_that_does_not_hold_leaves_nothing_behind():
    words = Words("", "{% if a %}1{{ x }}{% elif b %}2{{ y }}{% else %}3{{ z }}{% endif %}", "")
    assert fold(words, {"a": False, "b": True}).names == {"y"}
    assert fold(words, {"a": False, "b": False}).names == {"z"}
    assert fold(words, {"a": False}).names == {"b", "y", "z"}


def test_the_same_hole_has_one_token_and_every_mailing_tokens_of_its_own():
    words = Words("{{ a }}", "{{ a }}{{ a }}", "{{ a }}")
    sheet = fold(words, {})
    assert len(sheet.substitutions({"a": "1"})) == 2  # HTML is escaped, the others are not
    assert fold(Words("{{ a }}", "", "x"), {}).subject != sheet.subject


def test_no_value_can_take_the_place_of_another():
    words = Words("{{ a }} {{ b }}", "", "")
    sheet = fold(words, {})
    token = sheet.subject.split(" ")[1]
    secret = sheet.letter({"a": "plain", "b": "secret"}).subject
    assert secret == "plain secret"
    assert token not in secret
    other = fold(Words("{{ a }} {{ b }} ", "", ""), {}).subject.split(" ")[1]
    assert other != token  # nobody can know it


def test_a_subject_is_one_line_whatever_it_is_made_of():
    broken = {"chapter": "Worcester\r\nBcc: sam@example.org", "monthly": True}
    for said in ("{{ chapter }}\n", "{% if has_given %}{{ chapter }}{% endif %}"):
        sheet = fold(Words(said, "", ""), broken)
        assert "\n" not in sheet.subject
        assert sheet.letter({"has_given": True}).subject == "Worcester Bcc: sam@example.org"


@pytest.mark.parametrize("name", ["items", "values", "keys", "get", "copy", "clear"])
def test_a_field_that_is_called_like_something_of_a_mapping_is_a_field(name: str):
    words = Words(f"{{{{ custom.{name} }}}}", f"{{% for r in rows %}}{{{{ r.{name} }}}}{{% endfor %}}", "")
    sheet = fold(words, {})
    said = sheet.letter({"custom": Said({name: "a word"}), "rows": [{name: "one"}, {name: "two"}]})
    assert (said.subject, said.html) == ("a word", "onetwo")
    assert sheet.letter({"custom": Said(), "rows": []}).subject == ""


@pytest.mark.parametrize("environment", [language.environment(html=True), language.environment(html=False)])
def test_nothing_of_a_value_is_reached_but_what_stands_under_a_name(environment: Environment):
    for reached in ("a.upper", "a['upper']", "a[0]", "a.__class__", "b.append", "b[0]", "c.items", "c['items']"):
        with pytest.raises(UndefinedError):
            environment.from_string(f"{{{{ {reached} }}}}").render(a="text", b=["x"], c={"x": "y"})


def test_a_letter_without_end_is_refused():
    words = Words("", "{% for r in ladder %}{{ r.words }}{% endfor %}", "")
    long = {"ladder": [{"words": "x" * 100_000}] * 6}
    with pytest.raises(Invalid, match="too long for one reader"):
        fold(words, {}).substitutions(long)


def test_a_list_of_records_is_said_one_after_the_other():
    words = Words("", "{% for r in ladder %}<a href='{{ r.url }}'>{{ r.words }}</a>{% endfor %}", "")
    rungs: list[dict[str, Any]] = [
        {"words": "Give $27", "url": "https://x/?a=27&r=1"},
        {"words": "Give $50", "url": "u"},
    ]
    assert fold(words, {}).letter({"ladder": rungs}).html == (
        "<a href='https://x/?a=27&amp;r=1'>Give $27</a><a href='u'>Give $50</a>"
    )


def test_sheets_are_made_once_for_the_same_words_and_sender():
    words = Words("{{ a }}", "", "")
    assert fold(words, {"b": "1"}) is fold(Words("{{ a }}", "", ""), {"b": "1"})
    assert sheets.fold(words, {"b": "2"}) is not fold(words, {"b": "1"})
