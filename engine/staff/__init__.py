"""What staff must know and may do. For now: what needs a human being."""
