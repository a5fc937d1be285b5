"""Which doors exist where: parts of the house, and development's own pages."""

import html
import json
import re
import secrets
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.routing import Route

from engine import demo_organisation, migrate
from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import HumanNeeded
from engine.giving import form_shelf
from engine.settings import Settings
from tests.asgi import Client
from webhooks import app

OLDER = "d7f20c6b91e4"  # a revision before the last


def paths(deps: Deps, *only: str) -> set[str]:
    built = app.build(deps, only or app.PARTS)
    return {route.path for route in built.routes if isinstance(route, Route)}


def in_production(deps: Deps) -> Deps:
    settings = Settings(
        env="production", base_url="https://give.groundswell.test", secret_key=secrets.token_urlsafe(32),
        actblue_webhook_credentials=f"actblue:{secrets.token_urlsafe(32)}", operator_email="ops@example.org",
        sendgrid_api_key=secrets.token_urlsafe(48), database_url=deps.settings.database_url,
        redis_url=deps.settings.redis_url,
    )  # fmt: skip
    return replace(deps, settings=settings, mailer=None)


def test_a_process_of_hooks_serves_hooks_and_health_alone(deps: Deps):
    served = paths(in_production(deps), "hooks")
    hooks = {entry.path for entry in app.ROUTES if entry.part == app.HOOKS}
    assert served == hooks | {"/healthz", "/readyz"}
    assert all(path.startswith("/webhooks/") for path in hooks)


def test_a_process_of_staff_takes_no_events(deps: Deps):
    assert "/webhooks/actblue" not in paths(in_production(deps), "staff")


def test_a_process_of_the_api_serves_nothing_but_it_and_the_staff_side_has_none_of_it(deps: Deps):
    served = paths(in_production(deps), "api") - {"/healthz", "/readyz"}
    assert served
    assert all(path.startswith("/api/") for path in served)
    assert not paths(in_production(deps), "staff") & served


def test_the_pages_of_development_do_not_exist_in_production(deps: Deps):
    assert [path for path in paths(in_production(deps)) if path.startswith("/dev")] == []
    assert len([path for path in paths(deps) if path.startswith("/dev")]) == 6


def test_the_home_page_of_development_says_who_can_sign_in_and_which_gathering_is_on(deps: Deps):
    with deps.work() as (session, now):
        demo_organisation.load_staff(session, now)
        session.execute(text("UPDATE gathering SET starts_at = :now, ends_at = :now + interval '1 day'"), {"now": now})
    with Client(app.build(deps)) as client:
        shown = client.send("GET", "/").body.decode()
    assert "ana.costa@example.org" in shown
    assert 'href="/join?g=g7m4"' in shown


def test_the_lines_to_type_are_those_that_reach_this_very_house(deps: Deps, tmp_path: Path):
    elsewhere = replace(deps, settings=deps.settings.model_copy(update={"data_dir": tmp_path / "a house"}))
    with Client(app.build(elsewhere)) as client:
        lines = re.findall(r"<pre>(.*)</pre>", client.send("GET", "/").body.decode())
    (typed,) = [shlex.split(html.unescape(line)) for line in lines]
    assert typed[1:] == ["demo", "--data-dir", str((tmp_path / "a house").resolve())]
    assert typed[0] == str(Path(sys.executable).with_name("groundswell"))


def test_the_home_page_leads_to_every_form_that_is_open(deps: Deps):
    with deps.work() as (session, now):
        form_shelf.close(session, "pac", "The election is over.", now)
    with Client(app.build(deps)) as client:
        shown = client.send("GET", "/").body.decode()
    assert re.findall(r'<h3[^>]*><a href="/give/([^"]+)"', shown) == ["common-ground", "neighbours"]
    assert re.findall(r'href="/give/neighbours\?amount=(\d+)"', shown) == ["27", "50", "100", "250", "1000"]
    assert shown.index("/give/common-ground") < shown.index('href="/give/me"') < shown.index('href="/join"')


def test_the_home_page_speaks_spanish_to_whoever_asks_and_keeps_it(deps: Deps):
    with Client(app.build(deps)) as client:
        shown = client.send("GET", "/?lang=es").body.decode()
    assert "Apoya a tu vecindario" in shown
    assert 'href="/give/neighbours?amount=50&lang=es"' in shown.replace("&amp;", "&")
    assert re.search(r'href="/give/me\?lang=es"><strong>Tus donativos mensuales', shown)


def test_commands_in_what_needs_a_person_are_set_as_commands(deps: Deps):
    with deps.work() as (session, now):
        deps.react(session, [HumanNeeded(None, "a kind", "<b>", "run `groundswell <x>` now")], now)
    with Client(app.build(deps)) as client:
        shown = client.send("GET", "/").body.decode()
    assert "&lt;b&gt;: run <code>groundswell &lt;x&gt;</code> now." in shown
    assert "`" not in shown


def test_the_home_page_of_production_shows_no_numbers_to_strangers(deps: Deps):
    with Client(app.build(in_production(deps))) as client:
        shown = client.send("GET", "/", [("host", "give.groundswell.test")]).body.decode()
    assert "Common Ground Massachusetts" in shown
    assert 'href="/staff"' in shown
    for word in ("No mail can leave", "Given", "ana.costa", "/join?g=", "What needs a person", "groundswell demo"):
        assert word not in shown


@pytest.mark.parametrize(("revision", "status", "said"), [
    ("of_a_newer_release", 200, "newer"),
    (OLDER, 503, f"at {OLDER}, this code needs {migrate.head()}"),
])  # fmt: skip
def test_a_web_works_on_while_a_newer_release_migrates_and_not_before_its_own_migrations(
    deps: Deps, revision: str, status: int, said: str
):
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with Client(app.build(deps)) as door:
        answer = door.send("GET", "/readyz")
    assert (answer.status, json.loads(answer.body)["migrations"]) == (status, said)
