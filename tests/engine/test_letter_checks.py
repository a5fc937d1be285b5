"""What is remarked on a letter before it leaves: each thing that its readers, their programs or the law might mind, and a
letter of which there is nothing to say."""

from pathlib import Path

import pytest

from engine.letters import checks, drafts, finishing
from engine.letters.finishing import Body
from engine.letters.sheets import Words
from engine.letters.shipped import shipped
from engine.letters.vocabulary import vocabulary
from engine.settings import ROOT

KNOWN = vocabulary({})
SITE = "https://www.commonground-ma.org"
CLEAN = f"""\
# The vote is on Tuesday

Dear {{{{ first_name | default("neighbour") }}}}, the *housing committee* votes. [Who sits on it]({SITE}/who?x=1&y=2).
Write to [us](mailto:hello@commonground-ma.org), or [choose]({{{{ preferences_url }}}}) what you get!

::: button {SITE}/write
Write to your senator
:::

![Triple-deckers on Elm Street]({SITE}/houses.png)

::: ladder
:::

On match day the UMASS stadium is closed. We have not given up. Your membership is free.
"""


def remarks(markdown: str = CLEAN, subject: str = "The rent vote is on Tuesday") -> list[str]:
    return checks.of(finishing.finish(Body(subject, markdown, "Two have not said how"), "letter", "en", KNOWN))


def bare(html: str) -> list[str]:
    return checks.remarks(Words("The vote", html, ""))


def link(address: str) -> str:
    return f"See [here](<{address}>)."


def test_of_a_letter_that_is_as_it_should_be_there_is_nothing_to_say():
    assert remarks() == []


def test_of_the_letters_that_come_with_the_code_there_is_nothing_to_say():
    for letter in shipped():
        for words in letter.words.values():
            assert checks.remarks(words) == []


def test_of_the_invented_organisations_own_letters_only_its_invented_site_is_said():
    folder: Path = ROOT / "templates" / "demo" / "letters"
    for spoken, body in drafts.read(sorted(folder.glob("rent-vote*.md"))).bodies.items():
        found = checks.of(finishing.finish(body, "letter", spoken, KNOWN))
        assert [each for each in found if "example.org" not in each] == []


@pytest.mark.parametrize(
    ("markdown", "says"),
    [("Word, word. " * 9_000, "It weighs 11"),
     (f"![]({SITE}/a.png)", "One picture without a description: who does not see it reads nothing."),
     (f"![]({SITE}/a.png)\n\nand ![ ]({SITE}/b.png)", "2 pictures without a description: who does not see it reads nothing."),
     ("This is URGENT: GIVE TODAY", "It shouts: URGENT, GIVE, TODAY."), ("GIVE, GIVE, and GIVE", "It shouts: GIVE."),
     ("Tomorrow!! We meet", "It has many exclamation marks."), ("a! b! c! d! e! f!", "It has many exclamation marks."),
     (link("https://x/"), "The link https://x/ leads nowhere."),
     (link("https://www..org/"), "The link https://www..org/ leads nowhere."),
     (link("https://example.com/x"), "The link https://example.com/x is a placeholder."),
     (link("https://www.site.test/"), "The link https://www.site.test/ is a placeholder."),
     (link("http://a.org/"), "The link http://a.org/ is not secure: https."),
     (link("https://bank.org@evil.org/"), "The link https://bank.org@evil.org/ looks like a trick: "),
     (link("https://192.0.2.7/"), "The link https://192.0.2.7/ looks like a trick: "),
     (link("https://a.org:8443/"), "The link https://a.org:8443/ looks like a trick: "),
     (link("https://xn--80ak6aa92e.com/"), "The link https://xn--80ak6aa92e.com/ looks like a trick: "),
     ("::: button http://a.org/\nGo\n:::", "The link http://a.org/ is not secure: https."),
     ("Every gift is matched today", "It claims a match (\u201cmatched\u201d): be sure that you can prove it."),
     ("A 500%-MATCH", "It claims a match ("), ("a triple match", "It claims a match (\u201cmatch\u201d)"),
     ("This is your final notice", "It claims a final notice (\u201cfinal notice\u201d): be sure that you can prove it."),
     ("Last chance to give", "It claims a final notice (\u201cLast chance\u201d)"),
     ("You haven't given yet", "It claims that somebody has not given (\u201cYou haven't given\u201d)"),
     ("Our records show nothing", "It claims that somebody has not given (\u201crecords show\u201d)"),
     ("Your membership will expire", "It claims a membership that expires (\u201cmembership will expire\u201d)"),
     ("Your membership expires", "It claims a membership that expires (\u201cmembership expire\u201d)"),
     ("Membership status: SUSPENDED", "It claims a membership that expires ("),
     ('<span style="color:#999999">faint</span>', "Text of the colour #999999 on #fbfaf7 is hard to read."),
     ("<script>x()</script>", "<script> was taken out: letters cannot hold it.")],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_what_a_body_says_is_remarked_on(markdown: str, says: str):
    (told,) = remarks(f"Dear all,\n\n{markdown}\n\nBye")
    assert told.startswith(says)


@pytest.mark.parametrize(
    ("subject", "says"),
    [("x" * 79, "The subject has 79 characters: a phone shows about 40."),
     ("Re: your question", "The subject pretends to be an answer: the law asks for subjects that are true."),
     ("FWD: look at this", "The subject pretends to be an answer"), ("LAST GREAT HOURS", "It shouts: LAST, GREAT, HOURS"),
     ("Now!!", "It has many exclamation marks."),
     ("Your final warning", "It claims a final notice (\u201cfinal warning\u201d)")],
)  # fmt: skip
def test_what_a_subject_says_is_remarked_on(subject: str, says: str):
    (told,) = remarks(subject=subject)
    assert told.startswith(says)


@pytest.mark.parametrize(
    "markdown",
    ["The game is on match day", "She gave us her final answer", "UMASS and the NAACP", "PTA, IRS, DMV, TSA",
     "Records of the city", "x! y! z!",
     link("https://a.org/?q=http://b.org"), link("mailto:us@a.org"), '<span style="color:#707070">just dark enough</span>'],
    ids=repr,
)  # fmt: skip
def test_what_only_looks_like_it_is_not(markdown: str):
    assert remarks(f"Dear all,\n\n{markdown}\n\nBye") == []


@pytest.mark.parametrize(
    "address", ["https://", "https://a.org:no/", "https://[x/", "https://a.org./", "https://a b.org/"]
)
def test_a_link_that_no_browser_could_follow_is_remarked_on(address: str):
    assert bare(f'<a href="{address}">x</a>') == [f"The link {address} leads nowhere."]


def test_a_link_or_a_colour_is_remarked_on_once_and_all_remarks_come_together():
    found = remarks(f"{link('http://a.org/')} {link('http://a.org/')} NEVER EVER WAIT\n\n![]({SITE}/a.png)", "Re: x")
    assert [each.split()[0] for each in found] == ["The", "It", "The", "One"]


def test_the_names_of_tags_are_no_words_of_the_letter():
    assert remarks('{{ first_name | default("match WITH MANY CAPS!!") }}') == []
    assert (
        remarks("Dear {{ custom.THIS }} {{ custom.THAT }}".replace("custom.THIS", "city").replace("custom.THAT", "zip"))
        == []
    )


# Colours.


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21.0), ("#fff", "#ffffff", 1.0), ("#777777", "#ffffff", 4.48), ("#767676", "#fff", 4.54),
     ("#ff0000", "#ffffff", 4.0), ("#0000ff", "#000000", 2.44)],
)  # fmt: skip
def test_contrast_is_what_wcag_says_and_the_same_both_ways(one: str, other: str, ratio: float):
    assert round(checks.contrast(one, other), 2) == ratio
    assert checks.contrast(one, other) == checks.contrast(other, one)


@pytest.mark.parametrize(
    ("html", "faint"),
    [('<div style="background:#000"><p style="color:#333">x</p></div>', ["#333", "#000"]),
     ('<div style="background-color: #000000"><p style="color: #EEE">x</p></div>', []),
     ('<td bgcolor="#0f5c5a"><a href="https://a.org/" style="color:#ffffff">x</a></td>', []),
     ('<td bgcolor="#EEEEEE"><b style="font-weight:700;color:#999">x</b></td>', ["#999", "#eeeeee"]),
     ('<div style="background:#000"></div><p style="color:#333">x</p>', []),
     ('<div style="background:#000"><br><img alt="a" src="x"><p style="color:#eee">x</p></div>', []),
     ('<div style="display: none;color:#fff">the preview</div>', []),
     ('<p style="border-color:#fff;background:none">x</p>', [])],
)  # fmt: skip
def test_text_is_seen_on_the_ground_that_it_stands_on(html: str, faint: list[str]):
    says = [f"Text of the colour {faint[0]} on {faint[1]} is hard to read."] if faint else []
    assert bare(html) == says


def test_what_is_not_read_is_not_remarked_on():
    assert bare("<title>GIVE NOW</title><style>.GIVE .NOW{}</style><p>Hello</p>") == []


def test_a_letter_of_just_the_weight_that_gmail_shows_is_not_too_heavy():
    html = "<p>" + "x" * (checks.HEAVIEST - 3)
    assert bare(html) == []
    assert bare(html + "x") == ["It weighs 102 kB: Gmail cuts off what is over 102."]
