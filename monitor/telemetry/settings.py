"""What may be set about the daemon's own words: ``[log]``."""

from __future__ import annotations

from typing import Literal

from monitor.catalog.tables import Settings


class LogSettings(Settings):
    """``[log]``: ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""

    format: Literal["auto", "json", "logfmt", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
