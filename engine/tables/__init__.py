"""The schema, one small file an area. Every area may import it: SQL that spans areas is free.

Tables hold no behaviour and do not validate: untrusted data goes through a strict pydantic model before it meets one.
"""

from engine.tables.giving import ActblueEntity, Contribution, DonationForm, Fund, LedgerEntry
from engine.tables.inbox import InboundEvent
from engine.tables.mail import Handover, Mailing, Message
from engine.tables.operations import Chore, DevClock, Notice
from engine.tables.people import Chapter, Contact, Territory, Zip

__all__ = [
    "ActblueEntity",
    "Chapter",
    "Chore",
    "Contact",
    "Contribution",
    "DevClock",
    "DonationForm",
    "Fund",
    "Handover",
    "InboundEvent",
    "LedgerEntry",
    "Mailing",
    "Message",
    "Notice",
    "Territory",
    "Zip",
]
