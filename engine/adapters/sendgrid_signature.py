"""SendGrid's signature over its events: ECDSA on P-256 with SHA-256, over the time and the raw bytes in one piece.

Its own package looks at no age, wants text for bytes and raises for what is not base64; the OpenSSL behind it is asked here
directly. That takes time and megabytes to import, and only web processes need it: it is imported at the first check.
"""

import re
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import structlog

OLDEST_SECONDS = (25 * 60 + 59) * 60  # it tries again for a day, and whether it signs anew is not said
NEWEST_SECONDS = 60  # how far its clock may be ahead of ours
LONGEST_SIGNATURE = 200  # base64 of two numbers of 32 bytes

log = structlog.get_logger(__name__)
_TIMESTAMP = re.compile(r"\d{10}", re.ASCII)


class SendgridSignatures:
    """The public keys of this installation. Several are valid at once while one is being replaced; with none nothing is."""

    def __init__(self, public_keys: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._written = tuple(public_keys)
        self._clock = clock

    def sendgrid(self, body: bytes, signature: str, timestamp: str) -> bool:
        """Whether one of our keys signed these bytes at this time, and that was not long ago."""
        if not _TIMESTAMP.fullmatch(timestamp) or len(signature) > LONGEST_SIGNATURE:
            return False
        if not -NEWEST_SECONDS <= self._clock() - int(timestamp) <= OLDEST_SECONDS:
            return False
        try:
            signed = b64decode(signature, validate=True)
        except ValueError:  # not base64, or not even ASCII
            return False
        return any(self._fits(key, signed, timestamp.encode() + body) for key in self._keys)

    def _fits(self, key: Any, signed: bytes, message: bytes) -> bool:
        try:
            key.verify(signed, message, self._algorithm)
        except _package("exceptions").InvalidSignature:
            return False
        return True

    @cached_property
    def _keys(self) -> list[Any]:
        load = _package("hazmat.primitives.serialization").load_der_public_key
        keys: list[Any] = []
        for place, written in enumerate(self._written, start=1):
            try:
                keys.append(load(b64decode(written)))
            except ValueError:
                log.error("a public key of SendGrid's is none", place=place)
        return keys

    @cached_property
    def _algorithm(self) -> Any:
        return _package("hazmat.primitives.asymmetric.ec").ECDSA(_package("hazmat.primitives.hashes").SHA256())


def _package(name: str) -> Any:
    return import_module(f"cryptography.{name}")
