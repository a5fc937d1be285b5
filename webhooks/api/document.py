"""The OpenAPI document: made of the routes that are served and of the models that read and answer. spectree collects them;
what it has no words for (problems, keys, conditions, scopes) is added here. Nothing that is served runs through it.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from spectree import Response, SpecTree
from spectree.models import SecureType, SecurityScheme, SecuritySchemeData
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from engine.segments import rules
from webhooks.api.gate import READS, Endpoint

RULE = {"$ref": "#/components/schemas/Rule"}
PROBLEM = "application/problem+json"
ABOUT = (
    "Everything is JSON over HTTPS. A token is made by `groundswell tokens create`, says what it may do by its scopes, and is"
    " sent with each request: `Authorization: Bearer gsw_…`"
)

# What a refusal means here; the rest follows from its status.
MEANS: Mapping[int, str] = {
    400: "The body is no JSON, or the query, the cursor or the Idempotency-Key is none that can be read",
    401: "No token, or one that does not hold",
    403: "The token has not this scope",
    404: "There is none, or it is not within the token's chapter",
    409: "Its state does not allow this, or the Idempotency-Key was used for another request",
    412: "It changed since it was read: the If-Match is of another state",
    413: "The body is longer than 256 KB",
    415: "The body is not application/json",
    422: "The body says something that cannot be; `errors` has each fault with its line and field",
    428: "The If-Match of what was read is missing",
    429: "The token came too often; Retry-After says when it may come again",
    503: "Something that is needed does not answer: try again, with the same Idempotency-Key",
}
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Idempotency-Key": {
        "description": "A new one for each thing that is to be done, at most 255 printable characters. The same request with"
        " the same key gets the same answer for 30 days, and does nothing.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "If-Match": {
        "description": "The ETag of what was read: nothing is done if it is another by now (412).",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "The ETag of what was read: 304 without a body if it is still the same.",
        "schema": {"type": "string"},
    },
}


class ProblemError(BaseModel):
    """One thing that is wrong: where, as far as it has a place in the body, and what."""

    line: int | None = Field(None, description="The line of the body, from 1.")
    field: str | None = Field(None, description="The field, as `rule.of.1.within`.")
    says: str


class Problem(BaseModel):
    """What is answered when something is refused (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: list[ProblemError] | None = None


def of(routes: Iterable[BaseRoute], version: str) -> dict[str, Any]:
    """The document of all endpoints among these routes."""
    tree = SpecTree(
        "starlette", title="Groundswell", version=version, description=ABOUT, mode="strict", annotations=False,
        naming_strategy=_name, nested_naming_strategy=_own_name, security={"token": []},
        security_schemes=[SecurityScheme("token", SecuritySchemeData(SecureType.HTTP, scheme="bearer"))],
    )  # fmt: skip
    endpoints = [(route, route.endpoint) for route in routes if isinstance(route, Route)]
    ours = [(route, endpoint) for route, endpoint in endpoints if isinstance(endpoint, Endpoint)]
    described = [
        Route(route.path, _described(tree, route, endpoint), methods=_methods(route)) for route, endpoint in ours
    ]
    tree.register(Starlette(routes=described))  # served to nobody
    document: dict[str, Any] = tree.spec | {part: _shortened(tree.spec[part]) for part in ("paths", "components")}
    for route, endpoint in ours:
        for method in _methods(route):
            _complete(document["paths"][route.path][method.lower()], method, route.path, endpoint)
    schemas = document["components"]["schemas"]
    schemas |= _problem_schemas() | {"Rule": _rule(document)}
    for left in {"ValidationError", "ValidationErrorElement", *(_name(endpoint.query) for _, endpoint in ours)}:
        schemas.pop(left, None)
    for name, kind in rules.KINDS.items():
        schemas[kind.__name__] |= {"title": name, "examples": [dict(kind.example)]}
    return document


def refusals(method: str, path: str, endpoint: Endpoint) -> list[int]:
    """Every status that this endpoint may refuse with."""
    found = {401, 429, 503, *endpoint.refuses}
    found |= {403} if endpoint.scope else set()
    found |= {400, 413, 415, 422} if endpoint.body else {400} if endpoint.query.model_fields else set()
    found |= {404} if "{" in path else set()
    found |= {400, 409} if endpoint.keyed else set()
    found |= {412} if _changes(method, path, endpoint) else set()
    found |= {428} if endpoint.conditional else set()
    return sorted(found)


def _described(tree: SpecTree, route: Route, endpoint: Endpoint) -> Any:
    def described(_: Request) -> None:
        """Never called."""

    described.__doc__ = endpoint.does.__doc__
    answers = Response(**{f"HTTP_{endpoint.status}": endpoint.shows})
    return tree.validate(
        json=endpoint.body.model if endpoint.body else None,
        query=endpoint.query if endpoint.query.model_fields else None,
        resp=answers,
        tags=[_tag(route.path)],
        operation_id=f"{_tag(route.path)}_{endpoint.does.__name__}",
        skip_validation=True,
    )(described)


def _complete(operation: dict[str, Any], method: str, path: str, endpoint: Endpoint) -> None:
    """Scope, headers and refusals of one operation."""
    said = f"Scope: `{endpoint.scope}`." if endpoint.scope else "Any scope."
    operation["description"] = " ".join(filter(None, (operation["description"], said)))
    operation["x-scope"] = endpoint.scope
    for name, needed in _headers(method, path, endpoint):
        operation["parameters"].append({"name": name, "in": "header", "required": needed, **HEADERS[name]})
    for parameter in operation["parameters"]:
        if not parameter.get("description"):
            parameter.pop("description", None)
    operation["responses"] = {str(endpoint.status): operation["responses"][str(endpoint.status)]}
    if endpoint.body and endpoint.body.optional:
        operation["requestBody"]["required"] = False
    for status in refusals(method, path, endpoint):
        content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(status)] = {"description": _means(status), "content": content}


def _headers(method: str, path: str, endpoint: Endpoint) -> list[tuple[str, bool]]:
    if method in READS:
        return [("If-None-Match", False)]
    keyed = [("Idempotency-Key", endpoint.keyed)] if method == "POST" and not endpoint.idle else []
    return keyed + ([("If-Match", endpoint.conditional)] if _changes(method, path, endpoint) else [])


def _changes(method: str, path: str, endpoint: Endpoint) -> bool:
    """Whether it changes something that is there."""
    return method not in READS and "{" in path and not endpoint.idle


def _means(status: int) -> str:
    return MEANS.get(status, HTTPStatus(status).phrase)


def _methods(route: Route) -> list[str]:
    return sorted((route.methods or set()) - {"HEAD"})


def _tag(path: str) -> str:
    """/api/v1/segments/{slug}: segments."""
    return path.split("/")[3]


def _name(model: Any) -> str:
    return str(getattr(model, "model_config", {}).get("title") or model.__name__)


def _own_name(_: str, child: str) -> str:
    return child


def _problem_schemas() -> dict[str, Any]:
    found: dict[str, Any] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    inner: dict[str, Any] = found.pop("$defs")
    return inner | {"Problem": found}


def _shortened(said: Any) -> Any:
    """The same, with one name in the place of each list of all operators, and without titles that repeat a name."""
    if isinstance(said, dict):
        if "x-model" in said:
            return {"$ref": f"#/components/schemas/{said['x-model']}"}
        if "oneOf" in said and said.get("discriminator", {}).get("propertyName") == "op":
            return RULE | {key: said[key] for key in ("description", "default") if key in said}
        return {key: _shortened(value) for key, value in said.items() if key != "title" or not isinstance(value, str)}
    return [_shortened(each) for each in said] if isinstance(said, list) else said


def _rule(document: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: f"#/components/schemas/{kind.__name__}" for name, kind in rules.KINDS.items()}
    assert all(kind.__name__ in document["components"]["schemas"] for kind in rules.KINDS.values())
    return {
        "description": "A rule that chooses people: one of these operators.",
        "discriminator": {"propertyName": "op", "mapping": kinds},
        "oneOf": [{"$ref": where} for where in kinds.values()],
    }
