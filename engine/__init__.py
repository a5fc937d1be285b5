"""What we know. The map, in dependency order: a name may import from the groups above it, never from its own or below.

errors      every error we raise on purpose

settings    one frozen object read from the environment
money       integer minor units and a currency
states      every state a row can be in, and what it may become next
events      facts in the past tense, and the raw ones of outsiders
db          the door to Postgres: the pool, transactions, rows as JSON

vitals      how the installation is, as metrics read from the database
bell        the names of the bells, and which events ring them

ports       what we ask of the outside: clock, bells, mailer, payments, verifier
clock       production's clock, and development's, which skips ahead
redaction   what may stand in no log, taken out of each line
log         one configuration of log lines for every process
metrics     what is counted, and the page of numbers
tokens      links that say who follows them: signed, each for one purpose
languages   gettext catalogues
documents   YAML files that staff write, read strictly

tables      the schema, one small file an area

bookmarks   how far something that reads on and on has come
years       tables that are parted by years: made in time, dropped whole
inbox       the raw events of outsiders: stored, claimed, finished, replayed, emptied
inbox_files   raw events as a file, out of one database and into another
sources     outsiders' words -> our events; pure parsers

people      contacts, the chapter near them, sign-ups, consents; admission: who a batch is about

giving      gifts and what takes them back, plans, the ledger, the books; funds and their limits, forms, checkouts, asks

letters     letters as they are written: merge language, Markdown, layouts, checks, versions, notes of chapters, senders

mail        handovers and what became of letters; doubt, holds, limits; suppressions, unsubscribing

segments    rules that choose people: as SQL, in English; audiences; saved segments

staff       what needs a person; accounts, rights, the audit

outreach    sequences, who is in them, campaigns; the last look before a letter leaves; letters before they are sent

reactions   everything that follows from an event, on one screen
adapters    the outside: Redis, Stripe, SendGrid, signatures, the mailbox, embedded servers, processes
migrate     migrations, then the data that comes with the code: ZIPs, letters, sequences
demo_organisation   the invented organisation

reports     what campaigns came to, why one person got what she got, what would happen: numbers and reasons for people

bootstrap   builds one frozen `Deps` from settings; above it stand `webhooks` and `workers`

command_lines   the command line of each long-running process

up          the whole system on one machine
demo_gift   one realistic gift, posted and watched
actblue_import   ActBlue's CSV reports onto the books
people_import    other tools' lists of people onto contacts and consents
doctor      what is right, what is wrong and what to do about it, in a running installation

cli         the `groundswell` command; nobody imports it
"""
