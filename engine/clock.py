"""The two clocks. Leases, locks and attempts use SQL `now()`; due times, windows and expiry use what `read` returns."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

_NOW = text("SELECT now()")
_SKIPPED_NOW = text("SELECT now() + coalesce((SELECT skipped FROM dev_clock), interval '0')")
_SKIP = text(
    "INSERT INTO dev_clock (id, skipped) VALUES (1, :span)"
    " ON CONFLICT (id) DO UPDATE SET skipped = dev_clock.skipped + excluded.skipped"
)


class PostgresClock:
    """Production's clock: Postgres, the only one that all processes share."""

    def read(self, session: Session) -> datetime:
        """The transaction's start."""
        now: datetime = session.execute(_NOW).scalar_one()
        return now


class SkippableClock:
    """Development's clock: Postgres plus an offset kept in one row, so that all running processes skip together."""

    def read(self, session: Session) -> datetime:
        """The transaction's start, plus what was skipped."""
        now: datetime = session.execute(_SKIPPED_NOW).scalar_one()
        return now

    def skip(self, session: Session, span: timedelta) -> None:
        """Move the clock ahead by `span`."""
        session.execute(_SKIP, {"span": span})
