"""F17 of the matrix: bodies that are no JSON, or could be read in two ways, or are of another type or size, sent to every
endpoint that takes one. None leaves anything behind.
"""

import json

import pytest

from tests.programs import JSON, Program, said
from tests.webhooks.endpoints import ENDPOINTS, PROBLEM, SEGMENT, WITH_BODY, asked

# F17: a body that is no JSON, or could be read in two ways


UNREADABLE = {
    "[": b"[", "empty": b"", "blank": b"  ", "NaN": b'{"slug": NaN}', "Infinity": b'{"slug": -Infinity}',
    "a key twice": b'{"slug": "a", "slug": "b"}', "a key twice below": b'{"rule": {"op": "not", "op": "all"}}',
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(SEGMENT).encode(), "UTF-16": json.dumps(SEGMENT).encode("utf-16"),
    "UTF-16 without a mark": json.dumps(SEGMENT).encode("utf-16-le"), "Latin-1": b'{"name": "caf\xe9"}',
    "NUL": b'{"name": "\x00"}', "an escaped NUL": b'{"name": "\\u0000"}', "half a character": b'{"name": "\\ud800"}',
    "60,000 brackets": b"[" * 60_000, "a number of 5,000 digits": b'{"name": ' + b"9" * 5_000 + b"}",
    "1e999": b'{"name": 1e999}',
    "something behind": json.dumps(SEGMENT).encode() + b"x", "a comma too many": b'{"slug": "a",}', "a comment": b'{} // x',
    "single quotes": b"{'slug': 'a'}", "a cut string": b'{"slug": "a',
}  # fmt: skip
NO_OBJECT = {"a list": b"[]", "a word": b'"segment"', "a number": b"1", "null": b"null", "true": b"true"}


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_f17_a_body_that_cannot_be_read_is_refused(mine: Program, method: str, path: str):
    _, address, _ = asked(method, path)
    (found,) = (endpoint.body for m, p, endpoint in ENDPOINTS if (m, p) == (method, path))
    for name, body in UNREADABLE.items():
        if found.optional and not body:
            continue
        answer = mine.send(method, address, body, JSON, ("if-match", "*"))
        assert (name, answer.status, answer.headers["content-type"]) == (name, 400, PROBLEM)
    for name, body in NO_OBJECT.items():
        assert (name, mine.send(method, address, body, ("if-match", "*")).status) == (name, 422)


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_f17_a_body_of_another_type_or_size_is_refused(mine: Program, method: str, path: str):
    _, address, body = asked(method, path)
    sent = json.dumps(body).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=utf-16",
                 "application/problem+json", "", "*/*", "application/jsonx"):  # fmt: skip
        assert (kind, mine.send(method, address, sent, ("content-type", kind), ("if-match", "*")).status) == (kind, 415)
    packed = mine.send(method, address, sent, ("content-encoding", "gzip"), ("if-match", "*"))
    assert packed.status == 415
    assert mine.send(method, address, b" " * (256 * 1024) + sent, ("if-match", "*")).status == 413


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, e in ENDPOINTS if m != "GET" and e.body is None])
def test_f17_a_body_where_none_belongs_is_refused(mine: Program, method: str, path: str):
    answer = mine.send(*asked(method, path)[:2], {"force": True}, ("if-match", "*"))
    assert (answer.status, said(answer)["detail"]) == (400, "this takes no body")
