"""Cases that wait, as few fields as a test needs, and what a room of them says."""

from __future__ import annotations

import numpy as np

from monitor.outcomes.case import HAS_PREDICTION, OPEN, Cases, blank
from monitor.outcomes.pending import Pending, matured
from monitor.store.database import Database, Writes


def cases(keys: range, due: float) -> Cases:
    """Predictions that wait, each with a thousandth of its key as a score."""
    made = blank(len(keys))
    made["key"], made["due"], made["stage"], made["has"] = list(keys), due, OPEN, HAS_PREDICTION
    made["score"] = made["key"] / 1000.0
    return made


def saved(pending: Pending, database: Database) -> None:
    """Write all that changed."""
    writes = Writes()
    pending.save(writes)
    database.commit(writes)


def keys(*numbers: int) -> np.ndarray:
    """Keys as they are looked up."""
    return np.array(numbers, np.uint64)


def due_keys(pending: Pending, due: float) -> list[int]:
    """The keys of all that is due, which is over then."""
    found = []
    for piece in pending.take(due):
        found += piece["key"].tolist()
        pending.close(piece["key"][matured(piece)], np.full(int(matured(piece).sum()), due + 100.0))
        pending.forget(piece["key"][~matured(piece)])
    return found
