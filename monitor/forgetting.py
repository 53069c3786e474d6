"""What is removed of one person, and what is left? Single cases and the keys of ids go; sums cannot be taken back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.fleet import Fleet
from monitor.incidents.order import Forgotten, Whom
from monitor.kernels.hashing import hash64
from monitor.kernels.table import mix
from monitor.tally.duplicates import keys_of_id

REMAINS = (
    "sums: counts, references, rates and evidence hold what this person added, as one of many, for good",
    "incidents that were told, and what people wrote to them",
    "names of categories and first values of numbers that were this person's alone (docs/privacy.md)",
    "bytes in files of the store that nothing reads, until these files are merged (docs/privacy.md)",
    "this order in the audit trail, with the first digits of the SHA-256 of what it named",
)
_BY_ENTITY = "keys of this person's event ids, by which repeats are recognised, until dedupe.horizon has passed"
_BY_ID = "keys of outcomes of cases that had matured, by which repeats are recognised, until dedupe.horizon has passed"


def forget(fleet: Fleet, whom: Whom) -> Forgotten:
    """Remove what is kept of ``whom`` alone: waiting and matured cases, keys by which repeats are recognised."""
    names = np.array(_models(fleet, whom.model), np.uint64)
    name = np.uint64(hash64(whom.name.encode()))
    if whom.kind == "entity":
        keys = fleet.outcomes.pending.keys_of_entity(name)
        n_open, n_closed, _ = fleet.outcomes.forget(keys)
        counted = fleet.groups.people.forget(names, name)
        return Forgotten(n_open, n_closed, counted, (*REMAINS, _BY_ENTITY))
    keys = mix(names, np.full(len(names), name))
    n_open, n_closed, told = fleet.outcomes.forget(keys)
    repeats = np.concatenate([keys_of_id(names, name, outcome) for outcome in [np.uint64(0), *told]])
    return Forgotten(n_open, n_closed, fleet.duplicates.forget(repeats), (*REMAINS, _BY_ID))


def _models(fleet: Fleet, model: str) -> list[int] | NDArray[np.uint64]:
    """Hashes of the model that was named, or of all."""
    if model:
        return [hash64(model.encode())]
    return sorted({hash64(each.name.encode()) for each in fleet.models.items})
