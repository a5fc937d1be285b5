"""What a program sends, read strictly: bodies as models, each fault with its line and field; queries; keys; conditions."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from engine import documents
from engine.documents import Document, Fault
from webhooks.api import json_words
from webhooks.problems import Refused
from webhooks.receive import body_within

LIMIT = 256 * 1024
LONGEST_KEY = 255
NO_BODY = (b"", b"{}")

# What is wrong with the words of a field, by its name; and pydantic's kinds of fault that only bodies have.
PATTERNS = dict.fromkeys(
    ("slug", "chapter", "segment", "sequence", "letter", "gathering"),
    "is no short name: small letters, digits, hyphens and underscores",
)
SAYS = documents.SAYS | {
    "datetime_type": "must be a time with its zone, written like 2026-11-03T09:00:00-05:00",
    "datetime_from_date_parsing": "must be a time with its zone, written like 2026-11-03T09:00:00-05:00",
    "datetime_parsing": "must be a time with its zone, written like 2026-11-03T09:00:00-05:00",
    "timezone_aware": "must be a time with its zone, written like 2026-11-03T09:00:00-05:00",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "int_parsing": "must be a whole number",
}


class Strict(BaseModel):
    """A body as a program sends it: nothing is guessed, nothing is passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Query(BaseModel):
    """What may stand behind the ? of an address."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Body:
    """How a body is read. `model`: what the document says of it. `read`: what it means, or what is wrong."""

    model: type[BaseModel]
    read: Callable[[Document, bytes], tuple[Any, Sequence[Fault]]]
    optional: bool = False


def of(model: type[BaseModel], *, optional: bool = False) -> Body:
    """A body that is this model. `optional`: none says as much as {}."""

    def read(document: Document, body: bytes) -> tuple[Any, Sequence[Fault]]:
        try:
            return model.model_validate_json(body), ()
        except ValidationError as error:
            return None, documents.in_order(document.told(error, PATTERNS, SAYS))

    return Body(model, read, optional)


class Told(Protocol):
    """What came of reading a document: what is wrong, and beside it what it says."""

    faults: list[Fault]


def written(model: type[BaseModel], read_document: Callable[[Document], Told]) -> Body:
    """A body that says what a file of that thing says, read by that file's own reader: all faults have the same words."""

    def read(document: Document, _: bytes) -> tuple[Told, Sequence[Fault]]:
        told = read_document(document)
        return told, told.faults

    return Body(model, read)


async def body_of(request: Request, body: Body | None) -> bytes:
    """The bytes of a request that has such a body, or none: 415 for what is no JSON, 413, 408, 400."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "bodies are not compressed here")
    found = await body_within(request, LIMIT)
    if body is None or (body.optional and not found):
        if found.strip() not in NO_BODY:
            raise Refused(400, "this takes no body")
        return b"{}"
    if kind.strip() != "application/json" or parameters.strip().replace('"', "") not in {"", "charset=utf-8"}:
        raise Refused(415, "a body is application/json")
    return found


def read(body: Body, sent: bytes) -> Any:
    """What a body means: 400 for what is no JSON, 422 with each fault for what is no such thing."""
    document = json_words.read(sent)
    if document.faults:
        raise Refused(400, "this body cannot be read", document.faults)
    found, faults = body.read(document, sent)
    if faults:
        raise Refused(422, "this cannot be taken as it is", faults)
    return found


def query_of(request: Request, model: type[Query]) -> Any:
    """What the query says: 400 for what is not known, stands twice, or is no such value."""
    said = request.query_params.multi_items()
    try:
        if len(said) == len(dict(said)):
            return model.model_validate_strings(dict(said))
        faults = [Fault(0, "a parameter stands twice")]
    except ValidationError as error:
        faults = list(Document().told(error, PATTERNS, SAYS))
    raise Refused(400, "the query cannot be read", [Fault(0, fault.says, fault.path) for fault in faults])


def key_of(request: Request, *, needed: bool) -> str:
    """The Idempotency-Key, '' none: 400 when it is needed and missing, stands twice, is too long or cannot be printed."""
    keys = request.headers.getlist("idempotency-key")
    if not keys and needed:
        raise Refused(400, "this needs an Idempotency-Key, a new one for each: then it can be sent again without harm")
    key = keys[0] if keys else ""
    if (
        len(keys) > 1
        or len(key) > LONGEST_KEY
        or (keys and not key.strip())
        or not (key.isascii() and key.isprintable())
    ):
        raise Refused(400, f"an Idempotency-Key is one, of 1 to {LONGEST_KEY} printable ASCII characters")
    return key


def hash_of(request: Request, sent: bytes) -> str:
    """The same for the same request alone: method, address, body."""
    parts = (request.method.encode(), request.url.path.encode(), request.url.query.encode(), sent)
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def tag_of(answer: str) -> str:
    """The ETag of what is answered."""
    return f'"{hashlib.sha256(answer.encode()).hexdigest()[:32]}"'


def named(header: str, tag: str, *, weak: bool = False) -> bool:
    """Whether an If-Match or If-None-Match names this tag. `weak`: W/ says the same."""
    tags = [each.strip() for each in header.split(",")]
    return "*" in tags or tag in [each.removeprefix("W/") if weak else each for each in tags]
