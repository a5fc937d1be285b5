"""What programs do by the API: whoever gets no answer sends the same request once more, with the same key."""

import json
from typing import Any

from tests import campaigns
from tests.crash.driving import Act, Story
from tests.crash.processes import House, Process
from tests.programs import Program, program
from tests.sequences import alone
from tests.webhooks.endpoints import ENDPOINTS, RULE

WRITES = [(method, path) for method, path, endpoint in ENDPOINTS if method in ("POST", "PUT") and not endpoint.idle]


def begins(house: House) -> None:
    """A program that may do everything; another of somebody else, who agrees to what the first does; a letter."""
    alone(house.deps)
    campaigns.letter(house.deps, "api_news")
    campaigns.people(house.deps, 3)
    house.desk = program(house.deps, house.second.door)


def _things(tag: str) -> dict[str, dict[str, Any]]:
    return {
        "segments": {"slug": tag, "name": "One", "rule": RULE},
        "sequences": {"slug": tag, "name": "One", "steps": [{"key": "one", "email": "api_news"}]},
        "campaigns": {"slug": tag, "name": "One", "letter": "api_news", "rule": RULE},
    }


# What has to have been done before, and the body.
BEFORE = {
    "pause": ["launch"], "resume": ["launch", "pause"], "cancel": ["launch"], "undo": ["launch"], "archive": [],
    "approve": ["launch"], "launch": [], "duplicate": [], "renew": [], "move": [],
}  # fmt: skip
BODIES = {"pause": {"because": "it rained"}, "cancel": {"because": "it rained"}, "move": {}}


def api(method: str, path: str) -> Story:
    """The story of one endpoint."""
    _, _, _, thing, *rest = path.split("/")
    end = rest[-1] if rest else ""

    def tell(house: House, tag: str) -> Act:
        mine: Program = house.desk
        body: Any = _things(tag)[thing]
        if method == "POST" and not end:
            return sent(mine, method, f"/{thing}", body, tag)
        made = mine.post(f"/{thing}", body)
        assert made.status == 201, made.body
        place = f"/{thing}/{tag}"
        if method == "PUT":
            return sent(mine, method, place, body | {"name": "Two"}, tag, ("if-match", made.headers["etag"]))
        _before(house, mine, place, end)
        body = {"slug": f"{tag}-copy"} if end == "duplicate" else BODIES.get(end)
        return sent(mine, method, f"{place}/{end}", body, tag)

    return Story(
        f"{method} {path}", (f"{method} {path}",), tell, begins, sender=True, loose=("sequence_version.mailings",)
    )


def _before(house: House, mine: Program, place: str, end: str) -> None:
    """What has to have been done, so that this can be."""
    _, thing, slug = place.split("/")
    if thing == "sequences" and end in ("renew", "move"):
        campaigns.letter(house.deps, "api_news", markdown=f"Dear friend, {slug}.\n")
    steps = BEFORE[end] if thing == "campaigns" else ["pause"] if end == "resume" else []
    for step in steps:
        assert mine.post(f"{place}/{step}", BODIES.get(step)).status == 200
    if end == "approve":  # by another than who launched it
        house.watch.execute("UPDATE campaign SET needs_approval = true, launched_by = NULL WHERE slug = %s", [slug])


def sent(mine: Program, method: str, path: str, body: Any, key: str, *headers: tuple[str, str]) -> Act:
    """This request with this key, at whichever process is asked; nothing is wrong with it."""

    def act(process: Process) -> object:
        answer = process.door.together(Program(process.door, mine.token).asked(method, path, body, *headers, key=key))[
            0
        ]
        assert answer.status < 400 or answer.status >= 500 or _done_before(method, answer.status), json.loads(
            answer.body
        )
        return answer

    return act


def _done_before(method: str, status: int) -> bool:
    """A change has no key: who sends it again is told that the thing is not as she read it."""
    return method == "PUT" and status == 412


STORIES = tuple(api(method, path) for method, path in WRITES)
