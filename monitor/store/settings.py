"""What may be set about what must survive: ``[store]``."""

from __future__ import annotations

from pydantic import Field

from monitor.catalog.durations import PositiveSeconds
from monitor.catalog.tables import FilePath, Settings


class StoreSettings(Settings):
    """``[store]``: the directory, and the longest that counted events wait for their atomic write (seconds)."""

    path: FilePath = Field(default="/var/lib/modelwatch", min_length=1)
    commit: PositiveSeconds = 5.0
