"""Subscribers' pages: joining, and what the links in letters lead to. Plain HTML; nothing changes until a button is pressed."""
