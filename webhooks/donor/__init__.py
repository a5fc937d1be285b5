"""Donors' pages: where people give. Only the processor's webhooks make a gift of what is begun here."""
