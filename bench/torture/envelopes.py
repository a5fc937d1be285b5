"""How each outsider posts to us: address, credentials or signature, and the key under which the inbox will have it."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from time import time

from bench.torture.posting import Request
from bench.torture.world import (
    ACTBLUE_CREDENTIALS,
    SENDGRID_KEY,
    SIGNUP_TOKEN,
    STRIPE_WEBHOOK_SECRET,
)
from engine.adapters import stripe_bodies
from tests import signing

JSON = {"Content-Type": "application/json"}
TOLERANCE = 300  # seconds: how old a signature of Stripe's may be


def actblue(body: bytes, kind: str = "", credentials: str = ACTBLUE_CREDENTIALS) -> tuple[Request, str]:
    """ActBlue, at the one address or at that of a kind ("refund")."""
    token = base64.b64encode(credentials.encode()).decode()
    path = f"/webhooks/actblue/{kind}s" if kind else "/webhooks/actblue"
    return Request(path, body, lambda: JSON | {"Authorization": f"Basic {token}"}), _hashed(body, kind)


def stripe(body: bytes, *, ago: float = 0.0) -> Request:
    """Stripe, signed when it is sent, or so many seconds before. Its key is the event's id."""

    def headers() -> Mapping[str, str]:
        return JSON | {"Stripe-Signature": stripe_bodies.signed(body, STRIPE_WEBHOOK_SECRET, int(time() - ago))}

    return Request("/webhooks/stripe", body, headers)


def stripe_forged(body: bytes) -> Request:
    """Somebody who does not know the secret."""
    code = hmac.digest(b"whsec_guessed", body, "sha256").hex()
    return Request("/webhooks/stripe", body, lambda: JSON | {"Stripe-Signature": f"t={int(time())},v1={code}"})


def sendgrid(body: bytes) -> tuple[Request, str]:
    """SendGrid's event webhook: an array of events."""
    return Request("/webhooks/sendgrid", body, lambda: dict(signing.signed(body, key=SENDGRID_KEY))), _hashed(body)


def signup(body: bytes, token: str = SIGNUP_TOKEN) -> tuple[Request, str]:
    """Another system's sign-up."""
    return Request("/webhooks/signup", body, lambda: JSON | {"Authorization": f"Bearer {token}"}), _hashed(body)


def form(path: str, body: bytes) -> Request:
    """A form of ours, as a browser sends it."""
    return Request(path, body, lambda: {"Content-Type": "application/x-www-form-urlencoded"})


def program(method: str, path: str, body: bytes, token: str, key: str) -> Request:
    """A program of staff's."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key} | (JSON if body else {})
    return Request(path, body, lambda: headers, method)


def _hashed(body: bytes, kind: str = "") -> str:
    digest = hashlib.sha256(body).hexdigest()
    return f"{digest}:{kind}" if kind else digest
