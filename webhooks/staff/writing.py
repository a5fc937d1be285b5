"""Writing a letter: what it is and what it says, in each of our languages; checked, with every fault in its place; kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from engine.errors import Invalid, NotFound
from engine.languages import ENGLISH, offered, own_name
from engine.letters import checks, drafts, layouts, shelf, writing
from engine.letters.finishing import Body, Finished
from engine.letters.language import Fault, Faulty
from engine.letters.vocabulary import vocabulary
from engine.outreach import shipped_sequences
from engine.staff import audit, rights
from webhooks.staff.forms import Form
from webhooks.staff.gate import Visit, staff_page
from webhooks.staff.letters import path_of, slug

LIMIT = 1024 * 1024  # bytes of a form with a letter in all its languages
PARTS = ("subject", "preview", "body", "text")


@dataclass(slots=True)
class Typed:
    """What stands in the form: what the letter is, and its words by language and part."""

    slug: str = ""
    kind: str = "news"
    layout: str = "letter"
    fund: str = ""  # where it has no form: that one says whose it is
    form: str = ""
    note_until: str = ""
    quiet_from: str = ""
    quiet_until: str = ""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def draft(self, zone: str, kind: str | None) -> drafts.Draft:
        """The draft that this is. `kind`: of a letter whose kind is not to be chosen. Raises Invalid."""
        hours = f"{self.quiet_from}-{self.quiet_until}" if self.quiet_from or self.quiet_until else None
        bodies = {
            spoken: Body(said["subject"], said["body"], said["preview"], said["text"])
            for spoken, said in self.words.items()
            if spoken == ENGLISH or any(said.values())
        }
        return drafts.made({
            "slug": self.slug, "kind": self.kind if kind is None else kind, "layout": self.layout, "fund": self.fund,
            "form": self.form, "note_until": _moment(self.note_until, zone), "quiet_hours": hours, "bodies": bodies,
        })  # fmt: skip


@staff_page(rights.WRITE_LETTERS)
def blank(visit: Visit) -> Response:
    """An empty form."""
    return _shown(visit, Typed(), new=True)


@staff_page(rights.WRITE_LETTERS, limit=LIMIT)
def begin(visit: Visit) -> Response:
    """Check a new letter, or keep it."""
    return _taken(visit, _typed(visit.form, visit.form.one("slug")), new=True)


@staff_page(rights.WRITE_LETTERS)
def edit(visit: Visit) -> Response:
    """The newest words of a letter."""
    return _shown(visit, _kept(visit), new=False)


@staff_page(rights.WRITE_LETTERS, limit=LIMIT)
def save(visit: Visit) -> Response:
    """Check them, or keep them as a new version."""
    return _taken(visit, _typed(visit.form, shelf.one(visit.session, slug(visit)).slug), new=False)


def _taken(visit: Visit, typed: Typed, *, new: bool) -> Response:
    own = _own(visit, typed.slug)
    if new and own is not None:
        taken = Fault(
            "letter", 0, 0, f"there is a letter {typed.slug} already: call it something else, or open that one"
        )
        return _shown(visit, typed, new=True, faults=[taken])
    kind = own.kind if own is not None and (own.shipped or own.facts) else None
    try:
        draft = typed.draft(visit.deps.settings.time_zone, kind)
        done = writing.check(visit.session, draft)
        if visit.form.one("do") != "save":
            return _shown(visit, typed, new=new, done=done)
        saved = writing.save(visit.session, draft)
        shipped_sequences.ship(visit.session, visit.now, letters=[draft.slug])
    except Faulty as error:
        return _shown(visit, typed, new=new, faults=error.faults)
    except Invalid as error:
        return _shown(visit, typed, new=new, faults=[Fault("letter", 0, 0, str(error))])
    detail = {"letter": draft.slug, "version": saved.version, "languages": sorted(saved.mailings)}
    audit.write(visit.session, visit.who.id, "letter saved", "letter", saved.letter_id, detail, visit.now)
    return visit.go(path_of(draft.slug), "kept" if saved.fresh else "same")


def _shown(
    visit: Visit, typed: Typed, *, new: bool, faults: Any = (), done: Mapping[str, Finished] | None = None
) -> Response:
    own = None if new else _own(visit, typed.slug)
    facts = own.facts if own is not None else {}
    remarks = {spoken: checks.of(finished) for spoken, finished in (done or {}).items()}
    return visit.page(
        "writing.html", HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK, typed=typed, new=new, faults=faults,
        checked=done is not None, remarks=remarks, tongues=offered(), own_name=own_name, forms=shelf.forms(visit.session),
        funds=shelf.funds(visit.session), layouts=layouts.names(), fixed=bool(own is not None and (own.shipped or own.facts)),
        fields=sorted(vocabulary(facts)), path="/staff/letters/new" if new else f"{path_of(typed.slug)}/edit",
        zone=visit.deps.settings.time_zone, rows=_rows(typed),
    )  # fmt: skip


def _rows(typed: Typed) -> Mapping[str, int]:
    """How many lines high a field of the body stands, by language."""
    return {spoken: min(max(said["body"].count("\n") + 4, 12), 40) for spoken, said in typed.words.items()}


def _typed(form: Form, name: str) -> Typed:
    words = {
        spoken: {part: form.many_lines(f"{part}-{spoken}") if part in ("body", "text") else form.one(f"{part}-{spoken}")
                 for part in PARTS}
        for spoken in offered()
    }  # fmt: skip
    plain = ("kind", "layout", "fund", "note_until", "quiet_from", "quiet_until")
    return Typed(slug=name, form=form.one("form_of"), words=words, **{part: form.one(part) for part in plain})


def _kept(visit: Visit) -> Typed:
    letter = shelf.one(visit.session, slug(visit))
    kept = writing.newest(visit.session, letter.slug)
    words = {
        spoken: {"subject": row.subject, "preview": row.preview, "body": row.source, "text": row.source_text}
        for spoken, row in kept.items()
    }
    until = letter.note_until.astimezone(ZoneInfo(visit.deps.settings.time_zone)) if letter.note_until else None
    return Typed(
        slug=letter.slug, kind=letter.kind, layout=letter.layout, form=letter.form, words=words,
        fund="" if letter.form else letter.fund,
        note_until=f"{until:%Y-%m-%dT%H:%M}" if until else "",
        quiet_from="" if letter.quiet_from is None else str(letter.quiet_from),
        quiet_until="" if letter.quiet_until is None else str(letter.quiet_until),
    )  # fmt: skip


def _own(visit: Visit, name: str) -> Any:
    try:
        return shelf.one(visit.session, name)
    except NotFound:
        return None


def _moment(told: str, zone: str) -> datetime | None:
    """A day and an hour as a browser writes them, in the house's time zone. Raises Invalid."""
    if not told:
        return None
    try:
        return datetime.fromisoformat(told).replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise Invalid("the deadline for notes is a day and an hour") from None
