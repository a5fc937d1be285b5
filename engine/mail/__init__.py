"""Letters: their words (letters), their rendering (render), and each request to the provider (handovers)."""
