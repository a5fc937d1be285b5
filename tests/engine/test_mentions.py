"""Whether a body tells of somebody: her address or the name of her payment stands in it whole, however it is written."""

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.people import mentions
from engine.people.mentions import Sought

ANA = "ana@example.org"
SOUGHT = Sought([ANA], {"stripe": ["pi_3AbCdEfGh1"], "actblue": ["AB7000000001"]})


def found(body: str | bytes, sought: Sought = SOUGHT, source: str = "actblue") -> bool:
    return sought.stands_in(body.encode() if isinstance(body, str) else body, source)


OF_HER = [
    '{"email": "ana@example.org"}', '{"email": "ANA@Example.ORG"}', '{"email": " ana@example.org "}',
    '{"email": "ana\\u0040example.org"}', '{"ana@example.org": 1}', '["Ana <ana@example.org>"]',
    '{"note": "write to ana@example.org. Or call."}', '{"url": "https://example.org/?email=ana%40example.org&x=1"}',
    '{"data": "{\\"email\\":\\"ana@example.org\\"}"}', '{"email": "ana@example.org", "email": "eva@example.org"}',
    '"mailto:ana@example.org?subject=x"', "{'email': 'ana@example.org'", '{"email": "ana@example.org"',
    'broken {"name": "x\\nana@example.org', "email=ana%40example.org&zip=01605", "email=+ana%40example.org",
    "zip=01605&email=ANA%40EXAMPLE%2EORG", "Rosa,Delgado,ana@example.org,01605", "a\tana@example.org\n",
    '"Costa, Ana";"ana@example.org";01605', "ana@example.org",
]  # fmt: skip
OF_OTHERS = [
    '{"email": "mariana@example.org"}', '{"email": "ana@example.organic"}', '{"email": "ana@example.org.uk"}',
    '{"email": "j.ana@example.org"}', '{"email": "j-ana@example.org"}', '{"email": "j_ana@example.org"}',
    '{"email": "j+ana@example.org"}', '{"email": "j\\u002bana@example.org"}', '{"email": "ana+news@example.org"}',
    '{"email": "d\'ana@example.org"}', '{"email": "d\\u0027ana@example.org"}', '{"email": "x=ana@example.org"}',
    '{"email": "\\u00f1ana@example.org"}', '{"email": "\u00f1ana@example.org"}', "email=mariana%40example.org",
    "email=j%2Bana%40example.org", "email=ana%40example.org.uk", "email=ana%40example.org%2Euk",
    "Rosa,Delgado,mariana@example.org,01605", 'Mariana <mariana@example.org', '{"email": "ana@example.org-x.com"}',
    '{"email": "ana@sub.example.org"}', "", "null", "[]",
]  # fmt: skip


@pytest.mark.parametrize("body", OF_HER)
def test_her_address_is_found_however_it_is_written(body: str):
    assert found(body)


@pytest.mark.parametrize("body", OF_OTHERS)
def test_an_address_that_goes_on_is_somebody_elses(body: str):
    assert not found(body)


def test_bytes_that_are_no_text_are_looked_through_too():
    assert found(b"\xff\x00ana@example.org")
    assert found(b'{"name": "Mar\xeda", "email": "ana@example.org"}')
    assert not found(b"\xff\x00mariana@example.org")
    assert found('{"email": "jos\u00e9@example.org"}'.encode("latin-1"), Sought(["jos\u00e9@example.org"], {}))
    assert found("[" * 100_000 + ANA)


@pytest.mark.parametrize("body", [
    '{"email": "ana+news@example.org"}', '{"email": "ana\\u002bnews@example.org"}', "email=ana%2Bnews%40example.org",
    "email=ana%2bnews%40example.org", "x,ana+news@example.org,y", '{"to": "Ana <ANA+news@example.org>"}',
])  # fmt: skip
def test_a_plus_tag_is_part_of_her_address(body: str):
    assert found(body, Sought(["ana+news@example.org"], {}))
    assert not found(body, Sought(["news@example.org", ANA], {}))


def test_her_domain_may_stand_in_the_letters_of_the_network():
    sought = Sought(["ana@b\u00fccher.example"], {})
    for body in ("ana@xn--bcher-kva.example", '{"email": "ana@b\\u00fccher.example"}', '["ANA@B\u00dcCHER.example"]'):
        assert found(body, sought), body
    assert not found("mariana@xn--bcher-kva.example", sought)


def test_a_payment_is_meant_by_its_whole_name_and_by_its_own_source_alone():
    assert found('{"payment_intent": "pi_3AbCdEfGh1"}', source="stripe")
    assert found('{"url": "https://example.org/payments/pi_3AbCdEfGh1?x=1"}', source="stripe")
    assert not found('{"payment_intent": "pi_3AbCdEfGh1"}', source="actblue")
    for other in ("pi_3AbCdEfGh12", "xpi_3AbCdEfGh1", "pi_3AbCdEfGh1_x", "pi_3abcdefgh1"):
        assert not found(f'{{"payment_intent": "{other}"}}', source="stripe"), other
    assert found('{"orderNumber": "AB7000000001"}')
    assert not found('{"orderNumber": "AB70000000012"}')


WRITTEN = (
    lambda address: json.dumps({"email": address}), lambda address: json.dumps([f"Ana <{address}>"], ensure_ascii=False),
    lambda address: urlencode({"a": "1", "email": address, "b": "2"}), lambda address: f"Ana,{address},01605\n",
    lambda address: json.dumps({"url": "https://example.org/?e=" + quote(address, safe="")}),
    lambda address: json.dumps(json.dumps({"email": address.upper()})),
)  # fmt: skip
ADDRESSES = st.from_regex(r"[a-z0-9]{1,4}([.+_'-][a-z\u00e9\u00f10-9]{1,4}){0,2}@[a-z]{1,3}\.(org|com)", fullmatch=True)


@given(address=ADDRESSES, other=ADDRESSES, write=st.sampled_from(WRITTEN))
def test_one_address_is_found_in_what_is_written_of_it_and_not_in_what_is_written_of_another(address, other, write):
    assert found(write(address), Sought([address], {}))
    assert found(write(other), Sought([address], {})) == (address == other)


@pytest.mark.parametrize("body", [*OF_HER, *OF_OTHERS])
def test_what_postgres_is_asked_for_leaves_out_nothing_that_tells_of_her(session: Session, body: str):
    asked = text("SELECT lower(encode(:body, 'escape')) ~ :pattern")
    likely = session.scalar(asked, {"body": body.encode(), "pattern": mentions.likely(ANA)})
    assert likely or not found(body)


@given(address=ADDRESSES, write=st.sampled_from(WRITTEN))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_the_address_postgres_finds_what_is_written_of_it(session: Session, address: str, write):
    asked = text("SELECT lower(encode(:body, 'escape')) ~ :pattern")
    assert session.scalar(asked, {"body": write(address).encode(), "pattern": mentions.likely(address)})
