"""`python -m bench torture`: the whole system in real processes, under load, while everything around it breaks.

world           where everything of one run is, and the secrets that its doors know: what all others are told

What stands, and what goes wrong:

host            one machine of the product: a supervisor above its processes
stage           a world that stands: servers, proxy, outside, two hosts; finding processes in it
clocks          wall clocks that are wrong
proxy           the ways to Postgres, Redis and the providers, which misbehave when told to
faults          what can go wrong with processes and clocks
server_faults   what can go wrong with Postgres, Redis and the ways to them
outside_faults  what can go wrong with the providers
nemesis         what goes wrong when, by the seed; and who does it
watch           backlog, memory and the cheap invariants while it goes on
play            one run from end to end
report          what it says in the end
without         the safeguards, each taken away from a process of a negative control
provoked        harm that is too rare to be waited for
process         where such processes begin
controls        a run without each safeguard
commands        the command line

What comes from outside, and what must hold:

people          the invented people of a run, by numbers
envelopes       how each outsider posts to us: credentials, signatures, keys of the inbox
posting         requests made again and again until they are taken
journal         what outsiders meant, sent and were answered; read back
money           gifts as ActBlue and Stripe tell them
crowd           who signs up, means harm, or stops her letters
staffing        what staff do meanwhile, by the API and by commands
house           what is there before a run: people, letters, sequences, campaigns
load            all of that, so many a second, in a process of its own
standing        what the stand-ins of providers share
mail_provider   a SendGrid of its own process
stripe_provider  a Stripe of its own process
outside         both, started for a run
model           what must be true in the end, from the journals alone
evidence        what checks look at
of_inbox        checks of the door
of_money        checks of the ledger
of_letters      checks of what the mail provider accepted
of_steps        checks of sequences
of_people       checks of homes, refusals, the erased, the audit
of_machinery    checks of leases, locks, logs, and that nothing waits
invariants      all that must hold, on one screen
"""
