"""Letters: their words (letters), their rendering (render), each request to the provider (handovers), what became of them
(feedback), addresses never to be written to (suppressions), and the account at the provider standing still (holds)."""
