"""JSON as programs send it: what it says is what Python's own reader finds, and each place has its line."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from webhooks.api import json_words

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(10**17), 10**17) | st.decimals(-(10**9), 10**9, places=3)
VALUES = st.recursive(
    st.none() | st.booleans() | WORDS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


class Exact(float):
    """A number that is written as it is."""

    def __new__(cls, number: Decimal):
        made = super().__new__(cls, number)
        made.said = f"{number:f}"
        return made

    def __repr__(self) -> str:
        return self.said


def writable(value):
    if isinstance(value, Decimal):
        return Exact(value)
    if isinstance(value, list):
        return [writable(each) for each in value]
    return {name: writable(each) for name, each in value.items()} if isinstance(value, dict) else value


@given(value=VALUES, indent=st.sampled_from([None, 0, 2, "\t"]), escaped=st.booleans())
def test_what_json_says_is_what_was_written(value, indent, escaped: bool):
    body = json.dumps(writable(value), indent=indent, ensure_ascii=escaped).encode()
    told = json_words.read(body)
    assert (told.faults, told.said) == ([], value)


@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]",:0123e.-+ntfalsr\\u \n', max_size=40).map(str.encode))
def test_whatever_is_sent_is_read_or_refused_and_never_read_otherwise_than_python_does(body: bytes):
    told = json_words.read(body)
    if told.faults:
        assert (len(told.faults), told.node) == (1, None)
    else:
        assert told.said == json.loads(body, parse_float=Decimal)


def test_every_place_has_its_line():
    body = (
        b'{\n  "slug": "x",\n  "rule": {"op": "all",\n    "of": [\n      {"op": "gave"},\n\n      {"op":\n "not"}]}\n}'
    )
    told = json_words.read(body)
    lines = {("slug",): 2, ("rule",): 3, ("rule", "of"): 4, ("rule", "of", 0): 5, ("rule", "of", 1): 7, ("missing",): 1}
    assert {path: told.line(path) for path in lines} == lines
    assert [fault.line for fault in json_words.read(b'{"a": 1,\n\n "a": 2}').faults] == [3]
