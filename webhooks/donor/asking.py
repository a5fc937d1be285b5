"""Which donation form a request is about, and on which terms: the amounts, the language, what a link filled in, whether it
stands in a frame of another site."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from engine import languages
from engine.errors import Invalid
from engine.giving import ask_links
from engine.giving.ask_links import Offered
from engine.giving.forms import Definition, Said, Shown
from engine.money import cents, plain_dollars
from engine.sources.words import clean
from engine.tokens import Signer
from webhooks.donor.published import Offer
from webhooks.forms import Stamp
from webhooks.pages import spoken

LONGEST_CODE = 200
LONGEST_TOKEN = 512
# As ActBlue's links say "each month": a number is one of months.
YES = re.compile(r"true|yes|month|monthly|[1-9]\d?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One donation form. `lang`: the language that its address names, "" for the browser's. `amount`, `monthly`: what the
    link chose. `offered`: what a letter's link offers, and `token` that link's; `preview`: that of a draft, "" for none."""

    form: Shown
    offer: Offer
    language: str
    lang: str = ""
    embed: bool = False
    amount: int | None = None
    monthly: bool = False
    refcode: str = ""
    refcode2: str = ""
    offered: Offered | None = None
    token: str = ""
    preview: str = ""

    @property
    def definition(self) -> Definition:
        """What the form says."""
        return self.form.definition

    @property
    def said(self) -> Said:
        """Its words in the language of this page."""
        return self.definition.said(self.language)

    @property
    def name(self) -> str:
        """The form's name, as stamps say it: "give/common-ground"."""
        return f"give/{self.definition.slug}"

    @property
    def options(self) -> tuple[int, ...]:
        """The amounts that are shown, in cents: a letter's own, or the presets; none above what its link says is left, and
        none that floor or cap, which may have changed since, do not allow."""
        if self.offered is None:
            return self.definition.preset_cents
        left = self.offered.left_cents
        wanted = filter(self.definition.takes, self.offered.cents or self.definition.preset_cents)
        amounts = [each for each in wanted if left is None or each <= left]
        return tuple(amounts) if amounts or self.definition.other else self.definition.preset_cents

    @property
    def chosen(self) -> int | None:
        """The amount that is chosen already: the link's, else the form's own."""
        wanted = self.definition.default_cents if self.amount is None else self.amount
        return wanted if wanted is not None and self.takes(wanted) else None

    def takes(self, amount: int) -> bool:
        """Whether this amount may be given: one that is shown, a preset, or another one between floor and cap."""
        if amount in self.options or amount in self.definition.preset_cents:
            return True
        return self.definition.other and self.definition.takes(amount)

    def stamp(self, *, aged: bool = False) -> Stamp:
        """A fresh stamp; `aged`: for whoever has waited long enough already."""
        return Stamp.fresh(self.name, self.offer.now, aged=aged)

    def url(self, *, lang: str = "", whole: bool = False, path: str = "") -> str:
        """Where this form is, in this language if one is named; `whole`: with all that its link filled in.

        What is posted goes to the page itself, out of the frame.
        """
        terms = {"lang": lang or self.lang, "preview": self.preview}
        if whole:
            terms |= {
                "amount": plain_dollars(self.amount) if self.amount else "", "recurring": "1" if self.monthly else "",
                "refcode": self.refcode, "refcode2": self.refcode2, "k": self.token, "embed": "1" if self.embed else "",
            }  # fmt: skip
        query = urlencode({name: value for name, value in terms.items() if value})
        return f"/{self.name}{path}" + (f"?{query}" if query else "")

    @property
    def picture_url(self) -> str:
        """Where the form's picture is, by version."""
        preview = f"&{urlencode({'preview': self.preview})}" if self.preview else ""
        return f"/{self.name}/picture?v={self.form.version}{preview}"

    @property
    def others(self) -> list[tuple[str, str]]:
        """The other languages that this form speaks, each with its address in it."""
        spoken_here = [languages.ENGLISH, *self.definition.others]
        return [
            (each, self.url(lang=each, whole=True))
            for each in languages.offered()
            if each != self.language and each in spoken_here
        ]


def asked(request: Request, offer: Offer, form: Shown, told: Callable[[str], str]) -> Asked:
    """The form of this request. `told`: what the link said of a name: the address, or the fields that kept it."""
    signer: Signer = request.app.state.deps.signer
    lang = request.query_params.get("lang", "")
    token = told("k")[:LONGEST_TOKEN]
    amount = _amount(told("amount"))
    return Asked(
        form=form,
        offer=offer,
        language=spoken(request),
        lang=lang if lang in languages.offered() else "",
        embed=request.query_params.get("embed") == "1",
        amount=amount,
        monthly=form.definition.monthly and _yes(told("recurring")),
        refcode=_code(told("refcode")),
        refcode2=_code(told("refcode2")),
        offered=ask_links.read(signer, form.definition.slug, token) if token else None,
        token=token,
        preview=request.query_params.get("preview", "")[:LONGEST_TOKEN],
    )


def _amount(said: str) -> int | None:
    """Cents of a link's dollars; nonsense says nothing."""
    try:
        return cents(said.strip()) or None
    except Invalid:
        return None


def _yes(said: str) -> bool:
    return bool(YES.fullmatch(said))


def _code(said: str) -> str:
    return "".join(sign for sign in clean(said) if sign.isprintable())[:LONGEST_CODE]
