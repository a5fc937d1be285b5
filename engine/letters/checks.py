"""A plain check of a letter before it leaves: what its readers, their programs or the law might mind. Advice, not refusal.

Weight: Gmail cuts what is longer than 102 kB off (its help, "Message clipped"). Contrast: WCAG 2.2, 1.4.3.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

from engine.letters.finishing import Finished
from engine.letters.language import tags
from engine.letters.sheets import Words

HEAVIEST = 102_000  # bytes of HTML
LONGEST_SUBJECT = 78  # characters: a phone shows half of them
LEAST_CONTRAST = 4.5
_SHOUTED = re.compile(r"\b[A-Z]{4,}\b")
_CLAIMS = {
    "a match": re.compile(
        r"\b(\w+-match|match(ed|ing)?)\b(?! day)"
        r"|\b((doubl|tripl|quadrupl)(ed?|es|ing)|[2-9]x)\b(?!.match)|\b[2-9]00%(?!.match)",
        re.IGNORECASE,
    ),
    "a final notice": re.compile(r"\bfinal (notice|warning|chance)\b|\blast (notice|chance|warning)\b", re.IGNORECASE),
    "that somebody has not given": re.compile(
        r"\b(you )?haven.?t (given|donated|chipped)\b|\bno (gift|donation) on record\b|\b(records|files) show\b",
        re.IGNORECASE,
    ),
    "a membership that expires": re.compile(
        r"\b(account|membership|status)\b(\W+\w+){0,3}?\W+(expire|lapse|suspend)", re.IGNORECASE
    ),
}  # fmt: skip
_COLOUR = re.compile(r"(?:^|;)\s*(color|background|background-color)\s*:\s*#([0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)
_NO_SITE = frozenset({"localhost", "example.com", "example.org", "example.net"})


def remarks(words: Words) -> list[str]:
    """What one should look at, in plain sentences; nothing when all is well."""
    seen = _Seen()
    seen.feed(_without_tags(words.html))
    seen.close()
    said = " ".join([_without_tags(words.subject), *seen.said])
    found = [
        *_weight(words.html), *_subject(words.subject), *_shouting(said), *_claims(said), *_links(seen.links),
    ]  # fmt: skip
    if seen.without_alt:
        found.append(f"{_many(seen.without_alt, 'picture')} without a description: who does not see it reads nothing.")
    found += [f"Text of the colour {text} on {ground} is hard to read." for text, ground in seen.faint]
    return list(dict.fromkeys(found))


def of(done: Finished) -> list[str]:
    """The same of words that were just finished, and what was taken out of them."""
    return [*(f"{each} was taken out: letters cannot hold it." for each in done.removed), *remarks(done.words)]


def _weight(html: str) -> Iterator[str]:
    size = len(html.encode())
    if size > HEAVIEST:
        yield f"It weighs {size / 1000:.0f} kB: Gmail cuts off what is over 102."


def _subject(subject: str) -> Iterator[str]:
    if len(subject) > LONGEST_SUBJECT:
        yield f"The subject has {len(subject)} characters: a phone shows about 40."
    if pretends(subject):
        yield "The subject pretends to be an answer: the law asks for subjects that are true."


def _shouting(said: str) -> Iterator[str]:
    shouted = _SHOUTED.findall(said)
    if len(shouted) > 2:  # one or two are names
        yield f"It shouts: {', '.join(dict.fromkeys(shouted[:5]))}."
    if "!!" in said or said.count("!") > 5:
        yield "It has many exclamation marks."


def pretends(subject: str) -> bool:
    """Whether a subject looks like the answer to a letter that nobody wrote."""
    return re.match(r"(re|fwd?):", subject, re.IGNORECASE) is not None


def claims(said: str) -> Iterator[tuple[str, str]]:
    """What these words claim that somebody may have to prove, and by which words: ("a match", "triple")."""
    for claim, pattern in _CLAIMS.items():
        if found := pattern.search(said):
            yield claim, found[0]


def _claims(said: str) -> Iterator[str]:
    for claim, words in claims(said):
        yield f"It claims {claim} (\u201c{words}\u201d): be sure that you can prove it."


def _links(links: list[str]) -> Iterator[str]:
    for link in dict.fromkeys(links):
        try:
            parts = urlsplit(link)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            yield f"The link {link[:80]} leads nowhere."
            continue
        if parts.scheme == "mailto":
            continue
        if "." not in host or " " in link or host.endswith(".") or ".." in host:
            yield f"The link {link[:80]} leads nowhere."
        elif host in _NO_SITE or host.rpartition(".")[2] in ("test", "invalid", "localhost"):
            yield f"The link {link[:80]} is a placeholder."
        elif parts.username is not None or port is not None or host.replace(".", "").isdigit() or "xn--" in host:
            yield f"The link {link[:80]} looks like a trick: a number for a site, a name before an @, a port, odd letters."
        elif parts.scheme == "http":
            yield f"The link {link[:80]} is not secure: https."


class _Seen(HTMLParser):
    """What of a letter is read: its text, links, pictures, colours."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.links: list[str] = []
        self.without_alt = 0
        self.faint: list[tuple[str, str]] = []
        self._grounds = ["#ffffff"]
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag in ("style", "script", "title"):
            self._silent += 1
        if tag == "a" and (link := told.get("href", "")):
            self.links.append(link)
        if tag == "img" and not told.get("alt", "").strip():
            self.without_alt += 1
        if tag not in ("br", "hr", "img", "meta", "link", "input"):
            self._colours(told)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "title"):
            self._silent -= 1
        if tag not in ("br", "hr", "img", "meta", "link", "input") and len(self._grounds) > 1:
            self._grounds.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.said.append(data.strip())

    def _colours(self, told: dict[str, str]) -> None:
        named = {name.lower(): f"#{value.lower()}" for name, value in _COLOUR.findall(told.get("style", ""))}
        ground = named.get("background-color") or named.get("background") or told.get("bgcolor", "").lower()
        self._grounds.append(ground if re.fullmatch(r"#([0-9a-f]{3}){1,2}", ground) else self._grounds[-1])
        text = named.get("color")
        hidden = "display:none" in told.get("style", "").replace(" ", "")  # the preview before the letter
        if text and not hidden and contrast(text, self._grounds[-1]) < LEAST_CONTRAST:
            self.faint.append((text, self._grounds[-1]))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ("#1c1b19", "#fff"), from 1 to 21: WCAG 2.2, "relative luminance"."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _without_tags(source: str) -> str:
    """The source with a harmless word, or a harmless link, where its tags are."""
    made, place = [], 0
    for tag in tags(source):
        before = source[place : tag.start]
        word = "https://groundswell.link/" if before.endswith('"') else "word" if tag.says is not None else ""
        made += [before, word]
        place = tag.start + len(tag.source)
    return "".join([*made, source[place:]])


def _many(count: int, what: str) -> str:
    return f"One {what}" if count == 1 else f"{count} {what}s"
