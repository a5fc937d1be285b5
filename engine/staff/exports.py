"""People taken out of the house as a file. That is a right of its own: whoever calls this has asked for it before."""

from collections.abc import Iterator
from datetime import datetime

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.people import segments
from engine.people.segments import Segment
from engine.staff import audit

_NO_LIMIT = text("SET LOCAL statement_timeout = 0")


def check(session: Session, segment: Segment) -> None:
    """Raises NotFound for a chapter or an interest that is none: before a file is made and anything is put on record."""
    segments.as_csv(session, segment)


def note(session: Session, staff_id: int | None, segment: Segment, now: datetime) -> None:
    """Put on record who takes whom out (`staff_id` None: the command line). Committed before the first row leaves."""
    audit.write(session, staff_id, "people exported", "contact", None, segment.told, now)


def stream(session: Session, segment: Segment) -> Iterator[bytes]:
    """These people as CSV, piece by piece, the header first: as they are when it begins, in flat memory.

    Raises NotFound, before the first piece, for a chapter or an interest that is none.
    """
    session.execute(_NO_LIMIT)
    statement = segments.as_csv(session, segment)
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            yield bytes(piece)
