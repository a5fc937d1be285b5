"""Subscribers' pages: joining, and what the links in letters lead to. Nothing changes until somebody presses a button."""
