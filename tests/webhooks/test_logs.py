"""What our logs hold of a gift: ids, a route's template, a status. Nothing that was sent, even when the database objects."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from types import SimpleNamespace

import pytest
import structlog
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from engine import bell, log
from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.make import actblue_body, basic, raw
from webhooks.app import build
from workers import intake
from workers.middleware import Jobs

URL = "/webhooks/actblue"
JSON = ("content-type", "application/json")
PERSONAL = ("rosa", "delgado", "lincoln", "example.org", "5085550123", "librarian", "worcester public", "secret-token")


def test_a_request_is_one_log_line_of_constant_shape_and_nothing_of_what_was_sent_is_in_any(
    door: Client, house: Deps, caplog, capfd
):
    with capture_logs(processors=[merge_contextvars]) as lines:
        answers = [
            door.send("POST", URL, (basic(), JSON), raw(actblue_body())),
            door.send("POST", URL, (basic("rosa:delgado"), JSON), raw(actblue_body())),
            door.send("POST", URL, (basic(), JSON, ("content-encoding", "rosa")), raw(actblue_body())),
            door.send("POST", URL, (basic(), JSON), raw(actblue_body()) + b"}"),
            door.send("GET", "/rosa/delgado?rosa", (("x-rosa", "delgado"),)),
        ]
        assert [answer.status for answer in answers] == [200, 401, 415, 200, 404]
        requests = [line for line in lines if line["event"] == "request"]
        intake.drain(house, bell.INTAKE)
    assert len(requests) == len(answers)
    assert [set(line) - {"inbound_event"} for line in requests] == [
        {"event", "log_level", "method", "route", "status", "ms"}
    ] * len(answers)
    assert [line["route"] for line in requests] == [URL, URL, URL, URL, "unrouted"]
    assert [isinstance(line.get("inbound_event"), int) for line in requests] == [True, False, False, True, False]
    said = repr(lines) + caplog.text + "".join(capfd.readouterr()) + repr(answers)
    assert [word for word in PERSONAL if word in said.lower()] == []


def test_a_redirect_and_a_refusal_are_logged_with_their_number(door: Client):
    with capture_logs() as lines:
        for method, path in (("GET", "/staff"), ("POST", "/staff/people/1/note")):
            door.send(method, path, [("content-type", "application/x-www-form-urlencoded")], b"")
    told = [line["status"] for line in lines if line["event"] == "request"]
    assert [(status, type(status)) for status in told] == [(303, int), (403, int)]


@contextmanager
def real_log(house: Deps) -> Iterator[io.StringIO]:
    """What our processes really write: the log as `start` sets it up, for a while."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with redirect_stderr(io.StringIO()) as written:
            log.configure(house.settings, "worker")
            yield written
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


def test_a_gift_that_the_database_refuses_leaves_no_personal_data_in_the_log(deps: Deps):
    with transaction(deps.sessions) as session:
        session.execute(text("ALTER TABLE contribution ADD CONSTRAINT poison CHECK (refcode <> 'poison')"))
    body = raw(actblue_body(contribution={"refcodes": {"refcode": "poison"}}))
    job, around = SimpleNamespace(queue_name=bell.INTAKE, options={}), Jobs()
    with real_log(deps) as written, Client(build(deps)) as door:
        door.send("POST", URL, (basic(), JSON), body)
        around.before_process_message(StubBroker(), job)
        with pytest.raises(DBAPIError) as raised:
            intake.drain(deps, bell.INTAKE)
        around.after_process_message(StubBroker(), job, exception=raised.value)
    said = written.getvalue()
    assert "job failed" in said
    assert "IntegrityError" in said
    assert [word for word in PERSONAL if word in said.lower()] == []


def test_a_line_of_json_looks_the_same_whoever_writes_it(house: Deps, capfdbinary):
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.configure(house.settings.model_copy(update={"log_format": "json"}), "web")
        structlog.get_logger().info("request", route="/", status=200, inbound_event=7)
        lines = log.Lines("request")
        assert [lines.add({"route": "/", "status": 200, "inbound_event": 7}) for _ in range(2)] == [True, False]
        lines.flush()
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
    told = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    assert len(told) == 3
    assert {len(line.pop("timestamp")) for line in told} == {32}
    assert (
        told
        == [{"event": "request", "level": "info", "process": "web", "inbound_event": 7, "route": "/", "status": 200}]
        * 3
    )
