"""What is made of a sample: its JSON with a branch cut, doubled, grown or poisoned; its words with nasty ones in between; its
bytes with some changed. All of it follows from the `Random` that is handed in."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# What has hurt parsers before, ours and others'.
NASTY: tuple[str, ...] = (
    "", " ", "0", "-0", "-1", "1e9", "1e400", "-1e-400", "NaN", "Infinity", "9" * 19, "9" * 400,
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "0.1", "27.005", "27,00", "$27",
    "\u0662\u0667", "\uff11\uff12", "\xb2", "\x00", "a\x00b", "\ud800", "\udcff", "\u2028", "\u202e", "\ufeff",
    "\ufffd", "\xe9", "\xe9", "\u0130", "\xdf", "\U0001d482@example.org", "a@b", "a@b.c", "@", "a@@example.org",
    "\"a b\"@example.org", "a@[127.0.0.1]", "a@xn--.org", "a@xn--a.org", "a" * 300 + "@example.org",
    "a@" + "b." * 130 + "org", "A@EXAMPLE.ORG ", "<a@example.org>", "Ana <a@example.org>", "a@exam_ple.org",
    "a@-x.org", "mailto:a@example.org", "a@example.org\r\nBcc: b@example.org", "0000-00-00", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.9999999999Z", "2026-02-30", "2026-11-01T01:30:00-05:00",
    "2026-03-08T02:30:00", "2026-11-02T19:03:15+24:00", "2026-W01-1", "1700000000", "-62135596801", "253402300800",
    "true", "null", "[]", "{}", "{{ 7*7 }}", "{% for x in y %}", "{%", "{{", "{{ a|b|c }}", "{# ",
    "{{ x.__class__ }}", "&a *a", "!!python/object:os.system", "*a", "<<: *a", "? ", "- - - -", "|", ">", "%TAG",
    "---", "...", "\t", "'", "\"", "\\", "\\u0000", "=cmd|' /C calc'!A0", "+1", "@SUM(1)", "<script>", "<!--",
    "]]>", "<![CDATA[", "&#0;", "&#x110000;", "::: ", "::: button x", "[](", "![](", "[a](javascript:x)", "``` ",
    "> " * 60, "* " * 60, "](" * 50, "[" * 200, "(" * 200, "*" * 200, "%", "%zz", "&", ";", "Basic ", "Bearer ",
    "t=,v1=", "t=1,v1=\xe9", "02134-", "2134", "00000", "02134.0", "1" * 5000, "example.org/?a=1#b",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e300, 2**31, 2**63, -(2**63) - 1, 10**30, [], {}, [[]], {"": ""}, [None], "",
)  # fmt: skip
MOST_BYTES = 64 * 1024  # of what comes out

Change = Callable[[Random, bytes, Sequence[bytes]], bytes]


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """One of these samples, changed once to four times."""
    found = random.choice(samples) if samples else b""
    for _ in range(random.choice((1, 1, 2, 4))):
        found = random.choice(_CHANGES)(random, found, samples)[:MOST_BYTES]
    return found


def _json(random: Random, found: bytes, _: Sequence[bytes]) -> bytes:
    try:
        document = json.loads(found)
    except (ValueError, RecursionError):
        return _words(random, found, _)
    for _ in range(random.choice((1, 1, 3))):
        document = _grown(random, document, 0)
    said = json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return _doubled(random, said) if random.random() < 0.1 else said


def _grown(random: Random, value: Any, depth: int) -> Any:
    """The document with one place changed."""
    if isinstance(value, dict) and value and (depth == 0 or random.random() < 0.8):
        name = random.choice(list(value))
        if random.random() < 0.15:
            return {key: each for key, each in value.items() if key != name}
        if random.random() < 0.1:
            return value | {random.choice(NASTY): value[name]}
        return value | {name: _grown(random, value[name], depth + 1)}
    if isinstance(value, list) and value and (depth == 0 or random.random() < 0.8):
        place = random.randrange(len(value))
        if random.random() < 0.2:
            return value + value[place : place + 1] * random.choice((1, 50))
        return [*value[:place], _grown(random, value[place], depth + 1), *value[place + 1 :]]
    return _poison(random, value)


def _poison(random: Random, value: Any) -> Any:
    match random.randrange(6):
        case 0:
            return random.choice(VALUES)
        case 1:
            return [value]
        case 2:
            return {random.choice(NASTY): value}
        case 3 if isinstance(value, str):
            return value + random.choice(NASTY)
        case 4 if isinstance(value, int | float):
            return str(value)
        case _:
            return random.choice(NASTY)


def _doubled(random: Random, said: bytes) -> bytes:
    """A key that stands twice."""
    return said.replace(b"{", b'{"' + random.choice((b"id", b"amount", b"email")) + b'": 1, ', 1)


def _words(random: Random, found: bytes, _: Sequence[bytes]) -> bytes:
    """A nasty word between two others, or in place of one."""
    nasty = random.choice(NASTY).encode("utf-8", "surrogatepass")
    place = random.randint(0, len(found))
    return found[:place] + nasty + found[place + random.choice((0, 0, len(nasty))) :]


def _lines(random: Random, found: bytes, samples: Sequence[bytes]) -> bytes:
    """A line doubled, gone, moved, or of another sample."""
    lines = found.splitlines(keepends=True) or [b""]
    place = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[place]
        case 1:
            lines[place:place] = [lines[place]] * random.choice((1, 30))
        case 2:
            lines.insert(random.randrange(len(lines)), lines.pop(place))
        case 3:
            lines[place] = random.choice((b" ", b"\t", b"  - ", b"# ", b"> ")) + lines[place]
        case _:
            lines.insert(place, random.choice(random.choice(samples).splitlines(keepends=True) or [b""]))
    return b"".join(lines)


def _bytes(random: Random, found: bytes, _: Sequence[bytes]) -> bytes:
    """Some bytes changed, gone or new."""
    changed = bytearray(found)
    for _ in range(random.choice((1, 1, 3, 20))):
        place = random.randint(0, len(changed))
        match random.randrange(3):
            case 0:
                changed[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[place : place + random.choice((1, 1, 40))]
            case _:
                changed[place:place] = random.choice(
                    (b"\x00", b"\xff", b'"', b",", b"\n", b"[", b"{", b":", b"&", b"=", b"%")
                )
    return bytes(changed)


def _spliced(random: Random, found: bytes, samples: Sequence[bytes]) -> bytes:
    """The beginning of one, the end of another."""
    other = random.choice(samples)
    return found[: random.randint(0, len(found))] + other[random.randint(0, len(other)) :]


def _repeated(random: Random, found: bytes, _: Sequence[bytes]) -> bytes:
    """A part of it over and over."""
    start = random.randint(0, len(found))
    part = found[start : start + random.choice((1, 2, 8, 60))]
    return found[:start] + part * random.choice((2, 100, 4000)) + found[start:]


_CHANGES: tuple[Change, ...] = (_json, _json, _json, _words, _words, _lines, _bytes, _spliced, _repeated)
