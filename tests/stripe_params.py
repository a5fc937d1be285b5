"""What Stripe's own SDK allows to be asked: requests are held to its types, part by part, as Stripe holds them to its API.

A form-encoded request is unfolded (`line_items[0][quantity]=1`) and compared with the TypedDict of its call. Where a type
names words ("payment", "subscription") no other word passes, though the SDK lets any text through for what may come.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from stripe import params
from stripe._request_options import RequestOptions
from stripe.params import billing_portal, checkout

from engine.adapters.played_stripe import Refused

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_ID = r"([A-Za-z0-9_]+)"


class Call(NamedTuple):
    """One request of the API: its method, its path, and what it may be asked."""

    method: str
    path: str
    asked: Any


CALLS: Mapping[str, Call] = {
    "events": Call("GET", "/v1/events", params.EventListParams),
    "refund": Call("POST", "/v1/refunds", params.RefundCreateParams),
    "open": Call("POST", "/v1/checkout/sessions", checkout.SessionCreateParams),
    "session": Call("GET", f"/v1/checkout/sessions/{_ID}", checkout.SessionRetrieveParams),
    "expire": Call("POST", f"/v1/checkout/sessions/{_ID}/expire", checkout.SessionExpireParams),
    "plan": Call("GET", f"/v1/subscriptions/{_ID}", params.SubscriptionRetrieveParams),
    "change": Call("POST", f"/v1/subscriptions/{_ID}", params.SubscriptionUpdateParams),
    "cancel": Call("DELETE", f"/v1/subscriptions/{_ID}", params.SubscriptionCancelParams),
    "portal": Call("POST", "/v1/billing_portal/sessions", billing_portal.SessionCreateParams),
}


def call(method: str, path: str) -> tuple[str, str]:
    """Which of CALLS this is, and the id in its path. Raises Refused."""
    for name, known in CALLS.items():
        if known.method == method and (found := re.fullmatch(known.path, path)):
            return name, found[1] if found.groups() else ""
    raise Refused(404, f"Unrecognized request URL ({method}: {path})")


def unfolded(form: str) -> dict[str, Any]:
    """The parameters of a form-encoded body or query, as dicts and lists of text."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        matched = _NAME.fullmatch(name)
        assert matched, name
        keys = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
        place = found
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        assert keys[-1] not in place, f"{name} stands twice"
        place[keys[-1]] = value
    return {name: _lists(value) for name, value in found.items()}


def check(name: str, asked: Mapping[str, Any]) -> None:
    """Raises Refused for a parameter that this call does not know, that lies elsewhere, or that is no such value."""
    known = hints(CALLS[name].asked)
    own = {param: hint for param, hint in known.items() if param not in RequestOptions.__annotations__}
    for param, value in asked.items():
        if param not in own:
            raise Refused(400, f"Received unknown parameter: {param}", "parameter_unknown", param)
        _fits(value, own[param], param)


@cache
def hints(kind: Any) -> Mapping[str, Any]:
    """The types of a TypedDict's keys."""
    options = import_module("stripe._stripe_context")
    return get_type_hints(kind, localns={"StripeContext": options.StripeContext, "Mapping": Mapping})


def _fits(value: Any, hint: Any, name: str) -> None:
    """Raises Refused unless this value is one of this type."""
    origin, inner = get_origin(hint), get_args(hint)
    if hasattr(hint, "__required_keys__"):
        _object(value, hint, name)
    elif origin in (Union, UnionType):
        _one_of(value, inner, name)
    elif origin is list and isinstance(value, list):
        for place, item in enumerate(value):
            _fits(item, inner[0], f"{name}[{place}]")
    elif not _plain(value, hint):
        raise Refused(400, f"Invalid {name}: it must be {hint}", "", name)


def _object(value: Any, hint: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise Refused(400, f"Invalid object: {name}", "", name)
    known = hints(hint)
    for part, said in value.items():
        if part not in known:
            raise Refused(400, f"Received unknown parameter: {name}[{part}]", "parameter_unknown", f"{name}[{part}]")
        _fits(said, known[part], f"{name}[{part}]")
    for part in sorted(hint.__required_keys__ - value.keys()):
        raise Refused(400, f"Missing required param: {name}[{part}].", "parameter_missing", f"{name}[{part}]")


def _one_of(value: Any, kinds: tuple[Any, ...], name: str) -> None:
    """Any of these; but a word that is listed, where words are."""
    listed = any(get_origin(kind) is Literal for kind in kinds)
    problems = []
    for kind in kinds:
        if kind is type(None) or (kind is str and listed):
            continue
        try:
            _fits(value, kind, name)
        except Refused as problem:
            problems.append(problem)
        else:
            return
    raise next((problem for problem in problems if problem.code == "parameter_unknown"), problems[0])


def _plain(value: Any, kind: Any) -> bool:
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(isinstance(said, str) for said in value.values())
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    patterns = {int: r"-?\d+", bool: "true|false", str: r"[\s\S]*"}
    return isinstance(value, str) and kind in patterns and re.fullmatch(patterns[kind], value) is not None


def _lists(value: Any) -> Any:
    """A dict whose keys count from 0 is a list."""
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(said) for key, said in value.items()}
    return list(inner.values()) if [*inner] == [str(n) for n in range(len(inner))] and inner else inner
