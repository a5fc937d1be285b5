"""The invented organisation of `templates/demo/organisation.yaml`: loaded once, into an empty database."""

from collections.abc import Iterable
from typing import Any

import yaml
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people import routing
from engine.settings import ROOT

FILE = ROOT / "templates" / "demo" / "organisation.yaml"

_ROOT_CHAPTER = text("""
INSERT INTO chapter (kind, slug, name, sender_name, sender_email, reply_to, postal_address)
VALUES ('root', :slug, :name, :sender_name, :sender_email, :reply_to, :postal_address)
ON CONFLICT (slug) DO NOTHING
""")
_CHAPTERS = text("""
INSERT INTO chapter (parent_id, slug, name, sender_name)
SELECT root.id, v.slug, v.name, root.sender_name || ', ' || v.name
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, name text), chapter root
WHERE root.slug = :root ON CONFLICT (slug) DO NOTHING
""")
_TERRITORIES = text("""
INSERT INTO territory (kind, place, chapter_id)
SELECT 'zip', z.zip, c.id FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, city text)
JOIN chapter c ON c.slug = v.slug JOIN zip z ON z.city = v.city AND z.state = :state
ON CONFLICT DO NOTHING
""")
_FUNDS = text("""
INSERT INTO fund (slug, name, disclaimer, deductibility)
SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, name text, disclaimer text, deductibility text)
ON CONFLICT (slug) DO NOTHING
""")
_ENTITIES = text("""
INSERT INTO actblue_entity (entity_id, fund_id)
SELECT v.entity_id, f.id FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, entity_id bigint)
JOIN fund f ON f.slug = v.slug ON CONFLICT DO NOTHING
""")
_FORM = text("""
INSERT INTO donation_form (slug, title, preset_cents, other_amount, fund_id, chapter_id, thanks_mailing_id)
SELECT :slug, :title, :preset_cents, :other_amount, f.id, c.id, m.id
FROM fund f, chapter c, mailing m WHERE f.slug = :fund AND c.slug = :root AND m.slug = :thanks
ON CONFLICT (slug) DO NOTHING
""")


def load(session: Session) -> None:
    """Load the organisation; what is there already is left as it is."""
    told: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    root = told["root"]
    session.execute(_ROOT_CHAPTER, root)
    session.execute(_CHAPTERS, {"rows": rows(told["chapters"]), "root": root["slug"]})
    session.execute(_TERRITORIES, {"rows": rows(_cities(told["chapters"])), "state": told["state"]})
    routing.remake(session)
    session.execute(_FUNDS, {"rows": rows(told["funds"])})
    entities = (
        {"slug": fund["slug"], "entity_id": number} for fund in told["funds"] for number in fund["actblue_entities"]
    )
    session.execute(_ENTITIES, {"rows": rows(entities)})
    for form in told["donation_forms"]:
        cents = [dollars * 100 for dollars in form["preset_dollars"]]
        session.execute(_FORM, form | {"preset_cents": cents, "root": root["slug"]})


def _cities(chapters: Iterable[dict[str, Any]]) -> Iterable[dict[str, str]]:
    return ({"slug": chapter["slug"], "city": city} for chapter in chapters for city in chapter["cities"])
