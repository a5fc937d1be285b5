"""A process of ours that is told to talk: every library at DEBUG, providers that answer with what they should not repeat,
errors of a database that nobody catches. What it writes down is looked at by test_logs_of_libraries.py."""

import json
import logging
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine import log
from engine.adapters.sendgrid_mail import SendgridMail
from engine.adapters.stripe_client import Client
from engine.db import make_pool
from engine.errors import GroundswellError
from engine.ports import Copy, Sheet
from engine.settings import Settings
from tests.loopback import Handler, Server, serving

EMAIL, CARD, WORDS = "zqcanary@example.org", "4242424242424242", "ZQCANARY"
ANSWERS = (500, 401, 400, 202)


class _Provider(Handler, BaseHTTPRequestHandler):
    """Answers each status in turn, and repeats what it was sent, as providers' errors do."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        said = {"message": f"{self.headers['Authorization']} {sent} {CARD}", "field": "personalizations.0.to.0.email"}
        self.answer(self.server.statuses.pop(0), json.dumps({"error": said, "errors": [said]}).encode())


class _Server(Server):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Provider)
        self.statuses = [*ANSWERS, *ANSWERS]


def main() -> None:
    """Talk."""
    settings = Settings()
    log.configure(settings, "talkative")
    for name in (None, "sqlalchemy.engine", "sqlalchemy.pool", "psycopg", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    said = structlog.get_logger("talkative")
    said.info("began")
    said.info(
        "by mistake", email=EMAIL, url=f"postgresql://us:{settings.signup_tokens[0]}@host/db", sent=f"card {CARD}"
    )
    logging.getLogger("some.library").debug(
        "headers %r to %s", {"Authorization": "Basic enFjYW5hcnk6enFjYW5hcnk="}, EMAIL
    )
    server = _Server()
    with serving(server, lambda: None) as url:
        _providers(settings, url)
    _database(settings)
    said.info("ended")
    raise ValueError(f"nobody catches this: {EMAIL} {WORDS}")


def _providers(settings: Settings, url: str) -> None:
    assert settings.sendgrid_api_key is not None
    assert settings.stripe_api_key is not None
    mailer = SendgridMail(settings.sendgrid_api_key.get_secret_value(), url)
    stripe = Client(settings.stripe_api_key.get_secret_value(), url, 5, 0)
    for _ in ANSWERS:
        sheet = Sheet("news@example.org", "News", "", f"Dear {WORDS}", WORDS, WORDS)
        answer = mailer.hand_over(1, sheet, [Copy(1, EMAIL, WORDS, {}, {})], before=lambda: True)
        structlog.get_logger().info(
            "answered", outcome=answer.outcome if answer else "", detail=answer.detail if answer else ""
        )
    for _ in ANSWERS:
        try:
            stripe.ask("post", "/v1/refunds", {"metadata": {"email": EMAIL, "card": CARD}})
        except GroundswellError as error:
            structlog.get_logger().exception("refused", error=str(error))


def _database(settings: Settings) -> None:
    """The same address twice: Postgres says in its error which."""
    assert settings.database_url is not None
    pool = make_pool(settings.database_url.get_secret_value(), size=1)
    twice = text("INSERT INTO contact (email, first_name, details_at, routed_by, routed_on) VALUES (:e, :w, now(), :w, ''),"
                 " (:e, :w, now(), :w, '')")  # fmt: skip

    def insert() -> None:
        with pool.begin() as connection:
            connection.execute(twice, {"e": EMAIL, "w": WORDS})

    try:
        insert()
    except DBAPIError as error:
        structlog.get_logger().exception("refused")
        logging.getLogger("another.library").error("refused: %s", error)
    thread = threading.Thread(target=insert)
    thread.start()
    thread.join()
    with suppress(DBAPIError):
        insert()
    pool.dispose()


if __name__ == "__main__":
    sys.exit(main())
