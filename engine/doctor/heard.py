"""When each webhook was last heard of. One that was never heard of may be pointed elsewhere."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.doctor.findings import Finding, ok, span, warning

# Sources, and of whom README's section "Connecting …" speaks.
SECTIONS = {
    "actblue": "ActBlue",
    "stripe": "Stripe",
    "sendgrid": "SendGrid",
    "signup": "other systems",
    "actionnetwork": "other systems",
}

# Two steps of an index a source, however many events there are: those never heard of are not looked for.
_LAST = text("""
SELECT v.source, (SELECT received_at FROM inbound_event e WHERE e.source = v.source ORDER BY e.id DESC LIMIT 1) AS at,
    now() AS now
FROM unnest(CAST(:sources AS text[])) v(source)
WHERE EXISTS (SELECT FROM inbound_event e WHERE e.source = v.source)
""")


def of_webhooks(session: Session, configured: Sequence[str], base_url: str) -> list[Finding]:
    """Each source that we have a secret for, and any other that was heard of."""
    found = session.execute(_LAST, {"sources": list(SECTIONS)}).all()
    ages = {row.source: (row.now - row.at).total_seconds() for row in found}
    return list(judged(ages, configured, base_url))


def judged(ages: Mapping[str, float], configured: Sequence[str], base_url: str) -> Iterator[Finding]:
    """What so many seconds since each source's newest event mean; some sources are silent for long, and rightly so."""
    for source, section in SECTIONS.items():
        check = f"webhook of {source}"
        if source in ages:
            how = ", by its webhook or by fetching what that missed" if source == "stripe" else ""
            yield ok(check, f"last heard of {span(ages[source])} ago{how}")
        elif source in configured:
            path = f"{base_url}/webhooks/{source}" + ("/SECRET" if source == "actionnetwork" else "")
            advice = f"Point it at {path} (README, Connecting {section}), and let it send a test."
            yield warning(check, "configured, and never heard of", advice)
