"""The letters that come with the code: `templates/email/<name>/{subject.txt,body.mjml,body.txt,letter.yaml}`; those of a
folder below, named for a language, are the same letter in that language."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.languages import ENGLISH
from engine.letters.finishing import finish_mjml
from engine.letters.sheets import Words
from engine.letters.vocabulary import vocabulary
from engine.settings import ROOT

EMAIL = ROOT / "templates" / "email"
LAYOUT = "letter"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One of them. `facts`: what it is told, with a sample of each; `words` by language."""

    slug: str
    kind: str
    facts: Mapping[str, Any]
    words: Mapping[str, Words]


def shipped() -> list[Shipped]:
    """Every letter that comes with Groundswell."""
    return [_load(folder) for folder in sorted(EMAIL.iterdir()) if folder.is_dir()]


def _load(folder: Path) -> Shipped:
    told = yaml.safe_load((folder / "letter.yaml").read_text("utf-8"))
    known = vocabulary(told["facts"])
    words = {spoken: finish_mjml(_words(place), LAYOUT, spoken, known) for spoken, place in _languages(folder)}
    return Shipped(folder.name, told["kind"], told["facts"], words)


def _languages(folder: Path) -> Iterator[tuple[str, Path]]:
    yield ENGLISH, folder
    yield from ((inner.name, inner) for inner in sorted(folder.iterdir()) if inner.is_dir())


def _words(folder: Path) -> Words:
    subject, html, text = ((folder / name).read_text("utf-8") for name in ("subject.txt", "body.mjml", "body.txt"))
    return Words(subject.strip(), html, text)
