"""What is known of a person out of all that was told of her: which word counts, in groups. SQL for whoever writes contacts.

Each group of words has a moment of its own, and says nothing where it is empty:

- her name: a whole one outweighs a part of one, then the newest counts;
- her phone: the newest;
- where she lives: the newest word with a ZIP, else the newest without one. Of a ZIP follow state, country and time zone,
  and street and town belong to it: they stay while newer words name the same ZIP alone, and go as soon as another ZIP was
  told after them (`moved_at`). So no street ever stands with a ZIP that it was not told with.

Of two that are equally new the greater by its letters counts. So neither the order in which words arrive nor how they are
cut into batches makes a difference: BETTER_WINS weighs what comes against what is known, COMBINED a crowd at once.
"""

# The columns of `contact` that hold it, and of every relation of words below.
COLUMNS = (
    "first_name", "last_name", "name_at", "zip", "state", "country", "time_zone", "place_at", "moved_at", "street", "city",
    "address_at", "phone", "phone_at", "details_at",
)  # fmt: skip
LISTED = ", ".join(COLUMNS)


def told(word: str, at: str, zip_known: str) -> str:
    """SQL: COLUMNS out of one word as it was told.

    `word`: a row with first_name, last_name, street, city, state, zip, country, phone; `at`: its moment; `zip_known`: the
    row of its ZIP in `zip`, which says what she left out of state and country.
    """
    w, z = word, zip_known
    address = f"({w}.street, {w}.city) <> ('', '')"
    return f"""
    {w}.first_name, {w}.last_name, CASE WHEN ({w}.first_name, {w}.last_name) <> ('', '') THEN {at} END AS name_at, {w}.zip,
    coalesce(nullif({w}.state, ''), {z}.state, '') AS state,
    coalesce(nullif({w}.country, ''), CASE WHEN {z}.zip IS NOT NULL THEN 'US' END, '') AS country,
    coalesce({z}.time_zone, '') AS time_zone,
    CASE WHEN {w}.zip IS NOT NULL OR ({w}.street, {w}.city, {w}.state, {w}.country) <> ('', '', '', '') THEN {at} END
        AS place_at,
    CAST(NULL AS timestamptz) AS moved_at, {w}.street, {w}.city, CASE WHEN {address} THEN {at} END AS address_at,
    {w}.phone, CASE WHEN {w}.phone <> '' THEN {at} END AS phone_at, {at} AS details_at"""


def _name(w: str) -> str:
    return f"({w}.first_name <> '' AND {w}.last_name <> '', {_at(w, 'name_at')}, {w}.first_name, {w}.last_name)"


def _phone(w: str) -> str:
    return f"({_at(w, 'phone_at')}, {w}.phone)"


def _home(w: str) -> str:
    """A place as a whole."""
    return f"""({w}.zip IS NOT NULL, {_at(w, "place_at")}, coalesce({w}.zip, ''), {w}.state, {w}.country, {w}.street,
        {w}.city)"""


def _address(w: str) -> str:
    """Street and town within one ZIP."""
    return f"({_at(w, 'address_at')}, {w}.street, {w}.city)"


def _at(w: str, moment: str) -> str:
    """What nobody dated is older than anything."""
    return f"coalesce({w}.{moment}, '-infinity')"


_NAMED = "({0}.first_name, {0}.last_name) <> ('', '')"
_PLACED = "({0}.zip IS NOT NULL OR ({0}.street, {0}.city, {0}.state, {0}.country) <> ('', '', '', ''))"
_ADDRESSED = "({0}.street, {0}.city) <> ('', '')"

_NAME_WINS = f"{_NAMED.format('excluded')} AND {_name('excluded')} > {_name('c')}"
_PHONE_WINS = f"excluded.phone <> '' AND {_phone('excluded')} > {_phone('c')}"
_SAME = "coalesce(excluded.zip = c.zip, false)"
# Whether what comes says anything of a place that is not on record: a superset, for most people say the same again.
_PLACE_TELLS = f"""
{_PLACED.format("excluded")} AND NOT (excluded.zip IS NOT DISTINCT FROM c.zip AND {_home("excluded")} <= {_home("c")}
    AND {_address("excluded")} <= {_address("c")} AND {_at("excluded", "moved_at")} <= {_at("c", "moved_at")})
"""


def _holds(address_at: str, place_at: str, moved_at: str) -> str:
    """Whether street and town still belong to the ZIP that is known now."""
    return f"({moved_at} IS NULL OR {address_at} > {moved_at} OR {address_at} = {place_at})"


# In an INSERT INTO contact AS c of COLUMNS: each group of what comes against the same group of what is known.
BETTER_WINS = f"""DO UPDATE SET
    first_name = CASE WHEN {_NAME_WINS} THEN excluded.first_name ELSE c.first_name END,
    last_name = CASE WHEN {_NAME_WINS} THEN excluded.last_name ELSE c.last_name END,
    name_at = CASE WHEN {_NAME_WINS} THEN excluded.name_at ELSE c.name_at END,
    phone = CASE WHEN {_PHONE_WINS} THEN excluded.phone ELSE c.phone END,
    phone_at = CASE WHEN {_PHONE_WINS} THEN excluded.phone_at ELSE c.phone_at END,
    details_at = greatest(c.details_at, excluded.details_at),
    (zip, state, country, time_zone, place_at, moved_at, street, city, address_at) = (
        SELECT h.zip, h.state, h.country, h.time_zone, h.place_at, h.moved_at,
            CASE WHEN a.holds THEN h.street ELSE '' END, CASE WHEN a.holds THEN h.city ELSE '' END,
            CASE WHEN a.holds THEN h.address_at END
        FROM (SELECT {_SAME} AS same, {_PLACED.format("excluded")} AND NOT {_SAME} AND {_home("excluded")} > {_home("c")}
            AS moves) w
        CROSS JOIN LATERAL (
            SELECT w.moves OR w.same AND ({_at("excluded", "place_at")}, excluded.state, excluded.country)
                    > ({_at("c", "place_at")}, c.state, c.country) AS newer,
                w.moves OR w.same AND {_ADDRESSED.format("excluded")} AND {_address("excluded")} > {_address("c")}
                    AS addressed
        ) x
        CROSS JOIN LATERAL (
            SELECT CASE WHEN x.newer THEN excluded.zip ELSE c.zip END AS zip,
                CASE WHEN x.newer THEN excluded.state ELSE c.state END AS state,
                CASE WHEN x.newer THEN excluded.country ELSE c.country END AS country,
                CASE WHEN x.newer THEN excluded.time_zone ELSE c.time_zone END AS time_zone,
                CASE WHEN x.newer THEN excluded.place_at ELSE c.place_at END AS place_at,
                CASE WHEN w.moves AND c.zip IS NULL THEN excluded.moved_at
                    WHEN w.moves THEN greatest(excluded.moved_at, c.place_at)
                    WHEN w.same THEN greatest(excluded.moved_at, c.moved_at)
                    WHEN excluded.zip IS NOT NULL AND c.zip IS NOT NULL THEN greatest(excluded.place_at, c.moved_at)
                    ELSE c.moved_at END AS moved_at,
                CASE WHEN x.addressed THEN excluded.street ELSE c.street END AS street,
                CASE WHEN x.addressed THEN excluded.city ELSE c.city END AS city,
                CASE WHEN x.addressed THEN excluded.address_at ELSE c.address_at END AS address_at
        ) h
        CROSS JOIN LATERAL (SELECT {_holds("h.address_at", "h.place_at", "h.moved_at")} AS holds) a
    )
    WHERE excluded.details_at > c.details_at OR {_NAME_WINS} OR {_PHONE_WINS} OR {_PLACE_TELLS}
"""

# CTEs: `words` (a key and COLUMNS) as `person`, one row a key. Of a crowd each group is looked for by itself.
COMBINED = f"""
naming AS (
    SELECT DISTINCT ON (key) key, first_name, last_name, name_at FROM words w WHERE {_NAMED.format("w")}
    ORDER BY key, {_name("w")} DESC
), calling AS (
    SELECT DISTINCT ON (key) key, phone, phone_at FROM words w WHERE phone <> '' ORDER BY key, {_phone("w")} DESC
), home AS (
    SELECT DISTINCT ON (key) key, zip, state, country, time_zone, place_at, street, city, address_at
    FROM words w WHERE {_PLACED.format("w")} ORDER BY key, {_home("w")} DESC
), moving AS (
    SELECT h.key, max(CASE WHEN w.zip = h.zip THEN w.moved_at ELSE w.place_at END) AS moved_at
    FROM home h JOIN words w ON w.key = h.key AND w.zip IS NOT NULL WHERE h.zip IS NOT NULL GROUP BY h.key
), addressing AS (
    SELECT DISTINCT ON (h.key) h.key, w.street, w.city, w.address_at
    FROM home h JOIN words w ON w.key = h.key AND w.zip = h.zip JOIN moving m ON m.key = h.key
    WHERE {_ADDRESSED.format("w")} AND {_holds("w.address_at", "h.place_at", "m.moved_at")}
    ORDER BY h.key, {_address("w")} DESC
), person AS (
    SELECT k.key, coalesce(n.first_name, '') AS first_name, coalesce(n.last_name, '') AS last_name, n.name_at, h.zip,
        coalesce(h.state, '') AS state, coalesce(h.country, '') AS country, coalesce(h.time_zone, '') AS time_zone,
        h.place_at, m.moved_at, coalesce(CASE WHEN h.zip IS NULL THEN h.street ELSE a.street END, '') AS street,
        coalesce(CASE WHEN h.zip IS NULL THEN h.city ELSE a.city END, '') AS city,
        CASE WHEN h.zip IS NULL THEN h.address_at ELSE a.address_at END AS address_at, coalesce(p.phone, '') AS phone,
        p.phone_at, k.details_at
    FROM (SELECT key, max(details_at) AS details_at FROM words GROUP BY key) k
    LEFT JOIN naming n ON n.key = k.key LEFT JOIN home h ON h.key = k.key LEFT JOIN moving m ON m.key = k.key
    LEFT JOIN addressing a ON a.key = k.key LEFT JOIN calling p ON p.key = k.key
)
"""
