"""Links to donation forms, with the amount and the code of where they stood filled in. Pure.

ActBlue's parameters: `amount` in dollars, `recurring` (1: each month, without end), `refcode`, `express_lane`
(https://support.actblue.com, "Link parameters"); our own pages know the first three, and `k`: what a letter offered, see
`engine.giving.ask_links`. `express_lane=true` charges a saved card as soon as the link is opened: nobody gets one who is not
known to have saved one, nor where the root has not switched it on.
"""

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlencode

from engine.languages import ENGLISH, catalogue
from engine.money import dollars, plain_dollars

ACTBLUE = "https://secure.actblue.com/donate/"


@dataclass(frozen=True, slots=True)
class Form:
    """As much of a donation form as a link needs. `base_url`: of our own pages."""

    slug: str
    processor: Literal["actblue", "stripe"]
    base_url: str


def link(
    form: Form, *, cents: int | None = None, refcode: str = "", express: bool = False, language: str = ENGLISH,
    monthly: bool = False, token: str = "", refcode2: str = "",
) -> str:  # fmt: skip
    """The form's address; without cents she chooses there. `monthly` asks for that each month: a card that is saved is never
    charged for a plan without her seeing it. `token`: what she was offered; ActBlue has no use for it."""
    said = {} if cents is None else {"amount": plain_dollars(cents)}
    said |= {"recurring": "1"} if monthly else {}
    said |= {name: code for name, code in (("refcode", refcode), ("refcode2", refcode2)) if code}
    if form.processor == "actblue":
        said |= {"express_lane": "true"} if express and cents is not None and not monthly else {}
        place = ACTBLUE + form.slug
    else:
        said |= ({"lang": language} if language != ENGLISH else {}) | ({"k": token} if token else {})
        place = f"{form.base_url}/give/{form.slug}"
    return f"{place}?{urlencode(said)}" if said else place


@lru_cache(maxsize=4096)
def rungs(
    form: Form, cents: tuple[int, ...], refcode: str, language: str, *, express: bool, token: str = "",
    monthly: bool = False,
) -> tuple[MappingProxyType[str, str], ...]:  # fmt: skip
    """A ladder of these amounts, once or each month, as a letter says it."""
    give = catalogue(language).gettext("Give %(amount)s a month" if monthly else "Give %(amount)s")
    return tuple(
        MappingProxyType({
            "amount": dollars(each),
            "words": give % {"amount": dollars(each)},
            "url": link(
                form, cents=each, refcode=refcode, express=express, language=language, token=token, monthly=monthly
            ),
        })
        for each in cents
    )  # fmt: skip
