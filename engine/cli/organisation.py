"""Beginning: an organisation of one's own instead of the invented one, and who works for it."""

from typing import Annotated

import typer

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.giving.form_links import ACTBLUE
from engine.outreach import shipped_sequences
from engine.staff import accounts, founding, rights, sessions

app = typer.Typer()
staff = typer.Typer(no_args_is_help=True, help="Who works for the organisation: add someone, list them, let one go.")


@app.command()
def init(
    *,
    name: Annotated[str | None, typer.Option(help="The organisation, as people know it.")] = None,
    sender_email: Annotated[str | None, typer.Option(help="Address that letters come from.")] = None,
    sender_name: Annotated[str | None, typer.Option(help="Name that letters come from.")] = None,
    postal_address: Annotated[str | None, typer.Option(help="Postal address: the law wants it in letters.")] = None,
    fund_name: Annotated[str | None, typer.Option(help="Full legal name of who receives the gifts.")] = None,
    disclaimer: Annotated[str | None, typer.Option(help='"Paid for by …", as the fund must say it.')] = None,
    deductibility: Annotated[str | None, typer.Option(help="Whether gifts are tax-deductible, in a sentence.")] = None,
    actblue_entity: Annotated[
        int | None, typer.Option(min=0, help="ActBlue's number of the fund; 0: none yet.")
    ] = None,
    actblue_form: Annotated[
        str | None, typer.Option(help="What its form is called there: secure.actblue.com/donate/NAME.", metavar="NAME")
    ] = None,
    admin_email: Annotated[str | None, typer.Option(help="Who signs in first.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: what is missing is an error.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Found your organisation: root chapter, first fund, sender, first of the staff. Asks for what is not given."""
    deps = house(data_dir)
    ask = _Asking(yes)
    organisation_name = ask("--name", "Name of the organisation", name)
    told = founding.Organisation(
        name=organisation_name,
        sender_name=ask("--sender-name", "Letters come from (name)", sender_name, organisation_name),
        sender_email=ask("--sender-email", "Letters come from (address)", sender_email),
        postal_address=ask("--postal-address", "Postal address", postal_address),
        fund_name=(fund := ask("--fund-name", "Legal name of the fund that receives gifts", fund_name)),
        disclaimer=ask("--disclaimer", "Disclaimer", disclaimer, f"Paid for by {fund.rstrip('.')}."),
        deductibility=ask(
            "--deductibility", "Are gifts tax-deductible", deductibility, "Gifts are not tax-deductible."
        ),
        actblue_entity=(
            entity := actblue_entity if actblue_entity is not None else ask.number("ActBlue entity id (0: none yet)")
        ),
        actblue_form=ask.maybe(f"Your form at ActBlue ({ACTBLUE}…; empty: none yet)", actblue_form, unless=not entity),
        admin_email=ask("--admin-email", "Your own address, to sign in with", admin_email),
    )
    told = founding.checked(told)
    if not yes and not typer.confirm(f"Found {told.name}?"):
        raise typer.Exit(1)
    cards = deps.payments is not None
    with deps.work() as (session, now):
        founding.found(session, told, now, cards=cards)
        shipped_sequences.ship(session, now)  # those that ask have waited for a form
    _tell(told, deps.settings.base_url, cards=cards)


def _tell(told: founding.Organisation, base_url: str, *, cards: bool) -> None:
    out.print(f"{told.name} is founded.", markup=False)
    by_card, *others = founding.form_names(told)
    for name in [by_card, *others] if cards else others:
        out.print(f"People give at {base_url}/give/{name}", markup=False)
    if not cards:
        out.print(f"The form for cards is a draft. With STRIPE_API_KEY set: groundswell forms publish {by_card} 1")
    out.print(f"Sign in as {told.admin_email}: {base_url}/staff/sign-in", markup=False)


class _Asking:
    """Asks for what was not given, unless it may ask nothing."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent

    def __call__(self, option: str, question: str, given: str | None, default: str = "") -> str:
        if given is not None:
            return given
        if not self._silent:
            return str(typer.prompt(question, default=default or None))
        if default:
            return default
        raise typer.BadParameter(f"{option} is needed")

    def maybe(self, question: str, given: str | None, *, unless: bool) -> str:
        """What need not be said."""
        if given is not None or unless or self._silent:
            return given or ""
        return str(typer.prompt(question, default="", show_default=False))

    def number(self, question: str) -> int:
        return 0 if self._silent else int(typer.prompt(question, default=0, type=int))


@staff.command()
def add(
    email: str,
    *,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(rights.RIGHTS)}.")],
    chapter: Annotated[str, typer.Option(help="Slug of a chapter: that one and those below it. None: all.")] = "",
    name: Annotated[str, typer.Option(help="What colleagues call her.")] = "",
    may_export: Annotated[bool, typer.Option("--may-export", help="May take people's data out of the house.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Take someone on."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        accounts.add(session, email, role, now, chapter=chapter, name=name, may_export=may_export)
    out.print(f"{email} can sign in: {deps.settings.base_url}/staff/sign-in", markup=False)


@staff.command(name="list")
def list_staff(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Who is on the staff, and who was."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = accounts.everyone(session)
    for row in found:
        said = f"{row.email:36} {row.role:10} {row.chapter:24} {row.name}"
        notes = ["exports"] * row.may_export
        notes += [f"signed in {row.signed_in_at:%Y-%m-%d %H:%M}"] if row.signed_in_at else []
        notes += [f"ended {row.ended_at:%Y-%m-%d}"] if row.ended_at else []
        out.print(f"{said}  {', '.join(notes)}".rstrip(), markup=False)
    if not found:
        out.print("nobody yet: groundswell staff add EMAIL --role admin", markup=False)


@staff.command()
def end(email: str, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let someone go: she is signed out at once."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        accounts.end(session, email, now)
    out.print(f"{email} is off the staff", markup=False)


@staff.command()
def signout(
    email: Annotated[str, typer.Argument(help="Who; none: everybody, with --all.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="All of the staff.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """End all sessions of one of the staff, or of everybody, and the links to sign in that are on their way."""
    if bool(email) == everybody:
        raise typer.BadParameter("name somebody, or say --all")
    deps = house(data_dir)
    with deps.work() as (session, now):
        staff_id = accounts.of_address(session, email).id if email else None
        ended = sessions.end_all(session, now, staff_id)
    out.print(
        f"{email or 'everybody'} is signed out: {ended} {'session' if ended == 1 else 'sessions'} ended", markup=False
    )
