"""The outside: the only place where Redis, a provider's SDK, embedded servers or child processes are named."""
