"""The checks of signatures: any bytes and any header get an answer, never an error."""

import subprocess
import sys
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.signatures import Signatures
from engine.settings import DEVELOPMENT_STRIPE_SECRET, ROOT
from tests.make import stripe_digest, stripe_signature

BODY = b'{"id": "evt_1"}'
CHECK = Signatures((DEVELOPMENT_STRIPE_SECRET,)).stripe


def test_what_was_signed_is_taken_and_one_bit_less_is_not():
    _, header = stripe_signature(BODY)
    assert CHECK(BODY, header) is True
    for place in range(len(BODY)):
        changed = bytearray(BODY)
        changed[place] ^= 1
        assert CHECK(bytes(changed), header) is False


@given(body=st.binary(max_size=40), header=st.text(max_size=60) | st.text("t=v1,0 +-_", max_size=30))
def test_no_bytes_and_no_header_make_it_fail(body: bytes, header: str):
    assert CHECK(body, header) is False


@given(moment=st.text(max_size=20) | st.integers().map(str))
def test_no_moment_makes_it_fail_however_well_signed(moment: str):
    digest = stripe_digest(BODY, moment) if moment.isascii() else ""
    try:
        near = -300 <= int(moment) - time() <= 60
    except ValueError:
        near = False
    assert CHECK(BODY, f"t={moment},v1={digest}") is near


@pytest.mark.parametrize("secrets", [(), ("",), (" ",)], ids=repr)
def test_no_secret_is_no_key(secrets: tuple[str, ...]):
    assert Signatures(secrets).stripe(BODY, stripe_signature(BODY, secret="")[1]) is False


def test_the_senders_packages_and_the_models_of_the_tables_are_not_loaded_by_every_process():
    shown = (
        "import sys, workers.main, webhooks.app; from engine.adapters.signatures import Signatures;"
        "print([name for name in ('stripe', 'sendgrid', 'sqlmodel', 'engine.tables') if name in sys.modules]);"
        "Signatures(('x',)).stripe(b'', ''); print('stripe' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]
