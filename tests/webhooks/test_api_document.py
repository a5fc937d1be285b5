"""The OpenAPI document and its page: made of the very routes and models, whole, and without anybody else's help."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asgi import Client
from webhooks import app
from webhooks.api.gate import Endpoint


@pytest.fixture(scope="module")
def document(door: Client) -> Any:
    answer = door.send("GET", "/api/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return json.loads(answer.body)


def references(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        if isinstance(said.get("$ref"), str):
            yield said["$ref"]
        yield from said.get("discriminator", {}).get("mapping", {}).values() if "oneOf" in said else ()
    for each in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        yield from references(each)


def test_every_endpoint_is_in_the_document_and_nothing_else(document):
    served = {
        (entry.path, method.lower())
        for entry in app.ROUTES
        for method in entry.methods
        if isinstance(entry.answer, Endpoint)
    }
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == served
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


def test_every_operation_says_what_it_needs_and_how_it_may_refuse(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert {"401", "429", "503"} <= set(operation["responses"]), where
            assert ("403" in operation["responses"]) == bool(operation["x-scope"]), where
            headers = {each["name"]: each["required"] for each in operation["parameters"] if each["in"] == "header"}
            assert ("If-None-Match" in headers) == (method == "get"), where
            assert ("428" in operation["responses"]) == headers.get("If-Match", False), where
            named = re.findall(r"\{(\w+)\}", path)
            assert [each["name"] for each in operation["parameters"] if each["in"] == "path"] == named


def test_every_name_that_the_document_uses_stands_in_it_once(document):
    schemas = document["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert used == set(schemas)
    assert {"Segment", "Sequence", "Campaign", "Rule", "Problem"} <= set(schemas)
    assert schemas["Gave"]["properties"]["at_least"]["anyOf"][0] == {"type": "number", "format": "dollars"}


def test_no_two_models_have_the_same_name():
    shapes: dict[str, set[tuple[str, ...]]] = {}
    for endpoint in (entry.answer for entry in app.ROUTES if isinstance(entry.answer, Endpoint)):
        for model in (endpoint.shows, *([endpoint.body.model] if endpoint.body else [])):
            whole = model.model_json_schema()
            called = model.model_config.get("title", model.__name__)
            for name, said in {**whole.get("$defs", {}), called: whole}.items():
                shapes.setdefault(name, set()).add(tuple(sorted(said.get("properties", {}))))
    assert {name: said for name, said in shapes.items() if len(said) > 1} == {}


def test_the_page_shows_every_operation_and_every_model_and_needs_no_other_host(door: Client, document):
    answer = door.send("GET", "/api/docs", [("accept", "text/html")])
    shown = answer.body.decode()
    assert (answer.status, answer.headers["content-security-policy"].startswith("default-src 'none'")) == (200, True)
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in shown
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in shown
    for name in document["components"]["schemas"]:
        assert f'id="model-{name}"' in shown
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', shown)) == {
        "/static/style.css", "/static/api.css", "/static/icon.svg", "/api/openapi.json", "/dev/mailbox",
    }  # fmt: skip
    targets = set(re.findall(r'href="#([^"]+)"', shown))
    assert targets <= set(re.findall(r'id="([^"]+)"', shown))
    assert "<script" not in shown
