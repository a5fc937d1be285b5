"""What staff must know and may do: accounts, rights and sessions, their programs' tokens, the audit, notices."""
