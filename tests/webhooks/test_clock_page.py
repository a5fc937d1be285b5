"""The page that skips development's clock: only its own form moves it, and it says what does not follow it."""

import re

import pytest

from engine.bootstrap import Deps
from tests.asgi import Client
from tests.webhooks.joining import PAGES, post, said


def stamp(door: Client) -> str:
    (found,) = re.findall(r'name="stamp" value="([^"]+)"', door.send("GET", "/dev/clock", [PAGES]).body.decode())
    return str(found)


@pytest.mark.parametrize("made", ["", "x", "another form's"])
def test_a_page_of_somebody_else_cannot_skip_the_clock(door: Client, house: Deps, made: str):
    told = house.signer.sign("form", "join", 1, "n") if made == "another form's" else made
    for headers in ([], [("origin", "null")]):
        assert post(door, "/dev/clock", {"stamp": told, "span": "day"}, *headers).status == 403
    assert (
        post(door, "/dev/clock", {"stamp": stamp(door), "span": "day"}, ("sec-fetch-site", "cross-site")).status == 403
    )


def test_the_form_of_the_page_is_read(door: Client):
    assert post(door, "/dev/clock", {"stamp": stamp(door), "span": "century"}).status == 422
    assert (
        post(door, "/dev/clock", {"stamp": stamp(door), "span": "day"}).status == 404
    )  # a test's clock cannot be skipped


def test_the_page_says_that_chores_keep_to_the_real_clock(door: Client):
    assert "The chores are done by the real clock" in said(door.send("GET", "/dev/clock", [PAGES]))
