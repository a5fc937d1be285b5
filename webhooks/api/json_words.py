"""JSON as programs send it, read strictly: one way to read it, or none. Pure.

It becomes a `Document`, as a file of YAML does, so that whatever is wrong with it is told with its line. Numbers become int
and Decimal. Refused: a key that stands twice, NaN, a byte order mark, what is no UTF-8, NUL and half characters, numbers that
no field of ours can hold (1e5, 17 decimals), more than DEEPEST levels.
"""

import json
import re
from decimal import Decimal
from typing import Any

import yaml

from engine.documents import Document, Fault

DEEPEST = 32  # levels

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_LITERAL = re.compile(r"[-+.\w]+", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(\.\d{1,9})?", re.ASCII)
_NAMED = {"true": True, "false": False, "null": None}
_TAG = "tag:yaml.org,2002:"


def read(body: bytes) -> Document:
    """What it says, and where; when it cannot be read, that is its only fault."""
    try:
        words = body.decode("utf-8")
    except UnicodeDecodeError:
        return Document(faults=[Fault(0, "cannot be read: JSON is UTF-8")])
    try:
        return Document(*_Reader(words).whole())
    except _NoJsonError as error:
        return Document(faults=[Fault(words.count("\n", 0, error.at) + 1, str(error))])


class _NoJsonError(Exception):
    def __init__(self, at: int, says: str) -> None:
        super().__init__(says)
        self.at = at


class _Reader:
    """Goes through the words once; knows in which line it is."""

    def __init__(self, words: str) -> None:
        self._words, self._at = words, 0
        self._line, self._counted = 0, 0

    def whole(self) -> tuple[yaml.Node, Any]:
        """Node and value of all of it. Raises _NoJsonError."""
        found = self._value(0)
        if self._peek():
            raise self._wrong("something follows after its end")
        return found

    def _value(self, depth: int) -> tuple[yaml.Node, Any]:
        sign = self._peek()
        mark = self._mark()
        if sign == '"':
            said = self._string()
            return yaml.ScalarNode(_TAG + "str", said, mark, mark), said
        if sign not in {"{", "["}:
            return self._literal(mark)
        if depth == DEEPEST:
            raise self._wrong("is nested too deeply")
        self._at += 1
        return self._object(mark, depth + 1) if sign == "{" else self._list(mark, depth + 1)

    def _literal(self, mark: yaml.Mark) -> tuple[yaml.Node, Any]:
        found = _LITERAL.match(self._words, self._at)
        if not found:
            raise self._wrong("cannot be read as JSON")
        number = _NUMBER.fullmatch(found[0])
        if not number and found[0] not in _NAMED:
            raise self._wrong(f"{found[0][:20]} is nothing that is read here")
        self._at = found.end()
        value = _NAMED[found[0]] if not number else Decimal(found[0]) if number[1] else int(found[0])
        return yaml.ScalarNode(_TAG + "null", found[0], mark, mark), value

    def _object(self, mark: yaml.Mark, depth: int) -> tuple[yaml.Node, Any]:
        nodes: list[tuple[yaml.Node, yaml.Node]] = []
        said: dict[str, Any] = {}
        while self._more("}", first=not nodes):
            if self._peek() != '"':
                raise self._wrong("a key was expected, in quotation marks")
            where, start, key = self._mark(), self._at, self._string()
            if key in said:
                self._at = start
                raise self._wrong(f"{key[:60]} stands twice")
            self._step(":")
            node, said[key] = self._value(depth)
            nodes.append((yaml.ScalarNode(_TAG + "str", key, where, where), node))
        return yaml.MappingNode(_TAG + "map", nodes, mark, mark), said

    def _list(self, mark: yaml.Mark, depth: int) -> tuple[yaml.Node, Any]:
        nodes: list[yaml.Node] = []
        said: list[Any] = []
        while self._more("]", first=not nodes):
            node, value = self._value(depth)
            nodes.append(node)
            said.append(value)
        return yaml.SequenceNode(_TAG + "seq", nodes, mark, mark), said

    def _more(self, end: str, *, first: bool) -> bool:
        """Whether another member follows: past the comma before it, or past the end."""
        if self._peek() == end:
            self._at += 1
            return False
        if not first:
            self._step(",")
        return True

    def _step(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._wrong(f"{sign} was expected")
        self._at += 1

    def _string(self) -> str:
        found = _STRING.match(self._words, self._at)
        if not found:
            raise self._wrong("a string does not end, or holds a sign that must be escaped")
        said: str = json.loads(found[0])
        if "\0" in said or any("\ud800" <= sign <= "\udfff" for sign in said):
            raise self._wrong("a string holds NUL or half a character")
        self._at = found.end()
        return said

    def _peek(self) -> str:
        """The next sign that is no space; "" at the end."""
        space = _SPACE.match(self._words, self._at)
        assert space is not None  # it may be empty
        self._at = space.end()
        return self._words[self._at : self._at + 1]

    def _mark(self) -> yaml.Mark:
        self._line += self._words.count("\n", self._counted, self._at)
        self._counted = self._at
        return yaml.Mark("", self._at, self._line, 0, None, 0)

    def _wrong(self, says: str) -> _NoJsonError:
        return _NoJsonError(self._at, says)
