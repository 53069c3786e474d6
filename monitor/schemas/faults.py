"""What can be wrong with a schema, with a record that was written by one, and with whom they are asked of."""

from __future__ import annotations


class BodyError(Exception):
    """A record's bytes are not what its schema says: cut short, too long, or of another kind."""


class UnknownSchemaError(Exception):
    """The registry has no such schema."""


class UnreadableSchemaError(Exception):
    """There is such a schema, and it cannot be used; the message says why."""


class RegistryAwayError(Exception):
    """The registry did not answer what was asked; the message says why, and holds no secret."""
