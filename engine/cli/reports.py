"""Numbers and reasons: what a campaign came to, why somebody got what she got, what would happen."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, day, house, new_file, out, people
from engine.errors import Invalid, NotFound
from engine.money import dollars
from engine.outreach import sequence_files, timing
from engine.people import contacts
from engine.reports import explain as explaining
from engine.reports import picture, simulate
from engine.reports import results as reckoning
from engine.reports.explain import Explained
from engine.reports.outcomes import Counted, Simulated
from engine.reports.picture import ending, in_words, on, unsent
from engine.reports.results import Compared, Numbers, Results
from engine.reports.sayings import Said
from engine.segments import shelf

app = typer.Typer()

LETTERS = ("composed", "handed", "skipped", "cancelled", "expired", "bounced", "complained", "unsubscribed", "clicked")
ALWAYS = ("composed", "handed", "unsubscribed", "clicked")  # of these, shown when there are none, too
LINES = ("step", "variant", "language", "mailing", "chapter")
SECONDS = 600.0  # who waits at a terminal can wait
FILES = {".yaml", ".yml", ".json"}

About = Annotated[
    str, typer.Argument(metavar="[ABOUT]", help="A campaign, a sequence or a letter; nothing: everything.")
]


@app.command()
def results(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="A campaign, or a sequence.")],
    *,
    by: Annotated[str, typer.Option(help=f"Lines by {', '.join(LINES)}; several with commas.")] = "",
    sequence: Annotated[
        bool, typer.Option("--sequence", help="The sequence, if a campaign is called the same.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say what a campaign or sequence came to: people, letters, clicks, gifts and what is left of them."""
    names = by.split(",") if by else ["step", "variant"]
    if unknown := set(names) - set(LINES):
        raise Invalid(f"there are no lines by {', '.join(sorted(unknown))}")
    with house(data_dir).work() as (session, _):
        try:
            found = reckoning.of_sequence(session, slug) if sequence else reckoning.of_campaign(session, slug)
        except NotFound:
            if sequence:
                raise
            found = reckoning.of_sequence(session, slug)
    _show_results(found, names)


@app.command(name="explain")
def explain_person(
    who: Annotated[str, typer.Argument(help="Address, or the number of the contact.")],
    about: About = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say every decision about one person with its reason: of everything, or of one campaign, sequence or letter."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        asked = explaining.about(session, about) if about else explaining.EVERYTHING
        contact_id = contacts.find(session, who)
        found = explaining.explain(session, contact_id, now, deps.settings.time_zone, asked=asked)
    _show_explained(found)


@app.command(name="simulate")
def try_out(
    which: Annotated[str, typer.Argument(metavar="WHICH", help="A campaign, a sequence, or a sequence's file.")],
    *,
    segment: Annotated[str, typer.Option(help="Of a sequence: whom it is tried with, a saved segment.")] = "",
    deadline: Annotated[
        date | None, typer.Option(parser=day, metavar="DAY", help="Of a sequence that is launched: with this deadline.")
    ] = None,
    person: Annotated[str, typer.Option(help="One person alone, exactly: her address or number.")] = "",
    days: Annotated[int, typer.Option(help="How far ahead to look.")] = simulate.DAYS,
    most: Annotated[int, typer.Option("--people", help="How many people to look at.")] = simulate.SAMPLE,
    file: Annotated[Path | None, typer.Option("--picture", help="An SVG file to write; not there yet.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say what would happen, before anyone presses launch. Nothing is changed."""
    deps = house(data_dir)
    if person:
        _show_explained(_of_person(deps, which, person, days))
        return
    found = _simulated(deps, which, segment, deadline, simulate.Bounds(most, days, SECONDS))
    _show_simulated(found)
    if file is not None:
        with new_file(file) as made:
            made.write(picture.svg(found).encode())
        out.print(f"the picture is in {file}", markup=False)


def _of_person(deps: Deps, which: str, person: str, days: int) -> Explained:
    with deps.work() as (session, now):
        contact_id, asked = contacts.find(session, person), explaining.about(session, which)
        if asked.what == "letter":
            raise Invalid("a campaign or a sequence is tried with somebody, not a letter")
        return simulate.for_person(session, contact_id, now, deps.settings, asked=asked, days=days)


def _simulated(deps: Deps, which: str, segment: str, deadline: date | None, bounds: simulate.Bounds) -> Simulated:
    with deps.work() as (session, now):
        definition = None
        if Path(which).suffix in FILES:
            told = sequence_files.read(Path(which))
            if told.definition is None:
                raise Invalid("; ".join(map(str, told.faults)))
            definition = told.definition
        elif explaining.about(session, which).what == "campaign":
            return simulate.of_campaign(session, which, now, deps.settings, bounds)
        saved = shelf.one(session, segment) if segment else None
        among = saved.rule if saved else simulate.EVERYBODY
        scopes = [saved.chapter] if saved else []
        over = timing.beginning(deadline, deps.settings.time_zone) if deadline else None
        return simulate.of_sequence(
            session, definition or which, now, deps.settings, bounds, among=among, scopes=scopes, deadline=over
        )


def _table(*columns: str, words: int = 1) -> Table:
    """Words to the left, numbers to the right."""
    table = Table(*columns, box=None, pad_edge=False)
    for place, column in enumerate(table.columns):
        column.justify = "left" if place < words else "right"
        column.no_wrap = True
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in cells))


def _show_results(found: Results, names: Sequence[str]) -> None:
    out.print(f"{found.name} ({found.state}): {_people(found)}", markup=False)
    for reason, many in found.left:
        out.print(f"  {many:>11,}  left: {reason}", markup=False)
    for slug in found.campaigns:
        out.print(f"  launched by the campaign {slug}: groundswell results {slug}", markup=False)
    letters = [name for name in LETTERS if getattr(found.whole, name) or name in ALWAYS]
    table = _table(*names, *letters, "gifts", "gross", "net", words=len(names))
    for key, numbers in found.by(*names).items():
        _row(table, *key, *_cells(numbers, letters))
    _row(table, "all", *[""] * (len(names) - 1), *_cells(found.whole, letters))
    out.print(table)
    if found.whole.instalments:
        out.print(f"of the money, {found.whole.instalments:,} instalments after the first", markup=False)
    if found.whole.by_click:
        out.print(f"{found.whole.by_click:,} gifts by the last click, not by a refcode", markup=False)
    for compared in found.compared or ():
        out.print(_compared(compared), markup=False)
    if found.compared is None:
        out.print("whom it was held out of could not be compared in time", markup=False)


def _people(found: Results) -> str:
    still = found.enrolled - found.finished - found.left_early
    ended = f"{found.finished:,} came to the end, {found.left_early:,} left early"
    return f"{people(found.enrolled)} entered, {ended}, {still:,} still in it"


def _cells(numbers: Numbers, letters: Sequence[str]) -> list[object]:
    money = (dollars(numbers.gross_cents), dollars(numbers.net_cents))
    return [*(getattr(numbers, name) for name in letters), numbers.gifts + numbers.instalments, *money]


def _compared(each: Compared) -> str:
    got, not_got = each.written, each.held_out
    if not got.people or not not_got.people:
        return f"step {each.step}: {got.people:,} got it, {not_got.people:,} were held out: too few to tell"
    return (
        f"step {each.step}: of {got.people:,} who got it {got.share:.2%} gave within {reckoning.COMPARED_DAYS} days"
        f" ({dollars(got.cents)}), of {not_got.people:,} held out {not_got.share:.2%} ({dollars(not_got.cents)}):"
        f" {each.more * 100:+.2f} points, ± {each.margin * 100:.2f}"
    )


def _show_explained(found: Explained) -> None:
    called = f"{found.name or 'Somebody without a name'} <{found.email}>"
    out.print(f"{called}, {found.chapter or 'no chapter'}; times are hers, of {found.zone}", markup=False)
    for kind, why in found.refusals.items():
        out.print(f"  {kind}: {f'no letters, {why}' if why else 'may be written to'}", markup=False)
    if found.about.what:
        out.print(f"{found.about.what} {found.about.slug}: {found.chosen or found.about.name}", markup=False)
        for met in found.conditions:
            why = f" ({met.why})" if met.why else ""
            out.print(f"  {'yes' if met.met else 'no ':3}  {met.says}{why}", markup=False)
    _said(found.decided, found.zone)
    if found.ahead:
        out.print("Ahead:")
        _said(found.ahead, found.zone)


def _said(said: Iterable[Said], zone: str) -> None:
    for each in said:
        out.print(f"  {_moment(each.at, zone)}  {each.about}: {each.says}", markup=False)


def _moment(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _show_simulated(found: Simulated) -> None:
    sample = found.sample
    looked = "" if sample.looked_at >= sample.people else f", {sample.looked_at:,} of them looked at"
    letters = "letter" if str(in_words(found.letters)) == "1" else "letters"
    out.print(f"{found.name}: {in_words(found.letters)} {letters} to {people(sample.people)}{looked}", markup=False)
    if found.paused:
        out.print(simulate.AS_IF)
    out.print("as if nobody gave, followed a link or unsubscribed meanwhile", markup=False)
    for title, lines in _lines(found):
        table = _table(title, "")
        for says, counted in lines:
            _row(table, says, in_words(counted.how_much))
        if lines:
            out.print()
            out.print(table)
    for needed in found.needed:
        out.print(f"staff would be told: {needed}", markup=False)


def _lines(found: Simulated) -> Iterable[tuple[str, list[tuple[str, Counted]]]]:
    yield "Letters by day", [(on(each.what[0]), each) for each in found.by_day]
    yield "Letters by chapter", [(each.what[0] or "the root", each) for each in found.by_chapter]
    yield "Letters by step", [(" ".join(filter(None, each.what)), each) for each in found.by_step]
    yield "How people end", [(ending(*each.what), each) for each in found.ends]
    yield "Steps that write nothing", [(f"{step}: {outcome}, {reason}", each)
                                       for each in found.passed for step, outcome, reason in [each.what]]  # fmt: skip
    yield "Letters that were put off", [(each.what[0], each) for each in found.put_off]
    yield "Letters that do not leave", [(unsent(*each.what), each) for each in found.unsent]
