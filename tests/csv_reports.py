"""ActBlue's CSV reports as files of invented people: the columns by their real names, rows by name."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DONOR = tuple(
    f"Donor {name}"
    for name in ("First Name", "Last Name", "Addr1", "Addr2", "City", "State", "ZIP", "Country", "Occupation", "Employer",
                 "Email", "Phone")
)  # fmt: skip
# As of 2020: 91 columns, six of them called Reserved.
PAID_91 = (
    "Receipt ID", "Date", "Amount", "Recurring Total Months", "Recurrence Number", "Recipient", "Fundraising Page",
    "Fundraising Partner", "Reference Code 2", "Reference Code", *DONOR, "New Express Signup", "Comments", "Check Number",
    "Check Date", *(f"Employer {name}" for name in ("Addr1", "Addr2", "City", "State", "ZIP", "Country")), "Donor ID",
    "Fundraiser ID", "Fundraiser Recipient ID", "Fundraiser Contact Email", "Fundraiser Contact First Name",
    "Fundraiser Contact Last Name", "Partner ID", "Partner Contact Email", "Partner Contact First Name",
    "Partner Contact Last Name", "Reserved", "Lineitem ID", "AB Test Name", "AB Variation", "Recipient Committee",
    "Recipient ID", "Recipient Gov ID", "Recipient Election", "Reserved", "Payment ID", "Payment Date", "Disbursement ID",
    "Disbursement Date", "Recovery ID", "Recovery Date", "Refund ID", "Refund Date", "Fee", "Recur Weekly",
    "ActBlue Express Lane", "Reserved", "Card Type", "Reserved", "Reserved", "Reserved", "Reserved", "Mobile",
    "Recurring Upsell Shown", "Recurring Upsell Succeeded", "Double Down", "Smart Recurring", "Monthly Recurring Amount",
    "Apple Pay", "Card Replaced by Account Updater", "ActBlue Express Donor", "Custom Field 1 Label",
    "Custom Field 1 Value", "Donor US Passport Number", "Text Message Opt In", "Gift Identifier", "Gift Declined",
    *(f"Shipping {name}" for name in ("Addr1", "City", "State", "Zip", "Country")), "Weekly Recurring Amount",
    "Smart Boost Amount", "Smart Boost Shown",
)  # fmt: skip
# As of 2026: ten more at the end.
PAID_101 = (
    *PAID_91, "Bump Recurring Seen", "Bump Recurring Succeeded", "Weekly to Monthly Rollover Date",
    "Weekly Recurring Sunset", "Recurring Type", "Recurring Pledged", "Paypal", "Kind", "Managed Entity Name",
    "Managed Entity Committee Name",
)  # fmt: skip
CANCELLED_22 = (
    "Receipt ID", "Recurrence Amount", "Total Amount", "Initial Pledge Length", "Recurrence Frequency",
    "Initial Contribution Date", "Cancelled On", "Express Donor", "Donor First Name", "Donor Last Name", "Donor Address",
    "Donor City", "Donor State", "Donor ZIP", "Donor Country", "Donor Occupation", "Donor Employer", "Donor Email",
    "Donor Phone", "Reference Code", "Bump Recurring Seen", "Bump Recurring Succeeded",
)  # fmt: skip
CANCELLED_49 = (
    *CANCELLED_22, "Contribution Form", "Credit Card Expiration", "Recurring Period", "Recurring Duration", "AB Test Name",
    "Weekly Recurring Sunset", "Is Paypal", "Is Mobile", "AB Test Variation", "With Express Lane", "Express Sign Up",
    "Text Message Option", "Gift Declined", "Gift Identifier", "Smart Boost Amount", "Recur Completed",
    "Cancelation Reason", "Is Eligible For Express Lane", "Sequence", "FEC Id", "Committee Name", "Recurring Amount",
    "Form Name", "Form Kind", "Managed Entitity Name", "Managed Entity Committee Name", "Owner Email",
)  # fmt: skip

# The gift of tests.make.actblue_body, as the paid report tells it.
PAID = {
    "Receipt ID": "AB700", "Date": "2026-11-02 19:03:15", "Amount": "27.00", "Recurrence Number": "1",
    "Recipient": "Common Ground", "Fundraising Page": "common-ground", "Reference Code": "nov-letter",
    "Donor First Name": "ROSA", "Donor Last Name": "DELGADO", "Donor Addr1": "14 Lincoln Street",
    "Donor City": "Worcester", "Donor State": "MA", "Donor ZIP": "01605", "Donor Country": "United States",
    "Donor Occupation": "Librarian", "Donor Employer": "Worcester Public Library", "Donor Phone": "5085550123",
    "New Express Signup": "f", "Lineitem ID": "700", "Recipient ID": "12345", "Payment Date": "2026-11-02 00:00:00",
    "Recipient Committee": "Common Ground Massachusetts Action, Inc.", "Fee": "1.07", "Mobile": "t", "Card Type": "visa",
    "Recurring Pledged": "1", "Reserved": "t", "ActBlue Express Donor": "t",
}  # fmt: skip
MONTHLY = {"Recurring Total Months": "unlimited", "Recurring Type": "forever", "Recurring Pledged": "forever"}
REFUNDED = {"Refund ID": "5501", "Refund Date": "2026-11-05 08:09:10"}
CANCELLED = {
    "Receipt ID": "AB700", "Recurrence Amount": "27.00", "Total Amount": "54.00", "Initial Pledge Length": "unlimited",
    "Recurrence Frequency": "monthly", "Initial Contribution Date": "2026-09-02 19:03:15",
    "Cancelled On": "2026-11-09 10:00:00", "Donor First Name": "ROSA", "Donor Last Name": "DELGADO",
    "Cancelation Reason": "donor_request",
}  # fmt: skip


def paid(number: int, **changed: str) -> dict[str, str]:
    """One row of the paid report. Keyword arguments name columns with underscores; `also=` brings a mapping."""
    named = {"Receipt ID": f"AB{number}", "Lineitem ID": str(number), "Donor Email": f"rosa.{number}@example.org"}
    return PAID | named | {name.replace("_", " "): value for name, value in changed.items()}


def as_body(body: dict[str, Any], **changed: str) -> dict[str, str]:
    """The row that tells the same gift as this webhook body of `tests.make`."""
    number = body["lineitems"][0]["lineitemId"]
    return paid(number, Receipt_ID=body["contribution"]["orderNumber"], Donor_Email=body["donor"]["email"], **changed)


def cells(columns: Sequence[str], row: dict[str, str]) -> list[str]:
    """A row in the order of these columns."""
    return [row.get(name, "") for name in columns]


def as_csv(rows: Sequence[dict[str, str]], columns: Sequence[str] = PAID_101) -> bytes:
    """A report, with the line ends and the quoting that ActBlue uses."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(cells(columns, row) for row in rows)
    return out.getvalue().encode()


def write(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = PAID_101) -> Path:
    """A report as a file."""
    path.write_bytes(as_csv(rows, columns))
    return path
