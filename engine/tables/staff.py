"""Staff: who may do what where, how they sign in, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from engine.tables.columns import identity, moment, reference, words


class Staff(SQLModel, table=True):
    """Someone who works for the organisation. `chapter_id`: that chapter and those below it; none: all of them.

    `may_export`: to take lists of people out of the house is a right of its own, whatever the role.
    """

    __tablename__ = "staff"
    __table_args__ = (CheckConstraint("role IN ('admin', 'organizer', 'treasurer', 'viewer')", name="role"),)

    id: int | None = Field(default=None, sa_column=identity())
    email: str = Field(sa_column=words(default=None, unique=True))
    name: str = Field(sa_column=words())
    role: str = Field(sa_column=words(default=None))
    chapter_id: int | None = Field(default=None, sa_column=reference("chapter.id", nullable=True))
    may_export: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    created_at: datetime = Field(sa_column=moment(now=True))
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class SignIn(SQLModel, table=True):
    """A magic link that was asked for; used once. `browser`: hash of the cookie of the browser that asked."""

    __tablename__ = "sign_in"
    __table_args__ = (Index("sign_in_staff_id_idx", "staff_id"),)

    id: int | None = Field(default=None, sa_column=identity())
    staff_id: int = Field(sa_column=reference("staff.id"))
    browser: str = Field(sa_column=words())
    asked_at: datetime = Field(sa_column=moment())
    expires_at: datetime = Field(sa_column=moment())
    used_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class StaffSession(SQLModel, table=True):
    """A browser that is signed in. `token_hash`: SHA-256 of what its cookie holds."""

    __tablename__ = "staff_session"
    __table_args__ = (Index("staff_session_staff_id_idx", "staff_id"),)

    id: int | None = Field(default=None, sa_column=identity())
    staff_id: int = Field(sa_column=reference("staff.id"))
    token_hash: str = Field(sa_column=words(default=None, unique=True))
    created_at: datetime = Field(sa_column=moment())
    expires_at: datetime = Field(sa_column=moment())
    ended_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))


class Audit(SQLModel, table=True):
    """Something that staff did, or the command line (`staff_id` none). It only grows: a trigger holds that.

    `detail` names what changed, never a person's data: field names, numbers, states.
    """

    __tablename__ = "audit"
    __table_args__ = (Index("audit_subject_idx", "subject", "subject_id"),)

    id: int | None = Field(default=None, sa_column=identity())
    at: datetime = Field(sa_column=moment())
    staff_id: int | None = Field(default=None, sa_column=reference("staff.id", nullable=True))
    action: str = Field(sa_column=words(default=None))
    subject: str = Field(sa_column=words())
    subject_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False, server_default=text("'{}'")))
