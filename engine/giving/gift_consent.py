"""What a gift says about letters: a donor on our own form gets news of what comes of it, as the settings say, unless she said
no before. A gift on somebody else's form says nothing but what OTHER_FORM_DONORS lets it say.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import ContributionRecorded, DonorLearned, Event
from engine.people.consent import STANDING_SUPPRESSIONS
from engine.settings import Settings

SOURCE = "gift"
KINDS = {"thanks": None, "news": "news", "all": ""}  # what each word of the settings lets us write: the kind of consent

# One word a person, at her earliest gift of the batch. A withdrawal of the same or of all mail stands, and so does a
# suppression; whoever allowed as much already needs no word more.
_ALLOW = text(f"""
INSERT INTO consent (contact_id, channel, kind, given, at, source, place, wording, inbound_event_id)
SELECT DISTINCT ON (g.contact_id) g.contact_id, 'mail', v.kind, true, g.paid_at, :source, g.form_slug, '', g.inbound_event_id
FROM contribution g JOIN contact c ON c.id = g.contact_id
JOIN LATERAL (SELECT CASE WHEN g.donation_form_id IS NULL THEN CAST(:other AS text) ELSE CAST(:own AS text) END) v(kind)
    ON v.kind IS NOT NULL
WHERE g.id = ANY(:ids) AND c.email IS NOT NULL AND c.merged_into_id IS NULL AND c.erased_at IS NULL
    AND NOT EXISTS (SELECT FROM ({STANDING_SUPPRESSIONS}) s WHERE s.email = c.email)
    AND NOT EXISTS (
        SELECT FROM (
            SELECT DISTINCT ON (w.kind) w.kind, w.given FROM consent w
            WHERE w.contact_id = c.id AND w.channel = 'mail' ORDER BY w.kind, w.at DESC, w.given
        ) word
        WHERE word.kind IN ('', v.kind))
ORDER BY g.contact_id, g.paid_at, g.id
ON CONFLICT DO NOTHING
""")


def allow(
    session: Session, recorded: Sequence[ContributionRecorded | DonorLearned], _: datetime, settings: Settings
) -> list[Event]:
    """Keep what these gifts say about letters. Each person's word is kept once, however often she gives."""
    own, other = KINDS[settings.own_form_donors], KINDS[settings.other_form_donors]
    known = [event.contribution_id for event in recorded if event.contact_id is not None]
    if known and (own, other) != (None, None):
        session.execute(_ALLOW, {"ids": known, "own": own, "other": other, "source": SOURCE})
    return []
