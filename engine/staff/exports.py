"""People, and the lists of the treasurer, taken out of the house as files. Each is a right of its own: whoever calls this has
asked for it before."""

from collections.abc import Iterator
from datetime import datetime

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import treasurer
from engine.giving.treasurer import Choice
from engine.people import csv_lists
from engine.people.csv_lists import Whom
from engine.staff import audit

_NO_LIMIT = text("SET LOCAL statement_timeout = 0")


def check(session: Session, whom: Whom) -> None:
    """Raises NotFound for a chapter or an interest that is none: before a file is made and anything is put on record."""
    csv_lists.as_csv(session, whom)


def note(session: Session, staff_id: int | None, whom: Whom, now: datetime) -> None:
    """Put on record who takes whom out (`staff_id` None: the command line). Committed before the first row leaves."""
    audit.write(session, staff_id, "people exported", "contact", None, whom.told, now)


def stream(session: Session, whom: Whom) -> Iterator[bytes]:
    """These people as CSV, piece by piece, the header first: as they are when it begins, in flat memory.

    Raises NotFound, before the first piece, for a chapter or an interest that is none.
    """
    return _copied(session, csv_lists.as_csv(session, whom))


def note_list(session: Session, staff_id: int | None, name: str, choice: Choice, now: datetime) -> None:
    """The same for a list of the treasurer's. Raises NotFound and Invalid as `stream_list`."""
    treasurer.as_csv(session, name, choice, now)
    audit.write(session, staff_id, "treasurer's list exported", "contribution", None, {"list": name} | choice.told, now)


def stream_list(session: Session, name: str, choice: Choice, now: datetime) -> Iterator[bytes]:
    """This list of the treasurer's, as `stream`. Raises NotFound (the list, the fund) and Invalid (the days)."""
    return _copied(session, treasurer.as_csv(session, name, choice, now))


def _copied(session: Session, statement: sql.Composed) -> Iterator[bytes]:
    session.execute(_NO_LIMIT)
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            yield bytes(piece)
