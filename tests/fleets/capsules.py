"""Capsules of a fleet's incidents, the script that judges them again, and a forger who knows the chain of hashes."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fleets.build import START

from monitor import capsules
from monitor.clock import ManualClock
from monitor.dockets import chain
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.store.audit import Trail
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

VERIFIER = Path(__file__).parents[2] / "scripts" / "verify_capsule.py"
Change = Callable[[dict[str, Any]], bool]
"""Changes a line of a docket as it is met, and says whether it did."""


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_capsule", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERIFY = _load()


def capsule_of(fleet: Fleet, incident: Incident) -> dict[str, Any]:
    found = capsules.capsule(incident, fleet.exhibits.fresh.get, (), of_groups=True)
    told: dict[str, Any] = json.loads(json.dumps(found))
    return told


def rewritten(found: dict[str, Any], change: Change) -> dict[str, Any]:
    """A capsule of which a line was changed, with all that names it: the forger's best."""
    forged = copy.deepcopy(found)
    lines = [json.loads(line) for line in forged["docket"]]
    changed = [change(line) for line in lines]
    assert any(changed)
    forged["docket"] = [json.dumps(line) for line in lines]
    forged["chain"] = list(chain(line.encode() for line in forged["docket"]))
    forged["incident"]["docket_digest"] = forged["chain"][-1]
    return forged


def refused(found: dict[str, Any]) -> str:
    with pytest.raises(VERIFY.RefusedError) as error:
        VERIFY.verify(found)
    return str(error.value)


def of_step(name: str, change: Callable[[Any], Any], which: int = 1) -> Change:
    """Changes a field of the step ``which`` as it is met."""
    met = iter(range(1000))

    def changed(line: dict[str, Any]) -> bool:
        if line["is"] != "step" or next(met) != which:
            return False
        line[name] = change(line[name])
        return True

    return changed


def in_line(kind: str, name: str, value: Callable[[Any], Any]) -> Change:
    def changed(line: dict[str, Any]) -> bool:
        if line["is"] == kind:
            line[name] = value(line[name])
        return line["is"] == kind

    return changed


def kept(path: Path, fleet: Fleet, incidents: list[Incident]) -> Trail:
    with Database(path) as database:
        trail = Trail(ManualClock(START))
        time = EventTime(0.0)
        time.watermark = START
        Checkpoint(database, TickLog(database, np.inf), np.inf, trail).save(fleet, time, {}, [], incidents)
        return trail
