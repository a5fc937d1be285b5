"""`/staff`: pages for who works for the organisation. One gate for all of them; English only."""
