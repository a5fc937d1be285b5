"""The audit only grows, and says nothing about people."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from engine.staff import audit
from tests.make import NOON


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit SET action = ''", "UPDATE audit SET action = '' WHERE false", "DELETE FROM audit", "TRUNCATE audit"],
)
def test_nothing_on_the_audit_can_be_changed_or_taken_out(session: Session, change: str):
    audit.write(session, None, "placed", "contact", 7, {"chapter_id": 3}, NOON)
    with pytest.raises(DBAPIError, match="the audit only grows"):
        session.execute(text(change))


def test_what_was_done_is_told_the_newest_first_with_who_did_it(session: Session):
    audit.write(session, None, "placed", "contact", 7, {"chapter_id": 3}, NOON)
    audit.write(session, None, "note kept", "contact", 7, {"characters": 12}, NOON)
    audit.write(session, None, "placed", "contact", 8, {}, NOON)
    told = audit.of(session, "contact", 7)
    assert [(row.action, row.detail, row.who) for row in told] == [
        ("note kept", {"characters": 12}, "the command line"),
        ("placed", {"chapter_id": 3}, "the command line"),
    ]
