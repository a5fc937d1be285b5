"""One person: look at her, make one of two, give out everything about her, forget her."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, new_file, out
from engine.errors import NotFound
from engine.giving import ask_rests
from engine.money import dollars
from engine.people import bundles, contacts, erasing, merging
from engine.people.bundles import Bundle
from engine.people.erasing import Outlook
from engine.ports import Keeper
from engine.sources.words import clean, email_address
from engine.staff import audit, dossier

app = typer.Typer(no_args_is_help=True, help="One person: look, merge, bundle, erase.")

Who = Annotated[str, typer.Argument(help="Address, or the number of the contact.")]


@app.command()
def show(who: Who, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Who she is, what she gave and offers, what she allowed, what forbids to write to her."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        bundle = bundles.collect(session, contacts.find(session, who))
    her, *merged = bundle["contact"]
    for name in ("id", "email", "first_name", "last_name", "street", "city", "state", "zip", "phone", "language"):
        _line(name, her[name])
    why = ": ".join(filter(None, (her["routed_by"], her["routed_on"])))
    _line("chapter", f"{her['chapter'] or 'none'} ({why})")
    for relation in bundle["chapters"]:
        _line(relation["relation"], f"{relation['chapter']} since {relation['at']:%Y-%m-%d}")
    _line("time zone", her["time_zone"])
    _line("last heard of", f"{her['engaged_last_at']:%Y-%m-%d}" if her["engaged_last_at"] else "never")
    gifts = "1 gift" if her["gave_count"] == 1 else f"{her['gave_count']:,} gifts"
    _line("gave", f"{gifts}, {dollars(her['gave_cents'])}")
    for rest in bundle["rests_from_asks"]:
        if rest["until"] > now:
            _line("not asked", f"until {rest['until']:%Y-%m-%d}: {ask_rests.WORDS[rest['reason']]}")
    _more(bundle, her["custom"])
    for one in merged:
        _line("merged", f"{one['id']} {one['email'] or 'without an address'}")
    for word in bundle["consents"]:
        kind = f"{word['channel']} {word['kind']}".strip()
        _line("consent", f"{word['at']:%Y-%m-%d} {kind} {'yes' if word['given'] else 'no'} ({word['source']})")
    for reason in bundle["suppressions"]:
        _line("suppressed", f"{reason['at']:%Y-%m-%d} {reason['email']} {reason['reason']}")


def _more(bundle: Bundle, custom: Mapping[str, Any]) -> None:
    """What she cares about, offers and is called, and what else other systems told of her."""
    for one in bundle["interests"]:
        _line("interest", f"{one['agenda']}: {one['interest']}, since {one['at']:%Y-%m-%d}")
    for one in bundle["offers_to_help"]:
        note = f" ({one['note']})" if one["note"] else ""
        _line("offer", f"{one['way']}: {one['state']} since {one['at']:%Y-%m-%d}{note}")
    if tags := dossier.tags(custom):
        _line("tags", ", ".join(tags))
    if custom.get("note"):
        _line("note", custom["note"])
    for name, said in dossier.fields(custom):
        _line("field", f"{name}: {said}")


@app.command()
def merge(who: Who, into: Who, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make one person of two: all that is the first's is the second's from now on."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        one, other = (contacts.find(session, each, as_is=True) for each in (who, into))
        everything = deps.react(session, merging.merge(session, one, other, now), now)
        if everything:
            audit.write(session, None, "merged", "contact", other, {"merged": one}, now)
    deps.ring_for(everything)
    deps.bells.close()
    out.print(f"contact {one} is contact {other} from now on" if everything else "they are one person already")


@app.command()
def bundle(
    who: Who,
    to: Annotated[Path, typer.Option("--to", help="The zip file to write; not there yet.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write everything about one person into a zip: JSON and CSV."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        contact_id = contacts.find(session, who)
        found = bundles.collect(session, contact_id)
    with new_file(to) as file:
        with deps.work() as (session, now):
            audit.write(session, None, "bundled", "contact", contact_id, {}, now)
        bundles.write(found, file)
    out.print(f"{sum(map(len, found.values()))} rows about contact {contact_id} in {to}", markup=False)


@app.command()
def erase(
    who: Who,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what it would do.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Forget one person. Says what goes, what stays, and why."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        ahead = _ahead(session, who)
    if ahead is None:
        out.print(f"nobody here by that name; {_letters(deps, [email_address(clean(who)) or who], do=yes)}")
        raise typer.Exit(1)
    if yes:
        with deps.work() as (session, now):
            everything = deps.react(session, erasing.erase(session, ahead.contact_ids[0], deps.signer, now), now)
            if everything:
                audit.write(session, None, "erased", "contact", ahead.contact_ids[0], {}, now)
    _say(deps, ahead, yes)


def _say(deps: Deps, ahead: Outlook, done: bool) -> None:
    out.print(f"contact {ahead.contact_ids[0]}: {'erased' if done else 'would be erased (--yes does it)'}")
    _line("goes", "her row and those merged into it; interests, offers, chapters; the words of what she allowed")
    _line("", f"the values of {ahead.letters} letters, {ahead.sign_ups} sign-ups, {ahead.bodies} raw bodies")
    _line("", _letters(deps, ahead.emails, do=done))
    _line("stays", f"{ahead.gifts} gifts and their ledger, under a number: the books must balance")
    if ahead.until:
        until = f"{ahead.until:%Y-%m-%d}"
        _line("", f"who gave them, for the treasurer alone, because the law asks for it: the last until {until}")
    _line("", "a keyed hash of her address, so that no list brings her back")
    if ahead.plans:
        _line(
            "beware", f"{ahead.plans} plans go on: the next payment makes her known again; end them where they are paid"
        )
    if ahead.waiting:
        _line("beware", f"raw events still to be applied name her: {', '.join(map(str, ahead.waiting))}")
    if ahead.quarantined:
        _line(
            "beware",
            f"raw events in quarantine named her, and are empty then: {', '.join(map(str, ahead.quarantined))}",
        )
    if ahead.staff:
        _line("beware", "somebody of the staff has this address: that account stays")


def _letters(deps: Deps, emails: Any, *, do: bool) -> str:
    mailbox: object = deps.mailer
    if not isinstance(mailbox, Keeper):
        return "letters that have left are at their readers and at the mail provider: ask it to erase her, too"
    return f"{mailbox.forget(emails)} letters in the mailbox file" if do else "her letters in the mailbox file"


def _line(name: str, said: object) -> None:
    out.print(f"{name:13} {'' if said is None else said}", markup=False)


def _ahead(session: Session, who: str) -> Outlook | None:
    """What erasing her means; None when she is nobody, or nobody any more."""
    try:
        return erasing.outlook(session, contacts.find(session, who))
    except NotFound:
        return None
