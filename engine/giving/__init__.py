"""Money: contributions, what takes them back, plans; the ledger that only grows, the totals that follow, the proof of it."""
