"""Lines that people type into our forms, read strictly: what was meant, or a word for what is wrong with it.

Nothing is cut and nothing is guessed but a ZIP's lost zero. A number that could be a card's is refused wherever it stands.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, ValidationError
from pydantic_core import PydanticCustomError

from engine.sources.words import email_address, zip_code

LONGEST = 100
LONGEST_EMAIL = 254

# What a person is told beside the field. Translated where it is shown.
WORDS = {
    "email": "Please write one email address, like rosa@example.org.",
    "no_email": "Please tell us your email address.",
    "zip": "A ZIP has five digits, like 01604.",
    "no_zip": "Please tell us your ZIP code. It says which chapter is near you.",
    "long": "Please make this shorter: at most 100 characters.",
    "controls": "This holds signs that we cannot read. Please type it once more.",
    "link": "Please leave web and email addresses out of this field.",
    "card": "This looks like a card number. We never ask for one here, and have not kept it.",
    "unoffered": "Something that was ticked here is not offered any more. Please look once more.",
}

# Controls, line ends, and what turns the direction of writing round.
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LINK = re.compile(
    r"://|www\.|@|\b[\w-]+\.(?:biz|club|com|info|io|link|me|net|online|org|ru|shop|site|top|xyz)\b", re.IGNORECASE
)
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII)


def wrong(code: str) -> PydanticCustomError:
    """What to raise about a line: a key of WORDS."""
    return PydanticCustomError("wrong", "{code}", {"code": code})


def is_card(said: str) -> bool:
    """Whether a number in there is as long as a card's and passes its check (Luhn's)."""
    for found in _CARD.finditer(said):
        digits = [int(sign) for sign in reversed(found[0]) if sign.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
        if (sum(digits[::2]) + sum(doubled)) % 10 == 0:
            return True
    return False


def readable(said: str) -> str:
    """Trimmed. Raises `wrong` for signs that nobody can read, and for a card's number."""
    if _UNREADABLE.search(said):
        raise wrong("controls")
    if is_card(said):
        raise wrong("card")
    return said.strip()


def _plain(said: str) -> str:
    told = unicodedata.normalize("NFC", " ".join(readable(said).split()))
    if len(told) > LONGEST:
        raise wrong("long")
    return told


def _line(said: str) -> str:
    told = _plain(said)
    if _LINK.search(told):
        raise wrong("link")
    return told


def _email(said: str) -> str:
    told = readable(said)
    if not told:
        raise wrong("no_email")
    known = email_address(told) if len(told) <= LONGEST_EMAIL else None
    if known is None:
        raise wrong("email")
    return known


def _zip(said: str) -> str:
    told = readable(said)
    if not told:
        raise wrong("no_zip")
    known = zip_code(told, "")
    if known is None:
        raise wrong("zip")
    return known


Plain = Annotated[str, AfterValidator(_plain)]
Line = Annotated[str, AfterValidator(_line)]  # what letters may say: no link in it
Email = Annotated[str, AfterValidator(_email)]
Zip = Annotated[str, AfterValidator(_zip)]


def faults(error: ValidationError) -> dict[str, str]:
    """What is wrong by field: keys of WORDS."""
    return {str(problem["loc"][0]): str(problem["ctx"]["code"]) for problem in error.errors()}


def without_cards(kept: Mapping[str, str], errors: Mapping[str, str]) -> dict[str, str]:
    """What may be shown again: never a card's number."""
    return {name: "" if errors.get(name) == "card" else said for name, said in kept.items()}
