"""Small hands for flow tests: put something into the inbox, run all workers once, look at rows."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.giving import books
from workers import delivery, intake, outreach


def put(deps: Deps, body: bytes, *, lane: str = bell.INTAKE, source: str = "actblue") -> int:
    """Store a raw event as the receiver does; returns its id."""
    with transaction(deps.sessions) as session:
        return session.execute(
            text(
                "INSERT INTO inbound_event (source, key, lane, body) VALUES (:source, :key, :lane, :body) RETURNING id"
            ),
            {"source": source, "key": hashlib.sha256(body).hexdigest(), "lane": lane, "body": body},
        ).scalar_one()


def run_everything(deps: Deps) -> None:
    """Answer every bell until nothing more is due, and prove the books."""
    for lane in bell.INBOX_LANES:
        intake.drain(deps, lane)
    outreach.work(deps)
    for lane in bell.LETTER_LANES:
        delivery.hand_over(deps, lane)
    with transaction(deps.sessions) as session:
        assert books.check(session).discrepancies == ()


def rows(deps: Deps, statement: str) -> Sequence[Any]:
    """Rows of one query."""
    with transaction(deps.sessions) as session:
        return session.execute(text(statement)).all()


def one(deps: Deps, statement: str) -> Any:
    """The one row of a query."""
    (found,) = rows(deps, statement)
    return found


def change(deps: Deps, statement: str, **values: Any) -> None:
    """One statement, committed."""
    with transaction(deps.sessions) as session:
        session.execute(text(statement), values)
