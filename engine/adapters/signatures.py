"""Signatures of webhooks: Stripe's by its own package, SendGrid's by `sendgrid_signature`.

What checks them takes a tenth of a second and many megabytes to import, and only web processes check signatures: Stripe's
package is imported at the first check, which a web process makes when it starts, the other at the first event.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from time import time
from typing import Any

from engine.adapters.sendgrid_signature import SendgridSignatures

STRIPE_OLDEST_SECONDS = 300
STRIPE_NEWEST_SECONDS = 60  # how far a sender's clock may be ahead of ours


class Signatures:
    """The keys of this installation. Several are valid at once while one is being replaced; with none nothing is."""

    def __init__(self, stripe_secrets: Sequence[str], sendgrid_public_keys: Sequence[str] = ()) -> None:
        self._stripe_secrets = tuple(stripe_secrets)
        self._sendgrid = SendgridSignatures(sendgrid_public_keys)

    def stripe(self, body: bytes, header: str) -> bool:
        """Whether one of our secrets signed this, not long ago. Every secret is tried, whichever fits."""
        fits = [_signed_by_stripe(body, header, secret) for secret in self._stripe_secrets]
        return any(fits)

    def sendgrid(self, body: bytes, signature: str, timestamp: str) -> bool:
        """Whether one of our keys fits, and that was signed not long ago."""
        return self._sendgrid.sendgrid(body, signature, timestamp)


def _signed_by_stripe(body: bytes, header: str, secret: str) -> bool:
    sdk = _package("stripe")
    try:
        sdk.WebhookSignature.verify_header(body, header, secret, STRIPE_OLDEST_SECONDS)
        stamp = next(item for item in header.split(",") if item.startswith("t="))
        return int(stamp.partition("=")[2]) <= time() + STRIPE_NEWEST_SECONDS  # which the package does not look at
    # Beside its own error it lets out TypeError for a header and UnicodeDecodeError for a body that are not ASCII, UTF-8.
    except (sdk.SignatureVerificationError, TypeError, ValueError, StopIteration):
        return False


@cache
def _package(name: str) -> Any:
    return import_module(name)
