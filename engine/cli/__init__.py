"""The `groundswell` command. Outermost ring: nobody imports it."""

import sys
from urllib.error import URLError

import typer
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from engine.cli import (
    asks,
    campaigns,
    catalogue,
    chapters,
    doctor,
    gifts,
    giving,
    letters,
    lists,
    organisation,
    people,
    reports,
    segments,
    sending,
    sequences,
    system,
    tokens,
    treasurer,
    work,
)
from engine.errors import GroundswellError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Groundswell: donations and letters for chapters.",
)
app.add_typer(system.app)
app.add_typer(doctor.app)
app.add_typer(organisation.app)
app.add_typer(organisation.staff, name="staff")
app.add_typer(people.app, name="people")
app.add_typer(work.events, name="events")
app.add_typer(letters.letters, name="letters")
app.add_typer(sending.sending, name="sending")
app.add_typer(asks.asks, name="asks")
app.add_typer(letters.domains, name="domains")
app.add_typer(segments.segments, name="segments")
app.add_typer(campaigns.campaigns, name="campaigns")
app.add_typer(sequences.sequences, name="sequences")
app.add_typer(tokens.tokens, name="tokens")
app.add_typer(giving.funds, name="funds")
app.add_typer(giving.forms, name="forms")
app.add_typer(work.books, name="books")
app.add_typer(gifts.gifts, name="gifts")
app.add_typer(work.matters, name="notices")
app.add_typer(work.imports, name="import")
app.add_typer(chapters.chapters, name="chapters")
app.add_typer(lists.exports, name="export")
app.add_typer(catalogue.catalogue, name="catalogue")
app.add_typer(treasurer.app)
app.add_typer(reports.app)
app.add_typer(catalogue.rallies, name="gatherings")


def main() -> None:
    """Run the command; what we raise on purpose is one line on standard error and exit 1."""
    try:
        app()
    except GroundswellError as error:
        sys.exit(f"groundswell: {error}")
    except OperationalError:
        sys.exit("groundswell: the database does not answer. Does `groundswell up` run on this data folder?")
    except SQLAlchemyError as error:
        sys.exit(
            f"groundswell: the database is not as it should be ({type(error).__name__}): try `groundswell migrate`"
        )
    except URLError as error:
        sys.exit(f"groundswell: the web does not answer: {error.reason}")
    except ValidationError as error:
        said = (": ".join([*map(str, problem["loc"]), str(problem["msg"])]) for problem in error.errors())
        sys.exit("groundswell: " + "; ".join(said))
    except FileExistsError as error:
        sys.exit(f"groundswell: {error.filename} is there already: name another file")
    except (OSError, ValueError) as error:
        sys.exit(f"groundswell: {error}")
