"""`groundswell doctor`: what is right, what is wrong and what to do about it, in plain words or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from engine import up as everything
from engine.adapters import redis_look
from engine.adapters.dns_names import DnsNames
from engine.bootstrap import build
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, out
from engine.doctor import configuration, examining
from engine.doctor.examining import Outside
from engine.doctor.findings import Finding
from engine.settings import Settings

app = typer.Typer()
STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


@app.command()
def doctor(
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask DNS about senders' domains, Stripe and SendGrid about our keys.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings as JSON.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Look at the installation: what is right, what is wrong, what to do. Exit 1: something is wrong. Nothing is changed."""
    try:
        found = _found(everything.resolved(data_dir.resolve()), ask=ask)
    except ValidationError as error:
        found = configuration.refused(error)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _tell(found, asked=ask)
    raise typer.Exit(int(examining.wrongs(found)))


def _found(settings: Settings, *, ask: bool) -> list[Finding]:
    if settings.database_url is None or settings.redis_url is None:
        return [configuration.without_servers()]
    redis_url = settings.redis_url.get_secret_value()
    deps = build(settings, pool_size=1)
    outside = Outside(lambda: redis_look.look(redis_url))
    found = examining.examine(deps, replace(outside, names=DnsNames()) if ask else outside)
    deps.bells.close()
    return found


def _tell(found: Sequence[Finding], *, asked: bool) -> None:
    """A line each, with what to do below it; how many there are of each; what was not asked."""
    width = max(len(finding.check) for finding in found)
    for finding in found:
        line = Text.assemble((f"{finding.level:8}", STYLES[finding.level]), f" {finding.check:{width}}  {finding.seen}")
        out.print(line)
        if finding.advice:
            out.print(Text(f"{'':13}{finding.advice}"))
    number = {level: sum(finding.level == level for finding in found) for level in STYLES}
    out.print(Text(f"\n{number['ok']} right, {number['warning']} to look at, {number['wrong']} wrong"))
    if not asked:
        out.print("Nothing was asked outside this installation: --ask looks at senders' domains and providers' keys.")
