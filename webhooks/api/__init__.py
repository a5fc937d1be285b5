"""`/api/v1`: what staff's programs may do. Its conventions, which every endpoint has:

- `Authorization: Bearer gsw_…`, never in the query; a scope each; what is out of the token's chapter does not exist.
- JSON in and out, read strictly; a refusal is `application/problem+json` (RFC 9457), with `errors` if there are several.
- A POST that creates or launches needs an `Idempotency-Key`: the same request again gets the same answer, and does nothing.
- Lists come in pages, `?limit=` and `?cursor=`, which is opaque. Reads have an `ETag`; a change may, or must, say `If-Match`.

gate        @api: who is let in, what is read, one transaction, what is answered
json_words  JSON, read in one way or not at all
bounds      what is within a token's reach
pages       lists in pages
reading     bodies and queries as models, each fault with its line and field
document    what OpenAPI says of all this, written from the same routes and models
docs        the page that shows it
campaigns, launches, people, reports, segments, sequences, token  the endpoints: about fifteen lines each
"""
