"""`python -m bench.tasks LETTERS`: one process that hands letters over as one would write it first.

For each contact a task: objects of an ORM, a template of Jinja's, a request by SendGrid's own package, a commit.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache

from jinja2 import Environment, Template
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Content, CustomArg, From, Header, Mail, Subject, To
from sqlalchemy import text
from sqlmodel import Session, select

from bench.audience import CAMPAIGN
from bench.handing import KEY, main
from engine.bootstrap import Deps
from engine.letters.vocabulary import READER
from engine.tables.consent import Consent, Suppression
from engine.tables.giving import Contribution
from engine.tables.letters import Mailing
from engine.tables.mail import Message
from engine.tables.people import Contact

_DUE = text("""
SELECT m.id FROM message m JOIN mailing w ON w.id = m.mailing_id
WHERE w.slug = :slug AND m.state = 'ready' ORDER BY m.id LIMIT :most
""")


def tasks(deps: Deps, letters: int) -> Iterator[int]:
    """A task for each contact, as one would write it first: objects, a template, SendGrid's package, a commit."""
    client = SendGridAPIClient(KEY, host=deps.settings.sendgrid_host)
    with deps.work() as (session, _):
        due = session.scalars(_DUE, {"slug": CAMPAIGN, "most": letters}).all()
    yield 0
    for number in due:
        with Session(deps.sessions.kw["bind"]) as session:
            _task(session, client, number)
        yield 1


def _task(session: Session, client: SendGridAPIClient, number: int) -> None:
    message = session.get_one(Message, number)
    contact, mailing = session.get_one(Contact, message.contact_id), session.get_one(Mailing, message.mailing_id)
    said_yes = session.exec(select(Consent).where(Consent.contact_id == contact.id, Consent.given)).first()
    stopped = session.exec(select(Suppression).where(Suppression.email == contact.email)).first()
    gifts = session.exec(select(Contribution).where(Contribution.contact_id == contact.id)).all()
    if said_yes is None or stopped is not None or any(gift.paid_at > message.created_at for gift in gifts):
        message.state = "skipped"
    else:
        client.send(_mail(message, contact, mailing, gifts))
        message.state = "handed"
    session.add(message)
    session.commit()


def _mail(message: Message, contact: Contact, mailing: Mailing, gifts: Sequence[Contribution]) -> Mail:
    values = {name: str(getattr(contact, name, "")) for name in READER} | {
        "custom": contact.custom, "has_given": bool(gifts), "gives_monthly": False, "sender_name": "Common Ground",
        "stoppable": True, "chapter_wrote": False, "unsubscribe_url": f"https://www.example.org/u/{contact.id}",
        "preferences_url": f"https://www.example.org/me/{contact.id}", "fine_print": "41 Elm Street",
        "ladder": [{"words": f"Give ${cents // 100}", "amount": cents, "url": f"https://www.example.org/{cents}"}
                   for cents in message.facts["ladder"]],
    }  # fmt: skip
    mail = Mail(From("hello@example.org", "Common Ground"), To(contact.email, contact.first_name))
    mail.subject = Subject(_template(mailing.subject).render(values))
    mail.add_content(Content("text/plain", _template(mailing.body_text).render(values)))
    mail.add_content(Content("text/html", _template(mailing.body_html).render(values)))
    mail.add_header(Header("List-Unsubscribe", f"<https://www.example.org/u/{contact.id}>"))
    mail.add_custom_arg(CustomArg("message", str(message.id)))
    return mail


@cache
def _template(source: str) -> Template:
    return Environment(autoescape=True).from_string(source)


if __name__ == "__main__":
    print(json.dumps(asdict(main(tasks, int(sys.argv[1])))))
