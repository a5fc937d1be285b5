"""Where someone lives, as strangers write it: a state by its two letters."""

from engine.sources.words import in_united_states

_STATES = """
AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|DC District of Columbia
FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine
MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada
NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon
PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia
WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming|DC Washington, D.C.|DC Washington DC|PR Puerto Rico|GU Guam
VI U.S. Virgin Islands|VI Virgin Islands|AS American Samoa|MP Northern Mariana Islands
"""
_PAIRS = [pair.split(" ", 1) for line in _STATES.split("\n") for pair in line.split("|") if pair]
CODES = {name.lower(): code for code, name in _PAIRS} | {code.lower(): code for code, _ in _PAIRS}


def state_code(raw: str, country: str) -> str:
    """The two letters of a state of the United States, told by name or letters; whatever else it is stays as it is."""
    if not in_united_states(country):
        return raw
    return CODES.get(" ".join(raw.lower().split()), raw)
