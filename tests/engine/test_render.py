"""Letters: from words and facts to what is read; nothing missing, nothing injected, no tag lost on the way."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Invalid
from engine.events import Person
from engine.languages import offered
from engine.mail import letters
from engine.mail.letters import compiled
from engine.mail.links import Links
from engine.mail.render import one_line, render
from engine.outreach import deliver
from engine.reactions import react
from engine.settings import Settings
from engine.tokens import Signer
from tests.make import gift

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
FRAME = {
    "chapter": "Worcester", "sender_name": "Common Ground, Worcester", "postal_address": "41 Elm Street",
    "disclaimer": "Paid for by nobody.", "deductibility": "Not deductible.", "stoppable": True,
    "stop_words": "Stop these letters", "unsubscribe_url": "https://give.example.org/u/x",
    "choose_words": "Choose what you get", "preferences_url": "https://give.example.org/me/x",
}  # fmt: skip
FACTS = {
    "thank_you": FRAME | {
        "first_name": "Rosa", "amount": "$27", "given_on": "November 2, 2026", "receiver": "Common Ground Action",
        "order_number": "AB700000001", "rhythm": " a month",
    },
    "operator_notice": FRAME | {
        "kind": "event quarantined", "subject": "inbound event 7", "detail": "not valid JSON", "home": "https://example.org",
    },
    "sign_in": FRAME | {"sign_in_url": "https://give.example.org/staff/sign-in/x"},
    "confirm": FRAME | {"confirm_url": "https://give.example.org/confirm/x"},
    "welcome": FRAME | {"first_name": "Rosa", "why": "You are near Worcester."},
    "welcome_far": FRAME | {"first_name": "Rosa", "why": "There is none near you.", "offer": "Would you start one?"},
}  # fmt: skip
FACTS |= {f"{slug}.es": FACTS[slug] for slug in ("thank_you", "confirm", "welcome", "welcome_far")}
TO_STAFF = {"operator_notice", "sign_in"}
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='x", "{{ 7 * 7 }}", "{% raw %}", "a & b",
    "</td></tr></table>", "<!-- x", "\u202eevil", "=HYPERLINK(1)",
]  # fmt: skip
BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\t", "\x7f"]


def shipped(slug: str) -> letters.Words:
    return next(one for one in letters.shipped() if one.slug == slug)


def rendered(slug: str, **facts: Any):
    words = shipped(slug)
    return render(words.subject, words.body_html, words.body_text, FACTS[slug] | facts)


def asked(slug: str) -> set[str]:
    """The facts that a shipped letter is filled in with."""
    words, parse = shipped(slug), ImmutableSandboxedEnvironment().parse
    return find_undeclared_variables(parse(words.subject + words.body_html + words.body_text))


def test_every_shipped_letter_asks_for_facts_that_are_given_and_for_no_other():
    assert {words.slug for words in letters.shipped()} == set(FACTS)
    for slug, facts in FACTS.items():
        assert set(facts) - set(FRAME) <= asked(slug) <= set(facts)


@pytest.mark.parametrize("slug", FACTS)
def test_every_shipped_letter_renders_with_its_facts_and_says_each_in_html_and_text(slug: str):
    letter = rendered(slug)
    for part in (letter.html, letter.text):
        assert "{{" not in part
        assert "{%" not in part
    own = [FACTS[slug][name] for name in asked(slug) - set(FRAME)]
    assert [fact for fact in own if fact not in letter.text or fact not in letter.html] == []
    frame = asked(slug) & set(FRAME) - {"stoppable"}
    assert [name for name in frame if FRAME[name] not in letter.html] == []
    assert letter.text.endswith("\n")
    assert "\n\n\n" not in letter.text


@pytest.mark.parametrize("slug", FACTS)
def test_a_missing_fact_is_named_and_never_a_blank(slug: str):
    words = shipped(slug)
    for name in asked(slug):
        facts = {other: value for other, value in FACTS[slug].items() if other != name}
        with pytest.raises(Invalid, match=f"'{name}' is undefined"):
            render(words.subject, words.body_html, words.body_text, facts)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(name: str):
    plain, hostile = rendered("thank_you"), rendered("thank_you", first_name=name, receiver=name, order_number=name)
    assert name in hostile.text
    assert name in hostile.subject
    assert str(escape(name)) in hostile.html
    for character in "<>\"'":
        assert hostile.html.count(character) == plain.html.count(character)


def test_every_letter_to_people_is_there_in_every_language_and_says_which_it_is_in():
    slugs = {words.slug for words in letters.shipped()}
    ours = {slug for slug in slugs if "." not in slug} - TO_STAFF
    assert slugs - ours == TO_STAFF | {f"{slug}.{tongue}" for slug in ours for tongue in offered()[1:]}
    for words in letters.shipped():
        assert f'lang="{words.slug.partition(".")[2] or "en"}"' in words.body_html


@pytest.mark.parametrize("slug", ["confirm", "confirm.es"])
def test_the_question_by_letter_has_one_link_and_no_word_of_whom_it_is_sent_to(slug: str):
    assert not asked(slug) & {"first_name", "why", "offer", "chapter"}
    letter = rendered(slug, stoppable=False)
    addresses = set(re.findall(r"https://[^\s\"<]+", letter.html + letter.text)) - {"https://www.w3.org/1999/xhtml"}
    assert addresses == {"https://give.example.org/confirm/x"}


def test_html_is_escaped_by_itself_and_text_is_not():
    letter = render("{{ n }}", "<b>{{ n }}</b>", "{{ n }}", {"n": "<i>&'\""})
    assert letter.html == "<b>&lt;i&gt;&amp;&#39;&#34;</b>"
    assert (letter.subject, letter.text) == ("<i>&'\"", "<i>&'\"\n")


@pytest.mark.parametrize("end", BREAKS, ids=repr)
def test_no_name_can_end_a_header_early(end: str):
    name = f"Rosa{end}Bcc: sam@example.org{end}{end}<p>"
    subject = rendered("thank_you", first_name=name).subject
    for line in (subject, one_line(name)):
        assert len(line.splitlines()) == 1
        assert not any(ord(character) < 32 or ord(character) == 127 for character in line)
        assert "Rosa Bcc: sam@example.org <p>" in line


@given(st.text())
def test_one_line_is_one_line_without_controls_and_stays_so(name: str):
    line = one_line(name)
    assert len(line.splitlines()) <= 1
    assert line == one_line(line) == line.strip()


@pytest.mark.parametrize(
    "body", ["{{ n", "{% if %}", "{% unknown %}", "{{ n | no_such_filter }}", "{% include 'x' %}", "{{ n.__class__.mro() }}",
             "{{ range(9) }}", "{{ cycler }}", "{{ n.append(1) }}"],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_template_that_is_wrong_or_reaches_too_far_is_invalid(body: str, place: int):
    words = ["", "", ""]
    words[place] = body
    with pytest.raises(Invalid, match="the letter does not render: "):
        render(*words, {"n": []})


@pytest.mark.parametrize("body", ["{{ n / 0 }}", "{{ n | int + 'x' }}", "{{ n[0][0][0]() }}", "{{ n | center(n) }}"])
def test_a_template_that_breaks_while_it_renders_is_invalid_too(body: str):
    with pytest.raises(Invalid):
        render("", body, "", {"n": "Rosa"})


def mjml(inside: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{inside}</mj-column></mj-section></mj-body></mjml>"


def test_mjml_becomes_html_with_its_tags():
    html = compiled(
        mjml('<mj-text>Dear {{ n }}{% if x %}, {{ x }}{% endif %}</mj-text><mj-button href="{{ u }}">Go</mj-button>')
    )
    assert html.startswith("<!doctype html>")
    for tag in ("{{ n }}", "{% if x %}", "{{ x }}", "{% endif %}", "{{ u }}"):
        assert html.count(tag) == 1


@pytest.mark.parametrize(
    "inside",
    ['<mj-text title="{{ x }}">a</mj-text>', '<mj-hero background-url="{{ x }}"></mj-hero>',
     '<mj-image lowsrc="{% if x %}"/>',
     '<mj-social><mj-social-element name="facebook" href="{{ x }}">F</mj-social-element></mj-social>'],
)  # fmt: skip
def test_a_template_tag_that_compiling_loses_or_doubles_is_refused_and_named(inside: str):
    with pytest.raises(Invalid, match="compiling changed these template tags: ") as raised:
        compiled(mjml(inside))
    assert "x" in str(raised.value).partition(": ")[2]


@pytest.mark.parametrize("source", ["", "not MJML", "<mjml>", "<mjml><mj-body></mjml>", "<html></html>", "\0"])
def test_what_is_no_mjml_is_refused(source: str):
    with pytest.raises(Invalid, match="not MJML"):
        compiled(source)


def thanked(session: Session, **changed: Any) -> dict[str, Any]:
    """The facts of the thank-you for one gift, as the message keeps them."""
    react(session, [gift(**changed)], NOON, Settings())
    return dict(session.execute(text("SELECT facts FROM message ORDER BY id DESC LIMIT 1")).scalar_one())


def test_the_thank_you_tells_of_the_gift_as_the_receipt_does(session: Session):
    donor = Person(email="rosa@example.org", first_name="ROSA", zip="01605")
    late = datetime.fromisoformat("2026-11-30T23:30:00-05:00")
    told = {"amount_cents": 123_456, "order_number": "AB1", "recurring_period": "monthly"}
    assert thanked(session, donor=donor, paid_at=late, **told) == {
        "first_name": "Rosa", "amount": "$1,234.56", "given_on": "November 30, 2026", "order_number": "AB1",
        "receiver": "Common Ground Massachusetts Action, Inc.", "rhythm": " a month",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "fact", "said"),
    [({"recurring_period": "weekly"}, "rhythm", " a week"), ({"recurring_period": "once"}, "rhythm", ""),
     ({"recurring_period": "yearly"}, "rhythm", " a year"), ({"recurring_period": "quarterly"}, "rhythm", " a quarter"),
     ({"recurring_period": "every 2 weeks"}, "rhythm", ""),
     ({"amount_cents": 2750, "currency": "eur"}, "amount", "27.50 EUR"),
     ({"amount_cents": 5000, "currency": "jpy"}, "amount", "5,000 JPY"),
     ({"entity_id": 123456}, "receiver", "Common Ground Massachusetts PAC"),
     ({"entity_id": 999, "entity_name": "A Friend's Committee"}, "receiver", "A Friend's Committee"),
     ({"entity_id": None, "entity_name": ""}, "receiver", ""),
     ({"donor": Person(email="rosa@example.org")}, "first_name", "friend"),
     ({"paid_at": datetime.fromisoformat("2026-11-03T00:30:00+05:30")}, "given_on", "November 3, 2026")],
)  # fmt: skip
def test_each_fact_of_a_thank_you(session: Session, changed: dict[str, Any], fact: str, said: str):
    assert thanked(session, **changed)[fact] == said


def test_a_thank_you_is_composed_once_for_its_gift_in_the_lane_of_receipts(session: Session):
    one = gift()
    for _ in range(2):
        react(session, [one], NOON, Settings())
    (made,) = session.execute(
        text("SELECT m.occasion, m.lane, m.state, m.due_at, g.id FROM message m, contribution g")
    ).all()
    assert (made.occasion, made.lane, made.state, made.due_at) == (
        f"gift:{made.id}:thanks",
        bell.RECEIPTS,
        "ready",
        NOON,
    )


def test_nobody_is_thanked_for_a_gift_without_an_address(session: Session):
    react(session, [gift(donor=Person(first_name="Rosa"))], NOON, Settings())
    assert session.execute(text("SELECT count(*) FROM message")).scalar_one() == 0


@pytest.mark.parametrize("name", [*HOSTILE, *(f"Rosa{end}Bcc: sam@example.org" for end in BREAKS)], ids=repr)
def test_a_hostile_donor_gets_a_letter_whose_headers_are_each_one_line(session: Session, name: str):
    stored = name.replace("\x00", "")  # the parser takes these out, Postgres would refuse them
    react(
        session, [gift(donor=Person(email="rosa@example.org", first_name=stored, last_name=stored))], NOON, Settings()
    )
    (draft,), _ = deliver.claim(session, bell.RECEIPTS, NOON, 2.0)
    letter = draft.letter(Links(Signer(["a key of these tests"]), "https://give.example.org", NOON))
    for header in (
        letter.subject,
        letter.to_name,
        letter.from_name,
        letter.reply_to,
        letter.to_email,
        *letter.headers.values(),
    ):
        assert len(header.splitlines()) == 1
    assert "<script" not in letter.html
    assert "<img src=x" not in letter.html
