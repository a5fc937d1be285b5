"""Letters: their words (letters), their rendering (render), the links in them (links), each request to the provider
(handovers), what became of them (feedback), addresses never to be written to (suppressions), what people stopped
(unsubscribing), and the account at the provider standing still (holds)."""
