"""Forms as browsers post them: their type, their size, how many fields; the signed stamp that each of our forms carries.

A stamp takes the place of a cookie: it says which form it belongs to, when it was made, and a number used once.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.tokens import Signer
from webhooks.receive import body_within

TYPE = "application/x-www-form-urlencoded"
LIMIT = 16 * 1024
MOST_FIELDS = 50
SOONEST, LATEST = timedelta(seconds=2), timedelta(hours=2)
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Posted:
    """The fields of a posted form, in the order in which they came, as they were typed."""

    fields: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str:
        """A field that stands once, "" when it is missing. Raises HTTPException 422 when it stands twice."""
        values = self.fields.get(name, ("",))
        if len(values) > 1:
            raise HTTPException(422, "A field stands twice")
        return values[0]

    def several(self, name: str) -> tuple[str, ...]:
        """A field that may stand several times: each of its values once."""
        return tuple(dict.fromkeys(self.fields.get(name, ())))


async def posted(request: Request, limit: int = LIMIT, most: int = MOST_FIELDS) -> Posted:
    """The form of a request, of at most so many bytes and fields. Raises HTTPException: 415 for another type or encoding,
    413, 408, 400 if unreadable."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TYPE or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Unsupported Media Type")
    return fields_of(await body_within(request, limit), most)


def fields_of(body: bytes, most: int = MOST_FIELDS) -> Posted:
    """The fields of a form's body. Raises HTTPException 400 for one that is none, or has more fields than that."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most, separator="&"
        )
    except ValueError:  # more fields than that, or no UTF-8
        raise HTTPException(400, "Bad Request") from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value)
    return Posted(fields)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a form's token says: whose it is, when it was made (milliseconds of Unix time), a number used once."""

    form: str
    made: int
    nonce: str

    @classmethod
    def fresh(cls, form: str, now: datetime, *, aged: bool = False) -> Self:
        """A new one; `aged`: old enough at once, for whoever has waited already."""
        return cls(form, _milliseconds(now - 2 * SOONEST if aged else now), secrets.token_urlsafe(NONCE_BYTES))

    @classmethod
    def read(cls, signer: Signer, token: str, form: str) -> Self | None:
        """The stamp of this form; None when it is missing, altered or another form's."""
        match signer.read("form", token):
            case (str(name), int(made), str(nonce)) if name == form:
                return cls(name, made, nonce)
        return None

    def token(self, signer: Signer) -> str:
        """Signed, as the form carries it."""
        return signer.sign("form", self.form, self.made, self.nonce)

    def too_fast(self, now: datetime) -> bool:
        """Whether nobody can have filled in the form since."""
        return _milliseconds(now) - self.made < SOONEST / timedelta(milliseconds=1)

    def too_old(self, now: datetime) -> bool:
        """Whether it was made too long ago, or by a clock that is far ahead of ours."""
        age = timedelta(milliseconds=_milliseconds(now) - self.made)
        return not -LATEST < age <= LATEST


def _milliseconds(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
