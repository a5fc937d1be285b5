"""The schema, one small file an area. Every area may import it: SQL that spans areas is free.

Tables hold no behaviour and do not validate: untrusted data goes through a strict pydantic model before it meets one.
"""

from engine.tables.consent import Consent, SignUp, Suppression
from engine.tables.giving import ActblueEntity, Contribution, DonationForm, Fund, LedgerEntry
from engine.tables.inbox import InboundEvent
from engine.tables.mail import Handover, MailEvent, MailHold, Mailing, Message
from engine.tables.operations import Bookmark, Chore, DevClock, Notice
from engine.tables.people import Chapter, Contact, Territory, Zip
from engine.tables.recurring import Cancellation, PlanFailure, RecurringPlan
from engine.tables.settling import CheckoutSession, Dispute, FraudWarning, PaymentLink, Refund

__all__ = [
    "ActblueEntity",
    "Bookmark",
    "Cancellation",
    "Chapter",
    "CheckoutSession",
    "Chore",
    "Consent",
    "Contact",
    "Contribution",
    "DevClock",
    "Dispute",
    "DonationForm",
    "FraudWarning",
    "Fund",
    "Handover",
    "InboundEvent",
    "LedgerEntry",
    "MailEvent",
    "MailHold",
    "Mailing",
    "Message",
    "Notice",
    "PaymentLink",
    "PlanFailure",
    "RecurringPlan",
    "Refund",
    "SignUp",
    "Suppression",
    "Territory",
    "Zip",
]
