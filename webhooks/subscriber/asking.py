"""Which join form a request is about: whose, in which language, at which gathering, in a frame of another site or not."""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine import languages
from engine.people.join_forms import Hosted, House, Known
from webhooks.forms import Stamp
from webhooks.pages import spoken
from webhooks.subscriber.offers import Offer


@dataclass(frozen=True, slots=True)
class Asked:
    """One join form. `chapter`: the one whose form it is, None for the organisation's own.

    `code`: of a gathering of today, "" for none; `lang`: the language that its address names, "" for the browser's.
    """

    offer: Offer
    chapter: Known | None
    language: str
    lang: str
    code: str
    embed: bool

    @property
    def house(self) -> House:
        """What is offered."""
        return self.offer.house

    @property
    def name(self) -> str:
        """The form's name, as stamps and stored sign-ups say it: "join", "join/worcester"."""
        return f"join/{self.chapter.slug}" if self.chapter else "join"

    @property
    def gathering(self) -> Hosted | None:
        """The gathering, while it takes sign-ups."""
        found = self.house.gatherings.get(self.code)
        return found if found and found.starts_at <= self.offer.now < found.ends_at else None

    def host(self, code: str) -> Known | None:
        """The chapter that a sign-up of this form goes to, as far as the form or the gathering of this code decides that."""
        found = self.house.gatherings.get(code)
        return self.house.chapter(found.chapter_id) if found else self.chapter

    def stamp(self, *, aged: bool = False) -> Stamp:
        """A fresh stamp; `aged`: for whoever has waited long enough already."""
        return Stamp.fresh(self.name, self.offer.now, aged=aged)

    def url(self, *, path: str = "", lang: str = "") -> str:
        """Where this form is, or another path with the same terms, in this language if one is named."""
        terms = {"g": self.code, "lang": lang or self.lang, "embed": "1" if self.embed else ""}
        query = urlencode({name: value for name, value in terms.items() if value})
        return (path or f"/{self.name}") + (f"?{query}" if query else "")

    @property
    def others(self) -> list[tuple[str, str]]:
        """The other languages there are, each with the address of this form in it."""
        return [(each, self.url(lang=each)) for each in languages.offered() if each != self.language]


def asked(request: Request, offer: Offer) -> Asked:
    """The form of this request. Raises HTTPException 404 for a chapter that there is not."""
    slug, told = request.path_params.get("chapter"), request.query_params
    chapter = offer.house.chapters.get(slug) if slug is not None else None
    if slug is not None and chapter is None:
        raise HTTPException(404, "Not Found")
    if chapter is not None and chapter.kind == "root":
        chapter = None
    lang, code = told.get("lang", ""), told.get("g", "")
    return Asked(
        offer=offer,
        chapter=chapter,
        language=spoken(request),
        lang=lang if lang in languages.offered() else "",
        code=code if code in offer.house.gatherings else "",
        embed=told.get("embed") == "1",
    )
