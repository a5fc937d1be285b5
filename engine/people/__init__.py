"""People: contacts, and the chapter near each of them. Not: money, letters, consent (a later area)."""
