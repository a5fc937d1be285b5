"""Files of people as each tool writes them: its own headings, invented people."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

MAILCHIMP = (
    "Email Address", "First Name", "Last Name", "Address", "Phone Number", "Birthday", "Favourite issue", "MEMBER_RATING",
    "OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP", "LATITUDE", "LONGITUDE", "GMTOFF", "DSTOFF", "TIMEZONE", "CC",
    "REGION", "LAST_CHANGED", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip
MAILCHIMP_UNSUBSCRIBED = (
    "Email Address", "First Name", "Last Name", "MEMBER_RATING", "OPTIN_TIME", "CONFIRM_TIME", "CC", "REGION", "UNSUB_TIME",
    "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON", "UNSUB_REASON_OTHER", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip
MAILCHIMP_CLEANED = (
    "Email Address", "First Name", "Last Name", "MEMBER_RATING", "OPTIN_TIME", "CONFIRM_TIME", "CC", "REGION", "CLEAN_TIME",
    "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip
ACTION_NETWORK = (
    "uuid", "first_name", "last_name", "email", "can2_phone", "can2_user_address", "can2_user_city",
    "can2_state_abbreviated", "zip_code", "can2_county", "can2_user_tags", "can2_subscription_status",
    "can2_subscription_date", "can2_sms_status", "Committee",
)  # fmt: skip
NATION_BUILDER = (
    "nationbuilder_id", "first_name", "last_name", "full_name", "email", "email_opt_in", "email1", "email1_is_bad", "email2",
    "email2_is_bad", "email3", "email3_is_bad", "email4", "email4_is_bad", "unsubscribed_at", "phone_number",
    "mobile_number", "do_not_contact", "is_deceased", "primary_address1", "primary_city", "primary_state", "primary_zip",
    "primary_country_code", "precinct_name", "support_level", "tag_list", "created_at", "updated_at", "religion",
)  # fmt: skip
LIST = ("Email", "First name", "Last name", "ZIP", "State", "Subscription status", "Subscribed at")


def subscriber(email: str, **more: str) -> dict[str, str]:
    """A row of Mailchimp's subscribed file."""
    return {
        "Email Address": email, "First Name": "Rosa", "Last Name": "Delgado",
        "Address": "12 Lincoln Street  Worcester  MA  01605  US", "Phone Number": "508-555-0123", "MEMBER_RATING": "4",
        "OPTIN_TIME": "2023-04-05 09:00:00", "OPTIN_IP": "192.0.2.7", "CONFIRM_TIME": "2023-04-05 09:10:00",
        "LAST_CHANGED": "2024-01-02 10:00:00", "LEID": "71", "EUID": "a1b2", "TAGS": '"Housing","Volunteer"',
        "Favourite issue": "Housing",
    } | {name.replace("_", " ") if name not in MAILCHIMP else name: value for name, value in more.items()}  # fmt: skip


def left(email: str, at: str = "2024-02-03 10:00:00", reason: str = "NORMAL") -> dict[str, str]:
    """A row of Mailchimp's unsubscribed file."""
    return {
        "Email Address": email, "First Name": "Rosa", "OPTIN_TIME": "2022-01-01 08:00:00", "UNSUB_TIME": at,
        "UNSUB_CAMPAIGN_TITLE": "=HYPERLINK(1)", "UNSUB_REASON": reason,
    }  # fmt: skip


def cleaned(email: str) -> dict[str, str]:
    """A row of Mailchimp's cleaned file."""
    return {"Email Address": email, "CLEAN_TIME": "2024-03-01 00:00:00", "CLEAN_CAMPAIGN_TITLE": "News"}


def activist(email: str, status: str = "subscribed", **more: str) -> dict[str, str]:
    """A row of an Action Network report."""
    return {
        "uuid": "0b1f", "first_name": "Rosa", "last_name": "Delgado", "email": email,
        "can2_user_address": "12 Lincoln Street",
        "can2_user_city": "Worcester", "can2_state_abbreviated": "MA", "zip_code": "01605-1234",
        "can2_user_tags": "Housing, Transit", "can2_subscription_status": status,
        "can2_subscription_date": "2024-05-06 12:00:00 UTC", "Committee": "Food",
    } | more  # fmt: skip


def signup(email: str, opt_in: str = "true", **more: str) -> dict[str, str]:
    """A row of NationBuilder's export."""
    return {
        "nationbuilder_id": "5", "first_name": "Rosa", "last_name": "Delgado", "email": email, "email_opt_in": opt_in,
        "email1": email, "email1_is_bad": "false", "email2_is_bad": "false", "mobile_number": "5085550123",
        "primary_city": "Worcester", "primary_state": "MA", "primary_zip": "1605", "primary_country_code": "US",
        "precinct_name": "Ward 3", "tag_list": "Housing, Donor", "created_at": "2012-11-05 22:10:00 -0500",
        "updated_at": "2022-11-05T22:10:00-05:00", "religion": "private",
    } | more  # fmt: skip


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> Path:
    """The file. Returns its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
