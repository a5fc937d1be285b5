"""`/staff/people`: finding someone, and everything about her."""

from starlette.responses import Response

from engine.staff import dossier, gifts, rights, search, taking
from webhooks.staff.gate import Visit, staff_page


@staff_page()
def find(visit: Visit) -> Response:
    """Search by the beginning of an address or a name; a gift by its number."""
    asked = visit.request.query_params.get("q", "").strip()[:200]
    found = search.people(visit.session, visit.who.reach, asked)
    return visit.page(
        "people.html", asked=asked, found=found[: search.SHOWN], more=len(found) > search.SHOWN,
        gifts=gifts.by_number(visit.session, visit.who, asked), too_short=0 < len(asked) < search.SHORTEST, said=visit.said,
    )  # fmt: skip


@staff_page(rights.SEE_SNAPSHOTS)
def erased(visit: Visit) -> Response:
    """Donors who were erased, while the treasurer's record of their gifts is kept."""
    found, more = gifts.of_the_erased(visit.session, visit.who, visit.page_number)
    return visit.page("erased_donors.html", found=found, more=more, number=visit.page_number)


@staff_page()
def show(visit: Visit) -> Response:
    """One person. Who was merged into another is found under that one."""
    told = dossier.read(visit.session, visit.who, visit.id(), visit.now)
    if told.person.merged_into_id is not None:
        return visit.go(f"/staff/people/{told.person.merged_into_id}", "merged")
    chapters = dossier.chapters(visit.session, visit.who)
    takes = taking.may_take(visit.who)
    return visit.page("person.html", told=told, chapters=chapters, said=visit.said, takes=takes)
