"""What may be asked of a store without its daemon? A fire drill."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from monitor.compose import make_fleet
from monitor.config import Config
from monitor.drill.drill import drill_of
from monitor.drill.past import Past
from monitor.errors import StoreError, UsageError
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.grouplog import GroupLog
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime


def drill(config: Config, path: Path, model: str) -> dict[str, Any]:
    """The document of a drill of ``model`` in the store at ``path``; ``config`` is what its daemon was told.

    Raises
    ------
    StoreError
        There is no store, or a daemon has it open.
    UsageError
        It holds no such model.
    """
    if not path.is_dir():
        raise StoreError(f"{path}: there is no store")
    with Database(path) as database:
        log = TickLog(database, math.inf)
        fleet = make_fleet(config)
        Checkpoint(database, log).load(fleet, EventTime(config.clock.lateness))
        run = drill_of(fleet, model, Past(log.read, GroupLog(database).read))
        if run is None:
            raise UsageError(f"drill: {path} holds no model {model!r}")
        return run()
