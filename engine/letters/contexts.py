"""Where in the HTML of a letter its tags stand, and whether what they print can do harm there. Pure.

Text is escaped wherever it stands; so the places that matter are those where escaping is not enough: addresses of links,
styles, scripts, comments, names of tags and attributes.
"""

import re
from html.parser import HTMLParser

from engine.letters.holding import WORD, Holding
from engine.letters.language import Fault, Place, last_filter
from engine.letters.vocabulary import HTML, URL

LINKS = frozenset({"href", "src", "action", "background", "cite", "data", "formaction", "poster", "srcset"})
_HOST = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?[/?#]", re.ASCII)
_RAW = frozenset({"script", "style", "title", "textarea", "template", "noscript", "iframe", "xmp"})


def faults(html: str, holding: Holding) -> list[Fault]:
    """The tags of this HTML, with words in place of them, that stand where they cannot."""
    looking = _Looking(holding)
    looking.feed(html)
    looking.close()
    return looking.found


class _Looking(HTMLParser):
    def __init__(self, holding: Holding) -> None:
        super().__init__(convert_charrefs=False)
        self._holding = holding
        self._within = ""
        self.found: list[Fault] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._refuse(tag, "in the name of an element")
        for name, value in attrs:
            self._refuse(name, "in the name of an attribute")
            self._attribute(name, value or "")
        if tag in _RAW and not self._within:
            self._within = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._refuse(tag, "in the name of an element")
        if tag == self._within:
            self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self._refuse(data, f"inside of <{self._within}>")

    def handle_comment(self, data: str) -> None:
        self._refuse(data, "in a comment")

    def handle_decl(self, decl: str) -> None:
        self._refuse(decl, "in a declaration")

    def handle_pi(self, data: str) -> None:
        self._refuse(data, "in a declaration")

    def unknown_decl(self, data: str) -> None:
        self._refuse(data, "in a declaration")

    def _attribute(self, name: str, value: str) -> None:
        for word in WORD.finditer(value):
            place = self._holding.places.get(word[0])
            if place is None:
                continue
            if place.tag.says is None:
                self._fault(place, "a condition or a loop cannot stand inside of an address or another attribute")
            elif name == "style" or name.startswith("on"):
                self._fault(place, f"a field cannot stand in {name}")
            elif place.kind == HTML:
                self._fault(place, "this piece cannot stand inside of an attribute")
            elif name in LINKS:
                self._link(place, value[: word.start()], whole=word[0] == value)

    def _link(self, place: Place, before: str, *, whole: bool) -> None:
        if place.kind == URL:
            if not whole:
                self._fault(place, "this is a whole address: nothing can stand before or after it")
        elif not _HOST.match(before):
            self._fault(place, "a link can be one of our own, or begin with https://, a site's name and a slash")
        elif last_filter(place.tag) != "urlencode":
            self._fault(place, "in an address it needs | urlencode, as the last of its filters")

    def _refuse(self, text: str, where: str) -> None:
        for word in WORD.findall(text):
            if place := self._holding.places.get(word):
                self._fault(place, f"a tag cannot stand {where}")

    def _fault(self, place: Place, says: str) -> None:
        self.found.append(place.fault(says))
