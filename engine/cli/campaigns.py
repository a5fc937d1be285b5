"""Campaigns: drafted in a file or by options, looked at, launched, approved, watched, paused, cancelled."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Annotated

import typer
from rich.live import Live
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.cli.campaign_drafts import SHOWN, SUFFIXES, of_file, of_options, show_checked
from engine.cli.terms import DEFAULT_DATA_DIR, As, DataDir, acting, house, out, people
from engine.errors import NotFound
from engine.events import Event
from engine.outreach import campaign_files, contents, halting, launching, preflight, zones
from engine.outreach import campaigns as drafts
from engine.outreach import progress as standing
from engine.outreach.campaigns import CANCELLED, DRAFT, FINISHED, Done, Standing
from engine.outreach.preflight import Refused
from engine.outreach.progress import Progress
from engine.staff import accounts

LOOK_SECONDS = 1.0
BAR = 30

campaigns = typer.Typer(
    no_args_is_help=True,
    help="Campaigns, a sequence or a letter for a segment: draft, look at, launch, approve, undo, watch, pause, cancel them.",
)

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The campaign's short name.")]
Because = Annotated[str, typer.Option(help="Why, for whoever finds it so.")]


@campaigns.command()
def create(  # noqa: PLR0917 options of a command
    which: Annotated[
        str, typer.Argument(metavar="FILE|SLUG", help="A .yaml or .json file; or a short name, with options.")
    ],
    name: Annotated[str, typer.Option(help="What people call it; without, its short name.")] = "",
    sequence: Annotated[str, typer.Option(help="What it sends: a published sequence.")] = "",
    letter: Annotated[str, typer.Option(help="Or this letter alone.")] = "",
    segment: Annotated[str, typer.Option(help="To whom: a saved segment.")] = "",
    chapter: Annotated[
        str, typer.Option(help="Whose it is, and whose people alone it reaches; without, the root's.")
    ] = "",
    starts: Annotated[str, typer.Option(help="When it begins: 2027-01-20T09:00-05:00; without, at once.")] = "",
    deadline: Annotated[str, typer.Option(help="A day or a moment, from which waits count.")] = "",
    gathering: Annotated[str, typer.Option(help="Its code: waits count from its beginning.")] = "",
    repeat: Annotated[str, typer.Option(help="weekly or daily: its letter's newest words each time.")] = "",
    urgent: Annotated[str, typer.Option(help="Why quiet hours are short: then a second person must approve it.")] = "",
    fact: Annotated[
        list[str] | None, typer.Option(metavar="NAME=WORDS", help="What its letters name; several.")
    ] = None,
    who: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Keep a draft, out of a file or of options. Nothing leaves before it is launched. Exit 1: something in it is wrong."""
    if Path(which).suffix in SUFFIXES:
        draft = of_file(Path(which))
    else:
        told = {"slug": which, "name": name or which, "sequence": sequence, "letter": letter, "segment": segment,
                "chapter": chapter, "starts_at": starts, "deadline": deadline, "gathering": gathering, "repeat": repeat,
                "urgent": urgent, "facts": dict(each.partition("=")[::2] for each in fact or ())}  # fmt: skip
        draft = of_options(told)
    deps = house(data_dir)
    with deps.work() as (session, now):
        by = accounts.of_address(session, who).id if who else None
        made = drafts.create(session, draft, now, deps.settings, who=by)
        _who(session, who, made)
        checked = preflight.look(session, made.slug, now, deps.settings)
    out.print(f"{made.slug} is a draft", markup=False)
    show_checked(made, checked)


@campaigns.command()
def check(
    file: Annotated[Path, typer.Argument(help="A .yaml or .json file.", exists=True, dir_okay=False)],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say of a file what `preflight` says of a draft. Nothing is kept. Exit 1: something stands against it."""
    draft = of_file(file)
    deps = house(data_dir)
    with deps.work() as (session, now):
        trial = session.begin_nested()
        try:
            made = drafts.update(session, draft.slug, draft, now, deps.settings, who=None)
        except NotFound:
            made = drafts.create(session, draft, now, deps.settings, who=None)
        checked = preflight.look(session, draft.slug, now, deps.settings)
        trial.rollback()
    out.print(f"{draft.slug}: {draft.name}", markup=False)
    show_checked(made, checked)
    if checked.refusals:
        raise typer.Exit(1)


@campaigns.command()
def change(
    file: Annotated[Path, typer.Argument(help="A .yaml or .json file.", exists=True, dir_okay=False)],
    who: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Put a file in the place of the draft of its short name. Exit 1: something in it is wrong."""
    draft = of_file(file)
    with _doing(data_dir, draft.slug, who) as desk:
        changed = drafts.update(desk.session, draft.slug, draft, desk.now, desk.deps.settings, who=desk.by)
        _who(desk.session, who, changed)
    out.print(f"{draft.slug} is changed", markup=False)


@campaigns.command(name="preflight")
def look(slug: Slug, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Say whom it would reach now, what stands against it, and what to look at. Exit 1: something stands against it."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        campaign, checked = drafts.one(session, slug), preflight.look(session, slug, now, deps.settings)
    show_checked(campaign, checked)
    if checked.refusals:
        raise typer.Exit(1)


@campaigns.command()
def launch(
    slug: Slug,
    key: Annotated[str, typer.Option(help="A name for this launch: the same again does nothing.")] = "",
    who: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Launch it: it begins at its time, when it was held and approved where that is needed. Exit 1: something stands against
    it."""
    with _doing(data_dir, slug, who) as desk:
        try:
            done = desk.follow(
                launching.launch(
                    desk.session, slug, desk.now, desk.deps.settings, key=key or secrets.token_hex(8), who=desk.by
                )
            )
        except Refused as error:
            for reason in error.reasons:
                out.print(f"  no: {reason}", markup=False)
            raise typer.Exit(1) from None
        found = standing.look(desk.session, slug, desk.now)
    says = (
        f"is launched for {people(found.campaign.expected)}"
        if done.changed
        else f"was launched: it is {found.campaign.state}"
    )
    out.print(f"{slug} {says}" + (f"; {found.waits}" if found.waits else ""), markup=False)


@campaigns.command()
def approve(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Agree to it as a second person, who is not the one that launched it."""
    with _doing(data_dir, slug, who) as desk:
        done = desk.follow(launching.approve(desk.session, slug, desk.now, desk.deps.settings, who=desk.by))
    out.print(f"{slug} is approved" + ("" if done.changed else " already"), markup=False)


@campaigns.command()
def undo(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make it a draft again, as long as it has not begun."""
    with _doing(data_dir, slug, who) as desk:
        desk.follow(launching.undo(desk.session, slug, desk.now, who=desk.by))
    out.print(f"{slug} is a draft: nothing of it has left", markup=False)


@campaigns.command()
def pause(slug: Slug, because: Because = "", who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let it stand still: nobody enters it or goes on in it, and none of its letters leaves."""
    with _doing(data_dir, slug, who) as desk:
        done = desk.follow(halting.pause(desk.session, slug, desk.now, who=desk.by, because=because))
    out.print(f"{slug} is paused" + ("" if done.changed else " already"), markup=False)


@campaigns.command()
def resume(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let a paused one go on."""
    with _doing(data_dir, slug, who) as desk:
        done = desk.follow(halting.resume(desk.session, slug, desk.now, who=desk.by))
    out.print(f"{slug} goes on" if done.changed else f"{slug} was not paused", markup=False)


@campaigns.command()
def cancel(slug: Slug, because: Because = "", who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """End it for good: its people leave it, and letters that wait are taken back."""
    with _doing(data_dir, slug, who) as desk:
        done = desk.follow(halting.cancel(desk.session, slug, desk.now, who=desk.by, because=because))
    out.print(f"{slug} is cancelled" + ("" if done.changed else " already"), markup=False)


@campaigns.command()
def duplicate(
    slug: Slug,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The short name of the copy.")],
    name: Annotated[
        str, typer.Option(help='What people call the copy; without, the same with "(copy)" behind it.')
    ] = "",
    who: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a draft that says the same as this one, but not when it begins."""
    with _doing(data_dir, slug, who) as desk:
        made = drafts.duplicate(desk.session, slug, new, desk.now, desk.deps.settings, who=desk.by, name=name)
        checked = preflight.look(desk.session, new, desk.now, desk.deps.settings)
    out.print(f"{new} is a draft", markup=False)
    show_checked(made, checked)


@campaigns.command()
def archive(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take a draft, or one that ended, off the list."""
    with _doing(data_dir, slug, who) as desk:
        drafts.archive(desk.session, slug, desk.now, who=desk.by)
    out.print(f"{slug} is archived", markup=False)


@campaigns.command(name="list")
def list_campaigns(
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones, too.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show the campaigns, the newest first."""
    with house(data_dir).work() as (session, now):
        found = [standing.look(session, one.slug, now) for one in drafts.every(session, archived=archived, most=SHOWN)]
    width = max((len(one.campaign.slug) for one in found), default=0)
    for one in found:
        out.print(f"{one.campaign.slug:{width}}  {one.campaign.name}: {_line(one)}", markup=False)
    if not found:
        out.print("no campaign yet: groundswell campaigns create FILE.yaml")


@campaigns.command()
def show(
    slug: Slug,
    file: Annotated[bool, typer.Option("--file", help="As a file that `campaigns create` takes back.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show what it is, how far it is, and what was done to it."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        found = standing.look(session, slug, now)
        campaign = found.campaign
        zone = zones.zone_of(session, campaign.chapter_id, deps.settings)
        bounds = contents.chapters(session, campaign, contents.of(session, campaign).definition)
    if file:
        typer.echo(campaign_files.written(campaign.draft, zone), nl=False)
        return
    out.print(f"{campaign.name}: {_line(found)}", markup=False)
    sends = f"the sequence {campaign.sequence}" if campaign.sequence else f"the letter {campaign.letter}"
    to = f"the segment {campaign.segment}" if campaign.segment else "a rule of its own"
    of = " and ".join(bounds) or "all chapters"
    out.print(f"  sends {sends} to {to}, of {of}: to whoever may get {campaign.kind}", markup=False)
    for row in found.done:
        because = f": {row.detail['because']}" if row.detail.get("because") else ""
        out.print(f"  {row.at:%Y-%m-%d %H:%M} UTC  {row.action}, by {row.who}{because}", markup=False)


@campaigns.command()
def watch(
    slug: Slug,
    once: Annotated[bool, typer.Option("--once", help="Say how far it is in one line, and end.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show how far it is, as it goes on; ends by itself when it has ended."""
    deps = house(data_dir)
    found = _look(deps, slug)
    if once or found.campaign.state == DRAFT:
        out.print(f"{slug}: {_line(found)}", markup=False)
        return
    if not sys.stdout.isatty():
        _tell(deps, slug, found)
        return
    with Live(_picture(found), console=out, refresh_per_second=4) as live:
        while not _ended(found):
            sleep(LOOK_SECONDS)
            found = _look(deps, slug)
            live.update(_picture(found))


def _tell(deps: Deps, slug: str, found: Progress) -> None:
    """A line each time that something is otherwise, for whoever reads no picture."""
    said = ""
    while True:
        line = f"{slug}: {_line(found)}"
        if line != said:
            out.print(line, markup=False)
        said = line
        if _ended(found):
            return
        sleep(LOOK_SECONDS)
        found = _look(deps, slug)


def _look(deps: Deps, slug: str) -> Progress:
    with deps.work() as (session, now):
        return standing.look(session, slug, now)


def _ended(found: Progress) -> bool:
    return found.campaign.state == FINISHED or (
        found.campaign.state == CANCELLED and found.campaign.ended_at is not None
    )


def _line(found: Progress) -> str:
    """How far it is, in a line."""
    campaign, letters = found.campaign, found.letters
    parts = [campaign.state]
    if campaign.state not in (DRAFT, "scheduled"):
        early = f", {campaign.left_early:,} left early" if campaign.left_early else ""
        parts.append(f"{people(campaign.enrolled)} entered, {found.active:,} are on their way{early}")
        parts.append(f"{letters['composed']:,} letters written, {letters['handed']:,} sent, {found.waiting:,} wait")
    parts += [f"of {people(campaign.expected)}"] if campaign.state == "scheduled" else []
    parts += [campaign.skipped] if campaign.skipped else []
    parts += [campaign.ended_because] if campaign.ended_because else []
    parts += ["archived"] if campaign.archived_at else []
    return "; ".join([*parts, *([found.waits] if found.waits else [])])


def _picture(found: Progress) -> str:
    campaign, letters = found.campaign, found.letters
    through = (campaign.finished + campaign.left_early) / campaign.enrolled if campaign.enrolled else 0.0
    sent = letters["handed"] / letters["composed"] if letters["composed"] else 0.0
    counts = ", ".join(
        f"{many:,} {name}" for name, many in letters.items() if many and name not in ("composed", "handed")
    )
    return "\n".join([
        f"{campaign.name}: {campaign.state}" + (f"; {found.waits}" if found.waits else ""),
        f"  entering  {_bar(found.looked_at)}  {campaign.enrolled:,} of about {people(campaign.expected)}",
        f"  steps     {_bar(through)}  {found.active:,} on their way, {campaign.left_early:,} left early",
        f"  letters   {_bar(sent)}  {letters['composed']:,} written, {letters['handed']:,} sent, {found.waiting:,} wait",
        f"            {counts}",
    ])  # fmt: skip


def _bar(part: float) -> str:
    full = min(round(part * BAR), BAR)
    return "█" * full + "░" * (BAR - full) + f" {part:4.0%}"


@dataclass(slots=True)
class _Desk:
    """One transaction about one campaign. `by`: who of the staff does it; None: the command line."""

    deps: Deps
    session: Session
    now: datetime
    by: int | None
    happened: list[Event] = field(default_factory=list)

    def follow(self, done: Done) -> Done:
        """Let everything follow; bells are rung after the commit."""
        self.happened += self.deps.react(self.session, list(done.happened), self.now)
        return done


@contextmanager
def _doing(data_dir: Path, slug: str, who: str) -> Iterator[_Desk]:
    """Do something to a campaign, as somebody who may."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        desk = _Desk(deps, session, now, _who(session, who, drafts.one(session, slug)))
        yield desk
    deps.ring_for(desk.happened)
    deps.bells.close()


def _who(session: Session, email: str, campaign: Standing) -> int | None:
    """Whoever of the staff does this. Raises NotFound, and Forbidden when she may not launch what is this chapter's."""
    return acting(session, email, campaign.chapter_id, f"launch campaigns of {campaign.chapter or 'all chapters'}")
