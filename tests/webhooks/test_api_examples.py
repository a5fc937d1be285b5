"""What the README shows of the API works as it stands there: its token is made, its requests are sent."""

import re
import shlex
from collections.abc import Iterator, Mapping

import pytest

from engine import demo_organisation
from engine.bootstrap import Deps
from engine.settings import ROOT
from engine.staff.api_tokens import SCOPES
from tests import campaigns
from tests.asgi import Answer, Client
from tests.commands import groundswell
from tests.launches import work
from tests.programs import said
from webhooks.app import build

SECTION = (ROOT / "README.md").read_text("utf-8").partition("\n## The API\n")[2].partition("\n## ")[0]
ROOT_URL = "http://127.0.0.1:8000"


def commands(script: str, known: Mapping[str, str]) -> Iterator[list[str]]:
    """The curl commands of a script, split as bash does, with its variables and these filled in."""
    variables = dict(known)
    for line in re.split(r"\n(?=\S)", script):
        filled = re.sub(r"\$([A-Z]+)", lambda match: variables[match[1]], line)
        if name := re.match(r"([A-Z]+)=", filled):
            (variables[name[1]],) = shlex.split(filled.removeprefix(name[0]))
        elif filled.startswith("curl"):
            yield shlex.split(filled)[1:]


def sent(door: Client, words: list[str]) -> Answer:
    """What curl would send."""
    headers, method, body, url = [], "", b"", ""
    arguments = iter(words)
    for word in arguments:
        if word == "-H":
            name, _, value = next(arguments).partition(": ")
            headers.append((name.lower(), value))
        elif word == "-X":
            method = next(arguments)
        elif word == "-d":
            body = next(arguments).encode()
        else:
            url = word.removeprefix(ROOT_URL)
    return door.send(method or ("POST" if body else "GET"), url, headers, body)


@pytest.fixture
def token(deps: Deps) -> str:
    """As the README has it made."""
    with deps.work() as (session, now):
        demo_organisation.load_staff(session, now)
        demo_organisation.load_letters(session)
    (command,) = re.findall(r"TOKEN=\$\(\.venv/bin/groundswell (.*?)\)\n", SECTION, re.DOTALL)
    done = groundswell(deps, *shlex.split(command.replace("\\\n", " ")))
    assert (done.returncode, "shown this once" in done.stderr) == (0, True)
    return done.stdout.strip()


def test_the_readmes_requests_lead_from_a_segment_to_letters(deps: Deps, token: str):
    campaigns.people(deps, 3)
    (script,) = re.findall(r"(?ms)^```bash\n(.*?)^```", SECTION)
    with Client(build(deps)) as door:
        answers = [sent(door, words) for words in commands(script, {"TOKEN": token})]
        assert [answer.status for answer in answers] == [200, 200, 201, 201, 200, 200, 200]
        shown, preview, _, _, preflight, launched, _ = map(said, answers)
        assert shown["name"] == "The website"
        assert (preview["people"], preview["shown"], preflight["people"], preflight["refusals"]) == (3, None, 3, [])
        assert launched["state"] == "scheduled"
        work(deps)
        (last,) = list(commands(script, {"TOKEN": token}))[-1:]
        assert said(sent(door, last))["letters"]["composed"] == 3


def test_the_readme_names_every_scope():
    (table,) = re.findall(r"(?m)^\| scope .*\n\|.*\n((?:\|.*\n)+)", SECTION)
    assert sorted(re.findall(r"`(\w+:\w+)`", table)) == sorted(SCOPES)
