"""The schema, one small file an area. Every area may import it: SQL that spans areas is free.

Tables hold no behaviour and do not validate: untrusted data goes through a strict pydantic model before it meets one.
"""

from engine.tables.consent import Confirmation, Consent, ErasedAddress, SignUp, Suppression
from engine.tables.giving import ActblueEntity, Contribution, DonationForm, DonationFormVersion, Fund, LedgerEntry
from engine.tables.importing import ImportPerson, ImportRow
from engine.tables.inbox import InboundEvent
from engine.tables.letters import ChapterNote, Letter, Mailing, Refcode
from engine.tables.mail import Handover, MailEvent, MailHold, Message, SendingDomain, SentCount
from engine.tables.operations import Bookmark, Chore, DevClock, Notice
from engine.tables.outreach import (
    ApiRequest,
    ApiToken,
    Attribution,
    Campaign,
    Enrollment,
    Sequence,
    SequenceVersion,
    StepTally,
)
from engine.tables.past import PastLetter, PastOccasion, PastPlace
from engine.tables.paying import AskRest, Checkout, Decline, RefundOrder
from engine.tables.people import (
    Agenda,
    Coalition,
    Contact,
    ContactInterest,
    FollowedChapter,
    Interest,
    Introduction,
    MailDoubt,
    VolunteerOffer,
    WayToHelp,
)
from engine.tables.places import (
    Chapter,
    ChapterLead,
    ChapterMove,
    Gathering,
    Spark,
    Territory,
    TerritoryChange,
    Zip,
    ZipRoute,
)
from engine.tables.recurring import Cancellation, PlanFailure, RecurringPlan
from engine.tables.restoring import DatabaseHome, LostLetter, Restoration
from engine.tables.segments import Segment
from engine.tables.settling import CheckoutSession, Dispute, FraudWarning, PaymentLink, Refund
from engine.tables.staff import Audit, SignIn, Staff, StaffSession

__all__ = [
    "ActblueEntity",
    "Agenda",
    "ApiRequest",
    "ApiToken",
    "AskRest",
    "Attribution",
    "Audit",
    "Bookmark",
    "Campaign",
    "Cancellation",
    "Chapter",
    "ChapterLead",
    "ChapterMove",
    "ChapterNote",
    "Checkout",
    "CheckoutSession",
    "Chore",
    "Coalition",
    "Confirmation",
    "Consent",
    "Contact",
    "ContactInterest",
    "Contribution",
    "DatabaseHome",
    "Decline",
    "DevClock",
    "Dispute",
    "DonationForm",
    "DonationFormVersion",
    "Enrollment",
    "ErasedAddress",
    "FollowedChapter",
    "FraudWarning",
    "Fund",
    "Gathering",
    "Handover",
    "ImportPerson",
    "ImportRow",
    "InboundEvent",
    "Interest",
    "Introduction",
    "LedgerEntry",
    "Letter",
    "LostLetter",
    "MailDoubt",
    "MailEvent",
    "MailHold",
    "Mailing",
    "Message",
    "Notice",
    "PastLetter",
    "PastOccasion",
    "PastPlace",
    "PaymentLink",
    "PlanFailure",
    "RecurringPlan",
    "Refcode",
    "Refund",
    "RefundOrder",
    "Restoration",
    "Segment",
    "SendingDomain",
    "SentCount",
    "Sequence",
    "SequenceVersion",
    "SignIn",
    "SignUp",
    "Spark",
    "Staff",
    "StaffSession",
    "StepTally",
    "Suppression",
    "Territory",
    "TerritoryChange",
    "VolunteerOffer",
    "WayToHelp",
    "Zip",
    "ZipRoute",
]
