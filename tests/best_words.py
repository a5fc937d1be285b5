"""What should be known of a person in the end, reckoned from all words at once: the oracle of several tests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Person

Word = tuple[Person, datetime]
OF_ZIP = {"01605": "MA", "01108": "MA", "10001": "NY"}
GROUPS = ("first_name", "last_name", "zip", "state", "country", "street", "city", "phone")


def persons(email: str) -> st.SearchStrategy[Person]:
    """Persons of this address who say more or less."""
    return st.builds(
        Person, st.just(email), st.sampled_from(["", "Rosa", "Rose"]), st.sampled_from(["", "Delgado", "Marsh"]),
        st.sampled_from(["", "14 Lincoln Street", "9 New Street"]), st.sampled_from(["", "Worcester"]),
        st.sampled_from(["", "MA", "NH"]), st.sampled_from([None, *OF_ZIP]), st.sampled_from(["", "US"]),
        st.sampled_from(["", "5085550123", "4135550188"]),
    )  # fmt: skip


def best(words: Sequence[Word]) -> dict[str, Any]:
    """The words that count, as `engine.people.best_words` says it, over a whole crowd and without any order."""
    names = [(bool(one.first_name and one.last_name), at, one.first_name, one.last_name) for one, at in words
             if one.first_name or one.last_name]  # fmt: skip
    phones = [(at, one.phone) for one, at in words if one.phone]
    first, last = max(names)[2:] if names else ("", "")
    return {"first_name": first, "last_name": last, "phone": max(phones)[1] if phones else ""} | _place(words)


def _place(words: Sequence[Word]) -> dict[str, Any]:
    places = [
        (one.zip is not None, at, one.zip or "", one.state or OF_ZIP.get(one.zip or "", ""),
         one.country or ("US" if one.zip else ""), one.street, one.city)
        for one, at in words if any((one.zip, one.street, one.city, one.state, one.country))
    ]  # fmt: skip
    if not places:
        return dict.fromkeys(("state", "country", "street", "city"), "") | {"zip": None}
    zip_told, newest, zip_code, state, country, street, city = max(places)
    if zip_told:
        others = [place[1] for place in places if place[0] and place[2] != zip_code]
        addresses = [
            (at, *address) for told, at, code, _, _, *address in places
            if told and code == zip_code and any(address) and (not others or at > max(others) or at == newest)
        ]  # fmt: skip
        street, city = max(addresses)[1:] if addresses else ("", "")
    return {"zip": zip_code or None, "state": state, "country": country, "street": street, "city": city}


def known(session: Session, email: str) -> dict[str, Any]:
    """What is known of the person of this address."""
    columns = ", ".join(GROUPS)
    found = session.execute(text(f"SELECT {columns} FROM contact WHERE email = :email"), {"email": email}).one()
    return dict(found._mapping)
