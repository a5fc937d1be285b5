"""The links of one letter: signed when it is rendered, from ids alone. What a message keeps holds no token."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from engine.tokens import Signer

PREFERENCES_SPAN = timedelta(days=30)  # how long a letter's link to her preferences works, by the house's clock
GIVING_SPAN = timedelta(hours=24)  # the same of the link to her monthly gifts, which she asks for each time


@dataclass(frozen=True, slots=True)
class Links:
    """What links are made with. `now`: of the house, when the letters are rendered."""

    ALWAYS: ClassVar = frozenset({"unsubscribe_url", "preferences_url", "offers_url"})

    signer: Signer
    base_url: str
    now: datetime

    def of(self, contact_id: int, message_id: int, facts: Mapping[str, Any]) -> dict[str, str]:
        """The addresses for one letter's words. `confirm_url`, `sign_in_url` and `giving_url` are there when its facts name
        what for; `offers_url` is for who leads a chapter."""
        found = {
            "unsubscribe_url": f"{self.base_url}/u/{self.signer.sign('unsubscribe', contact_id, message_id)}",
            "preferences_url": f"{self.base_url}{preferences(self.signer, contact_id, self.now)}",
            "offers_url": f"{self.base_url}/staff/offers",
        }
        if "confirmation_id" in facts:
            found["confirm_url"] = f"{self.base_url}/confirm/{self.signer.sign('confirm', facts['confirmation_id'])}"
        if "sign_in_id" in facts:
            found["sign_in_url"] = f"{self.base_url}/staff/sign-in/{self.signer.sign('sign-in', facts['sign_in_id'])}"
        if "giving_asked" in facts:
            found["giving_url"] = f"{self.base_url}{giving(self.signer, contact_id, facts['giving_asked'])}"
        return found


def giving(signer: Signer, contact_id: int, issued: int) -> str:
    """The path of her monthly gifts, asked for at this moment (seconds of Unix time)."""
    return f"/give/me/{signer.sign('giving', contact_id, issued)}"


def giver(signer: Signer, token: str, now: datetime) -> tuple[int, bool] | None:
    """The contact that a link to monthly gifts names, and whether it still works."""
    said = signer.read("giving", token)
    match said:
        case (int(contact_id), int(issued)):
            return contact_id, now.timestamp() - issued <= GIVING_SPAN.total_seconds()
    return None


def preferences(signer: Signer, contact_id: int, issued: datetime) -> str:
    """The path of her preferences, from a letter of this moment."""
    return f"/me/{signer.sign('preferences', contact_id, int(issued.timestamp()))}"


def unsubscriber(signer: Signer, token: str) -> tuple[int, int] | None:
    """Contact and message that a link to unsubscribe names. It never ends: she may stop letters from any she ever got."""
    said = signer.read("unsubscribe", token)
    match said:
        case (int(contact_id), int(message_id)):
            return contact_id, message_id
    return None


def chooser(signer: Signer, token: str, now: datetime) -> tuple[int, bool] | None:
    """The contact that a link to preferences names, and whether it still works."""
    said = signer.read("preferences", token)
    match said:
        case (int(contact_id), int(issued)):
            return contact_id, now.timestamp() - issued <= PREFERENCES_SPAN.total_seconds()
    return None


def confirmation(signer: Signer, token: str) -> int | None:
    """The confirmation that a link of a letter names."""
    said = signer.read("confirm", token)
    match said:
        case (int(confirmation_id),):
            return confirmation_id
    return None
