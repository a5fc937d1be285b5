"""What people allowed and forbade, as SQL for whoever writes to them: the newest word, and the suppressions that stand.

Both constants are whole queries, to be put in brackets: `JOIN (CURRENT) word ON …`. Rows are never deleted; a newer word
outweighs an older one by its time alone, in whatever order they came.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows

# The word that counts, one row a contact, channel and kind: the newest, and of two at one instant the withdrawal.
CURRENT = """
SELECT DISTINCT ON (contact_id, channel, kind) contact_id, channel, kind, given, until, at, source, place, wording
FROM consent ORDER BY contact_id, channel, kind, at DESC, given, source
"""

# Addresses that must not be written to. A bounce, a complaint or a person's manual stop stands for good. Who unsubscribed or
# was erased and later said expressly herself that she wants mail again (a sign-up that another system states, a confirmed
# letter, her own preferences) is written to, unless she has withdrawn that since: another system's list is no such word, for
# nobody knows whether she was asked again; nor is an unconfirmed form, which anyone can fill in.
STANDING_SUPPRESSIONS = """
SELECT s.email, s.reason, s.at FROM suppression s
WHERE s.reason NOT IN ('unsubscribe', 'erased') OR NOT EXISTS (
    SELECT FROM contact c JOIN consent yes ON yes.contact_id = c.id
    WHERE c.email = s.email AND yes.channel = 'mail' AND yes.kind = '' AND yes.given
    AND yes.source IN ('signup', 'confirm', 'preferences') AND yes.at > s.at
    AND NOT EXISTS (
        SELECT FROM consent no
        WHERE no.contact_id = c.id AND no.channel = 'mail' AND no.kind = '' AND NOT no.given AND no.at >= yes.at))
"""

# Two words at one instant through one source that say the same are one row, with the place and wording that sort last: so
# the order in which they arrive does not matter. A word of someone who was merged is hers whom she was merged into: the row
# is locked as the foreign key would, so that a merge comes before or after, never between.
_HEAR = text("""
WITH told AS MATERIALIZED (
    SELECT coalesce(w.merged_into_id, w.id) AS contact_id, channel, kind, given, until, at, source, place, wording, cause
    FROM json_to_recordset(CAST(:rows AS json)) AS v(
        contact_id bigint, channel text, kind text, given boolean, until timestamptz, at timestamptz, source text,
        place text, wording text, cause bigint)
    JOIN contact w ON w.id = v.contact_id ORDER BY w.id FOR KEY SHARE OF w
)
INSERT INTO consent AS c (contact_id, channel, kind, given, until, at, source, place, wording, inbound_event_id)
SELECT DISTINCT ON (contact_id, channel, coalesce(kind, ''), at, given, source)
    contact_id, channel, coalesce(kind, ''), given, until, at, source, place, wording, cause
FROM told
ORDER BY contact_id, channel, coalesce(kind, ''), at, given, source, wording COLLATE "C" DESC,
    place COLLATE "C" DESC, cause
ON CONFLICT (contact_id, channel, kind, at, given, source) DO UPDATE
    SET place = excluded.place, wording = excluded.wording, inbound_event_id = excluded.inbound_event_id
    WHERE (excluded.wording COLLATE "C", excluded.place COLLATE "C") > (c.wording, c.place)
""")


def hear(session: Session, words: Iterable[Mapping[str, object]]) -> None:
    """Keep these words; one that is kept already changes nothing.

    Each: contact_id, channel ('mail' or 'text'), given, at, source, place, wording, cause (id of the inbound event or None);
    kind and until as the table has them, if it is not a word about all mail.
    """
    session.execute(_HEAR, {"rows": rows(words)})
