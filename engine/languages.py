"""Languages: the gettext catalogues in `templates/locale/<language>/*.po`, read as they are. English is what they translate.

A new language is a new folder: its catalogues, and the letters' own folders (`templates/email/<name>/<language>/`).
"""

import io
from collections.abc import Callable
from datetime import date
from functools import cache, lru_cache

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from engine.settings import ROOT

LOCALE = ROOT / "templates" / "locale"
ENGLISH = "en"


@cache
def offered() -> tuple[str, ...]:
    """The languages there are, English first."""
    return (ENGLISH, *sorted(folder.name for folder in LOCALE.iterdir() if folder.is_dir()))


@cache
def catalogue(language: str) -> NullTranslations:
    """What translates English into this language; English, and one that is not offered, stays English."""
    if language == ENGLISH or language not in offered():
        return NullTranslations()
    whole: Translations | None = None
    for path in sorted((LOCALE / language).glob("*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        part = Translations(compiled)
        whole = part if whole is None else whole.merge(part)
    return whole or NullTranslations()


def in_each(said: Callable[[str], str]) -> dict[str, str]:
    """What that says in each language there is."""
    return {language: said(language) for language in offered()}


@lru_cache(1000)
def long_date(day: date, language: str) -> str:
    """A day in words: "June 7, 2019", "7 de junio de 2019"."""
    return format_date(day, "long", locale=language)


def own_name(language: str) -> str:
    """What speakers call it: "Español"."""
    name = Locale.parse(language).get_display_name(language) or language
    return name[:1].upper() + name[1:]


def choose(accepted: str, wanted: str = "") -> str:
    """The language to speak: the one that was asked for, else the best of an Accept-Language header, else English."""
    if wanted in offered():
        return wanted
    weighed = []
    for position, part in enumerate(accepted[:500].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        weighed.append((-_quality(quality), position, tag.split("-")[0].lower()))
    return next((tag for weight, _, tag in sorted(weighed) if weight < 0 and tag in offered()), ENGLISH)


def _quality(written: str) -> float:
    try:
        return max(0.0, min(1.0, float(written))) if written else 1.0
    except ValueError:
        return 0.0
