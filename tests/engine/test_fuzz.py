"""Whatever bytes outsiders or staff send, a parser says what they mean or refuses them by an error of ours, soon. All that
was ever found otherwise is kept in tests/corpus and tried again here; `python -m tests.fuzz` looks for more."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as fuzz
from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import PARSERS, Parser, unfit
from tests.fuzz.trying import CORPUS, corpus, fault, samples

EACH = pytest.mark.parametrize("name", PARSERS)


@EACH
def test_what_is_kept_and_what_is_real_is_read_or_refused(name: str):
    found = {path.name: fault(PARSERS[name], path.read_bytes()) for path in corpus(name)}
    assert {kept: wrong for kept, wrong in found.items() if wrong} == {}
    assert [wrong for body in PARSERS[name].samples() if (wrong := fault(PARSERS[name], body))] == []


@EACH
def test_whatever_is_made_of_it_is_read_or_refused(name: str):
    known = samples(name)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 2**32) | st.binary(max_size=200))
    def tried(made: int | bytes) -> None:
        body = made if isinstance(made, bytes) else mutated(Random(made), known)
        assert fault(PARSERS[name], body) == ""

    tried()


def test_every_sample_is_real_and_at_least_one_of_each_parser_is_taken():
    for name, parser in PARSERS.items():
        taken = []
        for body in parser.samples():
            try:
                taken.append(parser.read(body))
            except parser.refusals:
                continue
        assert [said for said in taken if not getattr(said, "faults", None)], name
    assert {path.name for path in CORPUS.iterdir()} <= set(PARSERS)


def test_faults_are_found_made_small_and_told_apart(monkeypatch: pytest.MonkeyPatch):
    def read(body: bytes) -> object:
        if b"!" in body:
            raise KeyError("x")
        while b"~" in body:
            pass
        return body.decode("latin-1")

    monkeypatch.setitem(PARSERS, "bad", Parser(read, lambda: [b"a"]))
    assert fault(PARSERS["bad"], b"fine") == ""
    assert fault(PARSERS["bad"], b"a!b").startswith("KeyError")
    assert fault(PARSERS["bad"], b"~", seconds=0.1).startswith("no end after 0.")
    assert "a zero byte" in fault(PARSERS["bad"], b"\x00")
    assert fuzz.smaller("bad", b"aaaa!bbbbbbbb", fault(PARSERS["bad"], b"a!b")) == b"!"
    assert [len(list(unfit(value))) for value in ([2**63], {"a": "\ud800"}, [float("nan")], ["fine", 1, 1.5])] == [
        1,
        1,
        1,
        0,
    ]
