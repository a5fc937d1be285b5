"""What operators watch: every number that the dashboard and the alerts speak of is on a page of ours; the page answers
whatever Postgres does; each alert is told of in docs/watching.md, and can fire."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bench import prometheus
from engine import metrics, vitals
from engine.bootstrap import Deps
from engine.settings import ROOT
from tests.flows.house import put, run_everything
from tests.make import actblue_body, raw
from workers import pulse, upkeep

ALERTS = ROOT / "deploy" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
PAGE = (ROOT / "docs" / "watching.md").read_text("utf-8")
PROMETHEUS_OWN = {"up": {"job", "instance"}, "ALERTS": {"alertstate", "alertname"}}
ENDINGS = ("_total", "_bucket", "_count", "_sum", "_created")
# What stands in an expression beside names of metrics and labels.
WORDS = frozenset({
    "sum", "max", "min", "count", "by", "on", "ignoring", "rate", "increase", "time", "absent", "or", "and", "unless",
    "vector", "topk", "histogram_quantile", "max_over_time",
})  # fmt: skip
_MATCHED = re.compile(r"([a-zA-Z_]\w*)\s*(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')


class Strict(yaml.SafeLoader):
    """YAML in which no key stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON in which no key stands twice."""
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.load(ALERTS.read_text("utf-8"), Strict)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel, rows included."""
    return json.loads(DASHBOARD.read_text("utf-8"), object_pairs_hook=once)["panels"]


def expressions() -> list[str]:
    """All that is asked of Prometheus."""
    return [rule["expr"] for rule in rules()] + [t["expr"] for panel in panels() for t in panel.get("targets", ())]


def strangers(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics that an expression names and nobody has, and labels that its metrics do not have."""
    bare = re.sub(r"\[[^\]]*\]", "", expression)
    grouped = {
        name.strip() for names in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", bare) for name in names.split(",")
    }
    bare = re.sub(r"(?:by|on|ignoring) \([^)]*\)", "", bare)
    found, labels = [], set[str]()
    for name, matchers in _MATCHED.findall(re.sub(r'"[^"]*"', '""', bare)):
        if name in WORDS:
            continue
        if name not in known:
            found.append(name)
            continue
        labels |= known[name]
        found += [f"{name} {label}" for label in _LABEL.findall(matchers) if label not in known[name]]
    return found + sorted(grouped - labels - {""})


def scraped(page: str) -> dict[str, set[str]]:
    """The names on a page, as they are asked for, with the labels that they have."""
    known = {name: set(labels) for name, labels in PROMETHEUS_OWN.items()}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            known.setdefault(sample.name, {"instance"}).update(sample.labels)
    return known


@contextmanager
def served(deps: Deps) -> Iterator[str]:
    """A real page of numbers, by the way of a process of ours: what it says."""
    found = vitals.Vitals(deps.work, deps.bells.reachable, deps.settings.data_dir)
    pool = metrics.Pool(deps.sessions)
    server, thread = metrics.serve("127.0.0.1", 0, pool, found)
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as page:
            yield page.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
        for collector in (pool, found):
            REGISTRY.unregister(collector)


def seen_once() -> None:
    """A sample of each, as a process has that did everything once."""
    for meter in vars(metrics).values():
        if isinstance(names := getattr(meter, "_labelnames", None), tuple) and names:
            meter.labels(*("" for _ in names))


def test_every_number_that_is_watched_is_on_a_page_of_ours_with_the_labels_it_is_asked_by(deps: Deps):
    put(deps, raw(actblue_body()))
    put(deps, b"rubbish")
    run_everything(deps)
    with deps.work() as (session, now):
        pulse.plan(session)
        session.execute(text("UPDATE chore SET finished_at = now()"))
        session.execute(text("INSERT INTO mail_hold (reason, since) VALUES ('key', :now)"), {"now": now})
        session.execute(text("UPDATE handover SET state = 'uncertain'"))
        _told_of(session)
    seen_once()
    with served(deps) as page:
        known = scraped(page)
    assert {stranger for expression in expressions() for stranger in strangers(expression, known)} == set()
    values = {
        (s.name, *sorted(s.labels.values())): s.value for f in text_string_to_metric_families(page) for s in f.samples
    }
    assert values["groundswell_rows", "", "quarantine"] == values["groundswell_rows", "", "notices"] == 1
    assert values["groundswell_rows", "", "uncertain"] == values["groundswell_postgres_up",] == 1
    assert values["groundswell_mail_held", "key"] == values["groundswell_notices_open", "event quarantined"] == 1
    assert values["groundswell_mail_fates_total", "bounced", "commonground.example.org"] == 3
    assert {name.removesuffix("_count") for name in known} >= named_in_page()


def named_in_page() -> set[str]:
    """The metrics that docs/watching.md speaks of."""
    return set(re.findall(r"`(groundswell_\w+)", PAGE))


def _told_of(session: Session) -> None:
    """Three letters of a campaign came back."""
    session.execute(
        text("INSERT INTO step_tally (version_id, campaign_id, mailing_id, chapter_id, step, variant, delivered, bounced) "
             "SELECT 1, 0, min(id), 0, 'a', '', 97, 3 FROM mailing")
    )  # fmt: skip


def test_the_search_for_strange_names_finds_them():
    known = {"groundswell_rows": {"what", "instance"}}
    assert strangers('sum by (what) (groundswell_rows{what="x"}) > 1', known) == []
    assert strangers('max by (lane) (groundswell_rows{line="x"} or groundswell_row)', known) == [
        "groundswell_rows line", "groundswell_row", "lane",
    ]  # fmt: skip


def test_every_alert_says_what_is_wrong_and_what_to_do_and_is_told_of_in_the_documents():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 20
    assert set(re.findall(r"(?m)^\*\*(\w+)\*\*", PAGE)) == set(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"}
        assert all(len(said) > 20 for said in rule["annotations"].values())
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert all(label in rule["expr"] or label == "instance" for label in told)


def test_the_dashboard_has_its_rows_and_no_panel_lies_on_another():
    found = panels()
    assert [panel["title"] for panel in found if panel["type"] == "row"] == [
        "Is it well?", "Coming in", "Letters going out", "Work waiting", "Database and Redis", "People told",
    ]  # fmt: skip
    assert len({panel["id"] for panel in found}) == len(found)
    places = [
        (x, y) for panel in found for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]  # fmt: skip
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) == 23
    assert all(panel.get("targets") for panel in found if panel["type"] != "row")


def page_of(collector: vitals.Vitals) -> str:
    """What one collector says."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_while_postgres_is_away_the_page_says_so_and_no_more():
    @contextmanager
    def work() -> Iterator[tuple[Session, datetime]]:
        raise OperationalError("SELECT", {}, Exception("gone"))
        yield

    page = page_of(vitals.Vitals(work, lambda: False))
    assert "groundswell_postgres_up 0.0" in page
    assert "groundswell_redis_up 0.0" in page
    assert "groundswell_rows" not in page


def test_while_postgres_is_frozen_the_page_answers_and_nobody_else_waits_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vitals, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(vitals, "FROZEN_SECONDS", 0.1)
    thawed, looks = threading.Event(), []

    @contextmanager
    def work() -> Iterator[tuple[Session, datetime]]:
        looks.append(1)
        thawed.wait(10)
        raise OperationalError("SELECT", {}, Exception("gone"))
        yield

    frozen = vitals.Vitals(work, lambda: True)
    pages = [page_of(frozen) for _ in range(4)]
    thawed.set()
    assert "groundswell_postgres_up 0.0" in pages[-1]
    assert len(looks) == 1


def test_many_pages_within_seconds_are_one_reading(deps: Deps):
    looks = []

    @contextmanager
    def work() -> Iterator[tuple[Session, datetime]]:
        looks.append(1)
        with deps.work() as found:
            yield found

    collector = vitals.Vitals(work, lambda: True)
    assert page_of(collector) == page_of(collector) != ""
    assert len(looks) == 1


@pytest.fixture
def chore(deps: Deps, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Does one chore that fails until it is asked for the fifth time; what is known of it then."""
    tries: list[int] = []

    def fail(_: Deps) -> None:
        tries.append(1)
        if len(tries) < 5:
            raise OSError("not yet")

    monkeypatch.setattr(upkeep, "CHORES", {**upkeep.CHORES, "books": fail})
    with deps.work() as (session, _):
        session.execute(text("INSERT INTO chore (name, due_at) VALUES ('books', now())"))

    def done() -> Any:
        with deps.work() as (session, _):
            session.execute(text("UPDATE chore SET due_at = now()"))
        with suppress(OSError):
            upkeep.run(deps, {"books": pulse.SCHEDULE["books"]})
        with deps.work() as (session, _):
            return session.execute(
                text(
                    "SELECT ceil(extract(epoch FROM due_at - now()) / 60) AS minutes, finished_at,"
                    " (SELECT count(*) FROM notice WHERE kind = 'chore fails' AND resolved_at IS NULL) AS told"
                    " FROM chore WHERE name = 'books'"
                )
            ).one()

    return done


def test_a_chore_that_fails_or_dies_is_tried_again_ever_later_and_counted_until_a_person_is_told(
    chore: Callable[[], Any],
):
    failed = metrics.CHORES.labels("books", "failed")._value.get()
    assert [tuple(chore()) for _ in range(4)] == [(5, None, 0), (10, None, 0), (20, None, 0), (40, None, 1)]
    minutes, finished_at, told = chore()
    assert (minutes, told) == (24 * 60, 0)
    assert finished_at.astimezone(UTC).year > 2000
    assert metrics.CHORES.labels("books", "failed")._value.get() == failed + 4


def test_chores_that_left_the_schedule_are_late_for_nobody(deps: Deps):
    with deps.work() as (session, _):
        session.execute(text("INSERT INTO chore (name, due_at) VALUES ('gone', now())"))
        pulse.plan(session)
        assert set(session.scalars(text("SELECT name FROM chore"))) == set(pulse.SCHEDULE)
        waits = session.scalars(text("SELECT name FROM chore WHERE due_at > now() + interval '23 hours'"))
        assert set(waits) == set(pulse.LATER)  # older code may still be at work


def test_rules_are_hastened_for_what_lasts_seconds_only():
    read = {rule["alert"]: rule for group in yaml.safe_load(prometheus.hastened(ALERTS.read_text("utf-8"), 10))["groups"]
            for rule in group["rules"]}  # fmt: skip
    assert read["ProcessDown"]["for"] == "6s"
    assert read["GiftsWait"]["expr"].endswith("> 6")
    assert read["ReceiptsWait"]["expr"].endswith("> 12")
    assert set(read) == {rule["alert"] for rule in rules()}
    assert prometheus.seconds("1h30m") == 5400


def test_times_at_which_an_alert_fired_are_told_as_spells():
    series = {"metric": {"__name__": "ALERTS", "alertname": "A", "alertstate": "firing", "severity": "page", "kind": "k"},
              "values": [[10.0, "1"], [11.0, "1"], [20.0, "1"]]}  # fmt: skip
    spells = list(prometheus._spells(series))
    assert [(s.alert, s.about, s.began, s.ended) for s in spells] == [
        ("A", "kind k", 10.0, 12.0),
        ("A", "kind k", 20.0, 21.0),
    ]


def test_what_is_tried_of_the_alerts_are_alerts_and_holds_where_prometheus_can_try_it():
    tried = yaml.load((ROOT / "deploy" / "alerts.test.yml").read_text("utf-8"), Strict)
    named = {one["alertname"] for test in tried["tests"] for one in test["alert_rule_test"]}
    assert {rule["alert"] for rule in rules()} >= named != set()
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "test", "rules", "alerts.test.yml"],
            cwd=ALERTS.parent,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
