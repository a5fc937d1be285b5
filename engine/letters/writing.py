"""Letters in the database: their words are kept as mailings, one a version and language, and never changed after."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.errors import Invalid, NotFound
from engine.languages import ENGLISH, offered
from engine.letters import finishing, language
from engine.letters.drafts import Draft
from engine.letters.finishing import Body, Finished
from engine.letters.language import Fault, Faulty
from engine.letters.shipped import LAYOUT, Shipped
from engine.letters.vocabulary import GIVES, vocabulary

# Of a letter that staff made theirs, a new release changes nothing any more.
_SHIP = text("""
INSERT INTO letter AS l (slug, kind, layout, facts, shipped) VALUES (:slug, :kind, :layout, CAST(:facts AS jsonb), true)
ON CONFLICT (slug) DO UPDATE SET kind = excluded.kind, layout = excluded.layout, facts = excluded.facts WHERE l.shipped
RETURNING id
""")
_PUT = text("""
INSERT INTO letter AS l (slug, kind, layout, fund_id, donation_form_id, note_until, quiet_from, quiet_until)
VALUES (:slug, :kind, :layout, :fund_id, :form_id, :note_until, :quiet_from, :quiet_until)
ON CONFLICT (slug) DO UPDATE SET kind = excluded.kind, layout = excluded.layout, fund_id = excluded.fund_id,
    donation_form_id = excluded.donation_form_id, note_until = excluded.note_until, quiet_from = excluded.quiet_from,
    quiet_until = excluded.quiet_until, shipped = false
RETURNING id
""")
_NEWEST = """
SELECT DISTINCT ON (m.language) m.* FROM mailing m JOIN letter l ON l.id = m.letter_id
WHERE l.slug = :slug AND m.version = (SELECT max(version) FROM mailing WHERE letter_id = l.id) ORDER BY m.language
"""
_WORDS = text(_NEWEST)
_SPOKEN = text(f"SELECT language, id FROM ({_NEWEST}) m")
_ADD = text("""
INSERT INTO mailing (slug, letter_id, version, language, subject, preview, body_html, body_text, source, source_text)
SELECT :slug || CASE v.language WHEN 'en' THEN '' ELSE '.' || v.language END
        || CASE WHEN CAST(:version AS int) > 1 THEN '~' || CAST(:version AS text) ELSE '' END,
    :letter_id, CAST(:version AS int), v.language, v.subject, v.preview, v.html, v.text, v.source, v.source_text
FROM json_to_recordset(CAST(:rows AS json)) AS v(language text, subject text, preview text, html text, text text,
    source text, source_text text)
ORDER BY v.language RETURNING id
""")
_FOUND = text("""
SELECT (SELECT id FROM fund WHERE slug = :fund) AS fund_id, f.id AS form_id, f.fund_id AS form_fund_id,
    f.version = 0 AS never_published,
    CAST(:note_until AS timestamptz) NOT BETWEEN now() - interval '5 years' AND now() + interval '5 years' AS astray
FROM (VALUES (1)) one LEFT JOIN donation_form f ON f.slug = :form
""")
_OWN = text("SELECT id, kind, facts FROM letter WHERE slug = :slug")
_HAS_CUSTOM = text("SELECT EXISTS (SELECT FROM contact WHERE jsonb_exists(custom, :name))")


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of saving a letter. `fresh`: its words had changed. `removed`: what a letter cannot hold."""

    letter_id: int
    version: int
    mailings: Mapping[str, int]
    fresh: bool
    removed: list[str] = field(default_factory=list)


def spoken(session: Session, slug: str) -> dict[str, int]:
    """The newest mailings of this letter by language: {"en": 3, "es": 4}. Nothing when there is no such letter."""
    found = {row.language: row.id for row in session.execute(_SPOKEN, {"slug": slug})}
    return found if ENGLISH in found else {}


def english(session: Session, slug: str) -> int | None:
    """The newest mailing of this letter in English; None when there is no such letter."""
    return spoken(session, slug).get(ENGLISH)


def newest(session: Session, slug: str) -> dict[str, Row[Any]]:
    """The same with all that they say. Raises NotFound."""
    found = {row.language: row for row in session.execute(_WORDS, {"slug": slug})}
    if ENGLISH not in found:
        raise NotFound(f"there is no letter {slug[:60]}")
    return found


def ship(session: Session, letters: Sequence[Shipped]) -> None:
    """Store the letters that come with the code; one that has not changed, or that staff made theirs, is left alone."""
    for letter in letters:
        values = {"slug": letter.slug, "kind": letter.kind, "layout": LAYOUT}
        letter_id = session.scalar(_SHIP, values | {"facts": orjson.dumps(dict(letter.facts)).decode()})
        if letter_id is not None:
            bodies = {spoken: (Body(words.subject, ""), Finished(words)) for spoken, words in letter.words.items()}
            _keep(session, letter_id, letter.slug, bodies)


def check(session: Session, draft: Draft) -> dict[str, Finished]:
    """The finished words of a draft by language; nothing is saved. Raises Faulty with all faults, Invalid for the unknown."""
    if unknown := set(draft.bodies) - set(offered()):
        raise Invalid(f"we do not speak {', '.join(sorted(unknown))}: there are {', '.join(offered())}")
    if ENGLISH not in draft.bodies:
        raise Invalid("a letter is written in English first: other languages stand beside it")
    own = session.execute(_OWN, {"slug": draft.slug}).one_or_none()
    if "" in (draft.kind, own.kind if own else draft.kind) and (own is None or own.kind != draft.kind):
        raise Invalid(
            "letters that need nobody's leave come with Groundswell: say a kind, and of those do not change it"
        )
    sources = [
        part for body in draft.bodies.values() for part in (body.subject, body.preview, body.markdown, body.text)
    ]
    known = vocabulary(own.facts if own else {}, custom_fields(session, sources))
    done: dict[str, Finished] = {}
    faults: list[Fault] = []
    for spoken, body in draft.bodies.items():
        try:
            done[spoken] = finishing.finish(body, draft.layout, spoken, known)
            finishing.trial(done[spoken].words, known)
        except Faulty as error:
            faults += error.faults
    if faults:
        raise Faulty(faults)
    _terms(session, draft, done.values())
    return done


def save(session: Session, draft: Draft) -> Saved:
    """Keep a draft: a new version if anything in its words changed. Raises what `check` does."""
    done = check(session, draft)
    letter_id = session.execute(_PUT, _terms(session, draft, done.values())).scalar_one()
    bodies = {spoken: (draft.bodies[spoken], finished) for spoken, finished in done.items()}
    version, mailings, fresh = _keep(session, letter_id, draft.slug, bodies)
    removed = [each for finished in done.values() for each in finished.removed]
    return Saved(letter_id, version, mailings, fresh, removed)


def _terms(session: Session, draft: Draft, done: Iterable[Finished]) -> dict[str, object]:
    """What the letter is, with its fund and form found. Raises Invalid for what is not there or does not fit."""
    found = session.execute(_FOUND, {"fund": draft.fund, "form": draft.form, "note_until": draft.note_until}).one()
    if found.astray:  # of the year 9999 in one zone, it could be of a year that no client of Postgres reads
        raise Invalid("the deadline for notes is more than five years away")
    for name, said, known in (("fund", draft.fund, found.fund_id), ("donation form", draft.form, found.form_id)):
        if said and known is None:
            raise Invalid(f"there is no {name} {said[:60]}")
    if found.never_published:
        name = draft.form[:60]
        says = f"the donation form {name} was never published, so links of this letter would lead nowhere"
        raise Invalid(f"{says}: see `groundswell forms versions {name}`, then publish one (`forms publish`)")
    if draft.fund and draft.form and found.fund_id != found.form_fund_id:
        raise Invalid("the donation form is another fund's")
    if found.form_id is None and any(name in each.words.html + each.words.text for each in done for name in GIVES):
        raise Invalid("it leads to a donation form (the ladder, give_url): say which, as form")
    quiet_from, quiet_until = draft.quiet_hours or (None, None)
    return {
        "slug": draft.slug, "kind": draft.kind, "layout": draft.layout, "note_until": draft.note_until,
        "fund_id": found.fund_id or found.form_fund_id, "form_id": found.form_id, "quiet_from": quiet_from,
        "quiet_until": quiet_until,
    }  # fmt: skip


def _keep(
    session: Session, letter_id: int, slug: str, bodies: Mapping[str, tuple[Body, Finished]]
) -> tuple[int, dict[str, int], bool]:
    """Add a version, unless the newest one says the same. Returns its number, its mailings, and whether it is new."""
    records = [
        {
            "language": spoken,
            "subject": finished.words.subject,
            "preview": body.preview,
            "html": finished.words.html,
            "text": finished.words.text,
            "source": body.markdown,
            "source_text": body.text,
        }
        for spoken, (body, finished) in sorted(bodies.items())
    ]
    there = list(session.execute(_WORDS, {"slug": slug}))
    same = [(r.language, r.subject, r.preview, r.body_html, r.body_text, r.source, r.source_text) for r in there]
    if there and same == [tuple(record.values()) for record in records]:
        return there[0].version, {row.language: row.id for row in there}, False
    version = there[0].version + 1 if there else 1
    made = session.scalars(_ADD, {"slug": slug, "letter_id": letter_id, "version": version, "rows": rows(records)})
    return version, dict(zip((str(record["language"]) for record in records), made, strict=True)), True


def custom_fields(session: Session, sources: Iterable[str]) -> list[str]:
    """The custom fields that these sources name and that somebody has."""
    named = {
        tag.says.partition("custom.")[2].split("|")[0].strip()
        for source in sources
        for tag in language.tags(source)
        if tag.says and "custom." in tag.says
    }
    return [name for name in sorted(named) if session.scalar(_HAS_CUSTOM, {"name": name})]
