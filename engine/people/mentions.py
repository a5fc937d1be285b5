"""Whether a raw body mentions somebody: her address, or the name of one of her payments, in whatever way it is written.

Pure. A mention is whole: what is told of mariana@example.org, ana+news@example.org or ana@example.org.uk is not told of
ana@example.org. Whoever looks through many bodies asks Postgres for the likely ones (`likely`), then `Sought` for each.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from urllib.parse import parse_qsl, unquote

from engine.sources.words import email_address

LONGEST_VALUE = 320  # a longer value is no address by itself
_MOST_REPEATED = 255  # as often as a pattern of Postgres may repeat something
_PARTS = re.compile(r"[a-z0-9]+|[^\x00-\x7f]+|.", re.DOTALL)
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_BREAK = re.compile(r"\\+[bfnrt]")
_FORM = re.compile(r"[^\s\"<>{}\[\]]*=[^\s\"<>{}\[\]]*")

# Where an address goes on. It could hold = / ? & and more of their kind too, but nobody's does: they stand between names and
# values wherever addresses are written out. A value that is an address as a whole is compared as a whole.
_ADDRESS = r"(?<![\w.+-])(?<!\w')(?:{})(?![\w-]|\.\w)"
_KEY = r"(?<![\w-])(?:{})(?![\w-])"
_NOTHING = re.compile(r"(?!)")


class Sought:
    """What bodies are looked through for: addresses, as we know them, and by source the names of payments."""

    def __init__(self, addresses: Collection[str], keys: Mapping[str, Collection[str]]) -> None:
        self._addresses = frozenset(addresses)
        self._address = _any(_ADDRESS, {spelling for each in addresses for spelling in spellings(each)})
        self._keys = {source: _any(_KEY, names) for source, names in keys.items()}

    def stands_in(self, body: bytes, source: str) -> bool:
        """Whether a body of this source mentions any of it."""
        key = self._keys.get(source, _NOTHING)
        return any(self._is_told(said) or key.search(said) for said in _values(body))

    def _is_told(self, said: str) -> bool:
        if "@" in said and len(said) <= LONGEST_VALUE and (known := email_address(said.strip())) is not None:
            return known in self._addresses
        return self._address.search(_plain(said)) is not None


def likely(address: str) -> str:
    """A pattern of Postgres: it finds every way to write an address in `lower(encode(body, 'escape'))`, and more."""
    return "".join(map(_likely, _PARTS.findall(address.lower())))


def spellings(address: str) -> set[str]:
    """An address as it is, and with its domain in the letters of the network."""
    name, _, domain = address.rpartition("@")
    written = {address}
    with suppress(UnicodeError):  # a domain that has no such spelling
        written.add(f"{name}@{domain.encode('idna').decode()}")
    return written


def _likely(part: str) -> str:
    """Letters and digits stand as they are. Any other sign may be percent-encoded, or escaped as JSON does, both more than
    once; one beyond ASCII in more ways than are worth a list."""
    if not part.isascii():
        return f".{{1,{min(_MOST_REPEATED, 40 * len(part))}}}"
    if part.isalnum():
        return part
    code = ord(part)
    return rf"(\u{code:04x}|%(25)*{code:02x}|\\+u{code:04x})"


def _any(pattern: str, words: Collection[str]) -> re.Pattern[str]:
    return re.compile(pattern.format("|".join(map(re.escape, sorted(words))))) if words else _NOTHING


def _values(body: bytes) -> Iterator[str]:
    """What a body says, value by value, as far as it can be read: as JSON, else as a form, else as one text."""
    for said in _decoded(body):
        try:
            # Pairs, not a dict: a key that stands twice says both. Numbers as they are written.
            document = json.loads(said, object_pairs_hook=list, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            form = parse_qsl(said.strip(), keep_blank_values=True) if _FORM.fullmatch(said.strip()) else []
            yield from (word for pair in form for word in pair)
            if not form:
                yield _BREAK.sub(" ", said)
        else:
            yield from _strings(document)


def _decoded(body: bytes) -> Iterator[str]:
    """A body as text: UTF-8; what is none, also as the letters of western Europe."""
    try:
        yield body.decode()
    except UnicodeDecodeError:
        yield body.decode(errors="replace")
        yield body.decode("latin-1")


def _strings(document: object) -> Iterator[str]:
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str(said):
                yield said
            case [*inner]:  # a list, an object, a pair
                waiting += inner


def _plain(said: str) -> str:
    """A text with what is escaped or percent-encoded in it written out, as often as that was done; in small letters."""
    for _ in range(3):
        before, said = said, unquote(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), said))
        if said == before:
            break
    return unicodedata.normalize("NFC", said).lower()
