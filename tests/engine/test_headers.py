"""The headers of a letter as mail programs read them: one-click unsubscribe, who it is from, and nothing of anybody else's.

Each request to the provider is put together as a mail of the standard library, written out, and parsed again.
"""

from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest

from engine import bell
from engine.adapters.sendgrid_mail import mail
from engine.bootstrap import Deps
from engine.ports import Copy, Sheet
from tests import mail_stand_in
from tests.campaigns import enqueue, go, letter, people
from tests.flows.house import change, one
from workers import delivery

OWN = {"list-unsubscribe", "list-unsubscribe-post", "x-entity-ref-id"}
HOSTILE = [
    "Rosa\r\nBcc: sam@example.org", "Rosa\nX-Evil: 1", "Rosa\rX-Evil: 1", "Rosa\u2028Bcc: sam@example.org", "Rosa\x0bX: 1",
    'Rosa" <sam@example.org>, "x', "Rosa <sam@example.org>", "a;b,c", "Rosa\u0085X-Evil: 1", "\u202eRosa", "%a1%", "\\",
    "Ros\u00e1 \U0001f33b",
]  # fmt: skip


def written(sheet: Sheet, copy: Copy) -> EmailMessage:
    """The letter of one copy as its provider would write it: a header that is none makes this fail."""
    body = mail(7, sheet, [copy])
    (to,) = body["personalizations"][0]["to"]
    made = EmailMessage(policy=policy.SMTP)
    made["From"] = Address(body["from"]["name"], addr_spec=body["from"]["email"])
    made["To"] = Address(to.get("name", ""), addr_spec=to["email"])
    if "reply_to" in body:
        made["Reply-To"] = Address(addr_spec=body["reply_to"]["email"])
    subject = body["subject"]
    for token, value in copy.substitutions.items():
        subject = subject.replace(token, value)
    made["Subject"] = subject
    for name, value in body["personalizations"][0]["headers"].items():
        made[name] = value
    made.set_content("x")
    return message_from_bytes(made.as_bytes(), policy=policy.default)


def read(deps: Deps) -> list[EmailMessage]:
    """All that was handed over, in the order of the letters, as mail."""
    copies = [(copy.message_id, sheet, copy) for sheet, copies in deps.mailer.requests for copy in copies]
    return [written(sheet, copy) for _, sheet, copy in sorted(copies, key=lambda each: each[0])]


def receipt(deps: Deps, who: int, said: str = "us") -> None:
    change(deps, """INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)
        SELECT :who, id, 'test', 'receipts', :now, jsonb_build_object('first_name', 'Rosa', 'amount', '$27', 'given_on', 'x',
            'receiver', CAST(:said AS text), 'order_number', CAST(:said AS text), 'rhythm', '')
        FROM mailing WHERE slug = 'thank_you'""", who=who, now=deps.clock.now, said=said)  # fmt: skip
    delivery.hand_over(deps, bell.RECEIPTS)


# One click. RFC 8058.


@pytest.mark.parametrize("many", [1, 3])
def test_a_campaign_letter_can_be_stopped_with_one_click_each_by_its_reader(deps: Deps, many: int):
    ids = people(deps, many)
    enqueue(deps, letter(deps), ids)
    go(deps)
    seen = set()
    for parsed, who in zip(read(deps), ids, strict=True):
        assert parsed.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
        (link,) = parsed.get_all("List-Unsubscribe")
        link = link.strip()  # a long header is folded
        assert (link[0], link[-1], link.count("<")) == ("<", ">", 1)
        base, _, token = link[1:-1].rpartition("/u/")
        assert base == deps.settings.base_url
        contact_id, message_id = deps.signer.read("unsubscribe", token)
        assert contact_id == who
        seen.add(message_id)
    assert len(seen) == many


def test_the_link_of_the_header_is_that_of_the_letter(deps: Deps):
    enqueue(deps, letter(deps), people(deps, 2))
    go(deps)
    for _, each in deps.mailer.accepted:
        link = each.headers["List-Unsubscribe"][1:-1]
        assert link in each.html
        assert link in each.text


def test_a_receipt_is_no_list_and_offers_no_way_to_leave_one(deps: Deps):
    receipt(deps, people(deps, 1)[0])
    (parsed,) = read(deps)
    assert {name.lower() for name in parsed} & OWN == {"x-entity-ref-id"}


def test_each_letter_and_each_try_of_it_is_told_apart(deps: Deps):
    enqueue(deps, letter(deps), people(deps, 2))
    go(deps)
    change(deps, "UPDATE message SET state = 'ready', handover_id = NULL, handed_at = NULL")
    go(deps)
    names = [parsed["X-Entity-Ref-ID"] for parsed in read(deps)]
    assert len(set(names)) == 4


# Who it is from and to.


def test_a_letter_says_who_it_is_from_to_and_where_answers_go(deps: Deps):
    enqueue(deps, letter(deps), people(deps, 2))
    go(deps)
    sender = one(deps, "SELECT sender_email, reply_to FROM chapter WHERE parent_id IS NULL")
    for parsed, (_, each) in zip(read(deps), deps.mailer.accepted, strict=True):
        (author,) = parsed["From"].addresses
        assert (author.addr_spec, author.display_name) == (
            sender.sender_email,
            "Common Ground Massachusetts, Worcester",
        )
        assert parsed["Reply-To"].addresses[0].addr_spec == sender.reply_to
        (to,) = parsed["To"].addresses
        assert (to.addr_spec, to.display_name) == (each.to_email, "Rosa Delgado")
        assert parsed["Subject"] == "The vote, Rosa"
        assert {name.lower() for name in parsed} & {"cc", "bcc", "sender"} == set()


def test_without_an_address_for_answers_none_is_named(deps: Deps):
    change(deps, "UPDATE chapter SET reply_to = ''")
    enqueue(deps, letter(deps), people(deps, 1))
    go(deps)
    (parsed,) = read(deps)
    assert parsed["Reply-To"] is None


# Nobody writes a header.


def named(deps: Deps) -> list[int]:
    """People who call themselves and their towns so."""
    ids = people(deps, len(HOSTILE))
    for who, name in zip(ids, HOSTILE, strict=True):
        terms = {"name": name, "id": who}
        change(deps, "UPDATE contact SET first_name = :name, last_name = :name, city = :name WHERE id = :id", **terms)
    return ids


def harmless(parsed: EmailMessage, to: str) -> None:
    names = [name.lower() for name in parsed]
    assert len(names) == len({*names})
    assert set(names) - OWN == {
        "from", "to", "reply-to", "subject", "content-type", "content-transfer-encoding", "mime-version",
    }  # fmt: skip
    assert [address.addr_spec for address in parsed["To"].addresses] == [to]
    assert [address.addr_spec for address in parsed["From"].addresses] == ["hello@commonground.example.org"]
    assert not any(defect for name in ("To", "From", "Subject") for defect in parsed[name].defects)


@pytest.mark.parametrize("together", [1, 1000])
def test_names_that_try_to_are_words_and_nothing_more(deps: Deps, together: int):
    deps.mailer.most_copies = together
    ids = named(deps)
    enqueue(deps, letter(deps), ids)
    change(deps, "UPDATE mailing SET subject = 'For {{ first_name }} of {{ city }}.' WHERE slug LIKE 'letter-%'")
    for _ in range(2):
        go(deps)
    parsed = read(deps)
    assert len(parsed) == len(ids)
    for each, who in zip(parsed, ids, strict=True):
        harmless(each, one(deps, f"SELECT email FROM contact WHERE id = {who}").email)
        assert (each["Subject"][:4], each["Subject"][-1]) == ("For ", ".")


def test_chapters_that_are_called_so_are_words_and_nothing_more(deps: Deps):
    mailing = letter(deps)
    for name in HOSTILE:
        change(deps, "UPDATE chapter SET sender_name = :name, name = :name WHERE slug = 'worcester'", name=name)
        deps.mailer.requests.clear()
        enqueue(deps, mailing, people(deps, 1))
        go(deps)
        (parsed,) = read(deps)
        harmless(parsed, deps.mailer.accepted[-1][1].to_email)


def test_chapters_that_are_called_so_in_a_subject_are_words_and_nothing_more(deps: Deps):
    mailing = letter(deps)
    subject = "For {{ chapter }}{% if has_given %}{{ sender_name }}{% else %}{{ sender_name }}{% endif %}."
    change(deps, "UPDATE mailing SET subject = :subject WHERE id = :id", subject=subject, id=mailing)
    for name in HOSTILE:
        change(deps, "UPDATE chapter SET sender_name = :name, name = :name WHERE slug = 'worcester'", name=name)
        deps.mailer.requests.clear()
        enqueue(deps, mailing, people(deps, 2))
        go(deps)
        for parsed in read(deps):
            assert not {"bcc", "x-evil", "x"} & {header.lower() for header in parsed}
            assert (parsed["Subject"][:4], parsed["Subject"][-1]) == ("For ", ".")


def test_facts_that_try_to_are_words_and_nothing_more(deps: Deps):
    change(deps, "UPDATE mailing SET subject = 'For {{ receiver }}.' WHERE slug = 'thank_you'")
    for name in HOSTILE:
        deps.mailer.requests.clear()
        receipt(deps, people(deps, 1)[0], name)
        (parsed,) = read(deps)
        harmless(parsed, deps.mailer.accepted[-1][1].to_email)
        assert (parsed["Subject"][:4], parsed["Subject"][-1]) == ("For ", ".")


def test_no_request_breaks_what_the_provider_documents(deps: Deps):
    enqueue(deps, letter(deps), named(deps))
    go(deps)
    ((sheet, copies),) = deps.mailer.requests
    body: dict[str, Any] = mail(7, sheet, copies)
    assert list(mail_stand_in._wrong(body, b"")) == []
    assert "\n" not in body["from"]["name"] + body["subject"]
    for each in body["personalizations"]:
        assert "\n" not in each["to"][0].get("name", "")
