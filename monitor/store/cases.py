"""Where a replay puts pending cases that its memory has no room for: a store that is gone with it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from monitor.outcomes.pending import Pending
from monitor.store.database import Database, Writes


class TemporaryCases:
    """A database in a temporary directory, made when it is needed first."""

    def __init__(self) -> None:
        self._directory: TemporaryDirectory[str] | None = None
        self._database: Database | None = None

    def relieve(self, pending: Pending) -> None:
        """Let go of a crowded buffer."""
        if not pending.crowded:
            return
        if self._database is None:
            self._directory = TemporaryDirectory(prefix="modelwatch-")
            self._database = Database(Path(self._directory.name))
            pending.attach(self._database)
        writes = Writes()
        pending.save(writes)
        self._database.commit(writes)

    def close(self) -> None:
        """Remove everything."""
        if self._database is not None and self._directory is not None:
            self._database.close()
            self._directory.cleanup()
