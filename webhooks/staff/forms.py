"""Posted forms of staff: read with a limit, and bound to the session (or the browser) that got them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from engine.sources.words import clean
from engine.tokens import Signer
from webhooks.forms import posted

LIMIT = 64 * 1024
MOST_FIELDS = 200
LONGEST_FIELD = 2_000
FIELD = "form"  # the hidden field with the token


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, by the names of the fields."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def one(self, name: str) -> str:
        """The first value of a field, without controls; empty when it is missing."""
        return clean(self.fields.get(name, ("",))[0])[:LONGEST_FIELD]

    def many_lines(self, name: str) -> str:
        """The first value of a field with its line ends as \\n, as long as it is; only NUL is gone: Postgres refuses it."""
        return self.fields.get(name, ("",))[0].replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")

    def number(self, name: str) -> int:
        """A value that is the id of a row; 0 when it is none."""
        said = self.one(name)
        return int(said) if said.isascii() and said.isdigit() and len(said) <= 18 else 0


async def read(request: Request, limit: int = LIMIT) -> Form:
    """The form of a request: 415 for another type, 413 over the limit, 400 for what is no form or has too many fields."""
    return Form((await posted(request, limit, MOST_FIELDS)).fields)


def token(signer: Signer, kind: str, bound_to: int | str) -> str:
    """What a form carries so that nobody else's page can send it: bound to a session's id, or to a browser's digest."""
    return signer.sign("form", f"staff:{kind}", bound_to)


def ours(signer: Signer, form: Form, kind: str, bound_to: int | str) -> bool:
    """Whether this form was given to this session or browser."""
    return signer.read("form", form.one(FIELD)) == (f"staff:{kind}", bound_to)
