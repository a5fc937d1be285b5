"""What we know. The map, in dependency order: a name may import from the lines above it, never below.

errors money states events   values and words; no database
settings db clock bell ports log metrics   how a process stands on its feet
tables      the schema, one small file an area
bookmarks   how far something that reads on and on has come
inbox       the raw events of outsiders: stored, claimed, finished, replayed
sources     outsiders' words -> our events; pure parsers
people      contacts, the chapter near them, sign-ups, consents
giving      contributions, the ledger, the totals, the books
mail        letters: their words, their rendering, their handing over
outreach    who is written to, when, and the last look before a letter leaves
staff       what needs a human being
reactions   everything that follows from an event, on one screen
adapters    the outside: Redis, the mailbox, embedded servers, processes
bootstrap   builds one frozen `Deps` from settings
demo_organisation   the invented organisation
command_lines   the command line of each long-running process
up          the whole system on one machine
demo_gift   one realistic gift, posted and watched
actblue_import   ActBlue's CSV reports onto the books
cli         the `groundswell` command; nobody imports it
"""
