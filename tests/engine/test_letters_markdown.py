"""What staff write becomes a letter: Markdown and blocks to HTML and text, nothing lost, nothing harmful. Matrix F4, F5."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.letters import finishing, layouts
from engine.letters.cleaning import cleaned
from engine.letters.finishing import Body, finish
from engine.letters.holding import Holding
from engine.letters.language import Faulty
from engine.letters.vocabulary import vocabulary

KNOWN = vocabulary({})
BODY = """\
# The vote is on Tuesday

Dear {{ first_name | default("friend") }},

The *housing committee* of {{ chapter }} votes on **Tuesday**. [Who sits on it](https://www.example.org/who?x=1&y=2).

{% if gives_monthly %}
You give each month already.
{% else %}
- We print 4,000 cards
- We knock on 900 doors
{% endif %}

::: button https://www.example.org/write
Write to *your* senator
:::

![Triple-deckers](https://www.example.org/houses.png)

::: ladder
:::

::: note
Your chapter meets soon.
:::

---

{{ sender_name }}
"""


def made(markdown: str, **changed: Any) -> finishing.Finished:
    return finish(Body(**{"subject": "A subject", "markdown": markdown} | changed), "letter", "en", KNOWN)


def refused(markdown: str, **changed: Any) -> list[str]:
    with pytest.raises(Faulty) as raised:
        made(markdown, **changed)
    return [str(fault) for fault in raised.value.faults]


def test_a_letter_with_all_blocks_holds_each_tag_of_its_source_once_in_html_and_text():
    words = made(BODY).words
    for part in (words.html, words.text):
        assert part.count('{{ first_name | default("friend") }}') == 1
        assert part.count("{% if gives_monthly %}") == part.count("{% if chapter_wrote %}") == 1
        assert part.count("{% for rung in ladder %}") == 1
    assert '<a href="https://www.example.org/who?x=1&amp;y=2"' in words.html
    assert ">Write to your senator</a>" in words.html
    assert 'alt="Triple-deckers"' in words.html


def test_the_text_part_reads_as_carefully_as_the_letter():
    said = made(BODY).words.text
    assert said.startswith("{{ sender_name }}\n\nThe vote is on Tuesday\n\nDear {{ first_name")
    assert "Who sits on it (https://www.example.org/who?x=1&y=2)" in said.replace("\n", " ")
    assert "{% if gives_monthly %}You give each month already.\n\n{% else %}- We print 4,000 cards\n- We knock" in said
    assert "Write to your senator:\nhttps://www.example.org/write\n" in said
    assert "\n\n\n" not in said
    assert all(len(line) <= 72 for line in said.splitlines() if "{" not in line and "http" not in line)
    assert "{{ unsubscribe_url }}" in said


def test_a_text_part_that_was_written_is_kept_and_its_conditions_take_no_line():
    said = made("Hello", text="Dear all\n{% if gives_monthly %}\nThank you\n{% endif %}\nBye").words.text
    assert "Dear all\n{% if gives_monthly %}Thank you\n{% endif %}Bye" in said


def test_subject_and_preview_have_fields_too_and_the_preview_stands_before_all_else():
    done = made("Hello", subject="For {{ first_name }}", preview="Two say <no> & {{ chapter }}")
    assert done.words.subject == "For {{ first_name }}"
    body = done.words.html.partition("<body")[2]
    assert body.index("Two say &lt;no&gt; &amp; {{ chapter }}") < body.index("Hello")


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"subject": ""}, "a letter has a subject"), ({"subject": "Hi\r\nBcc: sam@example.org"}, "it is one line"),
     ({"subject": "x" * 1000}, "longer than 200 characters"), ({"subject": "{{ nothing }}"}, "there is no field `nothing`"),
     ({"subject": "{{ chapter_note }}"}, "this cannot stand in one line"), ({"preview": "a\nb"}, "it is one line"),
     ({"preview": "x" * 400}, "longer than 300"), ({"subject": "a\x00b"}, "it is one line")],
    ids=repr,
)  # fmt: skip
def test_a_subject_or_preview_that_cannot_be_one_is_refused(changed: dict[str, str], says: str):
    assert says in refused("Hello", **changed)[0]


@pytest.mark.parametrize(
    ("markdown", "where", "says"),
    [("", 1, "it says nothing"), ("Hello\n\n{{ frist_name }}", 3, "do you mean `first_name`?"),
     ("::: button\nGo\n:::", 1, "a button says where it leads"),
     ("Hi\n\n::: button https://example.org\n:::", 3, "a button has words"),
     ("::: button javascript:alert(1)\nGo\n:::", 1, "a button says where it leads"),
     ("::: button /give\nGo\n:::", 1, "a button says where it leads"),
     ("[x]({{ first_name }})", 1, "a link can be one of our own, or begin with https://"),
     ("[x](https://{{ first_name }}/)", 1, "a link can be one of our own, or begin with https://"),
     ("[x](https://example.org/?q={{ first_name }})", 1, "in an address it needs | urlencode"),
     ("[x](https://example.org/?q={{ first_name | default('urlencode') }})", 1, "in an address it needs | urlencode"),
     ("[x](https://example.org/?q={{ first_name | urlencode | default('&r=1') }})", 1, "as the last of its filters"),
     ("[x](https://example.org/?next={{ preferences_url }})", 1, "this is a whole address"),
     ("[x]({% if has_given %}https://a.example.org{% endif %})", 1, "lost or doubled"),
     ('<p style="color:{{ first_name }}">x</p>', 1, "a field cannot stand in style"),
     ('<b {{ first_name }}="x">x</b>', 1, "lost or doubled"), ("<!-- {{ first_name }} -->", 1, "lost or doubled"),
     ("<script>{{ first_name }}</script>", 1, "lost or doubled"),
     ("> {% if has_given %}\n\nHello\n\n{% endif %}", 1, "")],
    ids=repr,
)  # fmt: skip
def test_what_cannot_stand_is_refused_with_its_line(markdown: str, where: int, says: str):
    try:
        said = refused(markdown)
    except Invalid:  # a condition that begins in a quotation and ends outside
        return
    assert says in said[0]
    assert f"line {where}," in said[0]


@pytest.mark.parametrize(
    "markdown",
    ["[x](https://example.org/?q={{ first_name | default('x') | urlencode }})", "[x]({{ preferences_url }})", "![{{ city }}](https://example.org/a.png)",
     "::: button {{ give_url }}\nGive, {{ first_name }}\n:::", "<u>{{ first_name }}</u> <br> <span lang='es'>hola</span>",
     "1. one\n2. two {{ city }}\n\n> quoted {{ city }}", "{% if has_given %}inside{% endif %} of a line",
     "{% if has_given %}\n- a\n{% endif %}\nafter", "a\n{% if has_given %}\nb\n{% else %}\nc\n{% endif %}\nd"],
    ids=repr,
)  # fmt: skip
def test_fields_may_stand_where_they_are_safe(markdown: str):
    words = made(markdown).words
    finishing.trial(words, KNOWN)


@pytest.mark.parametrize(
    ("html", "gone"),
    [("<script>alert(1)</script>", ["<script>"]), ('<b onclick="x()">x</b>', ["onclick of <b>"]),
     ('<a href="javascript:alert(1)">x</a>', ["href of <a>"]), ('<a href="data:text/html,x">x</a>', ["href of <a>"]),
     ('<a href="/relative">x</a>', ["href of <a>"]), ('<a href="//example.org">x</a>', ["href of <a>"]),
     ("<form><input name=a></form>", ["<form>", "<input>", "name of <input>"]),
     ('<meta http-equiv="refresh" content="0">', ["<meta>", "http-equiv of <meta>", "content of <meta>"]),
     ('<svg onload="x"><path/></svg>', ["<svg>", "onload of <svg>", "<path>"]),
     ("<iframe src=https://example.org></iframe>", ["<iframe>", "src of <iframe>"]),
     ("<object data=x></object>", ["<object>", "data of <object>"]),
     ("<base href=https://example.org>", ["<base>", "href of <base>"]), ("<!-- secret -->", ["a comment"]),
     ('<p style="position:fixed;color:red">x</p>', []), ("<b>bold</b>", [])],
)  # fmt: skip
def test_what_a_letter_cannot_hold_is_taken_out_and_told(html: str, gone: list[str]):
    stays, removed = cleaned(html)
    assert removed == gone
    assert not re.search(r"<(script|form|input|meta|svg|iframe|object|base)|on\w+=|javascript:|position", stays)
    assert made(f"Hello\n\n{html}\n\nBye").removed == gone


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("#*_-+>`[]()!<>&\"'=/:.;{}%| \n\tabz1\\é"), max_size=120))
def test_whatever_is_written_becomes_a_letter_or_is_refused_with_a_reason(markdown: str):
    try:
        done = made(markdown)
    except Invalid:
        return
    assert not re.search(r"<script|javascript:", done.words.html)
    finishing.trial(done.words, KNOWN)


# What compiling must not do to tags.


def pour(inside: str) -> str:
    holding = Holding(KNOWN)
    return layouts.pour("letter", "en", "", holding.hold(inside, "body"), holding)


def test_tags_stand_in_the_html_as_they_stood_in_the_mjml():
    html = pour(
        "<mj-text>Dear {{ first_name }}{% if has_given %}, {{ city }}{% endif %}</mj-text>"
        '<mj-button href="{{ give_url }}">Go</mj-button>'
    )
    for tag in ("{{ first_name }}", "{% if has_given %}", "{{ city }}", "{{ give_url }}"):
        assert html.count(tag) == 1


@pytest.mark.parametrize(
    "inside",
    ['<mj-text title="{{ city }}">a</mj-text>', '<mj-hero background-url="{{ give_url }}"></mj-hero>',
     '<mj-image src="https://example.org/a.png" lowsrc="{{ city }}"/>',
     '<mj-social><mj-social-element name="facebook" href="{{ give_url }}">F</mj-social-element></mj-social>'],
)  # fmt: skip
def test_a_tag_that_compiling_loses_or_doubles_is_refused_and_named(inside: str):
    with pytest.raises(
        Faulty, match=r"body, line 1, column \d+: \{\{ (city|give_url) \}\} cannot stand here: it was lost or doubled"
    ):
        pour(inside)


@pytest.mark.parametrize("source", ["", "not MJML", "<mjml>", "<mjml><mj-body></mjml>", "<html></html>", "\0"])
def test_what_is_no_mjml_is_refused(source: str):
    with pytest.raises(Invalid, match="not MJML"):
        layouts.compiled(source)


def test_links_that_are_nobodys_business_are_not_to_be_tracked():
    html = pour('<mj-text><a href="{{ preferences_url }}">a</a> <a href="{{ give_url }}">b</a></mj-text>')
    assert html.count('clicktracking="off" href="{{ preferences_url }}"') == 2  # here, and below every letter
    assert html.count('clicktracking="off" href="{{ unsubscribe_url }}"') == 1
    assert '<a href="{{ give_url }}"' in html


def test_nothing_in_a_letter_is_loaded_from_elsewhere():
    html = made("Hello\n\n::: button https://www.example.org/\nGo\n:::").words.html
    assert not re.search(r"<link|@import|url\(", html)


@pytest.mark.parametrize("name", ["nothing", "../secrets", "", "letter.mjml"])
def test_a_layout_that_is_none_is_refused(name: str):
    with pytest.raises(Invalid, match="there is no layout"):
        finish(Body("s", "Hello"), name, "en", KNOWN)
