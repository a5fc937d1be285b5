"""Money: contributions, the ledger that only grows, the totals that follow from it, the proof that all agree."""
