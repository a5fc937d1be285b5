"""Letters: written in files, checked, kept, read as anybody would, sent to oneself; chapters' notes; domains."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.cli import work
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.errors import Invalid, NotFound
from engine.letters import checks, drafts, notes, shelf, writing
from engine.letters.finishing import Finished
from engine.letters.language import Faulty
from engine.letters.links import Links
from engine.mail import allowances
from engine.outreach import shipped_sequences, trying
from engine.people import contacts
from engine.sources.words import email_address
from engine.staff import audit

letters = work.letters
domains = typer.Typer(
    no_args_is_help=True, help="Domains that letters come from: list them, say which one is new or known."
)

Files = Annotated[
    list[Path], typer.Argument(help="rent.md, and rent.es.md for its Spanish words.", exists=True, dir_okay=False)
]
Slug = Annotated[str, typer.Argument(help="The letter's name.")]

_CHAPTER = text("SELECT id FROM chapter WHERE slug = :slug")


@letters.command(name="list")
def list_letters(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show all letters, those of the organisation first."""
    with house(data_dir).work() as (session, now):
        found = shelf.every(session)
    width = max((len(row.slug) for row in found), default=0)
    for row in found:
        said = f"{row.slug:{width}}  {row.kind or 'transactional':13} {row.languages:6} version {row.version:<3}"
        notes = [f"notes until {row.note_until:%Y-%m-%d}"] if row.note_until and row.note_until > now else []
        notes += ["paused"] if row.paused else []
        standing = f" ({', '.join(notes)})" if notes else ""
        handed = f"{row.handed:>9,} handed over" if row.kind else ""  # of campaign letters alone it is counted
        out.print(f"{said} {handed:21}  {row.subject}{standing}", markup=False)


@letters.command()
def check(files: Files, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check a letter without keeping it: every fault with its place, and what one should look at. Exit 1: it has faults."""
    draft = drafts.read(files)
    with house(data_dir).work() as (session, _):
        done = _tell_faults(lambda: writing.check(session, draft))
    _remark(done)
    out.print("no fault")


@letters.command()
def save(files: Files, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check a letter and keep it, as a new version if its words changed. Exit 1: it has faults, nothing is kept."""
    draft = drafts.read(files)
    deps = house(data_dir)
    with deps.work() as (session, now):
        done = _tell_faults(lambda: writing.check(session, draft))
        saved = writing.save(session, draft)
        shipped_sequences.ship(session, now, letters=[draft.slug])
        detail = {"letter": draft.slug, "version": saved.version, "languages": sorted(saved.mailings)}
        audit.write(session, None, "letter saved", "letter", saved.letter_id, detail, now)
        further = [*shelf.remarks(session, draft.slug), *trying.blanks(session, draft.slug)]
    _remark(done)
    for remark in further:
        out.print(f"- {remark}", markup=False)
    said = "kept as" if saved.fresh else "nothing changed: it is"
    out.print(f"{said} version {saved.version} of {draft.slug}, in {', '.join(sorted(saved.mailings))}")


@letters.command()
def preview(  # noqa: PLR0917 options of a command
    slug: Slug,
    who: Annotated[str, typer.Option("--as", help="Somebody's address or number: as she would read it.")] = "",
    random: Annotated[bool, typer.Option("--random", help="As somebody at random would read it.")] = False,
    language: Annotated[str, typer.Option(help="In this language: es.")] = "",
    chapter: Annotated[str, typer.Option(help="As it comes from this chapter.")] = "",
    html: Annotated[
        Path | None, typer.Option(help="Write the HTML here, to open it in a browser.", dir_okay=False)
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show a letter as somebody would read it; without --as or --random, as an invented person."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        reader = contacts.find(session, who) if who else trying.somebody(session) if random else None
        links = Links(deps.signer, deps.settings.base_url, now)
        of = _chapter(session, chapter)
        shown = trying.preview(
            session, slug, links, contact_id=reader, language=language, chapter_id=of, zone=deps.settings.time_zone
        )
    if html is not None:
        html.write_text(shown.letter.html, "utf-8")
    out.print(f"From: {shown.from_name}\nSubject: {shown.letter.subject}\n\n{shown.letter.text}", markup=False)


@letters.command(name="test")
def send_test(
    slug: Slug,
    to: Annotated[str, typer.Option(help="Your own address.")],
    chapter: Annotated[str, typer.Option(help="As it comes from this chapter.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send a letter to yourself, in each of its languages, with [Test] before its subject."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        happened = trying.send(session, slug, to, now, chapter_id=_chapter(session, chapter))
        audit.write(session, None, "letter tested", "letter", None, {"letter": slug}, now)
    deps.ring_for(happened)
    deps.bells.close()
    out.print("on its way")


@letters.command()
def note(
    slug: Slug,
    chapter: Annotated[str, typer.Option(help="The chapter that adds it.")],
    words: Annotated[str, typer.Option("--text", help="Its Markdown; nothing takes the note out.")],
    language: Annotated[str, typer.Option(help="The language it is in.")] = "en",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Add a chapter's own paragraph to a letter that takes notes, until its deadline."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        chapter_id = _chapter(session, chapter)
        if chapter_id is None:
            raise typer.BadParameter("say which chapter")
        zone = deps.settings.time_zone
        notes.put(session, slug, chapter_id, words, now, language=language, staff_id=None, zone=zone)
        audit.write(session, None, "note written", "chapter", chapter_id, {"letter": slug, "language": language}, now)
    out.print("kept" if words.strip() else "taken out")


@domains.command(name="list")
def list_domains(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the domains that campaign letters came from, with what they may send today and have sent."""
    with house(data_dir).work() as (session, now):
        found = allowances.standing(session, now)
    for row in found:
        day = (now.date() - row.warming_since).days if row.warming_since else allowances.DAYS
        most = allowances.allowed(max(day, 0))
        limit = "" if most is None else f" of {most:,}"
        since = f"warmed up since {row.warming_since}" if row.warming_since else "known"
        out.print(f"{row.domain}: {since}, {row.letters:,}{limit} letters today", markup=False)
    if not found:
        out.print("no campaign letter has left yet")


@domains.command()
def warm(
    domain: Annotated[str, typer.Argument(help="The domain behind the @ of the sender's address.")],
    since: Annotated[str, typer.Option(help="The day it began: 2026-11-29; today if it is not said.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Warm a domain up: few letters on its first day, 1.4 times as many each further day."""
    _say_of_domain(house(data_dir), domain, since or "today")


@domains.command()
def known(
    domain: Annotated[str, typer.Argument(help="The domain behind the @ of the sender's address.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say that receivers know this domain: it has sent as many letters for months."""
    _say_of_domain(house(data_dir), domain, "")


def _say_of_domain(deps: Deps, domain: str, since: str) -> None:
    if email_address(f"hello@{domain}") is None:
        raise Invalid(f"{domain[:80]} is no domain: say what stands behind the @")
    with deps.work() as (session, now):
        began = None if not since else now.date() if since == "today" else _day(since)
        if began is not None and began > now.date():
            raise Invalid("that day has not come: a domain is warmed up from today, or from a day before")
        allowances.warm(session, domain, began)
        audit.write(session, None, "domain described", "", None, {"domain": domain, "warming_since": str(began)}, now)
    out.print(f"{domain} is known" if began is None else f"{domain} is warmed up since {began}")


def _chapter(session: Session, slug: str) -> int | None:
    """The chapter of this name; None for no name."""
    found: int | None = session.scalar(_CHAPTER, {"slug": slug}) if slug else None
    if slug and found is None:
        raise NotFound(f"there is no chapter {slug[:60]}")
    return found


def _day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Invalid("a day is written like 2026-11-29") from None


def _tell_faults(look: Callable[[], dict[str, Finished]]) -> dict[str, Finished]:
    """What is looked at; its faults, a line each, and exit 1."""
    try:
        return look()
    except Faulty as error:
        for fault in error.faults:
            out.print(str(fault), markup=False)
        raise typer.Exit(1) from None


def _remark(done: Mapping[str, Finished]) -> None:
    for spoken, finished in done.items():
        for remark in checks.of(finished):
            out.print(f"- {remark}" if len(done) == 1 else f"- {spoken}: {remark}", markup=False)
