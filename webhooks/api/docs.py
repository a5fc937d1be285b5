"""`/api/openapi.json` and `/api/docs`: what programs may do here, for programs and for people. Open to everybody: it is the
same at every installation, and says nothing of anybody. The page is plain HTML; nothing on it comes from elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from engine.staff.api_tokens import SCOPES
from webhooks.api import document
from webhooks.pages import page

VERSION = "1"
_WORDS = {"integer": "whole number", "boolean": "true or false", "date-time": "time"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A piece of what a value is: words, and the model that they name, if they do."""

    words: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A field or a parameter: its name, what it is, whether it is needed, what it means."""

    name: str
    kinds: Sequence[Kind]
    needed: bool
    says: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to ask for, as the page shows it. `headers`: which it may have, and whether it needs each; `query`: what may
    stand behind the ?."""

    key: str
    method: str
    path: str
    title: str
    says: str
    headers: Sequence[tuple[str, bool]]
    query: Sequence[Row]
    body: Sequence[Kind]
    status: str
    answer: Sequence[Kind]
    refusals: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Model:
    """One model, as the page shows it. `choices`: it is one of these."""

    name: str
    says: str
    rows: Sequence[Row]
    choices: Sequence[Kind]
    example: str


def openapi(request: Request) -> Response:
    """The document."""
    return Response(orjson.dumps(_document(request.app)), media_type="application/json")


def show(request: Request) -> Response:
    """The page."""
    said = _document(request.app)
    sections: dict[str, list[Operation]] = {}
    for path, methods in said["paths"].items():
        for method, operation in methods.items():
            sections.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    models = [_model(name, schema) for name, schema in sorted(said["components"]["schemas"].items())]
    return page(
        request, "api.html", about=said["info"]["description"], sections=sections, models=models, scopes=list(SCOPES)
    )


@lru_cache(maxsize=1)
def _document(app: Starlette) -> dict[str, Any]:
    return document.of(app.routes, VERSION)


def _operation(method: str, path: str, said: Mapping[str, Any]) -> Operation:
    (status, answer), *refused = said["responses"].items()
    headers = [(each["name"], each["required"]) for each in said["parameters"] if each["in"] == "header"]
    query = [
        Row(each["name"], list(_kinds(each["schema"])), each["required"], _meaning(each | each["schema"]))
        for each in said["parameters"]
        if each["in"] == "query"
    ]
    body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        said["operationId"], method.upper(), path, said["summary"], said["description"], headers, query,
        list(_kinds(body)) if body else (), status, list(_kinds(answer["content"]["application/json"]["schema"])),
        [(code, each["description"]) for code, each in refused],
    )  # fmt: skip


def _model(name: str, said: Mapping[str, Any]) -> Model:
    needed = said.get("required", ())
    rows = [
        Row(field, list(_kinds(schema)), field in needed, _meaning(schema))
        for field, schema in said.get("properties", {}).items()
    ]
    example = orjson.dumps(said["examples"][0]).decode() if "examples" in said else ""
    choices = [kind for each in said.get("oneOf", ()) for kind in _kinds(each)]
    return Model(name, said.get("description", ""), rows, choices, example)


def _meaning(said: Mapping[str, Any]) -> str:
    """What a field means, and what it is when it is not said."""
    usual = said.get("default")
    shown = "" if usual in (None, "", [], {}) else f"Otherwise {orjson.dumps(usual).decode()}."
    return " ".join(filter(None, (said.get("description", ""), shown)))


def _kinds(said: Mapping[str, Any]) -> Iterator[Kind]:
    """What a schema is, in words."""
    if "$ref" in said:
        yield Kind(name := said["$ref"].rpartition("/")[2], name)
    elif "anyOf" in said:
        for place, each in enumerate(said["anyOf"]):
            if place:
                yield Kind(" or ")
            yield from _kinds(each)
    elif "enum" in said or "const" in said:
        yield Kind(", ".join(orjson.dumps(each).decode() for each in said.get("enum", [said.get("const")])))
    elif said.get("type") == "array":
        yield Kind("list of ")
        yield from _kinds(said.get("items", {}))
    else:
        named = said.get("format") or said.get("type", "anything")
        yield Kind(_WORDS.get(named, named))
