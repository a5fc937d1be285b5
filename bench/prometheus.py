"""Prometheus beside a system that is tried: our alert rules against the numbers of its processes, and which fired when.

Only where a `prometheus` is on the PATH (Debian's package of that name). The rules are those of deploy/alerts.yml; how long
something has to last is divided by `haste`, for what is tried here lasts seconds.
"""

import json
import re
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from bench.report import Failed
from engine.settings import ROOT

RULES = ROOT / "deploy" / "alerts.yml"
SHORTEST = 6  # seconds late that are nothing yet, however hasty: machines that are tried are slow
EVERY = "1s"  # that numbers are read, and rules judged
READY_SECONDS, END_SECONDS = 20.0, 10.0
_SPAN = re.compile(r"(\d+)([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}
# What of an expression says how late something has to be.
_LATE = re.compile(r"((?:oldest_due_seconds\{[^}]*\}|late_seconds|beat_timestamp_seconds)\) > )(\d+)")


@dataclass(frozen=True, slots=True)
class Spell:
    """One alert that fired: its name, what it was about, and from when to when (epoch seconds)."""

    alert: str
    about: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Watch:
    """A running Prometheus, and since when."""

    url: str
    began: float

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return alerts_firing(self.url)

    def fired(self) -> list[Spell]:
        """Every alert that fired since the beginning, in the order of their first times."""
        asked = {"query": 'ALERTS{alertstate="firing"}', "start": self.began, "end": time.time(), "step": 1}
        found = _ask(self.url, f"/api/v1/query_range?{urlencode(asked)}")["result"]
        return sorted((spell for series in found for spell in _spells(series)), key=lambda spell: spell.began)


@contextmanager
def watching(targets: Sequence[str], folder: Path, haste: float = 10.0) -> Iterator[Watch | None]:
    """Watch these pages of numbers ("127.0.0.1:9100"), keeping what is read in this folder; None: there is no Prometheus."""
    program = shutil.which("prometheus")
    if program is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alerts.yml").write_text(hastened(RULES.read_text("utf-8"), haste), "utf-8")
    (folder / "prometheus.yml").write_text(json.dumps(_configuration(targets)), "utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (
        program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'numbers'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    )  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, process)
        yield Watch(url, time.time())
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def alerts_firing(prometheus_url: str) -> set[str]:
    """The names of the alerts that fire now in the Prometheus at this address."""
    found = _ask(prometheus_url, "/api/v1/alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def hastened(rules: str, haste: float) -> str:
    """These rules, with all that says how long or how late divided by `haste`, a second at least."""
    read = yaml.safe_load(rules)
    for group in read["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = f"{max(int(seconds(rule['for']) / haste), 1)}s"
            rule["expr"] = _LATE.sub(lambda said: f"{said[1]}{max(int(int(said[2]) / haste), SHORTEST)}", rule["expr"])
    return yaml.safe_dump(read, sort_keys=False)


def seconds(span: str) -> int:
    """A span as Prometheus writes it ("1m30s"), in seconds."""
    return sum(int(number) * _UNITS[unit] for number, unit in _SPAN.findall(span))


def _configuration(targets: Sequence[str]) -> Mapping[str, Any]:
    """JSON is YAML."""
    return {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "groundswell", "static_configs": [{"targets": list(targets)}]}],
    }


def _spells(series: Mapping[str, Any]) -> Iterator[Spell]:
    """The times during which one alert fired, from the seconds at which it did."""
    labels = dict(series["metric"])
    name = labels.pop("alertname")
    about = ", ".join(
        f"{key} {labels[key]}" for key in sorted(labels) if key not in ("__name__", "alertstate", "severity")
    )
    spells: dict[int, list[float]] = defaultdict(list)
    number, last = 0, float("-inf")
    for moment, _ in series["values"]:
        number += moment - last > 2
        spells[number].append(moment)
        last = moment
    for moments in spells.values():
        yield Spell(name, about, moments[0], moments[-1] + 1)


def _await_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/-/ready", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise Failed("Prometheus does not answer: see prometheus.log beside its rules")


def _ask(url: str, path: str) -> Any:
    with urlopen(url + path, timeout=10) as answer:
        return json.load(answer)["data"]
