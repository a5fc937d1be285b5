"""Whether the provider tells us what became of letters. While it does not, production sends nothing in bulk: nobody would
know of bounces, complaints and people who unsubscribed there."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Event, HumanNeeded, MatterSettled
from engine.mail import holds

DEAF = "no word from the mail provider"  # kind of notice
WEBHOOK = "event webhook"
STILL = timedelta(minutes=20)  # that a hold lasts: longer than until the next look

# Letters that were taken hours ago and of which nothing was told, and nothing of any letter since.
_SILENT = text("""
SELECT count(*) > 0 FROM handover h WHERE h.state = 'accepted' AND h.heard_at IS NULL
    AND h.created_at BETWEEN now() - interval '2 days' AND now() - interval '6 hours'
    AND NOT EXISTS (SELECT FROM handover x WHERE x.heard_at > h.created_at)
""")
_NEVER = text("""
SELECT NOT EXISTS (SELECT FROM handover WHERE heard_at IS NOT NULL)
    AND EXISTS (SELECT FROM message WHERE state = 'ready' AND lane = 'delivery' AND due_at <= :now)
""")
_HEARD = text("UPDATE mail_hold SET lifted_at = :now WHERE lifted_at IS NULL AND reason = 'silent' RETURNING id")


def look(session: Session, now: datetime) -> list[Event]:
    """Hold campaigns while the provider is silent, and tell a person; let them go when it is not."""
    if session.scalar(_NEVER, {"now": now}):
        advice = (
            "letters wait: nothing was ever heard from the mail provider. Point its event webhook here (README, Connecting "
            "SendGrid), then send a test letter: `groundswell letters test`"
        )
        return [HumanNeeded(None, DEAF, WEBHOOK, advice)]
    if session.scalar(_SILENT):
        detail = "nothing was told of letters that were handed over hours ago: is its event webhook still pointed here?"
        return holds.hold(session, holds.SILENT, now, wait=STILL, detail=detail)
    lifted = session.execute(_HEARD, {"now": now}).all()
    settled: list[Event] = [MatterSettled(None, DEAF, WEBHOOK)]
    return [*settled, MatterSettled(None, holds.STOPPED, f"{holds.PROVIDER}: {holds.SILENT}")] if lifted else settled
