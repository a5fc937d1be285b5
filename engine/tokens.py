"""Tokens in links: signed, bound to one purpose, valid under the present key and the retired ones. They say ids only.

By itsdangerous (HMAC-SHA-256, compared in constant time). Each letter has two: the key of a purpose is derived once, and
nobody tries to make a list of a few numbers shorter. A token holds no time limit of its own: what must end carries the moment
it was made, or an id of a row that ends, and whoever reads it decides by the house's clock.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal

import orjson
from itsdangerous import BadData, HMACAlgorithm, URLSafeSerializer
from itsdangerous import Signer as TimelessSigner
from itsdangerous.encoding import base64_encode

LONGEST = 512

# ask: the amounts that a letter offers, and no word of whom. giving: her monthly gifts. preview: a draft of a donation form.
# page: where the next page of a list that a program reads begins.
Purpose = Literal["unsubscribe", "preferences", "confirm", "form", "sign-in", "ask", "giving", "preview", "page"]


class _Algorithm(HMACAlgorithm):
    """HMAC-SHA-256 in one call."""

    def __init__(self) -> None:
        super().__init__(hashlib.sha256)

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class _Signer(TimelessSigner):
    """Derives each key once."""

    derived: dict[object, bytes]

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        if secret_key not in self.derived:
            self.derived[secret_key] = super().derive_key(secret_key)
        return self.derived[secret_key]


class Signer:
    """Makes and reads tokens. `keys`: the oldest first; the last one signs."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = list(keys)
        self._hashed = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._serializers: dict[str, URLSafeSerializer] = {}
        self._signers: dict[str, _Signer] = {}

    def sign(self, purpose: Purpose, *values: int | str) -> str:
        """A token for a URL that says these values, readable by whoever holds it."""
        signer = self._signers.get(purpose)
        if signer is None:
            signer = self._signers[purpose] = _Signer(
                self._keys, purpose, key_derivation="hmac", digest_method=hashlib.sha256, algorithm=_Algorithm()
            )
            signer.derived = {}
        return signer.sign(base64_encode(orjson.dumps(values))).decode()

    def read(self, purpose: Purpose, token: str) -> tuple[int | str, ...] | None:
        """What a token of this purpose says; None for any other, altered, cut or made-up one. Never raises."""
        if len(token) > LONGEST:
            return None
        try:
            said = self._serializer(purpose).loads(token)
        except (BadData, UnicodeError):
            return None
        whole = isinstance(said, list) and all(isinstance(value, int | str) for value in said)
        return tuple(said) if whole else None

    def hashes(self, address: str) -> tuple[str, ...]:
        """The keyed hashes of a normalised address, one a key, the one to store last (see `erased_address`)."""
        return tuple(hashlib.blake2b(address.encode(), key=key, person=b"erased").hexdigest() for key in self._hashed)

    def codes(self, said: str) -> tuple[str, ...]:
        """Opaque codes of the same words, one a key, the one to write last."""
        return tuple(hashlib.blake2b(said.encode(), key=key, digest_size=12, person=b"occasion").hexdigest()
                     for key in self._hashed)  # fmt: skip

    def _serializer(self, purpose: Purpose) -> URLSafeSerializer:
        if purpose not in self._serializers:
            options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
            self._serializers[purpose] = URLSafeSerializer(self._keys, salt=purpose, signer_kwargs=options)
        return self._serializers[purpose]
