"""Letters on their way: each request to the provider (handovers) and what is in doubt of it (settling), what became of
letters (feedback, tally, hearing), addresses never to be written to (suppressions, comparing), what people stopped
(unsubscribing), what holds letters back (holds, breaker, pace, allowances), and letters that are long over (archive, past).
Their words are `engine.letters`."""
