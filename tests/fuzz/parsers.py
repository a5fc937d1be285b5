"""Every parser of outsiders' bytes, each as a function of bytes that says what it read; and samples of what is real.

What a parser may do is to say something, or to raise an error of ours. What it says must be fit for the database: no zero
bytes, no half characters, no number or time that a column cannot hold.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine import documents, money, sources
from engine.actblue_import import reading as actblue_reading
from engine.actblue_import import running as actblue_running
from engine.adapters.signatures import Signatures
from engine.errors import GroundswellError, Invalid
from engine.events import RawEvent
from engine.giving import ask_links, form_files, fund_files
from engine.languages import ENGLISH
from engine.letters import cleaning, drafts, finishing, language, links
from engine.letters.vocabulary import vocabulary
from engine.outreach import campaign_files, sequence_files
from engine.people import catalogue_files, chapter_files
from engine.people_import import reading as people_reading
from engine.people_import.layout import Choices
from engine.people_import.rows import Reader, moment
from engine.segments import files as segment_files
from engine.settings import DEVELOPMENT_SECRET, ROOT
from engine.sources import actblue_csv, actblue_words, letter_ids, words
from engine.tokens import Signer
from tests import csv_reports, people_lists, signing
from tests.make import actblue_body, raw
from webhooks import forms, security
from webhooks.api import campaigns as api_campaigns
from webhooks.api import json_words, reading
from webhooks.api import segments as api_segments

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
PAYLOADS = ROOT / "tests" / "payloads"
SIGNER = Signer((DEVELOPMENT_SECRET,))
VERIFIER = Signatures(["whsec_" + "s" * 32], [signing.public()])


@dataclass(frozen=True, slots=True)
class Parser:
    """`read` says what the bytes mean, or raises one of `refusals`; `samples`: real ones."""

    read: Callable[[bytes], object]
    samples: Callable[[], Sequence[bytes]]
    refusals: tuple[type[Exception], ...] = (GroundswellError,)
    kept: bool = True  # what it says may go to the database as it is


def unfit(value: object) -> Iterator[str]:
    """What of a value no column of ours can hold."""
    for kind, faulty, says in _UNFIT:
        if isinstance(value, kind):
            if faulty(value):
                yield f"{says} {str(value)[:40]!r}"
            return
    for part in _parts(value):
        yield from unfit(part)


def _halved(said: str) -> bool:
    try:
        said.encode()
    except UnicodeEncodeError:
        return True
    return False


def _beyond(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return True
    return False


_UNFIT: tuple[tuple[Any, Callable[[Any], bool], str], ...] = (
    (str, lambda said: "\x00" in said or _halved(said), "a zero byte or half a character in"),
    (int, lambda number: not -(2**63) <= number < 2**63, "too large a number:"),
    ((float, Decimal), lambda number: not isfinite(number), "no number:"),
    (datetime, _beyond, "a time beyond all calendars:"),
)


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value
        yield from value.values()
    elif isinstance(value, BaseModel):
        yield from (getattr(value, name) for name in type(value).model_fields)
    elif is_dataclass(value):
        yield from (getattr(value, each.name) for each in fields(value))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value


def _source(name: str, kind: str, body: bytes) -> object:
    told = sources.parse(RawEvent(1, name, "k", kind, body, 1, NOW))
    if isinstance(told, words.Split):
        return [_quietly(partial(_source, name, kind, part)) for part in told.bodies[:50]]
    return told


def _quietly(read: Callable[[], object]) -> object:
    try:
        return read()
    except GroundswellError:
        return None


def _payloads(folder: str) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted((PAYLOADS / folder).iterdir())]


def _joined() -> Sequence[bytes]:
    """A form of ours as the web keeps it."""
    told = {"form": "join", "at": "2026-11-03T12:00:00Z", "email": "ana@example.org", "zip": "01605", "confirm": True}
    return [
        raw(told),
        raw(told | {"form": "join/worcester", "interests": ["rent"], "first_name": "Ana", "language": "es"}),
    ]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")


def _utf8(body: bytes) -> str:
    """As what reads a file of staff's refuses another encoding before."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("not UTF-8") from None


@cache
def _folder() -> Path:
    """Where files lie that are read by their path."""
    made = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp") / f"groundswell-fuzz-{os.getpid()}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _as_file(name: str, read: Callable[[Path], object], body: bytes) -> object:
    path = _folder() / name
    path.write_bytes(body)
    try:
        return read(path)
    finally:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
            _folder.cache_clear()


def _report(path: Path) -> object:
    with actblue_reading.opened(path) as report:
        return actblue_running.read(report, list(report.records()))


def _people(path: Path) -> object:
    with people_reading.opened(path, Choices(), 10**8) as found:
        reader = Reader(found.layout, 1, NOW)
        return [_staged(reader, record) for record in found.records()]


def _staged(reader: Reader, record: Any) -> object:
    try:
        return reader.staged(record)
    except Invalid:
        return reader.unread(record)


def _lists() -> Sequence[bytes]:
    headers = (people_lists.MAILCHIMP, people_lists.ACTION_NETWORK, people_lists.NATION_BUILDER, people_lists.LIST)
    row = people_lists.subscriber("ana@example.org")
    said = ["ana@example.org", "Ana", "Costa", "01605", "MA", "subscribed", "2024-01-02 10:00:00"] * 5
    of_mailchimp = ",".join(f'"{row.get(name, "")}"'.replace('""', '"') for name in headers[0])
    lists = [",".join(header) + "\r\n" + ",".join(said[: len(header)]) + "\r\n" for header in headers]
    return [each.encode() for each in (*lists, ",".join(headers[0]) + "\n" + of_mailchimp + "\n")]


def _yaml(folder: str) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "templates" / folder).glob("*.yaml"))]


_README = (ROOT / "README.md").read_text("utf-8")


def _shown(*beginnings: str) -> Sequence[bytes]:
    """The examples of the README that begin so: files of staff."""
    blocks = ["".join(line[4:] for line in found.splitlines(keepends=True)) for found in
              re.findall(r"(?m)(?:^    .*\n)+", _README)]  # fmt: skip
    return [block.encode() for block in blocks if block.startswith(beginnings)]


def _letters() -> Sequence[bytes]:
    return [found.encode() for found in re.findall(r"(?s)```markdown\n(.*?)```", _README)]


CHAPTERS = (
    b"chapters:\n- slug: worcester\n  name: Worcester\n  zips: ['01605', '01606']\n  sender_email: ana@example.org\n"
)


def _letter(body: bytes) -> object:
    draft = _as_file("rent-vote.md", lambda path: drafts.read([path]), body)
    known = vocabulary({}, ["Union"])
    done = finishing.finish(draft.bodies[ENGLISH], "letter", ENGLISH, known)
    finishing.trial(done.words, known)
    return done


def _language(body: bytes) -> object:
    source, known = _utf8(body), vocabulary({}, ["Union"])
    found = [place.tag.source for place in language.read(source, known, "body")]
    language.parse(source)
    return found


def _tokens(body: bytes) -> object:
    token = _text(body)
    return (
        links.giver(SIGNER, token, NOW), links.unsubscriber(SIGNER, token), links.chooser(SIGNER, token, NOW),
        links.confirmation(SIGNER, token), ask_links.read(SIGNER, "give", token), forms.Stamp.read(SIGNER, token, "join"),
        letter_ids.decode(token),
    )  # fmt: skip


def _signed() -> Sequence[bytes]:
    of_a_letter = [link.rpartition("/")[2] for link in links.Links(SIGNER, "https://x.org", NOW).of(7, 8, {}).values()]
    made = [
        links.giving(SIGNER, 7, 1), links.preferences(SIGNER, 7, NOW), *of_a_letter,
        forms.Stamp.fresh("join", NOW).token(SIGNER), letter_ids.encode(7),
    ]  # fmt: skip
    return [each.encode() for each in made]


def _headers(body: bytes) -> object:
    """A request with these bytes in each of its headers, and from an address of this name."""
    value = body.replace(b"\r", b"").replace(b"\n", b"")
    names = (
        b"authorization",
        b"osdi-api-token",
        b"origin",
        b"sec-fetch-site",
        b"host",
        b"idempotency-key",
        b"if-none-match",
    )
    scope = {
        "type": "http", "headers": [(name, value) for name in names], "client": (value.decode("latin-1"), 1), "path": "/",
        "scheme": "https", "method": "POST", "query_string": value, "server": ("x", 1),
    }  # fmt: skip
    request = Request(scope)
    said = value.decode("latin-1")
    checks: tuple[Callable[[], object], ...] = (
        lambda: security.require_basic(request, ["actblue:password"]),
        lambda: security.require_bearer(request, ["token"]),
        lambda: security.require_address(said, ["secret"]),
        lambda: security.require_same_origin(request),
        lambda: security.wider(security.network(request)),
        lambda: reading.key_of(request, needed=True),
        lambda: reading.named(said, reading.tag_of("x"), weak=True),
        lambda: (VERIFIER.stripe(value, said), VERIFIER.sendgrid(value, said, said)),
        lambda: VERIFIER.sendgrid(value, said, "1700000000"),
    )
    return [_answered(check) for check in checks]


def _answered(check: Callable[[], object]) -> object:
    try:
        return check()
    except (HTTPException, GroundswellError):
        return None


def _one_line(body: bytes) -> object:
    """Everything that reads one value: addresses, ZIPs, money, times."""
    said = _text(body)
    address = words.email_address(said)
    assert address is None or words.email_address(address) == address, "an address is not read as itself"
    cleaned = words.clean(said)
    readers: tuple[Callable[[str], object], ...] = (
        words.number, partial(words.zip_code, country="US"), money.cents, money.typed_cents,
        partial(money.minor_units, currency="jpy"), actblue_csv.eastern, actblue_words.moment_of, moment,
        actblue_words.cents_of, actblue_words.refunded_cents_of,
    )  # fmt: skip
    return [address, cleaned, *(_value(reader, each) for reader in readers for each in (said, cleaned))]


def _value(read: Callable[[str], object], said: str) -> object:
    """These are called by who reads ValueError as a refusal."""
    try:
        return read(said)
    except (GroundswellError, ValueError):
        return None


def _api(body: bytes) -> object:
    document = json_words.read(body)
    if not document.faults:
        assert document.said == json.loads(body) or unequal(document.said), "read otherwise than JSON says"
    found = [document.said]
    for taken in (*vars(api_segments).values(), *vars(api_campaigns).values()):
        if isinstance(taken, reading.Body):
            found += [_answered(partial(reading.read, taken, body))]
    return found


def unequal(said: object) -> bool:
    """Whether what was read has decimals, which another reader takes for floats."""
    return isinstance(said, Decimal | float) or any(unequal(part) for part in _parts(said))


def _file_of_staff(read: Callable[[str], object], body: bytes) -> object:
    return read(_utf8(body))


def _lines_of(*values: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [value.encode() for value in values]


def _of(name: str, kind: str = "") -> Callable[[bytes], object]:
    return partial(_source, name, kind)


PARSERS: dict[str, Parser] = {
    "actblue": Parser(_of("actblue"), lambda: [*_payloads("actblue"), raw(actblue_body())]),
    "actblue_refunds": Parser(_of("actblue", "refunds"), partial(_payloads, "actblue")),
    "actblue_cancellations": Parser(_of("actblue", "cancellations"), partial(_payloads, "actblue")),
    "stripe": Parser(_of("stripe"), partial(_payloads, "stripe")),
    "sendgrid": Parser(_of("sendgrid"), partial(_payloads, "sendgrid")),
    "signup": Parser(_of("signup"), partial(_payloads, "signup")),
    "actionnetwork": Parser(_of("actionnetwork"), partial(_payloads, "signup")),
    "join": Parser(_of("join"), _joined),
    "actblue_csv": Parser(
        partial(_as_file, "report.csv", _report),
        lambda: [csv_reports.as_csv([csv_reports.PAID]), csv_reports.as_csv([csv_reports.PAID | csv_reports.REFUNDED]),
                 csv_reports.as_csv([csv_reports.CANCELLED], csv_reports.CANCELLED_49)],
    ),
    "people_csv": Parser(partial(_as_file, "list.csv", _people), _lists),
    "catalogue": Parser(partial(_file_of_staff, catalogue_files.read_text), partial(_shown, "coalitions:")),
    "segment": Parser(partial(_file_of_staff, segment_files.read_text), partial(_shown, "slug: ")),
    "sequence": Parser(partial(_file_of_staff, sequence_files.read_text), partial(_yaml, "sequences")),
    "campaign": Parser(partial(_file_of_staff, campaign_files.read_text), partial(_shown, "slug: ")),
    "form": Parser(
        partial(_file_of_staff, partial(form_files.read_text, folder=ROOT / "templates" / "forms")), partial(_yaml, "forms")
    ),
    "fund": Parser(partial(_file_of_staff, fund_files.read_text), partial(_shown, "funds:")),
    "chapters_csv": Parser(partial(_as_file, "chapters.csv", chapter_files.read), partial(_shown, "slug,")),
    "chapters_yaml": Parser(partial(_as_file, "chapters.yaml", chapter_files.read), lambda: [CHAPTERS]),
    "yaml": Parser(partial(_file_of_staff, documents.read), lambda: [*_yaml("sequences"), *_yaml("forms"), CHAPTERS]),
    "letter": Parser(_letter, _letters),
    "language": Parser(_language, lambda: [body.rpartition(b"---")[2] for body in _letters()]),
    "html": Parser(
        lambda body: cleaning.cleaned(_utf8(body)),
        _lines_of('<p style="color:red">a<a href="https://example.org" onclick="x">b</a></p>', "<ul><li>a<br></ul>"),
    ),
    "tokens": Parser(_tokens, _signed),
    "headers": Parser(
        _headers, _lines_of("Basic YWN0Ymx1ZTpwYXNzd29yZA==", "Bearer token", "t=1700000000,v1=abc,v0=d", "192.0.2.7",
                            "2001:db8::7", "::ffff:192.0.2.7", 'W/"abc", "def", *', "https://give.example.org"),
    ),
    "values": Parser(
        _one_line, _lines_of("Ana.Costa+x@Example.ORG", "01605-1234", "$1,234.50", "27.0", "2026-11-02T19:03:15-05:00",
                             "11/02/2026 07:03:15 PM", "2026-11-02 19:03:15", "1700000000"),
    ),
    "api": Parser(_api, lambda: [b'{"name": "a", "rule": {"all": [{"chapter": "worcester"}]}}', b'{"at": 1.50}']),
    "posted": Parser(
        forms.fields_of, lambda: [urlencode({"email": "a@b.org", "zip": "01605", "x": "é ñ"}).encode()],
        (HTTPException,),
        kept=False,  # models read its fields
    ),
}  # fmt: skip
