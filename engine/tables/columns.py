"""The few kinds of column that every area uses, so that all tables spell them alike; the schema's metadata, and how it names
constraints."""

from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Identity, MetaData, Text, text
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from engine.states import check_clause

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
# Before any table is made: a constraint takes its name when it is made.
metadata: MetaData = SQLModel.metadata
metadata.naming_convention = NAMING


def identity() -> Column[int]:
    """The primary key of a table that Postgres numbers."""
    return Column(BigInteger, Identity(always=True), primary_key=True)


def words(*, nullable: bool = False, default: str | None = "", **more: Any) -> Column[str]:
    """Text of any length; empty rather than NULL unless it says otherwise."""
    server_default = None if nullable or default is None else default
    return Column(Text, nullable=nullable, server_default=server_default, **more)


def moment(*, nullable: bool = False, now: bool = False) -> Column[Any]:
    """An instant; `now` fills it in when the row is made."""
    return Column(DateTime(timezone=True), nullable=nullable, server_default=text("now()") if now else None)


def count() -> Column[int]:
    """A number that starts at nought: cents, attempts, how many."""
    return Column(BigInteger, nullable=False, server_default="0")


def several(kind: TypeEngine[Any]) -> Column[Any]:
    """An array of these; empty rather than NULL."""
    return Column(ARRAY(kind), nullable=False, server_default=text("'{}'"))


def reference(target: str, *, nullable: bool = False, index: bool = False, primary_key: bool = False) -> Column[int]:
    """A foreign key to another table's id."""
    return Column(BigInteger, ForeignKey(target), nullable=nullable, index=index, primary_key=primary_key)


def cause(*, index: bool = False) -> Column[int]:
    """The inbound event that told us. No foreign key: it goes one day (`engine.inbox.forget`), and what came of it stays."""
    return Column(BigInteger, nullable=True, index=index)


def state_check(table: str) -> CheckConstraint:
    """The CHECK that holds `state` to what STATES lists for this table."""
    return CheckConstraint(check_clause(table), name="state")
