"""What repeats: when the next run is, whether there is anything new for it, and what it is called (its date)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Event
from engine.outreach import contents, zones
from engine.outreach.campaigns import Standing
from engine.outreach.contents import Content
from engine.settings import Settings
from engine.staff import audit

EVERY = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
TOO_LATE = "it was late, and the next one is near"
NOTHING_NEW = "nothing is new: neither its words nor a note of a chapter"

_NOTED = text("""
WITH RECURSIVE below AS (
    SELECT id FROM chapter
    WHERE CASE WHEN CAST(:chapter_id AS bigint) IS NULL THEN parent_id IS NULL ELSE id = :chapter_id END
    UNION ALL
    SELECT h.id FROM chapter h JOIN below ON h.parent_id = below.id
)
SELECT EXISTS (SELECT FROM chapter_note n JOIN below ON below.id = n.chapter_id
    WHERE n.letter_id = :letter_id AND n.at > :since)
""")
_AGAIN = text("""
UPDATE campaign SET state = 'scheduled', starts_at = :starts_at, held_until = NULL, approved_by = NULL, approved_at = NULL
WHERE id = :id
""")
_SKIP = text("UPDATE campaign SET starts_at = :starts_at, skipped = :because WHERE id = :id")


def next_time(campaign: Standing, now: datetime, zone: ZoneInfo) -> datetime:
    """The first time after this run's, and after now, on its clock: a day or a week later there. A clock time that there is
    not, for clocks go forward, is as much later."""
    assert campaign.starts_at is not None
    here = campaign.starts_at.astimezone(zone).replace(tzinfo=None)
    found = campaign.starts_at
    while found <= max(now, campaign.starts_at):
        here += EVERY[campaign.repeat]
        found = here.replace(tzinfo=zone).astimezone(UTC)
    return found


def run(session: Session, campaign: Standing, settings: Settings) -> int:
    """What this run is called: the date on which it was to begin, 20261207."""
    assert campaign.starts_at is not None
    here = campaign.starts_at.astimezone(zones.zone_of(session, campaign.chapter_id, settings))
    return int(f"{here:%Y%m%d}")


def fresh(session: Session, campaign: Standing, content: Content, settings: Settings) -> bool:
    """Whether this run would say anything that the last one that took place did not."""
    if campaign.run == 1:
        return True
    if content.pinned != contents.pinned(session, campaign):
        return True
    return bool(session.scalar(_NOTED, _since(session, campaign, settings)))


def again(session: Session, campaign: Standing, now: datetime, settings: Settings) -> None:
    """Schedule the next run; where a second person must agree to its words, she has to do so anew."""
    zone = zones.zone_of(session, campaign.chapter_id, settings)
    session.execute(_AGAIN, {"id": campaign.id, "starts_at": next_time(campaign, now, zone)})


def missed(session: Session, campaign: Standing, content: Content, now: datetime, settings: Settings) -> str:
    """Why this run does not take place; '': it does. Who gets one that is late shall not get the next right behind it."""
    zone = zones.zone_of(session, campaign.chapter_id, settings)
    if next_time(campaign, now, zone) - now < EVERY[campaign.repeat] / 2:
        return TOO_LATE
    return "" if fresh(session, campaign, content, settings) else NOTHING_NEW


def skip(session: Session, campaign: Standing, because: str, now: datetime, settings: Settings) -> list[Event]:
    """This run does not take place; the next one is at its time."""
    zone = zones.zone_of(session, campaign.chapter_id, settings)
    due = run(session, campaign, settings)
    values = {"id": campaign.id, "starts_at": next_time(campaign, now, zone), "because": f"{due}: {because}"}
    session.execute(_SKIP, values)
    detail = {"campaign": campaign.slug, "run": due, "because": because}
    audit.write(session, None, "campaign run skipped", "campaign", campaign.id, detail, now)
    return []


def _since(session: Session, campaign: Standing, settings: Settings) -> dict[str, object]:
    """Since when a note is new: since the last run was due."""
    assert campaign.starts_at is not None
    zone = zones.zone_of(session, campaign.chapter_id, settings)
    clock = campaign.starts_at.astimezone(zone).time()
    last = datetime.combine(date.fromisoformat(str(campaign.run)), clock, zone)
    return {"since": last, "letter_id": campaign.letter_id, "chapter_id": campaign.chapter_id}
