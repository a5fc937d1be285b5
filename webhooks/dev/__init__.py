"""Development's own pages. They do not exist in production."""
