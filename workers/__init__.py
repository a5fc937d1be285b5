"""The hands. An actor claims a batch, opens a transaction, calls one engine function, reacts, commits, rings."""
