"""Every page and form, asked with words that hurt databases and parsers in each place: it may refuse, and never breaks."""

import re
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import quote

import pytest

from engine.bootstrap import Deps
from engine.settings import ROOT
from tests.asgi import Answer, Client
from tests.staff import Desk, hire, known
from webhooks.app import ROUTES

ODD = (
    "%00", "a\x00b", "9" * 30, str(2**63), "-1", "\udcff", "\ufdd0", "\u202e", "'", "a" * 3000, "2026-02-30", "0001-01-01",
    "9999-12-31", "NaN", "1e400", "{{ 7*7 }}", "{% if", "((((", "<script>", "%", "%ff", " ", "", "\r\nX: y", "../..",
)  # fmt: skip
NAMES = sorted(
    {name for path in (ROOT / "templates" / "pages").rglob("*.html")
     for name in re.findall(r'name="([a-z_]+)"', path.read_text("utf-8"))}
)  # fmt: skip
_odd = cycle(ODD)
OURS = frozenset({"form", "stamp"})  # without which a form is not looked at
LEFT_OUT = ("/static", "/dev/clock", "/staff/sign-out")
WHOLE = re.compile(r"\{[a-z_]+:int\}")
WORD = re.compile(r"\{[a-z_]+\}")


@pytest.fixture(scope="module")
def desk(house: Deps, door: Client) -> Desk:
    """Somebody who may do everything."""
    house.limiter.counts.clear()
    found = Desk(door)
    found.sign_in(house, hire(house, "odd@staff.example.org", "admin"))
    return found


def some() -> list[str]:
    """The next few of them: each comes to some places, and each place gets some."""
    return [next(_odd) for _ in range(4)]


def addresses(method: str) -> Iterator[str]:
    """The path of every route of this method."""
    yield from (
        entry.path for entry in ROUTES
        if method in entry.methods and not entry.path.startswith(LEFT_OUT) and "/webhooks/" not in entry.path
    )  # fmt: skip


def broken(answers: dict[str, Answer]) -> dict[str, int]:
    """Those that say that we are at fault; a page that lacks a server behind it says 503."""
    return {path: answer.status for path, answer in answers.items() if answer.status >= 500 and answer.status != 503}


def test_no_path_and_no_query_breaks_a_page(desk: Desk):
    answers = {}
    for path in addresses("GET"):
        for odd, number in zip(some(), (str(2**63), "9" * 30, "0", str(2**31)), strict=True):
            word = quote(odd, errors="surrogateescape")
            query = "&".join(
                f"{name}={word}" for name in ("q", "page", "cursor", "k", "lang", "g", "amount", "with", "zip", "order")
            )
            filled = WORD.sub(lambda _, word=word: word or "x", WHOLE.sub(number, path))
            answers[f"{filled[:80]}?{word[:20]}"] = desk.get(f"{filled}?{query}")
    assert len(answers) > 150
    assert broken(answers) == {}


def test_no_field_breaks_a_form(house: Deps, desk: Desk):
    her = str(known(house, "odd.one@example.org", "01605"))
    answers = {}
    desk.get("/staff/sheet")
    page = desk.page
    for path in addresses("POST"):
        if path.startswith("/api/"):
            continue
        for odd in some():
            house.limiter.counts.clear()
            desk.page = page
            fields = {name: odd.encode("utf-8", "replace").decode() for name in NAMES if name not in OURS}
            filled = WORD.sub("welcome" if "/letters/" in path else "worcester", WHOLE.sub(her, path))
            answers[f"{path} {odd[:20]!r}"] = desk.post(filled, **fields)
    assert {answer.status for answer in answers.values()} >= {303, 404, 422}
    assert broken(answers) == {}
