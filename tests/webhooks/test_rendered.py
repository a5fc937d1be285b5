"""Forms that are rendered once for many readers: each has a stamp of her own, and sees what her own request asks for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine.tokens import Signer
from webhooks.forms import Stamp
from webhooks.rendered import LARGEST, Rendered

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
SIGNER = Signer(["a key of these tests"])


class House:
    """Renders what a request says, and counts how often."""

    def __init__(self, most: int = 256) -> None:
        self.rendered, self.times = Rendered(most), 0

    def open(self, query: str = "", languages: str = "en", *, now: datetime = NOW, as_of: float = 1.0) -> Response:
        headers = [(b"accept-language", languages.encode())]
        request = Request({
            "type": "http", "method": "GET", "path": "/join", "query_string": query.encode(), "headers": headers,
        })  # fmt: skip

        async def render(token: str) -> tuple[str, Response]:
            self.times += 1
            return "join", HTMLResponse(f"{languages} {query} {as_of} <{token}>", headers={"x-own": "kept"})

        return asyncio.run(self.rendered.form(request, now, as_of, SIGNER, render))


def stamp(answer: Response) -> Stamp:
    token = bytes(answer.body).decode().partition("<")[2].rstrip(">")
    read = Stamp.read(SIGNER, token, "join")
    assert read
    return read


def test_a_thousand_readers_have_a_thousand_stamps_and_cost_one_rendering():
    house = House()
    answers = [house.open() for _ in range(1000)]
    assert len({stamp(answer).nonce for answer in answers}) == 1000
    assert house.times == 1
    assert {answer.headers["content-length"] for answer in answers} == {str(len(bytes(answers[0].body)))}
    assert answers[-1].headers["x-own"] == "kept"


def test_every_word_of_a_request_that_a_form_may_depend_on_makes_another_form():
    house = House()
    bodies = {
        bytes(house.open(**asked).body).partition(b"<")[0]
        for asked in ({}, {"query": "lang=es"}, {"languages": "es"}, {"query": "amount=27"}, {"as_of": 2.0})
    }
    assert (len(bodies), house.times) == (5, 5)


def test_a_second_later_it_is_rendered_again_even_while_the_house_cannot_be_read():
    house = House()
    house.open()
    house.open(now=NOW + timedelta(seconds=1))
    assert house.times == 2


def test_no_more_are_kept_than_there_is_room_for_and_long_requests_not_at_all():
    house = House(most=2)
    for query in ("a", "b", "c", "c"):
        house.open(query)
    assert house.times == 3
    house.open("a")
    assert house.times == 4
    house.open("x" * LARGEST)
    house.open("x" * LARGEST)
    assert house.times == 6


def ask(rendered: Rendered, made: Response | str) -> Response:
    request = Request({"type": "http", "method": "GET", "path": "/join", "query_string": b"", "headers": []})

    async def render(token: str) -> tuple[str, Response]:
        return "join", HTMLResponse(made.format(token)) if isinstance(made, str) else made

    return asyncio.run(rendered.form(request, NOW, 1.0, SIGNER, render))


def test_what_is_no_form_is_answered_and_never_kept():
    rendered, closed = Rendered(), HTMLResponse("closed, and no stamp", 404)
    assert ask(rendered, closed) is closed
    assert stamp(ask(rendered, "<{}>"))


def test_nobody_can_write_what_a_stamp_replaces_and_a_form_has_one():
    marks: list[str] = []

    async def render(token: str) -> tuple[str, Response]:
        marks.append(token)
        return "join", HTMLResponse(f"{token} {token}")

    request = Request({"type": "http", "method": "GET", "path": "/join", "query_string": b"", "headers": []})
    for _ in range(2):
        with pytest.raises(AssertionError, match="one stamp"):
            asyncio.run(Rendered().form(request, NOW, 1.0, SIGNER, render))
    assert len(set(marks)) == 2


def test_a_form_that_creates_nothing_has_no_stamp():
    assert ask(Rendered(), HTMLResponse("nothing to stamp")).body == b"nothing to stamp"
