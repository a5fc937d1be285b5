"""The door: everything that arrives over HTTP. A handler authenticates, opens a transaction, calls one engine function."""
