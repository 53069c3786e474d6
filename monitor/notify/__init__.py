"""Incidents out, through a bounded outbox."""
