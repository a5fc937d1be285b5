"""Funds and donation forms: from files, listed, shown as files; forms published, previewed, closed, embedded."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Row

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.documents import in_order
from engine.giving import form_files, form_links, form_shelf, fund_files, previews
from engine.giving import forms as donation_forms
from engine.giving import funds as receivers
from engine.giving.form_shelf import Outcome
from engine.money import dollars
from engine.outreach import shipped_sequences
from engine.staff import audit

SHOWN = 50
# Pixels of a form within another site, by its processor: as high as one with words, employer and sentences to tick is on the
# narrowest phones (320 pixels). One that says more scrolls within its frame; nothing is out of reach.
HEIGHTS = {"stripe": 2600, "actblue": 1200}

funds = typer.Typer(
    no_args_is_help=True, help="Funds, who receive the gifts: import, list, show them, switch their express links."
)
forms = typer.Typer(
    no_args_is_help=True, help="Donation forms: import, list, show, publish, preview, close, embed them."
)

Fund = Annotated[str, typer.Argument(metavar="FUND", help="The fund's short name.")]
Form = Annotated[str, typer.Argument(metavar="FORM", help="The form's name.")]
File = Annotated[Path, typer.Argument(help="A .yaml file.", exists=True, dir_okay=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


@funds.command(name="import")
def import_funds(file: File, *, dry_run: DryRun = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make funds what a file says of them; what it does not speak of stays. Exit 1: something in it is wrong."""
    told = fund_files.read(file)
    deps, everything = house(data_dir), []
    with deps.work() as (session, now):
        outcome = receivers.bring_in(session, told, now)
        if dry_run or outcome.faults:
            session.rollback()
        else:
            for one in outcome.changed:
                did = "fund begun" if one.new else "fund changed"
                audit.write(session, None, did, "fund", one.id, {"fields": list(one.fields)}, now)
            everything = deps.react(session, outcome.events, now)
    if outcome.faults:
        _refuse(file, outcome.faults)
    deps.ring_for(everything)
    deps.bells.close()
    for one in outcome.changed:
        does = ("would be " if dry_run else "is ") + ("new" if one.new else "changed")
        out.print(f"{one.slug} {does}: {', '.join(one.fields)}", markup=False)
    if not outcome.changed:
        out.print("it is all as the file says already")


@funds.command(name="list")
def list_funds(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the funds, with what letters and forms say of each, and what the law wants of it."""
    with house(data_dir).work() as (session, _):
        found = receivers.every(session)
    width = max((len(row.slug) for row in found), default=0)
    for row in found:
        out.print(f"{row.slug:{width}}  {row.name}", markup=False)
        for line in filter(None, (row.disclaimer, row.deductibility, _law(row), _places(row))):
            out.print(f"{'':{width}}  {line}", markup=False)
    if not found:
        out.print("no fund yet: groundswell init")


@funds.command(name="show")
def show_fund(fund: Fund, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print a fund as a file that `funds import` takes back."""
    with house(data_dir).work() as (session, _):
        found = receivers.one(session, fund)
    typer.echo(fund_files.written([found]), nl=False)  # as it is: `out` would make pictures of words like :heart:


@funds.command()
def express(
    fund: Fund,
    standing: Annotated[str, typer.Argument(metavar="on|off")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let links in letters charge the saved card of donors who have one at ActBlue, as soon as they are opened. Off unless
    you switch it on: whoever a letter is forwarded to charges her own card."""
    if standing not in ("on", "off"):
        raise typer.BadParameter("say on or off")
    with house(data_dir).work() as (session, now):
        fund_id = receivers.switch_express(session, fund, on=standing == "on")
        audit.write(session, None, "express links switched", "fund", fund_id, {"express_lane": standing}, now)
    out.print(f"express links of {fund} are {standing}")


@forms.command(name="import")
def import_form(
    file: File,
    *,
    draft: Annotated[bool, typer.Option("--draft", help="Keep it without showing it: see `forms preview`.")] = False,
    dry_run: DryRun = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a donation form say what a file says, as a new version. Exit 1: something in it is wrong."""
    told = form_files.read(file)
    if told.definition is None:
        with house(data_dir).work() as (session, _):
            lacks = form_shelf.lacks(session, told)
        _refuse(file, in_order([*told.faults, *lacks]))
        return
    with house(data_dir).work() as (session, now):
        outcome = form_shelf.bring_in(session, told.definition, told.picture, now, draft=draft)
        shipped_sequences.ship(session, now)  # those that ask have waited for a form
        if dry_run:
            session.rollback()
        elif outcome.number:
            did = "form published" if outcome.published else "form drafted"
            detail = {"form": told.definition.slug, "version": outcome.number}
            audit.write(session, None, did, "donation_form", outcome.form_id, detail, now)
    if outcome.faults:
        _refuse(file, [told.document.fault((name,), says) for name, says in outcome.faults])
    _show_outcome(outcome, told.definition.slug, dry_run=dry_run)


@forms.command(name="list")
def list_forms(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the forms: what is shown of each, whether it is open, what it has raised."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        found = form_shelf.every(session)
        offered = donation_forms.giving(session, now)
        shown = offered.forms
        raised = donation_forms.raised(session, list(shown.values()))
    width = max((len(row.slug) for row in found), default=0)
    for row in found:
        version = f"version {row.version}" if row.version else "a draft"
        later = f" (the newest is {row.newest})" if row.newest > row.version > 0 else ""
        says = f"{row.slug:{width}}  {row.title}: {version}{later}, {row.processor}, for {row.fund}"
        goal = shown[row.slug].definition.goal_cents if row.slug in shown else None
        says += f", {dollars(raised[row.id])} of {dollars(goal)}" if goal is not None else ""
        says += ", cannot be read, so nobody sees it" if row.slug in offered.unread else ""
        out.print(says + (f", closed: {row.closed_because}" if row.closed_at else ", open"), markup=False)
    if not found:
        out.print("no form yet: groundswell forms import FILE.yaml")


@forms.command(name="show")
def show_form(
    form: Form,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="This version; without it, the one that is shown.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Write FORM.yaml into this folder, and its picture.", file_okay=False)
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a form as a file that `forms import` takes back; its picture comes along with --to."""
    with house(data_dir).work() as (session, _):
        kept = form_shelf.one(session, form, version)
    ends = {kind: suffix for suffix, kind in form_files.TYPES.items()}
    picture = kept.definition.slug + ends[kept.picture.type] if kept.picture else ""
    written = form_files.written(kept.definition, picture)
    if to is None:
        typer.echo(written, nl=False)
        return
    to.mkdir(parents=True, exist_ok=True)
    with (to / f"{kept.definition.slug}.yaml").open("x", encoding="utf-8") as file:
        file.write(written)
    if kept.picture is not None:
        with (to / picture).open("xb") as image:
            image.write(kept.picture.data)
    out.print(f"{to / kept.definition.slug}.yaml", markup=False)


@forms.command(name="versions")
def list_versions(form: Form, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show all versions of a form, the newest first."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = form_shelf.versions(session, form)
    zone = ZoneInfo(deps.settings.time_zone)
    for row in found:
        since = f"published {_moment(row.published_at, zone)}" if row.published_at else "a draft"
        standing = ", shown now" if row.shown else ""
        out.print(
            f"{row.version:4}  {row.title}: written {_moment(row.created_at, zone)}, {since}{standing}", markup=False
        )


@forms.command()
def publish(
    form: Form,
    number: Annotated[int, typer.Argument(min=1, help="The version: a draft, or an earlier one again.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show this version of a form from now on."""
    with house(data_dir).work() as (session, now):
        kept = form_shelf.publish(session, form, number, now)
        if not kept.shown:
            shipped_sequences.ship(session, now)  # those that ask have waited for a form
            detail = {"form": form, "version": number}
            audit.write(session, None, "form published", "donation_form", kept.form_id, detail, now)
    out.print(f"{form} shows version {number}" + (" already" if kept.shown else ""), markup=False)


@forms.command()
def preview(
    form: Form,
    number: Annotated[int | None, typer.Argument(min=1, help="The version; without it, the newest.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a link that shows a version as people would see it, published or not, for seven days."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        kept = form_shelf.one(session, form, number, newest=True)
    token = previews.make(deps.signer, kept.id, now)
    out.print(f"{deps.settings.base_url}/give/{kept.definition.slug}?preview={token}", markup=False)


@forms.command()
def close(
    form: Form,
    because: Annotated[str, typer.Option(help="Why, for staff and the audit; its page says that it is closed.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Take no gifts by a form any more; monthly gifts that began there go on."""
    with house(data_dir).work() as (session, now):
        form_id = form_shelf.close(session, form, because, now)
        audit.write(session, None, "form closed", "donation_form", form_id, {"form": form, "because": because}, now)
    out.print(f"{form} is closed", markup=False)


@forms.command(name="open")
def open_form(form: Form, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take gifts by a form again."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        form_id, events = form_shelf.open_again(session, form, now)
        deps.react(session, events, now)
        audit.write(session, None, "form opened", "donation_form", form_id, {"form": form}, now)
    out.print(f"{form} is open", markup=False)


@forms.command()
def snippet(form: Form, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the HTML that puts a form on your own site, and its links for letters of other tools."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        said = form_shelf.one(session, form).definition
    place = f"{deps.settings.base_url}/give/{said.slug}"
    title = escape(said.title)
    typer.echo(
        f'<iframe src="{place}?embed=1" title="{title}" width="100%" height="{HEIGHTS[said.processor]}" style="border: 0"\n'
        f'  loading="lazy" referrerpolicy="strict-origin-when-cross-origin"></iframe>\n'
        f'<p><a href="{place}">{title}</a></p>\n',
    )
    if not deps.settings.embedders:
        out.print("No site may show it in a frame yet: name yours in the setting EMBED_ORIGINS.\n")
    out.print("For letters, a link to the form and one to each amount:")
    where = form_links.Form(said.slug, said.processor, deps.settings.base_url)
    for cents in (None, *said.preset_cents):
        out.print(f"  {form_links.link(where, cents=cents)}", markup=False)


def _law(row: Row[tuple[object, ...]]) -> str:
    """The limit of a fund and its threshold, in words."""
    clocks = {"year": "calendar year", "cycle": "cycle of two years", "election": "election"}
    limit = f"{dollars(row.limit_cents)} a person and {clocks[row.limit_clock]}" if row.limit_cents else "no limit"
    if row.employer_cents is None:
        return limit
    return f"{limit}; asks where donors of {_threshold(row)} a year work, for {row.employer_days} days"


def _threshold(row: Row[tuple[object, ...]]) -> str:
    return f"{dollars(row.employer_cents)} or more" if row.employer_from else f"over {dollars(row.employer_cents)}"


def _places(row: Row[tuple[object, ...]]) -> str:
    numbers = [*map(str, row.entities), *(f"{one} of {slug}" for slug, ids in row.chapters.items() for one in ids)]
    said = [f"at ActBlue {', '.join(numbers)}"] if numbers else []
    said += [f"at Stripe {row.stripe_account}"] if row.stripe_account else []
    return "; ".join([*said, f"express links: {'on' if row.express_lane else 'off'}"])


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _show_outcome(outcome: Outcome, slug: str, *, dry_run: bool) -> None:
    for line in outcome.differs:
        out.print(f"  {line}", markup=False)
    if not outcome.number:
        out.print(f"{slug} says all of this already: nothing new was written", markup=False)
    elif dry_run:
        out.print(f"it would be version {outcome.number} of {slug}{' (new)' if outcome.new else ''}", markup=False)
    else:
        standing = (
            "shown from now on" if outcome.published else f"a draft: groundswell forms publish {slug} {outcome.number}"
        )
        out.print(f"version {outcome.number} of {slug}, {standing}", markup=False)
    for remark in outcome.remarks:
        out.print(f"- {remark}", markup=False)


def _refuse(file: Path, faults: Sequence[object]) -> None:
    for fault in faults[:SHOWN]:
        out.print(f"{file.name}, {fault}", markup=False)
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")
    out.print("nothing was changed")
    raise typer.Exit(1)
