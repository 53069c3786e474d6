"""Every error the program raises on purpose: one tree, and the exit code of each."""

from __future__ import annotations


class ModelwatchError(Exception):
    """Anything the world can break; the message names the place."""

    exit_code = 1


class UsageError(ModelwatchError):
    """A command was called with words that it does not take."""

    exit_code = 2


class ConfigError(ModelwatchError):
    """A configuration that cannot be used; the message names file, key, value and the nearest right name."""

    exit_code = 78


class IngestError(ModelwatchError):
    """A source of events cannot be read."""


class ProfileError(ModelwatchError):
    """A reference profile or training set cannot be read, or does not fit its model."""


class StoreError(ModelwatchError):
    """The embedded store cannot be opened, read or written."""


class StoreFullError(StoreError):
    """The disk of the store has no room left; what was to be written is whole, and can be written later."""


class StoreWaitsError(StoreError):
    """There is no room, what was to be written is kept, and whoever asked is to ask again before anything changes."""


class NotifyError(ModelwatchError):
    """An incident could not be told."""


class WebError(ModelwatchError):
    """The HTTP server cannot start."""
