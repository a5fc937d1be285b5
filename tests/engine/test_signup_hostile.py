"""Hostile sign-ups: whatever bytes, values and places, the parsers report what the database takes, or raise Invalid."""

import json
from dataclasses import asdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.sources import parse
from engine.sources.words import Ignored, Split
from tests.make import NOON, arrived, payload, raw


def survived(body: bytes, source: str, kind: str = "") -> None:
    """Sign-ups that can be kept, a reason to ignore it, parts, or Invalid; nothing else."""
    try:
        found = parse(arrived(body, source=source, kind=kind))
    except Invalid:
        return
    if isinstance(found, list):
        for one in found:
            assert one.at <= NOON
            assert 0 < len(one.source_key) <= 210
            kept = json.dumps([asdict(one.person), one.detail, one.tags, one.place, one.wording], ensure_ascii=False)
            assert "\\u0000" not in kept
            assert kept.encode()  # half a surrogate pair has no bytes
    else:
        assert isinstance(found, Ignored | Split)


SOURCES = st.sampled_from([("signup", ""), ("actionnetwork", ""), ("actionnetwork", "part")])
WORDS = ["subscribed", "2025-03-02T12:00:00Z", "rosa@example.org", "01605", "\x00", "\ud800", "primary"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=300), SOURCES)
def test_no_bytes_make_a_parser_raise_anything_but_invalid(body: bytes, source: tuple[str, str]):
    survived(body, *source)
    survived(b"[" + body, *source)


@given(VALUES, SOURCES)
def test_no_json_value_makes_a_parser_raise_anything_but_invalid(document: object, source: tuple[str, str]):
    survived(raw(document), *source)


BODIES = [("signup", json.loads(payload(f"signup/{name}.json"))) for name in ("own", "form", "helper")] + [
    ("actionnetwork", element) for element in json.loads(payload("signup/actions.json"))
]


def places(document: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))]


SPOTS = [(source, body, place) for source, body in BODIES for place in places(body) if place]


@given(st.sampled_from(SPOTS), VALUES)
def test_no_value_at_any_place_makes_a_parser_raise_anything_but_invalid(spot: tuple[str, Any, Any], value: object):
    source, body, place = spot
    changed = within = json.loads(raw(body))
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    survived(raw(changed), source)
