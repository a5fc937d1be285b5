"""Who sends a letter: the nearest chapter upwards that says each part of it, the fund whose disclaimer it carries, the form
that its links to give lead to; and what letters can name of all that."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.giving import ask_links, form_links
from engine.giving.ask_links import Offered
from engine.giving.asks import Terms
from engine.giving.form_links import Form
from engine.languages import catalogue
from engine.letters.vocabulary import days_of, fact, one_line
from engine.tokens import Signer

_LOAD = text("""
WITH RECURSIVE wanted AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(chapter_id bigint, fund_id bigint, mailing_id bigint)
), root AS (SELECT id, name FROM chapter WHERE parent_id IS NULL LIMIT 1), up AS (
    SELECT DISTINCT coalesce(w.chapter_id, 0) AS of, h.*, 0 AS level
    FROM wanted w JOIN chapter h ON h.id = coalesce(w.chapter_id, (SELECT id FROM root))
    UNION ALL
    SELECT up.of, h.*, up.level + 1 FROM chapter h JOIN up ON h.id = up.parent_id
), said AS (
    SELECT of, max(name) FILTER (WHERE level = 0) AS chapter,
        (array_agg(sender_name ORDER BY level) FILTER (WHERE sender_name <> ''))[1] AS sender_name,
        (array_agg(sender_email ORDER BY level) FILTER (WHERE sender_email <> ''))[1] AS sender_email,
        (array_agg(reply_to ORDER BY level) FILTER (WHERE reply_to <> ''))[1] AS reply_to,
        (array_agg(postal_address ORDER BY level) FILTER (WHERE postal_address <> ''))[1] AS postal_address
    FROM up GROUP BY of
)
SELECT w.chapter_id, w.fund_id, w.mailing_id, s.chapter, s.sender_name, s.sender_email, s.reply_to, s.postal_address,
    (SELECT name FROM root) AS organisation, f.disclaimer, f.deductibility, f.others, f.express_lane, d.slug AS form,
    d.processor, d.preset_cents, d.floor_cents, d.cap_cents, d.monthly, d.fund_id AS form_fund_id, m.language,
    n.html AS note_html, n.plain AS note_text
FROM wanted w JOIN mailing m ON m.id = w.mailing_id JOIN letter l ON l.id = m.letter_id
JOIN said s ON s.of = coalesce(w.chapter_id, 0)
LEFT JOIN donation_form d ON d.id = l.donation_form_id
LEFT JOIN fund f ON f.id = coalesce(w.fund_id, l.fund_id)
LEFT JOIN chapter_note n ON n.letter_id = l.id AND n.chapter_id = w.chapter_id AND n.language = m.language
""")

Key = tuple[int | None, int | None, int]  # chapter (none: the root), fund, mailing
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sender:
    """One sender of one mailing. `email` and `postal_address` are "" where nobody says them: then nothing can leave.
    `terms`: what the form says of amounts; `monthly`: whether it takes gifts that come each month; `form_fund_id`: who
    receives what is given by it."""

    name: str
    email: str
    reply_to: str
    postal_address: str
    express: bool
    form: Form | None
    terms: Terms
    monthly: bool
    form_fund_id: int | None
    language: str
    _said: Mapping[str, Any]

    def values(
        self,
        kind: str,
        refcode: str,
        *,
        offers: bool,
        deadline: datetime | None = None,
        facts: Mapping[str, Any] = NOTHING,
    ) -> dict[str, Any]:
        """What a letter of this kind can name of its sender; `refcode` goes into its links to give. Of a letter that `offers`
        amounts on a page of ours, these are each reader's own: see `offer`. `deadline`, in the zone of its days, and `facts`:
        those of its campaign."""
        spoken = catalogue(self.language).gettext
        because = spoken("You get this letter because you signed up with %(organisation)s or gave to it.")
        hers = offers and self.form is not None and self.form.processor == "stripe"
        return {
            **self._said,
            "because_words": because % {"organisation": self._said["organisation"]},
            "stop_words": spoken("Stop these letters"),
            "choose_words": spoken("Choose what you get"),
            "other_words": spoken("Another amount"),
            "stoppable": kind != "",
            **days_of(deadline, self.language),
            **{name: fact(value, self.language) for name, value in facts.items()},
        } | ({} if hers else {"give_url": self._give(refcode), "give_monthly_url": self._give(refcode, monthly=True)})

    def offer(
        self, once: Offered, refcode: str, signer: Signer, *, express: bool, monthly: Offered | None = None
    ) -> dict[str, Any]:
        """What a letter names of what its reader is offered: the rungs of her `ladder`, and `give_url`, which leads to a page
        with the same amounts; likewise those of a month, if there are any."""
        offers = ((once, "ladder", "give_url"), (monthly, "monthly_ladder", "give_monthly_url"))
        return {
            name: value
            for offered, ladder, link in offers
            for name, value in zip(
                (ladder, link),
                self._offer(offered, refcode, signer, express=express, monthly="monthly" in ladder),
                strict=True,
            )
        }

    def _offer(
        self, offered: Offered | None, refcode: str, signer: Signer, *, express: bool, monthly: bool
    ) -> tuple[Sequence[Mapping[str, str]], str]:
        if self.form is None or offered is None:
            return (), self._give(refcode, monthly=monthly)
        token = ""
        if self.form.processor == "stripe" and offered.cents:
            token = ask_links.token(signer, self.form.slug, offered)
        lane = express and self.express
        rungs = form_links.rungs(
            self.form, offered.cents, refcode, self.language, express=lane, token=token, monthly=monthly
        )
        return rungs, self._give(refcode, token=token, monthly=monthly)

    def _give(self, refcode: str, *, token: str = "", monthly: bool = False) -> str:
        """The link to its form; '': there is none."""
        if self.form is None:
            return ""
        return form_links.link(self.form, refcode=refcode, language=self.language, token=token, monthly=monthly)


def load(session: Session, keys: Collection[Key], base_url: str) -> dict[Key, Sender]:
    """The senders of these letters, in one query."""
    wanted = [{"chapter_id": c, "fund_id": f, "mailing_id": m} for c, f, m in sorted(set(keys), key=repr)]
    found = session.execute(_LOAD, {"rows": rows(wanted)})
    return {(row.chapter_id, row.fund_id, row.mailing_id): _sender(row, base_url) for row in found}


def _sender(row: Row[Any], base_url: str) -> Sender:
    name, postal_address = row.sender_name or "", row.postal_address or ""
    hers = (row.others or {}).get(row.language, {})  # what the law has the fund say, in her language where it does
    law = [hers.get("disclaimer") or row.disclaimer or "", hers.get("deductibility") or row.deductibility or ""]
    lines = [*law, ", ".join(filter(None, (name, postal_address)))]
    fine_print = [line for line in lines if line]
    names = {
        "chapter": row.chapter, "organisation": row.organisation, "sender_name": name, "postal_address": postal_address,
        "disclaimer": lines[0], "deductibility": lines[1],
    }  # fmt: skip
    said = {called: one_line(words or "") for called, words in names.items()} | {
        "fine_print": Markup("<br />").join(fine_print), "fine_print_text": "\n".join(fine_print),
        "chapter_wrote": row.note_html is not None, "chapter_note": Markup(row.note_html or ""),  # noqa: S704 cleaned when it was saved
        "chapter_note_text": row.note_text or "",
    }  # fmt: skip
    return Sender(
        name=name, email=row.sender_email or "", reply_to=row.reply_to or "", postal_address=postal_address,
        express=bool(row.express_lane), form=Form(row.form, row.processor, base_url) if row.form else None,
        terms=Terms(tuple(row.preset_cents or ()), row.floor_cents or 0, row.cap_cents), monthly=bool(row.monthly),
        form_fund_id=row.form_fund_id, language=row.language, _said=said,
    )  # fmt: skip
