"""Every endpoint of the API, and a request to each that has nothing wrong with it: what hostile tests then make wrong."""

from engine.bootstrap import Deps
from tests import campaigns
from tests.flows.house import one
from tests.programs import Program
from webhooks import app
from webhooks.api.gate import Endpoint

RULE = {"op": "chapter", "chapter": "worcester"}
SEGMENT = {"slug": "hostile", "name": "Hostile", "rule": RULE, "chapter": "worcester"}
SEQUENCE = {
    "slug": "hostile",
    "name": "Hostile",
    "chapter": "worcester",
    "steps": [{"key": "one", "email": "hostile_news"}],
}
CAMPAIGN = {"slug": "hostile", "name": "Hostile", "chapter": "worcester", "letter": "hostile_news", "rule": RULE}
PROBLEM = "application/problem+json"
KEPT = ("segment", "sequence", "sequence_version", "campaign", "enrollment", "message", "api_request")
# A body that each endpoint which has one would take, by the end of its path.
BODIES = {
    "segments": SEGMENT, "sequences": SEQUENCE, "campaigns": CAMPAIGN, "pause": {"because": "x"}, "cancel": {"because": "x"},
    "duplicate": {"slug": "hostile-copy"}, "move": {}, "people": {"who": "nobody@example.org"},
}  # fmt: skip
ENDPOINTS = [
    (method, entry.path, entry.answer)
    for entry in app.ROUTES
    for method in entry.methods
    if isinstance(entry.answer, Endpoint)
]
WITH_BODY = [(method, path) for method, path, endpoint in ENDPOINTS if endpoint.body]


def asked(method: str, path: str, name: str = "hostile") -> tuple[str, str, object]:
    """A request of this endpoint that has nothing wrong with it."""
    *_, thing, end = path.removesuffix("/check").removesuffix("/preview").removesuffix("/{slug}").split("/")
    body = BODIES.get(end, BODIES.get(thing)) if (method, path) in WITH_BODY else None
    return method, path.removeprefix("/api/v1").replace("{slug}", name), body


def kept(house: Deps) -> list[int]:
    """How many rows there are of all that a request may leave behind."""
    return [one(house, f"SELECT count(*) AS n FROM {table}").n for table in KEPT]


def begin(house: Deps, program: Program) -> None:
    """Worcester's things, each called hostile."""
    campaigns.letter(house, "hostile_news")
    for name in ("segments", "sequences", "campaigns"):
        assert program.post(f"/{name}", BODIES[name]).status == 201
