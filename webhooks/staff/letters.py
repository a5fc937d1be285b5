"""`/staff/letters`: what letters there are; of one, how anybody would read it, what to look at, a test, notes of chapters."""

from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import HTMLResponse, Response

from engine.errors import Forbidden, Invalid, NotFound
from engine.languages import own_name
from engine.letters import checks, notes, shelf, writing
from engine.letters.language import Faulty
from engine.letters.links import Links
from engine.letters.sheets import Words
from engine.mail import breaker
from engine.outreach import trying
from engine.outreach.trying import Preview
from engine.staff import audit, dossier, rights, search
from webhooks.security import framed_letter
from webhooks.staff.gate import Visit, staff_page


@staff_page()
def listing(visit: Visit) -> Response:
    """All letters."""
    every = shelf.every(visit.session)
    own, shipped = ([row for row in every if row.shipped is whose] for whose in (False, True))
    return visit.page("letters.html", own=own, shipped=shipped, said=visit.said)


@staff_page()
def show(visit: Visit) -> Response:
    """One letter. `?random=1` goes on to somebody at random."""
    if visit.request.query_params.get("random"):
        return _random(visit)
    return _page(visit)


@staff_page()
def html(visit: Visit) -> Response:
    """Its HTML alone, for the frame."""
    return HTMLResponse(_preview(visit).letter.html, headers=framed_letter(pictures=True))


@staff_page()
def test(visit: Visit) -> Response:
    """Send it to whoever is signed in."""
    letter = shelf.one(visit.session, slug(visit))
    visit.happened += trying.send(
        visit.session, letter.slug, visit.who.email, visit.now, chapter_id=_chapter(visit, visit.form.number("chapter"))
    )
    audit.write(visit.session, visit.who.id, "letter tested", "letter", letter.id, {"letter": letter.slug}, visit.now)
    return visit.go(path_of(letter.slug), "tested")


@staff_page(rights.WRITE_NOTES)
def note(visit: Visit) -> Response:
    """A chapter's paragraph; an empty one takes it out."""
    letter, form = shelf.one(visit.session, slug(visit)), visit.form
    chapter_id, language = _chapter(visit, form.number("chapter")), form.one("language")
    if chapter_id is None:
        raise Invalid("say which chapter writes")
    said = form.many_lines("note")
    try:
        notes.put(
            visit.session, letter.slug, chapter_id, said, visit.now, language=language, staff_id=visit.who.id,
            zone=visit.deps.settings.time_zone,
        )  # fmt: skip
    except Faulty as error:
        typed = {"chapter": chapter_id, "language": language, "note": said}
        return _page(visit, status=422, typed=typed, faults=error.faults)
    detail = {"letter": letter.slug, "language": language}
    audit.write(visit.session, visit.who.id, "note written", "chapter", chapter_id, detail, visit.now)
    return visit.go(path_of(letter.slug), "note" if said.strip() else "unnoted")


@staff_page(rights.WRITE_LETTERS)
def resume(visit: Visit) -> Response:
    """Let a mailing that stood still go on."""
    letter, mailing = shelf.one(visit.session, slug(visit)), visit.form.one("mailing")
    if mailing not in {row.slug for row in shelf.fared(visit.session, letter.id)}:
        raise NotFound("no such mailing")
    visit.happened += breaker.resume(visit.session, mailing)
    audit.write(visit.session, visit.who.id, "mailing resumed", "letter", letter.id, {"mailing": mailing}, visit.now)
    return visit.go(path_of(letter.slug), "resumed")


def _page(visit: Visit, status: int = 200, **more: Any) -> Response:
    """The page of one letter; `more`: what was typed into its form for a note, and what is wrong with that."""
    letter = shelf.one(visit.session, slug(visit))
    words = writing.newest(visit.session, letter.slug)
    chapters = dossier.chapters(visit.session, visit.who)
    # Only a failed note posts here: its fields must not choose the preview.
    preview = _preview(visit)
    asked = {name: visit.request.query_params.get(name, "") for name in ("as", "language", "chapter")}
    wrote = [row for row in notes.of(visit.session, letter.id) if visit.who.reach.holds(row.chapter_id)]
    return visit.page(
        "letter.html", status, letter=letter, newest=words, preview=preview, asked=asked, chapters=chapters, said=visit.said,
        remarks=_remarks(visit, letter.slug, words), fared=shelf.fared(visit.session, letter.id), notes=wrote,
        takes_notes=letter.note_until is not None and letter.note_until > visit.now, own_name=own_name,
        zone=visit.deps.settings.time_zone, path=path_of(letter.slug),
        frame=f"{path_of(letter.slug)}/html?{urlencode(asked)}",
        **{"typed": {"chapter": None, "language": "", "note": ""}, "faults": ()} | more,
    )  # fmt: skip


def slug(visit: Visit) -> str:
    """The letter that the path names."""
    return str(visit.request.path_params["slug"])[:80]


def path_of(name: str) -> str:
    """The page of a letter."""
    return f"/staff/letters/{quote(name)}"


def _random(visit: Visit) -> Response:
    reach = visit.who.reach
    found = trying.somebody(visit.session, None if reach.everywhere else reach.chapter_ids)
    asked = {"as": found or "", "language": visit.request.query_params.get("language", "")}
    return visit.go(f"{path_of(slug(visit))}?{urlencode(asked)}")


def _preview(visit: Visit) -> Preview:
    """As somebody within reach reads it, or an invented person."""
    asked = visit.request.query_params
    reader = None
    if asked.get("as", "").strip():
        reader = search.one(visit.session, visit.who.reach, asked["as"])
        if reader is None:
            raise NotFound("nobody of that address or number is within your reach")
    links = Links(visit.deps.signer, visit.deps.settings.base_url, visit.now)
    told = asked.get("chapter", "")
    chapter_id = _chapter(visit, int(told) if told.isascii() and told.isdigit() and len(told) <= 18 else 0)
    return trying.preview(
        visit.session, slug(visit), links, contact_id=reader, language=asked.get("language", ""), chapter_id=chapter_id,
        amounts=visit.who.may(rights.SEE_GIFTS), zone=visit.deps.settings.time_zone,
    )  # fmt: skip


def _chapter(visit: Visit, chapter_id: int) -> int | None:
    """A chapter that was chosen; None for none. Raises Forbidden out of reach."""
    if not chapter_id:
        return None
    if not visit.who.reach.holds(chapter_id):
        raise Forbidden("That chapter is not one of yours.")
    return chapter_id


def _remarks(visit: Visit, name: str, words: dict[str, Any]) -> list[str]:
    """What one should look at, of all its languages."""
    found = [*shelf.remarks(visit.session, name), *trying.blanks(visit.session, name)]
    for spoken, row in words.items():
        said = checks.remarks(Words(row.subject, row.body_html, row.body_text))
        found += said if len(words) == 1 else [f"{own_name(spoken)}: {remark}" for remark in said]
    return found
