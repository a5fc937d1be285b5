"""The providers outside, started for a run: each a process of its own that no fault of the product reaches.

How one behaves for a while is said at its control address. They end when they are let go, and have told all by then.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from bench.torture.standing import LAST_SECONDS
from engine.settings import ROOT

_WEB = urllib3.PoolManager(retries=False, timeout=5.0)


@dataclass(frozen=True, slots=True)
class Provider:
    """One that runs: where the product finds it (before any proxy), and where it is told what to do."""

    url: str
    control: str
    process: subprocess.Popen[str]

    def tell(self, path: str, **said: Any) -> dict[str, Any]:
        """Have it do something. Raises ValueError with its words when it will not."""
        answer = _WEB.request("POST", f"{self.control}{path}", json=said)
        if answer.status != 200:
            raise ValueError(answer.data.decode())
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Outside:
    """All of them."""

    mail: Provider
    stripe: Provider

    def set_mode(self, mode: str, seconds: float) -> None:
        """The mail provider answers so (a mode of tests.mail_stand_in, or "mixed") for so long."""
        self.mail.tell("/mode", mode=mode, seconds=seconds)

    def stripe_down(self, seconds: float) -> None:
        """Stripe's API answers nothing but 503 for so long."""
        self.stripe.tell("/down", seconds=seconds)

    def wrong(self) -> list[str]:
        """Where our requests broke what the mail provider documents."""
        return list(self.mail.tell("/wrong")["wrong"])

    def end(self) -> None:
        """Let them tell what is left, and wait for their end."""
        for provider in (self.mail, self.stripe):
            assert provider.process.stdin is not None
            provider.process.stdin.close()
        for provider in (self.mail, self.stripe):
            try:
                provider.process.wait(LAST_SECONDS + 10)
            except subprocess.TimeoutExpired:
                provider.process.kill()
                provider.process.wait()


@contextmanager
def started(home: Path, seed: int, web_urls: Sequence[str]) -> Iterator[Outside]:
    """Start them; they tell of what happens to `web_urls`. Their journals, and the log of letters, are in `home`."""
    with ExitStack() as ending:
        found = [_start(module, home, seed, web_urls, ending) for module in ("mail_provider", "stripe_provider")]
        yield Outside(*found)


def _start(module: str, home: Path, seed: int, web_urls: Sequence[str], ending: ExitStack) -> Provider:
    command = (sys.executable, "-m", f"bench.torture.{module}", str(home), str(seed), *web_urls)
    with (home / f"{module}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip
    ending.callback(process.wait)
    ending.callback(process.kill)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return Provider(told["url"], told["control"], process)
