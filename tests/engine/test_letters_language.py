"""The merge language: what it lets by, and that everything else is told with its line and column. Matrix F3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.letters import language
from engine.letters.language import Faulty
from engine.letters.vocabulary import FLAG, HTML, RUNG, TEXT, URL, Record, Rows, vocabulary

KNOWN = {
    "first_name": TEXT, "amount": TEXT, "gives_monthly": FLAG, "ladder": Rows(RUNG), "custom": Record({"size": TEXT}),
    "preferences_url": URL, "chapter_note": HTML,
}  # fmt: skip
GOOD = [
    "", "plain } text { % with # braces", "{{ first_name }}", "{{- amount -}}",
    '{{ first_name | default("friend") | upper }}',
    "{{ custom.size }}", "{{ 'a word' }}", "{% if gives_monthly %}a{% elif not gives_monthly %}b{% else %}c{% endif %}",
    "{% for rung in ladder %}{{ rung.words }}: {{ rung.url }}{% if gives_monthly %}!{% endif %}{% endfor %}", "{# a note #}",
    "{{ preferences_url }}", "{{ chapter_note }}", '{{ first_name | default("}} {% if %}") }}',
]  # fmt: skip
BAD = {
    "{{ frist_name }}": "there is no field `frist_name`: do you mean `first_name`?",
    "{{ c.__class__ }}": "there is no field `c`",
    "{{ first_name.__class__ }}": "there is no `__class__` in this",
    "{{ custom.__class__ }}": "there is no field `__class__`",
    "{{ custom['size'] }}": "only the name of a field can stand here",
    "{{ first_name | attr('upper') }}": "there is no filter `attr`",
    "{{ first_name | safe }}": "there is no filter `safe`",
    '{{ first_name | default("\\x00") }}': "this word holds a control",
    '{{ first_name | default("\\ud800") }}': "this word holds a control",
    '{{ first_name | default("a\\r\\nBcc: x@example.org") }}': "this word holds a control",
    '{{ first_name | default("a\\u202eb") | upper }}': "this word holds a control",
    '{{ first_name | upper("\\n") }}': "this word holds a control",
    '{{ "\\u2028" }}': "this word holds a control",
    '{% if "\\n" %}x{% endif %}': "this word holds a control",
    '{% for rung in "\\0" %}{% endfor %}': "this word holds a control",
    "{{ first_name | default(amount) }}": "a filter takes a plain word",
    "{{ first_name | default }}": "default takes one word",
    "{{ first_name | upper('x') }}": "default takes one word, no other filter takes any",
    "{{ first_name | default('x', true) }}": "default takes one word",
    "{{ preferences_url | upper }}": "only text goes through a filter",
    '{{ "x" * 10**9 }}': "only the name of a field can stand here",
    "{{ 7 * 7 }}": "only the name of a field can stand here",
    "{{ first_name ~ amount }}": "only the name of a field can stand here",
    "{{ first_name if gives_monthly else amount }}": "only the name of a field can stand here",
    "{{ lipsum() }}": "only the name of a field can stand here",
    "{{ first_name.format(1) }}": "only the name of a field can stand here",
    "{{ [1, 2] }}": "only the name of a field can stand here",
    "{{ true }}": "only the name of a field can stand here",
    "{{ gives_monthly }}": "this is a yes or no",
    "{{ ladder }}": "this is a list or has parts",
    "{{ custom }}": "this is a list or has parts",
    "{{ }}": "Expected an expression",
    "{{ first_name": "this tag is not closed",
    "{{ first_name + ' }}": "this tag is not closed",
    "{% if first_name %}x{% endif %}": "only a named yes or no can stand here",
    "{% if gives_monthly and gives_monthly %}x{% endif %}": "only the name of a field can stand here",
    "{% if amount > 3 %}x{% endif %}": "only the name of a field can stand here",
    "{% if gives_monthly %}x": "this if has no endif",
    "{% endif %}": "there is no if open here for this endif",
    "{% if gives_monthly %}{% endfor %}{% endif %}": "there is no for open here for this endfor",
    "{% else %}": "there is no if open here for this else",
    "{% if gives_monthly %}a{% else %}b{% else %}c{% endif %}": "there is no if open here for this else",
    "{% for x in first_name %}{% endfor %}": "only a list that we give can stand here",
    "{% for x in range(10**9) %}{% endfor %}": "only the name of a field can stand here",
    "{% for first_name in ladder %}{% endfor %}": "`first_name` is a field already",
    "{% for a, b in ladder %}{% endfor %}": "a loop is plain",
    "{% for a in ladder if gives_monthly %}{% endfor %}": "a loop is plain",
    "{% for a in ladder recursive %}{% endfor %}": "a loop is plain",
    "{% for a in ladder %}{{ loop.index }}{% endfor %}": "there is no field `loop`",
    "{% for a in ladder %}{% endfor %}{{ a.words }}": "there is no field `a`",
    "{% for a in ladder %}{% for b in ladder %}{% for c in ladder %}{% for d in ladder %}{% endfor %}{% endfor %}{% endfor %}"
    "{% endfor %}": "more than 3 deep",
    "{% include 'secrets' %}": "`include` is not possible here",
    "{% import 'x' as y %}": "`import` is not possible here",
    "{% extends 'x' %}": "`extends` is not possible here",
    "{% set x = 1 %}": "`set` is not possible here",
    "{% macro m() %}{% endmacro %}": "`macro` is not possible here",
    "{% raw %}{{ x }}{% endraw %}": "`raw` is not possible here",
    "{% autoescape false %}{{ first_name }}{% endautoescape %}": "`autoescape` is not possible here",
    "{% block x %}{% endblock %}": "`block` is not possible here",
    "{% do x %}": "`do` is not possible here",
    "{% %}": "`` is not possible here",
}  # fmt: skip


def faults(source: str) -> tuple[language.Fault, ...]:
    try:
        language.read(source, KNOWN, "body")
    except Faulty as error:
        return error.faults
    return ()


@pytest.mark.parametrize("source", GOOD)
def test_what_is_plain_is_let_by_and_can_be_parsed(source: str):
    assert faults(source) == ()
    language.parse(source)


@pytest.mark.parametrize("source", BAD)
def test_everything_else_is_refused_in_words(source: str):
    (first, *_) = faults(source)
    assert BAD[source] in first.says
    assert (first.line, first.column) == (1, 1) or "{{" in source[1:] or "{%" in source[1:]


def test_all_faults_are_told_with_their_lines_and_columns():
    source = "Dear {{ frist_name }},\n\nyou gave {{ amuont }} on\n  {% if amount %}x{% endif %}{{ first_name }}"
    assert [(fault.line, fault.column) for fault in faults(source)] == [(1, 6), (3, 10), (4, 3)]
    assert str(faults(source)[1]) == "body, line 3, column 10: there is no field `amuont`: do you mean `amount`?"


def test_no_more_faults_are_told_than_one_reads():
    assert len(faults("{{ x }}" * 10_000)) == language.MOST_FAULTS


@pytest.mark.parametrize(
    "source", ["{{" * 60_000, "{% if gives_monthly %}" * 9_000, "{{ '" + "x" * 200_000, "x" * 300_000]
)
def test_a_source_that_is_a_bomb_is_refused_at_once(source: str):
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 7 * 7 }}",
        "{{ x() }}",
        "{% set x = 1 %}",
        "{{ x[0] }}",
        "{{ a if b }}",
        "{{ x is y }}",
        r'{{ x | default("\x00") }}',
    ],
)
def test_the_parser_lets_no_other_node_by_even_if_nobody_read_the_source(source: str):
    with pytest.raises(Invalid, match=r"is not possible here|holds a control"):
        language.parse(source)


@given(st.text(alphabet=st.sampled_from("{}%#-| .'\"()[]\n ifelsendfor_first_namegives_monthlyladder01*+")))
def test_whatever_is_written_is_let_by_or_told_and_what_is_let_by_parses(source: str):
    if not faults(source):
        language.parse(source)


@given(st.text())
def test_text_without_tags_is_never_at_fault(source: str):
    plain = source.replace("{", "(")
    assert faults(plain) == ()


def test_facts_say_by_their_samples_what_they_are():
    known = vocabulary(
        {"amount": "$27", "many": 3, "yes": True, "give_url": "https://example.org", "list": [{"url": "", "n": 1}]}
    )
    assert [known[name] for name in ("amount", "many", "yes", "give_url")] == [TEXT, "number", FLAG, URL]
    assert known["list"] == Rows({"url": URL, "n": "number"})
    assert known["first_name"] == TEXT
