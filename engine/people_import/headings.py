"""The column headings of each tool's export, and what we read of them. Headings are compared folded: see `fold`.

Mailchimp, one zip of CSV files an audience (subscribed, unsubscribed, cleaned, non-subscribed): "View or export contacts"
and "About cleaned contacts" at mailchimp.com/help; the merge fields are the audience's own, the rest (MEMBER_RATING to
TAGS, UNSUB_*, CLEAN_*) is the same everywhere. An unsubscribed file has UNSUB_TIME and no LAST_CHANGED, a cleaned one
CLEAN_TIME. An address is one cell, its parts two spaces apart. Times are UTC.

Action Network, a report of activists: "Creating a report" and "Dealing with bouncing or spam complaining activists" at
help.actionnetwork.org: `email`, `first_name`, `last_name`, `zip_code`, and its own with `can2_` in front; a status is
subscribed, unsubscribed, bouncing or spam complaint. Tags are separated by commas.

NationBuilder, the export of people: "Fields available for import" at support.nationbuilder.com and the people of its API
(nationbuilder.com/people_api) name the same columns: up to four addresses, each with `email1_is_bad`, one
`email_opt_in` for all, `unsubscribed_at`, `tag_list`. An export has some 250 columns: what is not named here is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ADDRESSES = tuple(f"email{number}" for number in range(1, 5))
BAD = tuple(f"email{number}_is_bad" for number in range(1, 5))
FIELDS = frozenset({
    "email", *ADDRESSES, *BAD, "first_name", "last_name", "name", "street", "street2", "city", "state", "zip", "country",
    "full_address", "phone", "language", "status", "opt_in", "stop", "opted_in_at", "opted_out_at", "cleaned_at",
    "complained_at", "reason", "changed_at", "engaged_at", "tags", "wording", "text_status", "ignore",
})  # fmt: skip
_BREAKS = re.compile(r"[\s_-]+")


def fold(heading: str) -> str:
    """A heading as it is compared: "Email Address", "email_address" and "EMAIL-ADDRESS" are one."""
    return _BREAKS.sub(" ", heading).strip().casefold()


@dataclass(frozen=True, slots=True)
class Tool:
    """Where a file came from. `headings`: folded heading -> field; `custom`: heading -> the custom field it becomes;
    `takes_all`: whether columns that nobody knows become custom fields, too; `leaves`: beginnings of those that do not."""

    name: str
    source: str
    headings: Mapping[str, str]
    custom: Mapping[str, str]
    takes_all: bool
    leaves: tuple[str, ...] = ()


def _headings(table: str) -> Mapping[str, str]:
    """`field: heading, heading; …` as heading -> field."""
    pairs = (entry.split(":", 1) for entry in table.split(";") if entry.strip())
    return MappingProxyType({fold(each): field.strip() for field, said in pairs for each in said.split(",")})


LIST = Tool(
    "a list", "import:list",
    _headings("""
        email: email, email address, e mail, mail; first_name: first name, given name, firstname, fname;
        last_name: last name, family name, surname, lastname, lname; name: name, full name;
        street: street, street address, address, address1, address 1, address line 1; street2: street2, address2,
        address 2, address line 2; city: city, town; state: state, region, province;
        zip: zip, zip code, zipcode, zip/postal code, postal code, postcode; country: country;
        phone: phone, phone number, mobile, mobile number, cell, cell phone; language: language, preferred language;
        status: status, subscription status, email status; opted_in_at: opted in at, subscribed at, opt in time,
        optin time, subscription date, date subscribed; opted_out_at: opted out at, unsubscribed at, unsub time;
        cleaned_at: cleaned at, bounced at, clean time; complained_at: complained at;
        changed_at: changed at, updated at, last changed; engaged_at: engaged at, engaged last at, last engaged,
        last active, last activity, last opened, last clicked, last action date; tags: tags, tag list;
        wording: wording; text_status: text status, sms status; reason: reason"""),
    MappingProxyType({}), takes_all=False,
)  # fmt: skip

MAILCHIMP = Tool(
    "Mailchimp", "import:mailchimp",
    _headings("""
        email: email address; first_name: first name, fname; last_name: last name, lname; name: name, full name;
        full_address: address, mailing address; street: street, street address; city: city; state: state;
        zip: zip, zip code, zip/postal code, postal code; country: country; phone: phone number, phone, sms phone;
        language: language, preferred language; status: status; opted_in_at: confirm time, optin time;
        changed_at: last changed; opted_out_at: unsub time; cleaned_at: clean time; reason: unsub reason; tags: tags;
        engaged_at: last engaged, last opened, last clicked, last activity;
        ignore: optin ip, confirm ip, latitude, longitude, gmtoff, dstoff, timezone, cc, region, unsub campaign title,
        unsub campaign id, unsub reason other, clean campaign title, clean campaign id, leid, euid, email type"""),
    MappingProxyType({"member rating": "mailchimp_rating", "notes": "mailchimp_notes"}), takes_all=True,
)  # fmt: skip

ACTION_NETWORK = Tool(
    "Action Network", "import:actionnetwork",
    _headings("""
        email: email; first_name: first name; last_name: last name; street: can2 user address, address, street;
        city: can2 user city, city; state: can2 state abbreviated, can2 user state, state; zip: zip code, zip/postal code;
        country: can2 user country, country; phone: can2 phone, phone number, phone, mobile number;
        language: can2 language preference, language preference, preferred language, language;
        status: can2 subscription status, subscription status; opted_in_at: can2 subscription date, subscription date;
        text_status: can2 sms status, sms status; tags: can2 user tags, tags; changed_at: can2 updated at, modified date;
        engaged_at: can2 last action date, last action date, last action, last opened, last clicked;
        ignore: uuid, id, can2 county, county"""),
    MappingProxyType({}), takes_all=True, leaves=("can2 ",),
)  # fmt: skip

NATION_BUILDER = Tool(
    "NationBuilder", "import:nationbuilder",
    _headings("""
        email: email; email1: email1; email2: email2; email3: email3; email4: email4; email1_is_bad: email1 is bad;
        email2_is_bad: email2 is bad; email3_is_bad: email3 is bad; email4_is_bad: email4 is bad;
        first_name: first name; last_name: last name; name: full name;
        street: primary address1, address address1, home address1; street2: primary address2, address address2;
        city: primary city, address city; state: primary state, address state; zip: primary zip, address zip;
        country: primary country code, address country code; phone: mobile number, phone number;
        language: language, user language; opt_in: email opt in; opted_out_at: unsubscribed at;
        stop: do not contact, is deceased, banned at; changed_at: updated at; tags: tag list;
        engaged_at: last engaged at, last donated at, active at"""),
    MappingProxyType({
        "precinct name": "precinct", "precinct code": "precinct_code", "support level": "support_level",
        "is volunteer": "is_volunteer", "nationbuilder id": "nationbuilder_id",
    }),
    takes_all=False,
)  # fmt: skip

TOOLS: Mapping[str, Tool] = MappingProxyType({
    "people": LIST, "mailchimp": MAILCHIMP, "actionnetwork": ACTION_NETWORK, "nationbuilder": NATION_BUILDER,
})  # fmt: skip

_OF_MAILCHIMP = frozenset({"member rating", "optin time", "confirm time", "leid", "euid", "unsub time", "clean time"})


def recognised(folded: frozenset[str]) -> Tool:
    """Whose headings these are; LIST when they are nobody's."""
    if any(heading.startswith("can2 ") for heading in folded):
        return ACTION_NETWORK
    if "nationbuilder id" in folded or {"email opt in", "email1 is bad"} & folded:
        return NATION_BUILDER
    if "email address" in folded and _OF_MAILCHIMP & folded:
        return MAILCHIMP
    return LIST
