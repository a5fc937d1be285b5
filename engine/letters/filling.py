"""What a letter's names are for one reader: what is known of her, her links, the facts that her letter was given."""

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import Invalid
from engine.letters.senders import Sender
from engine.letters.vocabulary import GIVES, READER, fact, plain


def columns(names: Iterable[str]) -> str:
    """SQL of what is known of contact `c` for these names, as `reader_<name>`, each with a comma before it."""
    wanted = sorted(name for name in names if name in READER)
    return "".join(f", {READER[name].sql} AS reader_{name}" for name in wanted)


def values(
    names: Iterable[str],
    reader: Mapping[str, Any],
    facts: Mapping[str, Any],
    addresses: Mapping[str, str],
    sender: Sender,
) -> dict[str, Any]:
    """A value for each of these names but GIVES, which `Sender.offer` says. Raises Invalid for one that nobody knows."""
    return {name: _value(name, reader, facts, addresses, sender.language) for name in names if name not in GIVES}


def _value(
    name: str, reader: Mapping[str, Any], facts: Mapping[str, Any], addresses: Mapping[str, str], language: str
) -> Any:
    if name in addresses:
        return addresses[name]
    if name in facts:
        return fact(facts[name], language)
    known = READER.get(name)
    if known is None:
        raise Invalid(f"there is nothing to say for {name}")
    value = reader[f"reader_{name}"]
    if known.make is not None:
        return known.make(value, language)
    return value if isinstance(value, bool) else plain(value)
