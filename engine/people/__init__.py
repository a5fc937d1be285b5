"""People: contacts, the chapter near each of them, how they signed up, what they allowed. Not: money, letters."""
