"""SendGrid's signature as SendGrid makes it, with a key of the tests' own."""

from base64 import b64encode
from time import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from webhooks.sendgrid import SIGNATURE, TIMESTAMP

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """The public key as SendGrid's console shows it."""
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(body: bytes, timestamp: str, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    """The signature over time and body."""
    return b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


def signed(body: bytes, timestamp: str | None = None, key: ec.EllipticCurvePrivateKey = KEY) -> list[tuple[str, str]]:
    """The headers of a genuine request, of this moment unless it says when."""
    at = str(int(time())) if timestamp is None else timestamp
    return [("content-type", "application/json"), (SIGNATURE, sign(body, at, key)), (TIMESTAMP, at)]
