"""Reading strangers' JSON: strict about what is ambiguous, lenient about what is merely untidy.

Real bodies hold strings where numbers were expected and the other way round; missing, null, "" and {} mean the same.
Refused: a key twice, NaN, nesting beyond reason, invalid UTF-8, an integer of thousands of digits.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from email_validator import EmailNotValidError, ValidatedEmail, validate_email
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from engine.errors import Invalid

M = TypeVar("M", bound=BaseModel)
DEEPEST = 32
_A_NAME = re.compile(r"[a-zA-Z_][\w-]{0,40}", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PLAIN = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*", re.ASCII)  # a local part nobody disputes
_LONGEST_EMAIL = 200
# ZIP+4, or as a spreadsheet writes what it took for a number: "1605.0".
_ZIP = re.compile(r"(\d{5})(?:-?\d{4}|\.0+)?", re.ASCII)
_LOST_ZERO = re.compile(r"(\d{4})(?:-\d{4}|\.0+)?", re.ASCII)
# The letters of how people write it; nothing said is here.
_UNITED_STATES = frozenset({
    "", "us", "usa", "usofa", "america", "unitedstates", "unitedstatesofamerica", "unitedstatesofamericausa",
    "unitedstatesusa", "unitedstatesus", "theunitedstates", "theunitedstatesofamerica", "eeuu", "eeuua", "eua",
    "estadosunidos", "estadosunidosdeamerica", "estadosunidosdeam\u00e9rica",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ignored:
    """A body that is understood and of no matter to us, with the reason; `tell` a person when it should not have come."""

    reason: str
    tell: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """A body that holds many: each becomes a raw event of its own, so that one that is bad stays alone."""

    bodies: tuple[bytes, ...]


class Lenient(BaseModel):
    """A stranger's object: unknown keys pass by, error texts never repeat the input."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


def read_json(body: bytes) -> Any:
    """The document of a body; numbers with a point stay text. Raises Invalid, never anything else."""
    try:
        document = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_once, parse_float=str, parse_constant=_refuse
        )
    except UnicodeDecodeError:
        raise Invalid("not UTF-8") from None
    except RecursionError:
        raise Invalid("nested too deeply") from None
    except ValueError:  # JSONDecodeError, or an integer beyond Python's limit of digits
        raise Invalid("not valid JSON") from None
    if body.count(b"{") + body.count(b"[") > DEEPEST:  # else it cannot be deeper
        _no_deeper(document, DEEPEST)
    return document


def model(kind: type[M], document: Any) -> M:
    """The document as this model. Raises Invalid naming the fields, without their values."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fields = sorted({".".join(map(_named, problem["loc"])) or "body" for problem in error.errors()})
        raise Invalid("not understood: " + ", ".join(fields)[:300]) from None


def _named(part: str | int) -> str:
    """A name of a field as it may stand in a log: senders choose some, and may choose somebody's address."""
    return str(part) if isinstance(part, int) or _A_NAME.fullmatch(part) else "?"


def clean(value: object) -> str:
    """A string for a text column: controls (Postgres refuses NUL) and half surrogates gone, ends trimmed.

    Whatever is neither text nor a whole number says nothing: no gift is refused over an untidy optional field.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    said = str(value)
    return (said if said.isprintable() else _CONTROLS.sub("", said)).strip()


def number(value: object) -> int:
    """A count or an id that may come as text; 0 when it is missing or no number a column can hold."""
    digits = clean(value)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else 0


def email_address(raw: str) -> str | None:
    """The one spelling under which we know an address: case and spaces folded, plus-tags kept. None if unusable.

    The domains set aside for tests (.test, .example) are let through: they are nobody's, and samples are full of them.
    """
    local, _, domain = raw.partition("@")
    if _PLAIN.fullmatch(local) and len(raw) <= _LONGEST_EMAIL:  # most of them: only the domain is worth a long look
        known = _domain(domain)
        return f"{local}@{known}".lower() if known else None
    valid = _valid(raw)
    return valid.normalized.lower() if valid and "." in valid.domain else None


@lru_cache(maxsize=10_000)
def _domain(domain: str) -> str | None:
    valid = _valid(f"x@{domain}")
    return valid.domain if valid and "." in valid.domain else None


def _valid(raw: str) -> ValidatedEmail | None:
    try:
        return validate_email(raw, check_deliverability=False, globally_deliverable=False, test_environment=True)
    except EmailNotValidError:
        return None


@lru_cache(maxsize=1_000)
def in_united_states(country: str) -> bool:
    """Whether this is a way to write United States: "US", "U.S.A.", "Estados Unidos", or nothing at all."""
    return "".join(filter(str.isalnum, country.lower())) in _UNITED_STATES


def zip_code(raw: str, country: str) -> str | None:
    """Five digits of a United States ZIP: ZIP+4 shortened, a lost leading zero put back ("1604" and "1604.0" -> "01604")."""
    if not in_united_states(country):
        return None
    compact = raw.replace(" ", "")
    if found := _ZIP.fullmatch(compact):
        return found[1]
    return "0" + found[1] if (found := _LOST_ZERO.fullmatch(compact)) else None


def zero_put_back(raw: str, found: str) -> bool:
    """Whether this ZIP had lost its leading zero as it was written: to be said to whoever wrote it."""
    return not raw.replace(" ", "").startswith(found)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Invalid("ambiguous: a key stands twice")
    return document


def _refuse(constant: str) -> Any:
    raise Invalid(f"{constant} is not a number")


def _no_deeper(value: Any, levels: int) -> None:
    if levels < 0:
        raise Invalid("nested too deeply")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _no_deeper(item, levels - 1)


Text = Annotated[str, BeforeValidator(clean)]
Number = Annotated[int, BeforeValidator(number)]
