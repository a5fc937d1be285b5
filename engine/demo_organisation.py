"""The invented organisation of `templates/demo/organisation.yaml`: loaded once, into an empty database."""

from datetime import UTC, datetime
from typing import Any

import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.documents import Document
from engine.events import Person
from engine.giving import form_files, forms, fund_files, funds
from engine.giving.forms import Picture
from engine.letters import drafts, shelf, writing
from engine.outreach import shipped_sequences
from engine.people import catalogue_files, catalogues, contacts, routing
from engine.settings import ROOT
from engine.staff import accounts

FILE = ROOT / "templates" / "demo" / "organisation.yaml"
LETTERS = FILE.parent / "letters"

_ROOT_CHAPTER = text("""
INSERT INTO chapter (kind, slug, name, sender_name, sender_email, reply_to, postal_address)
VALUES ('root', :slug, :name, :sender_name, :sender_email, :reply_to, :postal_address)
ON CONFLICT (slug) DO NOTHING
""")
# Each hangs on the root until its parent is there, too.
_CHAPTERS = text("""
INSERT INTO chapter (parent_id, kind, slug, name, sender_name, latitude, longitude)
SELECT root.id, coalesce(v.kind, 'chapter'), v.slug, v.name,
    CASE v.kind WHEN 'region' THEN '' ELSE root.sender_name || ', ' || v.name END,
    CAST(v.at ->> 0 AS float), CAST(v.at ->> 1 AS float)
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, name text, kind text, at json), chapter root
WHERE root.slug = :root ON CONFLICT (slug) DO NOTHING
RETURNING slug
""")
_PARENTS = text("""
UPDATE chapter c SET parent_id = p.id
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, parent text) JOIN chapter p ON p.slug = v.parent
WHERE c.slug = v.slug AND c.slug = ANY(:made)
""")
_TERRITORIES = text("""
WITH v AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, cities json, counties json, miles bigint)
)
INSERT INTO territory (kind, place, miles, chapter_id)
SELECT t.kind, t.place, t.miles, c.id FROM (
    SELECT v.slug, 'zip' AS kind, z.zip AS place, 0 AS miles
    FROM v, json_array_elements_text(v.cities) named(city) JOIN zip z ON z.city = named.city AND z.state = :state
    UNION ALL
    SELECT v.slug, 'county', :state || ':' || named.county, 0 FROM v, json_array_elements_text(v.counties) named(county)
    UNION ALL
    SELECT v.slug, 'radius', '', v.miles FROM v WHERE v.miles > 0
) t JOIN chapter c ON c.slug = t.slug AND c.slug = ANY(:made)
ON CONFLICT DO NOTHING
""")
_FORMS_THERE = text("SELECT slug FROM donation_form")
_GATHERINGS = text("""
INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
SELECT v.code, v.name, c.id, :now, CAST(:now AS timestamptz) + make_interval(days => v.days), v.most
FROM json_to_recordset(CAST(:rows AS json)) AS v(code text, name text, chapter text, days int, most bigint)
JOIN chapter c ON c.slug = v.chapter ON CONFLICT (code) DO NOTHING
""")
_LEADS = text("""
INSERT INTO chapter_lead (chapter_id, contact_id)
SELECT h.id, c.id FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, email text)
JOIN chapter h ON h.slug = v.slug JOIN contact c ON c.email = v.email ON CONFLICT DO NOTHING
""")


def load(session: Session, now: datetime | None = None) -> None:
    """Load the organisation without its people; what is there already is left as it is. Its gatherings begin now."""
    told, now = _told(), now or datetime.now(UTC)
    _places(session, told)
    _funds(session, told, now)
    _forms(session, told, now)
    catalogues.bring_in(session, catalogue_files.understood(told), keep=True)
    session.execute(_GATHERINGS, {"rows": rows(told["gatherings"]), "now": now})
    shipped_sequences.ship(session, now)  # those that ask have waited for a form


def load_leads(session: Session, now: datetime) -> None:
    """Those who lead its chapters."""
    told = _told()
    contacts.admit(session, [(Person(**lead), now) for lead in told["leads"]], now)
    named = ({"slug": one["slug"], "email": email} for one in told["chapters"] for email in one.get("leads", ()))
    session.execute(_LEADS, {"rows": rows(named)})


def load_letters(session: Session) -> None:
    """Letters as its staff write them; one of that name that is there already is left as it is."""
    known = {row.slug for row in shelf.every(session)}
    for path in sorted(LETTERS.glob("*.md")):
        slug, _, further = path.stem.partition(".")
        if not further and slug not in known:
            writing.save(session, drafts.read([path, *sorted(LETTERS.glob(f"{slug}.*.md"))]))


def load_staff(session: Session, now: datetime) -> None:
    """Those who may sign in; who is on the staff or was is left alone."""
    known = {row.email for row in accounts.everyone(session)}
    for one in _told()["staff"]:
        if one["email"] not in known:
            accounts.add(session, one.pop("email"), one.pop("role"), now, **one)


def _told() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return told


def _places(session: Session, told: dict[str, Any]) -> None:
    chapters = {"rows": rows(told["chapters"])}
    session.execute(_ROOT_CHAPTER, told["root"])
    made = list(session.scalars(_CHAPTERS, chapters | {"root": told["root"]["slug"]}))
    session.execute(_PARENTS, chapters | {"made": made})
    session.execute(_TERRITORIES, chapters | {"state": told["state"], "made": made})
    routing.remake(session)


def _funds(session: Session, told: dict[str, Any], now: datetime) -> None:
    there = {row.slug for row in funds.every(session)}
    said = fund_files.understood([each for each in told["funds"] if each["slug"] not in there])
    funds.bring_in(session, fund_files.Told(Document(), said), now)


def _forms(session: Session, told: dict[str, Any], now: datetime) -> None:
    there = set(session.scalars(_FORMS_THERE))
    for form in told["donation_forms"]:
        if form["slug"] not in there:
            data = (FILE.parent / form["picture"]).read_bytes() if "picture" in form else b""
            picture = Picture(data, form_files.type_of(data)) if data else None
            forms.write(session, form_files.understood(form), now, picture=picture)
