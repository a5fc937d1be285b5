"""What receivers of letters find about each sender's domain: SPF, DKIM and DMARC, and whether these are aligned with it.

A letter passes DMARC when its From is aligned with what SPF or DKIM prove (RFC 7489, 3.1): the same domain, or, unless the
record says `s` for strict, one above it. SendGrid signs with selectors s1 and s2, or with one of its customer's own
(https://www.twilio.com/docs/sendgrid/ui/account-and-settings/how-to-set-up-domain-authentication); its letters bounce to a
subdomain that has an SPF record by SendGrid. Gmail and Yahoo want all three of whoever sends in bulk, a policy of none
suffices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.doctor.findings import Finding, ok, warning, wrong
from engine.errors import Unavailable
from engine.ports import Names

SELECTORS = ("s1", "s2", "m1")
POLICIES = ("none", "quarantine", "reject")

_DOMAINS = text("""
SELECT DISTINCT lower(split_part(sender_email, '@', 2)) AS domain FROM chapter WHERE sender_email <> '' ORDER BY domain
""")


def domains(session: Session) -> Sequence[str]:
    """The domains that chapters write from."""
    return session.scalars(_DOMAINS).all()


def asked(names: Names, senders: Sequence[str], *, production: bool) -> list[Finding]:
    """Each sender's domain; three findings each, or one when DNS does not answer. Development sends no letters: nothing
    that is missing there is more than a warning."""
    found = list(_asked(names, senders))
    return (
        found if production else [replace(each, level="warning") if each.level == "wrong" else each for each in found]
    )


def _asked(names: Names, senders: Sequence[str]) -> Iterator[Finding]:
    if not senders:
        advice = "Give the root chapter a sender's address (`groundswell init`, `groundswell chapters import`)."
        yield wrong("senders", "no chapter has an address that letters come from", advice)
    for domain in senders:
        try:
            yield from _of_domain(names, domain)
        except Unavailable as error:
            yield warning(f"domain {domain}", str(error), "Look at the resolvers of this machine, then ask again.")


def _of_domain(names: Names, domain: str) -> list[Finding]:
    signed = next((place for place in _upwards(domain) if _keys(names, place)), "")
    policies = [
        (place, record) for place in _upwards(domain) for record in _records(names, f"_dmarc.{place}", "v=dmarc1")
    ]
    nearest = [record for place, record in policies if place == policies[0][0]]
    tags = _tags(nearest[0]) if len(nearest) == 1 else {}
    return [_spf(domain, _records(names, domain, "v=spf1")), _dkim(domain, signed, tags), _dmarc(domain, nearest, tags)]


def _spf(domain: str, records: Sequence[str]) -> Finding:
    check = f"SPF of {domain}"
    if len(records) == 1:
        return ok(check, records[0])
    if records:
        return wrong(check, f"{len(records)} records: receivers then believe none", "Make one record of them.")
    advice = f"Add a TXT record at {domain}: `v=spf1 include:sendgrid.net ~all`, with whoever else writes from it."
    return warning(check, "none: anybody's letter may say that it comes from there", advice)


def _dkim(domain: str, signed: str, tags: dict[str, str]) -> Finding:
    """Aligned with the domain of From? `signed`: the nearest domain with a key, "" for none."""
    check = f"DKIM of {domain}"
    if not signed:
        advice = (
            f"Authenticate {domain} in SendGrid's settings and add the records that it shows; if you chose a selector of "
            "your own there, look whether SendGrid calls the domain verified."
        )
        return warning(check, f"no key under {', '.join(SELECTORS)}: letters may be signed for another domain", advice)
    if signed != domain and tags.get("adkim") == "s":
        advice = f"Authenticate {domain} itself in SendGrid's settings, or take `adkim=s` out of the DMARC record."
        return wrong(check, f"letters are signed for {signed}, and DMARC wants {domain} itself", advice)
    return ok(check, "a key of its own" if signed == domain else f"signed for {signed}, which is aligned")


def _dmarc(domain: str, records: Sequence[str], tags: dict[str, str]) -> Finding:
    check = f"DMARC of {domain}"
    if not records:
        advice = f"Add a TXT record at _dmarc.{domain}: `v=DMARC1; p=none; rua=mailto:` and an address of yours."
        return wrong(check, "none: Gmail and Yahoo refuse letters in bulk", advice)
    if len(records) > 1:
        return wrong(check, f"{len(records)} records: receivers then believe none", "Keep one of them.")
    if tags.get("p") not in POLICIES:
        advice = f"Let it say what is to be done: p= and one of {', '.join(POLICIES)}."
        return wrong(check, f"it says no policy: {records[0]}", advice)
    return ok(check, records[0])


def _upwards(domain: str) -> list[str]:
    """This domain and those above it, but for the last label."""
    labels = domain.split(".")
    return [".".join(labels[place:]) for place in range(max(1, len(labels) - 1))]


def _keys(names: Names, domain: str) -> bool:
    """Whether there is a key to sign with; one with an empty `p` was taken back."""
    found = [record for each in SELECTORS for record in names.texts(f"{each}._domainkey.{domain}")]
    return any(_tags(record).get("p") for record in found)


def _records(names: Names, name: str, version: str) -> list[str]:
    """The records of one kind: others stand beside them."""
    return [record for record in names.texts(name) if record.strip().lower().replace(" ", "").startswith(version)]


def _tags(record: str) -> dict[str, str]:
    """`v=DMARC1; p=none` as names and values, in lower case."""
    pairs = [part.partition("=") for part in record.lower().split(";")]
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
