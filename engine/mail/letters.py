"""The words of the letters we ship: `templates/email/<name>/{subject.txt,body.mjml,body.txt}` in their layouts, as
mailings. Those of a folder below it, named for a language, are the same letter in that language: "welcome.es".

mrml compiles MJML once, when a letter is loaded; it is known to drop some template tags silently, so the compiled letter
must hold exactly the tags of its source.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import mrml
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Invalid
from engine.languages import ENGLISH
from engine.settings import ROOT

EMAIL = ROOT / "templates" / "email"
LAYOUT = ROOT / "templates" / "layouts" / "letter.mjml"
TEXT_LAYOUT = LAYOUT.with_suffix(".txt")
BODY_PLACE = "<!-- body -->"
_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# Left alone, mrml links a font service for every well-known family: a third party in each reader's letter.
_NO_WEB_FONTS = mrml.RenderOptions(fonts={})
_SAVE = text("""
INSERT INTO mailing (slug, subject, body_html, body_text)
SELECT slug, subject, body_html, body_text
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, subject text, body_html text, body_text text)
ON CONFLICT (slug) DO UPDATE SET subject = excluded.subject, body_html = excluded.body_html,
    body_text = excluded.body_text, updated_at = now()
WHERE (mailing.subject, mailing.body_html, mailing.body_text)
    IS DISTINCT FROM (excluded.subject, excluded.body_html, excluded.body_text)
""")

_SPOKEN = text("""
SELECT id, CASE slug WHEN :slug THEN 'en' ELSE split_part(slug, '.', 2) END AS language FROM mailing
WHERE slug = :slug OR starts_with(slug, :slug || '.') ORDER BY slug
""")


@dataclass(frozen=True, slots=True)
class Words:
    """A letter's content, with its template tags still in it."""

    slug: str
    subject: str
    body_html: str
    body_text: str


def shipped() -> list[Words]:
    """Every letter that comes with Groundswell."""
    layouts = LAYOUT.read_text("utf-8"), TEXT_LAYOUT.read_text("utf-8")
    folders = [(folder, folder.name) for folder in _folders(EMAIL)]
    folders += [(inner, f"{slug}.{inner.name}") for folder, slug in folders for inner in _folders(folder)]
    return [_load(folder, slug, *layouts) for folder, slug in folders]


def spoken(session: Session, slug: str) -> dict[str, int]:
    """The mailings of this letter by language, English always first: {"en": 3, "es": 4}. Nothing when there is no such
    letter."""
    found = session.execute(_SPOKEN, {"slug": slug}).all()
    return {row.language: row.id for row in found} if found and found[0].language == ENGLISH else {}


def save(session: Session, letters: list[Words]) -> None:
    """Store these letters as mailings; one that has not changed is left alone."""
    records = [
        {"slug": w.slug, "subject": w.subject, "body_html": w.body_html, "body_text": w.body_text} for w in letters
    ]
    session.execute(_SAVE, {"rows": rows(records)})


def compiled(mjml: str) -> str:
    """The HTML of an MJML letter. Raises Invalid when it is not MJML or when compiling lost or doubled a template tag."""
    try:
        html: str = mrml.to_html(mjml, None, _NO_WEB_FONTS).content
    except OSError as error:  # how mrml reports a parse error
        raise Invalid(f"not MJML: {error}") from None
    before, after = Counter(_TAG.findall(mjml)), Counter(_TAG.findall(html))
    if before != after:
        lost = sorted((before - after) | (after - before))
        raise Invalid("compiling changed these template tags: " + ", ".join(lost))
    return html


def _folders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if inner.is_dir())


def _load(folder: Path, slug: str, layout: str, text_layout: str) -> Words:
    layout = layout.replace('<mjml lang="en">', f'<mjml lang="{slug.partition(".")[2] or ENGLISH}">')
    return Words(
        slug=slug,
        subject=(folder / "subject.txt").read_text("utf-8").strip(),
        body_html=compiled(layout.replace(BODY_PLACE, (folder / "body.mjml").read_text("utf-8"))),
        body_text=text_layout.replace(BODY_PLACE, (folder / "body.txt").read_text("utf-8").rstrip()),
    )
